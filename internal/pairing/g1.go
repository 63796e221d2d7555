package pairing

import (
	circl "github.com/cloudflare/circl/ecc/bls12381"
	gnark "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// G1 is an element of the prime-order subgroup of the curve over Fp. Its zero
// value is the identity.
type G1 struct{ p gnark.G1Affine }

// ParseG1 reads a compressed point: 48 bytes, canonical, on the curve, in the
// subgroup, not the identity.
func ParseG1(b []byte) (G1, error) {
	var g G1
	if len(b) != G1Size {
		return g, ErrLength
	}
	// What was wrong shows in the point that SetBytes leaves behind. An
	// uncompressed point does not fit into this length.
	if _, err := g.p.SetBytes(b); err != nil {
		if g.p.IsOnCurve() && !g.p.IsInfinity() && !g.p.IsInSubGroup() {
			return G1{}, ErrSubgroup
		}
		return G1{}, ErrEncoding
	}
	if g.p.IsInfinity() {
		return G1{}, ErrIdentity
	}
	return g, nil
}

// GeneratorG1 returns g1.
func GeneratorG1() G1 {
	_, _, g, _ := gnark.Generators()
	return G1{g}
}

// Bytes returns the 48-byte compressed encoding.
func (g G1) Bytes() [G1Size]byte { return g.p.Bytes() }

// IsIdentity reports whether g is the identity.
func (g G1) IsIdentity() bool { return g.p.IsInfinity() }

// Equal reports whether g and o are the same element, in variable time.
func (g G1) Equal(o G1) bool { return g.p.Equal(&o.p) }

// Add returns g + o.
func (g G1) Add(o G1) G1 {
	g.p.Add(&g.p, &o.p)
	return g
}

// Sub returns g − o.
func (g G1) Sub(o G1) G1 {
	g.p.Sub(&g.p, &o.p)
	return g
}

// Neg returns −g.
func (g G1) Neg() G1 {
	g.p.Neg(&g.p)
	return g
}

// Mul returns s·g, in time that depends on s.
func (g G1) Mul(s Scalar) G1 {
	g.p.ScalarMultiplication(&g.p, s.big())
	return g
}

// JointMul returns a·g + b·h, in variable time and cheaper than two calls.
func JointMul(g G1, a Scalar, h G1, b Scalar) G1 {
	var j gnark.G1Jac
	j.JointScalarMultiplication(&g.p, &h.p, a.big(), b.big())
	g.p.FromJacobian(&j)
	return g
}

// ConstantTimeG1 is a point in the form that constant-time multiplication
// wants.
type ConstantTimeG1 struct{ p circl.G1 }

// ConstantTime converts g, at the price of a subgroup check.
func (g G1) ConstantTime() *ConstantTimeG1 {
	c, raw := new(ConstantTimeG1), g.p.RawBytes()
	if err := c.p.SetBytes(raw[:]); err != nil {
		c.p.SetIdentity() // unreachable: every G1 was parsed or computed
	}
	return c
}

// GeneratorG1ConstantTime returns g1 in the constant-time form.
func GeneratorG1ConstantTime() *ConstantTimeG1 {
	return &ConstantTimeG1{*circl.G1Generator()}
}

// Mul returns s·c in constant time.
func (c *ConstantTimeG1) Mul(s *Secret) G1 {
	var r circl.G1
	r.ScalarMult(&s.e, &c.p)
	return g1FromCircl(&r)
}

// g1FromCircl reads back a point that CIRCL computed, without the checks a
// point from outside needs.
func g1FromCircl(c *circl.G1) G1 {
	var g G1
	if c.IsIdentity() {
		return g
	}
	raw := c.Bytes()
	g.p.X.SetBytes(raw[:G1Size])
	g.p.Y.SetBytes(raw[G1Size:])
	return g
}
