package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
)

// guardianCommands are about who acts for others.
func (s *session) guardianCommands() []*urfave.Command {
	return []*urfave.Command{
		{
			Name: "guardian", Usage: s.tr("let somebody act for you, or for a patient who cannot"), ArgsUsage: s.tr("NAME"),
			Description: s.tr(`A guardian makes and revokes grants, answers requests, and opens records, in his own
name, with --for. He replaces no keys and erases nothing. Of whoever holds the key of
his records himself (ward identity rotate --custody) he opens and grants nothing.

You name a delegate yourself. The patient's hospital names one by its node (--dir) with
--kind minor, incapacity or death: at once while it holds her wallet; otherwise --wait
proposes it, enough other hospitals --approve just that, one of them puts it in force
with --finish, and she can object the whole time with --end. --end also ends what is in
force: by the patient, the guardian, or the hospital that named him.

Examples:
  ward identity guardian son@north --until 90d
  ward identity guardian mother@south --for p-kid@north --kind minor --until 2038-05-01 --dir /var/lib/ward
  ward identity guardian son@north --for p-7f3a@north --kind incapacity --wait 72h --dir /var/lib/ward
  ward identity guardian son@north --for p-7f3a@north --kind incapacity --wait 72h --approve --dir /var/lib/ward
  ward identity guardian son@north --end`),
			Flags: s.ownerFlags(s.hospitalFlag(),
				&urfave.StringFlag{Name: "kind", EnvVars: []string{"WARD_KIND"}, Usage: s.tr("why a hospital names him: minor, incapacity or death")},
				&urfave.StringFlag{Name: "until", EnvVars: []string{"WARD_UNTIL"}, Usage: s.tr("when it ends: a day such as 2026-12-31, here in UTC, or 30d")},
				&urfave.StringFlag{Name: "wait", EnvVars: []string{"WARD_WAIT"}, Usage: s.tr("propose it: how long the patient may object, 72h or more; with --approve and --finish, what was proposed")},
				&urfave.StringFlag{Name: "proposed-by", EnvVars: []string{"WARD_PROPOSED_BY"}, Usage: s.tr("with --approve and --finish: the hospital that proposed it, if it is not the patient's")},
				&urfave.BoolFlag{Name: "approve", EnvVars: []string{"WARD_APPROVE"}, Usage: s.tr("approve what another hospital proposed")},
				&urfave.BoolFlag{Name: "finish", EnvVars: []string{"WARD_FINISH"}, Usage: s.tr("put what was proposed in force")},
				&urfave.BoolFlag{Name: "end", EnvVars: []string{"WARD_END"}, Usage: s.tr("end it, and what is proposed of him")},
				&urfave.BoolFlag{Name: "rotate", EnvVars: []string{"WARD_ROTATE"}, Usage: s.tr("with --end: put later records out of the reach of the keys that he has, and of all grants made so far")}),
			Action: s.act(1, identityGuardian),
		},
		{
			Name: "guardians", Usage: s.tr("list who acts for you, or for a patient"), ArgsUsage: s.tr("[NAME]"),
			Description: s.tr(`With --keys also when a guardian asked hospitals for keys of the patient's records,
which only she and her guardians see.

Examples:
  ward identity guardians
  ward identity guardians p-kid@north --json`),
			Flags:  s.ownerFlags(&urfave.BoolFlag{Name: "keys", EnvVars: []string{"WARD_KEYS"}, Usage: s.tr("what guardians asked hospitals for, too")}),
			Action: s.act(1, identityGuardians),
		},
	}
}

// A guardianship is what a command line of identity guardian asks for.
type guardianship struct {
	guardian, ward identity.Name // ward is "" if it is who acts
	kind           identity.Guardianship
	until          time.Time
	wait           time.Duration
	proposer       string // hospital, of what is approved or finished
	step           string // approve, finish or end; "" names him
}

func parseGuardianship(c *urfave.Context, byHospital bool) (*guardianship, error) {
	if c.NArg() == 0 {
		return nil, usagef("whom?").withHint("`ward identity guardian NAME`")
	}
	g := &guardianship{kind: identity.Guardianship(c.String("kind"))}
	var err error
	if g.guardian, err = parseName(c.Args().First()); err != nil {
		return nil, err
	}
	if v := c.String("for"); v != "" {
		if g.ward, err = parseName(v); err != nil {
			return nil, err
		}
	}
	if g.step, err = oneOf(c, "approve", "finish", "end"); err != nil {
		return nil, err
	}
	if v := c.String("until"); v != "" {
		if day, err := time.Parse(time.DateOnly, v); err == nil {
			g.until = day.AddDate(0, 0, 1).Add(-time.Millisecond)
		} else if g.until, err = moment("until", v, time.Now(), true); err != nil {
			return nil, err
		}
	}
	if v := c.String("wait"); v != "" {
		var ok bool
		if g.wait, ok = span(v); !ok {
			return nil, usagef("flag %s: %q is no length of time", "--wait", v).withHint("write 72h or 5d")
		}
	}
	g.proposer = cmp.Or(c.String("proposed-by"), g.ward.Org())
	return g, g.check(c, byHospital)
}

// check returns what is wrong with a command line before anything is opened.
func (g *guardianship) check(c *urfave.Context, byHospital bool) error {
	_, relative := span(c.String("until"))
	switch {
	case c.Bool("rotate") && g.step != "end":
		return usagef("flag %s goes with %s only", "--rotate", "--end")
	case !byHospital && (g.step == "approve" || g.step == "finish" || g.kind != "" || g.wait != 0):
		return usagef("only a hospital names guardians of others").withHint("--dir names the directory of its node")
	case !byHospital && g.step == "" && g.ward != "":
		return usagef("only the patient herself can do this").withHint("her hospital names a guardian by its node: --dir")
	case !byHospital:
		return nil
	case g.ward == "":
		return usagef("flag %s needs a value", "--for").withHint("names look like dr.lee@east: lower case, then @ and the hospital")
	case g.step == "end":
		return nil
	case g.kind != identity.Minor && g.kind != identity.Incapacity && g.kind != identity.Death:
		return usagef("flag %s: %q is none of minor, incapacity and death", "--kind", string(g.kind))
	case g.kind == identity.Minor && g.until.IsZero():
		return usagef("flag %s needs a value", "--until").withHint("a guardian of a minor acts until she comes of age")
	case g.step != "" && g.wait == 0:
		return usagef("flag %s needs a value", "--wait").withHint("say the wait that was proposed: a word is for just that proposal")
	case relative && (g.step != "" || g.wait != 0):
		return usagef("flag %s: %q is no day", "--until", c.String("until")).withHint("all hospitals name the same day, such as 2038-05-01")
	}
	return nil
}

func identityGuardian(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	node := s.hospital(c)
	g, err := parseGuardianship(c, node != nil)
	if err != nil {
		return nil, err
	}
	if node != nil {
		method, args := g.submitted()
		if err := submitAs(ctx, node, method, args); err != nil {
			return nil, fmt.Errorf("guardian of %s: %w", g.ward, err)
		}
	} else {
		u, err := s.open(ctx, c)
		if err != nil {
			return nil, err
		}
		defer u.close()
		g.ward = u.Owner()
		if g.step == "end" {
			err = u.EndGuardian(ctx, g.guardian, ward.RevokeOptions{Rotate: c.Bool("rotate")})
		} else {
			g.kind = identity.Delegate
			err = u.Delegate(ctx, g.guardian, g.until)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case g.step == "approve":
		s.say("that %s acts for %s is approved", g.guardian, g.ward)
	case g.step == "end":
		s.say("%s does not act for %s any more", g.guardian, g.ward)
		s.next(s.tr("he keeps what he has read; grants that he made stand until they are revoked"))
	case g.step == "" && g.wait != 0:
		s.say("that %s acts for %s is proposed", g.guardian, g.ward)
	default:
		s.say("%s acts for %s", g.guardian, g.ward)
	}
	return map[string]any{"guardian": g.guardian, "for": g.ward, "kind": g.kind, "until": pointer(g.until)}, nil
}

// submitted is what the hospital's node puts on the chain.
func (g *guardianship) submitted() (method string, args any) {
	until := int64(0)
	if !g.until.IsZero() {
		until = g.until.UnixMilli()
	}
	same := identity.ProposalArgs{
		Name: g.ward, Member: g.proposer, Guardian: g.guardian, Kind: g.kind, Until: until, Wait: g.wait.Milliseconds(),
	}
	switch g.step {
	case "approve":
		return identity.MethodApproveGuardian, same
	case "finish":
		return identity.MethodFinishGuardian, same
	case "end":
		return identity.MethodEndGuardian, identity.EndGuardianArgs{Name: g.ward, Guardian: g.guardian}
	}
	return identity.MethodGuardian, identity.GuardianArgs{Name: g.ward, Guardian: g.guardian, Kind: g.kind, Until: until, Wait: g.wait.Milliseconds()}
}

// A guardianData is what programs get of a guardian, or of a proposal of one.
type guardianData struct {
	Name      identity.Name         `json:"name"`
	Kind      identity.Guardianship `json:"kind"`
	By        string                `json:"by,omitempty"` // the hospital that named him
	InForce   bool                  `json:"in_force"`
	Since     *time.Time            `json:"since,omitempty"`
	Until     *time.Time            `json:"until,omitempty"`
	Ready     *time.Time            `json:"ready,omitempty"` // of a proposal: when it can be put in force
	Approvals []string              `json:"approvals,omitempty"`
}

func identityGuardians(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	name := u.Owner()
	if c.NArg() > 0 {
		if name, err = parseName(c.Args().First()); err != nil {
			return nil, err
		}
	}
	id, err := u.Identity(ctx, name)
	if err != nil {
		return nil, err
	}
	all, rows := []guardianData{}, [][]string{}
	for _, g := range id.Guardians {
		d := guardianData{Name: g.Name, Kind: g.Kind, By: g.By, InForce: g.InForce(time.Now().UnixMilli(), u.Consortium()), Since: pointer(atMillis(g.Since)), Until: pointer(atMillis(g.Until))}
		state := s.tr("in force")
		if !d.InForce {
			state = s.tr("over")
		}
		all = append(all, d)
		rows = append(rows, []string{string(g.Name), s.guardianText(g.Kind), or(g.By, string(name)), clockTime(atMillis(g.Until)), state})
	}
	for _, p := range id.Proposals {
		all = append(all, guardianData{Name: p.Guardian, Kind: p.Kind, By: p.Member, Until: pointer(atMillis(p.Until)), Ready: pointer(atMillis(p.Ready)), Approvals: p.Approvals})
		rows = append(rows, []string{string(p.Guardian), s.guardianText(p.Kind), p.Member, clockTime(atMillis(p.Until)),
			s.tr("proposed, from %s, approved by %s", clockTime(atMillis(p.Ready)), strings.Join(p.Approvals, ", "))})
	}
	if len(rows) > 0 {
		s.grid([]string{"GUARDIAN", "KIND", "BY", "UNTIL", "STATE"}, rows)
	} else {
		s.say("nobody acts for %s", name)
	}
	data := map[string]any{"name": name, "entries": all}
	if c.Bool("keys") {
		data["key_requests"], err = s.keyRequests(ctx, u, name)
	}
	return data, err
}

type keyRequestData struct {
	Index uint64        `json:"index"`
	Time  time.Time     `json:"time"`
	By    identity.Name `json:"by"`
	Type  string        `json:"type"`
}

// keyRequests shows what guardians asked of an owner's keys.
func (s *session) keyRequests(ctx context.Context, u *user, owner identity.Name) ([]keyRequestData, error) {
	all, rows := []keyRequestData{}, [][]string{}
	for r, err := range u.KeyRequests(ctx, owner) {
		if err != nil {
			return all, err
		}
		d := keyRequestOf(r)
		all = append(all, d)
		rows = append(rows, []string{fmt.Sprint(d.Index), clockTime(d.Time), string(d.By), s.typeText(r.Type)})
	}
	if len(rows) > 0 {
		s.grid([]string{"NUMBER", "TIME", "BY", "TYPE"}, rows)
	}
	return all, nil
}

func keyRequestOf(r *keys.KeyRequest) keyRequestData {
	return keyRequestData{Index: r.Index, Time: atMillis(r.Time), By: r.By, Type: string(r.Type)}
}

// guardianText is the kind of a guardian as people read it.
func (s *session) guardianText(kind identity.Guardianship) string {
	switch kind {
	case identity.Delegate:
		return s.tr("delegate")
	case identity.Minor:
		return s.tr("of a minor")
	case identity.Incapacity:
		return s.tr("incapacity")
	case identity.Death:
		return s.tr("death")
	}
	return string(kind)
}
