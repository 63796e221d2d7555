package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
)

// copied runs Digest over a reader of the blob that data should be, from a medium
// that holds held.
func copied(t *testing.T, ctx context.Context, data, held []byte, w io.Writer) (got, want *Outboard, err error) {
	t.Helper()
	b := NewBlob(digest(t, data), BlobOptions{}, &script{data: held})
	r := b.NewReader(t.Context())
	got, err = Digest(ctx, w, r)
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	return got, b.ob, err
}

func TestDigestTakesTheWordOfAReaderThatChecks(t *testing.T) {
	for _, n := range []int{0, 1, LeafSize, LeafSize + 1, WholeSize, WholeSize + 9*LeafSize + 3} {
		data := pattern(1, n)
		var out bytes.Buffer
		got, want, err := copied(t, t.Context(), data, data, &out)
		if err != nil || got != want || !bytes.Equal(out.Bytes(), data) {
			t.Errorf("%d bytes: %p instead of %p, copied %d, %v", n, got, want, out.Len(), err)
		}
		if got, _, err := copied(t, t.Context(), data, data, nil); err != nil || got.Size() != int64(n) {
			t.Errorf("%d bytes to nowhere: %v", n, err)
		}
	}
}

// TestDigestOfTheRestIsComputed begins in the middle of a blob, where the blob's
// own digest would be a wrong one.
func TestDigestOfTheRestIsComputed(t *testing.T) {
	data := pattern(1, WholeSize+3*LeafSize)
	for _, begin := range []int{0, 1, LeafSize, LeafSize + 1, len(data)} {
		r := NewBlob(digest(t, data), BlobOptions{}, &script{data: data}).NewReader(t.Context())
		if _, err := io.ReadFull(r, make([]byte, begin)); err != nil {
			t.Fatal(err)
		}
		got, err := Digest(t.Context(), nil, r)
		if err != nil || got.Ref() != digest(t, data[begin:]).Ref() || got.Size() != int64(len(data)-begin) {
			t.Errorf("from byte %d: %v, %v", begin, got, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Digest(t.Context(), nil, r); !errors.Is(err, errReaderClosed) || !errors.Is(err, ErrReader) {
			t.Errorf("Digest of a reader that is closed: %v", err)
		}
	}
}

func TestDigestOfADamagedBlobHasNone(t *testing.T) {
	for _, n := range []int{LeafSize / 2, WholeSize, WholeSize + 9*LeafSize} {
		data := pattern(1, n)
		for _, at := range []int{0, n / 2, n - 1} {
			held := bytes.Clone(data)
			held[at] ^= 1
			var out bytes.Buffer
			got, _, err := copied(t, t.Context(), data, held, &out)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || !errors.Is(err, ErrReader) || got != nil {
				t.Errorf("byte %d of %d is wrong: %v, %v", at, n, got, err)
			}
			if out.Len() > at {
				t.Errorf("byte %d of %d is wrong, and %d were written", at, n, out.Len())
			}
		}
	}
}

func TestDigestOfACheckedBlobStopsAtTheFirstError(t *testing.T) {
	data := pattern(1, WholeSize+9*LeafSize)
	for _, n := range []int{0, 1, LeafSize, 7*LeafSize + 1} {
		_, _, err := copied(t, t.Context(), data, data, &shortWriter{n})
		if !errors.Is(err, io.ErrShortWrite) || errors.Is(err, ErrReader) {
			t.Errorf("writer fails at byte %d: %v", n, err)
		}
	}
	why := errors.New("user went home")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, _, err := copied(t, ctx, data, data, nil); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
}
