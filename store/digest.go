package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// Digest reads r to its end, writes what it reads to w unless w is nil, and
// returns the Outboard of those bytes. It hashes on up to four processors while
// it reads and writes, in constant memory except for 32 bytes per leaf. It
// stops at the first error of r, of w or of ctx, which it looks at between
// leaves; the error wraps the one of r or w. A Reader of which nothing was read
// has the digests already, and checks every leaf against them: they are not
// computed a second time.
func Digest(ctx context.Context, w io.Writer, r io.Reader) (*Outboard, error) {
	if w == nil {
		w = io.Discard
	}
	if checked, ok := r.(*Reader); ok && checked.untouched() {
		return checked.copyTo(ctx, w)
	}
	first := make([]byte, LeafSize)
	n, last, err := readLeaf(ctx, r, first)
	if err != nil {
		return nil, err
	}
	if last {
		if _, err := w.Write(first[:n]); err != nil {
			return nil, fmt.Errorf("write blob: %w", err)
		}
		sum := sha256.Sum256(first[:n])
		return newOutboard(int64(n), sum[:]), nil
	}
	d := newDigester(min(runtime.GOMAXPROCS(0), maxWorkers))
	size, err := d.run(ctx, w, r, first)
	leaves := d.finish()
	if err != nil {
		return nil, err
	}
	return newOutboard(size, leaves), nil
}

// readLeaf fills buf from r. last is true if r ended: then n may be short, and
// zero. Unlike io.ReadFull it tells a source that ended from one that was cut
// off and says so with io.ErrUnexpectedEOF.
func readLeaf(ctx context.Context, r io.Reader, buf []byte) (n int, last bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return 0, false, err
	}
	for empty := 0; n < len(buf); {
		m, err := r.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return 0, false, &readerError{err}
		}
		if empty++; m > 0 {
			empty = 0
		} else if empty == maxEmptyReads {
			return 0, false, &readerError{io.ErrNoProgress}
		}
	}
	return n, false, nil
}

// A readerError is the failure of the source of a blob. It matches ErrReader.
type readerError struct{ err error }

func (e *readerError) Error() string        { return "read source of blob: " + e.err.Error() }
func (e *readerError) Unwrap() error        { return e.err }
func (e *readerError) Is(target error) bool { return target == ErrReader }

// maxEmptyReads is how often in a row a reader may return nothing.
const maxEmptyReads = 100

// maxWorkers is how many goroutines hash one blob. No source needs more: one core
// encrypts at most about twice as fast as another hashes.
const maxWorkers = 4

// A digester hashes leaves on several goroutines.
type digester struct {
	free chan []byte // buffers of LeafSize bytes
	jobs chan leafJob
	done sync.WaitGroup
	sums []*[sumsPerBlock][sha256.Size]byte // the workers fill what a job points to
	n    int64                              // leaves handed out
}

type leafJob struct {
	leaf []byte
	sum  *[sha256.Size]byte
}

const sumsPerBlock = 1024

func newDigester(workers int) *digester {
	buffers := workers + 3
	d := &digester{
		free: make(chan []byte, buffers),
		jobs: make(chan leafJob, buffers),
	}
	for range buffers - 1 { // the caller brings the last one
		d.free <- make([]byte, LeafSize)
	}
	for range workers {
		d.done.Go(func() {
			for j := range d.jobs {
				*j.sum = sha256.Sum256(j.leaf)
				d.free <- j.leaf[:LeafSize]
			}
		})
	}
	return d
}

// run copies r to w, beginning with the full leaf in buf, and returns how many
// bytes there were.
func (d *digester) run(ctx context.Context, w io.Writer, r io.Reader, buf []byte) (int64, error) {
	var size int64
	n, last := len(buf), false
	for {
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return 0, fmt.Errorf("write blob: %w", err)
			}
			d.hash(buf[:n])
			size += int64(n)
		}
		if last {
			return size, nil
		}
		if size > (maxOutboard-1)*LeafSize {
			return 0, &readerError{fmt.Errorf("more than %d bytes", int64(maxOutboard)*LeafSize)}
		}
		buf = <-d.free
		var err error
		if n, last, err = readLeaf(ctx, r, buf); err != nil {
			return 0, err
		}
	}
}

func (d *digester) hash(leaf []byte) {
	i := d.n % sumsPerBlock
	if i == 0 {
		d.sums = append(d.sums, new([sumsPerBlock][sha256.Size]byte))
	}
	d.n++
	d.jobs <- leafJob{leaf, &d.sums[len(d.sums)-1][i]}
}

// finish waits for the workers and returns the digests of all leaves.
func (d *digester) finish() []byte {
	close(d.jobs)
	d.done.Wait()
	leaves := make([]byte, 0, d.n*sha256.Size)
	for i := range d.n {
		leaves = append(leaves, d.sums[i/sumsPerBlock][i%sumsPerBlock][:]...)
	}
	return leaves
}
