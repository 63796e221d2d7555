package ward

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/query"
)

// Defaults returns the grants that an organisation proposes to its patients. The
// error matches ErrNotFound if it never proposed any.
func (c *Client) Defaults(ctx context.Context, org string) (*consent.Defaults, error) {
	d, _, err := ask[consent.Defaults](ctx, c, query.Defaults{Org: org})
	if err != nil {
		return nil, fmt.Errorf("defaults of %s: %w", org, err)
	}
	if d.Org != org {
		return nil, fmt.Errorf("defaults of %s: %w: members vouch for another's", org, ErrIntegrity)
	}
	return d, nil
}

// NextDefaults prepares a change of the grants that the caller's organisation
// proposes to its patients. In their policies, attributes that name no authority
// are the organisation's. They are proposed once the member, whose node key
// signs, has put them on the chain; see SetDefaults.
func (c *Client) NextDefaults(ctx context.Context, defaults []consent.Default) (*consent.DefaultsArgs, error) {
	args, err := c.nextDefaults(ctx, defaults)
	if err != nil {
		return nil, fmt.Errorf("next defaults: %w", err)
	}
	return args, nil
}

func (c *Client) nextDefaults(ctx context.Context, defaults []consent.Default) (*consent.DefaultsArgs, error) {
	args := &consent.DefaultsArgs{Defaults: make([]consent.Default, len(defaults))}
	for i, d := range defaults {
		p, err := c.ParsePolicy(d.Policy)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Name, err)
		}
		d.Policy = p.String()
		d.Conditions.Purposes, d.Conditions.Except, d.Conditions.Obligations =
			inOrder(d.Conditions.Purposes), inOrder(d.Conditions.Except), inOrder(d.Conditions.Obligations)
		args.Defaults[i] = d
	}
	slices.SortFunc(args.Defaults, func(a, b consent.Default) int { return strings.Compare(a.Name, b.Name) })
	old, err := c.Defaults(ctx, c.Name().Org())
	switch {
	case err == nil:
		args.From = old.Version
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	return args, nil
}

// SetDefaults puts on the chain what NextDefaults prepared, on the word of the
// member. It grants nothing.
func (c *Client) SetDefaults(ctx context.Context, by crypto.Signer, args *consent.DefaultsArgs) error {
	if _, err := c.submit(ctx, consent.Contract, consent.MethodDefaults, args, nil, by); err != nil {
		return fmt.Errorf("set defaults: %w", err)
	}
	return nil
}

// ApplyDefaults makes those grants that an organisation proposes which the owner
// has not made, or which ran out, were lost, or are of an earlier epoch or custody
// key of hers. One that she revoked is not made again: that was her word. The ids are those of the grants that were made, in the order of
// the proposals; with an error, those made before it.
func (c *Client) ApplyDefaults(ctx context.Context, org string) ([]consent.GrantID, error) {
	made, err := c.applyDefaults(ctx, org)
	if err != nil {
		return made, fmt.Errorf("apply defaults: %w", err)
	}
	return made, nil
}

func (c *Client) applyDefaults(ctx context.Context, org string) ([]consent.GrantID, error) {
	missing, err := c.missingDefaults(ctx, org)
	if err != nil {
		return nil, err
	}
	var made []consent.GrantID
	for i := range missing {
		id, err := c.Grant(ctx, c.proposal(&missing[i]))
		if id != "" {
			made = append(made, id)
		}
		if err != nil {
			return made, fmt.Errorf("%s: %w", missing[i].Name, err)
		}
	}
	return made, nil
}

// MissingDefaults returns the terms of the grants that ApplyDefaults would make
// now, in its order.
func (c *Client) MissingDefaults(ctx context.Context, org string) ([]Terms, error) {
	missing, err := c.missingDefaults(ctx, org)
	if err != nil {
		return nil, fmt.Errorf("missing defaults: %w", err)
	}
	terms := make([]Terms, len(missing))
	for i := range missing {
		terms[i] = c.proposal(&missing[i])
	}
	return terms, nil
}

// missingDefaults returns those proposals of an organisation that the owner has
// not made, or which reach nothing of what is written now.
func (c *Client) missingDefaults(ctx context.Context, org string) ([]consent.Default, error) {
	proposed, err := c.Defaults(ctx, org)
	if err != nil {
		return nil, err
	}
	now := c.clock().UnixMilli()
	missing := slices.Clone(proposed.Defaults)
	for g, err := range c.Grants(ctx, c.owner, "") {
		if err != nil {
			return nil, err
		}
		if !over(g, now) {
			missing = slices.DeleteFunc(missing, func(d consent.Default) bool { return d.Made(&g.Grant) })
		}
	}
	return missing, nil
}

// over reports whether a grant that was not revoked opens nothing of what is
// written now. That it ran out is by the time of the last block, or by the clock,
// which on a quiet chain is ahead of it.
func over(g *query.GrantState, now int64) bool {
	switch g.Status {
	case consent.StatusExpired, consent.StatusUsedUp, consent.StatusLost, consent.StatusStale:
		return true
	}
	until := g.Grant.Conditions.NotAfter
	return g.Grant.Ended == 0 && until != 0 && until < now
}

// proposal returns the terms of a proposed grant that is made now.
func (c *Client) proposal(d *consent.Default) Terms {
	k := d.At(c.clock().UnixMilli())
	t := Terms{
		Policy: d.Policy, Type: d.Type, Except: k.Except, Purposes: k.Purposes, MaxUses: k.MaxUses, Emergency: k.Emergency,
		NotAfter: instant(k.NotAfter), Since: instant(k.Since), Until: instant(k.Until), Obligations: k.Obligations,
		CoSigners: int(k.CoSigners.Count), CoSignerAttribute: k.CoSigners.Attribute, CoSignersElsewhere: k.CoSigners.Elsewhere,
	}
	if k.CoSigners.Value != "" {
		t.CoSignerAttribute += "=" + k.CoSigners.Value
	}
	return t
}

// instant is the time that millis makes a number of.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
