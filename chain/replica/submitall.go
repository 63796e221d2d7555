package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
)

// A Submission is the outcome of one transaction of SubmitAll: what Submit would
// have returned.
type Submission struct {
	Receipt *chain.Receipt
	Err     error
}

// SubmitAll is Submit for many transactions, which come onto the chain in any
// order and in as many blocks as it takes. sidecars has one element for each, nil
// where there is none, or is nil. It returns one outcome for each, when all are
// known or ctx ends.
func (r *Replica) SubmitAll(ctx context.Context, txs []*chain.Tx, sidecars [][]byte) ([]Submission, error) {
	if sidecars == nil {
		sidecars = make([][]byte, len(txs))
	}
	if len(sidecars) != len(txs) {
		return nil, fmt.Errorf("submit: %d sidecars for %d transactions", len(sidecars), len(txs))
	}
	out := make([]Submission, len(txs))
	waiting := make([]*waiter, len(txs))
	items := make([]item, len(txs))
	own := make([]chain.Tx, len(txs)) // as in submit
	sent := time.Now()
	for i, tx := range txs {
		if out[i].Err = r.submittable(tx, sidecars[i]); out[i].Err != nil {
			continue
		}
		if _, ok := r.executor.Lookup(tx.ID()); ok || tx.NotAfter < r.book.Head().Header.Time || r.outside() {
			out[i].Receipt, out[i].Err = r.Submit(ctx, tx, sidecars[i]) // knows what to say
			continue
		}
		w := r.waiters.add(tx.ID())
		defer r.waiters.remove(tx.ID(), w)
		own[i] = *tx
		items[i] = item{tx: &own[i], sidecar: sidecars[i], done: make(chan error, 1)}
		if err := r.outbox.put(ctx, &items[i], true); err != nil {
			out[i].Err = fmt.Errorf("submit: %w", err)
			continue
		}
		waiting[i] = w
	}
	var again sync.WaitGroup
	for i, w := range waiting {
		if w == nil {
			continue
		}
		at, err := r.await(ctx, txs[i], w, &items[i], sent)
		switch {
		case errors.Is(err, errRetry), err == nil && at.result != nil && at.result.Code == chain.ErrBusy:
			again.Go(func() { out[i].Receipt, out[i].Err = r.submit(ctx, txs[i], sidecars[i], w, true) })
		case err != nil:
			out[i].Err = fmt.Errorf("submit: %w", err)
		default:
			out[i].Receipt, out[i].Err = r.submitted(ctx, at)
		}
	}
	again.Wait()
	return out, nil
}
