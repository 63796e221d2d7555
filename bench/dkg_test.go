//go:build unix

// Package bench measures Ward beside other software. It is a module of its own,
// so that nothing here reaches those who use Ward: kyber's protocol, for one,
// depends on a library under the GPL.
package bench

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.dedis.ch/kyber/v3"
	kyberdkg "go.dedis.ch/kyber/v3/share/dkg/pedersen"
	"go.dedis.ch/kyber/v3/util/random"
	"go.dedis.ch/kyber/v3/xof/blake2xb"

	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/internal/pairing"
)

// cpu returns the processor time that the process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// wardRun makes the keys of a ceremony honestly, and returns the time of all
// nodes together.
func wardRun(b *testing.B, nodes []ed25519.PrivateKey, secrets []dkg.Secret) time.Duration {
	b.Helper()
	window := dkg.Window{Positions: 10_000}
	c := &dkg.Ceremony{
		Chain: "bench", Generation: 1, Members: make([]ed25519.PublicKey, len(nodes)), Secrets: secrets,
		Join: window, Deal: window, Complain: window, Confirm: window,
	}
	for i, key := range nodes {
		c.Members[i] = key.Public().(ed25519.PublicKey)
	}
	begin := cpu(b)
	machines := make([]*dkg.Machine, len(nodes))
	for i := range machines {
		var err error
		if machines[i], err = dkg.New(c, c.Members[i], nil, nil); err != nil {
			b.Fatal(err)
		}
	}
	var at dkg.Point
	for machines[0].Phase() < dkg.PhaseActive {
		silent := true
		for i, m := range machines {
			for _, msg := range m.Pending() {
				silent = false
				at.Position++
				raw := msg.Sign(nodes[i])
				for _, reader := range machines {
					if err := reader.Step(at, raw); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		if silent {
			at.Position += 10_000
		}
		for _, m := range machines {
			if err := m.Tick(at); err != nil {
				b.Fatal(err)
			}
		}
	}
	if machines[0].Phase() != dkg.PhaseComplete {
		b.Fatal(machines[0].Abort())
	}
	return cpu(b) - begin
}

// kyberSuite makes Ward's adapter what kyber's protocol needs.
type kyberSuite struct{ kyber.Group }

func (kyberSuite) Hash() hash.Hash             { return sha256.New() }
func (kyberSuite) XOF(seed []byte) kyber.XOF   { return blake2xb.New(seed) }
func (kyberSuite) RandomStream() cipher.Stream { return random.New() }

// kyberRun makes one key with kyber's own Pedersen protocol, honestly, and
// returns the time of all nodes together.
func kyberRun(b *testing.B, n, threshold int) time.Duration {
	b.Helper()
	suite := kyberSuite{pairing.KyberG1()}
	secrets, public := make([]kyber.Scalar, n), make([]kyber.Point, n)
	for i := range secrets {
		secrets[i] = suite.Scalar().Pick(suite.RandomStream())
		public[i] = suite.Point().Mul(secrets[i], nil)
	}
	begin := cpu(b)
	nodes := make([]*kyberdkg.DistKeyGenerator, n)
	for i := range nodes {
		var err error
		if nodes[i], err = kyberdkg.NewDistKeyGenerator(suite, secrets[i], public, threshold); err != nil {
			b.Fatal(err)
		}
	}
	var responses []*kyberdkg.Response
	for i, node := range nodes {
		deals, err := node.Deals()
		if err != nil {
			b.Fatal(err)
		}
		for to, deal := range deals {
			response, err := nodes[to].ProcessDeal(deal)
			if err != nil {
				b.Fatalf("deal %d to %d: %v", i, to, err)
			}
			responses = append(responses, response)
		}
	}
	for _, response := range responses {
		for i, node := range nodes {
			if uint32(i) == response.Response.Index {
				continue
			}
			if _, err := node.ProcessResponse(response); err != nil {
				b.Fatal(err)
			}
		}
	}
	var keys []string
	for _, node := range nodes {
		share, err := node.DistKeyShare()
		if err != nil {
			b.Fatal(err)
		}
		keys = append(keys, share.Public().String())
	}
	if len(slices.Compact(keys)) != 1 {
		b.Fatal("kyber's nodes disagree")
	}
	return cpu(b) - begin
}

// BenchmarkKeyGeneration sets Ward's ceremony beside that of kyber v3.1.0's own
// Pedersen protocol on the same curve and adapter, per node, for the checkpoint
// key alone and for both keys. kyber makes one key per run, so both keys take
// it two runs. Ward's time includes what kyber leaves to its caller: a log of
// signed messages, and a confirmation by threshold signature.
func BenchmarkKeyGeneration(b *testing.B) {
	for _, n := range []int{4, 7, 13} {
		f := dkg.Faults(n)
		both := []dkg.Secret{
			{Use: dkg.UseCheckpoint, Threshold: (n+f)/2 + 1},
			{Use: dkg.UseIdentity, Threshold: dkg.DefaultThreshold(n)},
		}
		nodes := make([]ed25519.PrivateKey, n)
		for i := range nodes {
			seed := sha256.Sum256([]byte{byte(i)})
			nodes[i] = ed25519.NewKeyFromSeed(seed[:])
		}
		for keys := 1; keys <= 2; keys++ {
			b.Run(fmt.Sprintf("keys=%d/n=%d", keys, n), func(b *testing.B) {
				wardRun(b, nodes, both[:keys]) // builds tables
				var ours, theirs []time.Duration
				for b.Loop() {
					ours = append(ours, wardRun(b, nodes, both[:keys])/time.Duration(n))
					var sum time.Duration
					for _, s := range both[:keys] {
						sum += kyberRun(b, n, s.Threshold) / time.Duration(n)
					}
					theirs = append(theirs, sum)
				}
				b.ReportMetric(float64(median(ours).Nanoseconds()), "ward-cpu-ns/node")
				b.ReportMetric(float64(median(theirs).Nanoseconds()), "kyber-cpu-ns/node")
				b.ReportMetric(float64(median(theirs))/float64(median(ours)), "times")
			})
		}
	}
}
