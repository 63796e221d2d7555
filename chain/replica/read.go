package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// Read calls fn with the state of the chain and returns when that state is
// certified. The state includes every transaction whose Submit had returned, on
// any member, before Read was called: reads are linearizable on every member.
// It needs a leader and n − t_c + f + 1 members; a leader that lies can make it
// wait, not answer with an older state. The error wraps ErrNotMember if this replica has
// left the consortium.
func (r *Replica) Read(ctx context.Context, fn func(*View) error) error {
	if r.outside() {
		return fmt.Errorf("read: %w", ErrNotMember)
	}
	reached := make(chan error, 1)
	go func() { reached <- r.reachSigned(ctx) }()
	height, err := r.linearize(ctx)
	if err == nil {
		err = r.reach(ctx, height)
	}
	if err = errors.Join(err, <-reached); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return r.ReadLocal(ctx, fn)
}

// ReadLocal is like Read but does not ask the other members how far they are:
// the state may be old, as when this member is cut off.
func (r *Replica) ReadLocal(ctx context.Context, fn func(*View) error) error {
	r.views.RLock() // Close waits for it
	defer r.views.RUnlock()
	if err := r.Err(); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	v := r.book.view()
	defer v.txn.Discard()
	if err := fn(v); err != nil {
		return err
	}
	if v.head.Header.Height == 0 {
		return nil // the founding file needs no certificate
	}
	if _, err := r.WaitCertified(ctx, v.head.Header.Height); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

// reach is waitExecuted for one who reads: a replica that has left may never come there.
func (r *Replica) reach(ctx context.Context, height uint64) error {
	return r.waitUntil(ctx, height, func() error {
		if r.outside() {
			return ErrNotMember
		}
		return nil
	})
}

func (r *Replica) waitExecuted(ctx context.Context, height uint64) error {
	return r.waitUntil(ctx, height, func() error { return nil })
}

// waitUntil waits until the block at height is executed, or vain says that it is in vain.
func (r *Replica) waitUntil(ctx context.Context, height uint64, vain func() error) error {
	for {
		changed := r.news.wait()
		if r.book.Head().Header.Height >= height {
			return nil
		}
		if err := vain(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-r.stopped:
			return r.stopErr()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// linearize returns a height that includes every block acknowledged before it
// was called. It goes through the log: what a leader believes about itself can
// be out of date.
func (r *Replica) linearize(ctx context.Context) (uint64, error) {
	for {
		leader, self := r.leader()
		var height uint64
		var err error
		switch {
		case leader == "":
			err = errNotLeader
		case self:
			height, err = r.barriers.do(ctx, r.barrier)
		default:
			var answer uint64
			err = r.peers.call(ctx, leader, rpcBarrier, struct{}{}, &answer)
			height = answer
		}
		if err == nil {
			return height, nil
		}
		select {
		case <-r.stopped:
			return 0, r.stopErr()
		default:
		}
		if r.outside() {
			return 0, ErrNotMember
		}
		if !r.pauseFor(ctx, r.opt.Heartbeat/10) {
			return 0, fmt.Errorf("no leader reached: %w: %w", context.Cause(ctx), err)
		}
	}
}

// barrier commits an empty entry and returns the height executed then.
func (r *Replica) barrier() (uint64, error) {
	err := r.ask(func(n *raft.Raft) raft.Future { return n.Barrier(enqueueTimeout) })
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNotLeader, err)
	}
	return r.book.Head().Header.Height, nil
}

func (r *Replica) serveBarrier(ctx context.Context) (uint64, error) {
	if _, self := r.leader(); !self {
		return 0, errNotLeader
	}
	return r.barriers.do(ctx, r.barrier)
}

// sharing lets callers share one run of an operation. A run that has begun
// before a caller came does not count for it: it waits for the next.
type sharing struct {
	mu      sync.Mutex
	running bool      // guarded by mu
	next    *sharedOp // guarded by mu; callers waiting for the next run
}

type sharedOp struct {
	done   chan struct{}
	height uint64
	err    error
}

func (s *sharing) do(ctx context.Context, op func() (uint64, error)) (uint64, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &sharedOp{done: make(chan struct{})}
	}
	mine := s.next
	lead := !s.running
	if lead {
		s.running = true
	}
	s.mu.Unlock()
	if lead {
		s.run(mine, op)
	}
	select {
	case <-mine.done:
		return mine.height, mine.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// run performs operations until nobody waits for one. It returns when the
// caller's own is done; the rest goes on in the goroutine of the next caller.
func (s *sharing) run(mine *sharedOp, op func() (uint64, error)) {
	s.mu.Lock()
	cur := s.next
	s.next = nil
	s.mu.Unlock()
	cur.height, cur.err = op()
	close(cur.done)
	s.mu.Lock()
	if s.next == nil {
		s.running = false
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	go s.run(nil, op)
}

// Block returns the block at height, 1 or more, which may not be certified yet. A
// replica that halted returns none.
func (r *Replica) Block(height uint64) (*chain.Block, error) {
	if err := r.haltErr(); err != nil {
		return nil, err
	}
	blk, _, err := r.book.block(height)
	return blk, err
}

// Sidecar returns the sidecar of the transaction with this leaf index, nil if it
// has none. The error wraps ErrPurged if it was erased, and ErrMissing if it is not here
// though no block erased it. A replica that halted returns none.
func (r *Replica) Sidecar(index uint64) ([]byte, error) {
	if err := r.haltErr(); err != nil {
		return nil, err
	}
	blk, i, err := r.book.leaf(index)
	if err != nil {
		return nil, err
	}
	tx, err := chain.ParseTx(blk.Proposal.Txs[i])
	if err != nil || tx.Sidecar.Size == 0 || blk.Results[i].Code != "" {
		return nil, nil
	}
	data, err := r.book.sidecar(index)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("%w: transaction %d", ErrPurged, index)
	}
	if !tx.Sidecar.Matches(data) {
		return nil, &DamageError{Path: r.opt.Dir, Reason: fmt.Sprintf("sidecar of transaction %d", index)}
	}
	return data, nil
}

// Checkpoint returns the newest certified checkpoint, nil if there is none yet.
func (r *Replica) Checkpoint() *chain.Checkpoint { return r.certs.checkpoint() }
