package seglog

import (
	"errors"
	"os"
	"testing"
)

// unflushable returns a file that takes writes and fails to flush them.
func unflushable(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if Datasync(f) == nil {
		t.Skip("flushing the null device does not fail here")
	}
	return f
}

// After a failed flush the kernel may have dropped the pages: the log takes no
// more writes, also when a second flush would succeed.
func TestFailedFlushStopsTheLog(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	fill(t, l, 1, 3)
	seg := l.segs[0]
	good := seg.file
	seg.file = unflushable(t)
	if err := l.Append(4, record(4, 100)); err == nil || l.Last() != 3 {
		t.Fatalf("last record %d, %v", l.Last(), err)
	}
	seg.file.Close()
	seg.file = good
	for name, err := range map[string]error{
		"append": l.Append(4, record(4, 100)), "truncate back": l.TruncateBack(3),
		"truncate front": l.TruncateFront(1), "erase": l.Erase(1),
	} {
		if !errors.Is(err, ErrFailed) {
			t.Errorf("%s after a failed flush: %v", name, err)
		}
	}
	mustRead(t, l, 3)
}
