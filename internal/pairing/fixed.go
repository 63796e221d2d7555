package pairing

import (
	"sync"

	"github.com/consensys/gnark-crypto/ecc"
	gnark "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// generatorTable holds d·256^i·g1 for every byte value d ≠ 0 and every byte
// position i: 783 kB, built once, never written again.
var generatorTable = sync.OnceValue(func() *[ScalarSize][255]gnark.G1Affine {
	jac := make([]gnark.G1Jac, 0, ScalarSize*255)
	base, _, _, _ := gnark.Generators()
	for range ScalarSize {
		sum := base
		for range 255 {
			jac = append(jac, sum)
			sum.AddAssign(&base)
		}
		base = sum // 256 times the previous base
	}
	affine := gnark.BatchJacobianToAffineG1(jac)
	table := new([ScalarSize][255]gnark.G1Affine)
	for i := range table {
		copy(table[i][:], affine[i*255:])
	}
	return table
})

// MulGenerator returns s·g1 from a table, four times faster than [G1.Mul] and
// in variable time.
func MulGenerator(s Scalar) G1 {
	table := generatorTable()
	var j gnark.G1Jac
	j.X.SetOne()
	j.Y.SetOne()
	for i, d := range s.Bytes() {
		if d != 0 {
			j.AddMixed(&table[ScalarSize-1-i][d-1])
		}
	}
	var g G1
	g.p.FromJacobian(&j)
	return g
}

// naiveLimit is the number of terms up to which Pippenger's method loses to
// one multiplication after the other (measured; see BenchmarkMultiMul).
const naiveLimit = 5

// MultiMul returns Σ sᵢ·pᵢ, in variable time. The slices have equal length;
// the sum of nothing is the identity.
func MultiMul(p []G1, s []Scalar) G1 {
	if len(p) <= naiveLimit || len(p) != len(s) {
		return sumOfProducts(p, s)
	}
	points := make([]gnark.G1Affine, len(p))
	scalars := make([]fr.Element, len(s))
	for i := range p {
		points[i], scalars[i] = p[i].p, s[i].e
	}
	var g G1
	if _, err := g.p.MultiExp(points, scalars, ecc.MultiExpConfig{}); err != nil {
		return sumOfProducts(p, s) // unreachable: lengths agree
	}
	return g
}

func sumOfProducts(p []G1, s []Scalar) G1 {
	var sum, term gnark.G1Jac
	sum.X.SetOne()
	sum.Y.SetOne()
	for i := range min(len(p), len(s)) {
		term.FromAffine(&p[i].p)
		term.ScalarMultiplication(&term, s[i].big())
		sum.AddAssign(&term)
	}
	var g G1
	g.p.FromJacobian(&sum)
	return g
}

// PreparedG2 is a point with the lines of its Miller loop computed ahead, for
// keys that meet many capsules. It takes 24 kB.
//
// gnark-crypto overwrites the lines it is given; PreparedG2 hands it a copy
// each time, so a prepared point serves any number of goroutines.
type PreparedG2 struct {
	lines [2][len(gnark.LoopCounter) - 1]gnark.LineEvaluationAff
}

// Prepare computes the lines of g.
func (g G2) Prepare() *PreparedG2 { return &PreparedG2{gnark.PrecomputeLines(g.p)} }

// Pair returns e(p, q) for the prepared q.
func (q *PreparedG2) Pair(p G1) GT { return pairPrepared([]G1{p}, q) }

// PairProduct returns e(p1, q)·e(p2, q2).
func (q *PreparedG2) PairProduct(p1 G1, p2 G1, q2 *PreparedG2) GT {
	return pairPrepared([]G1{p1, p2}, q, q2)
}

func pairPrepared(p []G1, q ...*PreparedG2) GT {
	points := make([]gnark.G1Affine, len(p))
	lines := make([][2][len(gnark.LoopCounter) - 1]gnark.LineEvaluationAff, len(q))
	for i := range p {
		points[i], lines[i] = p[i].p, q[i].lines
	}
	e, err := gnark.PairFixedQ(points, lines)
	if err != nil {
		return GT{} // unreachable: lengths agree
	}
	return GT{e}
}

// Erase overwrites the lines, for points that are keys.
func (q *PreparedG2) Erase() { *q = PreparedG2{} }
