package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/fs"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/storetest"
)

// flip changes one bit of a blob's file. The other bytes of the tree of files
// stay.
func flip(t *testing.T, root string, ref store.Ref) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "blobs", "??", ref.String()))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files of blob %s, %v", len(files), ref, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 8
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestScrubFindsAllBitRotAndMendsIt(t *testing.T) {
	root := t.TempDir()
	s, err := fs.Open(root, fs.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	good := mem.New()
	var refs []store.Ref
	for i := range 60 {
		data := storetest.Bytes(uint64(i), 1+i*9000)
		for _, to := range []store.Store{s, good} {
			ref, err := to.Put(t.Context(), bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if to == good {
				refs = append(refs, ref)
			}
		}
	}
	var rotten []store.Ref
	for i, ref := range refs {
		if i%3 == 0 {
			flip(t, root, ref)
			rotten = append(rotten, ref)
		}
	}
	missing := refs[1]
	if err := s.Delete(t.Context(), missing); err != nil {
		t.Fatal(err)
	}

	// Found, but nothing to mend it from.
	report, err := store.Scrub(t.Context(), s, store.ScrubOptions{})
	if err != nil || report.Blobs != 59 || report.Unrepaired() != len(rotten) {
		t.Fatalf("%d blobs, %d findings, %v", report.Blobs, len(report.Findings), err)
	}
	for _, f := range report.Findings {
		var corrupt *store.CorruptError
		if !slices.Contains(rotten, f.Ref) || !errors.As(f.Err, &corrupt) {
			t.Fatalf("finding %+v", f)
		}
	}

	// Mended, except one of which there is no good copy.
	if err := good.Delete(t.Context(), rotten[0]); err != nil {
		t.Fatal(err)
	}
	var last store.Progress
	report, err = store.Scrub(t.Context(), s, store.ScrubOptions{
		Repair:   good,
		Expect:   slices.Values(refs),
		Progress: func(p store.Progress) { last = p },
	})
	if err != nil || len(report.Findings) != len(rotten)+1 || report.Unrepaired() != 1 {
		t.Fatalf("%d findings, %d not repaired, %v", len(report.Findings), report.Unrepaired(), err)
	}
	for _, f := range report.Findings {
		if f.Repaired == (f.Ref == rotten[0]) || f.Repaired != (f.Repair == nil) {
			t.Fatalf("finding %+v", f)
		}
	}
	if last.Blobs != 60 || last.TotalBlobs != 59 || last.TotalBytes == 0 {
		t.Fatalf("progress ends at %+v", last)
	}
	report, err = store.Scrub(t.Context(), s, store.ScrubOptions{Expect: slices.Values(refs)})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Ref != rotten[0] {
		t.Fatalf("after the repair: %+v, %v", report, err)
	}
}

func TestScrubStopsWhenCancelled(t *testing.T) {
	s := mem.New()
	for i := range 10 {
		if _, err := s.Put(t.Context(), bytes.NewReader(storetest.Bytes(uint64(i), 100))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	report, err := store.Scrub(ctx, s, store.ScrubOptions{Progress: func(p store.Progress) {
		if p.Blobs == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || report.Blobs != 3 || len(report.Findings) != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
}

func TestRepairTakesNothingBad(t *testing.T) {
	root := t.TempDir()
	bad, err := fs.Open(root, fs.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	s, err := fs.Open(other, fs.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	var ref store.Ref
	for _, to := range []store.Store{s, bad} {
		if ref, err = to.Put(t.Context(), bytes.NewReader(storetest.Bytes(1, 3*store.LeafSize))); err != nil {
			t.Fatal(err)
		}
	}
	flip(t, root, ref)
	flip(t, other, ref)
	report, err := store.Scrub(t.Context(), s, store.ScrubOptions{Repair: bad})
	if err != nil || report.Unrepaired() != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	// What is left of the damaged blob is not thrown away.
	if has, err := store.Has(t.Context(), s, ref); !has || err != nil {
		t.Fatalf("the damaged blob is gone (%v)", err)
	}
}

func TestCollectDeletesOnlyWhatNobodyUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		put := func(text string) store.Ref {
			ref, err := s.Put(t.Context(), strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			return ref
		}
		used, erased := put("used"), put("erased")
		<-time.After(25 * time.Hour) // of the test's own clock
		uncommitted := put("its transaction is on the way")
		live := func(_ context.Context, ref store.Ref) (bool, error) { return ref == used, nil }
		calls := 0
		opts := store.CollectOptions{Live: live, DryRun: true, Progress: func(store.Progress) { calls++ }}
		report, err := store.Collect(t.Context(), s, opts)
		if err != nil || !slices.Equal(report.Deleted, []store.Ref{erased}) || report.Bytes != 6 || report.Kept != 2 || calls != 3 {
			t.Fatalf("dry run: %+v, %v, %d calls", report, err, calls)
		}
		if has, _ := store.Has(t.Context(), s, erased); !has {
			t.Fatal("a dry run deleted")
		}
		opts.DryRun = false
		if report, err = store.Collect(t.Context(), s, opts); err != nil || len(report.Deleted) != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		for ref, want := range map[store.Ref]bool{used: true, erased: false, uncommitted: true} {
			if has, err := store.Has(t.Context(), s, ref); has != want || err != nil {
				t.Fatalf("%s: there is %v, want %v (%v)", ref, has, want, err)
			}
		}
		opts.MinAge = -1
		if report, err = store.Collect(t.Context(), s, opts); err != nil || !slices.Equal(report.Deleted, []store.Ref{uncommitted}) {
			t.Fatalf("without an age: %+v, %v", report, err)
		}
	})
}

func TestCollectStopsWhenItCannotTell(t *testing.T) {
	s := mem.New()
	for i := range 5 {
		if _, err := s.Put(t.Context(), bytes.NewReader(storetest.Bytes(uint64(i), 10))); err != nil {
			t.Fatal(err)
		}
	}
	unknown := errors.New("chain is not reachable")
	_, err := store.Collect(t.Context(), s, store.CollectOptions{MinAge: -1, Live: func(context.Context, store.Ref) (bool, error) {
		return false, unknown
	}})
	if !errors.Is(err, unknown) {
		t.Fatalf("Collect: %v", err)
	}
	if _, err := store.Collect(t.Context(), s, store.CollectOptions{MinAge: -1}); err == nil {
		t.Fatal("Collect without Live succeeded")
	}
	if u, err := store.Measure(t.Context(), s); err != nil || u != (store.Usage{Blobs: 5, Bytes: 50, Free: -1}) {
		t.Fatalf("Measure = %+v, %v", u, err)
	}
}

// TestCollectSparesWhatIsPutAgain puts the blob again between the question and
// the deletion.
func TestCollectSparesWhatIsPutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		ref, err := s.Put(t.Context(), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(48 * time.Hour) // of the test's own clock
		report, err := store.Collect(t.Context(), s, store.CollectOptions{Live: func(ctx context.Context, _ store.Ref) (bool, error) {
			_, err := s.Put(ctx, strings.NewReader("x"))
			return false, err
		}})
		if err != nil || len(report.Deleted) != 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		if has, _ := store.Has(t.Context(), s, ref); !has {
			t.Fatal("the blob is gone")
		}
	})
}

// misnaming is a store that names what it stores otherwise.
type misnaming struct{ store.Store }

func (m misnaming) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	if _, err := m.Store.Put(ctx, r); err != nil {
		return store.Ref{}, err
	}
	return m.Store.Put(ctx, strings.NewReader("other"))
}

func TestCopyChecksTheNameOfTheCopy(t *testing.T) {
	from := mem.New()
	ref, err := from.Put(t.Context(), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	var corrupt *store.CorruptError
	if err := store.Copy(t.Context(), misnaming{mem.New()}, from, ref); !errors.As(err, &corrupt) {
		t.Fatalf("Copy: %v, want a CorruptError", err)
	}
}

func TestMeasureSaysWhatIsFree(t *testing.T) {
	s, err := fs.Open(t.TempDir(), fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := store.Measure(t.Context(), s)
	if _, freeErr := s.Free(); errors.Is(freeErr, errors.ErrUnsupported) {
		t.Skip("this system does not say")
	}
	if err != nil || u.Free <= 0 || u.Blobs != 0 {
		t.Fatalf("Measure = %+v, %v", u, err)
	}
}
