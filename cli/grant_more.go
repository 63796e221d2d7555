package cli

import (
	"context"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/query"
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
		{s.tr("grant"), string(data.ID)}, {s.tr("by"), string(data.Owner)}, {s.tr("to"), s.whoText(data.To, data.Policy)}, {s.tr("type"), s.typeText(data.Type)},
		{s.tr("status"), s.status(g)}, {s.tr("made"), clockTime(atMillis(g.Grant.Time))},
	}
	if data.By != "" {
		rows = append(rows, []string{s.tr("signed by"), string(data.By)})
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
	if g.Grant.Owner != u.Owner() {
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
