package pairing

import (
	"errors"
	"math/big"
	"math/bits"

	gnark "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// MaxIndex is the largest evaluation point: a member's number in a roster.
const MaxIndex = 255

// ErrIndex says that evaluation points are not distinct numbers from 1 to
// [MaxIndex].
var ErrIndex = errors.New("indices are not distinct numbers from 1 to 255")

// Evaluate returns Σ x^k·c[k], the commitment to a polynomial's value at x. It
// costs a few additions per coefficient, because x is small.
func Evaluate(c []G1, x uint8) G1 {
	var sum gnark.G1Jac
	sum.X.SetOne()
	sum.Y.SetOne()
	for k := len(c) - 1; k >= 0; k-- {
		before := sum
		for b := bits.Len8(x) - 2; b >= 0; b-- {
			sum.DoubleAssign()
			if x>>b&1 == 1 {
				sum.AddAssign(&before)
			}
		}
		if x == 0 {
			sum.Z.SetZero()
		}
		sum.AddMixed(&c[k].p)
	}
	var g G1
	g.p.FromJacobian(&sum)
	return g
}

// EvaluateSecret returns Σ x^k·c[k] in constant time.
func EvaluateSecret(c []*Secret, x uint8) *Secret {
	at, sum := NewSecret(uint64(x)), new(Secret)
	for k := len(c) - 1; k >= 0; k-- {
		sum.e.Mul(&sum.e, &at.e)
		sum.e.Add(&sum.e, &c[k].e)
	}
	return sum
}

// Lagrange holds the coefficients λᵢ with Σ λᵢ·f(xᵢ) = f(0) for every
// polynomial of degree below their number. They are kept as small integers
// over one common denominator, so that combining costs one full
// multiplication, or none when the denominator is 1.
type Lagrange struct {
	numerators []*big.Int
	inverse    *Scalar // of the denominator; nil when it is 1
}

// NewLagrange computes the coefficients for the given evaluation points.
func NewLagrange(x []uint8) (*Lagrange, error) {
	l := &Lagrange{numerators: make([]*big.Int, len(x))}
	rats, common := make([]*big.Rat, len(x)), big.NewInt(1)
	if len(x) == 0 {
		return nil, ErrIndex
	}
	for i := range x {
		num, den := big.NewInt(1), big.NewInt(1)
		for j := range x {
			if j == i {
				continue
			}
			num.Mul(num, big.NewInt(int64(x[j])))
			den.Mul(den, big.NewInt(int64(x[j])-int64(x[i])))
		}
		if num.Sign() == 0 || den.Sign() == 0 || x[i] == 0 {
			return nil, ErrIndex
		}
		rats[i] = new(big.Rat).SetFrac(num, den)
		gcd := new(big.Int).GCD(nil, nil, common, rats[i].Denom())
		common.Mul(common, new(big.Int).Div(rats[i].Denom(), gcd))
	}
	for i, r := range rats {
		l.numerators[i] = new(big.Int).Mul(r.Num(), new(big.Int).Div(common, r.Denom()))
	}
	if common.Cmp(big.NewInt(1)) != 0 {
		var d Scalar
		d.e.SetBigInt(common)
		inv := d.Inverse()
		l.inverse = &inv
	}
	return l, nil
}

// CombineG1 returns Σ λᵢ·p[i]. The points stand in the order of the indices.
func (l *Lagrange) CombineG1(p []G1) G1 {
	var sum G1
	for i, n := range l.numerators {
		var term G1
		term.p.ScalarMultiplication(&p[i].p, n)
		sum = sum.Add(term)
	}
	if l.inverse != nil {
		sum = sum.Mul(*l.inverse)
	}
	return sum
}

// CombineG2 returns Σ λᵢ·p[i].
func (l *Lagrange) CombineG2(p []G2) G2 {
	var sum G2
	for i, n := range l.numerators {
		var term G2
		term.p.ScalarMultiplication(&p[i].p, n)
		sum = sum.Add(term)
	}
	if l.inverse != nil {
		sum = sum.Mul(*l.inverse)
	}
	return sum
}

// CombineSecrets returns Σ λᵢ·s[i] in constant time.
func (l *Lagrange) CombineSecrets(s []*Secret) *Secret {
	sum := new(Secret)
	for i, c := range l.Coefficients() {
		sum = sum.Add(SecretFrom(c).Mul(s[i]))
	}
	return sum
}

// Coefficients returns the λᵢ as scalars.
func (l *Lagrange) Coefficients() []Scalar {
	out := make([]Scalar, len(l.numerators))
	for i, n := range l.numerators {
		out[i].e.SetBigInt(n)
		if l.inverse != nil {
			out[i] = out[i].Mul(*l.inverse)
		}
	}
	return out
}
