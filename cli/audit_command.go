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
	"github.com/ward-health/ward/pre"
)

func (s *session) auditList() *urfave.Command {
	return &urfave.Command{
		Name: "list", Usage: s.tr("list what happened to a patient's records and grants"),
		Description: s.tr(`Oldest first. Every line with a number is proved by a receipt of the chain.

Examples:
  ward audit list
  ward audit list --owner p-7f3a@north --as auditor@north --ndjson`),
		Flags:  s.ownerFlags(s.listFlag(), s.historyOwnerFlag()),
		Action: s.act(0, auditList),
	}
}

func (s *session) historyOwnerFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "owner", EnvVars: []string{"WARD_OWNER"}, Usage: s.tr("whose records; else yours")}
}

// An eventData is what programs get of a line of the trail.
type eventData struct {
	Index   uint64          `json:"index,omitempty"`
	Time    *time.Time      `json:"time,omitempty"`
	Kind    string          `json:"kind"`
	By      identity.Name   `json:"by"`
	Purpose consent.Purpose `json:"purpose,omitempty"`
	Records []record.ID     `json:"records,omitempty"`
	Grant   consent.GrantID `json:"grant,omitempty"`
	Type    pre.Type        `json:"type,omitempty"` // of the keys that a guardian asked for
}

func eventOf(e *ward.Event) eventData {
	return eventData{Index: e.Index, Time: pointer(e.Time), Kind: e.Kind, By: e.By, Purpose: e.Purpose, Records: e.Records, Grant: e.Grant, Type: e.Type}
}

// kindText is what happened, as people read it.
func (s *session) kindText(kind string) string {
	switch kind {
	case "put":
		return s.tr("record put")
	case "erase":
		return s.tr("record erased")
	case "grant":
		return s.tr("grant made")
	case "revoke":
		return s.tr("grant ended")
	case "access":
		return s.tr("read")
	case "emergency":
		return s.tr("emergency read")
	case "review":
		return s.tr("emergency reviewed")
	case "request":
		return s.tr("asked for a grant")
	case "key":
		return s.tr("keys asked for")
	}
	return kind
}

// historyOf opens the session and says whose trail it is.
func (s *session) historyOf(ctx context.Context, c *urfave.Context) (*user, identity.Name, error) {
	owner := identity.Name("")
	if v := c.String("owner"); v != "" {
		var err error
		if owner, err = parseName(v); err != nil {
			return nil, "", err
		}
	}
	u, err := s.open(ctx, c)
	if err == nil && owner == "" {
		owner = u.Owner()
	}
	return u, owner, err
}

// trail yields what happened, oldest first: all of it to the owner, the accesses
// alone to somebody who may see no more.
func (s *session) trail(ctx context.Context, u *user, owner identity.Name) iter.Seq2[eventData, error] {
	return func(yield func(eventData, error) bool) {
		denied := false
		for e, err := range u.History(ctx, owner) {
			if denied = owner != u.Name() && errors.Is(err, record.ErrDenied); denied {
				break
			}
			if err != nil {
				yield(eventData{}, err)
				return
			}
			if !yield(eventOf(e), nil) {
				return
			}
		}
		if !denied {
			return
		}
		s.next(s.tr("you may see the accesses only"))
		for a, err := range u.Accesses(ctx, consent.Accesses{Owner: owner}) {
			if err != nil {
				yield(eventData{}, err)
				return
			}
			e := eventData{Index: a.Index, Time: pointer(atMillis(a.Time)), Kind: "access", By: a.Reader, Purpose: a.Purpose, Records: a.Records, Grant: a.Grant}
			if a.Emergency {
				e.Kind = "emergency"
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func auditList(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	l := newListing[eventData](s, c, columns([]string{"NUMBER", "TIME", "WHAT", "BY", "PURPOSE", "RECORDS", "GRANT"}))
	u, owner, err := s.historyOf(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	for e, err := range s.trail(ctx, u, owner) {
		if err != nil {
			return l.end(err, "")
		}
		number, records := "", ""
		if e.Index != 0 {
			number = fmt.Sprint(e.Index)
		}
		switch n := len(e.Records); n {
		case 0:
		case 1:
			records = string(e.Records[0])
		default:
			records = fmt.Sprint(n)
		}
		at := ""
		if e.Time != nil {
			at = clockTime(*e.Time)
		}
		l.add(e, number, at, s.kindText(e.Kind), string(e.By), string(e.Purpose), records, string(e.Grant))
	}
	return l.end(nil, s.tr("nothing happened yet"))
}
