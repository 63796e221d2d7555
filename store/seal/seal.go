// Package seal turns payloads into blobs and back.
//
// A sealed payload is an age v1 file (https://age-encryption.org/v1) under a
// fresh file key, which goes into the record's sealed index and nowhere else.
// The plaintext is padded with zeros to PaddedSize, so that the size of a blob
// tells little. Whoever has the file key can open the blob with any age
// program, through Key.Identity. SPEC.md in the directory above gives the
// bytes.
//
// What is checked before a byte of plaintext leaves: everything that package
// store checks of the blob; that its size is the one that belongs to the
// payload's size; the header; and the chunk of 64 KiB that holds the byte, with
// its position and, for the last chunk, that it is the last.
package seal

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/bits"

	"filippo.io/age"

	"github.com/ward-health/ward/store"
)

// ErrOpen says that a payload does not open: the key, the size or the blob is
// not the one it was sealed with. It does not say which.
var ErrOpen = errors.New("payload does not open")

// A Payload is what the sealed index keeps of a payload: enough to find and
// open it.
type Payload struct {
	Ref  store.Ref // the blob
	Key  Key       // the age file key
	Size int64     // of the plaintext in bytes, without padding
}

// Options change what Put does. The zero value means the defaults.
type Options struct {
	// Hash, if not nil, is fed the plaintext without its padding, beside the
	// encryption. Its sum belongs in the sealed index: outside, it would tell
	// which payloads are equal.
	Hash hash.Hash
	// Progress, if not nil, is called with the bytes of plaintext sealed so
	// far, from one goroutine at a time.
	Progress func(done int64)
}

// Put seals what it reads from src, to its end, into s. When it returns nil,
// the blob is durable. It streams in constant memory.
func Put(ctx context.Context, s store.Store, src io.Reader, opts Options) (Payload, error) {
	if opts.Progress != nil {
		src = store.ProgressReader(src, opts.Progress)
	}
	var h *hasher
	if opts.Hash != nil {
		h = newHasher(src, opts.Hash)
		defer h.stop()
		src = h
	}
	sealer, err := NewSealer(src)
	if err != nil {
		return Payload{}, err
	}
	ref, err := s.Put(ctx, sealer)
	if err != nil {
		return Payload{}, fmt.Errorf("seal payload: %w", err)
	}
	return Payload{Ref: ref, Key: sealer.key, Size: sealer.pad.size}, nil
}

// A Sealer reads a plaintext and is read as the sealed payload. It is not safe
// for concurrent use.
type Sealer struct {
	io.Reader
	pad *padder
	key Key
}

// NewSealer returns a Sealer over src with a fresh key.
func NewSealer(src io.Reader) (*Sealer, error) {
	s := &Sealer{pad: &padder{src: src}}
	var err error
	if s.Reader, err = age.EncryptReader(s.pad, recipient{&s.key}); err != nil {
		return nil, fmt.Errorf("seal payload: %w", err)
	}
	return s, nil
}

// Key returns the file key.
func (s *Sealer) Key() Key { return s.key }

// Size returns the bytes of plaintext read so far, without padding.
func (s *Sealer) Size() int64 { return s.pad.size }

// A padder reads src and then zeros up to the padded size.
type padder struct {
	src  io.Reader
	size int64 // bytes read from src
	zero int64 // zeros still to give; valid once done
	done bool  // src has ended
}

func (p *padder) Read(b []byte) (int, error) {
	if !p.done {
		n, err := p.src.Read(b)
		p.size += int64(n)
		if p.size > MaxSize {
			return 0, fmt.Errorf("payload of more than %d bytes", int64(MaxSize))
		}
		if err == io.EOF {
			p.done, p.zero, err = true, PaddedSize(p.size)-p.size, nil
		}
		return n, err
	}
	if p.zero == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.zero))
	clear(b[:n])
	p.zero -= int64(n)
	return n, nil
}

// The sizes of an age file with one X25519 stanza. Part of the format.
const (
	headerSize = 168
	nonceSize  = 16
	chunkSize  = 64 << 10
	tagSize    = 16
)

// MaxSize is the size in bytes of the largest payload: 8 TiB.
const MaxSize = 8 << 40

// MinPadded is the size in bytes to which the smallest payloads are padded.
const MinPadded = 1 << 10

// PaddedSize returns the size to which a plaintext of size bytes is padded. It
// is at least MinPadded and above that at most 12 % larger than size, and of
// all sizes up to n only O(log log n) bits are left to see: Padmé, from
// Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and
// Communication with PURBs", PoPETs 2019, section 4.
func PaddedSize(size int64) int64 {
	if size <= MinPadded {
		return MinPadded
	}
	e := bits.Len64(uint64(size)) - 1 // floor(log2 size)
	s := bits.Len(uint(e))            // bits that say e
	mask := int64(1)<<(e-s) - 1
	return (size + mask) &^ mask
}

// SealedSize returns the size in bytes of the blob of a payload of size bytes.
func SealedSize(size int64) int64 {
	padded := PaddedSize(size)
	return headerSize + nonceSize + padded + (padded+chunkSize-1)/chunkSize*tagSize
}
