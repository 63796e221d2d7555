package replica

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// A peer sends a member that was behind one entry of a new term. The others elect it, for
// its log seems the newest, and take nothing from it: it lacks what they have executed.
// It sees by the certificates that nobody can follow it, halts, and makes its log anew.
func TestAttackMemberThatIsBehindIsMadeLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
