package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

func open(t testing.TB, dir string, opt Options) *Log {
	t.Helper()
	l, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func record(i uint64, size int) []byte {
	r := rand.New(rand.NewPCG(i, 1))
	b := make([]byte, size)
	for j := range b {
		b[j] = byte(r.Uint32())
	}
	return b
}

func fill(t testing.TB, l *Log, from, to uint64) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := l.Append(i, record(i, 100)); err != nil {
			t.Fatal(err)
		}
	}
}

func mustRead(t testing.TB, l *Log, i uint64) {
	t.Helper()
	got, err := l.Read(i)
	if err != nil {
		t.Fatalf("Read(%d): %v", i, err)
	}
	if !bytes.Equal(got, record(i, len(got))) {
		t.Fatalf("Read(%d): wrong bytes", i)
	}
}

// The log behaves like a slice with two moving ends, across reopening.
func TestLogBehavesLikeASlice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "log")
		if err != nil {
			rt.Fatal(err)
		}
		opt := Options{SegmentBytes: 600, InsecureNoSync: true, ScanAll: rapid.Bool().Draw(rt, "scan")}
		l, err := Open(dir, opt)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { l.Close() }()
		model := map[uint64][]byte{}
		erased := map[uint64]bool{}
		first, last := uint64(0), uint64(0)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "op") {
			case 0, 1:
				next := last + 1
				if last == 0 {
					next = rapid.Uint64Range(1, 50).Draw(rt, "start")
				}
				var recs [][]byte
				for i := range uint64(rapid.IntRange(1, 8).Draw(rt, "n")) {
					recs = append(recs, record(next+i, rapid.IntRange(0, 300).Draw(rt, "size")))
				}
				if err := l.Append(next, recs...); err != nil {
					rt.Fatal(err)
				}
				for i, r := range recs {
					model[next+uint64(i)] = r
				}
				if first == 0 {
					first = next
				}
				last = next + uint64(len(recs)) - 1
			case 2:
				if last == 0 {
					continue
				}
				at := rapid.Uint64Range(first, last).Draw(rt, "back")
				if err := l.TruncateBack(at); err != nil {
					rt.Fatal(err)
				}
				for i := at; i <= last; i++ {
					delete(model, i)
					delete(erased, i)
				}
				if last = at - 1; last < first {
					first, last = 0, 0
				}
			case 3:
				if last == 0 {
					continue
				}
				at := rapid.Uint64Range(first, last).Draw(rt, "front")
				if err := l.TruncateFront(at); err != nil {
					rt.Fatal(err)
				}
				for i := first; i <= at; i++ {
					delete(model, i)
					delete(erased, i)
				}
				if first = at + 1; first > last {
					first, last = 0, 0
				}
			case 4:
				if last == 0 {
					continue
				}
				at := rapid.Uint64Range(first, last).Draw(rt, "erase")
				if err := l.Erase(at); err != nil {
					rt.Fatal(err)
				}
				erased[at] = true
			case 5:
				if err := l.Close(); err != nil {
					rt.Fatal(err)
				}
				if l, err = Open(dir, opt); err != nil {
					rt.Fatal(err)
				}
			}
			if l.First() != first || l.Last() != last {
				rt.Fatalf("log is [%d,%d], want [%d,%d]", l.First(), l.Last(), first, last)
			}
			for i, want := range model {
				got, err := l.Read(i)
				switch {
				case erased[i]:
					if !errors.Is(err, ErrErased) {
						rt.Fatalf("Read(%d) of an erased record: %v", i, err)
					}
				case err != nil:
					rt.Fatalf("Read(%d): %v", i, err)
				case !bytes.Equal(got, want):
					rt.Fatalf("Read(%d): wrong bytes", i)
				}
			}
			if _, err := l.Read(last + 1); !errors.Is(err, ErrNotFound) {
				rt.Fatalf("Read past the end: %v", err)
			}
		}
	})
}

func TestAppendRefusesGap(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	fill(t, l, 5, 7)
	for _, i := range []uint64{0, 7, 9} {
		if err := l.Append(i, []byte("x")); !errors.Is(err, ErrGap) {
			t.Errorf("Append(%d) after 7: %v", i, err)
		}
	}
}

// A crash can cut the last write at any byte: what was acknowledged before it
// stays, and the log opens.
func TestCrashCutsLastWriteAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	fill(t, l, 1, 3)
	before := l.Size()
	fill(t, l, 4, 4)
	path := l.segs[0].path
	l.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := before; cut < int64(len(whole)); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(dir, Options{InsecureNoSync: true})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if l.Last() != 3 {
			t.Fatalf("cut at %d: last record is %d", cut, l.Last())
		}
		mustRead(t, l, 3)
		fill(t, l, 4, 5)
		mustRead(t, l, 5)
		l.Close()
	}
}

func TestCrashLeavesHoleInLastWrite(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	fill(t, l, 1, 3)
	if err := l.Append(4, record(4, 5000)); err != nil {
		t.Fatal(err)
	}
	path := l.segs[0].path
	l.Close()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 512), 2048); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if l = open(t, dir, Options{}); l.Last() != 3 {
		t.Fatalf("last record is %d", l.Last())
	}
}

// Every single-bit flip in any file is reported: by Open or by the read of the
// record it hit. No read returns other bytes than were written.
func TestNoBitFlipIsSilent(t *testing.T) {
	src := t.TempDir()
	l := open(t, src, Options{SegmentBytes: 1000})
	fill(t, l, 1, 40)
	l.Close()
	files, err := filepath.Glob(filepath.Join(src, "*.seg"))
	if err != nil || len(files) < 4 {
		t.Fatalf("segments: %v, %v", files, err)
	}
	r := rand.New(rand.NewPCG(7, 7))
	var detected, harmless int
	for n := range 1000 {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(n))
		if err := os.CopyFS(dir, os.DirFS(src)); err != nil {
			t.Fatal(err)
		}
		flipBit(t, filepath.Join(dir, filepath.Base(files[r.IntN(len(files))])), r)
		l, err := Open(dir, Options{ScanAll: n%2 == 0, InsecureNoSync: true})
		var corrupt *CorruptError
		if err != nil {
			if !errors.As(err, &corrupt) {
				t.Fatalf("Open: %v", err)
			}
			detected++
			continue
		}
		if l.First() != 1 || l.Last() != 40 {
			t.Fatalf("flip %d: log silently became [%d,%d]", n, l.First(), l.Last())
		}
		hit := false
		for i := uint64(1); i <= 40; i++ {
			got, err := l.Read(i)
			if errors.As(err, &corrupt) {
				hit = true
			} else if err != nil || !bytes.Equal(got, record(i, 100)) {
				t.Fatalf("flip %d: Read(%d) silently wrong: %v", n, i, err)
			}
		}
		if hit {
			detected++
		} else {
			harmless++
		}
		l.Close()
	}
	t.Logf("1000 flips: %d detected, %d harmless, 0 silent", detected, harmless)
}

func TestDropDamagedKeepsWhatIsBeforeTheDamage(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentBytes: 1000})
	fill(t, l, 1, 40)
	at := int64(l.segs[1].offsets[2]) + recordHeader + 5
	path, want := l.segs[1].path, l.segs[1].first+1
	l.Close()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff, 0xfe}, at); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := Open(dir, Options{ScanAll: true}); err == nil {
		t.Fatal("damaged log opened")
	}
	l = open(t, dir, Options{ScanAll: true, DropDamaged: true})
	if l.Damaged() == nil || l.Damaged().Index != want+1 || l.Last() != want {
		t.Fatalf("damage %v, last %d, want last %d", l.Damaged(), l.Last(), want)
	}
	fill(t, l, want+1, want+30)
	l.Close()
	l = open(t, dir, Options{ScanAll: true})
	mustRead(t, l, want+30)
}

// After TruncateFront and Erase, the removed bytes are in no file of the log.
func TestRemovedBytesAreGoneFromDisk(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentBytes: 4096})
	secret, other := []byte("canary-in-the-front-record"), []byte("canary-in-the-erased-record")
	fill(t, l, 1, 2)
	if err := l.Append(3, secret); err != nil {
		t.Fatal(err)
	}
	fill(t, l, 4, 6)
	if err := l.Append(7, other); err != nil {
		t.Fatal(err)
	}
	fill(t, l, 8, 8)
	if err := l.TruncateFront(3); err != nil {
		t.Fatal(err)
	}
	if err := l.Erase(7); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range files {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, secret) || bytes.Contains(b, other) {
			t.Fatalf("%s still holds removed bytes", e.Name())
		}
	}
	mustRead(t, l, 8)
}

// A crash between the two steps of TruncateFront leaves the old and the
// shortened first segment side by side.
func TestCrashInsideTruncateFront(t *testing.T) {
	dir, saved := t.TempDir(), t.TempDir()
	l := open(t, dir, Options{SegmentBytes: 1000})
	fill(t, l, 1, 30)
	old := l.segs[0].path
	b, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(saved, "old"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.TruncateFront(3); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.WriteFile(old, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, Options{SegmentBytes: 1000})
	if l.First() != 4 || l.Last() != 30 {
		t.Fatalf("log is [%d,%d]", l.First(), l.Last())
	}
	if err := l.Verify(); err != nil {
		t.Fatal(err)
	}
}

func flipBit(t testing.TB, path string, r *rand.Rand) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	l := open(f, dir, Options{})
	fill(f, l, 1, 3)
	b, err := os.ReadFile(l.segs[0].path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000001.seg"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		left, err := Open(dir, Options{Salvage: true})
		if err != nil {
			t.Fatalf("salvage: %v", err)
		}
		left.Close()
		l, err := Open(dir, Options{InsecureNoSync: true})
		if err != nil {
			return
		}
		defer l.Close()
		if err := l.Verify(); err != nil {
			t.Fatalf("opened a log that does not verify: %v", err)
		}
	})
}

// A bit that flips after the log was opened is found when the record is read.
func TestReadChecksThePayload(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Append(1, []byte("payload")); err != nil {
		t.Fatal(err)
	}
	path := l.path(1)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if got, err := l.Read(1); !errors.As(err, &corrupt) {
		t.Errorf("read %q, %v", got, err)
	}
}
