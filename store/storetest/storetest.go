// Package storetest holds the tests that every store.Store passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/ward-health/ward/store"
)

// A Harness says how to make a back end and how to hurt it.
type Harness struct {
	// Open returns an empty store that t closes.
	Open func(t *testing.T) store.Store

	// Damage replaces what the medium returns for the blob by edit of what it
	// would return, behind the back of s, until the blob is Put again.
	Damage func(t *testing.T, s store.Store, ref store.Ref, edit func([]byte) []byte)

	// FailWrites returns a store like Open's whose medium breaks once it has
	// taken n bytes of a blob, and a function that mends it. It is nil for a
	// back end without a medium that can.
	FailWrites func(t *testing.T, n int64) (s store.Store, mend func())

	// CutReads makes the medium of s break off each of the next times reads of
	// a blob after n bytes. It is nil for a back end that has no connection.
	CutReads func(t *testing.T, s store.Store, n int64, times int)
}

// Test runs the contract against the back end of h, each part on a new store.
func Test(t *testing.T, h Harness) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"RoundTrip", testRoundTrip},
		{"Ranges", testRanges},
		{"PutTwice", testPutTwice},
		{"List", testList},
		{"Missing", testMissing},
		{"Delete", testDelete},
		{"ReaderFailsHalfWay", testReaderFails},
		{"WriterFailsAtByteN", testWriterFails},
		{"CancelledContext", testCancelled},
		{"ConcurrentPutOfSameContent", testConcurrentPut},
		{"DamagedBlob", testDamaged},
		{"PutMendsDamage", testMend},
		{"ServerGoneMidStream", testCutReads},
		{"OpenBlobOutlivesClose", testCloseTwice},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, h) })
	}
}

// Bytes returns n bytes that depend on seed and look random.
func Bytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 's', 't'}).Read(b)
	return b
}

// large is the size of a blob that no back end treats as a small one.
const large = store.WholeSize + 6*store.LeafSize

// sizes has every kind of tree: one leaf, two, some, and more than is checked
// as a whole.
func sizes(t *testing.T) []int {
	s := []int{0, 1, store.LeafSize - 1, store.LeafSize, store.LeafSize + 1, 3*store.LeafSize + 5}
	if !testing.Short() {
		s = append(s, store.WholeSize+3*store.LeafSize+7)
	}
	return s
}

func refOf(t *testing.T, data []byte) store.Ref {
	t.Helper()
	ob, err := store.Digest(t.Context(), nil, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return ob.Ref()
}

func put(t *testing.T, s store.Store, data []byte) store.Ref {
	t.Helper()
	// In pieces that fit nothing, as a network gives them.
	ref, err := s.Put(t.Context(), iotest.HalfReader(bytes.NewReader(data)))
	if err != nil {
		t.Fatalf("Put of %d bytes: %v", len(data), err)
	}
	if want := refOf(t, data); ref != want {
		t.Fatalf("Put of %d bytes gave %s, want %s", len(data), ref, want)
	}
	return ref
}

// read returns what leaves s for ref, and the error that ends it.
func read(t *testing.T, s store.Store, ref store.Ref) ([]byte, error) {
	t.Helper()
	b, err := s.Open(t.Context(), ref)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r := b.NewReader(t.Context())
	defer r.Close()
	return io.ReadAll(r)
}

func checkBlob(t *testing.T, s store.Store, ref store.Ref, want []byte) {
	t.Helper()
	got, err := read(t, s, ref)
	if err != nil {
		t.Fatalf("read of %d bytes: %v", len(want), err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("read of %d bytes: got %d other bytes", len(want), len(got))
	}
}

func list(t *testing.T, s store.Store) map[store.Ref]store.Info {
	t.Helper()
	all := make(map[store.Ref]store.Info)
	for info, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if _, twice := all[info.Ref]; twice {
			t.Fatalf("List yields %s twice", info.Ref)
		}
		all[info.Ref] = info
	}
	return all
}

func checkEmpty(t *testing.T, s store.Store) {
	t.Helper()
	if all := list(t, s); len(all) != 0 {
		t.Fatalf("store holds %d blobs, want none: %v", len(all), all)
	}
}

func testRoundTrip(t *testing.T, h Harness) {
	s := h.Open(t)
	for i, n := range sizes(t) {
		data := Bytes(uint64(i), n)
		ref := put(t, s, data)
		checkBlob(t, s, ref, data)
		info, err := s.Stat(t.Context(), ref)
		if err != nil {
			t.Fatalf("Stat: %v", err)
		}
		if info.Ref != ref || info.Size != int64(n) || info.Time.IsZero() {
			t.Fatalf("Stat of %d bytes = %+v", n, info)
		}
		if err := store.Verify(t.Context(), s, ref); err != nil {
			t.Fatalf("Verify: %v", err)
		}
	}
}

func testRanges(t *testing.T, h Harness) {
	s := h.Open(t)
	for i, n := range sizes(t) {
		data := Bytes(uint64(i), n)
		b, err := s.Open(t.Context(), put(t, s, data))
		if err != nil {
			t.Fatal(err)
		}
		r := b.NewReaderAt(t.Context())
		want := bytes.NewReader(data)
		for _, off := range []int{0, 1, n / 2, n - 1, n, n + 1, store.LeafSize - 1, store.LeafSize} {
			for _, size := range []int{0, 1, 1000, store.LeafSize + 1, n} {
				if off < 0 {
					continue
				}
				got, exp := make([]byte, size), make([]byte, size)
				gotN, gotErr := r.ReadAt(got, int64(off))
				expN, expErr := want.ReadAt(exp, int64(off))
				if size == 0 {
					expErr = gotErr // both choices are in use
				}
				if gotN != expN || !errors.Is(gotErr, expErr) || !bytes.Equal(got[:gotN], exp[:expN]) {
					t.Fatalf("ReadAt of %d bytes at %d of %d = %d, %v, want %d, %v", size, off, n, gotN, gotErr, expN, expErr)
				}
			}
		}
		if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
			t.Fatal("ReadAt at a negative offset succeeded")
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func testPutTwice(t *testing.T, h Harness) {
	s := h.Open(t)
	data := Bytes(1, 2*store.LeafSize)
	first := put(t, s, data)
	if second := put(t, s, data); second != first {
		t.Fatalf("second Put gave %s, first %s", second, first)
	}
	if n := len(list(t, s)); n != 1 {
		t.Fatalf("store holds %d blobs, want 1", n)
	}
	checkBlob(t, s, first, data)
}

func testList(t *testing.T, h Harness) {
	s := h.Open(t)
	checkEmpty(t, s)
	want := make(map[store.Ref]int64)
	for i := range 20 {
		data := Bytes(uint64(i), i*30_000)
		want[put(t, s, data)] = int64(len(data))
	}
	got := list(t, s)
	if len(got) != len(want) {
		t.Fatalf("List yields %d blobs, want %d", len(got), len(want))
	}
	for ref, size := range want {
		if info := got[ref]; info.Size != size || info.Time.IsZero() {
			t.Fatalf("List says %+v, want size %d", info, size)
		}
	}
	for range s.List(t.Context()) {
		break // a caller may stop early
	}
}

func testMissing(t *testing.T, h Harness) {
	s := h.Open(t)
	for i, n := range []int{10, 2 * store.LeafSize} {
		ref := refOf(t, Bytes(uint64(i)+100, n))
		if _, err := s.Open(t.Context(), ref); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Open: %v, want ErrNotFound", err)
		}
		if _, err := s.Stat(t.Context(), ref); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Stat: %v, want ErrNotFound", err)
		}
		if has, err := store.Has(t.Context(), s, ref); has || err != nil {
			t.Fatalf("Has = %v, %v, want false", has, err)
		}
		if err := s.Delete(t.Context(), ref); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
}

func testDelete(t *testing.T, h Harness) {
	s := h.Open(t)
	for i, n := range []int{10, 3 * store.LeafSize} {
		keep := put(t, s, Bytes(uint64(i)+7, n))
		ref := put(t, s, Bytes(uint64(i), n))
		for range 2 {
			if err := s.Delete(t.Context(), ref); err != nil {
				t.Fatalf("Delete: %v", err)
			}
			if _, err := s.Open(t.Context(), ref); !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("Open after Delete: %v, want ErrNotFound", err)
			}
			if _, ok := list(t, s)[ref]; ok {
				t.Fatal("List yields a deleted blob")
			}
		}
		checkBlob(t, s, keep, Bytes(uint64(i)+7, n))
		put(t, s, Bytes(uint64(i), n))
		checkBlob(t, s, ref, Bytes(uint64(i), n))
	}
}

func testReaderFails(t *testing.T, h Harness) {
	s := h.Open(t)
	broken := errors.New("source went away")
	data := Bytes(1, large)
	for _, n := range []int{0, 1, store.LeafSize, store.LeafSize + 1, 2*store.LeafSize + 100, large} {
		for _, cause := range []error{broken, io.ErrUnexpectedEOF} {
			r := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(cause))
			_, err := s.Put(t.Context(), r)
			if !errors.Is(err, cause) || !errors.Is(err, store.ErrReader) {
				t.Fatalf("source fails at byte %d: %v, want %v and ErrReader", n, err, cause)
			}
			checkEmpty(t, s)
			if has, err := store.Has(t.Context(), s, refOf(t, data[:n])); has || err != nil {
				t.Fatalf("source fails at byte %d: its first bytes are stored (%v, %v)", n, has, err)
			}
		}
	}
}

func testWriterFails(t *testing.T, h Harness) {
	if h.FailWrites == nil {
		t.Skip("this back end has no medium that can fail")
	}
	data := Bytes(1, large)
	for _, n := range []int64{0, 1, store.LeafSize, 2*store.LeafSize + 100, store.WholeSize + 1, large - 1} {
		s, mend := h.FailWrites(t, n)
		if _, err := s.Put(t.Context(), bytes.NewReader(data)); err == nil {
			t.Fatalf("medium fails at byte %d: Put succeeded", n)
		} else if errors.Is(err, store.ErrReader) {
			t.Fatalf("medium fails at byte %d: Put blames its source: %v", n, err)
		}
		mend()
		checkEmpty(t, s)
		checkBlob(t, s, put(t, s, data), data)
	}
}

func testCancelled(t *testing.T, h Harness) {
	s := h.Open(t)
	data := Bytes(1, 4*store.LeafSize)
	ref := put(t, s, data)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := Bytes(2, 3*store.LeafSize)
	if _, err := s.Put(ctx, bytes.NewReader(other)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Put: %v, want context.Canceled", err)
	}
	if _, err := s.Open(ctx, ref); !errors.Is(err, context.Canceled) {
		t.Fatalf("Open: %v, want context.Canceled", err)
	}
	if _, err := s.Stat(ctx, ref); !errors.Is(err, context.Canceled) {
		t.Fatalf("Stat: %v, want context.Canceled", err)
	}
	if err := s.Delete(ctx, ref); !errors.Is(err, context.Canceled) {
		t.Fatalf("Delete: %v, want context.Canceled", err)
	}

	// Half way.
	ctx, cancel = context.WithCancel(t.Context())
	r := io.MultiReader(bytes.NewReader(other[:2*store.LeafSize]), readerFunc(func(p []byte) (int, error) {
		cancel()
		return copy(p, other[2*store.LeafSize:]), nil
	}))
	if _, err := s.Put(ctx, r); !errors.Is(err, context.Canceled) {
		t.Fatalf("Put cancelled half way: %v, want context.Canceled", err)
	}
	if all := list(t, s); len(all) != 1 {
		t.Fatalf("store holds %d blobs, want 1", len(all))
	}

	b, err := s.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := io.Copy(io.Discard, b.NewReader(ctx)); !errors.Is(err, context.Canceled) {
		t.Fatalf("read: %v, want context.Canceled", err)
	}
	checkBlob(t, s, ref, data)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testConcurrentPut(t *testing.T, h Harness) {
	s := h.Open(t)
	for i, n := range []int{100, 2*store.LeafSize + 1} {
		data := Bytes(uint64(i), n)
		want := refOf(t, data)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				ref, err := s.Put(t.Context(), bytes.NewReader(data))
				if err != nil || ref != want {
					t.Errorf("Put = %s, %v", ref, err)
				}
				if got, err := read(t, s, want); err != nil || !bytes.Equal(got, data) {
					t.Errorf("read while others write: %d bytes, %v", len(got), err)
				}
			})
		}
		wg.Wait()
		checkBlob(t, s, want, data)
	}
	if n := len(list(t, s)); n != 2 {
		t.Fatalf("store holds %d blobs, want 2", n)
	}
}

// damages are the ways in which a medium can be wrong about a blob. Each keeps
// the bytes before position at of the blob right.
func damages(other []byte) []struct {
	name string
	edit func([]byte) []byte
} {
	flip := func(at func(n int) int) func([]byte) []byte {
		return func(b []byte) []byte {
			b = bytes.Clone(b)
			b[at(len(b))] ^= 0x20
			return b
		}
	}
	return []struct {
		name string
		edit func([]byte) []byte
	}{
		{"first bit flipped", flip(func(int) int { return 0 })},
		{"bit flipped in the middle", flip(func(n int) int { return n / 2 })},
		{"last bit flipped", flip(func(n int) int { return n - 1 })},
		{"truncated to nothing", func(b []byte) []byte { return nil }},
		{"truncated to half", func(b []byte) []byte { return b[:len(b)/2] }},
		{"truncated by one byte", func(b []byte) []byte { return b[:len(b)-1] }},
		{"truncated to whole leaves", func(b []byte) []byte { return b[:(len(b)-1)/store.LeafSize*store.LeafSize] }},
		{"a byte appended", func(b []byte) []byte { return append(bytes.Clone(b), 0) }},
		{"swapped for another of the same size", func(b []byte) []byte { return other[:len(b)] }},
		{"swapped for another of another size", func(b []byte) []byte { return other[:len(b)+1] }},
		{"leaves in another order", func(b []byte) []byte {
			if len(b) < 2*store.LeafSize {
				return other[:len(b)]
			}
			swapped := append(bytes.Clone(b[store.LeafSize:2*store.LeafSize]), b[:store.LeafSize]...)
			return append(swapped, b[2*store.LeafSize:]...)
		}},
	}
}

func testDamaged(t *testing.T, h Harness) {
	for i, n := range sizes(t) {
		if n == 0 {
			continue
		}
		other := Bytes(99, n+1)
		for _, d := range damages(other) {
			s := h.Open(t)
			data := Bytes(uint64(i), n)
			ref := put(t, s, data)
			h.Damage(t, s, ref, d.edit)
			damaged := d.edit(data)

			got, err := read(t, s, ref)
			if err == nil {
				t.Fatalf("%d bytes, %s: read without an error", n, d.name)
			}
			if len(got) > 0 {
				// Only of a blob too large to be checked as a whole may
				// anything leave, and only what is right.
				right := 0
				for right < len(damaged) && right < n && damaged[right] == data[right] {
					right++
				}
				if n <= store.WholeSize || len(damaged) != n || len(got) > right || !bytes.Equal(got, data[:len(got)]) {
					t.Fatalf("%d bytes, %s: %d bytes left before the error", n, d.name, len(got))
				}
			}
			if err := store.Verify(t.Context(), s, ref); err == nil {
				t.Fatalf("%d bytes, %s: Verify found nothing", n, d.name)
			}
			checkRangesOfDamaged(t, s, ref, data)
		}
	}
}

// checkRangesOfDamaged reads the blob range by range: each is right or fails.
func checkRangesOfDamaged(t *testing.T, s store.Store, ref store.Ref, data []byte) {
	t.Helper()
	b, err := s.Open(t.Context(), ref)
	if err != nil {
		return
	}
	defer b.Close()
	r := b.NewReaderAt(t.Context())
	failed := false
	for off := 0; off < len(data); off += store.LeafSize {
		got := make([]byte, min(store.LeafSize, len(data)-off))
		n, err := r.ReadAt(got, int64(off))
		failed = failed || err != nil
		if !bytes.Equal(got[:n], data[off:off+n]) {
			t.Fatal("a range with wrong bytes left")
		}
	}
	if !failed {
		t.Fatal("all ranges of a damaged blob were read without an error")
	}
}

func testMend(t *testing.T, h Harness) {
	s := h.Open(t)
	for i, n := range []int{1000, 2*store.LeafSize + 1} {
		data := Bytes(uint64(i), n)
		ref := put(t, s, data)
		h.Damage(t, s, ref, func(b []byte) []byte { return b[:len(b)/2] })
		if err := store.Verify(t.Context(), s, ref); err == nil {
			t.Fatal("Verify found nothing")
		}
		put(t, s, data)
		checkBlob(t, s, ref, data)
	}
}

func testCutReads(t *testing.T, h Harness) {
	if h.CutReads == nil {
		t.Skip("this back end has no connection")
	}
	data := Bytes(1, store.WholeSize+5*store.LeafSize)
	for _, n := range []int64{0, 1, store.LeafSize, store.WholeSize + store.LeafSize + 1} {
		s := h.Open(t)
		ref := put(t, s, data)
		h.CutReads(t, s, n, 2)
		checkBlob(t, s, ref, data) // goes on where it stopped

		h.CutReads(t, s, n, 1<<30)
		got, err := read(t, s, ref)
		if err == nil && n < store.LeafSize { // it gets nowhere
			t.Fatalf("every read is cut after %d bytes: no error", n)
		}
		if !bytes.Equal(got, data[:len(got)]) {
			t.Fatalf("every read is cut after %d bytes: wrong bytes left", n)
		}
		h.CutReads(t, s, 0, 0)
	}
}

func testCloseTwice(t *testing.T, h Harness) {
	s := h.Open(t)
	data := Bytes(1, 2*store.LeafSize)
	ref := put(t, s, data)
	b, err := s.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	r := b.NewReader(t.Context())
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("read after the store was closed: %d bytes, %v", len(got), err)
	}
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
}
