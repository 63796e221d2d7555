package store_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/mem"
)

// A listing is a store that lists what it is told to, and fails when it deletes
// if it is told to.
type listing struct {
	store.Store
	infos   []store.Info
	noTimes bool
	err     error // of Delete
}

func (l listing) List(context.Context) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for _, info := range l.infos {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (l listing) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	info, err := l.Store.Stat(ctx, ref)
	if l.noTimes {
		info.Time = time.Time{}
	}
	return info, err
}

func (l listing) Delete(ctx context.Context, ref store.Ref) error {
	return errors.Join(l.err, l.Store.Delete(ctx, ref))
}

func TestCareWithBlobsThatVanish(t *testing.T) {
	s := listing{Store: mem.New()}
	gone, err := store.Digest(t.Context(), nil, strings.NewReader("deleted since it was listed"))
	if err != nil {
		t.Fatal(err)
	}
	s.infos = []store.Info{{Ref: gone.Ref(), Size: 1, Time: time.Unix(1, 0)}}
	dead := func(context.Context, store.Ref) (bool, error) { return false, nil }
	if report, err := store.Collect(t.Context(), s, store.CollectOptions{Live: dead}); err != nil || len(report.Deleted) != 0 {
		t.Errorf("Collect: %+v, %v", report, err)
	}
	if report, err := store.Scrub(t.Context(), s, store.ScrubOptions{}); err != nil || len(report.Findings) != 0 || report.Blobs != 0 {
		t.Errorf("Scrub: %+v, %v", report, err)
	}
	expect := store.ScrubOptions{Expect: slices.Values([]store.Ref{gone.Ref()})}
	s.infos = nil
	report, err := store.Scrub(t.Context(), s, expect)
	if err != nil || len(report.Findings) != 1 || !errors.Is(report.Findings[0].Err, store.ErrNotFound) {
		t.Errorf("Scrub of what must be there: %+v, %v", report, err)
	}
}

func TestCollectTellsADeletionThatFailed(t *testing.T) {
	m := mem.New()
	if _, err := m.Put(t.Context(), strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	s := listing{Store: m, err: errors.New("read-only disk")}
	for info := range m.List(t.Context()) {
		s.infos = append(s.infos, info)
	}
	dead := func(context.Context, store.Ref) (bool, error) { return false, nil }
	report, err := store.Collect(t.Context(), s, store.CollectOptions{Live: dead, MinAge: -1})
	if !errors.Is(err, s.err) || len(report.Deleted) != 0 {
		t.Fatalf("%+v, %v, want %v", report, err, s.err)
	}
}

// TestCollectWaitsADayByDefault also looks at the progress, and at blobs of which
// the medium does not know the age.
func TestCollectWaitsADayByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		for _, text := range []string{"one", "four"} {
			if _, err := s.Put(t.Context(), strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
		var last store.Progress
		opts := store.CollectOptions{
			Live:     func(context.Context, store.Ref) (bool, error) { return false, nil },
			Progress: func(p store.Progress) { last = p },
		}
		want := store.Progress{Blobs: 2, TotalBlobs: 2, Bytes: 7, TotalBytes: 7}
		<-time.After(24*time.Hour - time.Second) // of the test's own clock
		if report, err := store.Collect(t.Context(), s, opts); err != nil || report.Kept != 2 || last != want {
			t.Fatalf("after less than a day: %+v, %v, progress %+v", report, err, last)
		}
		<-time.After(2 * time.Second)
		ageless := listing{Store: s, noTimes: true}
		for info := range s.List(t.Context()) {
			ageless.infos = append(ageless.infos, store.Info{Ref: info.Ref, Size: info.Size})
		}
		if report, err := store.Collect(t.Context(), ageless, opts); err != nil || report.Kept != 2 {
			t.Fatalf("of unknown age: %+v, %v", report, err)
		}
		if report, err := store.Collect(t.Context(), s, opts); err != nil || len(report.Deleted) != 2 || last != want {
			t.Fatalf("after a day: %+v, %v, progress %+v", report, err, last)
		}
	})
}

// A keeping is a store that does not write what it believes to have, as a medium
// does that skips names it knows.
type keeping struct {
	store.Store
	bad     store.Ref // what it gives for it is damaged until it is deleted
	damaged *bool
}

func (k keeping) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	if ref == k.bad && *k.damaged {
		return nil, &store.CorruptError{Ref: ref, Reason: "rotten"}
	}
	return k.Store.Open(ctx, ref)
}

func (k keeping) Delete(ctx context.Context, ref store.Ref) error {
	*k.damaged = *k.damaged && ref != k.bad
	return k.Store.Delete(ctx, ref)
}

func TestRepairReplacesWhatTheMediumKeeps(t *testing.T) {
	good := mem.New()
	s := keeping{Store: mem.New(), damaged: new(bool)}
	for _, to := range []store.Store{good, s} {
		var err error
		if s.bad, err = to.Put(t.Context(), strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	*s.damaged = true
	report, err := store.Scrub(t.Context(), s, store.ScrubOptions{Repair: good})
	if err != nil || len(report.Findings) != 1 || report.Unrepaired() != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if err := store.Verify(t.Context(), s, s.bad); err != nil {
		t.Fatal(err)
	}
}
