package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func pattern(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func digest(t testing.TB, data []byte) *Outboard {
	t.Helper()
	ob, err := Digest(t.Context(), nil, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return ob
}

// TestVectorsFromKubo: testdata/kubo.json holds what Kubo v0.41.0 printed for
// as many zero bytes, by: ipfs add --only-hash --cid-version=1 --raw-leaves.
// The largest has a tree of three levels.
func TestVectorsFromKubo(t *testing.T) {
	text, err := os.ReadFile("testdata/kubo.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Zeros int64
		Ref   Ref
	}
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) < 10 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	full := sha256.Sum256(make([]byte, LeafSize))
	for _, v := range vectors {
		// The leaves of a blob of zeros need not be hashed one by one.
		n := numLeaves(v.Zeros)
		leaves := bytes.Repeat(full[:], int(n-1))
		last := sha256.Sum256(make([]byte, v.Zeros-(n-1)*LeafSize))
		ob := newOutboard(v.Zeros, append(leaves, last[:]...))
		if ob.Ref() != v.Ref {
			t.Errorf("%d zeros: %s, Kubo says %s", v.Zeros, ob.Ref(), v.Ref)
		}
		if v.Zeros < 1<<26 {
			if got := digest(t, make([]byte, v.Zeros)); got.Ref() != v.Ref {
				t.Errorf("%d zeros: Digest says %s, Kubo %s", v.Zeros, got.Ref(), v.Ref)
			}
		}
	}
}

func TestDigestCopiesAndCounts(t *testing.T) {
	for _, n := range []int{0, 1, LeafSize - 1, LeafSize, LeafSize + 1, 9*LeafSize + 3} {
		data := pattern(1, n)
		var out bytes.Buffer
		for name, r := range map[string]io.Reader{
			"at once":              bytes.NewReader(data),
			"in halves":            iotest.HalfReader(bytes.NewReader(data)),
			"with the error early": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			out.Reset()
			ob, err := Digest(t.Context(), &out, r)
			if err != nil {
				t.Fatalf("%d bytes %s: %v", n, name, err)
			}
			if ob.Size() != int64(n) || !bytes.Equal(out.Bytes(), data) {
				t.Fatalf("%d bytes %s: counted %d, copied %d", n, name, ob.Size(), out.Len())
			}
		}
	}
}

type shortWriter struct{ left int }

func (w *shortWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, io.ErrShortWrite
	}
	w.left -= len(p)
	return len(p), nil
}

func TestDigestStopsAtTheFirstError(t *testing.T) {
	data := pattern(1, 20*LeafSize)
	for _, n := range []int{0, 1, LeafSize, 7*LeafSize + 1} {
		_, err := Digest(t.Context(), &shortWriter{n}, bytes.NewReader(data))
		if !errors.Is(err, io.ErrShortWrite) || errors.Is(err, ErrReader) {
			t.Errorf("writer fails at byte %d: %v", n, err)
		}
		broken := errors.New("broken")
		_, err = Digest(t.Context(), nil, io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || !errors.Is(err, ErrReader) {
			t.Errorf("reader fails at byte %d: %v", n, err)
		}
	}
	if _, err := Digest(t.Context(), nil, stuck{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reader that returns nothing: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestParseOutboardAcceptsOnlyItsOwnBlob(t *testing.T) {
	for _, n := range []int{LeafSize + 1, 2 * LeafSize, 3*LeafSize + 1} {
		ob := digest(t, pattern(1, n))
		enc := ob.Bytes()
		back, err := ParseOutboard(enc, ob.Ref())
		if err != nil || !bytes.Equal(back.Bytes(), enc) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		for i := range enc {
			enc[i] ^= 1
			if _, err := ParseOutboard(enc, ob.Ref()); err == nil {
				t.Fatalf("%d bytes: byte %d changed, accepted", n, i)
			}
			enc[i] ^= 1
		}
		for _, bad := range [][]byte{nil, enc[:len(enc)-1], append(bytes.Clone(enc), 0), enc[1:]} {
			if _, err := ParseOutboard(bad, ob.Ref()); err == nil {
				t.Fatalf("%d bytes: encoding of %d bytes accepted", n, len(bad))
			}
		}
		if _, err := ParseOutboard(enc, digest(t, pattern(2, n+1)).Ref()); err == nil {
			t.Fatalf("%d bytes: outboard of another blob accepted", n)
		}
	}
	for _, n := range []int{0, 5, LeafSize} {
		ob := digest(t, pattern(1, n))
		if _, err := ParseOutboard(ob.Bytes(), ob.Ref()); err == nil {
			t.Fatalf("%d bytes: a single leaf has an outboard", n)
		}
	}
}

// nodes returns the nodes of a blob's tree by name.
func nodes(ob *Outboard) map[Ref][]byte {
	all := make(map[Ref][]byte)
	ob.build(func(node []byte) { all[nodeRef(node)] = bytes.Clone(node) })
	return all
}

func fetch(t testing.TB, ref Ref, size int64, from map[Ref][]byte) (*Outboard, error) {
	return FetchOutboard(t.Context(), ref, size, func(_ context.Context, n Ref) ([]byte, error) {
		if b, ok := from[n]; ok {
			return b, nil
		}
		return nil, NotFound(n)
	})
}

func TestFetchOutboardTrustsNobody(t *testing.T) {
	// Leaves need not exist for a tree of three levels.
	size := int64(maxLinks*maxLinks+5) * LeafSize
	leaves := make([]byte, numLeaves(size)*sha256.Size)
	for i := range numLeaves(size) {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		copy(leaves[i*sha256.Size:], sum[:])
	}
	for _, ob := range []*Outboard{newOutboard(size, leaves), digest(t, pattern(1, 28*LeafSize)), digest(t, nil)} {
		all := nodes(ob)
		got, err := fetch(t, ob.Ref(), ob.Size(), all)
		if err != nil || !bytes.Equal(got.Bytes(), ob.Bytes()) {
			t.Fatalf("%d leaves: %v", numLeaves(ob.Size()), err)
		}
		if ob.Size() <= LeafSize {
			continue
		}
		for _, wrong := range []int64{-1, 0, 1, ob.Size() - 1, ob.Size() + 1, ob.Size() * 2, 1 << 62} {
			if _, err := fetch(t, ob.Ref(), wrong, all); err == nil {
				t.Fatalf("size %d instead of %d accepted", wrong, ob.Size())
			}
		}
		for ref, node := range all {
			node[len(node)/2] ^= 1
			var corrupt *CorruptError
			if _, err := fetch(t, ob.Ref(), ob.Size(), all); !errors.As(err, &corrupt) {
				t.Fatalf("a node was changed: %v, want a CorruptError", err)
			}
			node[len(node)/2] ^= 1
			delete(all, ref)
			if _, err := fetch(t, ob.Ref(), ob.Size(), all); !errors.Is(err, ErrNotFound) {
				t.Fatalf("a node is missing: %v, want ErrNotFound", err)
			}
			all[ref] = node
			break
		}
		blocks := make(map[Ref]bool)
		for b := range ob.Blocks() {
			blocks[b] = true
		}
		for ref := range all {
			if !blocks[ref] {
				t.Fatalf("Blocks does not yield node %s", ref)
			}
		}
	}
}

// TestForeignTreesAreRefused takes trees that IPFS accepts for the same bytes.
func TestForeignTreesAreRefused(t *testing.T) {
	data := pattern(1, 2*LeafSize)
	half := func(sizes ...int) (Ref, map[Ref][]byte) {
		var links []link
		rest := data
		for _, n := range sizes {
			links = append(links, link{leafRef(sha256.Sum256(rest[:n])), uint64(n), uint64(n)})
			rest = rest[n:]
		}
		block := encodeNode(links)
		return nodeRef(block), map[Ref][]byte{nodeRef(block): block}
	}
	ref, all := half(LeafSize, LeafSize)
	if ref != digest(t, data).Ref() {
		t.Fatal("the right tree has another name")
	}
	for _, sizes := range [][]int{{LeafSize - 1, LeafSize + 1}, {LeafSize / 2, LeafSize/2 + LeafSize}, {2 * LeafSize}} {
		ref, all = half(sizes...)
		if _, err := fetch(t, ref, int64(len(data)), all); err == nil {
			t.Errorf("leaves of %d bytes accepted", sizes)
		}
	}
	// A needless level.
	inner, all := half(LeafSize, LeafSize)
	block := encodeNode([]link{{inner, uint64(len(data)), uint64(len(data) + len(all[inner]))}})
	all[nodeRef(block)] = block
	if _, err := fetch(t, nodeRef(block), int64(len(data)), all); err == nil {
		t.Error("a tree with a needless level accepted")
	}
}

func TestNodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		links := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) link {
			return link{
				ref:     leafRef(sha256.Sum256(rapid.SliceOf(rapid.Byte()).Draw(t, "leaf"))),
				content: rapid.Uint64Range(0, 1<<50).Draw(t, "content"),
				total:   rapid.Uint64Range(0, 1<<50).Draw(t, "total"),
			}
		}), 1, maxLinks).Draw(t, "links")
		block := encodeNode(links)
		back, err := decodeNode(block)
		if err != nil || !bytes.Equal(encodeNode(back), block) {
			t.Fatalf("decodeNode: %v", err)
		}
	})
}

func FuzzDecodeNode(f *testing.F) {
	ob := digest(f, pattern(1, 3*LeafSize))
	for _, node := range nodes(ob) {
		f.Add(node)
		f.Add(node[:len(node)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if links, err := decodeNode(b); err == nil && !bytes.Equal(encodeNode(links), b) {
			t.Fatal("a node has two encodings")
		}
	})
}

func FuzzParseOutboard(f *testing.F) {
	for _, n := range []int{0, 10, 2*LeafSize + 1} {
		f.Add(digest(f, pattern(1, n)).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// The name that the encoding itself gives is the hardest to refuse.
		size := int64(-1)
		if len(b) > len(outboardMagic)+8 {
			rest := b[len(outboardMagic)+8:]
			size = int64(len(rest) / sha256.Size * LeafSize)
		}
		for _, size := range []int64{size, size - 1} {
			if size < 0 || numLeaves(size)*sha256.Size != int64(len(b)-len(outboardMagic)-8) {
				continue
			}
			ref := newOutboard(size, b[len(outboardMagic)+8:]).Ref()
			if ob, err := ParseOutboard(b, ref); err == nil && !bytes.Equal(ob.Bytes(), b) {
				t.Fatal("an outboard has two encodings")
			}
		}
		_, _ = ParseOutboard(b, Ref{})
	})
}
