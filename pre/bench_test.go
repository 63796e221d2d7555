package pre

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/internal/pairing"
)

// Every benchmark here measures an operation a user sees and, in the same loop,
// the primitive operations that no implementation of it can avoid. It reports
// the time of both and their ratio, which is what holds on another machine.

// against alternates op and floor, in rounds long enough to time, and reports
// the median ratio.
func against(b *testing.B, op, floor func()) {
	op()
	floor()
	const rounds = 9
	per := max(1, b.N/rounds)
	var ops, floors, ratios []float64
	b.ResetTimer()
	for range rounds {
		o, f := spell(per, op), spell(per, floor)
		ops, floors, ratios = append(ops, o), append(floors, f), append(ratios, o/f)
	}
	slices.Sort(ops)
	slices.Sort(floors)
	slices.Sort(ratios)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ops[rounds/2], "µs/operation")
	b.ReportMetric(floors[rounds/2], "µs/primitives")
	b.ReportMetric(ratios[rounds/2], "ratio")
}

func spell(n int, f func()) float64 {
	start := time.Now()
	for range n {
		f()
	}
	return float64(time.Since(start).Nanoseconds()) / 1e3 / float64(n)
}

// oneProcessor keeps a benchmark of CPU work from being helped by the others.
func oneProcessor(b *testing.B) {
	before := runtime.GOMAXPROCS(1)
	b.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

type benchmark struct {
	*consortium
	alice, bob Identity
	q, d       pairing.G2 // e(g1, d) = e(P, q)
	h          pairing.G1
	gt         pairing.GT
	pool       []pairing.Scalar
	next       int
	secret     *pairing.Secret
}

// k returns another scalar each time, as the operations use another each time:
// a processor learns the branches of one that comes again and again.
func (m *benchmark) k() pairing.Scalar {
	m.next++
	return m.pool[m.next%len(m.pool)]
}

func newBenchmark(b *testing.B) *benchmark {
	oneProcessor(b)
	c := newConsortium(b, 4, 3)
	alice := c.identity("p-1@north")
	q := alice.typed("lab").point()
	pool := make([]pairing.Scalar, 256)
	for i := range pool {
		pool[i] = pairing.HashToScalar(pairing.DSTCapsuleNonce, []byte{byte(i)})
	}
	return &benchmark{c, alice, c.identity("dr.lee@south"), q, c.extract(alice, "lab").d, pairing.HashToG1(pairing.DSTCapsuleBase, []byte("h")),
		pairing.Pair(alice.Key.g, q), pool, 0, pairing.SecretFrom(pool[0])}
}

func BenchmarkEncapsulateWarm(b *testing.B) {
	for _, typ := range []Type{"", "lab/hematology/cbc"} {
		b.Run(fmt.Sprintf("levels=%d", len(typ.Levels())), func(b *testing.B) {
			m := newBenchmark(b)
			h := Header{Record: "r", Owner: m.alice, Type: typ, Author: "lab@south"}
			index := make([]byte, 200)
			against(b, func() { m.writer.Encapsulate(h, index) }, func() {
				pairing.MulGenerator(m.k()) // U
				pairing.MulGenerator(m.k()) // R
				pairing.HashToG1(pairing.DSTCapsuleBase, index)
				m.h.Mul(m.k()) // Ubar
				m.h.Mul(m.k()) // Rbar
				for range typ.Levels() {
					m.gt.Exp(m.k())
				}
			})
		})
	}
}

func BenchmarkEncapsulateCold(b *testing.B) {
	m := newBenchmark(b)
	h := Header{Record: "r", Owner: m.alice, Type: "lab", Author: "lab@south"}
	against(b, func() { new(Encapsulator).Encapsulate(h, nil) }, func() {
		pairing.MulGenerator(m.k())
		pairing.MulGenerator(m.k())
		pairing.HashToG1(pairing.DSTCapsuleBase, nil)
		m.h.Mul(m.k())
		m.h.Mul(m.k())
		for range 2 {
			m.gt.Exp(m.k())
			pairing.Pair(m.h, pairing.HashToG2(pairing.DSTIdentity, nil))
		}
	})
}

func BenchmarkVerifyEnvelope(b *testing.B) {
	m := newBenchmark(b)
	r, _ := m.put(m.alice, "lab", "x")
	against(b, func() { r.envelope.Verify(r.header) }, m.verifyFloor)
}

func (m *benchmark) verifyFloor() {
	pairing.MulGenerator(m.k())
	m.h.Mul(m.k())
	pairing.HashToG1(pairing.DSTCapsuleBase, nil)
	pairing.JointMul(m.h, m.k(), m.h, m.k())
}

// BenchmarkVerifyBatch compares a batch with checking one by one, per envelope
// and with all processors.
func BenchmarkVerifyBatch(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		for _, procs := range []int{1, runtime.NumCPU()} {
			b.Run(fmt.Sprintf("n=%d/procs=%d", n, procs), func(b *testing.B) {
				m := newBenchmark(b)
				r, _ := m.put(m.alice, "lab", "x")
				envelopes, headers := make([]*Envelope, n), make([]Header, n)
				for i := range envelopes {
					headers[i] = Header{Record: fmt.Sprint(i), Owner: m.alice, Type: "lab", Author: "lab@south"}
					envelopes[i], _, _ = m.writer.Encapsulate(headers[i], nil)
				}
				runtime.GOMAXPROCS(procs)
				var batch, single []float64
				b.ResetTimer()
				for range max(5, b.N) {
					batch = append(batch, spell(1, func() { VerifyBatch(nil, envelopes, headers) })/float64(n))
					single = append(single, spell(20, func() { r.envelope.Verify(r.header) }))
				}
				slices.Sort(batch)
				slices.Sort(single)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(batch[len(batch)/2], "µs/envelope")
				b.ReportMetric(single[len(single)/2], "µs/single")
				b.ReportMetric(single[len(single)/2]/batch[len(batch)/2], "times-faster")
			})
		}
	}
}

func BenchmarkGrant(b *testing.B) {
	m := newBenchmark(b)
	key, terms := m.extract(m.alice, "lab"), m.terms("g")
	g1 := pairing.GeneratorG1ConstantTime()
	against(b, func() { key.Grant(terms, m.bob) }, func() {
		for range terms.Threshold {
			g1.Mul(m.secret) // commitments
		}
		pairing.HashToG2(pairing.DSTIdentity, nil)
		m.secret.MulG2(m.q) // w₀·Q
		pairing.HashToG2(pairing.DSTIdentity, nil)
		pairing.Pair(m.h, m.q) // the recipient's inbox
		m.gt.Exp(m.k())
		pairing.MulGenerator(m.k())
	})
}

func BenchmarkAcceptShare(b *testing.B) {
	m := newBenchmark(b)
	g, shares, err := m.extract(m.alice, "lab").Grant(m.terms("g"), m.bob)
	must(b, err)
	g1 := pairing.GeneratorG1ConstantTime()
	against(b, func() { shares[0].Check(g.Sharing()) }, func() { g1.Mul(m.secret) })
}

// answering returns a delegation, its shares and an access to n records.
func (m *benchmark) answering(n int) (*Delegation, []*Share, *Access) {
	d, shares := m.consortium.grant(m.alice, "lab", m.bob)
	var records []*Record
	for i := range n {
		r, _ := m.put(m.alice, "lab", fmt.Sprint(i))
		records = append(records, r)
	}
	a, _ := m.access(records...)
	return d, shares, a
}

func BenchmarkReencrypt(b *testing.B) {
	g1 := pairing.GeneratorG1ConstantTime()
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			m := newBenchmark(b)
			d, shares, a := m.answering(n)
			points, weights := a.capsules(), weights([32]byte{}, n)
			against(b, func() { shares[0].Reencrypt(d.Grant(), d.Grant().Sharing(), a) }, func() {
				for range n {
					m.secret.MulG1(m.h) // with the conversion to constant time
				}
				g1.Mul(m.secret)
				if n == 1 {
					g1.Mul(m.secret)
				} else {
					m.secret.MulG1(m.h)
					pairing.MultiMul(points, weights)
					pairing.MultiMul(points, weights)
				}
			})
		})
	}
}

// BenchmarkReencryptBesidePairing shows that an answer with its proof costs a
// member less than one pairing in the same constant-time library would.
func BenchmarkReencryptBesidePairing(b *testing.B) {
	m := newBenchmark(b)
	d, shares, a := m.answering(1)
	against(b, func() { shares[0].Reencrypt(d.Grant(), d.Grant().Sharing(), a) }, func() { pairing.ConstantTimePair(m.h, m.q) })
}

func BenchmarkVerifyAnswer(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			m := newBenchmark(b)
			d, shares, a := m.answering(n)
			g := d.Grant()
			ans := answers(b, g, g.Sharing(), a, shares[0])[0]
			points, weights := a.capsules(), weights([32]byte{}, n)
			against(b, func() { ans.Verify(g, g.Sharing(), a) }, func() {
				if n > 1 {
					pairing.MultiMul(points, weights)
					pairing.MultiMul(points, weights)
				}
				pairing.MulGenerator(m.k())
				m.h.Mul(m.k())
				pairing.JointMul(m.h, m.k(), m.h, m.k())
			})
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			m := newBenchmark(b)
			d, shares, a := m.answering(n)
			got := answers(b, d.Grant(), d.Grant().Sharing(), a, shares[:3]...)
			half, q := m.q.Prepare(), pairing.GeneratorG2().Prepare()
			against(b, func() { d.Open(d.Grant().Sharing(), a, got) }, func() {
				for range n {
					half.PairProduct(m.h, m.h, q)
					pairing.MulGenerator(m.k()) // U commits to the record key
				}
			})
		})
	}
}

func BenchmarkOpenOwn(b *testing.B) {
	m := newBenchmark(b)
	r, _ := m.put(m.alice, "lab", "x")
	key := m.extract(m.alice, "lab")
	against(b, func() { key.OpenRecord(r) }, func() {
		pairing.Pair(m.h, m.q)
		pairing.MulGenerator(m.k())
	})
}

func BenchmarkAcceptGrant(b *testing.B) {
	m := newBenchmark(b)
	g, _, err := m.extract(m.alice, "lab").Grant(m.terms("g"), m.bob)
	must(b, err)
	key, half := m.extract(m.bob, inbox), m.q.Bytes()
	against(b, func() { g.Open(key) }, func() {
		pairing.Pair(m.h, m.q)      // open the seal
		pairing.MulGenerator(m.k()) // re-check it
		pairing.ParseG1(g.sealed[:48])
		pairing.ParseG2(half[:])
		pairing.HashToG2(pairing.DSTIdentity, nil)
		pairing.PairingsEqual(pairing.GeneratorG1(), m.d, m.alice.Key.g, m.q)
		m.q.Prepare()
		m.q.Prepare()
	})
}

func BenchmarkPartialKey(b *testing.B) {
	m := newBenchmark(b)
	against(b, func() { m.shares[0].Extract(m.alice, "lab") }, func() {
		pairing.HashToG2(pairing.DSTIdentity, nil)
		m.consortium.secret.MulG2(m.q)
	})
}

func BenchmarkCombineKey(b *testing.B) {
	m := newBenchmark(b)
	var parts []*PartialKey
	var points []pairing.G2
	for _, s := range m.shares[:3] {
		p, _ := s.Extract(m.alice, "lab")
		parts, points = append(parts, p), append(points, p.d)
	}
	l, err := pairing.NewLagrange([]uint8{1, 2, 3})
	must(b, err)
	against(b, func() { m.authority.CombineKey(m.alice, "lab", parts) }, func() {
		pairing.HashToG2(pairing.DSTIdentity, nil)
		l.CombineG2(points)
		pairing.PairingsEqual(pairing.GeneratorG1(), m.d, m.alice.Key.g, m.q)
	})
}
