package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// forge builds a block whose header fits its contents in every hash, as all
// members together could: only what the contents say is wrong.
func forge(t *testing.T, c *ledgertest.Chain, change func(p *chain.Proposal, r *chain.Result, h *chain.Header)) *chain.Block {
	t.Helper()
	e := c.Entry([]*chain.Tx{c.Tx("alice", "notes", "add", "x")}, nil)
	h := c.Head.Header
	h.Prev, h.Height, h.Time = h.Hash(), h.Height+1, c.Now.UnixMilli()
	b := &chain.Block{Proposal: e.Proposal, Header: h, Results: []chain.Result{chain.NewResult(h.Height, h.Time, "", nil, nil)}}
	proposer := map[chain.PublicKey]string{ledgertest.Public("east"): "east", ledgertest.Public("mallory"): "mallory"}
	change(&b.Proposal, &b.Results[0], &b.Header)
	if err := b.Proposal.Sign(ledgertest.Key(proposer[b.Proposal.Proposer])); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.Header.Proposal, err = b.Proposal.Hash(); err != nil {
		t.Fatal(err)
	}
	leaves, err := b.Leaves()
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := c.Head.Tree.Append(leaves[0], nil)
	b.Header.Size, b.Header.Root = tree.Size(), tree.Root()
	return b
}

// Even a block that every member certifies must obey the rules that can be
// checked without running the contracts.
func TestAuditorSeesThroughCollusion(t *testing.T) {
	audit := func(change func(p *chain.Proposal, r *chain.Result, h *chain.Header)) error {
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
		return a.Block(forge(t, c, change))
	}
	if err := audit(func(*chain.Proposal, *chain.Result, *chain.Header) {}); err != nil {
		t.Fatalf("the block without a fault: %v", err)
	}
	c := ledgertest.NewLog(t, 1)
	with := func(tx []byte) func(*chain.Proposal, *chain.Result, *chain.Header) {
		return func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) { p.Txs[0] = tx }
	}
	forged := slices.Clone(c.Tx("alice", "notes", "add", "x").Bytes())
	forged[len(forged)-1] ^= 1
	code := func(code chain.Code) func(*chain.Proposal, *chain.Result, *chain.Header) {
		return func(_ *chain.Proposal, r *chain.Result, _ *chain.Header) { r.Code = code }
	}
	for name, change := range map[string]func(*chain.Proposal, *chain.Result, *chain.Header){
		"forged signature accepted":   with(forged),
		"no transaction accepted":     with([]byte("nothing")),
		"foreign transaction":         with(c.TxWith("alice", chain.TxBody{Chain: "other.example", Contract: "notes", Method: "add"}).Bytes()),
		"expired transaction":         with(c.TxWith("alice", chain.TxBody{Contract: "notes", Method: "add", NotAfter: 1}).Bytes()),
		"transaction of a far future": with(c.TxWith("alice", chain.TxBody{Contract: "notes", Method: "add", NotAfter: 1 << 60}).Bytes()),
		"unendorsed consortium":       with(c.Tx("alice", chain.SystemContract, chain.ConsortiumMethod, []byte{0x80}).Bytes()),
		"consortium by no method":     with(c.Tx("alice", chain.SystemContract, "anything", endorsedChange(t, c)).Bytes()),
		"good signature denied":       code(chain.ErrSignature),
		"good transaction expired":    code(chain.ErrExpired),
		"good transaction malformed":  code(chain.ErrMalformed),
		"result of another height":    func(_ *chain.Proposal, r *chain.Result, _ *chain.Header) { r.Height++ },
		"result of another time":      func(_ *chain.Proposal, r *chain.Result, _ *chain.Header) { r.Time++ },
		"time of nobody":              func(_ *chain.Proposal, r *chain.Result, h *chain.Header) { h.Time++; r.Time++ },
		"leader is no member":         func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) { p.Proposer = ledgertest.Public("mallory") },
		"leader saw another history":  func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) { p.Parent[0] ^= 1 },
		"parent to come":              func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) { p.Height++ },
		"parent of another round":     func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) { p.Height += chain.MaxParentAge },
		"height skipped":              func(_ *chain.Proposal, r *chain.Result, h *chain.Header) { h.Height++; r.Height++ },
		"another previous block":      func(_ *chain.Proposal, _ *chain.Result, h *chain.Header) { h.Prev[0] ^= 1 },
		"proposal of another chain":   func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) { p.Chain = "other.example" },
	} {
		var broken *chain.BrokenError
		if err := audit(change); !errors.As(err, &broken) {
			t.Errorf("%s: %v, want BrokenError", name, err)
		}
	}
}

// The proposer's own signature is checked too.
func TestAuditorChecksTheProposersSignature(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	a, err := audit.New(c.Founding, c.Founding, &c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	c.Blocks[0].Proposal.Signature[0] ^= 1 // no hash covers it
	var broken *chain.BrokenError
	if err := a.Block(c.Blocks[0]); !errors.As(err, &broken) || broken.Link != "proposer's signature" {
		t.Errorf("%v, want a broken signature", err)
	}
}

func TestProposalMayNameAnOldParentUpToALimit(t *testing.T) {
	c := ledgertest.NewLog(t, 0)
	for range 40 {
		c.Run(c.Tx("alice", "notes", "add", "x"))
	}
	a, err := audit.New(c.Founding, c.Founding, &c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range c.Blocks {
		if err := a.Block(b); err != nil {
			t.Fatal(err)
		}
	}
	age := func(n uint64) error {
		b := *a
		return b.Block(forge(t, c, func(p *chain.Proposal, _ *chain.Result, _ *chain.Header) {
			p.Height = 41 - n
			p.Parent = c.Blocks[p.Height-1].Header.Hash()
		}))
	}
	if err := age(chain.MaxParentAge); err != nil {
		t.Errorf("oldest parent allowed: %v", err)
	}
	if age(chain.MaxParentAge+1) == nil {
		t.Error("older parent is accepted")
	}
}

// A checkpoint belongs to one block, however many members signed it.
func TestAuditorTiesCheckpointsToTheirBlocks(t *testing.T) {
	c := ledgertest.NewLog(t, 100)
	first := c.Checkpoint()
	c.Run(c.Tx("alice", "notes", "add", "x"))
	a, err := audit.New(c.Founding, c.Founding, &c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Block(c.Blocks[0]), a.Checkpoint(first), a.Finish(), a.Block(c.Blocks[1])); err != nil {
		t.Fatal(err)
	}
	var broken *chain.BrokenError
	if err := a.Checkpoint(first); !errors.As(err, &broken) || broken.Height != 2 {
		t.Errorf("checkpoint of the block before: %v", err)
	}
	good := c.Head.Header
	c.Head.Header.State[0] ^= 1
	forked := c.Checkpoint()
	c.Head.Header = good
	if err := c.Consortium.Verify(forked); err != nil {
		t.Fatal(err)
	}
	if err := a.Checkpoint(forked); !errors.As(err, &broken) || broken.Height != 2 {
		t.Errorf("certified checkpoint of another history: %v", err)
	}
	if err := a.Finish(); !errors.Is(err, chain.ErrUncertified) {
		t.Errorf("head without a checkpoint: %v", err)
	}
	if err := errors.Join(a.Checkpoint(c.Checkpoint()), a.Finish()); err != nil {
		t.Error(err)
	}
}

// The members in force at a block certify it, also when it replaces them.
func TestOutgoingMembersCertifyTheChange(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	next := *c.Consortium
	next.Members = slices.Clone(next.Members)
	founding, err := next.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next.Epoch, next.Founding = 1, founding
	next.Members[0].NodeKey, next.Members[1].NodeKey = ledgertest.Public("east-2"), ledgertest.Public("north-2")
	var es []chain.Endorsement
	for _, m := range []string{"east", "north", "south"} {
		es = append(es, ledgertest.Endorsement(t, &next, m, m))
	}
	args, err := chain.NextConsortium(&next, es)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Run(c.Tx("anybody", chain.SystemContract, chain.ConsortiumMethod, args)); r[0].Code != "" {
		t.Fatal(r[0].Code)
	}
	head := c.Head.Header.TreeHead()
	incoming := &chain.Checkpoint{TreeHead: head}
	for member, key := range map[string]string{"east": "east-2", "north": "north-2", "south": "south"} {
		s, err := next.Cosign(head, member, c.Now.Unix(), ledgertest.Key(key))
		if err != nil {
			t.Fatal(err)
		}
		incoming.Signatures = append(incoming.Signatures, s)
	}
	if err := ledgertest.VerifyExport(c.Export(), c.Founding); err != nil {
		t.Errorf("certified by the outgoing members: %v", err)
	}
	c.Checkpoints[head.Height] = incoming
	if ledgertest.VerifyExport(c.Export(), c.Founding) == nil {
		t.Error("certified by the incoming members only")
	}
}

func TestAuditorChecksGenesis(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	for name, change := range map[string]func(h *chain.Header){
		"time":     func(h *chain.Header) { h.Time++ },
		"previous": func(h *chain.Header) { h.Prev[0] ^= 1 },
		"root":     func(h *chain.Header) { h.Root[0] ^= 1 },
		"height":   func(h *chain.Header) { h.Height++ },
		"chain":    func(h *chain.Header) { h.Chain = "other.example" },
	} {
		h := c.Genesis
		change(&h)
		var broken *chain.BrokenError
		if _, err := audit.New(c.Founding, c.Founding, &h); !errors.As(err, &broken) {
			t.Errorf("%s: %v, want BrokenError", name, err)
		}
	}
}

func TestSidecarsInAnExportHaveOneOrder(t *testing.T) {
	c := ledgertest.NewLog(t, 0)
	s, err := chain.NewSidecar([]byte("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	tx := func() *chain.Tx {
		return c.TxWith("bob", chain.TxBody{Contract: "notes", Method: "add", Sidecar: s})
	}
	data := []byte("sealed")
	c.Apply(c.Entry([]*chain.Tx{tx(), tx()}, [][]byte{data, data}))
	export := func(order ...uint64) []byte {
		var b bytes.Buffer
		w, err := audit.NewExporter(&b, c.Founding, &c.Genesis)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Block(c.Blocks[0])
		for _, i := range order {
			err = errors.Join(err, w.Sidecar(i, data))
		}
		if err := errors.Join(err, w.Checkpoint(c.Checkpoint()), w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, good := range [][]uint64{{}, {0}, {1}, {0, 1}} {
		if err := ledgertest.VerifyExport(export(good...), c.Founding); err != nil {
			t.Errorf("sidecars %v: %v", good, err)
		}
	}
	for _, bad := range [][]uint64{{1, 0}, {0, 0}, {2}, {1 << 63}} {
		if ledgertest.VerifyExport(export(bad...), c.Founding) == nil {
			t.Errorf("sidecars %v are accepted", bad)
		}
	}
}
