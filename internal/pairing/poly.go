package pairing

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc"
	gnark "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// The functions of this file work on whole polynomials and rows of points.
// They stay in Jacobian coordinates and invert once at the end, where
// [Evaluate] inverts at every step. All run in variable time.

// EvaluateRange returns the values at 1, …, n of the polynomial committed to
// by c, for n up to [MaxIndex]. Past the first len(c) values each follows from
// the differences of those before it, by len(c)−1 additions.
func EvaluateRange(c []G1, n int) []G1 {
	values := make([]gnark.G1Jac, 0, n)
	for x := 1; x <= n && x <= len(c); x++ {
		values = append(values, horner(c, uint8(x)))
	}
	for back := backwardDifferences(values); len(values) < n; {
		for k := len(back) - 2; k >= 0; k-- {
			back[k].AddAssign(&back[k+1])
		}
		if len(back) == 0 {
			values = append(values, identityJac())
			continue
		}
		values = append(values, back[0])
	}
	return fromJacobian(values)
}

// backwardDifferences returns the last value, the last first difference, the
// last second difference and so on.
func backwardDifferences(values []gnark.G1Jac) []gnark.G1Jac {
	row, back := append([]gnark.G1Jac(nil), values...), make([]gnark.G1Jac, 0, len(values))
	for last := len(row) - 1; last >= 0; last-- {
		back = append(back, row[last])
		for i := range last {
			next := row[i+1]
			next.SubAssign(&row[i])
			row[i] = next
		}
	}
	return back
}

// EvaluateEach returns the value at x of every polynomial committed to by a
// row of c.
func EvaluateEach(c [][]G1, x uint8) []G1 {
	values := make([]gnark.G1Jac, len(c))
	for i := range c {
		values[i] = horner(c[i], x)
	}
	return fromJacobian(values)
}

func horner(c []G1, x uint8) gnark.G1Jac {
	sum, top := identityJac(), bits.Len8(x)
	for k := len(c) - 1; k >= 0; k-- {
		product := identityJac()
		for b := top - 1; b >= 0; b-- {
			product.DoubleAssign()
			if x>>b&1 == 1 {
				product.AddAssign(&sum)
			}
		}
		product.AddMixed(&c[k].p)
		sum = product
	}
	return sum
}

// SumRows returns the sum of the rows, column by column. The rows have equal
// length.
func SumRows(rows [][]G1) []G1 {
	if len(rows) == 0 {
		return nil
	}
	sums := make([]gnark.G1Jac, len(rows[0]))
	for k := range sums {
		sums[k] = identityJac()
		for i := range rows {
			sums[k].AddMixed(&rows[i][k].p)
		}
	}
	return fromJacobian(sums)
}

// CombineRows returns Σ λᵢ·rows[i], column by column. The rows have equal
// length and stand in the order of the indices.
func (l *Lagrange) CombineRows(rows [][]G1) []G1 {
	if len(rows) == 0 || len(rows) != len(l.numerators) {
		return nil
	}
	sums := make([]gnark.G1Jac, len(rows[0]))
	for k := range sums {
		sums[k] = identityJac()
		for i, n := range l.numerators {
			var term gnark.G1Jac
			term.FromAffine(&rows[i][k].p)
			term.ScalarMultiplication(&term, n)
			sums[k].AddAssign(&term)
		}
		if l.inverse != nil {
			sums[k].ScalarMultiplication(&sums[k], l.inverse.big())
		}
	}
	return fromJacobian(sums)
}

// MultiMulG2 returns Σ sᵢ·pᵢ, in variable time. The slices have equal length;
// the sum of nothing is the identity.
func MultiMulG2(p []G2, s []Scalar) G2 {
	var sum G2
	if len(p) <= naiveLimit || len(p) != len(s) {
		for i := range min(len(p), len(s)) {
			sum = sum.Add(p[i].Mul(s[i]))
		}
		return sum
	}
	points := make([]gnark.G2Affine, len(p))
	scalars := make([]fr.Element, len(s))
	for i := range p {
		points[i], scalars[i] = p[i].p, s[i].e
	}
	if _, err := sum.p.MultiExp(points, scalars, ecc.MultiExpConfig{}); err != nil {
		return G2{} // unreachable: lengths agree
	}
	return sum
}

func identityJac() gnark.G1Jac {
	var j gnark.G1Jac
	j.X.SetOne()
	j.Y.SetOne()
	return j
}

func fromJacobian(j []gnark.G1Jac) []G1 {
	affine := gnark.BatchJacobianToAffineG1(j)
	out := make([]G1, len(affine))
	for i := range affine {
		out[i] = G1{affine[i]}
	}
	return out
}
