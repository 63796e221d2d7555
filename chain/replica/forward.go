package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/ward-health/ward/chain"
)

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
