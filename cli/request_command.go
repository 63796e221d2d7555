package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

func (s *session) requestCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "request",
		Usage: s.tr("ask for a grant, and answer who asks"),
		Subcommands: []*urfave.Command{
			{
				Name: "create", Usage: s.tr("ask a patient for a grant"),
				Description: s.tr(`Examples:
  ward request create --owner p-7f3a@north --type clinical/exam --purpose TREAT --until 30d`),
				Flags: s.userFlags(
					&urfave.StringFlag{Name: "owner", EnvVars: []string{"WARD_OWNER"}, Usage: s.tr("whose records")},
					&urfave.StringFlag{Name: "type", Aliases: []string{"t"}, EnvVars: []string{"WARD_TYPE"}, Usage: s.tr("of which type, and everything below it, such as clinical/exam")},
					&urfave.StringFlag{Name: "purpose", EnvVars: []string{"WARD_PURPOSE"}, Value: string(consent.Treatment), Usage: s.tr("why: a code of HL7 v3 PurposeOfUse")},
					&urfave.StringFlag{Name: "until", EnvVars: []string{"WARD_UNTIL"}, Value: "30d", Usage: s.tr("when it ends: a day such as 2026-12-31, or 30d")}),
				Action: s.act(0, requestCreate),
			},
			{
				Name: "list", Usage: s.tr("list the requests to you, or yours to others"),
				Description: s.tr(`Examples:
  ward request list
  ward request list --sent --all`),
				Flags: s.ownerFlags(s.listFlag(),
					&urfave.BoolFlag{Name: "sent", EnvVars: []string{"WARD_SENT"}, Usage: s.tr("those that you made")},
					&urfave.BoolFlag{Name: "all", EnvVars: []string{"WARD_ALL"}, Usage: s.tr("those that were answered, too")}),
				Action: s.act(0, requestList),
			},
			{
				Name: "approve", Usage: s.tr("grant what a request asks for"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Type, purpose and end are those asked for; flags change them, and narrow the grant.

Examples:
  ward request approve 4f1c… --dry-run
  ward request approve 4f1c… --until 7d --max-uses 3 --except clinical/exam/psychiatry`),
				Flags:  s.ownerFlags(append(s.termFlags(), s.dryRunFlag())...),
				Action: s.act(1, requestApprove),
			},
			{
				Name: "deny", Usage: s.tr("turn a request down, or withdraw your own"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Examples:
  ward request deny 4f1c…`),
				Flags:  s.ownerFlags(),
				Action: s.act(1, requestDeny),
			},
		},
	}
}

func requestCreate(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	for _, flag := range []string{"owner", "type"} {
		if c.String(flag) == "" {
			return nil, usagef("flag %s needs a value", "--"+flag)
		}
	}
	owner, err := parseName(c.String("owner"))
	if err != nil {
		return nil, err
	}
	t, err := parseType("type", c.String("type"))
	if err != nil {
		return nil, err
	}
	purpose, err := parsePurpose("purpose", c.String("purpose"))
	if err != nil {
		return nil, err
	}
	until, err := moment("until", c.String("until"), time.Now(), true)
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	id, err := u.Request(ctx, owner, t, purpose, until)
	if err != nil {
		return nil, err
	}
	if s.quiet {
		s.say("%s", id)
	} else {
		s.say("request %s to %s", id, owner)
	}
	s.next(s.tr("the patient answers: `ward request approve %s`", id))
	return map[string]any{"id": id, "owner": owner, "type": t, "purpose": purpose, "until": pointer(until)}, nil
}

// A requestData is what programs get of a request.
type requestData struct {
	ID      string          `json:"id"`
	From    identity.Name   `json:"from"`
	Owner   identity.Name   `json:"owner"`
	Type    pre.Type        `json:"type"`
	Purpose consent.Purpose `json:"purpose"`
	Made    time.Time       `json:"made"`
	Until   *time.Time      `json:"until,omitempty"`
	State   string          `json:"state"`
	Grant   consent.GrantID `json:"grant,omitempty"`
}

// requestState is a request's state as people read it.
func (s *session) requestState(state string) string {
	switch state {
	case consent.RequestOpen:
		return s.tr("open")
	case consent.RequestGranted:
		return s.tr("granted")
	case consent.RequestDenied:
		return s.tr("denied")
	case consent.RequestWithdrawn:
		return s.tr("withdrawn")
	}
	return state
}

func requestList(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	l := newListing[requestData](s, c, columns([]string{"REQUEST", "WHO", "TYPE", "PURPOSE", "UNTIL", "STATE"}))
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	owner, from := u.Owner(), identity.Name("")
	if c.Bool("sent") {
		owner, from = "", u.Name()
	}
	for r, err := range u.Requests(ctx, owner, from) {
		if err != nil {
			return l.end(err, "")
		}
		if r.State != consent.RequestOpen && !c.Bool("all") {
			continue
		}
		who := r.From
		if c.Bool("sent") {
			who = r.Owner
		}
		l.add(requestData{r.ID, r.From, r.Owner, r.Type, r.Purpose, atMillis(r.Time), pointer(atMillis(r.NotAfter)), r.State, r.Grant},
			r.ID, string(who), s.typeText(r.Type), string(r.Purpose), clockTime(atMillis(r.NotAfter)), s.requestState(r.State))
	}
	return l.end(nil, s.tr("no requests"))
}

// findRequest returns the request to the user that an id names, which may be
// shortened as long as it names one.
func findRequest(ctx context.Context, u *user, id string, sent bool) (*consent.Request, error) {
	owner, from := u.Owner(), identity.Name("")
	if sent {
		owner, from = "", u.Name()
	}
	var found *consent.Request
	for r, err := range u.Requests(ctx, owner, from) {
		switch {
		case err != nil:
			return nil, err
		case r.ID == id:
			return r, nil
		case len(id) >= 6 && strings.HasPrefix(r.ID, id):
			if found != nil {
				return nil, usagef("%q names several requests", id)
			}
			found = r
		}
	}
	if found == nil {
		return nil, fmt.Errorf("request %s: %w", id, consent.ErrUnknown)
	}
	return found, nil
}

func requestApprove(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which request?").withHint("`ward request list` shows them")
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	r, err := findRequest(ctx, u, c.Args().First(), false)
	if err != nil {
		return nil, err
	}
	if r.State != consent.RequestOpen {
		return nil, failf("answered", exitFailure, "the request was answered already: %s", s.requestState(r.State))
	}
	t := ward.Terms{To: r.From, Type: r.Type, Everything: r.Type == "", NotAfter: atMillis(r.NotAfter), Purposes: []consent.Purpose{r.Purpose}, Answers: r.ID}
	if err := setTerms(c, &t, time.Now()); err != nil {
		return nil, err
	}
	if !t.Type.Covers(r.Type) {
		return nil, usagef("the request is for %s: a grant that does not cover it is no answer", s.typeText(r.Type)).
			withHint("--except leaves out what is below it; or `ward request deny %s` and `ward grant create`", c.Args().First())
	}
	return s.grant(ctx, u, t, c.Bool("dry-run"))
}

func requestDeny(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which request?").withHint("`ward request list` shows them")
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	id := c.Args().First()
	r, err := findRequest(ctx, u, id, false)
	if err != nil {
		if r, err = findRequest(ctx, u, id, true); err != nil {
			return nil, err
		}
	}
	if r.State != consent.RequestOpen {
		return nil, failf("answered", exitFailure, "the request was answered already: %s", s.requestState(r.State))
	}
	if err := u.Deny(ctx, r.ID); err != nil {
		return nil, err
	}
	s.say("request %s is closed", r.ID)
	return map[string]any{"id": r.ID}, nil
}
