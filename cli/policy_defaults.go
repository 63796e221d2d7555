package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/admin"
	"github.com/ward-health/ward/pre"
)

// A proposalFile is one table of the file that policy defaults --set reads.
type proposalFile struct {
	Type        string   `toml:"type"`
	Policy      string   `toml:"policy"`
	Lasts       string   `toml:"lasts"`
	Purposes    []string `toml:"purposes"`
	Except      []string `toml:"except"`
	Obligations []string `toml:"obligations"`
	MaxUses     uint32   `toml:"max-uses"`
	CoSigners   string   `toml:"co-signers"`
	Elsewhere   bool     `toml:"co-signers-elsewhere"`
	Emergency   bool     `toml:"emergency"`
	Since       string   `toml:"since"`
	Through     string   `toml:"through"`
}

// parseDefaults reads what a hospital proposes, in the order of the names. It
// checks what the contract would refuse as malformed, but for the policies.
func parseDefaults(text []byte) ([]consent.Default, error) {
	var file map[string]proposalFile
	meta, err := toml.Decode(string(text), &file)
	if err != nil {
		if bad := (toml.ParseError{}); errors.As(err, &bad) {
			return nil, usagef("line %d: %s", bad.Position.Line, bad.Message)
		}
		return nil, usagef("%s", err.Error())
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, usagef("unknown setting %q", unknown[0].String()).withHint("`ward policy defaults --help` lists them")
	}
	if len(file) > consent.MaxDefaults {
		return nil, usagef("%d grants are proposed, %d at most", len(file), consent.MaxDefaults)
	}
	var all []consent.Default
	for _, name := range slices.Sorted(maps.Keys(file)) {
		p := file[name]
		d, err := p.proposal(name)
		if err != nil {
			wrong := explain(err)
			return nil, &problem{code: "usage", exit: exitUsage, words: message{"%s: %s", []any{name, wrong.words.in(english)}}, hint: wrong.hint}
		}
		all = append(all, d)
	}
	return all, nil
}

// day is a length of time that records are dated by, in milliseconds.
const day = 24 * 60 * 60 * 1000

func (p *proposalFile) proposal(name string) (consent.Default, error) {
	d := consent.Default{Name: name, Policy: p.Policy}
	var err error
	for _, s := range [][2]string{{"type", p.Type}, {"policy", p.Policy}} {
		if s[1] == "" {
			return d, usagef("%s needs a value", s[0])
		}
	}
	if d.Type, err = parseType("type", p.Type); err != nil {
		return d, err
	}
	if p.Lasts != "" {
		lasts, ok := span(p.Lasts)
		if !ok {
			return d, usagef("%q is no length of time", p.Lasts).withHint("write 72h or 5d")
		}
		d.Lasts = lasts.Milliseconds()
	}
	k := &d.Conditions
	for _, v := range p.Purposes {
		code, err := parsePurpose("purposes", v)
		if err != nil {
			return d, err
		}
		k.Purposes = append(k.Purposes, code)
	}
	slices.Sort(k.Purposes)
	for _, v := range p.Except {
		x, err := parseType("except", v)
		if err != nil {
			return d, err
		}
		if !strings.HasPrefix(string(x), string(d.Type)+"/") {
			return d, usagef("flag %s: %q is not below %s", "--except", v, p.Type)
		}
		k.Except = append(k.Except, x)
	}
	slices.Sort(k.Except)
	if k.Obligations, err = parseObligations("obligations", p.Obligations); err != nil {
		return d, err
	}
	if p.CoSigners != "" {
		if k.CoSigners, err = parseCoSigners(p.CoSigners, p.Elsewhere); err != nil {
			return d, err
		}
	} else if p.Elsewhere {
		return d, usagef("%s needs a value", "co-signers")
	}
	for text, at := range map[string]*int64{p.Since: &k.Since, p.Through: &k.Until} {
		if text != "" {
			t, err := time.Parse(time.DateOnly, text)
			if err != nil || t.Unix() < 0 {
				return d, usagef("%q is no day", text).withHint("write a day such as 2026-12-31")
			}
			*at = t.UnixMilli()
		}
	}
	k.MaxUses, k.Emergency = p.MaxUses, p.Emergency
	if _, err := k.Bytes(); err != nil {
		return d, usagef("%s", err.Error())
	}
	return d, nil
}

// parseCoSigners reads NUMBER, NUMBER=ATTRIBUTE or NUMBER=ATTRIBUTE=VALUE.
func parseCoSigners(v string, elsewhere bool) (consent.CoSigners, error) {
	number, attribute, _ := strings.Cut(v, "=")
	n, ok := count(number)
	if !ok || n < 1 || n > consent.MaxCoSigners {
		return consent.CoSigners{}, usagef("flag %s: %q is no number of co-signers", "--co-signers", v).withHint("write 2 or 2=physician")
	}
	name, value, _ := strings.Cut(attribute, "=")
	return consent.CoSigners{Count: uint8(n), Attribute: name, Value: value, Elsewhere: elsewhere}, nil
}

// A defaultData is what programs get of a grant that a hospital proposes.
type defaultData struct {
	Name       string      `json:"name"`
	Type       pre.Type    `json:"type"`
	Policy     string      `json:"policy"`
	Days       float64     `json:"days,omitempty"` // that the grant lasts; 0 for no end
	Except     []exception `json:"except,omitempty"`
	Conditions []string    `json:"conditions"` // in words
}

func policyDefaults(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.String("set") != "" {
		return setDefaults(ctx, s, c)
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	org := u.Name().Org()
	if c.NArg() > 0 {
		org = c.Args().First()
	}
	if err := isHospital(u.Consortium(), org); err != nil {
		return nil, err
	}
	known, err := u.Defaults(ctx, org)
	if err != nil {
		return nil, noDefaults(err, org)
	}
	all := []defaultData{}
	rows := [][]string{}
	for i := range known.Defaults {
		d := &known.Defaults[i]
		one := defaultData{
			Name: d.Name, Type: d.Type, Policy: d.Policy, Days: math.Round(float64(d.Lasts)/day*100) / 100,
			Except: exceptions(d.Type, d.Conditions.Except), Conditions: s.proposed(d),
		}
		all = append(all, one)
		rows = append(rows, []string{one.Name, one.Policy, string(one.Type), strings.Join(one.Conditions, "; ")})
	}
	if len(rows) > 0 {
		s.grid([]string{"NAME", "POLICY", "TYPE", "CONDITIONS"}, rows)
	} else {
		s.say("%s proposes no grants", org)
	}
	return map[string]any{"hospital": org, "version": known.Version, "entries": all}, nil
}

// proposed says the conditions of a proposal in words.
func (s *session) proposed(d *consent.Default) []string {
	g := &query.GrantState{Grant: consent.Grant{Type: d.Type, Conditions: d.Conditions}}
	said := s.conditions(termsOf(g))
	if d.Lasts != 0 {
		said[0] = s.tr("for %s days", strings.TrimSuffix(fmt.Sprintf("%.2f", float64(d.Lasts)/day), ".00"))
	}
	return said
}

// setDefaults replaces what the hospital proposes.
func setDefaults(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() > 0 {
		return nil, usagef("unexpected argument %q", c.Args().First())
	}
	if c.String("dir") == "" {
		return nil, usagef("only a hospital proposes grants").withHint("--dir names the directory of its node")
	}
	text, err := readSmall(ctx, c.String("set"))
	if err != nil {
		return nil, err
	}
	list, err := parseDefaults(text)
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	for i := range list {
		if err := u.CheckPolicy(ctx, list[i].Policy); err != nil {
			return nil, fmt.Errorf("%s: %w", list[i].Name, err)
		}
	}
	args, err := u.NextDefaults(ctx, list)
	if err != nil {
		return nil, err
	}
	b, err := chain.Marshal(args)
	if err != nil {
		return nil, err
	}
	if _, err := admin.NewClient(c.String("dir")).SubmitTo(ctx, consent.Contract, consent.MethodDefaults, b); err != nil {
		return nil, fmt.Errorf("set defaults: %w", err)
	}
	s.say("%s proposes %d grants", u.Name().Org(), len(list))
	s.next(s.tr("a patient makes them: `ward grant create --defaults`"))
	return map[string]any{"hospital": u.Name().Org(), "version": args.From + 1, "grants": len(list)}, nil
}
