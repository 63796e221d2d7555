package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// WholeSize is the size in bytes up to which a blob is checked as a whole
// before its first byte leaves a reader.
const WholeSize = 4 << 20

// A Source gives the bytes of one blob as a medium holds them, unchecked. A
// back end implements it; only Blob uses it. It is safe for concurrent use.
type Source interface {
	// ReadRange returns the n bytes from off, with 0 <= off and off+n at most
	// the size of the blob. The reader may end early or run over; a Blob takes
	// neither for the truth. It must fail soon after ctx is done.
	ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error)
	Close() error
}

// BlobOptions say how a Blob deals with a medium that fails.
type BlobOptions struct {
	// Retry applies to each leaf anew: a reader that advances starts over.
	Retry Retry
	// Stall is how long a medium may take over one leaf before the read counts
	// as failed; default one minute.
	Stall time.Duration
}

// A Blob is one blob open for reading, from one medium or from several that
// hold the same. Everything it hands out has been checked against its Ref. Its
// methods may be called concurrently.
type Blob struct {
	ob      *Outboard
	sources []Source
	opts    BlobOptions
}

// NewBlob returns the blob that ob describes, read from sources in order of
// preference, of which there must be at least one. The blob closes them.
func NewBlob(ob *Outboard, opts BlobOptions, sources ...Source) *Blob {
	if opts.Stall <= 0 {
		opts.Stall = time.Minute
	}
	return &Blob{ob: ob, sources: sources, opts: opts}
}

// OpenBlob returns the blob that ref names from a medium that says it has size
// bytes, with the outboard that was stored beside it, if any. An outboard that
// is missing or wrong is computed again from the blob. OpenBlob closes src on
// error.
func OpenBlob(ctx context.Context, ref Ref, size int64, outboard []byte, src Source, opts BlobOptions) (*Blob, error) {
	ob, err := checkedOutboard(ctx, ref, size, outboard, src, opts)
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return NewBlob(ob, opts, src), nil
}

func checkedOutboard(ctx context.Context, ref Ref, size int64, outboard []byte, src Source, opts BlobOptions) (*Outboard, error) {
	if ref.codec == codecRaw {
		return FetchOutboard(ctx, ref, size, nil)
	}
	ob, err := ParseOutboard(outboard, ref)
	if err != nil {
		err = opts.Retry.Do(ctx, func() error {
			body, err := src.ReadRange(ctx, 0, size)
			if err != nil {
				return err
			}
			defer body.Close()
			ob, err = Digest(ctx, nil, body)
			var failed *readerError
			if errors.As(err, &failed) {
				// Here the reader is the medium, and may get better.
				return fmt.Errorf("rebuild the hash tree of %s: %w", ref, failed.err)
			}
			return err
		})
	}
	switch {
	case err != nil:
		return nil, err
	case ob.ref != ref:
		return nil, &CorruptError{Ref: ref, Reason: "its content is another blob"}
	case ob.size != size:
		return nil, &CorruptError{Ref: ref, Reason: fmt.Sprintf("it has %d bytes instead of %d", size, ob.size)}
	}
	return ob, nil
}

// Ref returns the name of the blob.
func (b *Blob) Ref() Ref { return b.ob.ref }

// Size returns the size of the blob in bytes.
func (b *Blob) Size() int64 { return b.ob.size }

// Outboard returns the hash tree of the blob.
func (b *Blob) Outboard() *Outboard { return b.ob }

// Sources returns what the blob is read from, unchecked, for stores that are
// made of other stores.
func (b *Blob) Sources() []Source { return b.sources }

// Close closes the sources. Readers of the blob must be closed before.
func (b *Blob) Close() error {
	var errs []error
	for _, s := range b.sources {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// A fetcher reads the leaves of a blob one after the other, mostly in order. It
// keeps the medium's stream open between them, goes on where it stopped when
// the stream fails, and turns to the next medium when one has nothing better.
type fetcher struct {
	b      *Blob
	source int           // index into b.sources
	body   io.ReadCloser // open stream, or nil
	cancel context.CancelCauseFunc
	next   int64 // leaf at which body stands
	ahead  int64 // leaf at which a stream that is opened ends
}

var errStalled = errors.New("the medium sends nothing")

// leaf reads leaf i into buf, of at least its length, and returns it checked.
func (f *fetcher) leaf(ctx context.Context, i int64, buf []byte) ([]byte, error) {
	p := buf[:f.b.ob.leafLen(i)]
	if len(p) == 0 && f.b.ob.check(i, p) { // the only leaf of an empty blob
		return p, nil
	}
	err := f.b.opts.Retry.Do(ctx, func() error {
		// Each attempt asks every medium once. It is worth another if one of
		// them failed in a way that may pass.
		var errs []error
		passing := false
		for range f.b.sources {
			err := f.try(ctx, i, p)
			if err == nil {
				return nil
			}
			f.close()
			f.source = (f.source + 1) % len(f.b.sources)
			errs = append(errs, err)
			passing = passing || !isPermanent(err)
			if ctx.Err() != nil {
				return Permanent(context.Cause(ctx))
			}
		}
		err := errs[0]
		if len(errs) > 1 {
			err = errors.Join(errs...)
		}
		if passing {
			return &passingError{err}
		}
		return err
	})
	if err != nil {
		f.close()
		return nil, fmt.Errorf("read blob %s at byte %d: %w", f.b.ob.ref, i*LeafSize, err)
	}
	return p, nil
}

// try reads and checks leaf i from the current source.
func (f *fetcher) try(ctx context.Context, i int64, p []byte) error {
	if f.body == nil || f.next != i {
		f.close()
		if err := f.open(ctx, i); err != nil {
			return err
		}
	}
	cancel := f.cancel
	stall := time.AfterFunc(f.b.opts.Stall, func() { cancel(errStalled) })
	n, err := io.ReadFull(f.body, p)
	switch {
	case !stall.Stop():
		return f.b.stalled()
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return fmt.Errorf("the medium sends %d bytes of %d: %w", n, len(p), io.ErrUnexpectedEOF)
	case err != nil:
		return err
	case !f.b.ob.check(i, p):
		return &CorruptError{Ref: f.b.ob.ref, Offset: i * LeafSize, Reason: "the content does not match its name"}
	}
	if f.next = i + 1; f.next >= f.ahead {
		f.close()
	}
	return nil
}

func (f *fetcher) open(ctx context.Context, i int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	stall := time.AfterFunc(f.b.opts.Stall, func() { cancel(errStalled) })
	off := i * LeafSize
	end := min(f.ahead*LeafSize, f.b.ob.size)
	body, err := f.b.sources[f.source].ReadRange(ctx, off, end-off)
	if !stall.Stop() {
		if err == nil {
			_ = body.Close()
		}
		return f.b.stalled()
	}
	if err != nil {
		cancel(nil)
		return err
	}
	f.body, f.cancel, f.next = body, cancel, i
	return nil
}

func (b *Blob) stalled() error {
	return fmt.Errorf("%w for %v", errStalled, b.opts.Stall)
}

func (f *fetcher) close() {
	if f.body == nil {
		return
	}
	// The stream was read only, and what was read of it is checked: an error
	// from closing it says nothing about the data.
	_ = f.body.Close()
	f.cancel(nil)
	f.body = nil
}
