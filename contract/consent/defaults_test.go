package consent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/pre"
)

func careTeam() consent.Default {
	return consent.Default{
		Name: "care-team", Type: "clinical", Policy: "north:role = physician", Lasts: 90 * day.Milliseconds(),
		Conditions: consent.Conditions{Purposes: []consent.Purpose{consent.Treatment}, Except: []pre.Type{"clinical/hiv"}},
	}
}

func (w *world) propose(member string, from uint64, list ...consent.Default) chain.Result {
	return w.run(member, consent.Contract, consent.MethodDefaults, consent.DefaultsArgs{From: from, Defaults: list}, nil)
}

// TestAHospitalProposesGrants, and they grant nothing before an owner makes
// them.
func TestAHospitalProposesGrants(t *testing.T) {
	w := policyWorld(t)
	w.register("dr.n@north", "role=physician")
	emergencies := consent.Default{Name: "emergency", Type: "clinical", Policy: "north:emergency or south:emergency", Conditions: consent.Conditions{Emergency: true}}
	r := w.must(w.propose("north", 0, careTeam(), emergencies))
	if len(r.Events) != 1 || r.Events[0].Kind != consent.EventDefaults {
		t.Errorf("events are %v", r.Events)
	}
	d, err := consent.LookupDefaults(w.of(consent.Contract), "north")
	if err != nil || d.Version != 1 || d.Org != "north" || len(d.Defaults) != 2 || d.Index != w.last() || d.Time != r.Time {
		t.Fatalf("defaults are %+v, %v", d, err)
	}
	if _, err := consent.LookupDefaults(w.of(consent.Contract), "south"); err != consent.ErrUnknown {
		t.Errorf("south has %v", err)
	}
	for i := range d.Defaults {
		x := &d.Defaults[i]
		cond := x.At(w.now())
		g := w.grant(patient, "", x.Type, terms{to: w.policy(x.Policy), Conditions: cond})
		for j := range d.Defaults {
			if made := d.Defaults[j].Made(w.lookup(g)); made != (i == j) {
				t.Errorf("the grant made of %s is that of %s: %v", x.Name, d.Defaults[j].Name, made)
			}
		}
	}
	if g := w.lookup(w.grant(patient, reader, "clinical", terms{Conditions: d.Defaults[0].At(w.now())})); d.Defaults[0].Made(g) {
		t.Error("one to a name is that of a default")
	}
	w.refused(w.propose("north", 0), consent.ErrStale)
	w.refused(w.propose("north", 2), consent.ErrStale)
	w.must(w.propose("north", 1))
	w.must(w.propose("south", 0, careTeam())) // a policy of another hospital's
	if d, err := consent.LookupDefaults(w.of(consent.Contract), "north"); err != nil || d.Version != 2 || len(d.Defaults) != 0 {
		t.Errorf("defaults are %+v, %v", d, err)
	}
}

// TestOnlyWhatADefaultProposesIsMadeOfIt: in all but its times.
func TestOnlyWhatADefaultProposesIsMadeOfIt(t *testing.T) {
	const now = int64(1_790_000_000_000)
	endless := careTeam()
	endless.Lasts = 0
	for what, c := range map[string]struct {
		of   consent.Default
		edit func(*consent.Grant)
		want bool
	}{
		"as proposed":       {careTeam(), func(*consent.Grant) {}, true},
		"ending earlier":    {careTeam(), func(g *consent.Grant) { g.Conditions.NotAfter-- }, true},
		"beginning later":   {careTeam(), func(g *consent.Grant) { g.Conditions.NotBefore = now + 1 }, true},
		"to a name, too":    {careTeam(), func(g *consent.Grant) { g.Recipient = reader }, false},
		"another policy":    {careTeam(), func(g *consent.Grant) { g.Policy = "north:role = nurse" }, false},
		"another type":      {careTeam(), func(g *consent.Grant) { g.Type = "clinical/exam" }, false},
		"without an end":    {careTeam(), func(g *consent.Grant) { g.Conditions.NotAfter = 0 }, false},
		"with an end":       {endless, func(g *consent.Grant) { g.Conditions.NotAfter = now + 1 }, false},
		"other conditions":  {careTeam(), func(g *consent.Grant) { g.Conditions.Purposes = nil }, false},
		"no conditions":     {careTeam(), func(g *consent.Grant) { g.Conditions.Purposes = []consent.Purpose{"FUN"} }, false},
		"without exception": {careTeam(), func(g *consent.Grant) { g.Conditions.Except = nil }, false},
	} {
		g := &consent.Grant{Policy: c.of.Policy, Type: c.of.Type, Conditions: c.of.At(now)}
		c.edit(g)
		if got := c.of.Made(g); got != c.want {
			t.Errorf("%s: made of it is %v, want %v", what, got, c.want)
		}
	}
}

func TestDefaultsAreRefused(t *testing.T) {
	w := policyWorld(t)
	for what, c := range map[string]struct {
		want chain.Code
		edit func(*consent.Default)
	}{
		"no name":                    {consent.ErrMalformed, func(d *consent.Default) { d.Name = "" }},
		"a name in capitals":         {consent.ErrMalformed, func(d *consent.Default) { d.Name = "Team" }},
		"a name with a dot":          {consent.ErrMalformed, func(d *consent.Default) { d.Name = "care.team" }},
		"a name too long":            {consent.ErrMalformed, func(d *consent.Default) { d.Name = strings.Repeat("n", 49) }},
		"a name like a number":       {consent.ErrMalformed, func(d *consent.Default) { d.Name = "1" }},
		"everything":                 {consent.ErrMalformed, func(d *consent.Default) { d.Type, d.Conditions.Except = "", nil }},
		"a type that is none":        {consent.ErrMalformed, func(d *consent.Default) { d.Type, d.Conditions.Except = "#inbox", nil }},
		"no policy":                  {consent.ErrMalformed, func(d *consent.Default) { d.Policy = "" }},
		"a policy spelled otherwise": {consent.ErrMalformed, func(d *consent.Default) { d.Policy = "(north:role = physician)" }},
		"a policy of no authority":   {consent.ErrMalformed, func(d *consent.Default) { d.Policy = "role = physician" }},
		"times of their own":         {consent.ErrMalformed, func(d *consent.Default) { d.Conditions.NotAfter = w.now() * 2 }},
		"a beginning":                {consent.ErrMalformed, func(d *consent.Default) { d.Conditions.NotBefore = 1 }},
		"a workflow":                 {consent.ErrMalformed, func(d *consent.Default) { d.Conditions.Instance = "w-1" }},
		"conditions out of range":    {consent.ErrMalformed, func(d *consent.Default) { d.Conditions.Purposes = []consent.Purpose{"FUN"} }},
		"an exception elsewhere":     {consent.ErrMalformed, func(d *consent.Default) { d.Conditions.Except = []pre.Type{"lab"} }},
		"lasting before now":         {consent.ErrMalformed, func(d *consent.Default) { d.Lasts = -1 }},
		"lasting for ages":           {consent.ErrMalformed, func(d *consent.Default) { d.Lasts = 1 << 62 }},
		"lasting a little too long":  {consent.ErrMalformed, func(d *consent.Default) { d.Lasts = 36500*day.Milliseconds() + 1 }},
		"a policy of no member":      {consent.ErrRecipient, func(d *consent.Default) { d.Policy = "nowhere:role = physician" }},
		"of one that has none":       {consent.ErrRecipient, func(d *consent.Default) { d.Policy = "east:role = physician" }},
		"two hospitals by and":       {consent.ErrRecipient, func(d *consent.Default) { d.Policy = "north:role = physician and south:role = physician" }},
	} {
		d := careTeam()
		c.edit(&d)
		if got := w.propose("west", 0, d).Code; got != c.want {
			t.Errorf("%s: code is %q, want %q", what, got, c.want)
		}
	}
	w.refused(w.run("west", consent.Contract, consent.MethodDefaults, "none", nil), consent.ErrMalformed)
	unread := careTeam()
	unread.Policy = "north:role ="
	w.refused(w.propose(string(patient), 0, unread), consent.ErrMalformed) // before anybody asks who proposes it
	w.must(w.propose("west", 0, careTeam()))
	a, b := careTeam(), careTeam()
	a.Name = "a"
	w.refused(w.propose("north", 0, b, b), consent.ErrMalformed)
	w.refused(w.propose("north", 0, b, a), consent.ErrMalformed)
	w.must(w.propose("north", 0, a, b))
	for _, who := range []string{string(patient), string(author), "nobody@north"} {
		w.refused(w.propose(who, 0, a), consent.ErrDenied)
	}
	var list []consent.Default
	for i := range consent.MaxDefaults + 1 {
		d := careTeam()
		d.Name = fmt.Sprintf("d%02d", i)
		list = append(list, d)
	}
	w.refused(w.propose("north", 1, list...), consent.ErrMalformed)
	w.must(w.propose("north", 1, list[1:]...))
	former := careTeam()
	former.Policy = "west:role = physician"
	w.must(w.propose("south", 0, former))
	w.resize(3)
	w.refused(w.propose("south", 1, former), consent.ErrRecipient) // west published one, and has left
}
