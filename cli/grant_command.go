package cli

import (
	"context"
	"errors"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
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

A grant is to a name, or to a policy: to whoever has the attributes, as the hospitals
certify them, when he reads. Attributes that name no hospital are those of the
patient's own. --defaults makes the grants that HOSPITAL, or else the patient's own,
proposes and that are not there yet; ward policy defaults shows them.

Examples:
  ward grant create --to dr.lee@east --type clinical/exam --until 30d --dry-run
  ward grant create --to dr.lee@east --type clinical/exam --until 30d --purpose TREAT
  ward grant create --to silva@west --type clinical --purpose HRESCH --max-uses 1 --co-signers 2=ethics
  ward grant create --policy 'role = physician and dept in (icu, er)' --type clinical --except clinical/psychiatry
  ward grant create --defaults north`),
				ArgsUsage: s.tr("[HOSPITAL]"),
				Flags: s.ownerFlags(append(s.termFlags(),
					&urfave.StringFlag{Name: "to", EnvVars: []string{"WARD_TO"}, Usage: s.tr("who may read")},
					&urfave.StringFlag{Name: "policy", EnvVars: []string{"WARD_POLICY"}, Usage: s.tr("whoever has these attributes may read, such as: role = physician and dept in (icu, er) and not contractor")},
					&urfave.BoolFlag{Name: "defaults", EnvVars: []string{"WARD_DEFAULTS"}, Usage: s.tr("make the grants that the hospital proposes")}, s.dryRunFlag())...),
				Action: s.act(1, grantCreate),
			},
			{
				Name: "list", Usage: s.tr("list the grants you gave, or those to you"),
				Description: s.tr(`Examples:
  ward grant list
  ward grant list --received --ndjson`),
				Flags: s.ownerFlags(s.listFlag(),
					&urfave.BoolFlag{Name: "received", EnvVars: []string{"WARD_RECEIVED"}, Usage: s.tr("those to you")},
					&urfave.BoolFlag{Name: "all", EnvVars: []string{"WARD_ALL"}, Usage: s.tr("those that have ended, too")}),
				Action: s.act(0, grantList),
			},
			{
				Name: "show", Usage: s.tr("show a grant and how many hospitals can serve it"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Examples:
  ward grant show g-…`),
				Flags:  s.ownerFlags(),
				Action: s.act(1, grantShow),
			},
			{
				Name: "revoke", Usage: s.tr("end a grant at once"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`When it returns, no hospital answers for the grant any more. What was read before
cannot be called back.

Examples:
  ward grant revoke g-…
  ward grant revoke g-… --rotate`),
				Flags: s.ownerFlags(
					&urfave.BoolFlag{Name: "rotate", EnvVars: []string{"WARD_ROTATE"}, Usage: s.tr("put later records out of the reach of all grants made so far, too")}),
				Action: s.act(1, grantRevoke),
			},
			{
				Name: "renew", Usage: s.tr("replace a grant by one with other conditions"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`What no flag says stays as it was; the old grant ends with the new one.

Examples:
  ward grant renew g-… --until 90d`),
				Flags:  s.ownerFlags(append(s.termFlags(), s.dryRunFlag())...),
				Action: s.act(1, grantRenew),
			},
		},
	}
}

func (s *session) dryRunFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, EnvVars: []string{"WARD_DRY_RUN"}, Usage: s.tr("change nothing: show who could read what")}
}

func grantCreate(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.Bool("defaults") {
		return grantDefaults(ctx, s, c)
	}
	t := ward.Terms{Policy: c.String("policy")}
	switch to := c.String("to"); {
	case c.NArg() > 0:
		return nil, usagef("unexpected argument %q", c.Args().First())
	case to != "" && t.Policy != "":
		return nil, usagef("flags %s and %s do not go together", "--to", "--policy")
	case t.Policy != "":
	case to == "":
		return nil, usagef("flag %s needs a value", "--to").withHint("names look like dr.lee@east: lower case, then @ and the hospital")
	default:
		var err error
		if t.To, err = parseName(to); err != nil {
			return nil, err
		}
	}
	if err := setTerms(c, &t, time.Now()); err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if t.Policy != "" {
		err = u.CheckPolicy(ctx, t.Policy)
	} else {
		err = hasHospital(u.Consortium(), t.To)
	}
	if err != nil {
		return nil, err
	}
	return s.grant(ctx, u, t, c.Bool("dry-run"))
}

// grant makes a grant, or shows what it would mean.
func (s *session) grant(ctx context.Context, u *user, t ward.Terms, dry bool) (any, error) {
	if t.To == u.Owner() {
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
	s.granted(g)
	if t.NotAfter.IsZero() {
		s.next(s.tr("it has no end; end it when you like: `ward grant revoke %s`", id))
	} else {
		s.next(s.tr("end it earlier: `ward grant revoke %s`", id))
	}
	return s.grantData(g), nil
}

// granted says that there is a grant now.
func (s *session) granted(g *query.GrantState) {
	if s.quiet {
		s.say("%s", string(g.Grant.ID))
		return
	}
	s.say("grant %s: %s may read %s", g.Grant.ID, s.whoText(g.Grant.Recipient, g.Grant.Policy), s.typeText(g.Grant.Type))
	s.say("%d of %d hospitals hold their shares; %d open a record together", len(g.Holders), int(g.Grant.Members), threshold(g))
}

// grantDefaults makes the grants that a hospital proposes, as far as they are not
// there yet.
func grantDefaults(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	for _, f := range s.termFlags() {
		if name := f.Names()[0]; s.onLine(name) {
			return nil, usagef("flags %s and %s do not go together", "--defaults", "--"+name)
		}
	}
	for _, name := range []string{"to", "policy"} {
		if s.onLine(name) {
			return nil, usagef("flags %s and %s do not go together", "--defaults", "--"+name)
		}
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	org := u.Owner().Org()
	if c.NArg() > 0 {
		org = c.Args().First()
	}
	if err := isHospital(u.Consortium(), org); err != nil {
		return nil, err
	}
	all := []any{}
	if c.Bool("dry-run") {
		missing, err := u.MissingDefaults(ctx, org)
		if err != nil {
			return nil, noDefaults(err, org)
		}
		for _, t := range missing {
			data, err := s.dryRun(ctx, u, t)
			if err != nil {
				return nil, err
			}
			all = append(all, data)
		}
		s.say("%d grants would be made", len(all))
		return map[string]any{"entries": all}, nil
	}
	made, failed := u.ApplyDefaults(ctx, org)
	for _, id := range made {
		g, err := u.ShowGrant(ctx, id)
		if err != nil {
			return map[string]any{"entries": all}, err
		}
		s.granted(g)
		all = append(all, s.grantData(g))
	}
	if failed == nil && len(made) == 0 {
		s.say("all grants that %s proposes were made before", org)
	}
	return map[string]any{"entries": all}, noDefaults(failed, org)
}

// noDefaults says that a hospital proposes nothing, if that is the error.
func noDefaults(err error, org string) error {
	if errors.Is(err, consent.ErrUnknown) {
		return failf(string(consent.ErrUnknown), exitNotFound, "%s proposes no grants", org)
	}
	return err
}

// whoText is whom a grant is to.
func (s *session) whoText(to identity.Name, policy string) string {
	if policy != "" {
		return s.tr("whoever satisfies %s", policy)
	}
	return string(to)
}

func (s *session) typeText(t pre.Type) string {
	if t == "" {
		return s.tr("everything")
	}
	return string(t)
}
