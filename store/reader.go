package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// A Reader reads a blob from its first byte to its last. It fetches ahead of
// its caller on a goroutine of its own, and checks what it fetched on all
// processors. It is not safe for concurrent use.
type Reader struct {
	ob     *Outboard         // of the blob
	read   chan *pendingLeaf // in order; closed by the goroutine when it ends
	free   chan []byte
	cancel context.CancelFunc
	buf    []byte // the buffer that rest lies in, or nil
	rest   []byte // checked bytes not handed out
	left   int64  // bytes of the blob that are not yet in rest
	err    error
}

// A pendingLeaf is a leaf that is being checked.
type pendingLeaf struct {
	done chan struct{} // closed after leaf and err are set
	leaf []byte
	err  error
}

// settled returns a leaf that needs no check any more, or why there is none.
func settled(leaf []byte, err error) *pendingLeaf {
	p := &pendingLeaf{done: make(chan struct{}), leaf: leaf, err: err}
	close(p.done)
	return p
}

// readAhead is how many leaves a Reader holds.
const readAhead = 8

var errReaderClosed = errors.New("reader of a blob is closed")

// NewReader returns a reader that works until it is closed or ctx is done.
func (b *Blob) NewReader(ctx context.Context) *Reader {
	ctx, cancel := context.WithCancel(ctx)
	r := &Reader{
		ob:     b.ob,
		read:   make(chan *pendingLeaf, readAhead+1), // every buffer and an error
		free:   make(chan []byte, readAhead),
		cancel: cancel,
		left:   b.Size(),
	}
	go func() {
		defer close(r.read)
		if b.Size() <= WholeSize {
			r.sendWhole(ctx, b)
		} else {
			r.sendLeaves(ctx, b)
		}
	}()
	return r
}

// sendWhole hands over the blob only after all of it is checked.
func (r *Reader) sendWhole(ctx context.Context, b *Blob) {
	n := numLeaves(b.Size())
	f := &fetcher{b: b, ahead: n}
	defer f.close()
	whole := make([]byte, b.Size())
	for i := range n {
		if _, err := f.leaf(ctx, i, whole[i*LeafSize:]); err != nil {
			r.read <- settled(nil, err)
			return
		}
	}
	r.read <- settled(whole, nil)
}

// sendLeaves fetches the leaves in order and has each checked beside the next.
func (r *Reader) sendLeaves(ctx context.Context, b *Blob) {
	f := &fetcher{b: b, ahead: numLeaves(b.Size()), unchecked: true}
	defer f.close()
	var checks sync.WaitGroup // at most one for each buffer
	defer checks.Wait()
	var better atomic.Int64 // the source that had a leaf right where f's was wrong
	better.Store(-1)
	for i := range numLeaves(b.Size()) {
		var buf []byte
		if i < readAhead {
			buf = make([]byte, LeafSize)
		} else {
			select {
			case buf = <-r.free:
			case <-ctx.Done():
				r.read <- settled(nil, context.Cause(ctx))
				return
			}
		}
		if source := better.Swap(-1); source >= 0 {
			f.close()
			f.source = int(source)
		}
		leaf, err := f.leaf(ctx, i, buf)
		if err != nil {
			r.read <- settled(nil, err)
			return
		}
		p := &pendingLeaf{done: make(chan struct{}), leaf: leaf}
		source := f.source
		r.read <- p
		checks.Go(func() {
			defer close(p.done)
			if b.ob.check(i, leaf) {
				return
			}
			again := &fetcher{b: b, source: (source + 1) % len(b.sources), ahead: i + 1}
			defer again.close()
			if p.leaf, p.err = again.leaf(ctx, i, buf); p.err == nil {
				better.Store(int64(again.source))
			}
		})
	}
}

// Read implements io.Reader. A damaged blob is a *CorruptError.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, which saves io.Copy a copy.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		err := r.fill()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(r.rest)
		total += int64(n)
		r.rest = r.rest[n:]
		if err != nil {
			return total, err
		}
		if len(r.rest) > 0 {
			return total, io.ErrShortWrite
		}
	}
}

// untouched reports whether all of the blob is still to be read.
func (r *Reader) untouched() bool {
	return r.left == r.ob.size && len(r.rest) == 0 && r.err == nil
}

// copyTo is Digest for an untouched Reader.
func (r *Reader) copyTo(ctx context.Context, w io.Writer) (*Outboard, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		err := r.fill()
		if err == io.EOF {
			return r.ob, nil
		}
		if err != nil {
			return nil, &readerError{err}
		}
		if _, err := w.Write(r.rest); err != nil {
			return nil, fmt.Errorf("write blob: %w", err)
		}
		r.rest = nil
	}
}

// fill makes rest non-empty or returns why it cannot.
func (r *Reader) fill() error {
	for len(r.rest) == 0 {
		if r.err != nil {
			return r.err
		}
		if r.buf != nil {
			r.free <- r.buf[:cap(r.buf)]
			r.buf = nil
		}
		res, ok := <-r.read
		switch {
		case ok:
			<-res.done
			r.buf, r.rest, r.err = res.leaf, res.leaf, res.err
			r.left -= int64(len(res.leaf))
			if r.err != nil {
				r.cancel() // what was fetched behind it is of no use
			}
		case r.left == 0:
			r.err = io.EOF
		default:
			r.err = io.ErrUnexpectedEOF
		}
	}
	return nil
}

// Close stops reading and waits for its goroutines. It does nothing the second
// time.
func (r *Reader) Close() error {
	r.cancel()
	for range r.read {
	}
	r.rest = nil
	if r.err == nil || r.err == io.EOF {
		r.err = errReaderClosed
	}
	return nil
}

// A ReaderAt reads any part of a blob. It keeps the leaves it read last. Its
// methods may be called concurrently.
type ReaderAt struct {
	ctx context.Context // io.ReaderAt has none of its own
	b   *Blob

	mu     sync.Mutex
	leaves []cachedLeaf // guarded by mu; at most cacheLeaves, latest last
}

type cachedLeaf struct {
	i    int64
	data []byte
}

// cacheLeaves is how many leaves a ReaderAt keeps, and how many it fetches in
// one request.
const cacheLeaves = 8

// NewReaderAt returns a reader that works until ctx is done or the blob is
// closed.
func (b *Blob) NewReaderAt(ctx context.Context) *ReaderAt {
	return &ReaderAt{ctx: ctx, b: b}
}

// ReadAt implements io.ReaderAt. It fetches only the leaves that p touches.
func (r *ReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read blob %s at negative offset %d", r.b.Ref(), off)
	}
	total := 0
	for total < len(p) && off < r.b.Size() {
		leaf, err := r.leaf(off/LeafSize, int64(len(p)-total))
		if err != nil {
			return total, err
		}
		n := copy(p[total:], leaf[off%LeafSize:])
		total += n
		off += int64(n)
	}
	if total < len(p) {
		return total, io.EOF
	}
	return total, nil
}

// Preload fetches the leaves that hold the n bytes from off, as many as it
// keeps, with one request to the medium instead of one for each.
func (r *ReaderAt) Preload(off, n int64) error {
	n = min(n, r.b.Size()-off)
	if off < 0 || n <= 0 {
		return nil
	}
	_, err := r.leaf(off/LeafSize, off%LeafSize+n)
	return err
}

// leaf returns leaf i. If it must be fetched, the following leaves that belong
// to the next n bytes are fetched with it, up to one that is known.
func (r *ReaderAt) leaf(i, n int64) ([]byte, error) {
	if data := r.cached(i); data != nil {
		return data, nil
	}
	end := min(i+cacheLeaves, numLeaves(r.b.Size()), i+(n+LeafSize-1)/LeafSize)
	f := &fetcher{b: r.b, ahead: i + 1}
	for f.ahead < end && r.cached(f.ahead) == nil {
		f.ahead++
	}
	defer f.close()
	var first []byte
	for k := i; k < f.ahead; k++ {
		data, err := f.leaf(r.ctx, k, make([]byte, r.b.ob.leafLen(k)))
		if err != nil {
			return nil, err
		}
		if k == i {
			first = data
		}
		r.keep(k, data)
	}
	return first, nil
}

func (r *ReaderAt) cached(i int64) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.leaves {
		if l.i == i {
			return l.data
		}
	}
	return nil
}

func (r *ReaderAt) keep(i int64, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.leaves) == cacheLeaves {
		r.leaves = slices.Delete(r.leaves, 0, 1)
	}
	r.leaves = append(r.leaves, cachedLeaf{i, data})
}
