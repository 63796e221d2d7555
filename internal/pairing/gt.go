package pairing

import (
	"math/bits"

	circl "github.com/cloudflare/circl/ecc/bls12381"
	gnark "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// GT is an element of the target group, always the result of a pairing: GT
// elements never travel, because neither library checks membership well and
// because a key derivation is all they are for.
type GT struct{ e gnark.GT }

// Pair returns e(p, q).
func Pair(p G1, q G2) GT {
	return pairAll([]gnark.G1Affine{p.p}, []gnark.G2Affine{q.p})
}

// PairProduct returns e(p1, q1)·e(p2, q2), cheaper than two pairings.
func PairProduct(p1 G1, q1 G2, p2 G1, q2 G2) GT {
	return pairAll([]gnark.G1Affine{p1.p, p2.p}, []gnark.G2Affine{q1.p, q2.p})
}

func pairAll(p []gnark.G1Affine, q []gnark.G2Affine) GT {
	e, err := gnark.Pair(p, q)
	if err != nil {
		return GT{} // unreachable: the slices have equal, non-zero length
	}
	return GT{e}
}

// PairingsEqual reports whether e(p1, q1) = e(p2, q2), with one product of two
// pairings.
func PairingsEqual(p1 G1, q1 G2, p2 G1, q2 G2) bool {
	p2 = p2.Neg()
	ok, err := gnark.PairingCheck([]gnark.G1Affine{p1.p, p2.p}, []gnark.G2Affine{q1.p, q2.p})
	return err == nil && ok
}

// ConstantTimePair returns e(p, q) computed by CIRCL, two to three times slower
// than [Pair].
func ConstantTimePair(p G1, q G2) GT {
	e := circl.Pair(&p.ConstantTime().p, &q.ConstantTime().p)
	b, err := e.MarshalBinary()
	var g GT
	if err != nil || g.e.SetBytes(b) != nil {
		return GT{} // unreachable: the encodings agree
	}
	return g
}

// Equal reports whether g and o are the same element, in variable time.
func (g GT) Equal(o GT) bool { return g.e.Equal(&o.e) }

// Mul returns g·o.
func (g GT) Mul(o GT) GT {
	g.e.Mul(&g.e, &o.e)
	return g
}

// Bytes returns the canonical 576-byte encoding that key derivations hash:
// twelve big-endian coordinates of 48 bytes, highest coefficient first, in the
// tower Fp12 = Fp6[w]/(w²−v), Fp6 = Fp2[v]/(v³−(u+1)), Fp2 = Fp[u]/(u²+1).
// CIRCL and gnark-crypto agree on it; blst orders the coefficients otherwise.
func (g GT) Bytes() [GTSize]byte { return g.e.Bytes() }

// curveSeed is |x| of BLS12-381; x itself is negative.
const curveSeed = 0xd201000000010000

// Exp returns g^s, in time that depends on s.
//
// In GT the Frobenius map raises to the power p ≡ x modulo the order r, and
// r = x⁴ − x² + 1 (Galbraith and Scott, Pairing 2008). So the digits of s in
// base |x| give s as a sum of four 64-bit exponents of g and its conjugates,
// and one chain of 64 squarings serves all four.
func (g GT) Exp(s Scalar) GT {
	digits := seedDigits(s)
	var table [16]gnark.GT
	table[0].SetOne()
	table[1] = g.e
	for i := 1; i < 4; i++ {
		// x is negative: g^(|x|^i) is the i-th Frobenius image,
		// inverted when i is odd. In GT conjugation inverts.
		t := &table[1<<i]
		t.Frobenius(&table[1<<(i-1)])
		t.Conjugate(t)
	}
	for i := 3; i < 16; i++ {
		if low := i & -i; low != i {
			table[i].Mul(&table[i^low], &table[low])
		}
	}
	var z gnark.GT
	z.SetOne()
	top := 0
	for _, d := range digits {
		top = max(top, bits.Len64(d))
	}
	for b := top - 1; b >= 0; b-- {
		z.CyclotomicSquare(&z)
		i := digits[0]>>b&1 | digits[1]>>b&1<<1 | digits[2]>>b&1<<2 | digits[3]>>b&1<<3
		if i != 0 {
			z.Mul(&z, &table[i])
		}
	}
	return GT{z}
}

// seedDigits writes s in base |x|. The order is below |x|⁴, so four digits do.
func seedDigits(s Scalar) [4]uint64 {
	var digits [4]uint64
	n := s.e.Bits() // little-endian words
	for i := range digits {
		var rem uint64
		for w := 3; w >= 0; w-- {
			n[w], rem = bits.Div64(rem, n[w], curveSeed)
		}
		digits[i] = rem
	}
	return digits
}
