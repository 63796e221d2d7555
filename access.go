package ward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// A Purpose of an access, with the reason in words, which only the owner reads.
type Purpose struct {
	Code      consent.Purpose
	Reason    string
	Approvals []consent.Approval // of co-signers
	Draft     *Draft             // what the co-signers signed; needed if there are any

	// Obligations are what the reader takes on: all that the grant obliges to.
	// Without them an access fails with an ObligationsError before it is logged.
	Obligations []consent.Obligation
}

// Access asks for records of one owner under a grant to the caller, which is
// logged on the chain, and opens them. An empty grant means the first live one
// that covers them. What it returns is in the order of ids.
//
// If the author of some records sealed them wrongly the others are returned
// with an error that wraps a *pre.AuthorError; the entries of those are nil.
func (c *Client) Access(ctx context.Context, grant consent.GrantID, ids []record.ID, p Purpose) ([]*Opened, error) {
	out, err := c.access(ctx, grant, ids, p)
	if errors.Is(err, consent.ErrMoving) {
		out, err = c.access(ctx, grant, ids, p)
	}
	if err != nil {
		return out, fmt.Errorf("access: %w", err)
	}
	return out, nil
}

func (c *Client) access(ctx context.Context, grant consent.GrantID, ids []record.ID, p Purpose) ([]*Opened, error) {
	if p.Draft != nil && grant == "" {
		grant = p.Draft.Grant
	}
	g, err := c.choose(ctx, grant, ids, p.Code)
	if err != nil {
		return nil, err
	}
	sealed, err := pre.ParseGrant(g.Grant.Raw)
	if err != nil {
		return nil, fmt.Errorf("%w: grant: %w", ErrIntegrity, err)
	}
	sharing, err := pre.ParseSharing(g.Sharing)
	if err != nil || !sharing.Key().Equal(sealed.Sharing().Key()) {
		return nil, fmt.Errorf("%w: sharing of the grant", ErrIntegrity)
	}
	// Everything that can fail does before the access is logged.
	d, err := c.delegation(ctx, sealed)
	if err != nil {
		return nil, err
	}
	defer d.Erase()
	a, err := c.authority(ctx)
	if err != nil {
		return nil, err
	}
	if a.Generation != sharing.Generation() { // a ceremony ended between the two questions
		return nil, consent.ErrMoving
	}
	if o := g.Grant.Conditions.Obligations; !slices.Equal(inOrder(p.Obligations), o) && len(o) > 0 {
		return nil, &ObligationsError{o}
	}
	draft, err := c.drafted(p.Draft, draftOf(c.Name(), &g.Grant, ids, p.Code))
	if err != nil {
		return nil, err
	}
	r, err := c.logAccess(ctx, draft, g.Grant.Owner, p)
	if err != nil {
		return nil, err
	}
	dm := &demand{tx: r.id, members: a.Members, generation: sharing.Generation(), threshold: sharing.Threshold()}
	keys, err := c.answers(ctx, draft, r, dm, func(access *pre.Access, answers []*pre.Answer) ([]*pre.RecordKey, error) {
		return d.Open(sharing, access, answers)
	})
	return c.open(ctx, keys, r, ids, err)
}

// choose returns the grant with an id, or the first live one to the caller that
// covers the records. Without one the error is ErrNoGrant, with the code that
// says why if there was one once.
func (c *Client) choose(ctx context.Context, grant consent.GrantID, ids []record.ID, p consent.Purpose) (*query.GrantState, error) {
	if grant != "" {
		g, err := c.ShowGrant(ctx, grant)
		if err == nil && g.Lost {
			err = consent.ErrLost
		}
		return g, err
	}
	var records []*record.Record
	for _, id := range ids {
		r, err := c.record(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("record %s: %w", id, err)
		}
		if r.Erased != 0 {
			return nil, fmt.Errorf("record %s: %w", id, coded(consent.ErrErased))
		}
		records = append(records, r)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("no records: %w", ErrNotFound)
	}
	missing := ErrNoGrant
	for g, err := range c.GrantsFor(ctx, records[0].Owner, c.wallet.Name()) {
		switch {
		case err != nil:
			return nil, err
		case !c.allows(&g.Grant, records, p):
		case g.Lost:
			missing = also{consent.ErrLost, ErrNoGrant}
		case g.Status == consent.StatusActive, g.Status == consent.StatusStale:
			return g, nil
		default:
			if code, ok := notLive[g.Status]; ok {
				missing = also{code, ErrNoGrant}
			}
		}
	}
	return nil, missing
}

// notLive says why a grant with a status cannot be used.
var notLive = map[consent.Status]chain.Code{
	consent.StatusPending: consent.ErrPending, consent.StatusEarly: consent.ErrEarly, consent.StatusExpired: consent.ErrExpired,
	consent.StatusUsedUp: consent.ErrUsedUp, consent.StatusRevoked: consent.ErrRevoked, consent.StatusLost: consent.ErrLost,
}

// allows reports whether the terms of the grant admit the purpose and the
// records, by the contract's own clauses. The rest is for the chain to say.
func (c *Client) allows(g *consent.Grant, records []*record.Record, p consent.Purpose) bool {
	findings := consent.Examine(&consent.Case{
		Grant: g, Consortium: c.Consortium(), Reader: &identity.Identity{Name: c.Name()}, Purpose: p, Records: records,
	})
	return !slices.ContainsFunc(findings, func(f consent.Finding) bool {
		switch f.Clause {
		case consent.ClausePurpose, consent.ClauseOwner, consent.ClauseEpoch, consent.ClauseType, consent.ClauseExcept, consent.ClauseDated:
			return !f.Holds()
		}
		return false
	})
}

// delegation opens the reader's half of a grant to the caller.
func (c *Client) delegation(ctx context.Context, g *pre.Grant) (*pre.Delegation, error) {
	me, err := pre.ParseIdentity(g.Recipient())
	if err != nil {
		return c.policyDelegation(g)
	}
	if me.Name != string(c.wallet.Name()) {
		return nil, fmt.Errorf("%w: grant %s is to another", consent.ErrDenied, g.ID())
	}
	key, err := c.inboxKey(ctx, me)
	if err != nil {
		return nil, err
	}
	defer key.Erase()
	return g.Open(key)
}

// Emergency opens records of one owner without a grant. It needs another
// clinician's approval, of a Draft made by DraftEmergency, and a reason; it
// stays open for review.
func (c *Client) Emergency(ctx context.Context, owner identity.Name, ids []record.ID, p Purpose) ([]*Opened, error) {
	out, err := c.emergency(ctx, owner, ids, p)
	if err != nil {
		return out, fmt.Errorf("emergency access: %w", err)
	}
	return out, nil
}

func (c *Client) emergency(ctx context.Context, owner identity.Name, ids []record.ID, p Purpose) ([]*Opened, error) {
	a, err := c.authority(ctx)
	if err != nil {
		return nil, err
	}
	draft, err := c.drafted(p.Draft, Draft{Reader: c.wallet.Name(), Owner: owner, Records: sorted(ids), Purpose: consent.BreakGlass})
	if err != nil {
		return nil, err
	}
	r, err := c.logAccess(ctx, draft, owner, p)
	if err != nil {
		return nil, err
	}
	dm := &demand{tx: r.id, members: a.Members, generation: a.Generation, threshold: a.sharing.Threshold()}
	keys, err := c.answers(ctx, draft, r, dm, func(access *pre.Access, answers []*pre.Answer) ([]*pre.RecordKey, error) {
		return access.OpenDecapsulated(a.sharing, answers)
	})
	return c.open(ctx, keys, r, ids, err)
}

// A logged access is on the chain, and what the node gave for it fits the hash
// that the chain recorded.
type logged struct {
	*outcome
	sealed []Sealed
	access *pre.Access
}

// logAccess puts the access on the chain and fetches its records.
func (c *Client) logAccess(ctx context.Context, d *Draft, owner identity.Name, p Purpose) (*logged, error) {
	var sidecar []byte
	if p.Reason != "" {
		to, err := c.recipient(ctx, owner, true)
		if err != nil {
			return nil, err
		}
		if sidecar, err = c.sealReason(to, d.transport.Public(), p.Reason); err != nil {
			return nil, err
		}
	}
	out, err := c.submit(ctx, consent.Contract, d.method(), d.args(p.Approvals), sidecar, c.wallet.Signer())
	if err != nil {
		return nil, err
	}
	var result consent.AccessResult
	if err := chain.Unmarshal(out.value, &result); err != nil {
		return nil, fmt.Errorf("%w: result: %w", ErrIntegrity, err)
	}
	r := &logged{outcome: out}
	err = c.patiently(ctx, func(n Node) error {
		sealed, err := n.Accessed(ctx, out.index)
		if err != nil {
			return err
		}
		r.access, err = c.checkAccessed(d, out, sealed, result.Records)
		r.sealed = sealed
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("records of access %d: %w", out.index, err)
	}
	return r, nil
}

// checkAccessed checks the records of an access against the hash on the chain,
// and their capsules.
func (c *Client) checkAccessed(d *Draft, out *outcome, sealed []Sealed, want [32]byte) (*pre.Access, error) {
	if len(sealed) != len(d.Records) {
		return nil, fmt.Errorf("%w: %d records of %d", ErrIntegrity, len(sealed), len(d.Records))
	}
	records := make([]*record.Record, len(sealed))
	for i := range sealed {
		records[i] = &sealed[i].Record
	}
	if got, err := consent.RecordsHash(records); err != nil || got != want {
		return nil, fmt.Errorf("%w: records are not those of the access", ErrIntegrity)
	}
	for _, r := range records {
		r.Replaced = "" // the hash does not cover it
	}
	verified, err := record.VerifyAll(c.wallet.Chain(), out.id[:], records)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIntegrity, err)
	}
	return &pre.Access{ID: out.id, Requester: d.transport.Public(), Records: verified}, nil
}

// answers collects the members' answers to an access and combines them.
func (c *Client) answers(ctx context.Context, d *Draft, r *logged, dm *demand, combine func(*pre.Access, []*pre.Answer) ([]*pre.RecordKey, error)) ([]*pre.RecordKey, error) {
	defer d.transport.Erase()
	var keys []*pre.RecordKey
	err := collect(ctx, c, dm,
		func(n Node, without []string) ([]Part, error) { return n.Answers(ctx, r.index, without) },
		func(p *Part) (*pre.Answer, error) {
			return d.transport.OpenAnswer(p.Sealed, r.access, p.Index, p.Generation)
		},
		func(answers []*pre.Answer) (err error) {
			keys, err = combine(r.access, answers)
			return err
		})
	return keys, err
}

// open opens the sealed indexes with the keys of an access, in the order of ids.
// A key is nil if its author sealed the record wrongly, which failed says.
func (c *Client) open(ctx context.Context, keys []*pre.RecordKey, r *logged, ids []record.ID, failed error) ([]*Opened, error) {
	var author *pre.AuthorError
	if failed != nil && !errors.As(failed, &author) {
		return nil, failed
	}
	out := make([]*Opened, len(ids))
	for i, key := range keys {
		if key == nil {
			continue
		}
		s := &r.sealed[i]
		o, err := c.openIndex(key, &s.Record, s.Index)
		if err != nil { // it was altered or withheld: another node may have the true one
			o, err = c.openElsewhere(ctx, key, r, i, err)
		}
		key.Erase()
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("record %s: %w", s.Record.ID, err))
			continue
		}
		for at, id := range ids {
			if id == s.Record.ID {
				out[at] = o
			}
		}
	}
	if failed != nil && !slices.ContainsFunc(out, func(o *Opened) bool { return o != nil }) {
		return nil, failed
	}
	return out, failed
}

// openElsewhere opens a record's sealed index as another node hands it out.
func (c *Client) openElsewhere(ctx context.Context, key *pre.RecordKey, r *logged, i int, failed error) (out *Opened, err error) {
	rec := &r.sealed[i].Record
	err = c.try(ctx, func(n Node) error {
		list, err := n.Accessed(ctx, r.index)
		if err != nil {
			return err
		}
		if len(list) != len(r.sealed) || list[i].Record.ID != rec.ID || bytes.Equal(list[i].Index, r.sealed[i].Index) {
			return failed
		}
		out, err = c.openIndex(key, rec, list[i].Index)
		return err
	})
	return out, err
}

// sorted returns the ids as the chain takes them: ascending, each once.
func sorted(ids []record.ID) []record.ID {
	return slices.Compact(slices.Sorted(slices.Values(ids)))
}
