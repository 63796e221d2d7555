package node

import (
	"context"
	"errors"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
)

// A node that starts may hold an old copy of the chain: of yesterday, before a
// grant was revoked. It serves nothing until t_c members, itself included, have
// said which their newest certified checkpoint is, and it has reached the newest
// of them. Two sets of t_c members share f+1: besides this one, which may be the
// one that forgot, f, of whom fewer may lie. And every answer is read from a
// state as new as the leader's, which a quorum follows: see release.go.

// becomeFresh opens the gate when the node has caught up.
func (c *core) becomeFresh(ctx context.Context) {
	for {
		height, ok := c.vouched(ctx)
		if ok && c.reach(ctx, height) {
			c.fresh.Store(true)
			c.news.fire()
			c.log.Info("caught up, serving", "height", height)
			return
		}
		if !pause(ctx, 200*time.Millisecond, nil) {
			return
		}
	}
}

// vouched returns the largest height that members vouch for, and whether t_c of
// them did.
func (c *core) vouched(ctx context.Context) (height uint64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	k := c.replica.Consortium()
	type word struct {
		height uint64
		ok     bool
	}
	words := make(chan word, len(k.Members))
	for i := range k.Members {
		name := k.Members[i].Name
		if name == c.cfg.Member {
			words <- word{c.certified.Load(), true}
			continue
		}
		go func() {
			h, err := c.vouchOf(ctx, k, name)
			if err != nil {
				c.log.Debug("no checkpoint from member", "peer", name, "error", err)
			}
			words <- word{h, err == nil}
		}()
	}
	vouches := 0
	for range k.Members { // bounded by ctx
		w := <-words
		if w.ok {
			vouches++
			height = max(height, w.height)
		}
		if vouches >= k.CheckpointThreshold {
			cancel()
		}
	}
	return height, vouches >= k.CheckpointThreshold
}

// vouchOf asks one member.
func (c *core) vouchOf(ctx context.Context, k *chain.Consortium, name string) (uint64, error) {
	p, err := c.peers.Peer(name)
	if err != nil {
		return 0, err
	}
	cp, err := p.Checkpoint(ctx)
	if errors.Is(err, ward.ErrNotFound) {
		return 0, nil // nothing is certified yet
	}
	if err != nil {
		return 0, err
	}
	// A checkpoint under a later consortium file verifies when this node has
	// followed the chain that far: it asks again. Why there is one under the
	// newest file, see propose.
	if err := k.Verify(cp); err != nil {
		return 0, err
	}
	return cp.Height, nil
}

// reach waits until the own certified height is at least height.
func (c *core) reach(ctx context.Context, height uint64) bool {
	for {
		changed := c.news.wait()
		if c.certified.Load() >= height {
			return true
		}
		if !pause(ctx, time.Minute, changed) {
			return false
		}
	}
}
