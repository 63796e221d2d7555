package replicated

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/fs"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disks returns a replicated store over n directories, and the directories.
func disks(t *testing.T, n int, opts Options) (*Store, []string) {
	t.Helper()
	var replicas []Replica
	var dirs []string
	for i := range n {
		dir := t.TempDir()
		s, err := fs.Open(dir, fs.Options{MinFree: -1})
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
		replicas = append(replicas, Replica{fmt.Sprint("disk", i), s})
	}
	s, err := New(opts, replicas...)
	if err != nil {
		t.Fatal(err)
	}
	return s, dirs
}

func editFile(t *testing.T, dir string, ref store.Ref, edit func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, "blobs", fmt.Sprintf("%02x", ref.Shard()), ref.String())
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	dirs := make(map[store.Store][]string)
	storetest.Test(t, storetest.Harness{
		Open: func(t *testing.T) store.Store {
			s, d := disks(t, 3, Options{})
			dirs[s] = d
			return s
		},
		Damage: func(t *testing.T, s store.Store, ref store.Ref, edit func([]byte) []byte) {
			for _, dir := range dirs[s] {
				editFile(t, dir, ref, edit)
			}
		},
	})
}

// faulty is a store whose calls can be made to fail or to hang.
type faulty struct {
	store.Store
	err  error         // of every call
	hang chan struct{} // if not nil, Put waits for it or for its context
}

func (f *faulty) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	if f.hang != nil {
		select {
		case <-f.hang:
		case <-ctx.Done():
			return store.Ref{}, context.Cause(ctx)
		}
	}
	if f.err != nil {
		return store.Ref{}, f.err
	}
	return f.Store.Put(ctx, r)
}

func (f *faulty) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.Open(ctx, ref)
}

func (f *faulty) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	if f.err != nil {
		return store.Info{}, f.err
	}
	return f.Store.Stat(ctx, ref)
}

func (f *faulty) List(ctx context.Context) iter.Seq2[store.Info, error] {
	if f.err != nil {
		return func(yield func(store.Info, error) bool) { yield(store.Info{}, f.err) }
	}
	return f.Store.List(ctx)
}

func (f *faulty) Delete(ctx context.Context, ref store.Ref) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.Delete(ctx, ref)
}

func memories(t *testing.T, n int, opts Options) (*Store, []*faulty) {
	t.Helper()
	var replicas []Replica
	var all []*faulty
	for i := range n {
		f := &faulty{Store: mem.New()}
		all = append(all, f)
		replicas = append(replicas, Replica{fmt.Sprint("m", i), f})
	}
	s, err := New(opts, replicas...)
	if err != nil {
		t.Fatal(err)
	}
	return s, all
}

func TestPutNeedsAQuorum(t *testing.T) {
	data := storetest.Bytes(1, 5*store.LeafSize)
	down := errors.New("store is down")
	for broken := range 4 {
		s, all := memories(t, 3, Options{Quorum: 2, Retry: store.Retry{Attempts: 1}})
		for i := range broken {
			all[i].err = down
		}
		ref, err := s.Put(t.Context(), bytes.NewReader(data))
		if broken <= 1 {
			if err != nil {
				t.Fatalf("%d of 3 down: %v", broken, err)
			}
			if err := store.Verify(t.Context(), s, ref); err != nil {
				t.Fatalf("%d of 3 down: %v", broken, err)
			}
			continue
		}
		var quorum *QuorumError
		if !errors.As(err, &quorum) || !errors.Is(err, down) {
			t.Fatalf("%d of 3 down: %v, want a QuorumError", broken, err)
		}
	}
}

func TestStoreThatHangsDoesNotHoldUpAQuorum(t *testing.T) {
	for _, n := range []int{100, 20 * store.LeafSize} { // waits at the end, and on the way
		synctest.Test(t, func(t *testing.T) {
			s, all := memories(t, 3, Options{Stall: 30 * time.Second})
			all[0].hang = make(chan struct{})
			data := storetest.Bytes(1, n)
			begin := time.Now()
			ref, err := s.Put(t.Context(), bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(begin); d < 30*time.Second || d > time.Minute {
				t.Fatalf("Put took %v", d)
			}
			if has, _ := store.Has(t.Context(), all[0].Store, ref); has {
				t.Fatal("the hanging store has the blob")
			}
			if err := store.Verify(t.Context(), s, ref); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPutWithoutQuorumEndsWhenStoresHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, all := memories(t, 3, Options{})
		all[0].hang, all[1].hang = make(chan struct{}), make(chan struct{})
		_, err := s.Put(t.Context(), bytes.NewReader(storetest.Bytes(1, 20*store.LeafSize)))
		var quorum *QuorumError
		if !errors.As(err, &quorum) {
			t.Fatalf("Put: %v, want a QuorumError", err)
		}
	})
}

func TestReadTakesEachLeafFromWhoHasItRight(t *testing.T) {
	for _, leaves := range []int{3, 40} {
		s, dirs := disks(t, 3, Options{Retry: store.Retry{Attempts: 1}})
		data := storetest.Bytes(1, leaves*store.LeafSize)
		ref, err := s.Put(t.Context(), bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		// Every disk is wrong about two leaves of three.
		for i, dir := range dirs {
			editFile(t, dir, ref, func(b []byte) []byte {
				for leaf := range leaves {
					if leaf%3 != i {
						b[leaf*store.LeafSize+100] ^= 1
					}
				}
				return b
			})
		}
		b, err := s.Open(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		r := b.NewReader(t.Context())
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		if err := errors.Join(r.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMissingMeansMissingEverywhere(t *testing.T) {
	s, all := memories(t, 3, Options{})
	ob, err := store.Digest(t.Context(), nil, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), ob.Ref()); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("missing in all: %v", err)
	}
	if has, err := store.Has(t.Context(), s, ob.Ref()); has || err != nil {
		t.Fatalf("missing in all: Has = %v, %v", has, err)
	}
	all[1].err = errors.New("store is down")
	if _, err := s.Open(t.Context(), ob.Ref()); errors.Is(err, store.ErrNotFound) || !errors.Is(err, all[1].err) {
		t.Fatalf("missing in two, one does not answer: %v", err)
	}
	if _, err := s.Stat(t.Context(), ob.Ref()); errors.Is(err, store.ErrNotFound) || !errors.Is(err, all[1].err) {
		t.Fatalf("Stat when missing in two, one does not answer: %v", err)
	}
}

func TestListEndsWithWhatFailed(t *testing.T) {
	s, all := memories(t, 3, Options{})
	for _, text := range []string{"a", "b"} {
		if _, err := s.Put(t.Context(), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	all[0].err = errors.New("store is down")
	blobs := 0
	var last error
	for info, err := range s.List(t.Context()) {
		if last = err; err == nil && info.Size == 1 {
			blobs++
		}
	}
	if blobs != 2 || !errors.Is(last, all[0].err) {
		t.Errorf("%d blobs, %v, want 2 and what failed", blobs, last)
	}
	if _, err := store.Measure(t.Context(), s); !errors.Is(err, all[0].err) {
		t.Errorf("Measure: %v, want what failed", err)
	}
}

// TestCollectSparesWhatOneStoreHasNew puts an old blob again while the store
// that is asked first is away.
func TestCollectSparesWhatOneStoreHasNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, all := memories(t, 3, Options{})
		put := func() store.Ref {
			ref, err := s.Put(t.Context(), strings.NewReader("erased, and recorded again"))
			if err != nil {
				t.Fatal(err)
			}
			return ref
		}
		put()
		<-time.After(48 * time.Hour) // of the test's own clock
		all[0].err = errors.New("store is down")
		ref := put()
		all[0].err = nil
		opts := store.CollectOptions{Live: func(context.Context, store.Ref) (bool, error) { return false, nil }}
		if report, err := store.Collect(t.Context(), s, opts); err != nil || len(report.Deleted) != 0 {
			t.Fatalf("Collect of a blob that is new in two of three stores: %+v, %v", report, err)
		}
		<-time.After(48 * time.Hour)
		if report, err := store.Collect(t.Context(), s, opts); err != nil || len(report.Deleted) != 1 || report.Deleted[0] != ref {
			t.Fatalf("Collect of an old one: %+v, %v", report, err)
		}
	})
}

// A sized store says how much space is left.
type sized struct {
	store.Store
	free int64
	err  error
}

func (s sized) Free() (int64, error) { return s.free, s.err }

func TestFreeIsThatOfTheFullestStore(t *testing.T) {
	broken := errors.New("disk is gone")
	for _, c := range []struct {
		name   string
		stores []store.Store
		free   int64
		err    error
	}{
		{"none says", []store.Store{mem.New(), sized{free: 9, err: errors.ErrUnsupported}}, -1, nil},
		{"some say", []store.Store{mem.New(), sized{free: 7}, sized{free: 0}, sized{free: 8}, sized{err: errors.ErrUnsupported}}, 0, nil},
		{"one fails", []store.Store{sized{free: 7}, sized{err: broken}}, -1, broken},
	} {
		var replicas []Replica
		for i, s := range c.stores {
			if f, ok := s.(sized); ok {
				f.Store = mem.New()
				s = f
			}
			replicas = append(replicas, Replica{fmt.Sprint(i), s})
		}
		s, err := New(Options{}, replicas...)
		if err != nil {
			t.Fatal(err)
		}
		u, err := store.Measure(t.Context(), s)
		if u.Free != c.free || !errors.Is(err, c.err) {
			t.Errorf("%s: %d bytes are free, %v, want %d, %v", c.name, u.Free, err, c.free, c.err)
		}
	}
}

func TestDeleteSucceedsOnlyEverywhere(t *testing.T) {
	s, all := memories(t, 3, Options{})
	ref, err := s.Put(t.Context(), strings.NewReader("to be erased"))
	if err != nil {
		t.Fatal(err)
	}
	all[2].err = errors.New("store is down")
	if err := s.Delete(t.Context(), ref); !errors.Is(err, all[2].err) {
		t.Fatalf("Delete with a store down: %v", err)
	}
	all[2].err = nil

	// Scrub must not bring back what was erased elsewhere.
	live := func(context.Context, store.Ref) (bool, error) { return false, nil }
	for _, opts := range []ScrubOptions{{}, {Live: live}} {
		if _, err := s.Scrub(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		if has, err := store.Has(t.Context(), all[0].Store, ref); has || err != nil {
			t.Fatalf("Scrub brought back an erased blob (%v)", err)
		}
	}
	if err := s.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), ref); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Open after Delete: %v", err)
	}
}

func TestScrubMakesTheStoresAlike(t *testing.T) {
	s, dirs := disks(t, 3, Options{})
	var refs []store.Ref
	for i := range 12 {
		ref, err := s.Put(t.Context(), bytes.NewReader(storetest.Bytes(uint64(i), i*100_000+1)))
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	editFile(t, dirs[0], refs[0], func(b []byte) []byte { return nil })
	editFile(t, dirs[1], refs[5], func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	editFile(t, dirs[2], refs[5], func(b []byte) []byte { return b[:100] })
	if err := s.replicas[2].Store.Delete(t.Context(), refs[7]); err != nil {
		t.Fatal(err)
	}
	calls := 0
	reports, err := s.Scrub(t.Context(), ScrubOptions{
		Live:     func(context.Context, store.Ref) (bool, error) { return true, nil },
		Progress: func(string, store.Progress) { calls++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 1, 2} {
		r := reports[fmt.Sprint("disk", i)]
		if len(r.Findings) != want || r.Unrepaired() != 0 {
			t.Errorf("disk%d: %+v, want %d findings, all repaired", i, r, want)
		}
	}
	if calls != 36 {
		t.Errorf("progress was reported %d times, want 36", calls)
	}
	for _, r := range s.replicas {
		report, err := store.Scrub(t.Context(), r.Store, store.ScrubOptions{})
		if err != nil || report.Blobs != 12 || len(report.Findings) != 0 {
			t.Errorf("%s after the scrub: %+v, %v", r.Name, report, err)
		}
	}
}

// otherRef is a store that says it stored something else.
type otherRef struct{ store.Store }

func (o otherRef) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	if _, err := o.Store.Put(ctx, r); err != nil {
		return store.Ref{}, err
	}
	return o.Store.Put(ctx, strings.NewReader("something else"))
}

func TestStoreThatNamesTheBlobOtherwiseDoesNotCount(t *testing.T) {
	s, err := New(Options{Quorum: 2}, Replica{"good", mem.New()}, Replica{"bad", otherRef{mem.New()}})
	if err != nil {
		t.Fatal(err)
	}
	var quorum *QuorumError
	if _, err := s.Put(t.Context(), strings.NewReader("blob")); !errors.As(err, &quorum) || quorum.Stored != 1 {
		t.Fatalf("Put: %v, want a QuorumError", err)
	}
}

func TestNewRefusesAnImpossibleQuorum(t *testing.T) {
	r := Replica{"m", mem.New()}
	for _, q := range []int{-1, 3} {
		if _, err := New(Options{Quorum: q}, r, r); err == nil {
			t.Errorf("quorum of %d of 2 was accepted", q)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("no stores were accepted")
	}
}
