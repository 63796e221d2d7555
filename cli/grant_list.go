package cli

import (
	"context"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/query"
)

func grantList(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	l := newListing[grantData](s, c, columns([]string{"GRANT", "WHO", "TYPE", "STATUS", "CONDITIONS"}))
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	grants := u.Grants(ctx, u.Owner(), "")
	if c.Bool("received") {
		grants = u.GrantsTo(ctx, u.Name())
	}
	for g, err := range grants {
		if err != nil {
			return l.end(err, "")
		}
		if ended(g) && !c.Bool("all") {
			continue
		}
		who := s.whoText(g.Grant.Recipient, g.Grant.Policy)
		if c.Bool("received") {
			who = string(g.Grant.Owner)
		}
		l.add(s.grantData(g), string(g.Grant.ID), who, s.typeText(g.Grant.Type), s.status(g), strings.Join(s.conditions(termsOf(g)), "; "))
	}
	return l.end(nil, s.tr("no grants"))
}

// ended reports whether a grant can never be used again.
func ended(g *query.GrantState) bool {
	switch g.Status {
	case consent.StatusRevoked, consent.StatusExpired, consent.StatusUsedUp, consent.StatusLost:
		return true
	}
	return g.Lost
}

// status is a grant's status as people read it.
func (s *session) status(g *query.GrantState) string {
	if g.Lost {
		return s.tr("lost")
	}
	switch g.Status {
	case consent.StatusPending:
		return s.tr("waits for hospitals")
	case consent.StatusActive:
		return s.tr("active")
	case consent.StatusEarly:
		return s.tr("not yet")
	case consent.StatusExpired:
		return s.tr("expired")
	case consent.StatusUsedUp:
		return s.tr("used up")
	case consent.StatusRevoked:
		return s.tr("revoked")
	case consent.StatusStale:
		return s.tr("for earlier records")
	}
	return string(g.Status)
}
