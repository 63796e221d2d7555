package store

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
)

// A Ref names a blob by its content: it is the CID, version 1, of the blob's
// bytes as IPFS computes it with the parameters in SPEC.md. The same bytes
// have the same Ref in every back end. Refs are comparable; the zero Ref names
// nothing.
type Ref struct {
	codec  byte
	digest [sha256.Size]byte
}

// The two kinds of block that a Ref can name, by their multicodec numbers.
const (
	codecRaw   = 0x55 // a leaf: the bytes themselves
	codecDagPB = 0x70 // a node that lists leaves or other nodes
)

// refSize is the length in bytes of a Ref's binary form.
const refSize = 4 + sha256.Size

// refText is multibase base32 without its prefix "b" (RFC 4648, lower case,
// unpadded).
var refText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// errBadRef is wrapped by every error of ParseRef.
var errBadRef = errors.New("malformed content reference")

// ParseRef parses the text form of a Ref: a CIDv1 in lower-case base32 with
// codec raw or dag-pb and a SHA-256 digest. Any other spelling of a CID,
// though IPFS may accept it, is refused.
func ParseRef(s string) (Ref, error) {
	if len(s) != 1+refText.EncodedLen(refSize) || s[0] != 'b' {
		return Ref{}, fmt.Errorf("%w: not a base32 CID of version 1 with SHA-256", errBadRef)
	}
	b, err := refText.DecodeString(s[1:])
	if err != nil {
		return Ref{}, fmt.Errorf("%w: %w", errBadRef, err)
	}
	r, err := ParseRefBytes(b)
	if err != nil {
		return Ref{}, err
	}
	// The decoder skips line breaks and ignores the unused bits of the last
	// character. One value has one spelling here.
	if r.String() != s {
		return Ref{}, fmt.Errorf("%w: not canonical", errBadRef)
	}
	return r, nil
}

// ParseRefBytes parses the binary form of a Ref, of 36 bytes.
func ParseRefBytes(b []byte) (Ref, error) {
	if len(b) != refSize {
		return Ref{}, fmt.Errorf("%w: %d bytes, want %d", errBadRef, len(b), refSize)
	}
	if b[0] != 1 || (b[1] != codecRaw && b[1] != codecDagPB) || b[2] != 0x12 || b[3] != sha256.Size {
		return Ref{}, fmt.Errorf("%w: not version 1, raw or dag-pb, SHA-256", errBadRef)
	}
	r := Ref{codec: b[1]}
	copy(r.digest[:], b[4:])
	return r, nil
}

// Bytes returns the binary form, of 36 bytes.
func (r Ref) Bytes() []byte {
	return append([]byte{1, r.codec, 0x12, sha256.Size}, r.digest[:]...)
}

// String returns the text form, which ParseRef parses and IPFS tools accept.
// The zero Ref gives "".
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	return "b" + refText.EncodeToString(r.Bytes())
}

// IsZero reports whether r names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// Shard returns the first byte of the digest, by which a back end can spread
// blobs over directories.
func (r Ref) Shard() byte { return r.digest[0] }

// MarshalText returns the text form.
func (r Ref) MarshalText() ([]byte, error) {
	if r.IsZero() {
		return nil, fmt.Errorf("%w: zero", errBadRef)
	}
	return []byte(r.String()), nil
}

// UnmarshalText is ParseRef.
func (r *Ref) UnmarshalText(b []byte) error {
	v, err := ParseRef(string(b))
	if err != nil {
		return err
	}
	*r = v
	return nil
}

func leafRef(digest [sha256.Size]byte) Ref { return Ref{codec: codecRaw, digest: digest} }

func nodeRef(block []byte) Ref { return Ref{codec: codecDagPB, digest: sha256.Sum256(block)} }
