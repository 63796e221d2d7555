package replica

import (
	"sync"

	"github.com/hashicorp/raft"
)

// notices tells the followers that the last entry is committed. Raft does so
// with the next entry only, or after a while, and so they would execute and sign
// the last block of a burst late. An empty entry would do as well, but it has to
// be written and flushed by everyone.
type notices struct {
	r    *Replica
	mu   sync.Mutex
	busy map[string]bool // guarded by mu; members a notice is on its way to
}

// send tells every member how far this replica, leader in term, has come. It does
// not wait. One message is under way to a member; a notice that finds one there is
// dropped, and Raft's own comes later.
func (n *notices) send(term uint64) {
	r := n.r
	at := r.book.Applied()
	if at.Index == 0 {
		return
	}
	for _, m := range r.Consortium().Members {
		if m.Name == r.opt.Member || !n.begin(m.Name) {
			continue
		}
		r.wg.Go(func() {
			defer n.end(m.Name)
			// An ordinary heartbeat with a place in the log: a follower that has
			// the same entry there takes over the commit index, others refuse.
			// Nobody looks at the answer, so that it proves nothing to Raft.
			_ = r.transport.AppendEntries(raft.ServerID(m.Name), raft.ServerAddress(m.Name), &raft.AppendEntriesRequest{
				RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(r.opt.Member), Addr: []byte(r.opt.Member)},
				Term:      term, Leader: []byte(r.opt.Member),
				PrevLogEntry: at.Index, PrevLogTerm: at.Term, LeaderCommitIndex: at.Index,
			}, new(raft.AppendEntriesResponse))
		})
	}
}

func (n *notices) begin(member string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy[member] {
		return false
	}
	n.busy[member] = true
	return true
}

func (n *notices) end(member string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.busy, member)
}
