package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/pre"
)

// A grantData is what programs get of a grant.
type grantData struct {
	ID         consent.GrantID   `json:"id,omitempty"`
	Owner      identity.Name     `json:"owner"`
	To         identity.Name     `json:"to,omitempty"`
	Policy     string            `json:"policy,omitempty"` // instead of To
	Type       pre.Type          `json:"type"`
	Status     consent.Status    `json:"status,omitempty"`
	Made       *time.Time        `json:"made,omitempty"`
	Ended      *time.Time        `json:"ended,omitempty"`
	From       *time.Time        `json:"from,omitempty"`
	Until      *time.Time        `json:"until,omitempty"`
	Purposes   []consent.Purpose `json:"purposes,omitempty"`
	Since      string            `json:"since,omitempty"`
	Through    string            `json:"through,omitempty"`
	MaxUses    uint32            `json:"max_uses,omitempty"`
	Uses       uint32            `json:"uses"`
	CoSigners  string            `json:"co_signers,omitempty"`
	Elsewhere  bool              `json:"co_signers_elsewhere,omitempty"`
	Except     []exception       `json:"except,omitempty"`
	Oblige     []obligationData  `json:"obligations,omitempty"`
	WhileHeld  string            `json:"while_held,omitempty"`
	By         identity.Name     `json:"by,omitempty"` // who signed, if the owner did not
	Emergency  bool              `json:"emergency,omitempty"`
	Renews     consent.GrantID   `json:"renews,omitempty"`
	Members    int               `json:"members,omitempty"`
	Holders    int               `json:"holders"`
	Threshold  int               `json:"threshold,omitempty"`
	Conditions []string          `json:"conditions"` // in words
}

func (s *session) grantData(state *query.GrantState) grantData {
	g := &state.Grant
	c := g.Conditions
	d := grantData{
		ID: g.ID, Owner: g.Owner, To: g.Recipient, Policy: g.Policy, Type: g.Type, Status: state.Status,
		Made: pointer(atMillis(g.Time)), Ended: pointer(atMillis(g.Ended)), From: pointer(atMillis(c.NotBefore)), Until: pointer(atMillis(c.NotAfter)),
		Purposes: c.Purposes, MaxUses: c.MaxUses, Uses: g.Uses, Emergency: c.Emergency, Renews: g.Renews,
		Members: int(g.Members), Holders: len(state.Holders), Threshold: threshold(state), Conditions: s.conditions(termsOf(state)),
	}
	d.Except, d.Oblige, d.Elsewhere, d.WhileHeld = exceptions(g.Type, c.Except), s.obligations(c.Obligations), c.CoSigners.Elsewhere, c.Instance
	if g.By != g.Owner {
		d.By = g.By
	}
	if c.Since != 0 {
		d.Since = atMillis(c.Since).Format(time.DateOnly)
	}
	if c.Until != 0 {
		d.Through = atMillis(c.Until).Format(time.DateOnly)
	}
	if c.CoSigners.Count > 0 {
		d.CoSigners = strings.TrimRight(fmt.Sprintf("%d=%s=%s", c.CoSigners.Count, c.CoSigners.Attribute, c.CoSigners.Value), "=")
	}
	return d
}

// threshold returns how many hospitals open a record under the grant together, 0
// if nobody can.
func threshold(g *query.GrantState) int {
	sharing, err := pre.ParseSharing(g.Sharing)
	if err != nil {
		return 0
	}
	return sharing.Threshold()
}

// termsOf returns the terms of a grant that there is.
func termsOf(state *query.GrantState) ward.Terms {
	g, c := &state.Grant, &state.Grant.Conditions
	t := ward.Terms{
		To: g.Recipient, Policy: g.Policy, Type: g.Type, Everything: g.Type == "", NotBefore: atMillis(c.NotBefore), NotAfter: atMillis(c.NotAfter),
		Purposes: c.Purposes, Since: atMillis(c.Since), Until: atMillis(c.Until), MaxUses: c.MaxUses,
		CoSigners: int(c.CoSigners.Count), CoSignerAttribute: c.CoSigners.Attribute, Emergency: c.Emergency,
		CoSignersElsewhere: c.CoSigners.Elsewhere, Except: c.Except, Obligations: c.Obligations, WhileHeld: c.Instance,
	}
	if c.CoSigners.Value != "" {
		t.CoSignerAttribute += "=" + c.CoSigners.Value
	}
	return t
}

// conditions says terms in words.
func (s *session) conditions(t ward.Terms) []string {
	out := []string{}
	add := func(said string) { out = append(out, said) }
	if !t.NotBefore.IsZero() {
		add(s.tr("from %s", clockTime(t.NotBefore)))
	}
	if t.NotAfter.IsZero() {
		add(s.tr("without an end"))
	} else {
		add(s.tr("until %s", clockTime(t.NotAfter)))
	}
	switch {
	case t.Emergency:
		add(s.tr("in emergencies only: another clinician signs, and it is reviewed"))
	case len(t.Purposes) > 0:
		var codes []string
		for _, p := range t.Purposes {
			codes = append(codes, string(p))
		}
		add(s.tr("for %s only", strings.Join(codes, ", ")))
	default:
		add(s.tr("for any purpose but BTG"))
	}
	if !t.Since.IsZero() {
		add(s.tr("records dated %s or later", t.Since.UTC().Format(time.DateOnly)))
	}
	if !t.Until.IsZero() {
		add(s.tr("records dated %s or earlier", t.Until.UTC().Format(time.DateOnly)))
	}
	if t.MaxUses > 0 {
		add(s.tr("%d accesses at most", t.MaxUses))
	}
	if t.CoSigners > 0 {
		add(s.coSigners(t))
	}
	for _, x := range exceptions(t.Type, t.Except) {
		if x.Cryptography {
			add(s.tr("not %s, which its keys do not open", x.Type))
		} else {
			add(s.tr("not %s, which the hospitals refuse", x.Type))
		}
	}
	for _, o := range s.obligations(t.Obligations) {
		add(s.tr("readers take on %s: %s", o.Code, o.Words))
	}
	if t.WhileHeld != "" {
		add(s.tr("for as long as the reader holds %s", t.WhileHeld))
	}
	return out
}

func (s *session) coSigners(t ward.Terms) string {
	switch {
	case t.CoSignerAttribute == "" && t.CoSignersElsewhere:
		return s.tr("%d others of other hospitals sign each access", t.CoSigners)
	case t.CoSignerAttribute == "":
		return s.tr("%d others sign each access", t.CoSigners)
	case t.CoSignersElsewhere:
		return s.tr("%d others with %s of other hospitals sign each access", t.CoSigners, t.CoSignerAttribute)
	}
	return s.tr("%d others with %s sign each access", t.CoSigners, t.CoSignerAttribute)
}

// An exception is a subtree that a grant leaves out, and by what.
type exception struct {
	Type         pre.Type `json:"type"`
	Cryptography bool     `json:"cryptography"` // the grant's keys do not open it; else hospitals refuse it by their rules
}

func exceptions(granted pre.Type, list []pre.Type) []exception {
	var out []exception
	for _, t := range list {
		out = append(out, exception{t, consent.ByCryptography(granted, t)})
	}
	return out
}

// An obligationData is what a reader takes on.
type obligationData struct {
	Code  consent.Obligation `json:"code"`
	Words string             `json:"words"`
}

func (s *session) obligations(list []consent.Obligation) []obligationData {
	var out []obligationData
	for _, o := range list {
		out = append(out, obligationData{o, s.tr(o.Words())})
	}
	return out
}
