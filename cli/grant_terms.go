package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
)

// termFlags are the conditions of a grant.
func (s *session) termFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "type", Aliases: []string{"t"}, EnvVars: []string{"WARD_TYPE"}, Usage: s.tr("of which type, and everything below it, such as clinical/exam")},
		&urfave.StringSliceFlag{Name: "purpose", EnvVars: []string{"WARD_PURPOSE"}, Usage: s.tr("for which purpose only: a code of HL7 v3 PurposeOfUse; may be given several times. Else for any but BTG")},
		&urfave.StringFlag{Name: "until", EnvVars: []string{"WARD_UNTIL"}, Usage: s.tr("when it ends: a day such as 2026-12-31, or 30d")},
		&urfave.StringFlag{Name: "from", EnvVars: []string{"WARD_FROM"}, Usage: s.tr("when it begins, if not at once")},
		&urfave.StringFlag{Name: "since", EnvVars: []string{"WARD_SINCE"}, Usage: s.tr("only records dated on this day or later; 90d means 90 days ago")},
		&urfave.StringFlag{Name: "through", EnvVars: []string{"WARD_THROUGH"}, Usage: s.tr("only records dated on this day or earlier")},
		&urfave.UintFlag{Name: "max-uses", EnvVars: []string{"WARD_MAX_USES"}, Usage: s.tr("how many accesses; else any number"), DefaultText: "-"},
		&urfave.StringFlag{Name: "co-signers", EnvVars: []string{"WARD_CO_SIGNERS"}, Usage: s.tr("how many others sign every access, as NUMBER, NUMBER=ATTRIBUTE or NUMBER=ATTRIBUTE=VALUE")},
		&urfave.BoolFlag{Name: "co-signers-elsewhere", EnvVars: []string{"WARD_CO_SIGNERS_ELSEWHERE"}, Usage: s.tr("the co-signers are of other hospitals than the reader's")},
		&urfave.StringSliceFlag{Name: "except", EnvVars: []string{"WARD_EXCEPT"}, Usage: s.tr("but not this type below it, nor what is below that; may be given several times")},
		&urfave.StringSliceFlag{Name: "obligation", EnvVars: []string{"WARD_OBLIGATION"}, Usage: s.tr("what readers take on: a code of HL7 v3 ObligationPolicy or RefrainPolicy, such as DELAU; may be given several times")},
		&urfave.StringFlag{Name: "while-held", EnvVars: []string{"WARD_WHILE_HELD"}, Usage: s.tr("only for as long as the reader holds this workflow")},
		&urfave.BoolFlag{Name: "emergency", EnvVars: []string{"WARD_EMERGENCY"}, Usage: s.tr("for emergencies only: another clinician signs, and every use is reviewed")},
		&urfave.BoolFlag{Name: "everything", EnvVars: []string{"WARD_EVERYTHING"}, Usage: s.tr("all types, sealed ones excepted; instead of --type")},
		&urfave.BoolFlag{Name: "expose", EnvVars: []string{"WARD_EXPOSE"}, Usage: s.tr("accept that hospitals together can open what you grant to one whose key they hold")},
	}
}

// setTerms changes terms as the command line says.
func setTerms(c *urfave.Context, t *ward.Terms, now time.Time) error {
	var err error
	set := func(flag string, to *time.Time, read func() (time.Time, error)) {
		if err == nil && c.String(flag) != "" {
			*to, err = read()
		}
	}
	set("until", &t.NotAfter, func() (time.Time, error) { return moment("until", c.String("until"), now, true) })
	set("from", &t.NotBefore, func() (time.Time, error) { return moment("from", c.String("from"), now, false) })
	set("since", &t.Since, func() (time.Time, error) { return onDay("since", c.String("since"), now) })
	set("through", &t.Until, func() (time.Time, error) { return onDay("through", c.String("through"), now) })
	if err != nil {
		return err
	}
	if c.Bool("everything") {
		if c.String("type") != "" {
			return usagef("flags %s and %s do not go together", "--type", "--everything")
		}
		t.Type, t.Everything = "", true
	} else if v := c.String("type"); v != "" {
		if t.Type, err = parseType("type", v); err != nil {
			return err
		}
		t.Everything = false
	}
	if codes := c.StringSlice("purpose"); len(codes) > 0 {
		t.Purposes = nil
		for _, v := range codes {
			p, err := parsePurpose("purpose", v)
			if err != nil {
				return err
			}
			t.Purposes = append(t.Purposes, p)
		}
	}
	if c.IsSet("max-uses") {
		n := c.Uint("max-uses")
		if n == 0 || n > 1<<31 {
			return usagef("flag %s: %q is no number of accesses", "--max-uses", fmt.Sprint(n))
		}
		t.MaxUses = uint32(n)
	}
	if v := c.String("co-signers"); v != "" {
		k, err := parseCoSigners(v, false)
		if err != nil {
			return err
		}
		_, attribute, _ := strings.Cut(v, "=")
		t.CoSigners, t.CoSignerAttribute = int(k.Count), attribute
	}
	if err := setLimits(c, t); err != nil {
		return err
	}
	t.Emergency = t.Emergency || c.Bool("emergency")
	t.Expose = t.Expose || c.Bool("expose")
	switch {
	case t.Type == "" && !t.Everything:
		return usagef("flag %s needs a value", "--type").withHint("types look like clinical/exam/lab; --everything means all")
	case !t.NotAfter.IsZero() && !t.NotAfter.After(now):
		return usagef("the grant would have ended already")
	case !t.NotAfter.IsZero() && !t.NotAfter.After(t.NotBefore):
		return usagef("the grant would end before it begins")
	case !t.Until.IsZero() && t.Until.Before(t.Since):
		return usagef("no record is dated in that range")
	case t.CoSignersElsewhere && t.CoSigners == 0:
		return usagef("flag %s needs a value", "--co-signers").withHint("write 2 or 2=physician")
	case t.Emergency && (len(t.Purposes) > 1 || len(t.Purposes) == 1 && t.Purposes[0] != consent.BreakGlass):
		return usagef("a grant for emergencies has the purpose BTG only")
	}
	for _, x := range t.Except {
		if x == t.Type || t.Type != "" && !strings.HasPrefix(string(x), string(t.Type)+"/") {
			return usagef("flag %s: %q is not below %s", "--except", string(x), string(t.Type))
		}
	}
	return nil
}

// setLimits changes what terms leave out, oblige to and depend on.
func setLimits(c *urfave.Context, t *ward.Terms) error {
	t.CoSignersElsewhere = t.CoSignersElsewhere || c.Bool("co-signers-elsewhere")
	if list := c.StringSlice("except"); len(list) > 0 {
		t.Except = nil
		for _, v := range list {
			x, err := parseType("except", v)
			if err != nil {
				return err
			}
			t.Except = append(t.Except, x)
		}
	}
	if list := c.StringSlice("obligation"); len(list) > 0 {
		var err error
		if t.Obligations, err = parseObligations("obligation", list); err != nil {
			return err
		}
	}
	if v := c.String("while-held"); v != "" {
		id, err := flowID(v)
		if err != nil {
			return err
		}
		t.WhileHeld = string(id)
	}
	return nil
}

// parseObligations reads codes of obligations.
func parseObligations(flag string, list []string) ([]consent.Obligation, error) {
	var all []consent.Obligation
	for _, v := range list {
		o := consent.Obligation(strings.ToUpper(strings.TrimSpace(v)))
		if !o.Valid() {
			var known []string
			for _, k := range consent.Obligations() {
				known = append(known, string(k))
			}
			return nil, usagef("flag %s: %q is no obligation", "--"+flag, v).withHint("they are %s", strings.Join(known, ", "))
		}
		all = append(all, o)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func count(s string) (int, bool) {
	n := 0
	_, err := fmt.Sscanf(s, "%d", &n)
	return n, err == nil && fmt.Sprint(n) == s
}
