package seglog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Damage costs the records that it is in, and nothing is written to the disk.
func TestSalvageReadsAllThatIsWhole(t *testing.T) {
	const last = 12 // four in each segment of 24 + 4·(28+100) bytes and a footer
	at := func(i int) int64 { return segmentHeader + int64(i)*(recordHeader+100) }
	for name, tc := range map[string]struct {
		segment int
		damage  func(path string) error
		lost    []uint64
	}{
		"payload":                        {1, flip(at(1) + recordHeader + 50), []uint64{6}},
		"header":                         {1, flip(at(1) + 8), []uint64{6}},
		"segment header":                 {1, flip(3), nil},
		"payload, no footer":             {2, flip(at(1) + recordHeader + 50), []uint64{10}},
		"last payload, no footer":        {2, flip(at(3) + recordHeader + 50), []uint64{12}},
		"header, no footer":              {2, flip(at(1) + 8), []uint64{10, 11, 12}},
		"segment header, no footer":      {2, flip(3), nil},
		"segment header of zeros":        {2, func(path string) error { return overwrite(path, 0, make([]byte, segmentHeader)) }, nil},
		"footer":                         {0, func(path string) error { return cutOff(path, 3) }, nil},
		"footer and a payload":           {0, func(path string) error { return errors.Join(flip(at(2)+recordHeader)(path), cutOff(path, 3)) }, []uint64{3}},
		"segment gone":                   {1, os.Remove, []uint64{5, 6, 7, 8}},
		"end of the log":                 {2, func(path string) error { return cutOff(path, 130) }, []uint64{11, 12}},
		"payload that looks like a hole": {2, func(path string) error { return overwrite(path, at(1)+recordHeader, make([]byte, 100)) }, []uint64{10}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, Options{SegmentBytes: 500})
			fill(t, l, 1, last)
			paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
			if err != nil || len(paths) != 3 {
				t.Fatalf("segments %q, %v", paths, err)
			}
			l.Close()
			if err := tc.damage(paths[tc.segment]); err != nil {
				t.Fatal(err)
			}
			before := content(t, dir)
			l = open(t, dir, Options{Salvage: true})
			lost := map[uint64]bool{}
			for _, i := range tc.lost {
				lost[i] = true
			}
			for i := uint64(1); i <= last; i++ {
				if !lost[i] {
					mustRead(t, l, i)
				} else if b, err := l.Read(i); err == nil {
					t.Errorf("record %d: read %d bytes of what is damaged", i, len(b))
				}
			}
			if err := l.Append(last+1, []byte("more")); !errors.Is(err, os.ErrPermission) {
				t.Errorf("append: %v", err)
			}
			if after := content(t, dir); !bytes.Equal(after, before) {
				t.Error("files were changed")
			}
		})
	}
}

func flip(at int64) func(path string) error {
	return func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return overwrite(path, at, []byte{b[at] ^ 1})
	}
}

func overwrite(path string, at int64, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
}

// cutOff shortens a file by n bytes.
func cutOff(path string, n int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()-n)
}

// content returns the names and bytes of all files in dir.
func content(t *testing.T, dir string) []byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, e.Name()...), b...)
	}
	return out
}
