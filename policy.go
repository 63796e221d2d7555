package ward

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/pre"
)

// An ObligationsError says that an access was not asked for because the reader
// has not taken on what its grant obliges to. It wraps consent.ErrObligation.
type ObligationsError struct{ Obligations []consent.Obligation }

// Error gives the obligations in words.
func (e *ObligationsError) Error() string {
	var b strings.Builder
	b.WriteString("the grant obliges its reader:")
	for _, o := range e.Obligations {
		fmt.Fprintf(&b, " %s (%s)", o, o.Words())
	}
	return b.String()
}

// Unwrap returns consent.ErrObligation.
func (e *ObligationsError) Unwrap() error { return consent.ErrObligation }

// ParsePolicy reads a policy as Terms takes it: attributes that name no
// authority are those of the owner's organisation.
func (c *Client) ParsePolicy(text string) (*abe.Policy, error) {
	p, err := abe.ParsePolicy(text)
	if err != nil {
		return nil, err
	}
	return p.In(c.owner.Org())
}

// audience returns the recipient of a grant to a policy, at the current epoch of
// each of its authorities.
func (c *Client) audience(ctx context.Context, policy string) (*abe.Recipient, error) {
	p, err := c.ParsePolicy(policy)
	if err != nil {
		return nil, err
	}
	var authorities []*abe.Authority
	for _, name := range p.Authorities() {
		a, err := c.AttributeAuthority(ctx, name, 0)
		if err != nil {
			return nil, err
		}
		authorities = append(authorities, a)
	}
	return abe.NewRecipient(p, authorities...)
}

// CheckPolicy returns nil if records can be granted to the policy now: it is
// well-formed, and its authorities certify the attributes in it. A
// *abe.SyntaxError points at what is wrong.
func (c *Client) CheckPolicy(ctx context.Context, policy string) error {
	if _, err := c.audience(ctx, policy); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}

// A Listener is one of the staff whose hospital a policy names.
type Listener struct {
	*identity.Identity
	// Part is what of the policy is about the attributes of her hospital.
	Part *abe.Policy
	// Attributes are those that hold now, as policies speak of them.
	Attributes abe.Attributes
	Satisfies  bool
}

// Roster yields everyone of the hospitals that a policy names, and whether the
// policy is satisfied by what the chain attests of them at a block time, in Unix
// milliseconds. It ends after the first error.
func (c *Client) Roster(ctx context.Context, policy string, time int64) iter.Seq2[*Listener, error] {
	return func(yield func(*Listener, error) bool) {
		p, err := c.ParsePolicy(policy)
		if err != nil {
			yield(nil, fmt.Errorf("policy: %w", err))
			return
		}
		for _, name := range p.Authorities() {
			part, err := p.Part(name)
			if err != nil {
				yield(nil, fmt.Errorf("policy: %w", err))
				return
			}
			for id, err := range c.Identities(ctx, name) {
				if err != nil {
					yield(nil, fmt.Errorf("identities of %s: %w", name, err))
					return
				}
				l := &Listener{Identity: id, Part: part, Satisfies: id.Satisfies(c.Consortium(), p, time)}
				l.Attributes, _ = id.Certified(time) // none of which satisfy anything, if it fails
				if !yield(l, nil) {
					return
				}
			}
		}
	}
}

// policyDelegation opens the reader's half of a grant to a policy with the
// caller's attribute key of the epoch that it was sealed to.
func (c *Client) policyDelegation(g *pre.Grant) (*pre.Delegation, error) {
	audience, err := abe.ParseAudience(g.Recipient())
	if err != nil {
		return nil, fmt.Errorf("%w: grant: %w", ErrIntegrity, err)
	}
	org := c.Name().Org()
	refs := audience.Authorities()
	at := slices.IndexFunc(refs, func(r abe.Ref) bool { return r.Name == org })
	if at < 0 {
		return nil, fmt.Errorf("%w: the policy is about no attribute of %s", consent.ErrPolicy, org)
	}
	key := c.wallet.AttributeKey(refs[at])
	if key == nil {
		return nil, &AttributeKeyError{refs[at]}
	}
	defer key.Erase()
	half, err := key.OpenHalf(g.Recipient(), g.Sealed(), g.Context())
	if errors.Is(err, abe.ErrNotSatisfied) {
		return nil, fmt.Errorf("%w: %w", consent.ErrPolicy, err)
	}
	if err != nil {
		return nil, err
	}
	defer clear(half)
	return g.Accept(half)
}

// An AttributeKeyError says that the caller's wallet lacks the attribute key of
// an epoch that a grant was sealed to. Who certifies her attributes issues it.
type AttributeKeyError struct{ Authority abe.Ref }

// Error says which key it takes.
func (e *AttributeKeyError) Error() string {
	return fmt.Sprintf("attribute key of %s for epoch %d is not in the wallet", e.Authority.Name, e.Authority.Epoch)
}

// Unwrap returns consent.ErrPolicy.
func (e *AttributeKeyError) Unwrap() error { return consent.ErrPolicy }

// GrantsFor yields the grants of an owner that are to a reader, by name or
// through a policy that her attributes satisfy now, oldest first. It ends after
// the first error.
func (c *Client) GrantsFor(ctx context.Context, owner, reader identity.Name) iter.Seq2[*query.GrantState, error] {
	return c.grants(ctx, query.Grants{Owner: owner, Reader: reader})
}

// GrantsTo yields the grants to a reader: those by name, and then those to
// policies that its attributes satisfy now; each oldest first. It ends after the
// first error.
func (c *Client) GrantsTo(ctx context.Context, reader identity.Name) iter.Seq2[*query.GrantState, error] {
	return func(yield func(*query.GrantState, error) bool) {
		for g, err := range c.Grants(ctx, "", reader) {
			if !yield(g, err) || err != nil {
				return
			}
		}
		for g, err := range c.grants(ctx, query.Grants{Authority: reader.Org(), Reader: reader}) {
			if !yield(g, err) {
				return
			}
		}
	}
}
