package pairing

import (
	circl "github.com/cloudflare/circl/ecc/bls12381"
	gnark "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// G2 is an element of the prime-order subgroup of the twist over Fp2. Its zero
// value is the identity.
type G2 struct{ p gnark.G2Affine }

// ParseG2 reads a compressed point: 96 bytes, canonical, on the curve, in the
// subgroup, not the identity.
func ParseG2(b []byte) (G2, error) {
	var g G2
	if len(b) != G2Size {
		return g, ErrLength
	}
	if _, err := g.p.SetBytes(b); err != nil {
		if g.p.IsOnCurve() && !g.p.IsInfinity() && !g.p.IsInSubGroup() {
			return G2{}, ErrSubgroup
		}
		return G2{}, ErrEncoding
	}
	if g.p.IsInfinity() {
		return G2{}, ErrIdentity
	}
	return g, nil
}

// GeneratorG2 returns g2.
func GeneratorG2() G2 {
	_, _, _, g := gnark.Generators()
	return G2{g}
}

// Bytes returns the 96-byte compressed encoding.
func (g G2) Bytes() [G2Size]byte { return g.p.Bytes() }

// IsIdentity reports whether g is the identity.
func (g G2) IsIdentity() bool { return g.p.IsInfinity() }

// Equal reports whether g and o are the same element, in variable time.
func (g G2) Equal(o G2) bool { return g.p.Equal(&o.p) }

// Add returns g + o.
func (g G2) Add(o G2) G2 {
	g.p.Add(&g.p, &o.p)
	return g
}

// Sub returns g − o.
func (g G2) Sub(o G2) G2 {
	g.p.Sub(&g.p, &o.p)
	return g
}

// Neg returns −g.
func (g G2) Neg() G2 {
	g.p.Neg(&g.p)
	return g
}

// Mul returns s·g, in time that depends on s.
func (g G2) Mul(s Scalar) G2 {
	g.p.ScalarMultiplication(&g.p, s.big())
	return g
}

// Erase overwrites g with the identity, for points that are keys.
func (g *G2) Erase() { g.p = gnark.G2Affine{} }

// ConstantTimeG2 is a point in the form that constant-time multiplication
// wants.
type ConstantTimeG2 struct{ p circl.G2 }

// ConstantTime converts g, at the price of a subgroup check.
func (g G2) ConstantTime() *ConstantTimeG2 {
	c, raw := new(ConstantTimeG2), g.p.RawBytes()
	if err := c.p.SetBytes(raw[:]); err != nil {
		c.p.SetIdentity() // unreachable: every G2 was parsed or computed
	}
	return c
}

// Mul returns s·c in constant time.
func (c *ConstantTimeG2) Mul(s *Secret) G2 {
	var r circl.G2
	r.ScalarMult(&s.e, &c.p)
	return g2FromCircl(&r)
}

func g2FromCircl(c *circl.G2) G2 {
	var g G2
	if c.IsIdentity() {
		return g
	}
	raw := c.Bytes() // x1 ‖ x0 ‖ y1 ‖ y0, where a + b·u is a0 + a1·u
	g.p.X.A1.SetBytes(raw[:48])
	g.p.X.A0.SetBytes(raw[48:96])
	g.p.Y.A1.SetBytes(raw[96:144])
	g.p.Y.A0.SetBytes(raw[144:])
	return g
}
