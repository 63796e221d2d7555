package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/node/vault"
)

// certifiedHead returns the tree head of a block that this replica executed and
// that t_c members have certified. There is one for every height, so signing it
// a second time signs the same.
func (c *core) certifiedHead(height uint64) (chain.TreeHead, error) {
	if height == 0 || height > c.certified.Load() {
		return chain.TreeHead{}, fmt.Errorf("block %d is not certified here: %w", height, ward.ErrNotFound)
	}
	b, err := c.replica.Block(height)
	if err != nil {
		return chain.TreeHead{}, c.translate(err)
	}
	return b.Header.TreeHead(), nil
}

// checkpointSharing returns the sharing of the checkpoint key in force.
func (c *core) checkpointSharing(ctx context.Context) (*keys.Authority, *threshold.Sharing, error) {
	var a *keys.Authority
	err := c.replica.ReadLocal(ctx, func(v *replica.View) (err error) {
		a, err = keys.Current(v.Of(keys.Contract))
		return err
	})
	if err != nil {
		return nil, nil, c.translate(err)
	}
	if a == nil {
		return nil, nil, keys.ErrNoKey
	}
	s, err := threshold.ParseSharing(a.Checkpoint)
	return a, s, err
}

// SignHead implements api.Backend. Only what is certified is signed: this
// signature says no more than the cosignatures that are there already.
func (n *Node) SignHead(ctx context.Context, height uint64) ([]byte, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	head, err := c.certifiedHead(height)
	if err != nil {
		return nil, err
	}
	_, sharing, err := c.checkpointSharing(ctx)
	if err != nil {
		return nil, err
	}
	share, err := c.thresholdShare(vault.Checkpoint, generationName(sharing.Generation()))
	if errors.Is(err, vault.ErrNotFound) {
		return nil, fmt.Errorf("no share of the checkpoint key: %w", ward.ErrShares)
	}
	if err != nil {
		return nil, err
	}
	defer share.Erase()
	key, err := threshold.NewSigningKey(share, sharing)
	if err != nil {
		return nil, err
	}
	part, err := key.Sign(head.ThresholdMessage())
	if err != nil {
		return nil, err
	}
	return part.Bytes(), nil
}

// Condensed returns the newest certified checkpoint with the members' threshold
// signature, which any BLS library checks under the consortium's one checkpoint
// key. It fails with ErrShares if too few members sign.
func (n *Node) Condensed(ctx context.Context) (*chain.Checkpoint, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	cp := c.replica.Checkpoint()
	if cp == nil {
		return nil, fmt.Errorf("nothing is certified yet: %w", ward.ErrNotFound)
	}
	authority, sharing, err := c.checkpointSharing(ctx)
	if err != nil {
		return nil, err
	}
	msg := cp.TreeHead.ThresholdMessage()
	asking, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	parts := make(chan *threshold.PartialSignature, len(authority.Members))
	for _, name := range authority.Members {
		go func() {
			part, err := c.headPart(asking, name, cp.Height)
			if err == nil {
				err = sharing.VerifyPart(msg, part)
			}
			if err != nil {
				c.log.Warn("no signature on a checkpoint", "peer", name, "error", err)
				part = nil
			}
			parts <- part
		}()
	}
	var have []*threshold.PartialSignature
	for range authority.Members {
		if p := <-parts; p != nil {
			have = append(have, p)
		}
		if len(have) == sharing.Threshold() {
			break
		}
	}
	if len(have) < sharing.Threshold() {
		return nil, fmt.Errorf("%d of %d members sign the checkpoint: %w", len(have), sharing.Threshold(), ward.ErrShares)
	}
	sig, err := sharing.Combine(msg, have)
	if err != nil {
		return nil, err
	}
	line, err := c.replica.Consortium().ThresholdSignature(cp.TreeHead, sig.Bytes())
	if err != nil {
		return nil, err
	}
	return &chain.Checkpoint{TreeHead: cp.TreeHead, Signatures: []chain.Signature{line}}, nil
}

func (c *core) headPart(ctx context.Context, member string, height uint64) (*threshold.PartialSignature, error) {
	p, err := c.peer(member)
	if err != nil {
		return nil, err
	}
	raw, err := p.SignHead(ctx, height)
	if err != nil {
		return nil, err
	}
	return threshold.ParsePartialSignature(raw)
}
