package ward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// Terms are the conditions of a grant.
type Terms struct {
	// Exactly one of To and Policy says whom the grant is to: a name, or whoever
	// has attributes, such as "role = physician and dept in (icu, er)". Attributes
	// that name no authority are those of the owner's own organisation; see
	// abe.Policy.
	To         identity.Name
	Policy     string
	Type       pre.Type
	Except     []pre.Type // subtrees below it that are left out; see consent.ByCryptography
	Everything bool       // must be set to grant the root type
	Expose     bool       // accept that hospitals can read what a recipient without self-custody is granted

	NotBefore, NotAfter time.Time
	Purposes            []consent.Purpose // none means any but BTG
	Since, Until        time.Time         // days of the records, in UTC, both included
	MaxUses             uint32
	CoSigners           int
	CoSignerAttribute   string // "name" or "name=value"; "" for anybody, whom any hospital can register
	CoSignersElsewhere  bool   // they are of other organisations than the reader's
	Emergency           bool
	Obligations         []consent.Obligation // what readers take on
	WhileHeld           string               // a workflow: only for as long as the reader holds it

	Renews  consent.GrantID // the grant that this one replaces
	Answers string          // the request that it answers
}

// activation is how long Grant waits for members to accept their shares.
const activation = 30 * time.Second

// conditions returns what the terms come to. Terms that ask for something which
// would not be asked of the recipient are an error.
func (t *Terms) conditions() (consent.Conditions, error) {
	c := consent.Conditions{
		NotBefore: millis(t.NotBefore), NotAfter: millis(t.NotAfter), Since: day(millis(t.Since)), Until: millis(t.Until),
		MaxUses: t.MaxUses, Emergency: t.Emergency, Instance: t.WhileHeld,
		Purposes: inOrder(t.Purposes), Except: inOrder(t.Except), Obligations: inOrder(t.Obligations),
	}
	if t.CoSigners < 0 || t.CoSigners == 0 && (t.CoSignerAttribute != "" || t.CoSignersElsewhere) {
		return c, fmt.Errorf("%d co-signers with the attribute %q", t.CoSigners, t.CoSignerAttribute)
	}
	if t.CoSigners > 0 {
		name, value, _ := strings.Cut(t.CoSignerAttribute, "=")
		c.CoSigners = consent.CoSigners{Count: uint8(min(t.CoSigners, 255)), Attribute: name, Value: value, Elsewhere: t.CoSignersElsewhere}
	}
	return c, nil
}

// inOrder returns a list as the chain takes it: ascending, each once, nil if it
// is empty.
func inOrder[T cmp.Ordered](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// Grant lets someone read the caller's records of a type. It returns when
// enough members hold their shares for the grant to work. If that takes too
// long, or cannot be found out, the id is returned with an error: the grant may
// be on the chain.
//
// With Terms.Renews, the grant named there ends with this one.
func (c *Client) Grant(ctx context.Context, t Terms) (consent.GrantID, error) {
	id, err := c.grant(ctx, &t)
	if errors.Is(err, consent.ErrStale) || errors.Is(err, consent.ErrRecipient) {
		// A key, an epoch or the members changed between question and grant.
		id, err = c.grant(ctx, &t)
	}
	if err == nil {
		err = c.activated(ctx, id)
	}
	if err != nil {
		return id, fmt.Errorf("grant: %w", err)
	}
	return id, nil
}

func (c *Client) grant(ctx context.Context, t *Terms) (consent.GrantID, error) {
	conditions, err := t.conditions()
	if err != nil {
		return "", fmt.Errorf("conditions: %w", err)
	}
	hash, err := conditions.Hash()
	if err != nil {
		return "", fmt.Errorf("conditions: %w", err)
	}
	owner, err := c.self(ctx)
	if err != nil {
		return "", err
	}
	to, err := c.grantee(ctx, t)
	if err != nil {
		return "", fmt.Errorf("recipient: %w", err)
	}
	a, err := c.authority(ctx)
	if err != nil {
		return "", err
	}
	if a.Moving {
		return "", consent.ErrMoving
	}
	key, err := c.exactKey(ctx, owner, t.Type)
	if err != nil {
		return "", err
	}
	id, err := consent.GenerateID()
	if err != nil {
		return "", err
	}
	exposed := owner.SelfCustody() && !to.SelfCustody()
	dealt, shares, err := key.Grant(pre.Terms{
		ID: string(id), Conditions: hash,
		Generation: a.Generation, Members: uint8(a.sharing.Members()), Threshold: uint8(a.sharing.Threshold()),
		Everything: t.Everything, Expose: t.Expose && exposed,
	}, to)
	if err != nil {
		return "", err
	}
	sidecar, err := sealShares(dealt, shares, a.Transport)
	if err != nil {
		return "", err
	}
	args := consent.GrantArgs{
		Grant: dealt.Bytes(), Recipient: t.To, Conditions: conditions,
		Everything: t.Everything, Expose: exposed, Renews: t.Renews, Answers: t.Answers,
	}
	if _, err := c.submit(ctx, consent.Contract, consent.MethodGrant, args, sidecar, c.wallet.Signer()); err != nil {
		if !errors.Is(err, ErrUnknown) {
			id = ""
		}
		return id, err
	}
	return id, nil
}

// grantee returns whom a grant is to.
func (c *Client) grantee(ctx context.Context, t *Terms) (pre.Recipient, error) {
	switch {
	case (t.To == "") == (t.Policy == ""):
		return nil, errors.New("a grant is to a name or to a policy, one of the two")
	case t.Policy != "":
		return c.audience(ctx, t.Policy)
	}
	return c.recipient(ctx, t.To, false)
}

// sealShares seals each member's share to it and erases it. A member without a
// transport key gets none: it will refuse the grant.
func sealShares(g *pre.Grant, shares []*pre.Share, transport [][]byte) ([]byte, error) {
	sealed := make([][]byte, len(shares))
	for i, s := range shares {
		if key := transport[i]; len(key) > 0 {
			b, err := s.Seal(key, g)
			if err != nil {
				return nil, fmt.Errorf("seal share %d: %w", i+1, err)
			}
			sealed[i] = b
		}
		s.Erase()
	}
	return chain.Marshal(sealed)
}

// activated waits until enough members hold their shares.
func (c *Client) activated(ctx context.Context, id consent.GrantID) error {
	ctx, cancel := context.WithTimeout(ctx, activation)
	defer cancel()
	wait := firstPause / 2
	for {
		g, err := c.ShowGrant(ctx, id)
		if err != nil {
			return err
		}
		if g.Status != consent.StatusPending {
			return statusError(g.Status)
		}
		if int(g.Grant.Members)-len(g.Grant.Refused) < int(g.Grant.Needed) {
			return fmt.Errorf("%w: %d members refused theirs", consent.ErrShares, len(g.Grant.Refused))
		}
		if err := pause(ctx, wait); err != nil {
			return fmt.Errorf("%w: %w", consent.ErrPending, err)
		}
		wait = min(wait*3/2, maxPause)
	}
}

// statusError returns why a new grant does not stand. One that is early, or used
// already, does.
func statusError(s consent.Status) error {
	switch s {
	case consent.StatusRevoked, consent.StatusExpired, consent.StatusLost:
		return notLive[s]
	}
	return nil
}

// RevokeOptions say what else a revocation does.
type RevokeOptions struct {
	// Rotate raises the caller's epoch too, so that later records are out of
	// the reach of every key and grant made so far. It is not for guardians.
	Rotate bool
}

// Revoke ends a grant of the caller's. When it returns nil, no member answers
// for the grant that is asked from then on. What the reader has, she keeps.
func (c *Client) Revoke(ctx context.Context, id consent.GrantID, opt RevokeOptions) error {
	if opt.Rotate {
		if err := c.herself(); err != nil {
			return fmt.Errorf("revoke %s: %w", id, err)
		}
	}
	_, err := c.submit(ctx, consent.Contract, consent.MethodRevoke, consent.RevokeArgs{Grant: id}, nil, c.wallet.Signer())
	if err != nil {
		return fmt.Errorf("revoke %s: %w", id, err)
	}
	if opt.Rotate {
		return c.RaiseEpoch(ctx)
	}
	return nil
}

// Request asks an owner for a grant, until a time, and returns the request's id.
func (c *Client) Request(ctx context.Context, owner identity.Name, t pre.Type, purpose consent.Purpose, until time.Time) (string, error) {
	args := consent.RequestArgs{Owner: owner, Type: t, Purpose: purpose, NotAfter: millis(until)}
	out, err := c.submit(ctx, consent.Contract, consent.MethodRequest, args, nil, c.wallet.Signer())
	if err != nil {
		return "", fmt.Errorf("request: %w", err)
	}
	return out.id.String(), nil
}

// Deny turns down a request to the caller, or withdraws one of the caller's own.
// A request is granted by a Grant whose Terms.Answers names it.
func (c *Client) Deny(ctx context.Context, request string) error {
	_, err := c.submit(ctx, consent.Contract, consent.MethodDeny, consent.DenyArgs{Request: request}, nil, c.wallet.Signer())
	if err != nil {
		return fmt.Errorf("deny request: %w", err)
	}
	return nil
}
