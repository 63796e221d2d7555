package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/vault"
	"github.com/ward-health/ward/pre"
)

// This file is the only place from which a partial key or a fragment leaves. The
// rules, all of them checked here for every answer:
//
//  1. The node has caught up since it started (fresh.go).
//  2. The transaction that is answered is on the chain under a certificate by
//     t_c members, and had its effect. What a member executed but nobody
//     certified is no reason to answer.
//  3. The state that the answer rests on is certified too, and includes every
//     transaction whose receipt anyone held when this node was asked: after a
//     revocation has returned, on whatever member, nobody answers any more. How
//     far the log is the leader says; what a dishonest one can do is in
//     SECURITY.md.
//  4. In that state the request is still good: see consent.Serveable.
//  5. The share is the one of the generation in force, and fits its sharing.
//
// An answer is sealed to the key that the signed transaction names, and signed.

// A ticket is what a certified state allows this member to release.
type ticket struct {
	tx      [32]byte
	index   uint8        // this member's, in the sharing
	sharing *pre.Sharing // in force
}

// state calls fn with the certified state that answers rest on.
func (c *core) state(ctx context.Context, fn func(v *replica.View) error) error {
	if !c.fresh.Load() {
		return fmt.Errorf("catching up with the other members: %w", ward.ErrNotReady)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Quorum)
	defer cancel()
	return c.translate(c.replica.Read(ctx, fn))
}

// now is the later of the block time of a state and this node's clock, in Unix
// milliseconds: a clock that is slow must not make a grant live longer, and a
// chain on which nothing happens must not either.
func (c *core) now(v *replica.View) int64 {
	return max(v.Header().Time, c.cfg.Clock().UnixMilli())
}

// authority returns the authority in force and this member's index in it, or
// ErrShares if it has none.
func (c *core) authority(v *replica.View) (*keys.Authority, uint8, error) {
	a, err := keys.Current(v.Of(keys.Contract))
	if err != nil {
		return nil, 0, err
	}
	if a == nil {
		return nil, 0, keys.ErrNoKey
	}
	i := a.Index(c.cfg.Member)
	if i == 0 {
		return nil, 0, fmt.Errorf("%s holds no share: %w", c.cfg.Member, ward.ErrShares)
	}
	return a, i, nil
}

// AnswerAccess implements api.Backend.
func (n *Node) AnswerAccess(ctx context.Context, index uint64) (ward.Part, error) {
	c, err := n.core()
	if err != nil {
		return ward.Part{}, err
	}
	var t ticket
	var a *consent.Access
	var grant *consent.Grant
	var records []*record.Record
	err = c.state(ctx, func(v *replica.View) (err error) {
		if a, err = consent.LookupAccess(v.Of(consent.Contract), index); err != nil {
			return err
		}
		if err = contract.Serveable(c.replica.Consortium(), v.Of, a, c.now(v)); err != nil {
			return err
		}
		if records, err = accessed(v, a); err != nil {
			return err
		}
		if t, err = c.ticket(v, a.ID); err != nil || a.Grant == "" {
			return err
		}
		if grant, err = consent.Lookup(v.Of(consent.Contract), a.Grant); err != nil {
			return err
		}
		t.sharing, _, err = grant.InForce(v.Of(keys.Contract))
		return err
	})
	if err != nil {
		return ward.Part{}, fmt.Errorf("answer access %d: %w", index, err)
	}
	var p ward.Part
	err = c.work(ctx, func() (err error) {
		p, err = c.answer(t, a, grant, records)
		return err
	})
	if err != nil {
		return ward.Part{}, fmt.Errorf("answer access %d: %w", index, err)
	}
	return p, nil
}

// ticket returns a ticket for the share of the identity key.
func (c *core) ticket(v *replica.View, tx [32]byte) (ticket, error) {
	a, i, err := c.authority(v)
	if err != nil {
		return ticket{}, err
	}
	s, err := a.Sharing()
	return ticket{tx: tx, index: i, sharing: s}, err
}

// accessed returns the records of an access as the state has them.
func accessed(v *replica.View, a *consent.Access) ([]*record.Record, error) {
	records := make([]*record.Record, len(a.Records))
	for i, id := range a.Records {
		var err error
		if records[i], err = record.Lookup(v.Of(record.Contract), id); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// answer computes this member's answer to an access that a certified state
// allows.
func (c *core) answer(t ticket, a *consent.Access, grant *consent.Grant, records []*record.Record) (ward.Part, error) {
	checked, err := c.verified.records(c.cfg.Founding.Chain, a.ID, records)
	if err != nil {
		return ward.Part{}, err
	}
	asked := &pre.Access{ID: a.ID, Requester: a.Transport, Records: checked}
	var share *pre.Share
	if grant != nil {
		share, err = c.share(vault.Grant, grantName(grant.ID, t.sharing.Generation()), t.sharing)
	} else {
		share, err = c.share(vault.Identity, generationName(t.sharing.Generation()), t.sharing)
	}
	if err != nil {
		return ward.Part{}, noShare(err)
	}
	defer share.Erase()
	if share.Index() != t.index {
		return ward.Part{}, noShare(errors.New("share is another member's"))
	}
	var ans *pre.Answer
	if grant != nil {
		parsed, err := pre.ParseGrant(grant.Raw)
		if err != nil {
			return ward.Part{}, err
		}
		ans, err = share.Reencrypt(parsed, t.sharing, asked)
		if err != nil {
			return ward.Part{}, err
		}
	} else if ans, err = share.Decapsulate(t.sharing, asked); err != nil {
		return ward.Part{}, err
	}
	sealed, err := ans.Seal(asked)
	if err != nil {
		return ward.Part{}, err
	}
	return c.part(t, sealed)
}

// noShare hides from the asker why a share is not there or not good.
func noShare(err error) error { return fmt.Errorf("%w: %w", ward.ErrShares, err) }

// part signs what this member gives.
func (c *core) part(t ticket, sealed []byte) (ward.Part, error) {
	p := ward.Part{Member: c.cfg.Member, Index: t.index, Generation: t.sharing.Generation(), Sealed: sealed}
	return p, p.Sign(c.cfg.Founding.Chain, t.tx, c.key)
}

// A keyRequest is a committed request for keys.
type keyRequest struct {
	tx     *chain.Tx
	args   keys.RequestArgs
	result *chain.Result
	id     pre.Identity
}

// keyRequest returns the request at a leaf index, if it is one that had its
// effect.
func (c *core) keyRequest(ctx context.Context, index uint64) (*keyRequest, error) {
	r, err := c.receipt(ctx, index)
	if err != nil {
		return nil, err
	}
	q := &keyRequest{result: &r.Result}
	if err := r.Result.Err(); err != nil {
		return nil, err
	}
	if q.tx, err = chain.ParseTx(r.Tx); err != nil {
		return nil, err
	}
	if q.tx.Contract != keys.Contract || q.tx.Method != keys.MethodRequest {
		return nil, keys.ErrUnknown
	}
	if err := chain.Unmarshal(q.tx.Args, &q.args); err != nil {
		return nil, err
	}
	var res keys.RequestResult
	if err := chain.Unmarshal(r.Result.Value, &res); err != nil {
		return nil, err
	}
	q.id, err = pre.ParseIdentity(res.Identity)
	return q, err
}

// still returns nil if a request for keys is still good in a state: it is not
// old, and whoever signed it still signs for the name, or for a guardian of an
// owner without self-custody.
func (q *keyRequest) still(k *chain.Consortium, v *replica.View, now int64) error {
	if now-q.result.Time > consent.AnswerWindow.Milliseconds() {
		return consent.ErrExpired
	}
	of := v.Of(identity.Contract)
	who, err := identity.ByKey(of, q.tx.Signer)
	switch {
	case errors.Is(err, identity.ErrUnknown):
		return keys.ErrDenied
	case err != nil || string(who.Name) == q.id.Name:
		return err
	}
	owner, err := identity.Lookup(of, identity.Name(q.id.Name))
	switch {
	case err != nil:
		return err
	case q.args.Inbox || !owner.ActedForBy(who.Name, now, k):
		return keys.ErrDenied
	case owner.Version != 0:
		return keys.ErrCustody
	}
	return nil
}

// PartialKey implements api.Backend.
func (n *Node) PartialKey(ctx context.Context, index uint64) (ward.Part, error) {
	c, err := n.core()
	if err != nil {
		return ward.Part{}, err
	}
	q, err := c.keyRequest(ctx, index)
	if err != nil {
		return ward.Part{}, fmt.Errorf("answer key request %d: %w", index, err)
	}
	var t ticket
	err = c.state(ctx, func(v *replica.View) (err error) {
		if index >= v.Header().Size { // not under the state's certificate
			return keys.ErrUnknown
		}
		if err = q.still(c.replica.Consortium(), v, c.now(v)); err != nil {
			return err
		}
		t, err = c.ticket(v, q.tx.ID())
		return err
	})
	if err != nil {
		return ward.Part{}, fmt.Errorf("answer key request %d: %w", index, err)
	}
	var p ward.Part
	err = c.work(ctx, func() (err error) {
		p, err = c.extract(t, q)
		return err
	})
	if err != nil {
		return ward.Part{}, fmt.Errorf("answer key request %d: %w", index, err)
	}
	return p, nil
}

func (c *core) extract(t ticket, q *keyRequest) (ward.Part, error) {
	share, err := c.share(vault.Identity, generationName(t.sharing.Generation()), t.sharing)
	if err != nil {
		return ward.Part{}, noShare(err)
	}
	defer share.Erase()
	if share.Index() != t.index {
		return ward.Part{}, noShare(errors.New("share is another member's"))
	}
	var key *pre.PartialKey
	if q.args.Inbox {
		key, err = share.ExtractInbox(q.id)
	} else {
		key, err = share.Extract(q.id, q.args.Type)
	}
	if err != nil {
		return ward.Part{}, err
	}
	sealed, err := key.Seal(q.args.Transport, t.tx)
	if err != nil {
		return ward.Part{}, err
	}
	return c.part(t, sealed)
}

// Accessed implements ward.Node.
func (n *Node) Accessed(ctx context.Context, index uint64) ([]ward.Sealed, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	var list []ward.Sealed
	err = c.replica.Read(ctx, func(v *replica.View) error {
		list = nil
		a, err := consent.LookupAccess(v.Of(consent.Contract), index)
		if err != nil {
			return err
		}
		records, err := accessed(v, a)
		if err != nil {
			return err
		}
		for _, r := range records {
			list = append(list, ward.Sealed{Record: *r})
		}
		return nil
	})
	if err != nil {
		return nil, c.translate(err)
	}
	for i := range list {
		b, err := c.replica.Sidecar(list[i].Record.Index)
		if err != nil && !errors.Is(err, replica.ErrPurged) && !errors.Is(err, replica.ErrMissing) {
			return nil, c.translate(err)
		}
		list[i].Index = b
	}
	return list, nil
}
