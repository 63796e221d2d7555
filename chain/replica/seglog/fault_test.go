package seglog

import (
	"bytes"
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

// A write that was cut off can leave the end of the sector in which it began as
// it was, and the sectors after it new. Nothing in it was acknowledged, wherever
// in the sector it began.
func TestWriteThatLostItsFirstSectorIsCutOff(t *testing.T) {
	for left := 8; left < recordHeader+8; left++ {
		dir := t.TempDir()
		l, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		fill := sector - segmentHeader - recordHeader - left // ends this far from the end of the sector
		if err := l.Append(1, bytes.Repeat([]byte{1}, fill)); err != nil {
			t.Fatal(err)
		}
		path := l.path(1)
		before, err := os.ReadFile(path)
		if err != nil || len(before) != sector-left {
			t.Fatalf("%d bytes: %v", len(before), err)
		}
		if err := l.Append(2, bytes.Repeat([]byte{2}, 3*sector)); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		clear(after[len(before):sector])
		if err := os.WriteFile(path, after, 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err = Open(dir, Options{}); err != nil {
			t.Fatalf("%d bytes left in the sector: %v", left, err)
		}
		if l.Last() != 1 || l.Damaged() != nil {
			t.Errorf("%d bytes left in the sector: last %d, damaged %v", left, l.Last(), l.Damaged())
		}
		l.Close()
	}
}
