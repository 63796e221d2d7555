package seal

import (
	"bytes"
	"errors"
	"io"

	"filippo.io/age"
)

// An Opener reads a sealed payload and is read as its plaintext, without the
// padding. It is not safe for concurrent use. There is nothing to close: what it
// starts ends before its methods return.
type Opener struct {
	r    io.Reader // plaintext and padding
	left int64     // bytes of plaintext not yet read
	zero int64     // bytes of padding not yet read
	err  error     // why nothing more is read; io.EOF after the padding
}

// A file is what NewOpener can read in parts.
type file interface {
	io.ReaderAt
	io.Seeker
}

// NewOpener returns an Opener over src, which must be at the start of the
// sealed payload and end with it. It reads and checks the header. Errors of src
// are handed on; anything wrong with the payload is ErrOpen.
//
// If src is an io.ReaderAt and an io.Seeker that can seek, as an *os.File is, it
// is read with ReadAt on up to four goroutines, which decrypt what they read. Its
// size and last chunk are checked first, and it is left standing at its end.
// Any other src is read as it comes, at about half the speed of one processor's
// ChaCha20-Poly1305, and one that was cut off shows only at its end.
func NewOpener(src io.Reader, key Key, size int64) (*Opener, error) {
	if size < 0 || size > MaxSize {
		return nil, ErrOpen
	}
	if f, ok := src.(file); ok {
		begin, err := f.Seek(0, io.SeekCurrent)
		if err == nil {
			end, err := f.Seek(0, io.SeekEnd)
			if err != nil {
				return nil, err
			}
			section := io.NewSectionReader(f, begin, end-begin)
			return newOpener(section, section.Size(), nil, key, size)
		}
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

// newOpener returns an Opener over the sealed payload in src, which has sealed
// bytes and is read in the order of s, if that is not nil.
func newOpener(src io.ReaderAt, sealed int64, s *stage, key Key, size int64) (*Opener, error) {
	at, err := decryptAt(src, sealed, key, size)
	if err != nil {
		return nil, err
	}
	padded := PaddedSize(size)
	return &Opener{
		r:    &spans{at: at, stage: s, size: padded},
		left: size,
		zero: padded - size,
	}, nil
}

// decryptAt returns the plaintext of size bytes, with its padding, of the sealed
// payload in src, after it has checked that this has the right size, the header
// and the last chunk.
func decryptAt(src io.ReaderAt, sealed int64, key Key, size int64) (io.ReaderAt, error) {
	src = markedAt{src}
	header := make([]byte, headerSize)
	if n, err := src.ReadAt(header, 0); n < len(header) {
		return nil, explain(err)
	}
	if sealed != SealedSize(size) || !checkHeader(header) {
		return nil, ErrOpen
	}
	at, _, err := age.DecryptReaderAt(src, sealed, unwrapper{key})
	return at, explain(err)
}

// Read implements io.Reader. io.EOF means that the whole payload was read and
// checked, its padding included.
func (o *Opener) Read(b []byte) (int, error) {
	if o.err != nil || len(b) == 0 {
		return 0, o.err
	}
	if o.left == 0 {
		o.err = o.readPadding()
		return 0, o.err
	}
	n, err := o.r.Read(b[:min(int64(len(b)), o.left)])
	o.left -= int64(n)
	o.err = explain(err) // io.EOF is too early here, and ErrOpen
	return n, o.err
}

// readPadding reads the padding to its end, which is io.EOF.
func (o *Opener) readPadding() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := o.r.Read(buf)
		if !o.isPadding(buf[:n]) {
			return ErrOpen
		}
		switch {
		case err == io.EOF && o.zero == 0:
			return io.EOF
		case err != nil:
			return explain(err)
		}
	}
}

// isPadding takes b for the next piece of the padding and reports whether it may
// be.
func (o *Opener) isPadding(b []byte) bool {
	o.zero -= int64(len(b)) // too much of it shows at the end
	return len(bytes.TrimLeft(b, "\x00")) == 0
}

// WriteTo implements io.WriterTo: it writes to w all that Read would give, and
// decrypts while w writes. After an error, of w too, nothing more is read.
func (o *Opener) WriteTo(w io.Writer) (int64, error) {
	s, ok := o.r.(*spans)
	if !ok {
		return io.Copy(w, struct{ io.Reader }{o})
	}
	if o.err == io.EOF {
		return 0, nil
	}
	if o.err != nil {
		return 0, o.err
	}
	var total int64
	err := s.each(func(b []byte) error {
		plain := b[:min(int64(len(b)), o.left)]
		n, err := write(w, plain)
		total += int64(n)
		o.left -= int64(n)
		if err == nil && !o.isPadding(b[n:]) {
			err = ErrOpen
		}
		return err
	})
	if o.err = err; err == nil {
		o.err = io.EOF
	}
	return total, err
}

// write writes all of b to w.
func write(w io.Writer, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
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
