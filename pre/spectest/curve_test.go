// Package spectest reads the vectors of package pre with a second
// implementation, written from SPEC.md alone: on CIRCL, the standard library
// and golang.org/x/crypto, without a line of package pre. That every vector
// gets the same verdict and the same bytes from both shows that the document
// and the vectors are enough. It is slow, short and plain on purpose, and
// nothing but its own tests uses it.
package spectest

import (
	"bytes"
	"crypto"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"math/big"

	bls "github.com/cloudflare/circl/ecc/bls12381"
	"github.com/cloudflare/circl/expander"
)

// refusal is the reason for which something is refused: the kind of a vector.
type refusal string

func (r refusal) Error() string { return "refused: " + string(r) }

// The reasons of section 13.
const (
	badName      refusal = "name"
	badLength    refusal = "length"
	trailing     refusal = "trailing"
	overLimit    refusal = "limit"
	badEncoding  refusal = "encoding"
	badSubgroup  refusal = "subgroup"
	badIdentity  refusal = "identity"
	badRange     refusal = "range"
	isZero       refusal = "zero"
	badField     refusal = "field"
	noDecryption refusal = "decrypt"
	badProof     refusal = "proof"
	notCovered   refusal = "not-covered"
	badShares    refusal = "shares"
	blamed       refusal = "blame"
	dealerFault  refusal = "dealer"
	authorFault  refusal = "author"
	exposed      refusal = "exposed"
)

// Section 1.

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func u8(n int) []byte     { return []byte{byte(n)} }
func u16(n int) []byte    { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func lp(b []byte) []byte { return append(u32(uint32(len(b))), b...) }

func tag(name string) []byte { return []byte("WARD-V1-" + name) }

func hash(name string, parts ...[]byte) []byte {
	h := sha256.New()
	h.Write(lp(tag(name)))
	for _, p := range parts {
		h.Write(lp(p))
	}
	return h.Sum(nil)
}

func kdf(secret, info []byte, n int) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, string(info), n)
	if err != nil {
		panic(err) // n is a constant below the limit
	}
	return key
}

// Section 2. The field prime, for the checks CIRCL does in one step and that
// a vector tells apart.
var (
	prime, _ = new(big.Int).SetString("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16)
	order    = new(big.Int).SetBytes(bls.Order())
	four     = big.NewInt(4)
)

// coordinates splits a compressed point into its coordinates in Fp, in the
// order of the encoding.
func coordinates(b []byte, size int) ([]*big.Int, error) {
	if len(b) != size {
		return nil, badLength
	}
	if b[0]&0x80 == 0 {
		return nil, badEncoding
	}
	x := bytes.Clone(b)
	x[0] &= 0x1f
	if b[0]&0x40 != 0 {
		if b[0] != 0xc0 || !bytes.Equal(x, make([]byte, size)) {
			return nil, badEncoding
		}
		return nil, badIdentity
	}
	var list []*big.Int
	for ; len(x) > 0; x = x[48:] {
		c := new(big.Int).SetBytes(x[:48])
		if c.Cmp(prime) >= 0 {
			return nil, badEncoding
		}
		list = append(list, c)
	}
	return list, nil
}

// onG1 reports whether x³ + 4 is a square in Fp.
func onG1(x *big.Int) bool {
	y2 := new(big.Int).Exp(x, big.NewInt(3), prime)
	y2.Add(y2, four).Mod(y2, prime)
	return big.Jacobi(y2, prime) >= 0
}

// onG2 reports whether x³ + 4(u + 1) is a square in Fp2, for x = a + b·u: an
// element of Fp2 is a square iff its norm is one in Fp.
func onG2(a, b *big.Int) bool {
	mul := func(x, y *big.Int) *big.Int { return new(big.Int).Mul(x, y) }
	a3 := new(big.Int).Sub(mul(a, mul(a, a)), mul(big.NewInt(3), mul(a, mul(b, b))))
	b3 := new(big.Int).Sub(mul(big.NewInt(3), mul(mul(a, a), b)), mul(b, mul(b, b)))
	a3.Add(a3, four)
	b3.Add(b3, four)
	norm := new(big.Int).Add(mul(a3, a3), mul(b3, b3))
	return big.Jacobi(norm.Mod(norm, prime), prime) >= 0
}

func parseG1(b []byte) (*bls.G1, error) {
	x, err := coordinates(b, 48)
	if err != nil {
		return nil, err
	}
	if !onG1(x[0]) {
		return nil, badEncoding
	}
	p := new(bls.G1)
	if p.SetBytes(b) != nil {
		return nil, badSubgroup
	}
	return p, nil
}

func parseG2(b []byte) (*bls.G2, error) {
	x, err := coordinates(b, 96)
	if err != nil {
		return nil, err
	}
	if !onG2(x[1], x[0]) {
		return nil, badEncoding
	}
	p := new(bls.G2)
	if p.SetBytes(b) != nil {
		return nil, badSubgroup
	}
	return p, nil
}

// parseScalar reads a scalar that may be zero.
func parseScalar(b []byte) (*bls.Scalar, error) {
	if len(b) != 32 {
		return nil, badLength
	}
	if new(big.Int).SetBytes(b).Cmp(order) >= 0 {
		return nil, badRange
	}
	s := new(bls.Scalar)
	s.SetBytes(b)
	return s, nil
}

// parseSecret reads a scalar that may not.
func parseSecret(b []byte) (*bls.Scalar, error) {
	s, err := parseScalar(b)
	if err == nil && s.IsZero() == 1 {
		return nil, isZero
	}
	return s, err
}

func scalar(n int) *bls.Scalar {
	s := new(bls.Scalar)
	s.SetUint64(uint64(n))
	return s
}

func scalarBytes(s *bls.Scalar) []byte {
	b, _ := s.MarshalBinary()
	return b
}

func add(a, b *bls.G1) *bls.G1 {
	c := new(bls.G1)
	c.Add(a, b)
	return c
}

func mul(s *bls.Scalar, p *bls.G1) *bls.G1 {
	c := new(bls.G1)
	c.ScalarMult(s, p)
	return c
}

// sub returns a − s·b.
func sub(a *bls.G1, s *bls.Scalar, b *bls.G1) *bls.G1 {
	c := mul(s, b)
	c.Neg()
	return add(a, c)
}

func addG2(a, b *bls.G2) *bls.G2 {
	c := new(bls.G2)
	c.Add(a, b)
	return c
}

func mulG2(s *bls.Scalar, p *bls.G2) *bls.G2 {
	c := new(bls.G2)
	c.ScalarMult(s, p)
	return c
}

func g1() *bls.G1 { return bls.G1Generator() }

func pair(p *bls.G1, q *bls.G2) *bls.Gt { return bls.Pair(p, q) }

func power(e *bls.Gt, s *bls.Scalar) *bls.Gt {
	c := new(bls.Gt)
	c.Exp(e, s)
	return c
}

func gtBytes(e *bls.Gt) []byte {
	b, _ := e.MarshalBinary()
	return b
}

func hashToG1(name string, parts ...[]byte) *bls.G1 {
	p := new(bls.G1)
	p.Hash(join(parts...), tag(name))
	return p
}

func hashToG2(name string, parts ...[]byte) *bls.G2 {
	p := new(bls.G2)
	p.Hash(join(parts...), tag(name))
	return p
}

func hashToScalar(name string, parts ...[]byte) *bls.Scalar {
	b := expander.NewExpanderMD(crypto.SHA256, tag(name)).Expand(join(parts...), 48)
	n := new(big.Int).SetBytes(b)
	s := new(bls.Scalar)
	s.SetBytes(n.Mod(n, order).Bytes())
	return s
}
