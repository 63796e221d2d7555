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

// A crash inside Erase, with all, none or one of the sectors of either write on the
// disk, takes nothing from another record, wherever in a sector the record began;
// and Erase can be repeated.
func TestCrashInsideEraseKeepsTheOtherRecords(t *testing.T) {
	payload := func(i uint64) []byte { return bytes.Repeat([]byte{byte(i)}, 1100) }
	for left := range recordHeader + 4 {
		dir := t.TempDir()
		var states [][]byte // of the file, before and after each flush
		keep := func(f *os.File) error {
			b, err := os.ReadFile(f.Name())
			states = append(states, b)
			return err
		}
		l := open(t, dir, Options{InsecureSync: keep})
		// The second record begins this far from the end of the first sector.
		if err := l.Append(1, bytes.Repeat([]byte{1}, sector-segmentHeader-recordHeader-left)); err != nil {
			t.Fatal(err)
		}
		for i := uint64(2); i <= 4; i++ {
			if err := l.Append(i, payload(i)); err != nil {
				t.Fatal(err)
			}
		}
		path := l.segs[0].path
		states = states[len(states)-1:]
		if err := l.Erase(2); err != nil {
			t.Fatal(err)
		}
		l.Close()
		for n, after := range states[1:] {
			before := states[n]
			check := func(b []byte) {
				t.Helper()
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				for _, opt := range []Options{{ReadOnly: true}, {}} {
					l := open(t, dir, opt)
					defer l.Close()
					if l.Last() != 4 {
						t.Fatalf("record %d bytes before the end of a sector: log ends at %d of 4", left, l.Last())
					}
					for i := uint64(3); i <= 4; i++ {
						if got, err := l.Read(i); err != nil || !bytes.Equal(got, payload(i)) {
							t.Fatalf("record %d: %d bytes, %v", i, len(got), err)
						}
					}
					if opt.ReadOnly {
						continue
					}
					if err := l.Erase(2); err != nil {
						t.Fatalf("erase again: %v", err)
					}
					if _, err := l.Read(2); !errors.Is(err, ErrErased) {
						t.Fatalf("erased record: %v", err)
					}
				}
				if b, err := os.ReadFile(path); err != nil || bytes.Contains(b, payload(2)[:8]) {
					t.Fatalf("the erased bytes are still there: %v", err)
				}
			}
			check(before)
			for from := 0; from < len(after); from += sector {
				to := min(from+sector, len(after))
				if bytes.Equal(before[from:to], after[from:to]) {
					continue
				}
				one, others := bytes.Clone(before), bytes.Clone(after)
				copy(one[from:to], after[from:to])
				copy(others[from:to], before[from:to])
				check(one)
				check(others)
			}
		}
	}
}

// The name of the new first segment is on the disk before the old one goes; if
// that cannot be known, the log takes nothing more.
func TestTruncateFrontFlushesTheNewNameFirst(t *testing.T) {
	both, fail := false, error(nil)
	l := open(t, t.TempDir(), Options{
		InsecureSync: func(*os.File) error { return nil },
		InsecureSyncDir: func(dir string) error {
			names, err := os.ReadDir(dir)
			both = both || len(names) == 2
			return errors.Join(err, fail)
		},
	})
	fill(t, l, 1, 5)
	if err := l.TruncateFront(2); err != nil {
		t.Fatal(err)
	}
	if !both {
		t.Error("the old name was removed before the new one was flushed")
	}
	fail = errors.New("test")
	if err := l.TruncateFront(3); err == nil {
		t.Error("names were not flushed, and no error")
	}
	if err := l.Append(6, record(6, 100)); !errors.Is(err, ErrFailed) {
		t.Errorf("append after the names were not flushed: %v", err)
	}
}
