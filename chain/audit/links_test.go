package audit_test

import (
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// The auditor names the link that is broken, in a block in which nothing else is
// wrong: its bytes are those that all members together could have signed.
func TestAuditorNamesEveryLinkOfItsOwn(t *testing.T) {
	type change = func(p *chain.Proposal, r *chain.Result, h *chain.Header)
	for link, change := range map[string]change{
		"":              func(*chain.Proposal, *chain.Result, *chain.Header) {},
		"height is 99":  func(_ *chain.Proposal, r *chain.Result, h *chain.Header) { h.Height, r.Height = 99, 99 },
		"previous hash": func(_ *chain.Proposal, _ *chain.Result, h *chain.Header) { h.Prev[0] ^= 1 },
		"time":          func(_ *chain.Proposal, r *chain.Result, h *chain.Header) { h.Time, r.Time = h.Time+1, r.Time+1 },
		"proposer is no member": func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) {
			p.Proposer = ledgertest.Public("mallory")
		},
		"hash of the proposal's parent":   func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) { p.Parent[0] ^= 1 },
		"height of the proposal's parent": func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) { p.Height++ },
		"result of transaction 0":         func(_ *chain.Proposal, r *chain.Result, _ *chain.Header) { r.Time++ },
	} {
		c := ledgertest.NewLog(t, 250)
		a, err := audit.New(c.Founding, c.Founding, &c.Genesis)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range c.Blocks {
			if err := a.Block(b); err != nil {
				t.Fatal(err)
			}
		}
		err = a.Block(forge(t, c, change))
		var broken *chain.BrokenError
		if link == "" {
			if err != nil {
				t.Errorf("the block without a fault: %v", err)
			}
			continue
		}
		if !errors.As(err, &broken) || broken.Link != link || broken.Height != c.Head.Header.Height+1 {
			t.Errorf("%s: %v", link, err)
		}
	}
}

// The chain id is compared in the header and in the proposal, and so is the version
// of the header.
func TestAuditorComparesTheChainInHeaderAndProposal(t *testing.T) {
	for name, change := range map[string]func(b *chain.Block){
		"chain of the header":   func(b *chain.Block) { b.Header.Chain = "other.example" },
		"chain of the proposal": func(b *chain.Block) { b.Proposal.Chain = "other.example" },
		"name of the header":    func(b *chain.Block) { b.Header.Name = "ward/v2/header" },
	} {
		c := ledgertest.NewLog(t, 1)
		a, err := audit.New(c.Founding, c.Founding, &c.Genesis)
		if err != nil {
			t.Fatal(err)
		}
		b := forge(t, ledgertest.NewLog(t, 0), func(*chain.Proposal, *chain.Result, *chain.Header) {})
		change(b)
		var broken *chain.BrokenError
		if err := a.Block(b); !errors.As(err, &broken) || broken.Link != "chain id" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func tlogProof(now, before *chain.Checkpoint, c *ledgertest.Chain) (tlog.TreeProof, error) {
	return tlog.ProveTree(int64(now.Size), int64(before.Size), c.Hashes)
}

// A light client that saw a checkpoint is shown another history later. A fork at the
// same height convicts whoever signed both; a rewritten one does not extend what it
// saw; and a stale member's checkpoint is older than it. An auditor who reads the
// blocks sees the first of them that is not the one it was told.
func TestLightClientSeesForkRewriteAndStaleMember(t *testing.T) {
	honest, fork := ledgertest.New(t, nil), ledgertest.New(t, nil)
	run := func(c *ledgertest.Chain, who string) *chain.Checkpoint {
		c.Run(c.Tx(who, "notes", "add", "x"))
		return c.Checkpoint()
	}
	k := honest.Founding
	stale := run(honest, "alice")
	if again := run(fork, "alice"); again.TreeHead != stale.TreeHead {
		t.Fatal("the histories are to begin alike")
	}
	seen, other := run(honest, "bob"), run(fork, "mallory")
	rewritten := run(fork, "mallory")

	one := func(cp *chain.Checkpoint) *chain.Checkpoint {
		return &chain.Checkpoint{TreeHead: cp.TreeHead, Signatures: cp.Signatures[:1]}
	}
	e := chain.Evidence{First: one(seen), Second: one(other)}
	if who, err := e.Verify(k); err != nil || who != k.Members[0].Name {
		t.Errorf("fork: convicts %q, %v", who, err)
	}
	extends := func(now, before *chain.Checkpoint, c *ledgertest.Chain) error {
		proof, err := tlogProof(now, before, c)
		if err != nil {
			return err
		}
		return now.CheckExtends(before.TreeHead, proof)
	}
	if err := extends(seen, stale, honest); err != nil {
		t.Errorf("the same history, longer: %v", err)
	}
	if err := extends(rewritten, seen, fork); err == nil {
		t.Error("rewritten history extends the one that was seen")
	}
	if err := stale.CheckExtends(seen.TreeHead, nil); err == nil {
		t.Error("stale head extends a newer one")
	}
	a, err := audit.New(k, k, &honest.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	var broken *chain.BrokenError
	for i, b := range fork.Blocks {
		if err := a.Block(b); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue
		}
		if err := a.Checkpoint(seen); !errors.As(err, &broken) || broken.Height != 2 {
			t.Errorf("auditor who holds the certified head: %v", err)
		}
		break
	}
}
