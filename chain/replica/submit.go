package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

const (
	maxForwards    = 4 // messages with transactions in flight to the leader
	enqueueTimeout = 5 * time.Second
	itemOverhead   = 512
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
// nearly full: with ErrUnknown, unless this member is certain that nothing was sent.
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

// item is a transaction on its way into a block.
type item struct {
	tx        *chain.Tx
	sidecar   []byte
	forwarded bool        // by another member: not to be forwarded again
	taken     atomic.Bool // out of the queue
	left      atomic.Bool // nobody waits for it any more: what is still in the queue is dropped
	done      chan error  // takes one: nil when its entry was applied by the leader
}

func (it *item) size() int { return len(it.tx.Bytes()) + len(it.sidecar) + itemOverhead }

// outbox holds the transactions that wait to be proposed. It is bounded in
// bytes: who puts waits.
type outbox struct {
	limit int
	stop  <-chan struct{}
	kick  chan struct{} // for the dispatcher; holds one token

	mu    sync.Mutex
	items []*item // guarded by mu
	bytes int     // guarded by mu
	room  *bell   // rung when bytes shrinks
}

// put adds an item, waiting for room if wait is set.
func (o *outbox) put(ctx context.Context, it *item, wait bool) error {
	for {
		room := o.room.wait()
		o.mu.Lock()
		if n := it.size(); o.bytes+n <= o.limit || o.bytes == 0 {
			o.items = append(o.items, it)
			o.bytes += n
			o.mu.Unlock()
			o.nudge()
			return nil
		}
		o.mu.Unlock()
		if !wait {
			return ErrOverloaded
		}
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrOverloaded, context.Cause(ctx))
		case <-o.stop:
			return ErrClosed
		}
	}
}

func (o *outbox) nudge() {
	select {
	case o.kick <- struct{}{}:
	default:
	}
}

// take removes what goes into one block or one message, and what nobody waits for:
// it may be on the chain already, and its sidecar purged since.
func (o *outbox) take(maxTxs, maxBytes int) []*item {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch := make([]*item, 0, min(len(o.items), maxTxs))
	n, block := 0, 0
	for ; n < len(o.items) && len(batch) < maxTxs; n++ {
		it := o.items[n]
		if !it.left.Load() {
			if block += it.size() - itemOverhead; block > maxBytes && len(batch) > 0 {
				break
			}
			it.taken.Store(true)
			batch = append(batch, it)
		}
		o.bytes -= it.size()
	}
	if o.items = o.items[n:]; len(o.items) == 0 {
		o.items = nil
	}
	o.room.broadcast()
	return batch
}

func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items) == 0
}

// full reports whether what waits fills a block.
func (o *outbox) full(maxTxs, maxBytes int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items) >= maxTxs || o.bytes-len(o.items)*itemOverhead >= maxBytes
}

// dispatch is the loop that cuts blocks on the leader and forwards transactions
// to it elsewhere. A block is cut as soon as none is under way, with what has
// gathered meanwhile, or as soon as it is full and fewer than MaxInFlight are
// under way; there is no timer to wait for.
func (r *Replica) dispatch() {
	var inFlight, forwards int
	finished := make(chan *int, r.opt.MaxInFlight+maxForwards)
	ticker := time.NewTicker(r.opt.Heartbeat / 4) // a leader may appear
	defer ticker.Stop()
	for {
		select {
		case <-r.outbox.kick:
		case n := <-finished:
			*n--
		case <-ticker.C:
		case <-r.ctx.Done():
			for inFlight+forwards > 0 {
				*<-finished--
			}
			return
		}
		for !r.outbox.empty() && r.haltErr() == nil {
			leader, self := r.leader()
			switch {
			case leader == "":
			case self && r.mayCut(inFlight) && r.lead():
				inFlight++
				batch := r.outbox.take(r.opt.MaxBlockTxs, r.opt.MaxBlockBytes)
				r.wg.Go(func() { r.propose(batch); finished <- &inFlight })
				continue
			case !self && forwards < maxForwards:
				forwards++
				batch := r.outbox.take(r.opt.MaxBlockTxs, r.opt.MaxBlockBytes)
				r.wg.Go(func() { r.forward(leader, batch); finished <- &forwards })
				continue
			}
			break
		}
	}
}

// mayCut reports whether a block may be cut while so many are under way.
func (r *Replica) mayCut(inFlight int) bool {
	return inFlight == 0 || inFlight < r.opt.MaxInFlight && r.outbox.full(r.opt.MaxBlockTxs, r.opt.MaxBlockBytes)
}

// lead reports whether this replica, leader in Raft, has executed everything
// from before its term.
func (r *Replica) lead() bool {
	term := r.node().CurrentTerm()
	if r.ledTerm == term {
		return true
	}
	err := r.ask(func(n *raft.Raft) raft.Future { return n.Barrier(r.opt.Heartbeat) })
	if err != nil {
		return false
	}
	r.ledTerm = term
	return true
}

// propose makes a block of a batch and takes it through Raft.
func (r *Replica) propose(batch []*item) {
	if err := r.writable(); err != nil {
		answer(batch, err)
		return
	}
	batch = r.verified(batch)
	if len(batch) == 0 {
		return
	}
	txs := make([]*chain.Tx, len(batch))
	sidecars := make([][]byte, len(batch))
	for i, it := range batch {
		txs[i], sidecars[i] = it.tx, it.sidecar
	}
	head := &r.book.Head().Header
	e, err := chain.SignEntry(head.Chain, head.Height, head.Hash(), time.Now().UnixMilli(), txs, sidecars, r.opt.Key)
	if err != nil {
		answer(batch, err)
		return
	}
	data, err := e.Bytes()
	if err != nil {
		answer(batch, err)
		return
	}
	r.entries.propose(data, e)
	var applied raft.ApplyFuture
	err = r.ask(func(n *raft.Raft) raft.Future {
		applied = n.Apply(data, enqueueTimeout)
		return applied
	})
	r.entries.forget(data)
	if err == nil {
		err, _ = applied.Response().(error)
	}
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) || errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		err = fmt.Errorf("%w: %w", errNotLeader, err)
	}
	answer(batch, err)
}

// verified answers the items with a bad signature and returns the others.
func (r *Replica) verified(batch []*item) []*item {
	txs := make([]*chain.Tx, len(batch))
	for i, it := range batch {
		txs[i] = it.tx
	}
	good := batch[:0]
	for i, ok := range r.entries.keys.VerifyTxs(txs) {
		if ok {
			good = append(good, batch[i])
		} else {
			batch[i].done <- ErrSignature
		}
	}
	return good
}

func answer(batch []*item, err error) {
	for _, it := range batch {
		it.done <- err
	}
}

type submitRequest struct {
	_        struct{} `cbor:",toarray"`
	Txs      [][]byte
	Sidecars [][]byte
}

// Outcomes of forwarded transactions. Part of the protocol: only add at the end.
const (
	forwardOK byte = iota
	forwardRetry
	forwardSignature
)

// forward hands a batch to the leader.
func (r *Replica) forward(leader string, batch []*item) {
	own := batch[:0]
	for _, it := range batch {
		if it.forwarded {
			it.done <- errNotLeader
		} else {
			own = append(own, it)
		}
	}
	if len(own) == 0 {
		return
	}
	req := submitRequest{}
	for _, it := range own {
		req.Txs = append(req.Txs, it.tx.Bytes())
		req.Sidecars = append(req.Sidecars, it.sidecar)
	}
	ctx, cancel := context.WithTimeout(r.ctx, 2*r.opt.Heartbeat)
	defer cancel()
	var codes []byte
	err := r.peers.call(ctx, leader, rpcSubmit, req, &codes)
	if err == nil && len(codes) != len(own) {
		err = errors.New("answer of another length")
	}
	for i, it := range own {
		switch {
		case err != nil: // whatever the leader says, it may have proposed it
			it.done <- fmt.Errorf("%w: %w", ErrUnknown, err)
		case codes[i] == forwardOK:
			it.done <- nil
		case codes[i] == forwardSignature:
			it.done <- ErrSignature
		default:
			it.done <- errRetry
		}
	}
}

// serveSubmit proposes transactions for another member.
func (r *Replica) serveSubmit(ctx context.Context, req submitRequest) ([]byte, error) {
	if len(req.Txs) != len(req.Sidecars) || len(req.Txs) > chain.MaxEntryTxs {
		return nil, errors.New("malformed request")
	}
	if _, self := r.leader(); !self {
		return nil, errNotLeader
	}
	if err := r.writable(); err != nil {
		return nil, err
	}
	codes := make([]byte, len(req.Txs))
	items := make([]*item, len(req.Txs))
	defer func() {
		for _, it := range items {
			if it != nil {
				it.left.Store(true)
			}
		}
	}()
	for i, raw := range req.Txs {
		codes[i] = forwardRetry
		tx, err := chain.ParseTx(raw)
		if err != nil || !tx.Sidecar.Matches(req.Sidecars[i]) {
			codes[i] = forwardSignature
			continue
		}
		it := &item{tx: tx, sidecar: req.Sidecars[i], forwarded: true, done: make(chan error, 1)}
		if r.outbox.put(ctx, it, false) == nil {
			items[i] = it
		}
	}
	for i, it := range items {
		if it == nil {
			continue
		}
		select {
		case err := <-it.done:
			switch {
			case err == nil:
				codes[i] = forwardOK
			case errors.Is(err, ErrSignature):
				codes[i] = forwardSignature
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return codes, nil
}
