package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

const (
	maxForwards    = 4 // messages with transactions in flight to the leader
	enqueueTimeout = 5 * time.Second
	certHold       = 25 * time.Millisecond // how long the next block waits for the certificate of one
)

// dispatch is the loop that cuts blocks on the leader and forwards transactions
// to it elsewhere. A block is cut as soon as none is under way, with what has
// gathered meanwhile, or as soon as it is full and fewer than MaxInFlight are
// under way. One is under way until it is certified, for certHold at most after
// it was executed: those who have waited for it send their next transactions
// together then, and a few large blocks cost less than many small ones.
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
				r.wg.Go(func() {
					if r.propose(batch) {
						r.awaitCertificate()
					}
					finished <- &inFlight
				})
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

// awaitCertificate waits for the certificate of what is executed, but not for long:
// that of a block alone may never come.
func (r *Replica) awaitCertificate() {
	ctx, cancel := context.WithTimeout(r.ctx, certHold)
	defer cancel()
	_, _ = r.WaitCertified(ctx, r.book.Head().Header.Height)
}

// propose makes a block of a batch and takes it through Raft. It reports whether
// one was executed.
func (r *Replica) propose(batch []*item) bool {
	if err := r.writable(); err != nil {
		answer(batch, err)
		return false
	}
	if r.outside() { // its entries make no blocks
		answer(batch, errNotLeader)
		return false
	}
	batch = r.verified(batch)
	if len(batch) == 0 {
		return false
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
		return false
	}
	data, err := e.Bytes()
	if err != nil {
		answer(batch, err)
		return false
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
	return err == nil
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
