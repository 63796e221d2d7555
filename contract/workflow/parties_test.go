package workflow_test

import (
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/pre"
)

func TestDocumentIsTheOwnersAndOfItsPlace(t *testing.T) {
	w := prescribing(t)
	start := func(id workflow.ID, docs ...workflow.Document) chain.Code {
		t.Helper()
		f := fields{"quantity": workflow.Int(1), "repeats": workflow.Int(0), "schedule": workflow.Text("none"), "days": workflow.Int(1), "substitution": workflow.Text("allowed")}
		return w.do(string(physician), workflow.MethodStart, workflow.StartArgs{ID: id, Definition: "prescription", Version: 1, Owner: patient, Transition: "issue", Fields: f.list(), Documents: docs})
	}
	id := w.id()
	doc := func(r record.ID) workflow.Document { return workflow.Document{Name: "prescription", Record: r} }
	erased := record.Record{ID: w.put(patient, physician, ownType(id)), Owner: patient, Author: physician, Type: pre.Type(ownType(id)), Erased: 5}
	w.putAs(&erased)
	replaced := record.Record{ID: w.put(patient, physician, ownType(id)), Owner: patient, Author: physician, Type: pre.Type(ownType(id)), Replaced: erased.ID}
	w.putAs(&replaced)
	nowhere, err := record.GenerateID()
	if err != nil {
		t.Fatal(err)
	}
	for name, docs := range map[string][]workflow.Document{
		"none":               nil,
		"unknown record":     {doc(nowhere)},
		"another owner's":    {doc(w.put(other, physician, ownType(id)))},
		"another author's":   {doc(w.put(patient, colleague, ownType(id)))},
		"another instance's": {doc(w.put(patient, physician, ownType(w.id())))},
		"another type":       {doc(w.put(patient, physician, "clinical/note"))},
		"below its type":     {doc(w.put(patient, physician, ownType(id)+"/page"))},
		"erased":             {doc(erased.ID)},
		"replaced":           {doc(replaced.ID)},
		"unknown place":      {doc(w.put(patient, physician, ownType(id))), {Name: "receipt", Record: nowhere}},
		"place of another":   {{Name: "dispensing", Record: w.put(patient, physician, "medication/dispense")}, doc(w.put(patient, physician, ownType(id)))},
		"twice":              {doc(w.put(patient, physician, ownType(id))), doc(w.put(patient, physician, ownType(id)))},
		"nothing in it":      {{Name: "prescription"}},
	} {
		if code := start(id, docs...); code != workflow.ErrDocument {
			t.Errorf("%s: %q", name, code)
		}
	}
	w.want(start(id, workflow.Document{Name: "prescription", Record: w.put(patient, physician, ownType(id)), Grant: w.grant(patient, physician, ownType(id), id)}), workflow.ErrGrant)
	w.want(start(id, doc(w.put(patient, physician, ownType(id)))), "")
	w.want(start(id, doc(w.put(patient, physician, ownType(id)))), workflow.ErrTaken)
}

func TestGrantOpensTheDocumentToWhomItSays(t *testing.T) {
	w := prescribing(t)
	id, _ := w.issue(physician, patient, nil)
	review := func(g consent.GrantID) chain.Code {
		t.Helper()
		return w.take(pharmacist, id, "review", nil, workflow.Document{Name: "prescription", Grant: g})
	}
	own := ownType(id)
	for name, g := range map[string]consent.GrantID{
		"none":               "",
		"unknown":            "g-aaaaaaaaaaaaaaaaaaaaaaaaaa",
		"to another":         w.grant(patient, stranger, own, id),
		"of another":         w.grant(other, pharmacist, own, id),
		"on all medication":  w.grant(patient, pharmacist, "medication", id),
		"of another type":    w.grant(patient, pharmacist, "clinical", id),
		"below its type":     w.grant(patient, pharmacist, own+"/page", id),
		"not while held":     w.grant(patient, pharmacist, own, ""),
		"while another held": w.grant(patient, pharmacist, own, w.id()),
		"revoked":            w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Ended = 1 }),
		"expired":            w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Conditions.NotAfter = 1 }),
		"early":              w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Conditions.NotBefore = w.now() + 1 }),
		"for emergencies":    w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Conditions.Emergency = true }),
		"with an exception":  w.grant(patient, pharmacist, "medication/sealed:prescription", id, func(g *consent.Grant) { g.Conditions.Except = []pre.Type{pre.Type(ownType(id))} }),
		"of another epoch":   w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Epoch = 1 }),
		"of another key":     w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Version = 1 }),
		"of other dates":     w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Conditions.Since = 1 << 50 }),
		"of dates before":    w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Conditions.Until = -1 }),
		"lost":               w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Generation = 0; g.Accepted = nil }),
		"to a policy":        w.grant(patient, "", own, id, func(g *consent.Grant) { g.Policy = "north:role = physician" }),
		"to no policy":       w.grant(patient, "", own, id, func(g *consent.Grant) { g.Policy = "(" }),
	} {
		want := workflow.ErrGrant
		if name == "none" {
			want = workflow.ErrDocument
		}
		if code := review(g); code != want {
			t.Errorf("%s: %q", name, code)
		}
	}
	w.want(w.take(pharmacist, id, "review", nil), workflow.ErrGrant)
	both := workflow.Document{Name: "prescription", Grant: w.grant(patient, pharmacist, own, id), Record: w.put(patient, physician, own)}
	w.want(w.take(pharmacist, id, "review", nil, both), workflow.ErrDocument) // review puts nothing
	w.at(id, "issued", "")
	pending := w.grant(patient, pharmacist, own, id, func(g *consent.Grant) { g.Accepted = nil })
	w.want(review(pending), "")
	w.wait(2 * day)
	w.want(review(w.grant(patient, "", "medication/sealed:prescription", id, func(g *consent.Grant) { g.Policy = "north:role = pharmacist" })), "")
}

// A grant opens what was written under the key and the epoch that it is for.
func TestGrantIsOfTheRecordsKeyAndEpoch(t *testing.T) {
	for name, edit := range map[string]func(*record.Record){"epoch": func(r *record.Record) { r.Epoch = 1 }, "key": func(r *record.Record) { r.Version = 1 }} {
		w := prescribing(t)
		id, _ := w.issue(physician, patient, nil)
		r := &record.Record{ID: w.instance(id).Documents[0].Record, Owner: patient, Author: physician, Type: pre.Type(ownType(id))}
		edit(r)
		w.putAs(r)
		if code := w.take(pharmacist, id, "review", nil, w.shown(id, pharmacist)); code != workflow.ErrGrant {
			t.Errorf("%s: %q", name, code)
		}
	}
}

func TestWorldOfHolds(t *testing.T) {
	w := prescribing(t)
	id := w.claimed(patient, nil)
	for _, c := range []struct {
		who      identity.Name
		instance string
		want     bool
	}{{pharmacy, string(id), true}, {rival, string(id), false}, {"", string(id), false}, {pharmacy, string(w.id()), false}, {pharmacy, "x", false}} {
		if got, err := workflow.Holds(w.of, c.instance, c.who, w.now()); got != c.want || err != nil {
			t.Errorf("%s of %s: %v, %v", c.who, c.instance, got, err)
		}
	}
	w.want(w.take(patient, id, "transfer", nil), "")
	if got, err := workflow.Holds(w.of, string(id), pharmacy, w.now()); got || err != nil {
		t.Errorf("held after it was given away: %v", err)
	}
	if got, _ := workflow.Holds(w.of, string(id), "", w.now()); got {
		t.Error("nobody holds it")
	}
}

// What an organisation attests counts while it is a member, and until its time.
func TestAttributeThatIsGoneLetsNobodyStep(t *testing.T) {
	w := prescribing(t)
	id := w.approved(patient, nil)
	w.want(w.take(patient, id, "offer", nil), "")
	attest := func(a ...identity.Attribute) {
		w.must(w.c.Run(w.c.Tx("west", identity.Contract, identity.MethodAttest, identity.AttestArgs{Name: pharmacy, Attributes: a}))[0])
	}
	attest()
	w.want(w.take(pharmacy, id, "claim", nil), workflow.ErrParty)
	attest(identity.Attribute{Name: "role", Value: "pharmacy", Until: w.now() + 1000})
	w.wait(2 * time.Second)
	w.want(w.take(pharmacy, id, "claim", nil), workflow.ErrParty)
	attest(identity.Attribute{Name: "role", Value: "pharmacy-student"})
	w.want(w.take(pharmacy, id, "claim", nil), workflow.ErrParty)
	attest(identity.Attribute{Name: "role", Value: "pharmacy"})
	w.want(w.take(pharmacy, id, "claim", nil), "")
}

func TestStartIsChecked(t *testing.T) {
	w := prescribing(t)
	f := fields{"quantity": workflow.Int(1), "repeats": workflow.Int(0), "schedule": workflow.Text("none"), "days": workflow.Int(1), "substitution": workflow.Text("allowed")}
	start := func(who string, edit func(*workflow.StartArgs)) chain.Code {
		t.Helper()
		id := w.id()
		a := workflow.StartArgs{ID: id, Definition: "prescription", Version: 1, Owner: patient, Transition: "issue", Fields: f.list()}
		a.Documents = []workflow.Document{{Name: "prescription", Record: w.put(patient, physician, ownType(id))}}
		edit(&a)
		return w.do(who, workflow.MethodStart, a)
	}
	for name, c := range map[string]struct {
		who  string
		edit func(*workflow.StartArgs)
		want chain.Code
	}{
		"id":                {string(physician), func(a *workflow.StartArgs) { a.ID = "w-1" }, workflow.ErrMalformed},
		"owner's name":      {string(physician), func(a *workflow.StartArgs) { a.Owner = "nobody" }, workflow.ErrMalformed},
		"signed by a node":  {"north", func(*workflow.StartArgs) {}, workflow.ErrDenied},
		"signed by nobody":  {"nobody", func(*workflow.StartArgs) {}, workflow.ErrDenied},
		"definition":        {string(physician), func(a *workflow.StartArgs) { a.Definition = "referral" }, workflow.ErrUnknown},
		"version":           {string(physician), func(a *workflow.StartArgs) { a.Version = 2 }, workflow.ErrVersion},
		"owner":             {string(physician), func(a *workflow.StartArgs) { a.Owner = "p-9@north" }, workflow.ErrOwner},
		"transition":        {string(physician), func(a *workflow.StartArgs) { a.Transition = "fly" }, workflow.ErrTransition},
		"not from start":    {string(physician), func(a *workflow.StartArgs) { a.Transition = "approve" }, workflow.ErrState},
		"party":             {string(pharmacist), func(*workflow.StartArgs) {}, workflow.ErrParty},
		"field missing":     {string(physician), func(a *workflow.StartArgs) { a.Fields = a.Fields[1:] }, workflow.ErrField},
		"fields out of row": {string(physician), func(a *workflow.StartArgs) { a.Fields[0], a.Fields[1] = a.Fields[1], a.Fields[0] }, workflow.ErrField},
		"field unknown":     {string(physician), func(a *workflow.StartArgs) { a.Fields[0].Name = "dose" }, workflow.ErrField},
		"field once more":   {string(physician), func(a *workflow.StartArgs) { a.Fields = append(a.Fields[:1:1], a.Fields...) }, workflow.ErrField},
		"field twice":       {string(physician), func(a *workflow.StartArgs) { a.Fields[1] = a.Fields[0] }, workflow.ErrField},
		"ok":                {string(physician), func(*workflow.StartArgs) {}, ""},
	} {
		if got := start(c.who, c.edit); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	self, code := w.issue(physician, physician, nil)
	w.want(code, "workflow/rule/self-prescribed")
	w.want(w.do(string(physician), workflow.MethodStep, workflow.StepArgs{ID: self, Transition: "issue"}), workflow.ErrUnknown)
}

func TestFieldsHaveTheirBounds(t *testing.T) {
	w := prescribing(t)
	for name, edit := range map[string]fields{
		"low":           {"quantity": workflow.Int(0)},
		"high":          {"quantity": workflow.Int(100_000_001)},
		"two":           {"quantity": workflow.Int(1, 2)},
		"none":          {"quantity": workflow.Int()},
		"text":          {"quantity": workflow.Text("1")},
		"both":          {"quantity": {Ints: []int64{1}, Texts: []string{"1"}}},
		"no such value": {"schedule": workflow.Text("harmless")},
		"number":        {"schedule": workflow.Int(1)},
		"free text":     {"schedule": workflow.Text("Mr Wang has a cough")},
	} {
		if _, code := w.issue(physician, patient, edit); code != workflow.ErrField {
			t.Errorf("%s: %q", name, code)
		}
	}
	id := w.approved(patient, nil)
	for name, to := range map[string]string{"unknown": "pharmacy@nowhere", "no pharmacy": string(physician), "no name": "pharmacy"} {
		if code := w.take(patient, id, "offer", fields{"pharmacy": workflow.Text(to)}); code != workflow.ErrField {
			t.Errorf("%s: %q", name, code)
		}
	}
}
