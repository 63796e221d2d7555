package replica

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// statusAnswer says how far a member is. Term and LastIndex are of its Raft log.
type statusAnswer struct {
	_         struct{} `cbor:",toarray"`
	Height    uint64
	Certified uint64
	Term      uint64
	LastIndex uint64
	Applied   uint64
	Signed    uint64 // highest height it has a cosignature of the asking member for
}

func (r *Replica) serveStatus(from string) (*statusAnswer, error) {
	term, err := r.stable.GetUint64([]byte(keyCurrentTerm))
	if err != nil {
		return nil, err
	}
	last := r.raftLog.log.Last()
	if s := r.snaps.newest(); s != nil {
		last = max(last, s.Anchor.Pos.Index)
	}
	a := &statusAnswer{
		Height: r.book.Head().Header.Height, Term: term, LastIndex: last, Applied: r.book.Applied().Index,
	}
	if old := r.aside.Load(); old != nil { // a repair has not come so far again
		a.Height, a.Applied = max(a.Height, old.height), max(a.Applied, old.pos.Index)
	}
	if cp := r.certs.checkpoint(); cp != nil {
		a.Certified = cp.Height
	}
	a.Signed = r.certs.lastOf(from).Height
	return a, nil
}

// adopt takes a snapshot at the newest certified block that the others agree on,
// so that a replica without a log need not wait for a leader to catch up: there
// may be none without its vote. It takes none below height least: a member that was lied to
// about the place of a block it fetched agrees that an old one stands where another does.
func (r *Replica) adopt(ctx context.Context, least uint64) error {
	var errs []error
	for _, m := range r.Consortium().Members {
		if m.Name == r.opt.Member {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 2*r.opt.Heartbeat)
		err := r.adoptFrom(ctx, m.Name, least)
		cancel()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", m.Name, err))
	}
	return errors.Join(errs...)
}

func (r *Replica) adoptFrom(ctx context.Context, member string, least uint64) error {
	var answer attestAnswer
	if err := r.peers.call(ctx, member, rpcAttest, attestRequest{}, &answer); err != nil {
		return err
	}
	var a anchor
	if err := chain.Unmarshal(answer.Anchor, &a); err != nil {
		return err
	}
	h, err := a.header()
	if err != nil {
		return err
	}
	cp, err := r.fetchCheckpoint(ctx, member)
	if err != nil {
		return err
	}
	if h.Height < least {
		return fmt.Errorf("its snapshot is at block %d, while block %d is certified", h.Height, least)
	}
	if cp.TreeHead != h.TreeHead() {
		return errors.New("its snapshot is not at its newest certified block")
	}
	// The certificate vouches for the chain, the others for the place in the log.
	s, err := r.collect(ctx, &a, cp, true)
	if err != nil {
		return err
	}
	raw, err := chain.Marshal(s)
	if err != nil {
		return err
	}
	return r.snaps.put(s, raw)
}

// isDamage reports whether err says that a file does not hold what was written.
func isDamage(err error) bool {
	var damage *DamageError
	var corrupt *seglog.CorruptError
	return errors.As(err, &damage) || errors.As(err, &corrupt)
}

// behindFor is how many heartbeats a replica may stand still behind a certified
// block before it concludes that its log cannot lead it there.
const behindFor = 40

// watchBehind halts a replica whose log cannot lead to what the others have
// certified: it has applied entries that the leader's log does not have, or made
// no block of entries of which the others made one. One that leads it halts if its log
// lacks what is certified. One that hears no leader it asks whether there are members it
// does not know.
func (r *Replica) watchBehind() {
	ticker := time.NewTicker(4 * r.opt.Heartbeat)
	defer ticker.Stop()
	var height, hits uint64
	still := 0
	for {
		select {
		case <-ticker.C:
		case <-r.ctx.Done():
			return
		}
		leader, self := r.leader()
		if leader == "" {
			r.hearOfChanges()
		}
		now, hit := r.book.Head().Header.Height, r.floorHits.Load()
		applied := r.node().AppliedIndex()
		idle := applied >= r.node().CommitIndex() && (self || applied >= r.told.commit.Load() && r.told.within(r.opt.Heartbeat))
		if now != height || hit == hits && !idle || r.short() { // a full disk is why it stands
			height, hits, still = now, hit, 0
			continue
		}
		hits = hit
		cp := r.certifiedAhead(r.ctx, now)
		if cp == nil {
			still = 0
			continue
		}
		if still++; still < behindFor/4 {
			continue
		}
		err := fmt.Errorf("stands at block %d with nothing to apply, while block %d is certified", now, cp.Height)
		if !self {
			r.halt(r.judged(err))
			return
		}
		if r.leadsAstray(r.ctx, cp) {
			r.halt(&astrayError{err})
			return
		}
		still = 0 // the others do not take what it sends them, as when their disks are full
	}
}

// told is what leaders said last of how far the log is committed. Heartbeats say
// nothing of it.
type told struct {
	commit atomic.Uint64 // log index
	at     atomic.Int64  // Unix nanoseconds
}

func (t *told) note(c *raft.AppendEntriesRequest) {
	if c.PrevLogEntry > 0 || len(c.Entries) > 0 {
		t.commit.Store(c.LeaderCommitIndex)
		t.at.Store(time.Now().UnixNano())
	}
}

func (t *told) within(d time.Duration) bool {
	return time.Since(time.Unix(0, t.at.Load())) < d
}

// certifiedAhead returns a certified checkpoint above height that a member has,
// or nil.
func (r *Replica) certifiedAhead(ctx context.Context, height uint64) *chain.Checkpoint {
	ctx, cancel := context.WithTimeout(ctx, r.opt.Heartbeat)
	defer cancel()
	for _, m := range r.Consortium().Members {
		if m.Name == r.opt.Member {
			continue
		}
		if cp, err := r.fetchCheckpoint(ctx, m.Name); err == nil && cp.Height > height {
			return cp
		}
	}
	return nil
}
