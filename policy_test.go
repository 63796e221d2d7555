package ward_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// attest has the organisation of a name say these attributes of it, and nothing
// else.
func (p *people) attest(name identity.Name, attributes ...identity.Attribute) {
	p.t.Helper()
	p.Must(name.Org(), identity.Contract, identity.MethodAttest, identity.AttestArgs{Name: name, Attributes: identity.Sorted(attributes)})
}

// issue gives somebody the attribute key of the current epoch.
func (p *people) issue(office *ward.Client, to *ward.Client) {
	p.t.Helper()
	sealed, err := office.IssueAttributeKey(p.ctx, to.Name(), 0)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := to.AcceptAttributeKey(p.ctx, sealed); err != nil {
		p.t.Fatal(err)
	}
}

func catalogue(t *testing.T, text string) abe.Catalogue {
	t.Helper()
	c, err := abe.ParseCatalogue(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// team is a hospital with an attribute authority and two of its staff.
type team struct {
	*people
	office, physician, nurse *ward.Client
}

const staff = "contractor flag\ndept any of (er, icu)\nrole one of (nurse, physician)\n"

func employ(t *testing.T) *team {
	t.Helper()
	p := meet(t)
	w := &team{people: p, office: p.join("office@north"), physician: p.join("dr-kim@north"), nurse: p.join("n-yu@north")}
	w.publish()
	p.attest("dr-kim@north", identity.Attribute{Name: "role", Value: "physician"}, identity.Attribute{Name: "dept", Value: "icu"},
		identity.Attribute{Name: "parking"}) // which the catalogue does not declare
	p.attest("n-yu@north", identity.Attribute{Name: "role", Value: "nurse"}, identity.Attribute{Name: "dept", Value: "icu"})
	p.issue(w.office, w.physician)
	p.issue(w.office, w.nurse)
	return w
}

// publish begins the next epoch of the hospital's authority.
func (w *team) publish() *abe.Authority {
	w.t.Helper()
	a, err := w.office.NextAuthority(w.ctx, catalogue(w.t, staff))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.office.PublishAuthority(w.ctx, w.Key("north"), a); err != nil {
		w.t.Fatal(err)
	}
	return a
}

// propose replaces the hospital's defaults.
func (w *team) propose(defaults ...consent.Default) {
	w.t.Helper()
	args, err := w.office.NextDefaults(w.ctx, defaults)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.office.SetDefaults(w.ctx, w.Key("north"), args); err != nil {
		w.t.Fatal(err)
	}
}

const onWard = "role = physician and dept in (icu, er) and not contractor"

func (p *people) toTeam(edit ...func(*ward.Terms)) consent.GrantID {
	p.t.Helper()
	return p.grant(append([]func(*ward.Terms){func(t *ward.Terms) { t.To, t.Policy = "", onWard }}, edit...)...)
}

func TestCareTeamReadsByAttributes(t *testing.T) {
	w := employ(t)
	payload := []byte("haemoglobin 13.2")
	id := w.put("Haemoglobin", payload)
	w.toTeam()

	var out bytes.Buffer
	if _, err := w.physician.Get(w.ctx, id, treat, &out); err != nil || !bytes.Equal(out.Bytes(), payload) {
		t.Fatalf("the physician reads %q: %v", out.Bytes(), err)
	}
	for reader, want := range map[*ward.Client]int{w.physician: 1, w.nurse: 0} {
		n := 0
		for _, err := range reader.GrantsTo(w.ctx, reader.Name()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != want {
			t.Errorf("%s has %d grants, want %d", reader.Name(), n, want)
		}
	}
	_, err := w.nurse.Get(w.ctx, id, treat, &out)
	w.wants(err, ward.ErrNoGrant)
	_, err = w.reader.Get(w.ctx, id, treat, &out) // of another hospital
	w.wants(err, ward.ErrNoGrant)

	// Who loses an attribute loses access at once, whatever key she kept.
	w.attest("dr-kim@north", identity.Attribute{Name: "role", Value: "physician"}, identity.Attribute{Name: "dept", Value: "icu"}, identity.Attribute{Name: "contractor"})
	_, err = w.physician.Get(w.ctx, id, treat, &out)
	w.wants(err, ward.ErrNoGrant)
	// Nor do attributes on the chain help without the key.
	w.attest("n-yu@north", identity.Attribute{Name: "role", Value: "physician"}, identity.Attribute{Name: "dept", Value: "er"})
	_, err = w.nurse.Get(w.ctx, id, treat, &out)
	w.wants(err, consent.ErrPolicy)
	w.issue(w.office, w.nurse)
	if _, err := w.nurse.Get(w.ctx, id, treat, &out); err != nil {
		t.Errorf("the nurse who became a physician: %v", err)
	}
}

func TestNextEpochOfAnAuthority(t *testing.T) {
	w := employ(t)
	id := w.put("before", []byte("1"))
	w.toTeam()
	a := w.publish()
	if a.Ref().Epoch != 2 {
		t.Fatalf("second epoch: %v", a.Ref())
	}
	old, err := w.patient.AttributeAuthority(w.ctx, "north", 1)
	if err != nil || old.Ref().Epoch != 1 || old.Ref() == a.Ref() {
		t.Errorf("the first epoch is %v: %v", old, err)
	}
	// Grants of before serve whoever has the key of then.
	if _, err := w.physician.Open(w.ctx, id, treat); err != nil {
		t.Errorf("grant of the first epoch: %v", err)
	}
	second := w.toTeam(func(t *ward.Terms) { t.Type = "clinical/lab" })
	_, err = w.physician.Access(w.ctx, second, []record.ID{id}, treat)
	var missing *ward.AttributeKeyError
	if !errors.As(err, &missing) || missing.Authority != a.Ref() {
		t.Errorf("grant of the second epoch with a key of the first: %v", err)
	}
	w.issue(w.office, w.physician)
	if _, err := w.physician.Access(w.ctx, second, []record.ID{id}, treat); err != nil {
		t.Errorf("grant of the second epoch: %v", err)
	}
	// A newcomer is given the key of an earlier epoch, too.
	late := w.join("dr-new@north")
	w.attest("dr-new@north", identity.Attribute{Name: "role", Value: "physician"}, identity.Attribute{Name: "dept", Value: "er"})
	sealed, err := w.office.IssueAttributeKey(w.ctx, "dr-new@north", 1)
	if err != nil {
		t.Fatal(err)
	}
	if ref, err := late.AcceptAttributeKey(w.ctx, sealed); err != nil || ref != old.Ref() {
		t.Fatalf("key of the first epoch: %v, %v", ref, err)
	}
	if _, err := late.Open(w.ctx, id, treat); err != nil {
		t.Errorf("the newcomer: %v", err)
	}
}

func TestAttributeKeyIsForItsHolderAndOfTheAuthorityOnTheChain(t *testing.T) {
	w := employ(t)
	sealed, err := w.office.IssueAttributeKey(w.ctx, w.physician.Name(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.nurse.AcceptAttributeKey(w.ctx, sealed); !errors.Is(err, pre.ErrDecrypt) {
		t.Errorf("the nurse opens the physician's key: %v", err)
	}
	for _, at := range []int{3, len(sealed) / 2, len(sealed) - 1} {
		altered := slices.Clone(sealed)
		altered[at] ^= 1
		if _, err := w.physician.AcceptAttributeKey(w.ctx, altered); err == nil {
			t.Errorf("a key with byte %d altered is accepted", at)
		}
	}
	if _, err := w.office.IssueAttributeKey(w.ctx, readerName, 0); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("a key for another hospital's staff: %v", err)
	}
	if _, err := w.nurse.IssueAttributeKey(w.ctx, w.nurse.Name(), 0); !errors.Is(err, ward.ErrNoMasterKey) {
		t.Errorf("a nurse issues herself a key: %v", err)
	}
	// Whoever restores another master key in the office's place issues keys that
	// nobody takes.
	forger := w.as("office@north")
	forged, err := abe.GenerateMasterKey("north")
	if err != nil {
		t.Fatal(err)
	}
	a, err := forged.Authority(1, catalogue(t, staff))
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := abe.ParseAttributes("dept = icu, role = physician")
	if err != nil {
		t.Fatal(err)
	}
	key, err := forged.Issue(a, "dr-kim@north", attributes)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err = ward.SealAttributeKey(w.ctx, forger, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.physician.AcceptAttributeKey(w.ctx, sealed); !errors.Is(err, ward.ErrIntegrity) {
		t.Errorf("a key of a forged authority: %v", err)
	}
}

func TestPolicyThatCannotBeGrantedTo(t *testing.T) {
	w := employ(t)
	for policy, want := range map[string]error{
		"role = surgeon":                    nil, // not in the catalogue
		"role = ":                           nil,
		"south:role = physician":            identity.ErrNoAuthority,
		"role = nurse and south:role = x":   nil, // two people could pool
		"role = nurse or nowhere:role = x":  identity.ErrNoAuthority,
		"role = nurse and role = physician": nil,
	} {
		_, err := w.patient.Grant(w.ctx, ward.Terms{Policy: policy, Type: "clinical"})
		ok := policy == "role = nurse and role = physician" // nobody satisfies it; that is for the owner to see
		if ok != (err == nil) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", policy, err)
		}
		if err := w.patient.CheckPolicy(w.ctx, policy); ok != (err == nil) {
			t.Errorf("check of %s: %v", policy, err)
		}
	}
	for _, terms := range []ward.Terms{{Type: "clinical"}, {To: readerName, Policy: "role = nurse", Type: "clinical"}} {
		if _, err := w.patient.Grant(w.ctx, terms); err == nil {
			t.Errorf("a grant to %q and %q", terms.To, terms.Policy)
		}
	}
	if _, err := w.patient.TakeCustody(w.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.patient.Grant(w.ctx, ward.Terms{Policy: "role = nurse", Type: "clinical"}); err == nil {
		t.Error("an owner in self-custody granted to a policy, which her hospital could satisfy by itself")
	}
}

func TestRosterSaysWhoReads(t *testing.T) {
	w := employ(t)
	until := w.Now().Add(time.Hour).UnixMilli()
	w.attest("dr-kim@north", identity.Attribute{Name: "role", Value: "physician"}, identity.Attribute{Name: "dept", Value: "icu", Until: until})
	for at, want := range map[int64][]identity.Name{w.Now().UnixMilli(): {"dr-kim@north"}, until + 1: nil} {
		var satisfied []identity.Name
		seen := 0
		for l, err := range w.patient.Roster(w.ctx, onWard, at) {
			if err != nil {
				t.Fatal(err)
			}
			seen++
			if l.Satisfies {
				satisfied = append(satisfied, l.Name)
			}
			if got := l.Part.Evaluate(l.Attributes); got != l.Satisfies {
				t.Errorf("%s: the policy evaluates to %v, she satisfies it: %v", l.Name, got, l.Satisfies)
			}
		}
		if seen < 5 || !slices.Equal(satisfied, want) {
			t.Errorf("of %d at %d, %v satisfy it, want %v", seen, at, satisfied, want)
		}
	}
}

func TestObligationsAreTakenOnBeforeAnythingIsLogged(t *testing.T) {
	w := employ(t)
	id := w.put("Haemoglobin", []byte("x"))
	want := []consent.Obligation{"DELAU", "NORDSCLCD"}
	w.toTeam(func(t *ward.Terms) { t.Obligations = []consent.Obligation{"NORDSCLCD", "DELAU"} })
	_, err := w.physician.Open(w.ctx, id, treat)
	var missing *ward.ObligationsError
	if !errors.As(err, &missing) || !slices.Equal(missing.Obligations, want) || !errors.Is(err, consent.ErrObligation) {
		t.Fatalf("without obligations: %v", err)
	}
	for range w.patient.Accesses(w.ctx, consent.Accesses{Owner: patientName}) {
		t.Error("an access was logged")
	}
	took := treat
	took.Obligations = missing.Obligations
	if _, err := w.physician.Open(w.ctx, id, took); err != nil {
		t.Errorf("with them: %v", err)
	}
}

func TestExceptedSubtree(t *testing.T) {
	w := employ(t)
	id := w.put("Haemoglobin", []byte("x"))
	w.toTeam(func(t *ward.Terms) { t.Except = []pre.Type{"clinical/lab"} })
	_, err := w.physician.Open(w.ctx, id, treat)
	w.wants(err, ward.ErrNoGrant)
}

func TestDefaultsOfAHospital(t *testing.T) {
	w := employ(t)
	id := w.put("Haemoglobin", []byte("x"))
	if _, err := w.patient.ApplyDefaults(w.ctx, "north"); !errors.Is(err, ward.ErrNotFound) {
		t.Fatalf("defaults that nobody set: %v", err)
	}
	defaults := []consent.Default{
		{Name: "physicians", Type: "clinical", Policy: onWard, Lasts: time.Hour.Milliseconds()},
		{Name: "nurses", Type: "clinical/lab", Policy: "role = nurse", Conditions: consent.Conditions{Obligations: []consent.Obligation{"NOREUSE", "DELAU"}}},
	}
	w.propose(defaults...)
	// They grant nothing by themselves.
	_, err := w.physician.Open(w.ctx, id, treat)
	w.wants(err, ward.ErrNoGrant)
	missing, err := w.patient.MissingDefaults(w.ctx, "north")
	if err != nil || len(missing) != 2 || missing[1].Policy == "" || missing[1].NotAfter.IsZero() {
		t.Fatalf("missing: %+v, %v", missing, err)
	}
	made, err := w.patient.ApplyDefaults(w.ctx, "north")
	if err != nil || len(made) != 2 {
		t.Fatalf("applied: %v, %v", made, err)
	}
	if _, err := w.physician.Open(w.ctx, id, treat); err != nil {
		t.Errorf("under a default: %v", err)
	}
	again := func(want int) {
		t.Helper()
		made, err := w.patient.ApplyDefaults(w.ctx, "north")
		if err != nil || len(made) != want {
			t.Errorf("applied again: %v, %v, want %d", made, err, want)
		}
	}
	again(0)
	if err := w.patient.Revoke(w.ctx, made[0], ward.RevokeOptions{}); err != nil {
		t.Fatal(err)
	}
	again(0) // her word stands
	w.Advance(2 * time.Hour)
	again(1) // the one for physicians ran out
	again(0)
	if err := w.patient.RaiseEpoch(w.ctx); err != nil {
		t.Fatal(err)
	}
	later := w.put("Ferritin", []byte("y"))
	_, err = w.physician.Open(w.ctx, later, treat)
	w.wants(err, ward.ErrNoGrant)
	again(1) // it reached nothing that is written in the new epoch
	if _, err := w.physician.Open(w.ctx, later, treat); err != nil {
		t.Errorf("in the new epoch: %v", err)
	}
	again(0)
	w.propose(defaults[:1]...)
	if d, err := w.patient.Defaults(w.ctx, "north"); err != nil || d.Version != 2 || len(d.Defaults) != 1 {
		t.Errorf("second version: %+v, %v", d, err)
	}
}
