package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/pre"
)

func (s *session) grantCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "grant",
		Usage: s.tr("who may read what"),
		Subcommands: []*urfave.Command{
			{
				Name: "create", Usage: s.tr("let somebody read your records of a type"),
				Description: s.tr(`The grant covers the type and everything below it, records of today and those to
come. Returns when enough hospitals hold their shares of it. --dry-run changes
nothing and shows who could read what.

Examples:
  ward grant create --to dr.lee@east --type clinical/exam --until 30d --dry-run
  ward grant create --to dr.lee@east --type clinical/exam --until 30d --purpose TREAT
  ward grant create --to silva@west --type clinical --purpose HRESCH --max-uses 1 --co-signers 2=ethics`),
				Flags:  s.userFlags(append(s.termFlags(), &urfave.StringFlag{Name: "to", EnvVars: []string{"WARD_TO"}, Usage: s.tr("who may read")}, s.dryRunFlag())...),
				Action: s.act(0, grantCreate),
			},
			{
				Name: "list", Usage: s.tr("list the grants you gave, or those to you"),
				Description: s.tr(`Examples:
  ward grant list
  ward grant list --received --ndjson`),
				Flags: s.userFlags(s.listFlag(),
					&urfave.BoolFlag{Name: "received", EnvVars: []string{"WARD_RECEIVED"}, Usage: s.tr("those to you")},
					&urfave.BoolFlag{Name: "all", EnvVars: []string{"WARD_ALL"}, Usage: s.tr("those that have ended, too")}),
				Action: s.act(0, grantList),
			},
			{
				Name: "show", Usage: s.tr("show a grant and how many hospitals can serve it"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Examples:
  ward grant show g-…`),
				Flags:  s.userFlags(),
				Action: s.act(1, grantShow),
			},
			{
				Name: "revoke", Usage: s.tr("end a grant at once"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`When it returns, no hospital answers for the grant any more. What was read before
cannot be called back.

Examples:
  ward grant revoke g-…
  ward grant revoke g-… --rotate`),
				Flags: s.userFlags(
					&urfave.BoolFlag{Name: "rotate", EnvVars: []string{"WARD_ROTATE"}, Usage: s.tr("put later records out of the reach of all grants made so far, too")}),
				Action: s.act(1, grantRevoke),
			},
			{
				Name: "renew", Usage: s.tr("replace a grant by one with other conditions"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`What no flag says stays as it was; the old grant ends with the new one.

Examples:
  ward grant renew g-… --until 90d`),
				Flags:  s.userFlags(append(s.termFlags(), s.dryRunFlag())...),
				Action: s.act(1, grantRenew),
			},
		},
	}
}

func (s *session) dryRunFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, EnvVars: []string{"WARD_DRY_RUN"}, Usage: s.tr("change nothing: show who could read what")}
}

// termFlags are the conditions of a grant.
func (s *session) termFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "type", Aliases: []string{"t"}, EnvVars: []string{"WARD_TYPE"}, Usage: s.tr("of which type, and everything below it, such as clinical/exam")},
		&urfave.StringSliceFlag{Name: "purpose", EnvVars: []string{"WARD_PURPOSE"}, Usage: s.tr("for which purpose only: a code of HL7 v3 PurposeOfUse; may be given several times. Else for any but BTG")},
		&urfave.StringFlag{Name: "until", EnvVars: []string{"WARD_UNTIL"}, Usage: s.tr("when it ends: a day such as 2026-12-31, or 30d")},
		&urfave.StringFlag{Name: "from", EnvVars: []string{"WARD_FROM"}, Usage: s.tr("when it begins, if not at once")},
		&urfave.StringFlag{Name: "since", EnvVars: []string{"WARD_SINCE"}, Usage: s.tr("only records dated on this day or later; 90d means 90 days ago")},
		&urfave.StringFlag{Name: "through", EnvVars: []string{"WARD_THROUGH"}, Usage: s.tr("only records dated on this day or earlier")},
		&urfave.UintFlag{Name: "max-uses", EnvVars: []string{"WARD_MAX_USES"}, Usage: s.tr("how many accesses; else any number"), DefaultText: "-"},
		&urfave.StringFlag{Name: "co-signers", EnvVars: []string{"WARD_CO_SIGNERS"}, Usage: s.tr("how many others sign every access, as NUMBER, NUMBER=ATTRIBUTE or NUMBER=ATTRIBUTE=VALUE")},
		&urfave.BoolFlag{Name: "emergency", EnvVars: []string{"WARD_EMERGENCY"}, Usage: s.tr("for emergencies only: another clinician signs, and every use is reviewed")},
		&urfave.BoolFlag{Name: "everything", EnvVars: []string{"WARD_EVERYTHING"}, Usage: s.tr("all types, sealed ones excepted; instead of --type")},
		&urfave.BoolFlag{Name: "expose", EnvVars: []string{"WARD_EXPOSE"}, Usage: s.tr("accept that hospitals together can open what you grant to one whose key they hold")},
	}
}

// setTerms changes terms as the command line says.
func setTerms(c *urfave.Context, t *ward.Terms, now time.Time) error {
	var err error
	set := func(flag string, to *time.Time, read func() (time.Time, error)) {
		if err == nil && c.String(flag) != "" {
			*to, err = read()
		}
	}
	set("until", &t.NotAfter, func() (time.Time, error) { return moment("until", c.String("until"), now, true) })
	set("from", &t.NotBefore, func() (time.Time, error) { return moment("from", c.String("from"), now, false) })
	set("since", &t.Since, func() (time.Time, error) { return onDay("since", c.String("since"), now) })
	set("through", &t.Until, func() (time.Time, error) { return onDay("through", c.String("through"), now) })
	if err != nil {
		return err
	}
	if c.Bool("everything") {
		if c.String("type") != "" {
			return usagef("flags %s and %s do not go together", "--type", "--everything")
		}
		t.Type, t.Everything = "", true
	} else if v := c.String("type"); v != "" {
		if t.Type, err = parseType("type", v); err != nil {
			return err
		}
		t.Everything = false
	}
	if codes := c.StringSlice("purpose"); len(codes) > 0 {
		t.Purposes = nil
		for _, v := range codes {
			p, err := parsePurpose("purpose", v)
			if err != nil {
				return err
			}
			t.Purposes = append(t.Purposes, p)
		}
	}
	if c.IsSet("max-uses") {
		n := c.Uint("max-uses")
		if n == 0 || n > 1<<31 {
			return usagef("flag %s: %q is no number of accesses", "--max-uses", fmt.Sprint(n))
		}
		t.MaxUses = uint32(n)
	}
	if v := c.String("co-signers"); v != "" {
		number, attribute, _ := strings.Cut(v, "=")
		n, ok := count(number)
		if !ok || n < 1 || n > consent.MaxCoSigners {
			return usagef("flag %s: %q is no number of co-signers", "--co-signers", v).withHint("write 2 or 2=physician")
		}
		t.CoSigners, t.CoSignerAttribute = n, attribute
	}
	t.Emergency = t.Emergency || c.Bool("emergency")
	t.Expose = t.Expose || c.Bool("expose")
	switch {
	case t.Type == "" && !t.Everything:
		return usagef("flag %s needs a value", "--type").withHint("types look like clinical/exam/lab; --everything means all")
	case !t.NotAfter.IsZero() && !t.NotAfter.After(now):
		return usagef("the grant would have ended already")
	case !t.NotAfter.IsZero() && !t.NotAfter.After(t.NotBefore):
		return usagef("the grant would end before it begins")
	case !t.Until.IsZero() && t.Until.Before(t.Since):
		return usagef("no record is dated in that range")
	case t.Emergency && (len(t.Purposes) > 1 || len(t.Purposes) == 1 && t.Purposes[0] != consent.BreakGlass):
		return usagef("a grant for emergencies has the purpose BTG only")
	}
	return nil
}

func count(s string) (int, bool) {
	n := 0
	_, err := fmt.Sscanf(s, "%d", &n)
	return n, err == nil && fmt.Sprint(n) == s
}

func grantCreate(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	var t ward.Terms
	if c.String("to") == "" {
		return nil, usagef("flag %s needs a value", "--to").withHint("names look like dr.lee@east: lower case, then @ and the hospital")
	}
	var err error
	if t.To, err = parseName(c.String("to")); err != nil {
		return nil, err
	}
	if err := setTerms(c, &t, time.Now()); err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if err := hasHospital(u.Consortium(), t.To); err != nil {
		return nil, err
	}
	return s.grant(ctx, u, t, c.Bool("dry-run"))
}

// grant makes a grant, or shows what it would mean.
func (s *session) grant(ctx context.Context, u *user, t ward.Terms, dry bool) (any, error) {
	if t.To == u.Name() {
		return nil, usagef("you can read your own records")
	}
	if dry {
		return s.dryRun(ctx, u, t)
	}
	id, err := u.Grant(ctx, t)
	if err != nil {
		if id != "" {
			return map[string]any{"id": id}, err
		}
		return nil, err
	}
	g, err := u.ShowGrant(ctx, id)
	if err != nil {
		return map[string]any{"id": id}, err
	}
	data := s.grantData(g)
	if s.quiet {
		s.say("%s", string(id))
	} else {
		s.say("grant %s: %s may read %s", id, t.To, s.typeText(t.Type))
		s.say("%d of %d hospitals hold their shares; %d open a record together", len(g.Holders), int(g.Grant.Members), threshold(g))
	}
	if t.NotAfter.IsZero() {
		s.next(s.tr("it has no end; end it when you like: `ward grant revoke %s`", id))
	} else {
		s.next(s.tr("end it earlier: `ward grant revoke %s`", id))
	}
	return data, nil
}

func (s *session) typeText(t pre.Type) string {
	if t == "" {
		return s.tr("everything")
	}
	return string(t)
}
