package consent

import (
	"slices"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

// A Case is what decides whether an access under a grant is allowed: the grant,
// who asks for what, and what the chain says of them at a block time. The
// contract fills it from its state, a client from answers that members signed;
// both judge it by the same clauses.
type Case struct {
	Grant      *Grant
	Status     Status // of the grant: Standing
	Consortium *chain.Consortium
	Time       int64 // block time, Unix milliseconds
	Reader     *identity.Identity
	Holder     bool // the reader holds the grant's workflow

	Purpose     Purpose
	Obligations []Obligation // that the reader takes on
	Records     []*record.Record
	CoSigners   []*identity.Identity // whose signatures hold; none is the reader
	Reason      bool                 // a sealed reason goes with it
}

// A Clause names one of the rules for accesses under grants.
type Clause string

// The clauses, in the order in which the contract judges them.
const (
	ClauseRecipient   Clause = "recipient"   // the grant is to the reader, by name
	ClausePolicy      Clause = "policy"      // the reader's attributes satisfy the grant's policy
	ClauseStatus      Clause = "status"      // the grant is active: not ended, in its time, not used up
	ClauseHolder      Clause = "holder"      // the reader holds the workflow
	ClausePurpose     Clause = "purpose"     // the grant allows the purpose
	ClauseObligations Clause = "obligations" // the reader takes on what the grant obliges to
	ClauseOwner       Clause = "owner"       // the records are the grant's owner's
	ClauseEpoch       Clause = "epoch"       // they are of the grant's key version and epoch
	ClauseType        Clause = "type"        // they are of the grant's type or below it
	ClauseExcept      Clause = "except"      // they are in no subtree that the grant leaves out
	ClauseDated       Clause = "dated"       // they are dated within the grant's range
	ClauseErased      Clause = "erased"      // none was erased
	ClauseCoSigners   Clause = "co-signers"  // as many signed as the grant asks for
	ClauseEmergency   Clause = "emergency"   // another clinician for emergencies signed
	ClauseReason      Clause = "reason"      // a reason goes with an emergency
)

// A Finding is what became of one clause.
type Finding struct {
	Clause Clause
	Code   chain.Code // with which the contract refuses; "" if the clause holds
	Record record.ID  // the first record for which it does not hold, if it is about records

	// Decisive are the clauses of the policy that made it so, for ClausePolicy
	// and a reader whose organisation is an authority of the policy.
	Decisive []abe.Decision
}

// Holds reports whether the clause holds.
func (f *Finding) Holds() bool { return f.Code == "" }

// Examine goes through all clauses that the grant has, in the order in which
// the contract does. The contract accepts the access if all hold (and the
// signatures, and the transport key is fresh), and otherwise refuses with the
// code of the first that does not.
func Examine(c *Case) []Finding {
	var list []Finding
	for _, r := range clauses {
		if r.of != nil && !r.of(c.Grant) {
			continue
		}
		f := Finding{Clause: r.name}
		f.Code, f.Record = r.judge(c)
		if r.name == ClausePolicy {
			f.Decisive = c.decisive()
		}
		list = append(list, f)
	}
	return list
}

// part returns a piece of a Case that is known before the rest.
type part int

const (
	ofReader  part = iota // grant, status, reader, holder
	ofRequest             // purpose, obligations
	ofRecords
	ofSigners // co-signers, reason
)

// first returns the code of the first clause of a part that does not hold, or
// nil.
func (c *Case) first(of part) error {
	for _, r := range clauses {
		if r.part != of || r.of != nil && !r.of(c.Grant) {
			continue
		}
		if code, _ := r.judge(c); code != "" {
			return code
		}
	}
	return nil
}

// Covers reports whether the grant extends to a record: its owner's, of its
// version and epoch, of a type that it covers and does not except, dated in its
// range. That the record was not erased is another matter, and so is whether the
// grant is in force.
func (g *Grant) Covers(r *record.Record) bool {
	c := &Case{Grant: g, Records: []*record.Record{r}}
	for _, rule := range clauses {
		if rule.part != ofRecords || rule.name == ClauseErased || rule.of != nil && !rule.of(g) {
			continue
		}
		if code, _ := rule.judge(c); code != "" {
			return false
		}
	}
	return true
}

// rule is a clause with the grants that have it, nil standing for all, and its
// judgement: a code and the record that it is about, or nothing.
type rule struct {
	name  Clause
	part  part
	of    func(*Grant) bool
	judge func(*Case) (chain.Code, record.ID)
}

// clauses is never changed. Its order is part of the rules.
var clauses = []rule{
	{ClauseRecipient, ofReader, func(g *Grant) bool { return g.Policy == "" }, yes(ErrDenied, func(c *Case) bool { return c.Grant.Recipient == c.Reader.Name })},
	{ClausePolicy, ofReader, func(g *Grant) bool { return g.Policy != "" }, yes(ErrPolicy, (*Case).satisfied)},
	{ClauseStatus, ofReader, nil, func(c *Case) (chain.Code, record.ID) { return c.Status.Code(), "" }},
	{ClauseHolder, ofReader, func(g *Grant) bool { return g.Conditions.Instance != "" }, yes(ErrHolder, func(c *Case) bool { return c.Holder })},
	{ClausePurpose, ofRequest, nil, yes(ErrPurpose, func(c *Case) bool { return c.Grant.Conditions.allows(c.Purpose) })},
	{ClauseObligations, ofRequest, nil, yes(ErrObligation, func(c *Case) bool { return slices.Equal(c.Obligations, c.Grant.Conditions.Obligations) })},
	{ClauseOwner, ofRecords, nil, all(ErrOwner, func(g *Grant, r *record.Record) bool { return r.Owner == g.Owner })},
	{ClauseEpoch, ofRecords, nil, all(ErrEpoch, func(g *Grant, r *record.Record) bool { return r.Version == g.Version && r.Epoch == g.Epoch })},
	{ClauseType, ofRecords, nil, all(ErrType, func(g *Grant, r *record.Record) bool { return g.Type.Covers(r.Type) })},
	{ClauseExcept, ofRecords, func(g *Grant) bool { return len(g.Conditions.Except) > 0 }, all(ErrType, func(g *Grant, r *record.Record) bool { return !g.Conditions.excepts(r.Type) })},
	{ClauseDated, ofRecords, nil, all(ErrDated, func(g *Grant, r *record.Record) bool { return g.Conditions.dated(r.Dated) })},
	{ClauseErased, ofRecords, nil, all(ErrErased, func(_ *Grant, r *record.Record) bool { return r.Erased == 0 })},
	{ClauseCoSigners, ofSigners, func(g *Grant) bool { return g.Conditions.CoSigners.Count > 0 }, yes(ErrApproval, func(c *Case) bool { return c.signed(c.Grant.Conditions.CoSigners) })},
	{ClauseEmergency, ofSigners, func(g *Grant) bool { return g.Conditions.Emergency }, yes(ErrApproval, func(c *Case) bool { return c.signed(another) })},
	{ClauseReason, ofSigners, func(g *Grant) bool { return g.Conditions.Emergency }, yes(ErrTerms, func(c *Case) bool { return c.Reason })},
}

func yes(code chain.Code, holds func(*Case) bool) func(*Case) (chain.Code, record.ID) {
	return func(c *Case) (chain.Code, record.ID) {
		if holds(c) {
			return "", ""
		}
		return code, ""
	}
}

func all(code chain.Code, holds func(*Grant, *record.Record) bool) func(*Case) (chain.Code, record.ID) {
	return func(c *Case) (chain.Code, record.ID) {
		for _, r := range c.Records {
			if !holds(c.Grant, r) {
				return code, r.ID
			}
		}
		return "", ""
	}
}

// satisfied reports whether the reader satisfies the grant's policy.
func (c *Case) satisfied() bool {
	p, err := abe.ParsePolicy(c.Grant.Policy)
	return err == nil && c.Reader.Satisfies(c.Consortium, p, c.Time)
}

// decisive returns what decided on the policy.
func (c *Case) decisive() []abe.Decision {
	p, err := abe.ParsePolicy(c.Grant.Policy)
	if err != nil {
		return nil
	}
	part, err := p.Part(c.Reader.Name.Org())
	if err != nil || part == nil {
		return nil
	}
	attributes, err := c.Reader.Certified(c.Time)
	if err != nil {
		return nil
	}
	return part.Explain(attributes).Decisive
}

// signed reports whether as many signed as are asked for.
func (c *Case) signed(want CoSigners) bool {
	have := 0
	for _, s := range c.CoSigners {
		if want.counts(c.Consortium, c.Reader.Name, s, c.Time) {
			have++
		}
	}
	return have >= int(want.Count)
}

// counts reports whether a signer is one of those that are asked for.
func (s *CoSigners) counts(k *chain.Consortium, reader identity.Name, signer *identity.Identity, time int64) bool {
	if s.Attribute != "" && !signer.Vouched(k, s.Attribute, s.Value, time) {
		return false
	}
	return !s.Elsewhere || signer.Name.Org() != reader.Org() && k.Member(signer.Name.Org()) != nil
}
