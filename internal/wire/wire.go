// Package wire writes and reads the binary formats of the cryptographic
// packages: fixed-size fields, big-endian integers and length-prefixed byte
// strings behind a name that carries a version. Every value has exactly one
// encoding.
//
// A format begins with its name, for example "ward/capsule/v1" and a newline,
// so that a stranger with a hex dump knows what he holds and no version is
// ever guessed.
package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Errors of a [Reader].
var (
	ErrName     = errors.New("not of the expected format or version")
	ErrShort    = errors.New("input ends early")
	ErrTrailing = errors.New("bytes follow the end")
	ErrTooLong  = errors.New("length is over the limit")
)

// Writer appends fields to a buffer. Its zero value is ready to use.
type Writer struct{ buf []byte }

// NewWriter returns a writer whose output begins with the name of a format.
func NewWriter(name string) *Writer {
	return &Writer{append([]byte(name), '\n')}
}

// Raw appends b as it is. The reader must know its length.
func (w *Writer) Raw(b []byte) { w.buf = append(w.buf, b...) }

// Uint8 appends one byte.
func (w *Writer) Uint8(v uint8) { w.buf = append(w.buf, v) }

// Uint16 appends two bytes, big-endian.
func (w *Writer) Uint16(v uint16) { w.buf = binary.BigEndian.AppendUint16(w.buf, v) }

// Uint32 appends four bytes, big-endian.
func (w *Writer) Uint32(v uint32) { w.buf = binary.BigEndian.AppendUint32(w.buf, v) }

// Uint64 appends eight bytes, big-endian.
func (w *Writer) Uint64(v uint64) { w.buf = binary.BigEndian.AppendUint64(w.buf, v) }

// Bytes appends the length of b in four bytes, then b.
func (w *Writer) Bytes(b []byte) {
	w.Uint32(uint32(len(b)))
	w.buf = append(w.buf, b...)
}

// String appends s as [Writer.Bytes] does.
func (w *Writer) String(s string) {
	w.Uint32(uint32(len(s)))
	w.buf = append(w.buf, s...)
}

// Sum returns everything written so far.
func (w *Writer) Sum() []byte { return w.buf }

// Reader takes fields off a buffer. The first error sticks: later calls return
// zero values, and [Reader.Done] returns it, so that a parser checks once.
type Reader struct {
	buf []byte
	err error
}

// NewReader returns a reader of b, which must begin with the name of the
// format.
func NewReader(name string, b []byte) *Reader {
	n := len(name)
	if len(b) < n+1 || string(b[:n]) != name || b[n] != '\n' {
		return &Reader{err: ErrName}
	}
	return &Reader{buf: b[n+1:]}
}

// Raw takes n bytes. They alias the input.
func (r *Reader) Raw(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.buf) {
		r.err = ErrShort
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

// Uint8 takes one byte.
func (r *Reader) Uint8() uint8 {
	if b := r.Raw(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint16 takes two bytes, big-endian.
func (r *Reader) Uint16() uint16 {
	if b := r.Raw(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint32 takes four bytes, big-endian.
func (r *Reader) Uint32() uint32 {
	if b := r.Raw(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 takes eight bytes, big-endian.
func (r *Reader) Uint64() uint64 {
	if b := r.Raw(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Bytes takes a length of at most limit and that many bytes. They alias the
// input.
func (r *Reader) Bytes(limit int) []byte {
	n := r.Uint32()
	if r.err == nil && uint64(n) > uint64(limit) {
		r.err = ErrTooLong
	}
	return r.Raw(int(n))
}

// String takes what [Writer.String] wrote, at most limit bytes.
func (r *Reader) String(limit int) string { return string(r.Bytes(limit)) }

// Fail makes err the reader's error, unless it has one.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Err returns the first error so far.
func (r *Reader) Err() error { return r.err }

// Done returns the first error, or [ErrTrailing] if bytes are left.
func (r *Reader) Done() error {
	if r.err == nil && len(r.buf) > 0 {
		r.err = ErrTrailing
	}
	return r.err
}

// Hash returns SHA-256 over the tag and the parts, each preceded by its length
// in four bytes, so that no two lists of parts collide.
func Hash(tag string, parts ...[]byte) [sha256.Size]byte {
	var w Writer
	w.String(tag)
	for _, p := range parts {
		w.Bytes(p)
	}
	return sha256.Sum256(w.buf)
}
