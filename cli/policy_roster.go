package cli

import (
	"context"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/contract/identity"
)

// rosterCommands show whom policies mean, and what hospitals propose.
func (s *session) rosterCommands() []*urfave.Command {
	return []*urfave.Command{
		{
			Name: "roster", Usage: s.tr("show who satisfies a policy, and why"), ArgsUsage: s.tr("POLICY"),
			Description: s.tr(`Checks the policy, and asks the chain what the hospitals in it certify of their staff.
Attributes that name no hospital are those of your own.

Examples:
  ward policy roster 'role = physician and dept in (icu, er) and not contractor'
  ward policy roster 'north:role = physician or south:role = physician' --at 2026-12-31 --all`),
			Flags: s.ownerFlags(s.listFlag(),
				&urfave.StringFlag{Name: "at", EnvVars: []string{"WARD_AT"}, Usage: s.tr("at that time: a day such as 2026-12-31, or 30d; else now")},
				&urfave.BoolFlag{Name: "all", EnvVars: []string{"WARD_ALL"}, Usage: s.tr("those who do not satisfy it, too")}),
			Action: s.act(1, policyRoster),
		},
		{
			Name: "defaults", Usage: s.tr("show the grants that a hospital proposes to its patients, or change them"), ArgsUsage: s.tr("[HOSPITAL]"),
			Description: s.tr(`Without HOSPITAL it is your own. They grant nothing: a patient makes them with ward
grant create --defaults. --set replaces all of them by those in a file; the hospital's
node signs.

The file has a table for each, by its name: type and policy, and as far as they are
wanted lasts = "90d", purposes, except, obligations, max-uses, co-signers = "1=physician",
co-signers-elsewhere, emergency, since, through.

Examples:
  ward policy defaults north
  ward policy defaults --set defaults.toml --as office@north --dir /var/lib/ward`),
			Flags:  s.userFlags(s.hospitalFlag(), &urfave.StringFlag{Name: "set", EnvVars: []string{"WARD_SET"}, Usage: s.tr("replace them by those in this file, - for stdin")}),
			Action: s.act(1, policyDefaults),
		},
	}
}

// A decisionData is what became of one clause of a policy.
type decisionData struct {
	Clause string   `json:"clause"`
	Column int      `json:"column"`
	Holds  bool     `json:"holds"`
	Have   []string `json:"have,omitempty"`
}

func decisions(all []abe.Decision) []decisionData {
	var out []decisionData
	for _, d := range all {
		out = append(out, decisionData{d.Clause, d.Column, d.Holds, d.Have})
	}
	return out
}

// decisionText says what became of a clause of a policy.
func (s *session) decisionText(d abe.Decision) string {
	switch {
	case d.Holds:
		return s.tr("%s holds", d.Clause)
	case len(d.Have) > 0:
		return s.tr("%s does not hold: has %s", d.Clause, strings.Join(d.Have, ", "))
	}
	return s.tr("%s does not hold", d.Clause)
}

// A rosterData is what programs get of one of the staff.
type rosterData struct {
	Name       identity.Name  `json:"name"`
	Satisfies  bool           `json:"satisfies"`
	Until      *time.Time     `json:"until,omitempty"` // when attributes run out
	Attributes []string       `json:"attributes"`
	Decisive   []decisionData `json:"decisive"`
}

func policyRoster(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which policy?").withHint("such as: role = physician and dept in (icu, er)")
	}
	policy := c.Args().First()
	at, err := moment("at", c.String("at"), time.Now(), true)
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		at = time.Now()
	}
	l := newListing[rosterData](s, c, columns([]string{"NAME", "SATISFIES", "UNTIL", "WHY"}))
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if err := u.CheckPolicy(ctx, policy); err != nil {
		return nil, err
	}
	for who, err := range u.Roster(ctx, policy, at.UnixMilli()) {
		if err != nil {
			return l.end(err, "")
		}
		if !who.Satisfies && !c.Bool("all") {
			continue
		}
		d := rosterData{Name: who.Name, Satisfies: who.Satisfies, Attributes: attributeTexts(who.Identity.Attributes)}
		answer, until := s.tr("no"), ""
		if who.Satisfies {
			end := lasts(u, who, policy)
			answer, until, d.Until = s.tr("yes"), clockTime(end), pointer(end)
		}
		decided := who.Part.Explain(who.Attributes).Decisive
		d.Decisive = decisions(decided)
		var why []string
		for _, one := range decided {
			why = append(why, s.decisionText(one))
		}
		l.add(d, string(d.Name), answer, until, strings.Join(why, "; "))
	}
	return l.end(nil, s.tr("nobody satisfies it"))
}
