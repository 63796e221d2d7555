package replica

import (
	"sync"

	"github.com/hashicorp/raft"
)

// notices tells the followers that an entry is committed. Raft does so with the
// next entry only, or after a while, and so they would execute and sign a block
// late, the last one of a burst later still. An empty entry would do as well, but
// it has to be written and flushed by everyone.
type notices struct {
	r    *Replica
	mu   sync.Mutex
	next map[string]*notice // guarded by mu; present while one is on its way to a member; nil if no other follows
}

// notice says that a leader in term has committed the entry at pos.
type notice struct {
	term uint64
	pos  position
}

// send tells every member that the entry at pos is committed, if this replica leads
// in its term. It does not wait. One notice is under way to a member; only the
// newest of those that come meanwhile follows it.
func (n *notices) send(pos position) {
	if _, self := n.r.leader(); !self || n.r.node().CurrentTerm() != pos.Term {
		return
	}
	at := notice{pos.Term, pos}
	for _, m := range n.r.Consortium().Members {
		if m.Name != n.r.opt.Member && n.begin(m.Name, &at) {
			if !n.r.spawn(func() {
				for next := &at; next != nil; next = n.end(m.Name) {
					n.r.transport.committed(m.Name, *next)
				}
			}) {
				return
			}
		}
	}
}

// begin reports whether the caller is to deliver at; otherwise who delivers the
// one before does.
func (n *notices) begin(member string, at *notice) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, busy := n.next[member]; busy {
		n.next[member] = at
		return false
	}
	n.next[member] = nil
	return true
}

// end returns the notice that follows, or nil.
func (n *notices) end(member string) *notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	next := n.next[member]
	if next == nil {
		delete(n.next, member)
	} else {
		n.next[member] = nil
	}
	return next
}

// committed sends an ordinary heartbeat with a place in the log: a follower that
// has the same entry there takes over the commit index, others refuse. Nobody
// looks at the answer, so that it proves nothing to Raft.
func (t *raftTransport) committed(member string, at notice) {
	_ = t.AppendEntries(raft.ServerID(member), raft.ServerAddress(member), &raft.AppendEntriesRequest{
		RPCHeader:    raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(t.self), Addr: []byte(t.self)},
		Term:         at.term,
		PrevLogEntry: at.pos.Index, PrevLogTerm: at.pos.Term, LeaderCommitIndex: at.pos.Index,
	}, new(raft.AppendEntriesResponse)) // a failure is one notice less
}
