package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ward-health/ward/chain"
)

// An Auditor checks a chain block by block, from genesis, without running the
// contracts: links, times, trees, signatures of clients, proposers and
// checkpoints, changes of the consortium. The first error, a *BrokenError,
// names the first broken link; the Auditor must not be used after it. It is
// not safe for concurrent use.
type Auditor struct {
	trusted   *chain.Consortium // what the auditor holds
	current   *chain.Consortium // in force for the next block
	last      *chain.Consortium // in force for the block at head
	head      chain.Header
	hash      chain.Hash                     // of head
	recent    [chain.MaxParentAge]chain.Hash // header hashes by height mod MaxParentAge
	tree      chain.Tree
	pending   map[uint64]chain.Sidecar // of the last block, by leaf index
	certified uint64                   // height of the last certified checkpoint
	vouched   bool                     // that one is by members of the trusted file or of a later one
}

// ErrConsortium means that a chain is of another consortium than the trusted file.
var ErrConsortium = errors.New("chain of another consortium")

// New returns an Auditor that begins at genesis. The founding file must be the one that trusted,
// the consortium file the auditor holds, is descended from. The chain must lead
// to trusted itself: members who have left could sign another history from
// genesis on, but none that the members of this file certified.
func New(trusted, founding *chain.Consortium, genesis *chain.Header) (*Auditor, error) {
	want, err := trusted.FoundingHash()
	if err != nil {
		return nil, err
	}
	got, err := founding.FoundingHash()
	if err != nil {
		return nil, err
	}
	if want != got || trusted.Chain != founding.Chain || founding.Epoch != 0 {
		return nil, fmt.Errorf("%w: %w", ErrConsortium, &chain.BrokenError{Link: "founding consortium file", Want: want, Got: got})
	}
	expect, err := founding.Genesis(genesis.State)
	if err != nil {
		return nil, err
	}
	if *expect != *genesis {
		return nil, &chain.BrokenError{Link: "genesis header", Want: expect.Hash(), Got: genesis.Hash()}
	}
	a := &Auditor{trusted: trusted, current: founding, last: founding, head: *genesis, hash: genesis.Hash()}
	a.recent[0] = a.hash
	return a, nil
}

// Head returns the header of the last block.
func (a *Auditor) Head() chain.Header { return a.head }

// Consortium returns the file in force for the next block.
func (a *Auditor) Consortium() *chain.Consortium { return a.current }

// Block checks the next block.
func (a *Auditor) Block(b *chain.Block) error {
	h, p := &b.Header, &b.Proposal
	height := a.head.Height + 1
	broken := func(link string, want, got chain.Hash) error {
		return &chain.BrokenError{Height: height, Link: link, Want: want, Got: got}
	}
	proposal, err := p.Hash()
	if err != nil {
		return err
	}
	switch {
	case h.Name != a.head.Name || h.Chain != a.head.Chain || p.Chain != a.head.Chain:
		return broken("chain id", chain.Hash{}, chain.Hash{})
	case h.Height != height:
		return broken(fmt.Sprintf("height is %d", h.Height), chain.Hash{}, chain.Hash{})
	case h.Prev != a.hash:
		return broken("previous hash", a.hash, h.Prev)
	case h.Time != max(a.head.Time, p.Time):
		return broken("time", chain.Hash{}, chain.Hash{})
	case h.Proposal != proposal:
		return broken("proposal hash", proposal, h.Proposal)
	case a.current.MemberByKey(p.Proposer) == nil:
		return broken("proposer is no member", chain.Hash{}, chain.Hash{})
	case p.Height >= height || height-p.Height > chain.MaxParentAge:
		return broken("height of the proposal's parent", chain.Hash{}, chain.Hash{})
	case p.Parent != a.recent[p.Height%chain.MaxParentAge]:
		return broken("hash of the proposal's parent", a.recent[p.Height%chain.MaxParentAge], p.Parent)
	case len(b.Results) != len(p.Txs):
		return broken("number of results", chain.Hash{}, chain.Hash{})
	}
	leaves, err := b.Leaves()
	if err != nil {
		return broken("results ("+err.Error()+")", chain.Hash{}, chain.Hash{})
	}
	next, err := a.transactions(b)
	if err != nil {
		return err
	}
	tree := a.tree
	for _, leaf := range leaves {
		tree, _ = tree.Append(leaf, nil)
	}
	if h.Size != tree.Size() {
		return broken("tree size", chain.Hash{}, chain.Hash{})
	}
	if root := tree.Root(); h.Root != root {
		return broken("tree root", root, h.Root)
	}
	a.last, a.current = a.current, next
	a.head, a.tree, a.hash = *h, tree, h.Hash()
	a.recent[height%chain.MaxParentAge] = a.hash
	return nil
}

// transactions checks each result against its transaction and returns the
// consortium in force after the block.
func (a *Auditor) transactions(b *chain.Block) (*chain.Consortium, error) {
	e, err := b.Entry()
	if err != nil {
		return nil, &chain.BrokenError{Height: b.Header.Height, Link: "proposal (" + err.Error() + ")"}
	}
	proposer, good, err := e.VerifySignatures()
	if err != nil {
		return nil, err
	}
	if !proposer {
		return nil, &chain.BrokenError{Height: b.Header.Height, Link: "proposer's signature"}
	}
	a.pending = make(map[uint64]chain.Sidecar)
	next := a.current
	for i, tx := range e.Parsed() {
		r := &b.Results[i]
		broken := func(link string) error {
			return &chain.BrokenError{Height: b.Header.Height, Link: fmt.Sprintf("%s of transaction %d", link, i)}
		}
		if r.Height != b.Header.Height || r.Time != b.Header.Time {
			return nil, broken("result")
		}
		if want := tx.Admit(a.head.Chain, r.Time, good[i]); want != "" || beforeState(r.Code) {
			if r.Code != want {
				return nil, broken("verdict")
			}
			continue
		}
		if r.Code != "" {
			continue
		}
		if tx.Sidecar.Size > 0 {
			a.pending[a.head.Size+uint64(i)] = tx.Sidecar
		}
		if tx.Contract == chain.SystemContract {
			if next, err = next.Next(tx.Args); err != nil || tx.Method != chain.ConsortiumMethod {
				return nil, broken("change of the consortium")
			}
			if err := a.leadsToTrusted(next); err != nil {
				return nil, err
			}
		}
	}
	return next, nil
}

// leadsToTrusted compares the file of the trusted epoch with the trusted file.
func (a *Auditor) leadsToTrusted(k *chain.Consortium) error {
	if k.Epoch != a.trusted.Epoch {
		return nil
	}
	got, err := k.Bytes()
	if err != nil {
		return err
	}
	want, err := a.trusted.Bytes()
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return &chain.BrokenError{Height: a.head.Height + 1, Link: "consortium file of the trusted epoch",
			Want: sha256.Sum256(want), Got: sha256.Sum256(got)}
	}
	return nil
}

// beforeState reports whether c is a verdict of Tx.Admit.
func beforeState(c chain.Code) bool {
	switch c {
	case chain.ErrMalformed, chain.ErrSignature, chain.ErrChain, chain.ErrExpired, chain.ErrLifetime:
		return true
	}
	return false
}

// Checkpoint checks a checkpoint of the last block.
func (a *Auditor) Checkpoint(c *chain.Checkpoint) error {
	if want := a.head.TreeHead(); c.TreeHead != want {
		return &chain.BrokenError{Height: a.head.Height, Link: "block in the checkpoint", Want: want.Block, Got: c.Block}
	}
	if err := a.last.Verify(c); err != nil {
		return fmt.Errorf("%w: %w", &chain.BrokenError{Height: a.head.Height, Link: "checkpoint"}, err)
	}
	a.certified = a.head.Height
	a.vouched = a.last.Epoch >= a.trusted.Epoch || a.trusted.Verify(c) == nil
	return nil
}

// Sidecar checks a sidecar of a transaction in the last block.
func (a *Auditor) Sidecar(index uint64, data []byte) error {
	s, ok := a.pending[index]
	if !ok || !s.Matches(data) {
		return &chain.BrokenError{Height: a.head.Height, Link: fmt.Sprintf("sidecar of leaf %d", index)}
	}
	return nil
}

// Finish returns nil if the last block is covered by a checkpoint that is
// certified by members of the trusted consortium file or of a later one, and
// wraps ErrUncertified otherwise: the chain was cut off, nothing vouches for its
// newest blocks yet, or it ends before the trusted file was in force.
func (a *Auditor) Finish() error {
	if a.certified != a.head.Height || a.head.Height == 0 {
		return errors.Join(&chain.BrokenError{Height: a.certified + 1, Link: "checkpoint is missing"}, chain.ErrUncertified)
	}
	if !a.vouched {
		return errors.Join(&chain.BrokenError{Height: a.head.Height + 1, Link: "checkpoint under the trusted consortium file is missing"}, chain.ErrUncertified)
	}
	return nil
}
