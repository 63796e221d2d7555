package cli

import (
	"context"
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
)

func (s *session) policyCommand() *urfave.Command {
	flags := func() []urfave.Flag {
		return s.userFlags(
			&urfave.StringFlag{Name: "reader", EnvVars: []string{"WARD_READER"}, Usage: s.tr("who would read; else you")},
			&urfave.StringFlag{Name: "purpose", EnvVars: []string{"WARD_PURPOSE"}, Value: string(consent.Treatment), Usage: s.tr("why: a code of HL7 v3 PurposeOfUse")})
	}
	return &urfave.Command{
		Name:  "policy",
		Usage: s.tr("whether somebody may read a record, and why"),
		Subcommands: []*urfave.Command{
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
				Description: s.tr(`For every grant from the owner to the reader: the first clause that refuses, or
that all allow it; from what the chain shows to you.

Examples:
  ward policy explain r-… --reader dr.lee@east`),
				Flags:  flags(),
				Action: s.act(1, policyAction(true)),
			},
		},
	}
}

// A ruling is what one grant says of a reading.
type ruling struct {
	Grant  consent.GrantID `json:"grant,omitempty"`
	Allows bool            `json:"allows"`
	Clause string          `json:"clause"` // that decided
	Code   chain.Code      `json:"code,omitempty"`
	Words  string          `json:"words"`
	Needs  []string        `json:"needs,omitempty"` // what an access still takes

	near bool // the grant is on the type of the record
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
		// A reader sees the grants to it, an owner those of hers.
		owner, recipient := e.Owner, identity.Name("")
		if reader == u.Name() {
			owner, recipient = "", reader
		}
		for g, err := range u.Grants(ctx, owner, recipient) {
			if err != nil {
				return nil, err
			}
			if g.Grant.Owner == e.Owner && g.Grant.Recipient == reader {
				d.Rulings = append(d.Rulings, s.judge(g, e, purpose))
			}
		}
	}
	d.decide()
	if d.Decided == nil {
		d.Decided = &ruling{Clause: "grant", Words: s.tr("there is no grant to the reader")}
	}
	return d, nil
}

// judged are the clauses in the order in which they are judged. Of two grants
// that refuse, the one to explain is that on the record's type, and then the one
// that gets further.
var judged = []string{"record", "status", "purpose", "epoch", "type", "dated", "all"}

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

// statusCodes are the codes with which the contract refuses a grant of a status.
var statusCodes = map[consent.Status]chain.Code{
	consent.StatusPending: consent.ErrPending, consent.StatusEarly: consent.ErrEarly, consent.StatusExpired: consent.ErrExpired,
	consent.StatusUsedUp: consent.ErrUsedUp, consent.StatusRevoked: consent.ErrRevoked, consent.StatusLost: consent.ErrLost,
}

// judge goes through the clauses of a grant in the order in which the contract
// does, and stops at the first that refuses.
func (s *session) judge(state *query.GrantState, e *ward.Entry, purpose consent.Purpose) ruling {
	g := &state.Grant
	cond := &g.Conditions
	refuse := func(clause string, code chain.Code, words string) ruling {
		return ruling{Grant: g.ID, Clause: clause, Code: code, Words: words, near: g.Type.Covers(e.Type)}
	}
	t := termsOf(state)
	code, dead := statusCodes[state.Status]
	if state.Lost {
		code, dead = consent.ErrLost, true
	}
	switch {
	case dead:
		return refuse("status", code, s.tr("the grant is: %s", s.status(state)))
	case cond.Emergency && purpose != consent.BreakGlass:
		return refuse("purpose", consent.ErrPurpose, s.tr("the grant is for emergencies only"))
	case !cond.Emergency && len(cond.Purposes) == 0 && purpose == consent.BreakGlass:
		return refuse("purpose", consent.ErrPurpose, s.tr("no grant implies BTG: it must be named"))
	case len(cond.Purposes) > 0 && !slices.ContainsFunc(cond.Purposes, func(p consent.Purpose) bool { return p.Covers(purpose) }):
		var codes []string
		for _, p := range cond.Purposes {
			codes = append(codes, string(p))
		}
		return refuse("purpose", consent.ErrPurpose, s.tr("the grant is for %s, which does not cover %s", strings.Join(codes, ", "), purpose))
	case e.Version != g.Version || e.Epoch != g.Epoch:
		return refuse("epoch", consent.ErrEpoch, s.tr("the record was written in epoch %d, the grant is of epoch %d", e.Epoch, g.Epoch))
	case !g.Type.Covers(e.Type):
		return refuse("type", consent.ErrType, s.tr("the grant is on %s, which does not cover %s", s.typeText(g.Type), e.Type))
	case !covers(&t, e):
		return refuse("dated", consent.ErrDated, s.tr("the record is dated %s: %s", e.Dated.UTC().Format(time.DateOnly), strings.Join(s.conditions(t), "; ")))
	}
	v := ruling{Grant: g.ID, Allows: true, Clause: "all", Words: s.tr("grant %s on %s allows it", g.ID, s.typeText(g.Type))}
	if cond.CoSigners.Count > 0 {
		said := s.conditions(ward.Terms{CoSigners: t.CoSigners, CoSignerAttribute: t.CoSignerAttribute})
		v.Needs = append(v.Needs, said[len(said)-1])
	}
	if cond.Emergency {
		v.Needs = append(v.Needs, s.tr("another clinician's signature and a reason, and it is reviewed"))
	}
	return v
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
	case "status":
		return s.tr("status")
	case "purpose":
		return s.tr("purpose")
	case "epoch":
		return s.tr("epoch")
	case "type":
		return s.tr("type")
	case "dated":
		return s.tr("dated")
	case "owner":
		return s.tr("owner")
	case "record":
		return s.tr("record")
	}
	return s.tr("all")
}
