package replica

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Who writes after the journal has failed gets the error, and does not end the process:
// Pebble would, when it closes the journal for another.
func TestWritesAfterAFullDiskFail(t *testing.T) {
	full := false
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full && strings.HasSuffix(op.Path, ".log") && op.Kind == errorfs.OpFileWrite {
			return syscall.ENOSPC
		}
		return nil
	}))
	s := mustOpenKV(t, "state", kvOptions{medium: medium{fs: fs}})
	full = true
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 2 {
				b, _ := someBatch(map[string]string{}, 0, 40) // two are more than the first memtable holds
				if err := s.commit(b); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("commit: %v", err)
				}
			}
		})
	}
	both.Wait()
	_ = s.Close() // the disk is full
}

// A state that the system does not let us open, or begin, is not damaged: it is not
// thrown away.
func TestFullDiskWhenTheStateIsOpenedIsNoDamage(t *testing.T) {
	// Later Pebble ends the process, or tries again until there is room.
	for dir, most := range map[string]int{"state": 3, "new": 8} {
		disk := vfs.NewMem()
		s := mustOpenKV(t, "state", kvOptions{medium: medium{fs: disk}})
		b, _ := someBatch(map[string]string{}, 0, 20)
		if err := errors.Join(s.commit(b), s.db.Flush(), s.Close()); err != nil {
			t.Fatal(err)
		}
		for left := range most {
			writes := 0
			fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					if writes++; writes > left {
						return syscall.ENOSPC
					}
				}
				return nil
			}))
			_, err := openKV(dir, kvOptions{medium: medium{fs: fs}})
			if repairable(err) || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s, full after %d writes: %v", dir, left, err)
			}
		}
	}
}

// A disk that fails when nobody waits is not kept from the replica.
func TestDiskThatFailsAFlushOrACompactionIsHeardOf(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.EROFS, syscall.EDQUOT} {
		for _, flush := range []bool{true, false} {
			failsInTheBackground(t, cause, flush)
		}
	}
}

func failsInTheBackground(t *testing.T, cause error, flush bool) {
	var failing atomic.Bool
	var spare atomic.Int64 // tables that can be made nevertheless
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") && spare.Add(-1) < 0 {
			return cause
		}
		return nil
	}))
	told := make(chan error, 1)
	s := mustOpenKV(t, "state", kvOptions{medium: medium{fs: fs}, onDamage: func(err error) { told <- err }})
	defer s.Close()
	commit := func(round int) {
		b, _ := someBatch(map[string]string{}, round, 20)
		if err := s.commit(b); err != nil {
			t.Fatal(err)
		}
	}
	commit(0)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	commit(1)
	if !flush {
		spare.Store(1)
	}
	failing.Store(true)
	defer failing.Store(false)
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var compacting sync.WaitGroup
	defer compacting.Wait()
	defer cancel()
	if !flush {
		<-flushed
		compacting.Go(func() { _ = s.db.Compact(ctx, []byte{0}, []byte{0xff}, false) }) // it tries again and again
	}
	select {
	case err := <-told:
		if full := (*writeError)(nil); !errors.As(err, &full) || isDamage(err) || !errors.Is(err, cause) {
			t.Errorf("told %v", err)
		}
	case <-time.After(time.Minute):
		t.Errorf("%v, flush %t: not told", cause, flush)
	}
}
