//go:build unix

package dkg

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ward-health/ward/internal/pairing"
)

// prices are the costs of the primitive operations, measured in the same run.
type prices struct {
	base, secret, parse, public, fixed, sum, sumG1, sumG2, secretG2, hashG2, parseG2, pair, verify time.Duration
}

// cpu returns the processor time that the process has used. Benchmarks of this
// file compare processor times, so that a busy machine does not distort them.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (r *run) price(f func()) time.Duration {
	b := r.t.(*testing.B)
	const times = 30
	begin := cpu(b)
	for range times {
		f()
	}
	return (cpu(b) - begin) / times
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// measure runs a node's work and the price of its operations in turn, and
// reports the medians of both and their ratio.
func (r *run) measure(b *testing.B, secrets int) {
	r.t = b
	var ours, floors []time.Duration
	for b.Loop() {
		b.StopTimer()
		floors = append(floors, r.floor(r.measurePrices()))
		begin := cpu(b)
		b.StartTimer()
		r.node1(b)
		b.StopTimer()
		ours = append(ours, cpu(b)-begin)
		b.StartTimer()
	}
	b.ReportMetric(float64(median(ours).Nanoseconds()), "cpu-ns/op")
	b.ReportMetric(float64(median(floors).Nanoseconds()), "floor-ns/op")
	b.ReportMetric(float64(median(ours))/float64(median(floors)), "ratio")
	if secrets > 0 {
		b.ReportMetric(float64(median(ours).Nanoseconds())/float64(secrets), "cpu-ns/secret")
	}
}

func (r *run) measurePrices() prices {
	b, price := r.t, r.price
	s, k := generateSecret(b), generateSecret(b).Publish()
	g1, g2 := pairing.HashToG1(pairing.DSTCapsuleBase, []byte("g1")), pairing.HashToG2(pairing.DSTIdentity, []byte("g2"))
	raw1, raw2 := g1.Bytes(), g2.Bytes()
	key := newNode("price").key
	sig, public := ed25519.Sign(key, raw1[:]), key.Public().(ed25519.PublicKey)
	// One batch over everything that is dealt, one over all confirmations.
	n := len(r.p.Members)
	points, points2, weights := make([]pairing.G1, n*len(r.p.Secrets)), make([]pairing.G2, n), make([]pairing.Scalar, n*len(r.p.Secrets))
	draw := new(weigher)
	for i := range points {
		points[i], points2[i%n], weights[i] = g1, g2, draw.weight()
	}
	pairing.MulGenerator(k) // builds its table
	return prices{
		base:     price(func() { pairing.GeneratorG1ConstantTime().Mul(s) }),
		secret:   price(func() { s.MulG1(g1) }),
		parse:    price(func() { pairing.ParseG1(raw1[:]) }),
		public:   price(func() { g1.Mul(k) }),
		fixed:    price(func() { pairing.MulGenerator(k) }),
		sum:      price(func() { pairing.MultiMul(points, weights) }),
		sumG1:    price(func() { pairing.MultiMul(points[:n], weights[:n]) }),
		sumG2:    price(func() { pairing.MultiMulG2(points2, weights[:n]) }),
		secretG2: price(func() { s.MulG2(g2) }),
		hashG2:   price(func() { pairing.HashToG2(pairing.DSTSignature, raw1[:]) }),
		parseG2:  price(func() { pairing.ParseG2(raw2[:]) }),
		pair:     price(func() { pairing.PairingsEqual(g1, g2, g1, g2) }),
		verify:   price(func() { ed25519.Verify(public, raw1[:], sig) }),
	}
}

// floor prices what a node cannot avoid in an honest ceremony, counting its
// own part once and its n−1 peers' (or old members') parts each.
func (r *run) floor(p prices) time.Duration {
	n, coefficients, secrets := len(r.p.Members), 0, len(r.p.Secrets)
	for _, s := range r.p.Secrets {
		coefficients += s.Threshold
	}
	known := secrets + 1 // constant terms and E, whose knowledge is proven
	if r.p.reshares() {
		coefficients -= secrets // constant terms are known and not parsed
		known = 1
	}
	peers := time.Duration(n - 1)
	join := 2*p.base + peers*(p.parse+p.fixed+p.public+p.verify)
	deal := time.Duration(coefficients+2)*p.base + peers*p.secret // commitments, E, nonce; seal
	take := peers * (time.Duration(coefficients+1)*p.parse + p.fixed + time.Duration(known)*p.public + p.verify)
	open := peers*p.secret + 2*p.base + p.sum // the shares, and their sum
	decisions := time.Duration(1)
	if r.p.reshares() {
		decisions = 2 // active, then complete
	}
	confirm := p.hashG2 + p.secretG2 + peers*(p.parseG2+p.verify) + p.sumG1 + p.sumG2 + decisions*p.pair
	return join + deal + take + open + confirm
}

// node1 is the whole work of the first participant on a recorded log.
func (r *run) node1(b testing.TB) *Machine {
	m := r.start(1, "")
	for _, e := range r.log {
		m.Pending()
		if e.raw == nil {
			if err := m.Tick(e.at); err != nil {
				b.Fatal(err)
			}
		} else if err := m.Step(e.at, e.raw); err != nil {
			b.Fatal(err)
		}
	}
	if m.Phase() != PhaseComplete || m.secrets.shares == nil {
		b.Fatalf("the replay ends in phase %v", m.Phase())
	}
	return m
}

// BenchmarkNode measures one node's work in an honest ceremony over both keys,
// beside the price of the operations it cannot avoid.
func BenchmarkNode(b *testing.B) {
	for _, n := range []int{4, 7, 13, 31} {
		nodes := newNodes(1, n)
		first := newRun(b, freshCeremony(nodes), nodes)
		first.finish()
		before := first.result()
		second := newRun(b, reshareCeremony(first.c, before, nil, nodes), nodes)
		second.finish()
		for name, r := range map[string]*run{"fresh": first, "reshare": second} {
			b.Run(fmt.Sprintf("%s/n=%d", name, n), func(b *testing.B) {
				r.measure(b, 0)
			})
		}
	}
}

// BenchmarkGrants measures a reshare that carries grants along, per grant.
func BenchmarkGrants(b *testing.B) {
	nodes := newNodes(1, 7)
	first := newRun(b, freshCeremony(nodes), nodes)
	first.finish()
	before := first.result()
	for _, grants := range []int{0, 1, 10, 100} {
		c := reshareCeremony(first.c, before, nil, nodes)
		for i := range grants {
			c.Secrets = append(c.Secrets, grantFor(b, nodes, c, fmt.Sprintf("grant-%04d", i)))
		}
		r := newRun(b, c, nodes)
		r.finish()
		b.Run(fmt.Sprintf("n=7/grants=%d", grants), func(b *testing.B) {
			r.measure(b, grants+2)
		})
	}
}
