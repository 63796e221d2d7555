package api

import (
	"context"
	"slices"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/node/protocol"
)

// What a caller may see. Members see everything: each has the chain. An
// identity sees identities, the shared keys and the course of ceremonies; of
// records, grants, requests and accesses those it has a part in, grants to
// policies that its attributes satisfy among them; what its attributes open; as
// a guardian, what the ward sees of her own; and of an owner
// that granted it something, the records that a grant in force covers.
//
// An answer is signed by members as a whole. So nothing is cut out of one: what
// holds a line that the caller may not see is refused.

// has reports whether the caller is an identity with an attribute, on the word
// of an organisation that is a member.
func (c *call) has(attribute string) bool {
	return c.who.Identity != nil && c.who.Identity.Vouched(c.s.b.Members(), attribute, "", c.s.now().UnixMilli())
}

// is reports whether the caller is one of these identities.
func (c *call) is(names ...identity.Name) bool {
	return c.who.Identity != nil && slices.Contains(names, c.who.Identity.Name)
}

// actsFor reports whether the caller is an owner or a guardian of hers in force,
// in this member's own view.
func (c *call) actsFor(owner identity.Name) (bool, error) {
	if c.is(owner) || c.who.Identity == nil || owner == "" {
		return c.is(owner), nil
	}
	if acts, ok := c.wards[owner]; ok {
		return acts, nil
	}
	question, err := query.Encode(query.Identity{Name: owner})
	if err != nil {
		return false, nil // nobody has such a name
	}
	value, code, _, err := c.s.b.Attest(c.ctx, question)
	if err != nil {
		return false, err
	}
	acts := false
	if code == "" {
		id := new(identity.Identity)
		if err := chain.Unmarshal(value, id); err != nil {
			return false, err
		}
		acts = id.ActedForBy(c.who.Identity.Name, c.s.now().UnixMilli(), c.s.b.Members())
	}
	if c.wards != nil {
		c.wards[owner] = acts
	}
	return acts, nil
}

// partOf reports whether the caller is one of these identities, or acts for the
// owner.
func (c *call) partOf(owner identity.Name, others ...identity.Name) (bool, error) {
	if c.is(others...) {
		return true, nil
	}
	return c.actsFor(owner)
}

// A check looks at an answer before it leaves.
type check func(value []byte, code chain.Code) error

func allowed([]byte, chain.Code) error { return nil }

// mayAsk decides on a question, as far as one can without its answer, and
// returns what decides on that.
func (s *Server) mayAsk(c *call, question []byte) (check, error) {
	q, err := query.Parse(question)
	if err != nil {
		return nil, protocol.ErrMalformed
	}
	if c.who.Member != nil {
		return allowed, nil
	}
	switch q := q.(type) {
	case query.Identity, query.Identities, query.Authority, query.AttributeAuthority, query.Defaults:
		return allowed, nil
	case query.Record:
		return one(record.ErrDenied, func(r *record.Record) (bool, error) { return s.seesRecord(c, r) }), nil
	case query.Records:
		return s.mayList(c, q)
	case query.Grant:
		return one(consent.ErrDenied, func(g *query.GrantState) (bool, error) {
			return c.seesGrant(&g.Grant)
		}), nil
	case query.Grants:
		if q.Reader != "" {
			return c.whenPart(q.Owner, q.Reader)
		}
		return c.whenPart(q.Owner, q.Recipient)
	case query.Requests:
		return c.whenPart(q.Owner, q.From)
	case query.KeyRequests:
		return c.whenPart(q.Owner)
	case query.Accesses:
		if c.has(identity.Auditor) || q.Open && c.has(identity.Reviewer) {
			return allowed, nil
		}
		if q.Record == "" {
			return c.whenPart(q.Owner, q.Reader)
		}
		return func(value []byte, code chain.Code) error {
			// The accesses of one record: only its owner's affair.
			return each(consent.ErrDenied, func(a *consent.Access) (bool, error) { return c.actsFor(a.Owner) })(value, code)
		}, nil
	}
	return s.mayAskFlow(c, q)
}

// mayList decides on a listing of records.
func (s *Server) mayList(c *call, q query.Records) (check, error) {
	if part, err := c.partOf(q.Owner, q.Author); err != nil || part {
		return allowed, err
	}
	if c.has(identity.Emergency) {
		// A trace without a name: the chain knows of accesses only, and this
		// comes before one.
		s.meter.emergencies.Inc()
		s.log.Warn("records were listed for an emergency clinician", "request", c.w.Header().Get(protocol.HeaderRequestID))
		return allowed, nil
	}
	if q.Grant != "" {
		return s.mayListUnder(c, q)
	}
	granted, err := s.granted(c.ctx, c, q.Owner)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(granted, func(g *consent.Grant) bool { return g.Type.Covers(q.Type) }) {
		return nil, record.ErrDenied
	}
	// What is below a sealed component is listed, but a grant from above does
	// not reach it; nor what it excepts, or what is of another date or epoch.
	return each(record.ErrDenied, func(r *record.Record) (bool, error) { return cover(granted, r), nil }), nil
}

// mayListUnder decides on a listing of what a grant covers: it is for whom the
// grant is to, as long as it is in force in this member's own view.
func (s *Server) mayListUnder(c *call, q query.Records) (check, error) {
	question, err := query.Encode(query.Grant{ID: q.Grant})
	if err != nil {
		return nil, protocol.ErrMalformed
	}
	value, code, _, err := s.b.Attest(c.ctx, question)
	if err != nil {
		return nil, err
	}
	if code != "" {
		return nil, record.ErrDenied
	}
	var g query.GrantState
	if err := chain.Unmarshal(value, &g); err != nil {
		return nil, err
	}
	if g.Grant.Owner != q.Owner || !c.isTo(&g.Grant) || !inForce(&g) {
		return nil, record.ErrDenied
	}
	return each(record.ErrDenied, func(r *record.Record) (bool, error) { return g.Grant.Covers(r), nil }), nil
}

// inForce reports whether a grant opens what it covers.
func inForce(g *query.GrantState) bool {
	return g.Status == consent.StatusActive || g.Status == consent.StatusStale
}

func when(ok bool, otherwise error) (check, error) {
	if !ok {
		return nil, otherwise
	}
	return allowed, nil
}

// whenPart allows what partOf is true of.
func (c *call) whenPart(owner identity.Name, others ...identity.Name) (check, error) {
	ok, err := c.partOf(owner, others...)
	if err != nil {
		return nil, err
	}
	return when(ok, consent.ErrDenied)
}

// one decides on an answer that is a single T. A code tells nothing about
// anybody.
func one[T any](denied error, sees func(*T) (bool, error)) check {
	return func(value []byte, code chain.Code) error {
		if code != "" {
			return nil
		}
		v := new(T)
		if err := chain.Unmarshal(value, v); err != nil {
			return err
		}
		return verdict(denied, v, sees)
	}
}

// each decides on an answer that is a list of T.
func each[T any](denied error, sees func(*T) (bool, error)) check {
	return func(value []byte, code chain.Code) error {
		if code != "" {
			return nil
		}
		var list []T
		if err := chain.Unmarshal(value, &list); err != nil {
			return err
		}
		for i := range list {
			if err := verdict(denied, &list[i], sees); err != nil {
				return err
			}
		}
		return nil
	}
}

func verdict[T any](denied error, v *T, sees func(*T) (bool, error)) error {
	ok, err := sees(v)
	if err == nil && !ok {
		return denied
	}
	return err
}

func (s *Server) seesRecord(c *call, r *record.Record) (bool, error) {
	if c.who.Member != nil {
		return true, nil
	}
	if part, err := c.partOf(r.Owner, r.Author); err != nil || part {
		return part, err
	}
	if c.has(identity.Emergency) {
		s.meter.emergencies.Inc()
		return true, nil
	}
	granted, err := s.granted(c.ctx, c, r.Owner)
	return cover(granted, r), err
}

// isTo reports whether a grant is to the caller, by name or through a policy that
// its attributes satisfy now.
func (c *call) isTo(g *consent.Grant) bool {
	if g.Policy == "" || c.who.Identity == nil {
		return c.is(g.Recipient)
	}
	p, err := abe.ParsePolicy(g.Policy)
	return err == nil && c.who.Identity.Satisfies(c.s.b.Members(), p, c.s.now().UnixMilli())
}

func (c *call) seesGrant(g *consent.Grant) (bool, error) {
	if c.isTo(g) {
		return true, nil
	}
	return c.partOf(g.Owner)
}

func (c *call) seesAccess(a *consent.Access) (bool, error) {
	if c.who.Member != nil || c.has(identity.Auditor) || a.Review == consent.Open && c.has(identity.Reviewer) {
		return true, nil
	}
	return c.partOf(a.Owner, a.Reader)
}

// cover reports whether one of the grants extends to a record.
func cover(grants []*consent.Grant, r *record.Record) bool {
	return slices.ContainsFunc(grants, func(g *consent.Grant) bool { return g.Covers(r) })
}

// granted returns an owner's grants to the caller that are in force, in this
// member's own view: it decides for this member only.
func (s *Server) granted(ctx context.Context, c *call, owner identity.Name) ([]*consent.Grant, error) {
	if c.who.Identity == nil {
		return nil, nil
	}
	if grants, ok := c.granted[owner]; ok {
		return grants, nil
	}
	var grants []*consent.Grant
	for after := uint64(0); ; {
		question, err := query.Encode(query.Grants{Owner: owner, After: after, Limit: grantsAtOnce})
		if err != nil {
			return nil, err
		}
		value, code, _, err := s.b.Attest(ctx, question)
		if err != nil || code != "" {
			return nil, err
		}
		var list []query.GrantState
		if err := chain.Unmarshal(value, &list); err != nil {
			return nil, err
		}
		for i := range list {
			g := &list[i]
			if c.isTo(&g.Grant) && inForce(g) {
				g.Grant.Raw = nil // what is kept for a stream is many owners'
				grants = append(grants, &g.Grant)
			}
			after = g.Grant.Index
		}
		if len(list) < grantsAtOnce {
			if c.granted != nil {
				c.granted[owner] = grants
			}
			return grants, nil
		}
	}
}

const grantsAtOnce = 200

// maySeeLeaf is maySee for a leaf index.
func (s *Server) maySeeLeaf(c *call, index uint64) error {
	if c.who.Member != nil {
		return nil
	}
	receipt, err := s.b.Receipt(c.ctx, index)
	if err != nil {
		return err
	}
	return s.maySee(c, receipt)
}

// maySee decides on a transaction with its result: the signer sees it, and
// whoever may see everything that its events tell.
func (s *Server) maySee(c *call, receipt *chain.Receipt) error {
	if c.who.Member != nil {
		return nil
	}
	tx, err := chain.ParseTx(receipt.Tx)
	if err != nil {
		return protocol.ErrDenied
	}
	switch {
	case tx.Signer == c.who.Identity.Key,
		tx.Contract == identity.Contract,
		tx.Contract == chain.SystemContract,
		tx.Contract == keys.Contract && tx.Method != keys.MethodRequest:
		return nil
	case tx.Contract == workflow.Contract:
		return s.maySeeFlow(c, &receipt.Result)
	}
	for _, e := range receipt.Result.Events {
		if ok, err := s.seesEvent(c, e); err != nil || !ok {
			return orDenied(err)
		}
	}
	if len(receipt.Result.Events) == 0 {
		return protocol.ErrDenied
	}
	return nil
}

func orDenied(err error) error {
	if err != nil {
		return err
	}
	return protocol.ErrDenied
}

// mayUse decides who may have members gather what a transaction asked for:
// whoever signed it.
func (s *Server) mayUse(c *call, index uint64) error {
	if c.who.Member != nil {
		return nil
	}
	receipt, err := s.b.Receipt(c.ctx, index)
	if err != nil {
		return err
	}
	tx, err := chain.ParseTx(receipt.Tx)
	if err != nil || tx.Signer != c.who.Identity.Key {
		return protocol.ErrDenied
	}
	return nil
}

// seesEvent decides on one event of a contract. One that it does not know is
// for members only.
func (s *Server) seesEvent(c *call, e chain.Event) (bool, error) {
	if c.who.Member != nil {
		return true, nil
	}
	switch e.Kind {
	case identity.EventChanged, identity.EventAuthority, consent.EventDefaults, keys.EventOpened, keys.EventPosted, keys.EventClosed, workflow.EventDefine:
		return true, nil
	case workflow.EventStep:
		return seen(e, func(e *workflow.StepEvent) (bool, error) { return s.seesStep(c, e) })
	case record.EventPut, record.EventErase:
		return seen(e, func(r *record.Record) (bool, error) { return s.seesRecord(c, r) })
	case consent.EventGrant, consent.EventRevoke:
		return seen(e, c.seesGrant)
	case consent.EventAccess, consent.EventEmergency, consent.EventReview:
		return seen(e, c.seesAccess)
	case consent.EventRequest:
		return seen(e, func(r *consent.Request) (bool, error) { return c.partOf(r.Owner, r.From) })
	case keys.EventRequest:
		return seen(e, func(r *keys.KeyRequest) (bool, error) { return c.partOf(r.Owner, r.By) })
	}
	return false, nil
}

func seen[T any](e chain.Event, sees func(*T) (bool, error)) (bool, error) {
	v := new(T)
	if err := chain.Unmarshal(e.Data, v); err != nil {
		return false, err
	}
	return sees(v)
}
