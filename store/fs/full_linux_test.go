package fs

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/ward-health/ward/store"
)

// failWrites opens a store on a disk that is full after n bytes: a small tmpfs,
// which mend makes larger.
func failWrites(t *testing.T, n int64) (s store.Store, mend func()) {
	t.Helper()
	page := int64(os.Getpagesize())
	size := page + (n+page-1)/page*page // the version file has a page
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, syscall.EPERM) {
		t.Skip("only root can mount a small disk")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	fs, err := Open(dir, Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	return fs, func() {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPutKeepsFreeSpaceForOthers(t *testing.T) {
	s, _ := failWrites(t, 1<<20)
	s.(*Store).minFree = 512 << 10
	data := make([]byte, 300<<10)
	if _, err := s.Put(t.Context(), newReader(data)); err != nil {
		t.Fatal(err)
	}
	data[0] = 1
	if _, err := s.Put(t.Context(), newReader(data)); err != nil {
		t.Fatal(err)
	}
	data[0] = 2
	if _, err := s.Put(t.Context(), newReader(data)); !errors.Is(err, store.ErrFull) {
		t.Fatalf("Put on a disk below its limit: %v, want ErrFull", err)
	}
}
