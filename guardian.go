package ward

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
)

// ErrGuardian says that only the owner herself can do something, not a guardian
// of hers.
var ErrGuardian = errors.New("only the owner herself can do this")

// Owner returns whose records and grants the client looks after: the caller's,
// or those of the owner that Options.For names.
func (c *Client) Owner() identity.Name { return c.owner }

// herself returns ErrGuardian if the client acts for another: what follows is
// about the keys of whoever signs, who would do it to himself.
func (c *Client) herself() error {
	if c.owner != c.wallet.Name() {
		return fmt.Errorf("%w: the client acts for %s", ErrGuardian, c.owner)
	}
	return nil
}

// Delegate lets someone act for the caller until a time, zero meaning until
// EndGuardian: make and revoke her grants, answer requests, and open her
// records, unless she is in self-custody. Said again, it replaces what was said.
//
// Warning: what he grants outlasts him, until it ends or she revokes it. The
// chain refuses him a grant to himself by name, but not one to a policy that he
// satisfies. Grant.By says which are his.
func (c *Client) Delegate(ctx context.Context, to identity.Name, until time.Time) error {
	if err := c.herself(); err != nil {
		return fmt.Errorf("delegate: %w", err)
	}
	args := identity.GuardianArgs{Name: c.owner, Guardian: to, Kind: identity.Delegate, Until: millis(until)}
	if _, err := c.submit(ctx, identity.Contract, identity.MethodGuardian, args, nil, c.wallet.Signer()); err != nil {
		return fmt.Errorf("delegate: %w", err)
	}
	c.forget(c.owner)
	return nil
}

// EndGuardian ends that someone acts for an owner: the caller, or one for whom
// the caller acts, who then lays down the caller's own guardianship. It ends
// what is proposed of him, too.
//
// What he did stands: grants are the owner's to revoke. He keeps what he has
// read, and keys of the epochs in which he acted: with Rotate, records to come
// are out of their reach. It is for the owner only.
func (c *Client) EndGuardian(ctx context.Context, guardian identity.Name, opt RevokeOptions) error {
	if opt.Rotate {
		if err := c.herself(); err != nil {
			return fmt.Errorf("end guardianship: %w", err)
		}
	}
	args := identity.EndGuardianArgs{Name: c.owner, Guardian: guardian}
	if _, err := c.submit(ctx, identity.Contract, identity.MethodEndGuardian, args, nil, c.wallet.Signer()); err != nil {
		return fmt.Errorf("end guardianship: %w", err)
	}
	c.forget(c.owner)
	if guardian == c.wallet.Name() {
		if err := c.wallet.ForgetWard(c.owner); err != nil {
			return fmt.Errorf("end guardianship: %w", err)
		}
	}
	if opt.Rotate {
		return c.RaiseEpoch(ctx)
	}
	return nil
}

// KeyRequests yields what guardians asked of an owner's keys, oldest first. From
// then on they could open what such a key reaches. It ends after the first error.
func (c *Client) KeyRequests(ctx context.Context, owner identity.Name) iter.Seq2[*keys.KeyRequest, error] {
	return pages(ctx, c, func(last *keys.KeyRequest) query.Question {
		q := query.KeyRequests{Owner: owner}
		if last != nil {
			q.After = last.Index
		}
		return q
	})
}

// mayOpen returns why the caller may not use keys of the owner for whom it acts:
// the members would give none, and those that the wallet remembers from before
// are not for use any more.
func (c *Client) mayOpen(ctx context.Context) error {
	if c.herself() == nil {
		return nil
	}
	owner, err := c.Identity(ctx, c.owner)
	switch {
	case err != nil:
		return err
	case !owner.ActedForBy(c.wallet.Name(), c.clock().UnixMilli(), c.Consortium()):
		return errors.Join(fmt.Errorf("%w: %s is no guardian of %s", consent.ErrDenied, c.wallet.Name(), c.owner), c.wallet.ForgetWard(c.owner))
	case owner.Version != 0:
		return fmt.Errorf("%w: %s is in self-custody", keys.ErrCustody, c.owner)
	}
	return nil
}

// LeaveCustody ends the caller's self-custody. From then on t members together
// can open what is written for the caller, and in an emergency they do, under its
// rules. What was written before opens only with the custody keys in the wallet:
// it is lost with the wallet, and no emergency opens it. Her epoch rises, so that
// grants, whether of before or during self-custody, reach nothing of what is
// written from then on, and are to be made again.
func (c *Client) LeaveCustody(ctx context.Context) error {
	if err := c.leaveCustody(ctx); err != nil {
		return fmt.Errorf("leave custody: %w", err)
	}
	return nil
}

func (c *Client) leaveCustody(ctx context.Context) error {
	if err := c.herself(); err != nil {
		return err
	}
	now, err := c.Identity(ctx, c.owner)
	if err != nil {
		return err
	}
	_, err = c.submit(ctx, identity.Contract, identity.MethodCustodyOff, identity.CustodyOffArgs{From: now.Version}, nil, c.wallet.Signer())
	c.forget(now.Name)
	return err
}
