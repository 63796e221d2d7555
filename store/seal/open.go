package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

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

var errClosed = errors.New("reader of a payload is closed")

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
	if err := r.openStream(); err != nil {
		return 0, err
	}
	return r.plain.Read(b)
}

// WriteTo implements io.WriterTo: it writes to w all that Read would give. It
// saves io.Copy a copy, and decrypts while w writes.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if err := r.openStream(); err != nil {
		return 0, err
	}
	return r.plain.WriteTo(w)
}

// openStream begins to read the blob from the start, the first time it is
// called.
func (r *Reader) openStream() error {
	if r.blob == nil {
		return errClosed
	}
	if r.plain == nil && r.err == nil {
		r.plain, r.err = r.newOpener()
	}
	return r.err
}

func (r *Reader) newOpener() (*Opener, error) {
	r.stream = r.blob.NewReader(r.ctx)
	if r.blob.Size() <= store.WholeSize {
		sealed := make([]byte, r.blob.Size())
		if _, err := io.ReadFull(r.stream, sealed); err != nil {
			return nil, err
		}
		return newOpener(bytes.NewReader(sealed), r.blob.Size(), nil, r.payload.Key, r.payload.Size)
	}
	if _, err := io.ReadFull(r.stream, make([]byte, payloadStart)); err != nil {
		return nil, err
	}
	s := &stage{stream: r.stream, whole: r.blob.NewReaderAt(r.ctx)}
	return newOpener(s, r.blob.Size(), s, r.payload.Key, r.payload.Size)
}

// ReadAt implements io.ReaderAt. It fetches only the parts of the blob that
// hold what is asked for, and once the header and the last chunk.
func (r *Reader) ReadAt(b []byte, off int64) (int, error) {
	if r.blob == nil {
		return 0, errClosed
	}
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
	if err := r.leaves.Preload(payloadStart+first*sealedChunk, (last-first+1)*sealedChunk); err != nil {
		return 0, err
	}
	n, err := r.at.ReadAt(b, off)
	if err == io.EOF && n == len(b) {
		err = nil
	}
	return n, explain(err)
}

func (r *Reader) openAt() {
	r.leaves = r.blob.NewReaderAt(r.ctx)
	r.at, r.atErr = decryptAt(r.leaves, r.blob.Size(), r.payload.Key, r.payload.Size)
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
