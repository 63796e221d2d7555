package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// chainRecord is a record as the chain shows it, as far as rules look at it.
func chainRecord(e *ward.Entry) *record.Record {
	r := &record.Record{ID: e.ID, Owner: e.Owner, Author: e.Author, Type: e.Type, Version: e.Version, Epoch: e.Epoch, Dated: e.Dated.UnixMilli()}
	if e.Erased {
		r.Erased = 1
	}
	return r
}

// drafted is the grant that terms would make, as far as the contract looks at it
// to say which records it covers.
func drafted(owner *identity.Identity, t ward.Terms) *consent.Grant {
	g := &consent.Grant{Owner: owner.Name, Recipient: t.To, Policy: t.Policy, Type: t.Type, Version: owner.Version, Epoch: owner.Epoch}
	g.Conditions.Except = t.Except
	if !t.Since.IsZero() {
		g.Conditions.Since = t.Since.UnixMilli()
	}
	if !t.Until.IsZero() {
		g.Conditions.Until = t.Until.UnixMilli()
	}
	return g
}

// A dryData is what programs get of a dry run.
type dryData struct {
	DryRun      bool             `json:"dry_run"`
	To          identity.Name    `json:"to,omitempty"`
	Policy      string           `json:"policy,omitempty"`   // instead of To
	Audience    []dryReader      `json:"audience,omitempty"` // who satisfies it now
	Attributes  []string         `json:"attributes"`         // of the one who would read
	Type        pre.Type         `json:"type"`
	Conditions  []string         `json:"conditions"`
	Except      []exception      `json:"except,omitempty"`
	Obligations []obligationData `json:"obligations,omitempty"`
	Records     []dryRecord      `json:"records"` // that could be read
	Beyond      int              `json:"beyond"`  // of this patient's records that could not
	NeedsExpose bool             `json:"needs_expose"`
}

// A dryReader is somebody who would read under a grant to a policy.
type dryReader struct {
	Name  identity.Name `json:"name"`
	Until *time.Time    `json:"until,omitempty"` // the end of the grant, or of the attributes if that comes first
}

type dryRecord struct {
	ID      record.ID `json:"id"`
	Type    pre.Type  `json:"type"`
	Dated   string    `json:"dated"`
	Readers []string  `json:"readers"` // who can read it already, besides its owner: names and policies
}

// dryRun shows what a grant would mean, from what the chain knows now.
func (s *session) dryRun(ctx context.Context, u *user, t ward.Terms) (any, error) {
	me, err := u.Identity(ctx, u.Owner())
	if err != nil {
		return nil, err
	}
	data := dryData{
		DryRun: true, To: t.To, Policy: t.Policy, Attributes: []string{}, Type: t.Type, Conditions: s.conditions(t),
		Except: exceptions(t.Type, t.Except), Obligations: s.obligations(t.Obligations), Records: []dryRecord{}, NeedsExpose: me.Version > 0,
	}
	if t.Policy == "" {
		to, err := u.Identity(ctx, t.To)
		if err != nil {
			return nil, err
		}
		data.Attributes = attributeTexts(to.Attributes)
		data.NeedsExpose = me.Version > 0 && to.Version == 0
	} else if data.Audience, err = u.audience(ctx, t); err != nil {
		return nil, err
	}
	var live []*query.GrantState
	for g, err := range u.Grants(ctx, u.Owner(), "") {
		if err != nil {
			return nil, err
		}
		if !ended(g) {
			live = append(live, g)
		}
	}
	grant := drafted(me, t)
	rows := [][]string{}
	for e, err := range u.Find(ctx, ward.Query{Owner: u.Owner()}) {
		if err != nil {
			return nil, err
		}
		if e.Erased || !grant.Covers(chainRecord(e)) {
			data.Beyond++
			continue
		}
		r := dryRecord{ID: e.ID, Type: e.Type, Dated: e.Dated.UTC().Format(time.DateOnly), Readers: readers(live, e)}
		data.Records = append(data.Records, r)
		rows = append(rows, []string{string(r.ID), r.Dated, string(r.Type), strings.Join(r.Readers, ", ")})
	}
	s.sayDry(&data, rows, t.Expose)
	return data, nil
}

// sayDry shows a dry run to people.
func (s *session) sayDry(data *dryData, records [][]string, exposed bool) {
	who := s.whoText(data.To, data.Policy)
	if len(data.Attributes) > 0 {
		who += " (" + strings.Join(data.Attributes, ", ") + ")"
	}
	s.say("%s could read %s: %s", who, s.typeText(data.Type), strings.Join(data.Conditions, "; "))
	if data.Policy != "" {
		rows := [][]string{}
		for _, r := range data.Audience {
			until := ""
			if r.Until != nil {
				until = clockTime(*r.Until)
			}
			rows = append(rows, []string{string(r.Name), until})
		}
		if len(rows) > 0 {
			s.grid([]string{"READER", "UNTIL"}, rows)
		}
		s.say("%d could read now; who gets or loses the attributes later gets or loses access", len(rows))
	}
	if len(records) > 0 {
		s.grid([]string{"RECORD", "DATED", "TYPE", "WHO READS IT ALREADY"}, records)
	}
	s.say("%d records of now, and every later one of the type; %d others stay closed", len(records), data.Beyond)
	if data.NeedsExpose && !exposed {
		if data.Policy != "" {
			s.say("it would be refused: who holds the key grants to names only")
		} else {
			s.say("hospitals together could open it, too: they hold the key of %s (--expose accepts that)", data.To)
		}
	}
	s.say("nothing was changed")
}

// audience returns who could read under a grant to a policy now, and until when
// what is attested of them and the grant last.
func (u *user) audience(ctx context.Context, t ward.Terms) ([]dryReader, error) {
	out := []dryReader{}
	for l, err := range u.Roster(ctx, t.Policy, time.Now().UnixMilli()) {
		if err != nil {
			return nil, err
		}
		if !l.Satisfies {
			continue
		}
		until := lasts(u, l, t.Policy)
		if !t.NotAfter.IsZero() && (until.IsZero() || t.NotAfter.Before(until)) {
			until = t.NotAfter
		}
		out = append(out, dryReader{l.Name, pointer(until)})
	}
	return out, nil
}

// lasts returns until when somebody who satisfies a policy does, as far as what
// is attested of him runs out; the zero time if it does not.
func lasts(u *user, l *ward.Listener, policy string) time.Time {
	p, err := u.ParsePolicy(policy)
	if err != nil {
		return time.Time{}
	}
	var ends []int64
	for _, a := range l.Identity.Attributes {
		if a.Until != 0 && a.Until >= time.Now().UnixMilli() {
			ends = append(ends, a.Until)
		}
	}
	slices.Sort(ends)
	for _, end := range ends {
		if !l.Identity.Satisfies(u.Consortium(), p, end+1) {
			return atMillis(end)
		}
	}
	return time.Time{}
}

// readers returns who can read a record under grants that there are.
func readers(live []*query.GrantState, e *ward.Entry) []string {
	out := []string{}
	for _, g := range live {
		if g.Grant.Covers(chainRecord(e)) {
			out = append(out, string(g.Grant.Recipient)+g.Grant.Policy)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
