package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"filippo.io/age"

	"github.com/ward-health/ward/store"
)

// A Reader reads the plaintext of a payload, from the start by Read and
// anywhere by ReadAt; the two do not influence each other. ReadAt may be called
// concurrently, Read not.
type Reader struct {
	ctx     context.Context // io.Reader and io.ReaderAt have none of their own
	blob    *store.Blob
	payload Payload

	stream *store.Reader // of Read; nil before the first call
	plain  *Opener
	err    error

	once   sync.Once // guards the first use of ReadAt
	at     io.ReaderAt
	atErr  error
	leaves *store.ReaderAt
}

// Open opens the payload p in s for reading until the reader is closed or ctx
// is done. A blob that is not there is an error matching store.ErrNotFound, a
// damaged one a *store.CorruptError, here or when it is read.
func Open(ctx context.Context, s store.Store, p Payload) (*Reader, error) {
	if p.Size < 0 || p.Size > MaxSize {
		return nil, ErrOpen
	}
	blob, err := s.Open(ctx, p.Ref)
	if err != nil {
		return nil, fmt.Errorf("open payload: %w", err)
	}
	if blob.Size() != SealedSize(p.Size) {
		return nil, errors.Join(ErrOpen, blob.Close())
	}
	return &Reader{ctx: ctx, blob: blob, payload: p}, nil
}

// Size returns the size of the plaintext in bytes, without padding.
func (r *Reader) Size() int64 { return r.payload.Size }

// Read implements io.Reader. io.EOF means that all of the payload was read and
// checked, its padding included.
func (r *Reader) Read(b []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.plain == nil {
		r.stream = r.blob.NewReader(r.ctx)
		if r.plain, r.err = NewOpener(r.stream, r.payload.Key, r.payload.Size); r.err != nil {
			return 0, r.err
		}
	}
	n, err := r.plain.Read(b)
	r.err = err
	return n, err
}

// ReadAt implements io.ReaderAt. It fetches only the parts of the blob that
// hold what is asked for, and once the header and the last chunk.
func (r *Reader) ReadAt(b []byte, off int64) (int, error) {
	r.once.Do(r.openAt)
	if r.atErr != nil {
		return 0, r.atErr
	}
	if off < 0 {
		return 0, fmt.Errorf("read payload at negative offset %d", off)
	}
	if off >= r.payload.Size {
		return 0, io.EOF
	}
	short := int64(len(b)) > r.payload.Size-off
	if short {
		b = b[:r.payload.Size-off]
	}
	total := 0
	for total < len(b) {
		part := b[total:min(len(b), total+readSpan)]
		n, err := r.readSpan(part, off+int64(total))
		total += n
		if err != nil {
			return total, err
		}
	}
	if short {
		return total, io.EOF
	}
	return total, nil
}

// readSpan is how much of a long range is fetched at once. It fits the leaves
// that a store.ReaderAt keeps.
const readSpan = 1 << 20

func (r *Reader) readSpan(b []byte, off int64) (int, error) {
	first, last := off/chunkSize, (off+int64(len(b))-1)/chunkSize
	const sealedChunk = chunkSize + tagSize
	if err := r.leaves.Preload(headerSize+nonceSize+first*sealedChunk, (last-first+1)*sealedChunk); err != nil {
		return 0, err
	}
	n, err := r.at.ReadAt(b, off)
	if err == io.EOF && n == len(b) {
		err = nil
	}
	return n, explain(err)
}

// openAt checks the header and the last chunk.
func (r *Reader) openAt() {
	r.leaves = r.blob.NewReaderAt(r.ctx)
	header := make([]byte, headerSize)
	if _, err := r.leaves.ReadAt(header, 0); err != nil {
		r.atErr = err
		return
	}
	if !checkHeader(header) {
		r.atErr = ErrOpen
		return
	}
	at, size, err := age.DecryptReaderAt(markedAt{r.leaves}, r.blob.Size(), unwrapper{r.payload.Key})
	if err == nil && size != PaddedSize(r.payload.Size) {
		err = ErrOpen
	}
	r.at, r.atErr = at, explain(err)
}

// An Opener reads a sealed payload and is read as its plaintext, without the
// padding. It is not safe for concurrent use.
type Opener struct {
	r    io.Reader // plaintext and padding
	left int64     // bytes of plaintext not yet read
	zero int64     // bytes of padding not yet read
}

// NewOpener returns an Opener over src, which must be at the start of the
// sealed payload and end with it. It reads and checks the header. Errors of src
// are handed on; anything wrong with the payload is ErrOpen.
func NewOpener(src io.Reader, key Key, size int64) (*Opener, error) {
	if size < 0 || size > MaxSize {
		return nil, ErrOpen
	}
	src = marked{src}
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(src, header); err != nil {
		return nil, explain(err)
	}
	if !checkHeader(header) {
		return nil, ErrOpen
	}
	r, err := age.Decrypt(io.MultiReader(bytes.NewReader(header), src), unwrapper{key})
	if err != nil {
		return nil, explain(err)
	}
	return &Opener{r: r, left: size, zero: PaddedSize(size) - size}, nil
}

// Read implements io.Reader. io.EOF means that the whole payload was read and
// checked, its padding included.
func (o *Opener) Read(b []byte) (int, error) {
	if o.left == 0 {
		return 0, o.readPadding()
	}
	n, err := o.r.Read(b[:min(int64(len(b)), o.left)])
	o.left -= int64(n)
	return n, explain(err) // io.EOF is too early here, and ErrOpen
}

// readPadding reads the padding to its end, which is io.EOF.
func (o *Opener) readPadding() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := o.r.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 {
				return ErrOpen
			}
		}
		o.zero -= int64(n)
		switch {
		case o.zero < 0 || err == io.EOF && o.zero > 0:
			return ErrOpen
		case err == io.EOF:
			return io.EOF
		case err != nil:
			return explain(err)
		}
	}
}

// A sourceError marks an error as the source's and not age's.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func mark(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &sourceError{err}
}

type marked struct{ r io.Reader }

func (m marked) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	return n, mark(err)
}

type markedAt struct{ r io.ReaderAt }

func (m markedAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.r.ReadAt(p, off)
	return n, mark(err)
}

// explain returns the source's error if err is one, and ErrOpen for everything
// else: what age says would tell a caller more than it needs.
func explain(err error) error {
	var source *sourceError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &source):
		return source.err
	}
	return ErrOpen
}

// Close stops reading. It does nothing the second time.
func (r *Reader) Close() error {
	if r.blob == nil {
		return nil
	}
	var err error
	if r.stream != nil {
		err = r.stream.Close()
	}
	err = errors.Join(err, r.blob.Close())
	r.blob = nil
	return err
}
