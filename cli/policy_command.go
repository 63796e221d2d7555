package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
)

func (s *session) policyCommand() *urfave.Command {
	flags := func() []urfave.Flag {
		return s.ownerFlags(
			&urfave.StringFlag{Name: "reader", EnvVars: []string{"WARD_READER"}, Usage: s.tr("who would read; else you")},
			&urfave.StringFlag{Name: "purpose", EnvVars: []string{"WARD_PURPOSE"}, Value: string(consent.Treatment), Usage: s.tr("why: a code of HL7 v3 PurposeOfUse")})
	}
	own := []*urfave.Command{
		{
			Name: "check", Usage: s.tr("say whether somebody may read a record now"), ArgsUsage: s.tr("RECORD"),
			Description: s.tr(`Reads nothing and logs nothing. Exits 0 if an access would be allowed, and with the
code of its refusal if not.

Examples:
  ward policy check r-… --reader dr.lee@east --purpose TREAT`),
			Flags:  flags(),
			Action: s.act(1, policyAction(false)),
		},
		{
			Name: "explain", Usage: s.tr("name the clause of each grant that decides"), ArgsUsage: s.tr("RECORD"),
			Description: s.tr(`For every grant from the owner that is to the reader, or to a policy about the
attributes of the reader's hospital: the first clause that refuses, or that all allow
it, by the rules that hospitals go by; from what the chain shows to you.

Examples:
  ward policy explain r-… --reader dr.lee@east`),
			Flags:  flags(),
			Action: s.act(1, policyAction(true)),
		},
	}
	return &urfave.Command{
		Name:        "policy",
		Usage:       s.tr("whether somebody may read a record, and why; grants to attributes"),
		Subcommands: slices.Concat(own, s.rosterCommands(), s.authorityCommands()),
	}
}

// A ruling is what one grant says of a reading.
type ruling struct {
	Grant   consent.GrantID `json:"grant,omitempty"`
	Allows  bool            `json:"allows"`
	Clause  string          `json:"clause"` // that decided
	Code    chain.Code      `json:"code,omitempty"`
	Words   string          `json:"words"`
	Needs   []string        `json:"needs,omitempty"`   // what an access still takes
	Clauses []clauseData    `json:"clauses,omitempty"` // all of them, in the order in which they are judged

	near bool // the grant is on the type of the record
}

// A clauseData is what became of one clause of a grant.
type clauseData struct {
	Clause   consent.Clause `json:"clause"`
	Holds    bool           `json:"holds"`
	Code     chain.Code     `json:"code,omitempty"`
	Decisive []decisionData `json:"decisive,omitempty"` // the clauses of the policy
}

type policyData struct {
	Record  record.ID       `json:"record"`
	Owner   identity.Name   `json:"owner"`
	Reader  identity.Name   `json:"reader"`
	Purpose consent.Purpose `json:"purpose"`
	Allowed bool            `json:"allowed"`
	Decided *ruling         `json:"decided"` // the ruling that counts
	Rulings []ruling        `json:"rulings"`
}

func policyAction(explaining bool) action {
	return func(ctx context.Context, s *session, c *urfave.Context) (any, error) {
		if c.NArg() == 0 {
			return nil, usagef("which record?").withHint("ids look like r-abc…; `ward record list` shows them")
		}
		id, err := recordID(c.Args().First())
		if err != nil {
			return nil, err
		}
		purpose, err := parsePurpose("purpose", c.String("purpose"))
		if err != nil {
			return nil, err
		}
		reader := identity.Name("")
		if v := c.String("reader"); v != "" {
			if reader, err = parseName(v); err != nil {
				return nil, err
			}
		}
		u, err := s.open(ctx, c)
		if err != nil {
			return nil, err
		}
		defer u.close()
		if reader == "" {
			reader = u.Name()
		}
		data, err := s.policy(ctx, u, id, reader, purpose)
		if err != nil {
			return nil, err
		}
		if explaining {
			s.explainPolicy(data)
			return data, nil
		}
		if !data.Allowed {
			if data.Decided.Code == "" {
				return data, ward.ErrNoGrant
			}
			return data, data.Decided.Code
		}
		s.say("%s may read %s for %s: %s", reader, id, purpose, data.Decided.Words)
		for _, need := range data.Decided.Needs {
			s.say("an access takes: %s", need)
		}
		return data, nil
	}
}

// policy finds out what the chain would say of a reading.
func (s *session) policy(ctx context.Context, u *user, id record.ID, reader identity.Name, purpose consent.Purpose) (*policyData, error) {
	e, err := u.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &policyData{Record: id, Owner: e.Owner, Reader: reader, Purpose: purpose, Rulings: []ruling{}}
	switch {
	case e.Erased:
		d.Rulings = append(d.Rulings, ruling{Clause: "record", Code: consent.ErrErased, Words: s.tr("the record was erased")})
	case e.Owner == reader:
		d.Rulings = append(d.Rulings, ruling{Clause: "owner", Allows: true, Words: s.tr("it is the reader's own")})
	default:
		if err := s.judgeAll(ctx, u, d, e); err != nil {
			return nil, err
		}
	}
	d.decide()
	if d.Decided == nil {
		d.Decided = &ruling{Clause: "grant", Words: s.tr("there is no grant to the reader")}
	}
	return d, nil
}

// judgeAll judges by the owner's guardians, and by each grant that could be for
// the reader.
func (s *session) judgeAll(ctx context.Context, u *user, d *policyData, e *ward.Entry) error {
	who, err := u.Identity(ctx, d.Reader)
	if err != nil {
		return err
	}
	owner, err := u.Identity(ctx, e.Owner)
	if err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	if owner.ActedForBy(d.Reader, now, u.Consortium()) && owner.Version == 0 {
		d.Rulings = append(d.Rulings, ruling{Clause: "guardian", Allows: true, Words: s.tr("the reader is a guardian of %s", e.Owner)})
		return nil
	}
	// A reader sees the grants that are for it, an owner all of hers.
	grants := u.Grants(ctx, e.Owner, "")
	if d.Reader == u.Name() {
		grants = u.GrantsFor(ctx, e.Owner, d.Reader)
	}
	for g, err := range grants {
		if err != nil {
			return err
		}
		if g.Grant.Recipient != d.Reader && !u.about(g.Grant.Policy, d.Reader.Org()) {
			continue
		}
		v, err := s.judge(ctx, u, g, &consent.Case{
			Grant: &g.Grant, Status: g.Status, Consortium: u.Consortium(), Time: now, Reader: who, Purpose: d.Purpose,
			Obligations: g.Grant.Conditions.Obligations, Records: []*record.Record{chainRecord(e)},
		})
		if err != nil {
			return err
		}
		d.Rulings = append(d.Rulings, v)
	}
	return nil
}

// about reports whether a policy is about attributes that an organisation
// certifies.
func (u *user) about(policy, org string) bool {
	if policy == "" {
		return false
	}
	p, err := u.ParsePolicy(policy)
	return err == nil && slices.Contains(p.Authorities(), org)
}

// judge has the contract's own clauses judge a reading under a grant. What a
// reader still has to bring is no reason to refuse.
func (s *session) judge(ctx context.Context, u *user, state *query.GrantState, k *consent.Case) (ruling, error) {
	g := &state.Grant
	if state.Lost {
		k.Status = consent.StatusLost
	}
	v := ruling{Grant: g.ID, Allows: true, Clause: "all", Words: s.tr("grant %s on %s allows it", g.ID, s.typeText(g.Type)), near: g.Type.Covers(k.Records[0].Type)}
	if g.Conditions.Instance != "" {
		switch i, err := u.FlowState(ctx, workflow.ID(g.Conditions.Instance)); {
		case err == nil:
			k.Holder = i.Holder == k.Reader.Name && !i.Overdue(k.Time)
		case errors.Is(err, workflow.ErrUnknown):
		case errors.Is(err, workflow.ErrDenied):
			k.Holder = true
			v.Needs = append(v.Needs, s.tr("the reader holds %s, which is not shown to you", g.Conditions.Instance))
		default:
			return v, err
		}
	}
	t := termsOf(state)
	for _, f := range consent.Examine(k) {
		switch f.Clause {
		case consent.ClauseCoSigners:
			v.Needs = append(v.Needs, s.coSigners(t))
			continue
		case consent.ClauseEmergency:
			v.Needs = append(v.Needs, s.tr("another clinician's signature and a reason, and it is reviewed"))
			continue
		case consent.ClauseReason:
			continue
		}
		v.Clauses = append(v.Clauses, clauseData{f.Clause, f.Holds(), f.Code, decisions(f.Decisive)})
		if !f.Holds() && v.Allows {
			v.Allows, v.Clause, v.Code, v.Words = false, string(f.Clause), f.Code, s.refusal(&f, state, k)
		}
	}
	for _, o := range s.obligations(g.Conditions.Obligations) {
		v.Needs = append(v.Needs, s.tr("to take on %s: %s", o.Code, o.Words))
	}
	if !v.Allows {
		v.Needs = nil
	}
	return v, nil
}

// refusal says in words why a clause does not hold.
func (s *session) refusal(f *consent.Finding, state *query.GrantState, k *consent.Case) string {
	g, r := &state.Grant, k.Records[0]
	cond := &g.Conditions
	switch f.Clause {
	case consent.ClausePolicy:
		if len(f.Decisive) == 0 {
			return s.tr("the attributes of %s do not satisfy %s", k.Reader.Name, g.Policy)
		}
		var why []string
		for _, d := range f.Decisive {
			why = append(why, s.decisionText(d))
		}
		return g.Policy + ": " + strings.Join(why, "; ")
	case consent.ClauseStatus:
		return s.tr("the grant is: %s", s.status(state))
	case consent.ClauseHolder:
		return s.tr("the reader does not hold %s", cond.Instance)
	case consent.ClausePurpose:
		switch {
		case cond.Emergency:
			return s.tr("the grant is for emergencies only")
		case len(cond.Purposes) == 0:
			return s.tr("no grant implies BTG: it must be named")
		}
		var codes []string
		for _, p := range cond.Purposes {
			codes = append(codes, string(p))
		}
		return s.tr("the grant is for %s, which does not cover %s", strings.Join(codes, ", "), k.Purpose)
	case consent.ClauseEpoch:
		if r.Version != g.Version {
			return s.tr("the record was written for key %d of the owner, the grant is of key %d", r.Version, g.Version)
		}
		return s.tr("the record was written in epoch %d, the grant is of epoch %d", r.Epoch, g.Epoch)
	case consent.ClauseType:
		return s.tr("the grant is on %s, which does not cover %s", s.typeText(g.Type), r.Type)
	case consent.ClauseExcept:
		var out []string
		for _, x := range exceptions(g.Type, cond.Except) {
			out = append(out, string(x.Type))
		}
		return s.tr("the grant leaves out %s", strings.Join(out, ", "))
	case consent.ClauseDated:
		return s.tr("the record is dated %s: %s", atMillis(r.Dated).Format(time.DateOnly), strings.Join(s.conditions(termsOf(state)), "; "))
	}
	return string(f.Code)
}

// judged are the clauses in the order in which they are judged. Of two grants
// that refuse, the one to explain is that on the record's type, and then the one
// that gets further.
var judged = []string{
	"record", string(consent.ClauseRecipient), string(consent.ClausePolicy), string(consent.ClauseStatus), string(consent.ClauseHolder),
	string(consent.ClausePurpose), string(consent.ClauseObligations), string(consent.ClauseOwner), string(consent.ClauseEpoch),
	string(consent.ClauseType), string(consent.ClauseExcept), string(consent.ClauseDated), "all",
}

// decide chooses the ruling that counts.
func (d *policyData) decide() {
	for i := range d.Rulings {
		v := &d.Rulings[i]
		if v.Allows {
			d.Allowed, d.Decided = true, v
			return
		}
		if d.Decided == nil || v.rank() >= d.Decided.rank() {
			d.Decided = v
		}
	}
}

func (r *ruling) rank() int {
	rank := slices.Index(judged, r.Clause)
	if r.near {
		rank += len(judged)
	}
	return rank
}

func (s *session) explainPolicy(d *policyData) {
	rows := [][]string{}
	for _, v := range d.Rulings {
		answer := s.tr("refuses")
		if v.Allows {
			answer = s.tr("allows")
		}
		words := v.Words
		if len(v.Needs) > 0 {
			words += "; " + strings.Join(v.Needs, "; ")
		}
		rows = append(rows, []string{string(v.Grant), answer, s.clauseText(v.Clause), words})
	}
	if len(rows) > 0 {
		s.grid([]string{"GRANT", "ANSWER", "CLAUSE", "WHY"}, rows)
	}
	if d.Allowed {
		s.say("%s may read %s for %s: %s", d.Reader, d.Record, d.Purpose, d.Decided.Words)
	} else {
		s.say("%s may not read %s for %s: %s", d.Reader, d.Record, d.Purpose, d.Decided.Words)
	}
}

// clauseText is the name of a clause, as people read it.
func (s *session) clauseText(clause string) string {
	switch clause {
	case string(consent.ClausePolicy):
		return s.tr("policy")
	case string(consent.ClauseStatus):
		return s.tr("status")
	case string(consent.ClauseHolder):
		return s.tr("holder")
	case string(consent.ClausePurpose):
		return s.tr("purpose")
	case string(consent.ClauseEpoch):
		return s.tr("epoch")
	case string(consent.ClauseType):
		return s.tr("type")
	case string(consent.ClauseExcept):
		return s.tr("except")
	case string(consent.ClauseDated):
		return s.tr("dated")
	case "guardian":
		return s.tr("guardian")
	case "owner":
		return s.tr("owner")
	case "record":
		return s.tr("record")
	}
	return s.tr("all")
}
