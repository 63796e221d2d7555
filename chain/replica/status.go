package replica

import "slices"

// Status says how a replica is doing. Numbers are as of the moment it was asked.
type Status struct {
	Member    string
	Leader    string // "" if none is known
	Height    uint64 // last executed block
	Size      uint64 // transactions on the chain
	Certified uint64 // height of the newest certified block
	Term      uint64 // of Raft
	LogFirst  uint64 // first entry of the Raft log
	LogLast   uint64 // last entry of the Raft log
	LogBytes  int64
	ReadOnly  bool // the disk is nearly full
	Voting    bool // false while what was lost of the log is fetched, and before a founding
	Queued    int  // bytes of transactions waiting to be proposed
	// Refused counts messages of peers that no honest member sends.
	Refused uint64
	// Divergences are members' signatures on another history than ours.
	Divergences []Divergence
	Err         error // why the replica stopped, nil while it runs
}

// Status returns how the replica is doing.
func (r *Replica) Status() Status {
	head := r.book.Head().Header
	leader, _ := r.leader()
	s := Status{
		Member: r.opt.Member, Leader: leader, Height: head.Height, Size: head.Size,
		LogFirst: r.raftLog.log.First(), LogLast: r.raftLog.log.Last(),
		LogBytes: r.raftLog.log.Size(), ReadOnly: r.short(), Voting: r.node() != nil && r.mayVote(),
		Refused: r.refused.Load(), Err: r.Err(),
	}
	if r.node() != nil { // nil until Open has repaired what it must
		s.Term = r.node().CurrentTerm()
	}
	r.outbox.mu.Lock()
	s.Queued = r.outbox.bytes
	r.outbox.mu.Unlock()
	r.certs.mu.Lock()
	defer r.certs.mu.Unlock()
	s.Certified = r.certs.newestHeight()
	s.Divergences = slices.Clone(r.certs.evidence)
	return s
}
