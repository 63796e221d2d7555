package wire

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

const format = "ward/test/v1"

func write(a uint8, b uint16, c uint32, d uint64, s string, raw [3]byte) []byte {
	w := NewWriter(format)
	w.Uint8(a)
	w.Uint16(b)
	w.Uint32(c)
	w.Uint64(d)
	w.String(s)
	w.Raw(raw[:])
	return w.Sum()
}

func TestEveryFieldComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c, d := rapid.Uint8().Draw(t, "a"), rapid.Uint16().Draw(t, "b"), rapid.Uint32().Draw(t, "c"), rapid.Uint64().Draw(t, "d")
		s := rapid.StringN(0, 20, 40).Draw(t, "s")
		r := NewReader(format, write(a, b, c, d, s, [3]byte{1, 2, 3}))
		if r.Uint8() != a || r.Uint16() != b || r.Uint32() != c || r.Uint64() != d || r.String(40) != s ||
			!bytes.Equal(r.Raw(3), []byte{1, 2, 3}) || r.Done() != nil {
			t.Fatalf("a field came back changed: %v", r.Err())
		}
	})
}

func TestReaderRefuses(t *testing.T) {
	good := write(1, 2, 3, 4, "five", [3]byte{})
	read := func(b []byte, limit int) error {
		r := NewReader(format, b)
		r.Uint8()
		r.Uint16()
		r.Uint32()
		r.Uint64()
		r.String(limit)
		r.Raw(3)
		return r.Done()
	}
	if err := read(good, 4); err != nil {
		t.Fatal(err)
	}
	if err := read(good, 3); !errors.Is(err, ErrTooLong) {
		t.Errorf("over the limit: %v", err)
	}
	if err := read(append(bytes.Clone(good), 0), 4); !errors.Is(err, ErrTrailing) {
		t.Errorf("trailing byte: %v", err)
	}
	for n := range good {
		want := ErrShort
		if n < len(format)+1 {
			want = ErrName
		}
		if err := read(good[:n], 4); !errors.Is(err, want) {
			t.Errorf("cut to %d bytes: %v, want %v", n, err, want)
		}
	}
	if r := NewReader(format, good); r.Raw(-1) != nil || !errors.Is(r.Err(), ErrShort) {
		t.Error("a negative length is taken")
	}
	huge := NewWriter(format)
	huge.Uint32(1 << 31)
	if r := NewReader(format, huge.Sum()); r.Bytes(1<<30) != nil || !errors.Is(r.Err(), ErrTooLong) {
		t.Error("a length beyond the limit is taken")
	}
	other := NewReader("ward/test/v2", good)
	if other.Fail(ErrShort); !errors.Is(other.Done(), ErrName) {
		t.Error("another version is read, or the first error does not stick")
	}
}

func TestHashSeparatesItsParts(t *testing.T) {
	a := Hash("tag", []byte("ab"), []byte("c"))
	for _, b := range [][32]byte{Hash("tag", []byte("a"), []byte("bc")), Hash("tag", []byte("abc")), Hash("taga", []byte("b"), []byte("c")), Hash("tag", []byte("ab"), []byte("c"), nil)} {
		if a == b {
			t.Error("different parts, equal hash")
		}
	}
}
