package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// theGrant opens the session and reads the grant that is the argument.
func (s *session) theGrant(ctx context.Context, c *urfave.Context) (*user, *query.GrantState, error) {
	if c.NArg() == 0 {
		return nil, nil, usagef("which grant?").withHint("ids look like g-abc…; `ward grant list` shows them")
	}
	id, err := grantID(c.Args().First())
	if err != nil {
		return nil, nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	g, err := u.ShowGrant(ctx, id)
	if err != nil {
		u.close()
		return nil, nil, err
	}
	return u, g, nil
}

func grantShow(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	u, g, err := s.theGrant(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	data := s.grantData(g)
	rows := [][]string{
		{s.tr("grant"), string(data.ID)}, {s.tr("by"), string(data.Owner)}, {s.tr("to"), string(data.To)}, {s.tr("type"), s.typeText(data.Type)},
		{s.tr("status"), s.status(g)}, {s.tr("made"), clockTime(atMillis(g.Grant.Time))},
	}
	if g.Grant.Ended != 0 {
		rows = append(rows, []string{s.tr("ended"), clockTime(atMillis(g.Grant.Ended))})
	}
	for i, said := range data.Conditions {
		label := ""
		if i == 0 {
			label = s.tr("conditions")
		}
		rows = append(rows, []string{label, said})
	}
	rows = append(rows, []string{s.tr("used"), s.tr("%d times", g.Grant.Uses)},
		[]string{s.tr("hospitals"), s.tr("%d of %d hold their shares; %d open a record together", data.Holders, data.Members, data.Threshold)})
	s.grid([]string{"WHAT", "VALUE"}, rows)
	return data, nil
}

func grantRevoke(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which grant?").withHint("ids look like g-abc…; `ward grant list` shows them")
	}
	id, err := grantID(c.Args().First())
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if err := u.Revoke(ctx, id, ward.RevokeOptions{Rotate: c.Bool("rotate")}); err != nil {
		return nil, err
	}
	s.say("grant %s is revoked: no hospital answers for it any more", id)
	if !c.Bool("rotate") {
		s.next(s.tr("what was read before cannot be called back"))
	}
	return map[string]any{"id": id, "rotated": c.Bool("rotate")}, nil
}

func grantRenew(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	u, g, err := s.theGrant(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if g.Grant.Owner != u.Name() {
		return nil, consent.ErrDenied
	}
	t := termsOf(g)
	if err := setTerms(c, &t, time.Now()); err != nil {
		return nil, err
	}
	if !ended(g) {
		t.Renews = g.Grant.ID
	}
	return s.grant(ctx, u, t, c.Bool("dry-run"))
}

// covers reports whether terms reach a record as the chain shows it.
func covers(t *ward.Terms, e *ward.Entry) bool {
	day := e.Dated.UTC()
	return !e.Erased && t.Type.Covers(e.Type) && (t.Since.IsZero() || !day.Before(t.Since)) && (t.Until.IsZero() || !day.After(t.Until))
}

// A dryData is what programs get of a dry run.
type dryData struct {
	DryRun      bool          `json:"dry_run"`
	To          identity.Name `json:"to"`
	Attributes  []string      `json:"attributes"` // of whoever would read
	Type        pre.Type      `json:"type"`
	Conditions  []string      `json:"conditions"`
	Records     []dryRecord   `json:"records"` // that could be read
	Beyond      int           `json:"beyond"`  // of this patient's records that could not
	NeedsExpose bool          `json:"needs_expose"`
}

type dryRecord struct {
	ID      record.ID       `json:"id"`
	Type    pre.Type        `json:"type"`
	Dated   string          `json:"dated"`
	Readers []identity.Name `json:"readers"` // who can read it already, besides its owner
}

// dryRun shows what a grant would mean, from what the chain knows now.
func (s *session) dryRun(ctx context.Context, u *user, t ward.Terms) (any, error) {
	to, err := u.Identity(ctx, t.To)
	if err != nil {
		return nil, err
	}
	me, err := u.Identity(ctx, u.Name())
	if err != nil {
		return nil, err
	}
	var live []*query.GrantState
	for g, err := range u.Grants(ctx, u.Name(), "") {
		if err != nil {
			return nil, err
		}
		if !ended(g) {
			live = append(live, g)
		}
	}
	data := dryData{DryRun: true, To: t.To, Attributes: attributeTexts(to.Attributes), Type: t.Type, Conditions: s.conditions(t), Records: []dryRecord{}, NeedsExpose: me.Version > 0 && to.Version == 0}
	rows := [][]string{}
	for e, err := range u.Find(ctx, ward.Query{Owner: u.Name()}) {
		if err != nil {
			return nil, err
		}
		if !covers(&t, e) || e.Epoch != me.Epoch || e.Version != me.Version {
			data.Beyond++
			continue
		}
		r := dryRecord{ID: e.ID, Type: e.Type, Dated: e.Dated.UTC().Format(time.DateOnly), Readers: readers(live, e)}
		data.Records = append(data.Records, r)
		var names []string
		for _, n := range r.Readers {
			names = append(names, string(n))
		}
		rows = append(rows, []string{string(r.ID), r.Dated, string(r.Type), strings.Join(names, ", ")})
	}
	who := string(t.To)
	if len(data.Attributes) > 0 {
		who += " (" + strings.Join(data.Attributes, ", ") + ")"
	}
	s.say("%s could read %s: %s", who, s.typeText(t.Type), strings.Join(data.Conditions, "; "))
	if len(rows) > 0 {
		s.grid([]string{"RECORD", "DATED", "TYPE", "WHO READS IT ALREADY"}, rows)
	}
	s.say("%d records of now, and every later one of the type; %d others stay closed", len(rows), data.Beyond)
	if data.NeedsExpose && !t.Expose {
		s.say("hospitals together could open it, too: they hold the key of %s (--expose accepts that)", t.To)
	}
	s.say("nothing was changed")
	return data, nil
}

// readers returns who can read a record under grants that there are.
func readers(live []*query.GrantState, e *ward.Entry) []identity.Name {
	out := []identity.Name{}
	for _, g := range live {
		t := termsOf(g)
		if covers(&t, e) && g.Grant.Epoch == e.Epoch && g.Grant.Version == e.Version {
			out = append(out, g.Grant.Recipient)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
