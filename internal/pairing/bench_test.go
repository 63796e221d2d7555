package pairing

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// The primitives, so that ratios elsewhere can be read.
func BenchmarkPrimitives(b *testing.B) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	k := HashToScalar(DSTCapsuleNonce, []byte("k"))
	s, p, q := SecretFrom(k), HashToG1(DSTCapsuleBase, nil), HashToG2(DSTIdentity, nil)
	cp, cq, gt := p.ConstantTime(), q.ConstantTime(), Pair(p, q)
	line, other := q.Prepare(), GeneratorG2().Prepare()
	pb, qb := p.Bytes(), q.Bytes()
	MulGenerator(k) // build the table
	for _, op := range []struct {
		name string
		f    func()
	}{
		{"G1/mul", func() { p.Mul(k) }}, {"G1/mul-generator", func() { MulGenerator(k) }}, {"G1/joint-mul", func() { JointMul(p, k, p, k) }},
		{"G1/mul-constant-time", func() { cp.Mul(s) }}, {"G1/convert", func() { p.ConstantTime() }}, {"G1/parse", func() { ParseG1(pb[:]) }},
		{"G1/hash", func() { HashToG1(DSTCapsuleBase, pb[:]) }},
		{"G2/mul", func() { q.Mul(k) }}, {"G2/mul-constant-time", func() { cq.Mul(s) }}, {"G2/convert", func() { q.ConstantTime() }},
		{"G2/parse", func() { ParseG2(qb[:]) }}, {"G2/hash", func() { HashToG2(DSTIdentity, pb[:]) }}, {"G2/prepare", func() { q.Prepare() }},
		{"GT/exp", func() { gt.Exp(k) }}, {"pair", func() { Pair(p, q) }}, {"pair-product", func() { PairProduct(p, q, p, q) }},
		{"pair-prepared", func() { line.Pair(p) }}, {"pair-product-prepared", func() { line.PairProduct(p, p, other) }},
		{"pair-constant-time", func() { ConstantTimePair(p, q) }}, {"secret/hash", func() { HashToSecret(DSTCapsuleNonce, pb[:]) }},
	} {
		b.Run(op.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				op.f()
			}
		})
	}
}

// BenchmarkMultiMul shows from how many terms on Pippenger's method pays; see
// naiveLimit.
func BenchmarkMultiMul(b *testing.B) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	for _, n := range []int{2, 4, 6, 7, 8, 16, 100, 1000} {
		p, s := make([]G1, n), make([]Scalar, n)
		for i := range p {
			s[i] = HashToScalar(DSTCapsuleNonce, []byte{byte(i), byte(i >> 8)})
			p[i] = MulGenerator(s[i])
		}
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			var ours, naive time.Duration
			for b.Loop() {
				start := time.Now()
				MultiMul(p, s)
				middle := time.Now()
				sumOfProducts(p, s)
				ours, naive = ours+middle.Sub(start), naive+time.Since(middle)
			}
			b.ReportMetric(float64(ours)/float64(naive), "of-naive")
		})
	}
}

// BenchmarkTimeByScalar prints how much longer a multiplication by a random
// number takes than one by 1: about 1.0 for a Secret, whose time must not depend
// on its value, and many times for a Scalar.
func BenchmarkTimeByScalar(b *testing.B) {
	p, k := HashToG1(DSTCapsuleBase, nil), HashToScalar(DSTCapsuleNonce, nil)
	q := HashToG2(DSTIdentity, nil).ConstantTime()
	c, one := p.ConstantTime(), NewScalar(1)
	for _, op := range []struct {
		name        string
		small, full func()
	}{
		{"secret/G1", func() { c.Mul(NewSecret(1)) }, func() { c.Mul(SecretFrom(k)) }},
		{"secret/G2", func() { q.Mul(NewSecret(1)) }, func() { q.Mul(SecretFrom(k)) }},
		{"scalar/G1", func() { p.Mul(one) }, func() { p.Mul(k) }},
	} {
		b.Run(op.name, func(b *testing.B) {
			var small, full time.Duration
			for b.Loop() {
				start := time.Now()
				op.small()
				middle := time.Now()
				op.full()
				small, full = small+middle.Sub(start), full+time.Since(middle)
			}
			b.ReportMetric(float64(full)/float64(small), "random/one")
		})
	}
}
