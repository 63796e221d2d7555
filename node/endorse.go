package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/durable"
)

// approvals are the consortium files that the operator agreed to, by hash.
type approvals struct{ dir string }

func openApprovals(dir string) (*approvals, error) {
	return &approvals{dir}, durable.MkdirAll(dir, 0o700)
}

func (a *approvals) path(h chain.Hash) string { return filepath.Join(a.dir, h.String()) }

func (a *approvals) has(h chain.Hash) (bool, error) {
	_, err := os.Lstat(a.path(h))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func fileHash(k *chain.Consortium) (chain.Hash, error) {
	b, err := k.Bytes()
	return sha256.Sum256(b), err
}

// Approve lets this member endorse a consortium file with this hash, the
// SHA-256 of its bytes. It is the operator's decision, and is kept.
func (n *Node) Approve(h chain.Hash) error {
	c, err := n.core()
	if err != nil {
		return err
	}
	return durable.WriteFile(c.approved.path(h), []byte(h.String()+"\n"), 0o600)
}

// Withdraw takes an approval back. What was endorsed stays endorsed.
func (n *Node) Withdraw(h chain.Hash) error {
	c, err := n.core()
	if err != nil {
		return err
	}
	if err := durable.Remove(c.approved.path(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Endorse implements api.Backend. The error matches ward.ErrUnauthorized unless
// the operator approved the file, or it adds nothing but the keys that the first
// ceremony made.
func (n *Node) Endorse(ctx context.Context, next *chain.Consortium) (chain.Endorsement, error) {
	c, err := n.core()
	if err != nil {
		return chain.Endorsement{}, err
	}
	h, err := fileHash(next)
	if err != nil {
		return chain.Endorsement{}, err
	}
	ok, err := c.approved.has(h)
	if err != nil {
		return chain.Endorsement{}, err
	}
	if !ok {
		with, err := c.withKeys(ctx)
		if err != nil {
			return chain.Endorsement{}, err
		}
		if ok, err = sameFile(with, next); err != nil {
			return chain.Endorsement{}, err
		}
	}
	if !ok {
		return chain.Endorsement{}, fmt.Errorf("endorse consortium file %s: the operator of %s did not approve it: %w", h, c.cfg.Member, ward.ErrUnauthorized)
	}
	var e chain.Endorsement
	err = c.work(ctx, func() (err error) {
		e, err = chain.Endorse(next, c.cfg.Member, c.key)
		return err
	})
	return e, err
}

func sameFile(a, b *chain.Consortium) (bool, error) {
	if a == nil || b == nil {
		return false, nil
	}
	x, err := a.Bytes()
	if err != nil {
		return false, err
	}
	y, err := b.Bytes()
	return bytes.Equal(x, y), err
}

// withKeys returns the consortium file in force with the keys that the first
// ceremony made, or nil if it has keys already or there are none.
func (c *core) withKeys(ctx context.Context) (*chain.Consortium, error) {
	var authority *keys.Authority
	err := c.replica.Read(ctx, func(v *replica.View) (err error) {
		authority, err = keys.Current(v.Of(keys.Contract))
		return err
	})
	if err != nil {
		return nil, c.translate(err)
	}
	return c.addKeys(c.replica.Consortium(), authority)
}

func (c *core) addKeys(k *chain.Consortium, authority *keys.Authority) (*chain.Consortium, error) {
	if authority == nil || len(k.ExtractionKey) > 0 {
		return nil, nil
	}
	identity, err := authority.Sharing()
	if err != nil {
		return nil, err
	}
	checkpoint, err := threshold.ParseSharing(authority.Checkpoint)
	if err != nil {
		return nil, err
	}
	next, err := NextFile(k)
	if err != nil {
		return nil, err
	}
	next.ExtractionKey, next.CheckpointKey = identity.Key().Bytes(), checkpoint.Key().Bytes()
	return next, nil
}

// NextFile returns a copy of a consortium file with the number of the next
// epoch, to be changed and proposed.
func NextFile(k *chain.Consortium) (*chain.Consortium, error) {
	founding, err := k.FoundingHash()
	if err != nil {
		return nil, err
	}
	next := *k
	next.Epoch++
	next.Founding = founding
	next.Members = slices.Clone(k.Members)
	return &next, nil
}

// ProposeConsortium puts the next consortium file in force: it gathers the
// members' endorsements and submits them. The error matches ErrNoQuorum if too
// few members endorse it.
func (n *Node) ProposeConsortium(ctx context.Context, next *chain.Consortium) (*chain.Receipt, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	return c.propose(ctx, next)
}

func (c *core) propose(ctx context.Context, next *chain.Consortium) (*chain.Receipt, error) {
	k := c.replica.Consortium()
	type word struct {
		from        string
		endorsement chain.Endorsement
		err         error
	}
	asking, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	words := make(chan word, len(k.Members))
	for i := range k.Members {
		name := k.Members[i].Name
		go func() {
			p, err := c.peer(name)
			w := word{from: name, err: err}
			if err == nil {
				w.endorsement, w.err = p.Endorse(asking, next)
			}
			words <- w
		}()
	}
	var have []chain.Endorsement
	var errs []error
	for range k.Members {
		w := <-words
		if w.err == nil && w.endorsement.Member != w.from {
			w.err = errors.New("endorsement in another member's name")
		}
		if w.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", w.from, w.err))
			continue
		}
		if have = append(have, w.endorsement); len(have) == k.CheckpointThreshold {
			cancel()
			break
		}
	}
	if len(have) < k.CheckpointThreshold {
		return nil, fmt.Errorf("%d of %d members endorse the consortium file: %w: %w", len(have), k.CheckpointThreshold, ward.ErrNoQuorum, errors.Join(errs...))
	}
	slices.SortFunc(have, func(a, b chain.Endorsement) int { return strings.Compare(a.Member, b.Member) })
	args, err := chain.NextConsortium(next, have)
	if err != nil {
		return nil, err
	}
	if _, err := k.Next(args); err != nil {
		return nil, fmt.Errorf("propose consortium file: %w", err)
	}
	r, err := c.submit(ctx, chain.SystemContract, chain.ConsortiumMethod, args)
	if err != nil {
		return nil, err
	}
	// The block of the change is the last that the old file's members certify.
	// Who has the new file already, or restarts now, can check nothing until
	// there is a block of its own: so let there be one.
	_, err = c.submit(ctx, keys.Contract, keys.MethodAnnounce, keys.AnnounceArgs{Transport: c.transport.Public()})
	if err != nil {
		c.log.Warn("no block follows the new consortium file yet", "error", err)
	}
	return r, nil
}

// peer returns a member's node, this one's own for its own name.
func (c *core) peer(name string) (Peer, error) {
	if name == c.cfg.Member {
		return c.node, nil
	}
	return c.peers.Peer(name)
}

// publish puts the keys of the first ceremony into the consortium file, when it
// is this member's turn.
func (s *ceremonies) publish(ctx context.Context, l *look) (time.Duration, error) {
	wait, mine := s.turn(l.consortium, "keys", s.cfg.Clock())
	if !mine {
		return wait, nil
	}
	next, err := s.addKeys(l.consortium, l.authority)
	if err != nil || next == nil {
		return time.Minute, err
	}
	if _, err = s.propose(ctx, next); errors.Is(err, chain.ErrConsortium) {
		return s.cfg.Turn, nil // another was first
	}
	return time.Minute, err
}
