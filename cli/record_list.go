package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

func recordList(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	l := newListing[recordData](s, c, columns([]string{"RECORD", "DATED", "TYPE", "AUTHOR", "TITLE"}))
	q := ward.Query{All: c.Bool("all")}
	var err error
	if c.String("type") != "" {
		if q.Type, err = parseType("type", c.String("type")); err != nil {
			return nil, err
		}
	}
	if q.Since, err = onDay("since", c.String("since"), time.Now()); err != nil {
		return nil, err
	}
	if q.Until, err = onDay("through", c.String("through"), time.Now()); err != nil {
		return nil, err
	}
	for flag, name := range map[string]*identity.Name{"owner": &q.Owner, "author": &q.Author} {
		if v := c.String(flag); v != "" {
			if *name, err = parseName(v); err != nil {
				return nil, err
			}
		}
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if q.Owner == "" {
		q.Owner = u.Owner()
	}
	titles := c.Bool("titles")
	if titles && q.Owner != u.Name() && q.Owner != u.Owner() {
		return nil, usagef("only your own titles can be opened in a list").withHint("`ward record get` opens another's record, and logs it")
	}
	for e, err := range find(ctx, u, q) {
		if err != nil {
			return l.end(err, "")
		}
		title, opened := "", false
		if titles && !e.Erased {
			o, err := u.Open(ctx, e.ID, ward.Purpose{})
			if err != nil {
				return l.end(fmt.Errorf("record %s: %w", e.ID, err), "")
			}
			replaced := e.Replaced
			e = &o.Entry
			e.Replaced, title, opened = replaced, o.Title, true
		}
		switch {
		case e.Erased:
			title = s.tr("(erased)")
		case e.Replaced != "":
			title += s.tr("(superseded by %s)", e.Replaced)
		}
		l.add(recordOf(e, opened), string(e.ID), e.Dated.UTC().Format(time.DateOnly), string(e.Type), string(e.Author), title)
	}
	if len(l.all) == 0 && q.Owner == u.Name() {
		s.next(s.tr("those that others let you read: `ward grant list --received`, then `ward record list --owner NAME`"))
	}
	return l.end(nil, s.tr("no records"))
}

// find yields an owner's records as the user may see them: all, or those that
// grants in force to the user cover.
func find(ctx context.Context, u *user, q ward.Query) iter.Seq2[*ward.Entry, error] {
	return func(yield func(*ward.Entry, error) bool) {
		for e, err := range u.Find(ctx, q) {
			if errors.Is(err, record.ErrDenied) && q.Owner != u.Name() {
				findGranted(ctx, u, q, err, yield)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// findGranted is find under grants; denied is the error without one.
func findGranted(ctx context.Context, u *user, q ward.Query, denied error, yield func(*ward.Entry, error) bool) {
	var grants []consent.GrantID
	for g, err := range u.GrantsFor(ctx, q.Owner, u.Name()) {
		if err != nil {
			yield(nil, err)
			return
		}
		if g.Status == consent.StatusActive || g.Status == consent.StatusStale {
			grants = append(grants, g.Grant.ID)
		}
	}
	if len(grants) == 0 {
		yield(nil, denied)
		return
	}
	seen := map[record.ID]bool{}
	for _, q.Grant = range grants {
		for e, err := range u.Find(ctx, q) {
			if err == nil && seen[e.ID] {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
			seen[e.ID] = true
		}
	}
}
