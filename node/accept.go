package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node/vault"
)

// A Proposal is a key ceremony as an operator judges it.
type Proposal struct {
	Ceremony *keys.Ceremony
	// Handover is not nil while grants move in parts; the ceremony is one of
	// them if Handover.Has(About).
	Handover *keys.Handover
	About    *dkg.Ceremony // what the members would run; nil while it is still being prepared
	// Hash is what an operator accepts: the SHA-256 of the description, of which
	// every member has the same.
	Hash chain.Hash
	// Involved says that this member takes part, or has shares to hand on.
	Involved bool
	// Accepted says that its operator agreed, or that his word is not needed.
	Accepted bool
}

// Proposal returns the newest key ceremony, as this node's copy of the chain has
// it. The error matches ward.ErrNotFound if there was none.
func (n *Node) Proposal(ctx context.Context) (*Proposal, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	p := new(Proposal)
	err = c.replica.ReadLocal(ctx, func(v *replica.View) (err error) {
		r := v.Of(keys.Contract)
		if p.Handover, err = keys.Pending(r); err != nil {
			return err
		}
		if p.Ceremony, err = keys.Latest(r); err != nil || p.Ceremony == nil || p.Ceremony.State == keys.Preparing {
			return err
		}
		p.About, err = keys.Description(r, p.Ceremony.Number)
		return err
	})
	if err != nil {
		return nil, c.translate(err)
	}
	if p.Ceremony == nil {
		return nil, fmt.Errorf("key ceremony: %w", ward.ErrNotFound)
	}
	if p.About == nil {
		return p, nil
	}
	p.Hash, p.Involved = descriptionHash(p.About), c.involved(p.About)
	p.Accepted, err = c.agreed(p.Ceremony, p.About, p.Handover)
	return p, err
}

// AcceptCeremony lets this node take part in the newest key ceremony, if that
// is the one with this hash. It is the operator's decision, and is kept: if the
// ceremony is part of a hand-over, it holds for all of its parts, and for those
// that are tried again. The error matches ward.ErrNotFound if the ceremony is another one.
func (n *Node) AcceptCeremony(ctx context.Context, h chain.Hash) error {
	p, err := n.Proposal(ctx)
	if err != nil {
		return err
	}
	if p.About == nil || p.Hash != h {
		return fmt.Errorf("key ceremony %s is not the newest one: %w", h, ward.ErrNotFound)
	}
	c, err := n.core()
	if err != nil {
		return err
	}
	accept := []chain.Hash{h}
	if p.Handover.Has(p.About) {
		terms, err := termsHash(p.Handover)
		if err != nil {
			return err
		}
		accept = append(accept, terms)
	}
	for _, h := range accept {
		if err := durable.WriteFile(c.approved.path(h), []byte(h.String()+"\n"), 0o600); err != nil {
			return err
		}
	}
	c.ceremony.kick()
	return nil
}

// Authority returns the consortium's keys as they are shared now, as this node's
// copy of the chain has it, or nil before the first ceremony is done.
func (n *Node) Authority(ctx context.Context) (a *keys.Authority, err error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	err = c.replica.ReadLocal(ctx, func(v *replica.View) (err error) {
		a, err = keys.Current(v.Of(keys.Contract))
		return err
	})
	return a, c.translate(err)
}

func descriptionHash(about *dkg.Ceremony) chain.Hash { return sha256.Sum256(about.Bytes()) }

// involved reports whether a ceremony needs this member.
func (c *core) involved(about *dkg.Ceremony) bool {
	self := c.key.Public().(ed25519.PublicKey)
	return hasKey(about.Members, self) || hasKey(about.Old, self)
}

// termsHash is what an operator accepts with any part of a hand-over.
func termsHash(h *keys.Handover) (chain.Hash, error) {
	terms, err := h.Terms()
	if err != nil {
		return chain.Hash{}, err
	}
	return sha256.Sum256(append([]byte("ward/v1/handover\n"), terms...)), nil
}

// agreed reports whether this node may take part in a ceremony. One in which it
// has spoken already it ends.
func (c *core) agreed(cer *keys.Ceremony, about *dkg.Ceremony, pending *keys.Handover) (bool, error) {
	over := !cer.Runs() && !pending.Has(about)
	if !c.cfg.AskCeremony || over || !c.involved(about) || c.vault.Has(vault.Ceremony, fmt.Sprint(cer.Number)) {
		return true, nil
	}
	if pending.Has(about) {
		if ok, err := c.agreedTo(pending); err != nil || ok {
			return ok, err
		}
	}
	return c.approved.has(descriptionHash(about))
}

// agreedTo reports whether this node may take part in the rest of a hand-over.
func (c *core) agreedTo(h *keys.Handover) (bool, error) {
	if !c.cfg.AskCeremony {
		return true, nil
	}
	terms, err := termsHash(h)
	if err != nil {
		return false, err
	}
	return c.approved.has(terms)
}
