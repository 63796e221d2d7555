package consent_test

import (
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// asCase is what a client knows of an access that somebody might ask for, at the
// time of the next block.
func (w *world) asCase(who identity.Name, args consent.AccessArgs) *consent.Case {
	w.Helper()
	c := &consent.Case{
		Grant: w.lookup(args.Grant), Consortium: w.c.Consortium, Time: w.now(), Reader: w.identity(who), Purpose: args.Purpose, Obligations: args.Obligations,
	}
	var err error
	if c.Status, err = consent.Standing(c.Grant, w.of(identity.Contract), w.of(keys.Contract), c.Time); err != nil {
		w.Fatal(err)
	}
	if c.Holder, err = holds(w.of, c.Grant.Conditions.Instance, who, c.Time); err != nil {
		w.Fatal(err)
	}
	for _, id := range args.Records {
		r, err := record.Lookup(w.of(record.Contract), id)
		if err != nil {
			w.Fatal(err)
		}
		c.Records = append(c.Records, r)
	}
	for _, a := range args.Approvals {
		c.CoSigners = append(c.CoSigners, w.identity(a.Name))
	}
	return c
}

// examine returns the code of the first clause that does not hold.
func (w *world) examine(who identity.Name, args consent.AccessArgs) chain.Code {
	w.Helper()
	for _, f := range consent.Examine(w.asCase(who, args)) {
		if !f.Holds() {
			return f.Code
		}
	}
	return ""
}

// TestExamineNamesEveryClause that a grant has, the record that a clause is
// about, and what decided on a policy.
func TestExamineNamesEveryClause(t *testing.T) {
	w := policyWorld(t)
	good, bad := w.put(patient, "labs/blood", 1), w.put(patient, "labs/hiv/load", 1)
	w.hand("w-1", reader)
	g := w.grant(patient, "", "labs", terms{to: w.policy(physicians), Conditions: consent.Conditions{
		Except: []pre.Type{"labs/hiv"}, Instance: "w-1", Emergency: true, CoSigners: consent.CoSigners{Count: 1, Elsewhere: true},
	}})
	args := w.ask(g, good, bad)
	args.Purpose = consent.BreakGlass
	args.Approvals = []consent.Approval{{Name: author}, {Name: witness}}
	c := w.asCase(reader, args)
	c.Reason = true
	var names []consent.Clause
	for _, f := range consent.Examine(c) {
		names = append(names, f.Clause)
		switch f.Clause {
		case consent.ClauseExcept:
			if f.Code != consent.ErrType || f.Record != bad {
				t.Errorf("exception: %+v", f)
			}
		case consent.ClausePolicy:
			if len(f.Decisive) != 2 || f.Decisive[0].Clause != "south:role = physician" || !f.Decisive[0].Holds || f.Decisive[1].Holds {
				t.Errorf("policy: %+v", f)
			}
		default:
			if !f.Holds() || f.Record != "" || f.Decisive != nil {
				t.Errorf("%+v", f)
			}
		}
	}
	want := []consent.Clause{"policy", "status", "holder", "purpose", "obligations", "owner", "epoch", "type", "except", "dated", "erased", "co-signers", "emergency", "reason"}
	if !slices.Equal(names, want) {
		t.Errorf("clauses are %v", names)
	}
	c.Reader, c.CoSigners, c.Reason, c.Holder = w.identity(stranger), nil, false, false
	refusals := map[consent.Clause]chain.Code{}
	for _, f := range consent.Examine(c) {
		if !f.Holds() {
			refusals[f.Clause] = f.Code
		}
	}
	for clause, code := range map[consent.Clause]chain.Code{
		consent.ClausePolicy: consent.ErrPolicy, consent.ClauseHolder: consent.ErrHolder, consent.ClauseExcept: consent.ErrType,
		consent.ClauseCoSigners: consent.ErrApproval, consent.ClauseEmergency: consent.ErrApproval, consent.ClauseReason: consent.ErrTerms,
	} {
		if refusals[clause] != code {
			t.Errorf("%s: %q, want %q", clause, refusals[clause], code)
		}
	}
	if len(refusals) != 6 {
		t.Errorf("refusals are %v", refusals)
	}
}
