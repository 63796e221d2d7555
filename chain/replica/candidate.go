package replica

import (
	"cmp"

	"github.com/hashicorp/raft"
)

// A member votes for a candidate that its own log does not name, if its log is not
// newer: what names it may be in the part that the member lacks (Ongaro, "Consensus:
// Bridging Theory and Practice", section 4.1). hashicorp/raft refuses such candidates,
// and so one of four that was away while another joined could not take the place of
// one that is down. The consortium file says who is a member.

// unnamed reports whether a candidate is a member that Raft's configuration here does
// not name.
func (r *Replica) unnamed(candidate []byte) bool {
	return r.node() != nil && !r.inConfiguration(raft.ServerID(candidate)) && r.Consortium().Member(string(candidate)) != nil
}

// vetVote lets Raft judge the request of a candidate it does not know by its log alone:
// it takes one without an ID for an old version's, whose configuration it does not ask for.
func (r *Replica) vetVote(c *raft.RequestVoteRequest) {
	if r.unnamed(c.ID) {
		c.ID = nil // the address, by which Raft remembers its vote, stays
	}
}

// vetPreVote returns the answer to a candidate that Raft does not know, which it would
// refuse whatever it says, or nil if Raft is to answer.
func (r *Replica) vetPreVote(c *raft.RequestPreVoteRequest, term uint64) error {
	if leader, _ := r.leader(); leader != "" || c.Term < term || !r.unnamed(c.ID) {
		return nil
	}
	last := r.node().LastIndex()
	newer := cmp.Or(cmp.Compare(r.raftLog.term(last), c.LastLogTerm), cmp.Compare(last, c.LastLogIndex)) > 0
	return &answeredError{&raft.RequestPreVoteResponse{RPCHeader: r.raftHeader(), Term: c.Term, Granted: !newer}}
}

// raftHeader is the header of an answer that is given in Raft's place.
func (r *Replica) raftHeader() raft.RPCHeader {
	name := []byte(r.opt.Member)
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: name, Addr: name}
}
