package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"filippo.io/age"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/storetest"
)

const sealedChunk = chunkSize + tagSize

// largeSize is the size of a payload of three batches, the last of which is
// short, with padding of more than a chunk.
const largeSize = 2*batchSize + 5*spanSize + 12345

// ways are the ways to read a whole payload.
var ways = map[string]func(io.Reader) ([]byte, error){
	"Read": func(r io.Reader) ([]byte, error) { return io.ReadAll(r) },
	"small Reads": func(r io.Reader) ([]byte, error) {
		var to bytes.Buffer
		_, err := io.CopyBuffer(struct{ io.Writer }{&to}, struct{ io.Reader }{r}, make([]byte, 1021))
		return to.Bytes(), err
	},
	"WriteTo": func(r io.Reader) ([]byte, error) {
		var to bytes.Buffer
		_, err := r.(io.WriterTo).WriteTo(&to)
		return to.Bytes(), err
	},
	"Read and WriteTo": func(r io.Reader) ([]byte, error) {
		head := make([]byte, 100_000)
		n, err := io.ReadFull(r, head)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return head[:n], nil
		}
		to := bytes.NewBuffer(head[:n])
		if err != nil {
			return to.Bytes(), err
		}
		_, err = r.(io.WriterTo).WriteTo(to)
		return to.Bytes(), err
	},
}

// eachWay runs f for each of ways, on one processor, on two and on five.
func eachWay(t *testing.T, f func(t *testing.T, read func(io.Reader) ([]byte, error))) {
	on := []int{1, 2, 5}
	if testing.Short() {
		on = []int{3}
	}
	for name, read := range ways {
		for _, procs := range on {
			t.Run(fmt.Sprintf("%s/%d", name, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				f(t, read)
			})
		}
	}
}

func TestSpansGiveThePlaintext(t *testing.T) {
	var sizes = []int{spanSize - 1, spanSize, spanSize + 1, batchSize - chunkSize, batchSize, batchSize + 1, 2 * batchSize, largeSize}
	type sealedPayload struct {
		plain, blob []byte
		p           Payload
	}
	s := mem.New()
	var payloads []sealedPayload
	for i, n := range sizes {
		plain := storetest.Bytes(uint64(i), n)
		blob, key := sealed(t, plain)
		ref, err := s.Put(t.Context(), bytes.NewReader(blob))
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, sealedPayload{plain, blob, Payload{ref, key, int64(n)}})
	}
	eachWay(t, func(t *testing.T, read func(io.Reader) ([]byte, error)) {
		for _, p := range payloads {
			o, err := NewOpener(bytes.NewReader(p.blob), p.p.Key, p.p.Size)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := read(o); err != nil || !bytes.Equal(got, p.plain) {
				t.Fatalf("alone, %d bytes: got %d, %v", p.p.Size, len(got), err)
			}
			if n, err := o.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("after the end: %d, %v", n, err)
			}
			r, err := Open(t.Context(), s, p.p)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := read(r); err != nil || !bytes.Equal(got, p.plain) {
				t.Fatalf("from a store, %d bytes: got %d, %v", p.p.Size, len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestSpansGiveWhatIsRightAndNoMore damages one chunk of a payload of several
// batches: exactly the chunks before it leave.
func TestSpansGiveWhatIsRightAndNoMore(t *testing.T) {
	plain := storetest.Bytes(1, largeSize)
	blob, key := sealed(t, plain)
	damage := map[string]func(blob []byte, chunk int){
		"flip": func(blob []byte, chunk int) { blob[payloadStart+chunk*sealedChunk+777] ^= 1 },
		"swap": func(blob []byte, chunk int) { // with the chunk two spans ahead
			a := blob[payloadStart+chunk*sealedChunk:][:sealedChunk]
			b := blob[payloadStart+(chunk+2*spanChunks)*sealedChunk:][:sealedChunk]
			c := bytes.Clone(a)
			copy(a, b)
			copy(b, c)
		},
	}
	type damaged struct {
		name  string
		blob  []byte
		chunk int // the first that is not right
		p     Payload
	}
	s := mem.New()
	var all []damaged
	for name, damage := range damage {
		for _, chunk := range []int{2, spanChunks, 3*spanChunks + 1, batchSpans*spanChunks - 1, batchSpans*spanChunks + spanChunks} {
			bad := bytes.Clone(blob)
			damage(bad, chunk)
			ref, err := s.Put(t.Context(), bytes.NewReader(bad))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, damaged{fmt.Sprintf("%s of chunk %d", name, chunk), bad, chunk, Payload{ref, key, largeSize}})
		}
	}
	eachWay(t, func(t *testing.T, read func(io.Reader) ([]byte, error)) {
		for _, d := range all {
			check := func(where string, r io.Reader) {
				t.Helper()
				got, err := read(r)
				if !errors.Is(err, ErrOpen) || !bytes.Equal(got, plain[:d.chunk*chunkSize]) {
					t.Fatalf("%s, %s: %d bytes, %v, want %d and ErrOpen", d.name, where, len(got), err, d.chunk*chunkSize)
				}
				if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, ErrOpen) {
					t.Fatalf("after the error: %d, %v", n, err)
				}
			}
			o, err := NewOpener(bytes.NewReader(d.blob), key, largeSize)
			if err != nil {
				t.Fatal(err)
			}
			check("alone", o)
			r, err := Open(t.Context(), s, d.p)
			if err != nil {
				t.Fatal(err)
			}
			check("from a store", r)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A brokenAt fails from byte from on.
type brokenAt struct {
	*bytes.Reader
	from int64
	err  error
}

func (b brokenAt) ReadAt(p []byte, off int64) (int, error) {
	if off < payloadStart || off+int64(len(p)) <= b.from || off+int64(len(p)) == b.Size() {
		return b.Reader.ReadAt(p, off) // the last chunk is read first
	}
	n := max(0, min(int64(len(p)), b.from-off))
	m, _ := b.Reader.ReadAt(p[:n], off)
	return m, b.err
}

// A brokenSource is a medium that fails from byte from on.
type brokenSource struct {
	store.Source
	from int64
	err  error
}

func (b brokenSource) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	body, err := b.Source.ReadRange(ctx, off, n)
	if err != nil || off+n == SealedSize(largeSize) && off > b.from { // the last chunk is read first
		return body, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, max(0, b.from-off)), iotest.ErrReader(b.err)), body}, nil
}

// TestErrorsOfTheSourceAreHandedOn reads from sources that fail in the middle,
// also with the errors that could be taken for an end.
func TestErrorsOfTheSourceAreHandedOn(t *testing.T) {
	plain := storetest.Bytes(1, largeSize)
	blob, key := sealed(t, plain)
	s := mem.New()
	ref, err := s.Put(t.Context(), bytes.NewReader(blob))
	if err != nil {
		t.Fatal(err)
	}
	const chunk = 2*spanChunks + 1
	const from = payloadStart + chunk*sealedChunk + 100
	eachWay(t, func(t *testing.T, read func(io.Reader) ([]byte, error)) {
		for _, broken := range []error{errors.New("cable cut"), io.ErrUnexpectedEOF, io.ErrClosedPipe} {
			o, err := NewOpener(brokenAt{bytes.NewReader(blob), from, broken}, key, largeSize)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := read(o); err != broken || !bytes.Equal(got, plain[:chunk*chunkSize]) {
				t.Fatalf("alone: %d bytes, %v, want %d and %v", len(got), err, chunk*chunkSize, broken)
			}

			good, err := s.Open(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			blob := store.NewBlob(good.Outboard(), store.BlobOptions{Retry: store.Retry{Attempts: 1}},
				brokenSource{good.Sources()[0], from, store.Permanent(broken)})
			r := &Reader{ctx: t.Context(), blob: blob, payload: Payload{ref, key, largeSize}}
			// The leaf that fails is not there at all, and the chunk that
			// begins in the leaf before not whole.
			want := (from/store.LeafSize*store.LeafSize - payloadStart) / sealedChunk * chunkSize
			if got, err := read(r); !errors.Is(err, broken) || errors.Is(err, ErrOpen) || !bytes.Equal(got, plain[:want]) {
				t.Fatalf("from a store: %d bytes, %v, want %d and %v", len(got), err, want, broken)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A shortWriter takes n bytes and then fails, or says nothing.
type shortWriter struct {
	n   int
	err error
}

func (w *shortWriter) Write(p []byte) (int, error) {
	if len(p) <= w.n {
		w.n -= len(p)
		return len(p), nil
	}
	n := w.n
	w.n = 0
	return n, w.err
}

func TestWriterThatFailsStopsTheOpening(t *testing.T) {
	plain := storetest.Bytes(1, largeSize)
	blob, key := sealed(t, plain)
	full := errors.New("disk full")
	for _, n := range []int{0, 1, batchSize - 1, batchSize + chunkSize, largeSize - 1} {
		for give, want := range map[error]error{full: full, nil: io.ErrShortWrite} {
			o, err := NewOpener(bytes.NewReader(blob), key, largeSize)
			if err != nil {
				t.Fatal(err)
			}
			got, err := o.WriteTo(&shortWriter{n, give})
			if got != int64(n) || err != want {
				t.Fatalf("writer of %d bytes: %d, %v, want %v", n, got, err, want)
			}
			if m, err := o.Read(make([]byte, 10)); m != 0 || err != want {
				t.Fatalf("read after it: %d, %v, want %v", m, err, want)
			}
			if m, err := o.WriteTo(io.Discard); m != 0 || err != want {
				t.Fatalf("written after it: %d, %v, want %v", m, err, want)
			}
		}
	}
}

func TestLargePaddingIsChecked(t *testing.T) {
	padded := make([]byte, PaddedSize(largeSize))
	copy(padded, storetest.Bytes(1, largeSize))
	padded[len(padded)-1] = 1
	var key Key
	var blob bytes.Buffer
	w, err := age.Encrypt(&blob, recipient{&key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(padded); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := opened(blob.Bytes(), key, largeSize); !errors.Is(err, ErrOpen) {
		t.Fatalf("opened to %d bytes, %v, want ErrOpen", len(got), err)
	}
}

// TestFileIsCheckedToItsEndFirst opens files that are cut off or too long, and
// pipes, of which that shows only later.
func TestFileIsCheckedToItsEndFirst(t *testing.T) {
	plain := storetest.Bytes(1, largeSize)
	blob, key := sealed(t, plain)
	prefix := []byte("something before it")
	for name, content := range map[string][]byte{
		"whole":               blob,
		"a byte short":        blob[:len(blob)-1],
		"a byte long":         append(bytes.Clone(blob), 0),
		"cut between chunks":  blob[:payloadStart+batchSpans*spanChunks*sealedChunk],
		"cut in the header":   blob[:headerSize-1],
		"cut after the nonce": blob[:payloadStart],
		"empty":               nil,
	} {
		path := filepath.Join(t.TempDir(), "blob")
		if err := os.WriteFile(path, append(bytes.Clone(prefix), content...), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := io.ReadFull(f, make([]byte, len(prefix))); err != nil {
			t.Fatal(err)
		}
		o, err := NewOpener(f, key, largeSize)
		if name != "whole" {
			if err != ErrOpen {
				t.Errorf("file, %s: %v, want ErrOpen", name, err)
			}
		} else {
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("file, %s: %d bytes, %v", name, len(got), err)
			}
			if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("the file does not stand at its end: %d, %v", n, err)
			}
		}

		r, w, err := os.Pipe() // a file that cannot seek
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = w.Write(content) // the reader may be gone
			_ = w.Close()
		}()
		var got []byte
		if o, err = NewOpener(r, key, largeSize); err == nil {
			got, err = io.ReadAll(o)
		}
		_ = r.Close()
		<-sent
		if name == "whole" && (err != nil || !bytes.Equal(got, plain)) || name != "whole" && err != ErrOpen || !bytes.HasPrefix(plain, got) {
			t.Errorf("pipe, %s: %d bytes, %v", name, len(got), err)
		}
	}
}

// A meeting gives chunks only once two goroutines have asked for some.
type meeting struct {
	*bytes.Reader
	asked *atomic.Int32
	both  chan struct{}
}

func (m meeting) ReadAt(p []byte, off int64) (int, error) {
	if off >= payloadStart && off+int64(len(p)) < m.Size() {
		if m.asked.Add(1) == 2 {
			close(m.both)
		}
		select {
		case <-m.both:
		case <-time.After(time.Minute):
			return 0, errors.New("nobody else reads")
		}
	}
	return m.Reader.ReadAt(p, off)
}

func TestSpansAreReadAtTheSameTime(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	plain := storetest.Bytes(1, 4*spanSize)
	blob, key := sealed(t, plain)
	o, err := NewOpener(meeting{bytes.NewReader(blob), new(atomic.Int32), make(chan struct{})}, key, int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

// A countingAt counts the reads that begin at byte from or behind it.
type countingAt struct {
	brokenAt
	reads *int
}

func (c countingAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.from {
		*c.reads++
	}
	return c.brokenAt.ReadAt(p, off)
}

// TestNothingIsReadBehindAFailure lets the second span fail.
func TestNothingIsReadBehindAFailure(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	blob, key := sealed(t, storetest.Bytes(1, largeSize))
	for name, read := range ways {
		reads := 0
		src := countingAt{brokenAt{bytes.NewReader(blob), payloadStart + sealedSpan, errors.New("cable cut")}, &reads}
		o, err := NewOpener(src, key, largeSize)
		if err != nil {
			t.Fatal(err)
		}
		last := reads
		for range 3 {
			if _, err := read(o); !errors.Is(err, src.err) {
				t.Fatalf("%s: %v, want %v", name, err, src.err)
			}
		}
		if reads != last+1 {
			t.Errorf("%s: the source was read %d times from where it fails", name, reads-last)
		}
	}
}

type readerAtFunc func([]byte, int64) (int, error)

func (f readerAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

func TestShortReadIsNotTheEnd(t *testing.T) {
	s := &spans{at: readerAtFunc(func(p []byte, _ int64) (int, error) { return len(p) - 1, nil }), size: batchSize}
	o := &Opener{r: s, left: batchSize}
	if got, err := io.ReadAll(o); err != ErrOpen || len(got) != spanSize-1 {
		t.Fatalf("%d bytes, %v, want ErrOpen", len(got), err)
	}
}

// TestStageGivesEachSpanItsOwn asks for spans that lie in the stage, do not yet,
// and do no longer.
func TestStageGivesEachSpanItsOwn(t *testing.T) {
	const n = batchSpans + 2
	blob := storetest.Bytes(1, payloadStart+n*sealedSpan)
	var fetched []int64
	whole := readerAtFunc(func(p []byte, off int64) (int, error) {
		fetched = append(fetched, off)
		return copy(p, blob[off:]), nil
	})
	s := &stage{stream: bytes.NewReader(blob[payloadStart:]), whole: whole}
	for i := range int64(batchSpans + 1) {
		s.load(i*spanSize, spanSize)
	}
	for i := range int64(n) {
		off := payloadStart + i*sealedSpan
		got := make([]byte, sealedChunk)
		if m, err := s.ReadAt(got, off); m != len(got) || err != nil || !bytes.Equal(got, blob[off:off+sealedChunk]) {
			t.Errorf("span %d: %d bytes, %v", i, m, err)
		}
	}
	if want := []int64{payloadStart, payloadStart + (n-1)*sealedSpan}; !slices.Equal(fetched, want) {
		t.Errorf("read past the stage at %v, want %v", fetched, want)
	}
}

func TestSmallPayloadIsFetchedOnce(t *testing.T) {
	s := &countingStore{Store: mem.New()}
	p, err := Put(t.Context(), s, bytes.NewReader(make([]byte, store.LeafSize+1)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), s, p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.WriteTo(io.Discard); err != nil {
		t.Fatal(err)
	}
	if s.read.Load() != SealedSize(p.Size) {
		t.Errorf("read %d bytes of a blob of %d", s.read.Load(), SealedSize(p.Size))
	}
}

// TestWriteToEndsWhenTheContextDoes cancels an opening whose writer is slow.
func TestWriteToEndsWhenTheContextDoes(t *testing.T) {
	s := mem.New()
	p, err := Put(t.Context(), s, bytes.NewReader(make([]byte, 8*batchSize)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := Open(ctx, s, p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := r.WriteTo(writerFunc(func(b []byte) (int, error) {
		cancel()
		return len(b), nil
	}))
	if !errors.Is(err, context.Canceled) || n == 8*batchSize {
		t.Fatalf("%d bytes, %v, want context.Canceled", n, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestClosedReaderGivesNothing(t *testing.T) {
	s := mem.New()
	p, err := Put(t.Context(), s, bytes.NewReader(make([]byte, 2*store.WholeSize)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, before := range []int{0, 100} {
		r, err := Open(context.Background(), s, p) // so that only Close ends its goroutines
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, before)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != errClosed {
			t.Errorf("Read: %d, %v", n, err)
		}
		if n, err := r.ReadAt(make([]byte, 1), 0); n != 0 || err != errClosed {
			t.Errorf("ReadAt: %d, %v", n, err)
		}
		if n, err := r.WriteTo(io.Discard); n != 0 || err != errClosed {
			t.Errorf("WriteTo: %d, %v", n, err)
		}
	}
}
