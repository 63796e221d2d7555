package pairing

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"

	circl "github.com/cloudflare/circl/ecc/bls12381"
	"go.dedis.ch/kyber/v3"
)

// KyberG1 returns G1 as a group of kyber v3, good enough for its share
// package: polynomials, commitments, interpolation. Multiplications run in
// constant time, since the scalars of that package are secrets.
//
// Kyber's share package counts indices from 0 and evaluates at index+1.
func KyberG1() kyber.Group { return kyberG1{} }

type kyberG1 struct{}

func (kyberG1) String() string       { return "BLS12-381.G1" }
func (kyberG1) ScalarLen() int       { return ScalarSize }
func (kyberG1) Scalar() kyber.Scalar { return new(kyberScalar) }
func (kyberG1) PointLen() int        { return G1Size }
func (kyberG1) Point() kyber.Point   { return new(kyberPoint) }

// kyberScalar adapts Secret. Kyber's methods set the receiver and return it,
// and take any kyber.Scalar; one of another group counts as zero.
type kyberScalar struct{ s Secret }

func scalarOf(s kyber.Scalar) *Secret {
	if k, ok := s.(*kyberScalar); ok && k != nil {
		return &k.s
	}
	return new(Secret)
}

// Format prints "redacted" whatever the verb.
func (k kyberScalar) Format(f fmt.State, _ rune) { io.WriteString(f, "redacted") }

func (k *kyberScalar) String() string                  { return "redacted" }
func (k *kyberScalar) MarshalSize() int                { return ScalarSize }
func (k *kyberScalar) Equal(o kyber.Scalar) bool       { return k.s.Equal(scalarOf(o)) }
func (k *kyberScalar) Set(o kyber.Scalar) kyber.Scalar { return k.set(scalarOf(o)) }
func (k *kyberScalar) Clone() kyber.Scalar             { return &kyberScalar{k.s} }
func (k *kyberScalar) Zero() kyber.Scalar              { return k.set(new(Secret)) }
func (k *kyberScalar) One() kyber.Scalar               { return k.set(NewSecret(1)) }
func (k *kyberScalar) Neg(a kyber.Scalar) kyber.Scalar {
	return k.set(new(Secret).Sub(scalarOf(a)))
}
func (k *kyberScalar) Add(a, b kyber.Scalar) kyber.Scalar {
	return k.set(scalarOf(a).Add(scalarOf(b)))
}
func (k *kyberScalar) Sub(a, b kyber.Scalar) kyber.Scalar {
	return k.set(scalarOf(a).Sub(scalarOf(b)))
}
func (k *kyberScalar) Mul(a, b kyber.Scalar) kyber.Scalar {
	return k.set(scalarOf(a).Mul(scalarOf(b)))
}
func (k *kyberScalar) Div(a, b kyber.Scalar) kyber.Scalar {
	return k.set(scalarOf(a).Mul(scalarOf(b).inverse()))
}
func (k *kyberScalar) Inv(a kyber.Scalar) kyber.Scalar { return k.set(scalarOf(a).inverse()) }

func (k *kyberScalar) set(s *Secret) kyber.Scalar {
	k.s = *s
	return k
}

// inverse returns 1/s by exponentiation with a public exponent, so its time
// does not depend on s. The inverse of zero is zero.
func (s *Secret) inverse() *Secret {
	z := new(Secret)
	z.e.Inv(&s.e)
	return z
}

func (k *kyberScalar) SetInt64(v int64) kyber.Scalar {
	if v < 0 {
		return k.set(new(Secret).Sub(NewSecret(uint64(-v))))
	}
	return k.set(NewSecret(uint64(v)))
}

// Pick sets k to a uniform scalar drawn from the stream.
func (k *kyberScalar) Pick(stream cipher.Stream) kyber.Scalar {
	var wide [48]byte
	stream.XORKeyStream(wide[:], wide[:])
	return k.set(secretFromUniform(wide[:]))
}

// SetBytes reduces big-endian bytes of any length.
func (k *kyberScalar) SetBytes(b []byte) kyber.Scalar {
	wide := make([]byte, (len(b)+15)/16*16)
	defer clear(wide)
	copy(wide[len(wide)-len(b):], b)
	return k.set(secretFromUniform(wide))
}

func (k *kyberScalar) MarshalBinary() ([]byte, error) {
	b := k.s.Reveal()
	return b[:], nil
}

func (k *kyberScalar) UnmarshalBinary(b []byte) error {
	if len(b) != ScalarSize {
		return ErrLength
	}
	if err := k.s.e.UnmarshalBinary(b); err != nil {
		return ErrRange
	}
	return nil
}

func (k *kyberScalar) MarshalTo(w io.Writer) (int, error) { return marshalTo(k, w) }
func (k *kyberScalar) UnmarshalFrom(r io.Reader) (int, error) {
	return unmarshalFrom(k, ScalarSize, r)
}

// kyberPoint adapts G1, held in CIRCL's form so that repeated multiplication
// needs no conversion. The zero value stands for the identity.
type kyberPoint struct {
	p   circl.G1
	set bool
}

func pointOf(p kyber.Point) *circl.G1 {
	id := new(circl.G1)
	id.SetIdentity()
	if k, ok := p.(*kyberPoint); ok && k != nil && k.set {
		*id = k.p
	}
	return id
}

func (k *kyberPoint) assign(p *circl.G1) kyber.Point {
	k.p, k.set = *p, true
	return k
}

func (k *kyberPoint) String() string                { return fmt.Sprintf("%x", pointOf(k).BytesCompressed()) }
func (k *kyberPoint) MarshalSize() int              { return G1Size }
func (k *kyberPoint) Equal(o kyber.Point) bool      { return pointOf(k).IsEqual(pointOf(o)) }
func (k *kyberPoint) Null() kyber.Point             { return k.assign(pointOf(nil)) }
func (k *kyberPoint) Base() kyber.Point             { return k.assign(circl.G1Generator()) }
func (k *kyberPoint) Set(o kyber.Point) kyber.Point { return k.assign(pointOf(o)) }
func (k *kyberPoint) Clone() kyber.Point            { return new(kyberPoint).Set(k) }

func (k *kyberPoint) Add(a, b kyber.Point) kyber.Point {
	r := new(circl.G1)
	r.Add(pointOf(a), pointOf(b))
	return k.assign(r)
}

func (k *kyberPoint) Sub(a, b kyber.Point) kyber.Point {
	r := pointOf(b)
	r.Neg()
	r.Add(pointOf(a), r)
	return k.assign(r)
}

func (k *kyberPoint) Neg(a kyber.Point) kyber.Point {
	r := pointOf(a)
	r.Neg()
	return k.assign(r)
}

// Mul sets k to s·p, or to s·g1 when p is nil.
func (k *kyberPoint) Mul(s kyber.Scalar, p kyber.Point) kyber.Point {
	base := circl.G1Generator()
	if p != nil {
		base = pointOf(p)
	}
	r := new(circl.G1)
	r.ScalarMult(&scalarOf(s).e, base)
	return k.assign(r)
}

// Pick sets k to a uniform multiple of the generator.
func (k *kyberPoint) Pick(stream cipher.Stream) kyber.Point {
	return k.Mul(new(kyberScalar).Pick(stream), nil)
}

// EmbedLen is zero: nothing here embeds data in points.
func (k *kyberPoint) EmbedLen() int { return 0 }

// Embed ignores its data, of which it can hold none, and picks a point.
func (k *kyberPoint) Embed(_ []byte, stream cipher.Stream) kyber.Point { return k.Pick(stream) }

// Data always fails: no point holds data.
func (k *kyberPoint) Data() ([]byte, error) {
	return nil, errors.New("points of this group hold no data")
}

// MarshalBinary returns the compressed point; unlike everywhere else, the
// identity has an encoding here, because kyber compares encodings.
func (k *kyberPoint) MarshalBinary() ([]byte, error) { return pointOf(k).BytesCompressed(), nil }

// UnmarshalBinary accepts what [ParseG1] accepts.
func (k *kyberPoint) UnmarshalBinary(b []byte) error {
	g, err := ParseG1(b)
	if err != nil {
		return err
	}
	k.assign(&g.ConstantTime().p)
	return nil
}

func (k *kyberPoint) MarshalTo(w io.Writer) (int, error)     { return marshalTo(k, w) }
func (k *kyberPoint) UnmarshalFrom(r io.Reader) (int, error) { return unmarshalFrom(k, G1Size, r) }

func marshalTo(m interface{ MarshalBinary() ([]byte, error) }, w io.Writer) (int, error) {
	b, err := m.MarshalBinary()
	if err != nil {
		return 0, err
	}
	return w.Write(b)
}

func unmarshalFrom(m interface{ UnmarshalBinary([]byte) error }, size int, r io.Reader) (int, error) {
	b := make([]byte, size)
	n, err := io.ReadFull(r, b)
	if err != nil {
		return n, err
	}
	return n, m.UnmarshalBinary(b)
}
