package seglog

import (
	"os"

	"golang.org/x/sys/unix"
)

// Datasync flushes the data of f and the metadata needed to read it back.
func Datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}

// uncache lets the system forget the pages of the first n bytes of f, of all if n is 0,
// that are on stable storage. It is a hint.
func uncache(f *os.File, n int64) { _ = unix.Fadvise(int(f.Fd()), 0, n, unix.FADV_DONTNEED) }
