// Package dkg measures the making of distributed keys: Ward's ceremony beside
// the protocols of kyber v3 and v4, on the same curve.
package dkg

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/dkg"
)

// Suite returns the suite "dkg".
func Suite() *suite.Suite {
	return &suite.Suite{
		Name: "dkg", Title: "Distributed key generation", Serial: true, Run: run,
		Quick: 15 * time.Second, Full: 110 * time.Second,
		Text: "An honest run among n nodes in one process; times are those of all nodes together, divided by n. All groups are G1 of BLS12-381, " +
			"multiplied in constant time by CIRCL: kyber v3.1.0 through Ward's adapter, kyber v4 with its own. " +
			"Ward's time includes what kyber leaves to its caller: a log of signed messages, proofs of possession, a commitment before the deal, and a confirmation " +
			"of the outcome by threshold signature. Kyber makes one key per run, so for both keys of a consortium it runs twice. " +
			"Both protocols of kyber assume a reliable broadcast that they do not provide; Ward's uses the log. Signatures on kyber v4's messages are verified, as its own protocol runner does. " +
			"The bytes are those of the messages, each counted once.",
	}
}

const (
	ward    = "Ward"
	kyberV3 = "kyber v3"
	kyberV4 = "kyber v4"

	// wardAlone is how many nodes are too many for kyber to make keys for within
	// a reasonable time: v3 takes a minute for one run.
	wardAlone = 31
)

func run(ctx context.Context, r *suite.Run) error {
	r.Version(report.Version{Name: kyberV3, Version: measure.ModuleVersion("go.dedis.ch/kyber/v3"), Licence: "MPL-2.0 (its protocol links go.dedis.ch/protobuf, GPL-3.0)", Note: "linked into the benchmark, share/dkg/pedersen"})
	r.Version(report.Version{Name: kyberV4, Version: measure.ModuleVersion("go.dedis.ch/kyber/v4"), Licence: "MPL-2.0", Note: "linked into the benchmark, share/dkg/pedersen, FastSync"})
	for _, part := range []struct {
		keys        int
		name, title string
		sizes       []int
	}{
		{1, "checkpoint-key", "The checkpoint key alone, per node", suite.Pick(r, []int{4}, []int{4, 7})},
		{2, "both-keys", "Both keys of a consortium, per node", suite.Pick(r, []int{4, 7}, []int{4, 7, 13, wardAlone})},
	} {
		s := r.Section(report.Section{
			Name: part.name, Title: part.title, Param: "nodes", Base: ward,
			Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogY: true},
		})
		if err := section(ctx, s, part.keys, part.sizes, suite.Pick(r, 3, 5)); err != nil {
			return err
		}
		for _, n := range part.sizes {
			if n >= wardAlone {
				continue
			}
			for _, peer := range []string{kyberV3, kyberV4} {
				err := s.Ratio("cpu", suite.Ref{Operation: "make keys", System: ward, At: float64(n)}, suite.Ref{Operation: "make keys", System: peer, At: float64(n)}, report.Ratio{
					Name: fmt.Sprintf("%s, %d nodes: Ward / %s", part.name, n, peer), Text: "cost per node; less is better", Bar: 1, Margin: 0.3,
				})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func section(ctx context.Context, s *suite.Section, keys int, sizes []int, rounds int) error {
	var cases []suite.Case
	for _, n := range sizes {
		secrets := secretsOf(n)[:keys]
		sent := map[string]int{}
		for _, system := range []struct {
			name string
			run  func() (int, error)
		}{
			{ward, func() (int, error) { return wardRun(nodesOf(n), secrets) }},
			{kyberV3, func() (int, error) { return each(secrets, func(t int) (int, error) { return kyber3Run(n, t) }) }},
			{kyberV4, func() (int, error) { return each(secrets, func(t int) (int, error) { return kyber4Run(n, t) }) }},
		} {
			if system.name != ward && n >= wardAlone {
				continue
			}
			cases = append(cases, suite.Case{Operation: "make keys", System: system.name, At: float64(n), Run: func(times int) (measure.Spent, error) {
				start := measure.Now()
				for range times {
					bytes, err := system.run()
					if err != nil {
						return measure.Spent{}, err
					}
					sent[system.name] = bytes
				}
				return start.Spent(n * times), nil
			}})
		}
		defer func() {
			for _, name := range []string{ward, kyberV3, kyberV4} {
				if bytes := sent[name]; bytes > 0 {
					s.Add(report.Row{Operation: "make keys", System: name, At: float64(n), Quantity: "messages", Unit: "B", Samples: []float64{float64(bytes)}})
				}
			}
		}()
	}
	return s.MeasureFor(ctx, measure.Options{Rounds: rounds}, cases...)
}

func each(secrets []dkg.Secret, f func(threshold int) (int, error)) (bytes int, err error) {
	for _, s := range secrets {
		n, err := f(s.Threshold)
		if err != nil {
			return 0, err
		}
		bytes += n
	}
	return bytes, nil
}

func secretsOf(n int) []dkg.Secret {
	return []dkg.Secret{
		{Use: dkg.UseCheckpoint, Threshold: (n+dkg.Faults(n))/2 + 1},
		{Use: dkg.UseIdentity, Threshold: dkg.DefaultThreshold(n)},
	}
}

func nodesOf(n int) []ed25519.PrivateKey {
	nodes := make([]ed25519.PrivateKey, n)
	for i := range nodes {
		seed := sha256.Sum256([]byte{byte(i)})
		nodes[i] = ed25519.NewKeyFromSeed(seed[:])
	}
	return nodes
}

// wardRun makes the keys of a ceremony honestly and returns the bytes sent.
func wardRun(nodes []ed25519.PrivateKey, secrets []dkg.Secret) (sent int, err error) {
	window := dkg.Window{Positions: 10_000}
	c := &dkg.Ceremony{
		Chain: "bench", Generation: 1, Members: make([]ed25519.PublicKey, len(nodes)), Secrets: secrets,
		Join: window, Deal: window, Complain: window, Confirm: window,
	}
	for i, key := range nodes {
		c.Members[i] = key.Public().(ed25519.PublicKey)
	}
	machines := make([]*dkg.Machine, len(nodes))
	for i := range machines {
		if machines[i], err = dkg.New(c, c.Members[i], nil, nil); err != nil {
			return 0, err
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
				sent += len(raw)
				for _, reader := range machines {
					if err := reader.Step(at, raw); err != nil {
						return 0, err
					}
				}
			}
		}
		if silent {
			at.Position += 10_000
		}
		for _, m := range machines {
			if err := m.Tick(at); err != nil {
				return 0, err
			}
		}
	}
	if machines[0].Phase() != dkg.PhaseComplete {
		return 0, machines[0].Abort()
	}
	return sent, nil
}
