package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
)

// Submit puts a transaction on the chain and returns its receipt once t_c
// members have certified its block. sidecar holds the bytes tx commits to, nil
// if there are none. A contract's refusal is no error: see Receipt.Result.
//
// Submit works on every member and may be repeated with the same transaction,
// here or elsewhere: it has one effect. It waits while too much is queued, and
// retries through changes of leader until ctx ends. Then the error wraps
// ErrOverloaded if nothing was sent, and ErrUnknown otherwise. It wraps ErrSignature
// if the signature does not verify here, and ErrReadOnly if the leader's disk is
// nearly full: with ErrUnknown, unless this member is certain that nothing was sent. The
// same holds for ErrNotMember.
func (r *Replica) Submit(ctx context.Context, tx *chain.Tx, sidecar []byte) (*chain.Receipt, error) {
	if err := r.submittable(tx, sidecar); err != nil {
		return nil, err
	}
	w := r.waiters.add(tx.ID())
	defer r.waiters.remove(tx.ID(), w)
	if index, ok := r.executor.Lookup(tx.ID()); ok {
		return r.Receipt(ctx, index)
	}
	if tx.NotAfter < r.book.Head().Header.Time {
		return nil, fmt.Errorf("submit: %w: it expired before it was submitted", ErrUnknown)
	}
	if r.outside() {
		return nil, fmt.Errorf("submit: %w", ErrNotMember)
	}
	return r.submit(ctx, tx, sidecar, w, false)
}

// submittable refuses what no member would accept.
func (r *Replica) submittable(tx *chain.Tx, sidecar []byte) error {
	if !tx.Sidecar.Matches(sidecar) {
		return fmt.Errorf("submit: sidecar is not the one the transaction commits to: %w", chain.ErrSidecar)
	}
	if tx.Chain != r.opt.Consortium.Chain {
		return fmt.Errorf("submit: %w", chain.ErrChain)
	}
	return nil
}

// submit sends tx until it is executed, and waits for its certificate. sent says
// that it was sent before.
func (r *Replica) submit(ctx context.Context, tx *chain.Tx, sidecar []byte, w *waiter, sent bool) (*chain.Receipt, error) {
	begun := time.Now()
	unsure := sent // it may be on the chain
	for {
		own := *tx // verification marks it, and an earlier attempt may be under way
		it := &item{tx: &own, sidecar: sidecar, done: make(chan error, 1)}
		if err := r.outbox.put(ctx, it, !sent); err != nil {
			if sent {
				err = fmt.Errorf("%w: %w", ErrUnknown, err)
			}
			return nil, fmt.Errorf("submit: %w", err)
		}
		sent = true
		at, err := r.await(ctx, tx, w, it, time.Now())
		switch {
		case errors.Is(err, errRetry):
			readOnly := errors.Is(err, ErrReadOnly)
			unsure = unsure || !readOnly || errors.Is(err, ErrUnknown)
			if readOnly && time.Since(begun) > 5*r.opt.Heartbeat {
				if unsure && !errors.Is(err, ErrUnknown) {
					err = fmt.Errorf("%w: %w", ErrUnknown, err)
				}
				return nil, fmt.Errorf("submit: %w", err)
			}
			if !r.pauseFor(ctx, r.opt.Heartbeat/20) {
				return nil, fmt.Errorf("submit: %w: %w", ErrUnknown, context.Cause(ctx))
			}
			continue
		case err != nil:
			return nil, fmt.Errorf("submit: %w", err)
		case at.result != nil && at.result.Code == chain.ErrBusy:
			if !r.pauseFor(ctx, r.opt.Heartbeat/4) {
				return nil, fmt.Errorf("submit: %w: %w", ErrUnknown, context.Cause(ctx))
			}
			continue
		}
		return r.submitted(ctx, at)
	}
}

// submitted returns the receipt of a transaction that was executed.
func (r *Replica) submitted(ctx context.Context, at executed) (*chain.Receipt, error) {
	rc, err := r.receipt(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("submit: %w: executed but not certified: %w", ErrUnknown, err)
	}
	return rc, nil
}

// genuine reports whether a member must take tx for well-formed and its signature for
// good. What another says of it is not proof.
func genuine(tx *chain.Tx) bool {
	own, err := chain.ParseTx(tx.Bytes()) // verification marks it
	return err == nil && own.Verify()
}

var errRetry = errors.New("send again")

// await waits until tx, sent at this time, is executed here, or is to be sent
// again.
func (r *Replica) await(ctx context.Context, tx *chain.Tx, w *waiter, it *item, sent time.Time) (executed, error) {
	defer it.left.Store(true)
	select {
	case at := <-w.ch:
		return at, nil
	default:
	}
	retry := time.NewTimer(time.Until(sent.Add(2 * r.opt.Heartbeat)))
	defer retry.Stop()
	result := it.done
	if head := r.book.Head(); head.Header.Time > tx.NotAfter {
		return r.expired(ctx, tx, w, head.Header.Height)
	}
	for {
		select {
		case at := <-w.ch:
			return at, nil
		case err := <-result:
			switch {
			case err == nil:
				result = nil // proposed and executed by the leader: it comes here too
			case errors.Is(err, ErrSignature) && !genuine(tx):
				return executed{}, err
			default: // also a leader who is wrong about the signature
				return executed{}, fmt.Errorf("%w: %w", errRetry, err)
			}
		case <-retry.C:
			if err := r.excluded(tx); err != nil {
				return executed{}, err
			}
			if it.taken.Load() {
				return executed{}, errRetry
			}
			if head := r.book.Head(); head.Header.Time > tx.NotAfter {
				return r.expired(ctx, tx, w, head.Header.Height)
			}
			retry.Reset(2 * r.opt.Heartbeat) // still in the queue: there is no leader, or much to do
		case <-r.stopped:
			return executed{}, fmt.Errorf("%w: %w", ErrUnknown, r.stopErr())
		case <-ctx.Done():
			return executed{}, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
		}
	}
}

// expired answers for a transaction that is not on the chain although the chain
// is past its NotAfter, as soon as that is certified.
func (r *Replica) expired(ctx context.Context, tx *chain.Tx, w *waiter, height uint64) (executed, error) {
	if _, err := r.WaitCertified(ctx, height); err != nil {
		return executed{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	select {
	case at := <-w.ch:
		return at, nil
	default:
		return executed{}, ErrNotCommitted
	}
}

// executed says where a transaction came to lie. result and raw are nil when
// only the index is known.
type executed struct {
	height uint64
	index  uint64
	raw    []byte
	result *chain.Result
}

// Receipt returns the receipt of the transaction with this leaf index, under the
// newest certified checkpoint, waiting for one that covers it.
func (r *Replica) Receipt(ctx context.Context, index uint64) (*chain.Receipt, error) {
	return r.receipt(ctx, executed{index: index})
}

func (r *Replica) receipt(ctx context.Context, at executed) (*chain.Receipt, error) {
	if at.result == nil {
		blk, i, err := r.book.leaf(at.index)
		if err != nil {
			return nil, err
		}
		at.height, at.raw, at.result = blk.Header.Height, blk.Proposal.Txs[i], &blk.Results[i]
	}
	cp, err := r.WaitCertified(ctx, at.height)
	if err != nil {
		return nil, err
	}
	// A copy: the bytes are part of those of a whole block, which a receipt that
	// is kept would keep.
	proof, err := r.prover.prove(int64(cp.Size), int64(at.index))
	if err != nil {
		return nil, err
	}
	return &chain.Receipt{Tx: bytes.Clone(at.raw), Result: *at.result, Index: at.index, Proof: proof, Checkpoint: cp}, nil
}

// waiters tells those who submitted a transaction when it is executed.
type waiters struct {
	lookup func(chain.Hash) (uint64, bool)
	mu     sync.Mutex
	m      map[chain.Hash][]*waiter // guarded by mu
}

type waiter struct{ ch chan executed }

func (ws *waiters) add(id chain.Hash) *waiter {
	w := &waiter{ch: make(chan executed, 1)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.m[id] = append(ws.m[id], w)
	return w
}

func (ws *waiters) remove(id chain.Hash, w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	list := ws.m[id]
	for i := range list {
		if list[i] == w {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(ws.m, id)
	} else {
		ws.m[id] = list
	}
}

// resolve tells the waiters of the transactions in a block.
func (ws *waiters) resolve(s *step, txs []*chain.Tx) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.m) == 0 {
		return
	}
	blk := s.outcome.Block
	for i, tx := range txs {
		if tx == nil {
			continue
		}
		list := ws.m[tx.ID()]
		if len(list) == 0 {
			continue
		}
		at := executed{height: blk.Header.Height, index: s.first + uint64(i), raw: blk.Proposal.Txs[i], result: &blk.Results[i]}
		if at.result.Code == chain.ErrDuplicate {
			index, ok := ws.lookup(tx.ID())
			if !ok {
				continue
			}
			at = executed{index: index}
		}
		for _, w := range list {
			select {
			case w.ch <- at:
			default: // has an answer already
			}
		}
	}
}
