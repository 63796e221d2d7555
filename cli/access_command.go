package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

func (s *session) accessCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "access",
		Usage: s.tr("who read what"),
		Subcommands: []*urfave.Command{
			{
				Name: "list", Usage: s.tr("list accesses to your records, or others that you may see"),
				Description: s.tr(`Oldest first. --reasons opens why, which only the owner can.

Examples:
  ward access list --reasons
  ward access list --open --as privacy@north`),
				Flags: s.ownerFlags(s.listFlag(),
					&urfave.StringFlag{Name: "owner", EnvVars: []string{"WARD_OWNER"}, Usage: s.tr("to whose records; else yours")},
					&urfave.StringFlag{Name: "reader", EnvVars: []string{"WARD_READER"}, Usage: s.tr("by whom")},
					&urfave.StringFlag{Name: "record", EnvVars: []string{"WARD_RECORD"}, Usage: s.tr("to which record")},
					&urfave.BoolFlag{Name: "open", EnvVars: []string{"WARD_OPEN"}, Usage: s.tr("emergencies that wait for review")},
					&urfave.BoolFlag{Name: "reasons", EnvVars: []string{"WARD_REASONS"}, Usage: s.tr("open the reasons; of accesses to your own records only")}),
				Action: s.act(0, accessList),
			},
			{
				Name: "review", Usage: s.tr("close the review of an emergency access"), ArgsUsage: s.tr("NUMBER"),
				Description: s.tr(`By a reviewer who did not take part. After abuse no hospital answers for it any more.

Examples:
  ward access review 118 --outcome justified --as privacy@north`),
				Flags: s.userFlags(
					&urfave.StringFlag{Name: "outcome", EnvVars: []string{"WARD_OUTCOME"}, Usage: s.tr("justified or abuse")}),
				Action: s.act(1, accessReview),
			},
			{
				Name: "approve", Usage: s.tr("sign another's access as a co-signer"), ArgsUsage: s.tr("FILE"),
				Description: s.tr(`Shows what the access is and asks. FILE is what the reader's --draft wrote with
.public behind its name.

Examples:
  ward access approve night.draft.public -o okafor.approval`),
				Flags:  s.userFlags(s.outputFlag(""), s.forceFlag(), s.yesFlag()),
				Action: s.act(1, accessApprove),
			},
		},
	}
}

// An accessData is what programs get of an access.
type accessData struct {
	Index     uint64          `json:"index"`
	Time      time.Time       `json:"time"`
	Reader    identity.Name   `json:"reader"`
	Owner     identity.Name   `json:"owner"`
	Grant     consent.GrantID `json:"grant,omitempty"`
	Records   []record.ID     `json:"records"`
	Purpose   consent.Purpose `json:"purpose"`
	CoSigners []identity.Name `json:"co_signers,omitempty"`
	Emergency bool            `json:"emergency"`
	Review    string          `json:"review,omitempty"` // open, justified or abuse
	Reviewer  identity.Name   `json:"reviewer,omitempty"`
	Reason    *string         `json:"reason,omitempty"`
}

func accessOf(a *consent.Access) accessData {
	d := accessData{
		Index: a.Index, Time: atMillis(a.Time), Reader: a.Reader, Owner: a.Owner, Grant: a.Grant, Records: a.Records,
		Purpose: a.Purpose, CoSigners: a.CoSigners, Emergency: a.Emergency, Reviewer: a.Reviewer,
	}
	switch a.Review {
	case consent.Open:
		d.Review = "open"
	case consent.Closed:
		d.Review = a.Outcome
	}
	return d
}

func accessList(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	l := newListing[accessData](s, c, columns([]string{"NUMBER", "TIME", "READER", "OWNER", "PURPOSE", "RECORDS", "REVIEW"}))
	if c.Bool("reasons") {
		l.headings = append(l.headings, s.tr("REASON"))
	}
	var sel consent.Accesses
	var err error
	given := 0
	for flag, name := range map[string]*identity.Name{"owner": &sel.Owner, "reader": &sel.Reader} {
		if v := c.String(flag); v != "" {
			given++
			if *name, err = parseName(v); err != nil {
				return nil, err
			}
		}
	}
	if v := c.String("record"); v != "" {
		given++
		if sel.Record, err = recordID(v); err != nil {
			return nil, err
		}
	}
	sel.Open = c.Bool("open")
	if given > 1 {
		return nil, usagef("one of --owner, --reader and --record")
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if given == 0 && !sel.Open {
		sel.Owner = u.Owner()
	}
	for a, err := range u.Accesses(ctx, sel) {
		if err != nil {
			return l.end(err, "")
		}
		d := accessOf(a)
		row := []string{fmt.Sprint(a.Index), clockTime(d.Time), string(a.Reader), string(a.Owner), string(a.Purpose), fmt.Sprint(len(a.Records)), s.reviewText(d.Review)}
		if c.Bool("reasons") {
			why := ""
			if a.Owner == u.Owner() {
				if why, err = u.Reason(ctx, a.Index); err != nil {
					return l.end(err, "")
				}
				d.Reason = &why
			}
			row = append(row, why)
		}
		l.add(d, row...)
	}
	return l.end(nil, s.tr("no accesses"))
}

// reviewText is the state of a review as people read it.
func (s *session) reviewText(state string) string {
	switch state {
	case "open":
		return s.tr("open")
	case consent.OutcomeJustified:
		return s.tr("justified")
	case consent.OutcomeAbuse:
		return s.tr("abuse")
	}
	return state
}

func accessReview(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which access?").withHint("`ward access list --open` shows the numbers")
	}
	index, err := strconv.ParseUint(c.Args().First(), 10, 64)
	if err != nil || index == 0 {
		return nil, usagef("%q is no number of an access", c.Args().First()).withHint("`ward access list --open` shows the numbers")
	}
	outcome := c.String("outcome")
	if outcome != consent.OutcomeJustified && outcome != consent.OutcomeAbuse {
		return nil, usagef("flag %s: %q is neither justified nor abuse", "--outcome", outcome)
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if err := u.Review(ctx, index, outcome); err != nil {
		return nil, err
	}
	s.say("access %d is reviewed: %s", index, s.reviewText(outcome))
	return map[string]any{"index": index, "outcome": outcome}, nil
}
