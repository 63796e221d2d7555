package workflow

import (
	"errors"
	"slices"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// papers checks documents against the records and grants on the chain.
type papers struct{ call *ledger.Call }

// check returns nil if the document's record is one for its place, and its grant,
// if there is one, opens it to somebody.
func (p papers) check(def *Definition, i *Instance, a *Asked, d Document, actor, to identity.Name) error {
	r, err := record.Lookup(p.call.Of(record.Contract), d.Record)
	if errors.Is(err, record.ErrUnknown) {
		return ErrDocument
	}
	if err != nil {
		return err
	}
	rule := def.Document(a.Document)
	base := pre.Type(rule.Type)
	if rule.Own {
		base += pre.Type("/" + string(i.ID))
	}
	switch {
	case r.Erased != 0 || r.Replaced != "" || r.Owner != i.Owner, a.Author && r.Author != actor:
		return ErrDocument
	case rule.Own && r.Type != base, r.Type != base && !below(r.Type, base):
		return ErrDocument
	case d.Grant == "":
		return nil
	}
	g, err := consent.Lookup(p.call.Of(consent.Contract), d.Grant)
	if errors.Is(err, consent.ErrUnknown) {
		return ErrGrant
	}
	if err != nil {
		return err
	}
	if !covers(g, r) || !bound(g, a, i) {
		return ErrGrant
	}
	if is, err := p.to(g, to); err != nil {
		return err
	} else if !is {
		return ErrGrant
	}
	status, err := consent.Standing(g, p.call.Of(identity.Contract), p.call.Of(keys.Contract), p.call.Time)
	if err != nil {
		return err
	}
	if status != consent.StatusActive && status != consent.StatusPending {
		return ErrGrant
	}
	return nil
}

// below reports whether a type is under another, sealed components too: a record
// may be closed to grants on its place and still be in it.
func below(t, base pre.Type) bool {
	return len(t) > len(base) && t[:len(base)] == base && t[len(base)] == '/'
}

// covers reports whether a grant opens a record, by its terms.
func covers(g *consent.Grant, r *record.Record) bool {
	c := &g.Conditions
	return g.Owner == r.Owner && g.Version == r.Version && g.Epoch == r.Epoch && g.Type.Covers(r.Type) &&
		(c.Since == 0 || r.Dated >= c.Since) && (c.Until == 0 || r.Dated <= c.Until) && !c.Emergency &&
		!slices.ContainsFunc(c.Except, func(t pre.Type) bool { return t == r.Type || below(r.Type, t) })
}

// bound reports whether the grant lasts while its recipient holds this instance,
// if it is asked to.
func bound(g *consent.Grant, a *Asked, i *Instance) bool {
	if g.Conditions.Instance == "" {
		return !a.Held
	}
	return g.Conditions.Instance == string(i.ID)
}

// to reports whether the grant is to somebody, by name or by policy.
func (p papers) to(g *consent.Grant, to identity.Name) (bool, error) {
	if g.Policy == "" {
		return g.Recipient == to, nil
	}
	policy, err := abe.ParsePolicy(g.Policy)
	if err != nil {
		return false, nil // the contract that keeps grants has parsed it
	}
	reader, err := identity.Lookup(p.call.Of(identity.Contract), to)
	if errors.Is(err, identity.ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return reader.Satisfies(p.call.Consortium, policy, p.call.Time), nil
}
