package replica

import (
	"context"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// leadsAstray reports whether the log of this replica, which leads, lacks the block after
// its last one, of those that lead to a certified checkpoint, or has it where t_c − 1
// others have it not. Nobody is elected with such a log whom only leaders have sent
// entries. One member can make that of another that was behind: it sends it entries of a
// newer term, and everybody votes for it, though nobody can take its log. No word of one
// member decides, but the certificate and the log.
func (r *Replica) leadsAstray(ctx context.Context, cp *chain.Checkpoint) bool {
	applied := r.book.Applied().Index // before the head: what is executed meanwhile is looked for, too
	next := r.book.Head().Header.Height + 1
	want := cp.Block
	if err := r.walk(ctx, new(turns), cp.Height, cp.Block, next, func(_ uint64, hash chain.Hash) { want = hash }); err != nil {
		return false
	}
	k := r.Consortium()
	places := map[position]int{} // how many members have the block there
	for _, m := range k.Members {
		if m.Name == r.opt.Member {
			continue
		}
		got, err := r.askBlock(ctx, m.Name, next, fetchTimeout)
		if err != nil || got == nil {
			continue
		}
		blk, err := chain.ParseBlock(got.Block)
		if err != nil || blk.Header.Hash() != want {
			continue
		}
		// By the header: nothing says yet that the rest of the block is the one it is for.
		if !r.inLog(blk.Header.Proposal, applied) {
			return true
		}
		if places[got.Pos]++; places[got.Pos] >= k.CheckpointThreshold-1 && r.hasAnother(got.Pos) {
			return true
		}
	}
	return false
}

// hasAnother reports whether the log has another entry at a place, or ends before it.
func (r *Replica) hasAnother(pos position) bool {
	var log raft.Log
	if pos.Index > r.raftLog.log.Last() {
		return true
	}
	err := r.raftLog.GetLog(pos.Index, &log)
	return err == nil && log.Term != pos.Term
}

// inLog reports whether an entry after one of the log holds a proposal. What cannot be
// read may be it.
func (r *Replica) inLog(proposal chain.Hash, after uint64) bool {
	for index := after + 1; index <= r.raftLog.log.Last(); index++ {
		var log raft.Log
		if err := r.raftLog.GetLog(index, &log); err != nil {
			return true
		}
		if log.Type != raft.LogCommand {
			continue
		}
		e, err := chain.ParseEntry(log.Data)
		if err != nil {
			continue // it makes no block
		}
		if got, err := e.Proposal.Hash(); err != nil || got == proposal {
			return true
		}
	}
	return false
}
