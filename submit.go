package ward

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ward-health/ward/chain"
)

// lifetime is how long a transaction may wait to be executed.
const lifetime = 10 * time.Minute

// submitPatience is after how long no further round over the nodes is begun:
// nodes that each wait for the others would keep a person waiting for minutes.
const submitPatience = 30 * time.Second

// An outcome is what a verified receipt says of a transaction that had effect.
type outcome struct {
	id    chain.Hash
	index uint64
	time  int64
	value []byte
}

// submit signs a transaction and puts it on the chain. It sends the same bytes
// again, to one node after the other, until a receipt holds: however often they
// arrive, they have one effect. A refusal by the contract is its code.
//
// If no receipt comes the error is what the nodes said. It matches ErrUnknown
// unless it is sure that the transaction has no effect.
func (c *Client) submit(ctx context.Context, contract, method string, args any, sidecar []byte, key crypto.Signer) (*outcome, error) {
	raw, err := chain.Marshal(args)
	if err != nil {
		return nil, err
	}
	commitment, err := chain.NewSidecar(sidecar)
	if err != nil {
		return nil, err
	}
	tx, err := chain.SignTx(chain.TxBody{
		Chain: c.wallet.Chain(), Contract: contract, Method: method, Args: raw,
		NotAfter: c.clock().Add(lifetime).UnixMilli(), Sidecar: commitment,
	}, key)
	if err != nil {
		return nil, err
	}
	var tried triedError
	doubt := false // the transaction may be on the chain
	wait, began, busy := firstPause, time.Now(), newPatience()
	for round := 1; ; round++ {
		asked := len(tried)
		for _, n := range c.nodes {
			out, err := c.send(ctx, n, tx, sidecar)
			if err == nil {
				return out, nil
			}
			var s settled
			if errors.As(err, &s) {
				return nil, s.error
			}
			tried = append(tried, err)
			doubt = doubt || !unsent(err)
			if ctx.Err() != nil {
				break
			}
		}
		if !doubt && again(ctx, busy, tried[asked:]) {
			tried, round = nil, 0 // as if nobody had been asked
			continue
		}
		if round == rounds || time.Since(began) > submitPatience || pause(ctx, wait) != nil {
			break
		}
		wait = min(2*wait, maxPause)
	}
	if ctx.Err() != nil {
		tried = append(tried, context.Cause(ctx))
	}
	if doubt {
		return nil, inDoubt(tried)
	}
	return nil, tried
}

// inDoubt makes an error match ErrUnknown, and ErrNotCommitted no more: one node
// that says so does not undo the doubt about what another did.
func inDoubt(tried triedError) error {
	tried = slices.DeleteFunc(tried, func(err error) bool { return errors.Is(err, ErrNotCommitted) })
	if !errors.Is(tried, ErrUnknown) {
		tried = append(tried, ErrUnknown)
	}
	return tried
}

// unsent reports whether an error says that nothing reached the chain.
func unsent(err error) bool {
	for _, e := range []error{ErrBusy, ErrReadOnly, ErrNotReady, ErrUnauthorized, ErrNotCommitted} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// send submits a transaction to one node and checks what comes back.
func (c *Client) send(ctx context.Context, n Node, tx *chain.Tx, sidecar []byte) (*outcome, error) {
	r, err := n.Submit(ctx, tx, sidecar)
	if err != nil {
		return nil, err
	}
	got, err := c.receipt(ctx, n, r)
	if err != nil {
		return nil, err
	}
	if got == nil || got.ID() != tx.ID() || !bytes.Equal(r.Tx, tx.Bytes()) {
		return nil, fmt.Errorf("%w: receipt of another transaction", ErrIntegrity)
	}
	switch code := r.Result.Code; {
	case code == "":
		return &outcome{id: tx.ID(), index: r.Index, time: r.Result.Time, value: r.Result.Value}, nil
	case code == chain.ErrBusy:
		return nil, ErrBusy
	case code == chain.ErrExpired, code == chain.ErrLifetime:
		return nil, fmt.Errorf("%w: %w", ErrNotCommitted, code)
	case code == chain.ErrDuplicate, code == chain.ErrSidecar:
		// This leaf is not the one that counts: the transaction was executed
		// at another, or still can be.
		return nil, fmt.Errorf("%w: %w", ErrUnknown, code)
	case strings.Contains(string(code), "/"), code == chain.ErrFault, code == chain.ErrFailed:
		return nil, settled{coded(code)}
	default:
		return nil, settled{fmt.Errorf("transaction was refused: %w", code)}
	}
}
