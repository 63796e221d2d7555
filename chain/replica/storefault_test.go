package replica

import (
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
func TestDiskThatFailsACompactionIsHeardOf(t *testing.T) {
	var failing atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && strings.HasSuffix(op.Path, ".sst") {
			return syscall.EIO
		}
		return nil
	}))
	told := make(chan error, 1)
	s := mustOpenKV(t, "state", kvOptions{medium: medium{fs: fs}, onDamage: func(err error) { told <- err }})
	defer s.Close()
	b, _ := someBatch(map[string]string{}, 0, 20)
	if err := s.commit(b); err != nil {
		t.Fatal(err)
	}
	failing.Store(true)
	if _, err := s.db.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-told:
		if full := (*writeError)(nil); !errors.As(err, &full) || isDamage(err) {
			t.Errorf("told %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("not told")
	}
	failing.Store(false)
}
