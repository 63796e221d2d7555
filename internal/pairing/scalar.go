package pairing

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/cloudflare/circl/ecc/bls12381/ff"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// Scalar is a public integer modulo the group order, or one that is secret for
// the life of a single capsule only. Its zero value is zero.
type Scalar struct{ e fr.Element }

// NewScalar returns v as a scalar.
func NewScalar(v uint64) Scalar {
	var s Scalar
	s.e.SetUint64(v)
	return s
}

// ParseScalar reads 32 big-endian bytes below the group order. Zero is a
// scalar; callers that must refuse it ask [Scalar.IsZero].
func ParseScalar(b []byte) (Scalar, error) {
	var s Scalar
	if len(b) != ScalarSize {
		return s, ErrLength
	}
	if err := s.e.SetBytesCanonical(b); err != nil {
		return Scalar{}, ErrRange
	}
	return s, nil
}

// ScalarFromUniform reduces 16 uniform bytes to a scalar below 2^128. It is
// how the weights of batched checks are made.
func ScalarFromUniform(b [16]byte) Scalar {
	var s Scalar
	s.e.SetBytes(b[:])
	return s
}

// Bytes returns the 32-byte big-endian encoding.
func (s Scalar) Bytes() [ScalarSize]byte { return s.e.Bytes() }

// IsZero reports whether s is zero.
func (s Scalar) IsZero() bool { return s.e.IsZero() }

// Equal reports whether s and o are the same number, in variable time.
func (s Scalar) Equal(o Scalar) bool { return s.e.Equal(&o.e) }

// Add returns s + o.
func (s Scalar) Add(o Scalar) Scalar {
	s.e.Add(&s.e, &o.e)
	return s
}

// Sub returns s − o.
func (s Scalar) Sub(o Scalar) Scalar {
	s.e.Sub(&s.e, &o.e)
	return s
}

// Mul returns s·o.
func (s Scalar) Mul(o Scalar) Scalar {
	s.e.Mul(&s.e, &o.e)
	return s
}

// Neg returns −s.
func (s Scalar) Neg() Scalar {
	s.e.Neg(&s.e)
	return s
}

// Inverse returns 1/s. The inverse of zero is zero.
func (s Scalar) Inverse() Scalar {
	s.e.Inverse(&s.e)
	return s
}

func (s *Scalar) big() *big.Int { return s.e.BigInt(new(big.Int)) }

// Secret is an integer modulo the group order that outlives one capsule. Its
// arithmetic and its multiplications of points run in constant time. It prints
// as "redacted" whatever the verb, and does not marshal.
//
// Go copies memory as it likes, so [Secret.Erase] is a best effort.
type Secret struct{ e ff.Scalar }

// GenerateSecret returns a uniform non-zero secret. It reads 48 bytes from r,
// or from the operating system if r is nil, and reduces them.
func GenerateSecret(r io.Reader) (*Secret, error) {
	if r == nil {
		r = rand.Reader
	}
	var wide [48]byte
	defer clear(wide[:])
	for {
		if _, err := io.ReadFull(r, wide[:]); err != nil {
			return nil, fmt.Errorf("generate secret scalar: %w", err)
		}
		if s := secretFromUniform(wide[:]); !s.IsZero() {
			return s, nil
		}
	}
}

// secretFromUniform reduces big-endian bytes, a multiple of 16, modulo the order
// in constant time, by Horner's rule over limbs of 16 bytes, each below the order.
func secretFromUniform(wide []byte) *Secret {
	var acc, limb, shift ff.Scalar
	var buf [ScalarSize]byte
	defer clear(buf[:])
	buf[15] = 1
	mustUnmarshal(&shift, buf[:]) // 2^128
	buf[15] = 0
	for i := 0; i < len(wide); i += 16 {
		copy(buf[16:], wide[i:i+16])
		mustUnmarshal(&limb, buf[:])
		acc.Mul(&acc, &shift)
		acc.Add(&acc, &limb)
	}
	limb = ff.Scalar{}
	return &Secret{acc}
}

// mustUnmarshal sets z to 32 bytes known to be below the order. The error
// cannot occur; were it ever to, z would be zero and every check that follows
// would refuse it.
func mustUnmarshal(z *ff.Scalar, b []byte) {
	if err := z.UnmarshalBinary(b); err != nil {
		*z = ff.Scalar{}
	}
}

// ParseSecret reads 32 big-endian bytes below the group order and not zero.
func ParseSecret(b []byte) (*Secret, error) {
	s := new(Secret)
	if len(b) != ScalarSize {
		return nil, ErrLength
	}
	if err := s.e.UnmarshalBinary(b); err != nil {
		return nil, ErrRange
	}
	if s.IsZero() {
		return nil, ErrZero
	}
	return s, nil
}

// NewSecret returns a small public number as a secret, for evaluation points.
func NewSecret(v uint64) *Secret {
	s := new(Secret)
	s.e.SetUint64(v)
	return s
}

// SecretFrom returns a copy of s that will be treated as secret from now on.
func SecretFrom(s Scalar) *Secret {
	z, b := new(Secret), s.Bytes()
	mustUnmarshal(&z.e, b[:])
	clear(b[:])
	return z
}

// Publish returns the value as a public scalar. It is for responses of proofs,
// which a nonce masks, and for nothing else.
func (s *Secret) Publish() Scalar {
	var z Scalar
	b := s.Reveal()
	z.e.SetBytes(b[:])
	return z
}

// Reveal returns the 32 secret bytes, for sealing and for key storage. The
// caller erases them.
func (s *Secret) Reveal() [ScalarSize]byte {
	var out [ScalarSize]byte
	b, _ := s.e.MarshalBinary() // its error is always nil
	copy(out[:], b)
	clear(b)
	return out
}

// Erase overwrites s with zero.
func (s *Secret) Erase() { s.e = ff.Scalar{} }

// IsZero reports whether s is zero, in constant time.
func (s *Secret) IsZero() bool { return s.e.IsZero() == 1 }

// Equal compares in constant time.
func (s *Secret) Equal(o *Secret) bool { return s.e.IsEqual(&o.e) == 1 }

// Add returns s + o.
func (s *Secret) Add(o *Secret) *Secret {
	z := new(Secret)
	z.e.Add(&s.e, &o.e)
	return z
}

// Sub returns s − o.
func (s *Secret) Sub(o *Secret) *Secret {
	z := new(Secret)
	z.e.Sub(&s.e, &o.e)
	return z
}

// Mul returns s·o.
func (s *Secret) Mul(o *Secret) *Secret {
	z := new(Secret)
	z.e.Mul(&s.e, &o.e)
	return z
}

// MulG1 returns s·p in constant time. The conversion of p costs half a
// multiplication; convert once with [G1.ConstantTime] to multiply often.
func (s *Secret) MulG1(p G1) G1 { return p.ConstantTime().Mul(s) }

// MulG2 returns s·p in constant time.
func (s *Secret) MulG2(p G2) G2 { return p.ConstantTime().Mul(s) }

// Format prints "redacted" whatever the verb.
func (s *Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "redacted") }

// MarshalText refuses, so that no encoder leaks s and none loses it silently.
func (s *Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("a secret scalar does not marshal")
}
