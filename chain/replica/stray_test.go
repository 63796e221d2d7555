package replica

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// A peer sends a member that was behind entries of a new term, without the block that
// comes next, or with it at another place. The others elect it, for its log seems the
// newest, and take nothing from it: it lacks what they have executed. It sees by the
// certificates that nobody can follow it, halts, and makes its log anew.
func TestAttackMemberThatIsBehindIsMadeLeader(t *testing.T) {
	for name, withNext := range map[string]bool{"without the next block": false, "with the next block": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { behindIsMadeLeader(t, withNext) })
		})
	}
}

func behindIsMadeLeader(t *testing.T, withNext bool) {
	c := newCluster(t, 4, nil)
	c.startAll()
	c.load(3)
	c.sameHead()
	c.leads("h0")
	c.apart("h2", true)
	for range 3 {
		mustSubmit(t, c.nodes["h0"], put(t, "alice", "k", []byte("v"), nil), nil)
	}
	time.Sleep(2 * time.Second)
	c.stop("h3")
	node := c.net.node("h3")
	a := &attacker{cluster: c, name: "h3", term: 1000, transport: newRaftTransport("h3", node, 5*time.Second, raftLogger(discardLog()))}
	c.net.setCut("h3", "h2", false)
	c.net.setCut("h2", "h3", false)
	v := c.nodes["h2"]
	last := v.raftLog.log.Last()
	id := raft.ServerID("h2")
	req := &raft.AppendEntriesRequest{RPCHeader: a.header(), Term: a.term, PrevLogEntry: last, PrevLogTerm: v.raftLog.term(last)}
	for i := range uint64(20) { // more than the others have
		req.Entries = append(req.Entries, &raft.Log{Index: last + 1 + i, Term: a.term, Type: raft.LogNoop})
	}
	if withNext {
		_, pos, err := c.nodes["h0"].book.block(v.book.Head().Header.Height + 1)
		if err != nil {
			t.Fatal(err)
		}
		var next raft.Log
		if err := c.nodes["h0"].raftLog.GetLog(pos.Index, &next); err != nil {
			t.Fatal(err)
		}
		req.Entries[3].Type, req.Entries[3].Data = next.Type, next.Data
	}
	if err := a.transport.AppendEntries(id, raft.ServerAddress(id), req, new(raft.AppendEntriesResponse)); err != nil || v.raftLog.log.Last() != last+20 {
		t.Fatalf("log to %d: %v", v.raftLog.log.Last(), err)
	}
	c.apart("h2", false)
	time.Sleep(3 * behindFor * v.opt.Heartbeat)
	if err := v.Err(); !errors.Is(err, ErrHalted) || !isAstray(err) {
		t.Fatalf("a leader whom nobody can follow: %v", err)
	}
	_ = v.Close() // says why it halted
	c.start("h2")
	a.recovers()
	a.transport.Close()
	node.Close()
	c.stopAll()
}

// Members tell a leader that has the next block in its log, and has not executed it yet,
// of another proposal under the header of that block, or of another place. One cannot
// make it throw its log away.
func TestAttackBlockOfAnotherProposalOrPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		c.load(3)
		c.sameHead()
		c.stop("h2")
		c.stop("h3")
		r := c.nodes["h0"]
		a := &attacker{cluster: c, name: "h3"}
		log := a.entry(r, put(t, "alice", "k", []byte("v"), nil))
		log.Index, log.Term = r.raftLog.log.Last()+1, r.node().CurrentTerm()
		if err := r.raftLog.log.Append(log.Index, appendLog(nil, log)); err != nil {
			t.Fatal(err)
		}
		here := position{Index: log.Index, Term: log.Term}
		e, err := chain.ParseEntry(log.Data)
		if err != nil {
			t.Fatal(err)
		}
		proposal, err := e.Proposal.Hash()
		if err != nil {
			t.Fatal(err)
		}
		blk := &chain.Block{Header: r.book.Head().Header, Proposal: e.Proposal, Results: make([]chain.Result, len(e.Proposal.Txs))}
		blk.Header.Height++
		blk.Header.Size++
		blk.Header.Proposal = proposal
		first, _, err := r.book.block(1)
		if err != nil {
			t.Fatal(err)
		}
		copy(blk.Results, first.Results)
		other := *blk
		other.Proposal = first.Proposal
		cp := &chain.Checkpoint{TreeHead: blk.Header.TreeHead()}
		sent := func(blk *chain.Block, pos position) *sentBlock {
			raw, err := blk.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			return &sentBlock{Pos: pos, Block: raw}
		}
		elsewhere := position{Index: here.Index, Term: here.Term + 1}
		for name, tc := range map[string]struct {
			h2, h3 *sentBlock
			astray bool
		}{
			"as it is":              {sent(blk, here), sent(blk, here), false},
			"another proposal":      {sent(&other, here), sent(&other, here), false},
			"one says elsewhere":    {sent(blk, here), sent(blk, elsewhere), false},
			"and nobody else":       {nil, sent(blk, elsewhere), false},
			"they do not agree":     {sent(blk, position{Index: here.Index + 1, Term: here.Term}), sent(blk, elsewhere), false},
			"all say elsewhere":     {sent(blk, elsewhere), sent(blk, elsewhere), true},
			"all say after the end": {sent(blk, position{Index: here.Index + 1, Term: here.Term}), sent(blk, position{Index: here.Index + 1, Term: here.Term}), true},
			"all say nowhere":       {sent(blk, position{}), sent(blk, position{}), false},
		} {
			answer := func(b *sentBlock) rpcHandler {
				return func(_ context.Context, _ string, kind byte, _ []byte) (any, error) {
					if kind != rpcBlocks || b == nil {
						return nil, ErrNotFound
					}
					return []sentBlock{*b}, nil
				}
			}
			stop2, stop3 := c.lie("h2", answer(tc.h2)), c.lie("h3", answer(tc.h3))
			if got := r.leadsAstray(within(t, time.Minute), cp); got != tc.astray {
				t.Errorf("%s: astray is %v", name, got)
			}
			stop2()
			stop3()
		}
		if err := r.raftLog.log.TruncateBack(log.Index); err != nil {
			t.Fatal(err)
		}
		c.stopAll()
	})
}

// A leader looks for what is certified among the entries that it had not executed when it
// began to look, and only there.
func TestLeaderFindsWhatIsCertifiedInItsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		c.load(3)
		c.sameHead()
		r := c.nodes["h0"]
		blk, pos, err := r.book.block(2)
		if err != nil {
			t.Fatal(err)
		}
		proposal, err := blk.Proposal.Hash()
		if err != nil {
			t.Fatal(err)
		}
		if !r.inLog(proposal, pos.Index-1) {
			t.Error("it is not found")
		}
		if r.inLog(proposal, pos.Index) {
			t.Error("it is found where it is not")
		}
		cp := r.Checkpoint()
		if r.leadsAstray(within(t, time.Minute), cp) {
			t.Error("astray with all that is certified")
		}
		c.stopAll()
	})
}
