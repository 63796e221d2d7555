package ward

import (
	"context"
	"errors"
	"fmt"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/pre"
)

// maxChanges bounds how many changes of the consortium one node can make the
// client follow at a time.
const maxChanges = 1024

// follow takes over the changes of the consortium that a node knows of. The
// file it was given, and every one after, endorses the next.
func (c *Client) follow(ctx context.Context, n Node) error {
	k := c.Consortium()
	changes, err := n.Consortium(ctx, k.Epoch)
	if err != nil {
		return fmt.Errorf("consortium file: %w", err)
	}
	if len(changes) > maxChanges {
		return fmt.Errorf("consortium file: %w: %d changes", ErrIntegrity, len(changes))
	}
	for _, args := range changes {
		if k, err = k.Next(args); err != nil {
			return fmt.Errorf("consortium file: %w: %w", ErrIntegrity, err)
		}
	}
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.Epoch > c.trusted.Epoch {
		c.trusted = k
	}
	c.followed = now
	return nil
}

// current returns the consortium file after asking the node, if it is long
// since one was asked, whether there is a newer one.
func (c *Client) current(ctx context.Context, n Node) (*chain.Consortium, error) {
	c.mu.Lock()
	k, due := c.trusted, c.clock().Sub(c.followed) >= consortiumAge
	c.mu.Unlock()
	if !due {
		return k, nil
	}
	if err := c.follow(ctx, n); err != nil {
		return nil, err
	}
	return c.Consortium(), nil
}

// verified runs a check against the consortium file, and once more after
// following the node's changes if it fails.
func (c *Client) verified(ctx context.Context, n Node, check func(*chain.Consortium) error) error {
	k, err := c.current(ctx, n)
	if err != nil {
		return err
	}
	failed := check(k)
	if failed == nil {
		return nil
	}
	if err := c.follow(ctx, n); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrIntegrity, failed), err)
	}
	if next := c.Consortium(); next.Epoch != k.Epoch {
		failed = check(next)
	}
	if failed != nil {
		return fmt.Errorf("%w: %w", ErrIntegrity, failed)
	}
	return nil
}

// observe takes note of a certified checkpoint. Two that differ at one height
// are a fork: more members are dishonest than the consortium was made for.
func (c *Client) observe(cp *chain.Checkpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &c.head
	switch {
	case cp.Height == h.Height && h.Chain != "" && cp.TreeHead != *h,
		cp.Height > h.Height && cp.Size < h.Size,
		cp.Height < h.Height && cp.Size > h.Size:
		return fmt.Errorf("%w: two certified checkpoints contradict each other at height %d", ErrIntegrity, cp.Height)
	case cp.Height >= h.Height:
		*h = cp.TreeHead
	}
	return nil
}

// Seen returns the newest certified tree head that the client has seen, the zero
// value before the first. A program that keeps it, and gives it to the next client
// as Options.Seen, cannot be shown an older chain after a restart.
func (c *Client) Seen() chain.TreeHead {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head
}

// advance is observe for what must not be older than what was seen before.
func (c *Client) advance(cp *chain.Checkpoint) error {
	c.mu.Lock()
	behind := cp.Height < c.head.Height
	c.mu.Unlock()
	if behind {
		return ErrStale
	}
	return c.observe(cp)
}

// Checkpoint returns the newest certified checkpoint that a node knows. It is
// never older than one that the client has seen.
func (c *Client) Checkpoint(ctx context.Context) (*chain.Checkpoint, error) {
	var out *chain.Checkpoint
	err := c.patiently(ctx, func(n Node) error {
		cp, err := n.Checkpoint(ctx)
		if err != nil {
			return err
		}
		if err := c.verified(ctx, n, func(k *chain.Consortium) error { return k.Verify(cp) }); err != nil {
			return err
		}
		if err := c.advance(cp); err != nil {
			return err
		}
		out = cp
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return out, nil
}

// Receipt returns the receipt of the transaction with a leaf index, verified,
// and the transaction, which is nil if the chain recorded bytes that were none.
func (c *Client) Receipt(ctx context.Context, index uint64) (*chain.Receipt, *chain.Tx, error) {
	var out *chain.Receipt
	var tx *chain.Tx
	err := c.patiently(ctx, func(n Node) error {
		r, err := n.Receipt(ctx, index)
		if err != nil {
			return err
		}
		if tx, err = c.receipt(ctx, n, r); err != nil {
			return err
		}
		if r.Index != index {
			return fmt.Errorf("%w: receipt of another transaction", ErrIntegrity)
		}
		out = r
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("receipt of transaction %d: %w", index, err)
	}
	return out, tx, nil
}

// receipt verifies a receipt that a node handed out.
func (c *Client) receipt(ctx context.Context, n Node, r *chain.Receipt) (*chain.Tx, error) {
	if r == nil || r.Checkpoint == nil {
		return nil, fmt.Errorf("%w: no receipt", ErrIntegrity)
	}
	var tx *chain.Tx
	err := c.verified(ctx, n, func(k *chain.Consortium) (err error) {
		tx, err = r.Verify(k)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tx, c.observe(r.Checkpoint)
}

// extraction returns the consortium's extraction key P. A node that hides the
// change which brought it is not the last one asked.
func (c *Client) extraction(ctx context.Context) (pre.PublicKey, error) {
	if k := c.Consortium(); len(k.ExtractionKey) > 0 {
		return pre.ParsePublicKey(k.ExtractionKey)
	}
	err := c.try(ctx, func(n Node) error {
		if err := c.follow(ctx, n); err != nil {
			return err
		}
		if len(c.Consortium().ExtractionKey) == 0 {
			return fmt.Errorf("%w: the consortium has no keys yet", ErrNotReady)
		}
		return nil
	})
	if err != nil {
		return pre.PublicKey{}, err
	}
	return pre.ParsePublicKey(c.Consortium().ExtractionKey)
}
