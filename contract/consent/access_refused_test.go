package consent_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
)

func (w *world) access(args consent.AccessArgs) chain.Result {
	return w.do(reader, consent.MethodAccess, args)
}

// numbered returns ascending ids of no records.
func numbered(n int) (ids []record.ID) {
	for i := range n {
		ids = append(ids, record.ID(fmt.Sprintf("r-%026d", i)))
	}
	return ids
}

func TestAccessIsRefused(t *testing.T) {
	w := newWorld(t)
	before := w.put(patient, "clinical/exam", 1)
	w.raiseEpoch(patient)
	id, second := w.put(patient, "clinical/exam", 1), w.put(patient, "clinical/exam/lab", 1)
	old, young := w.put(patient, "clinical/exam", 40), w.put(patient, "clinical/exam", 0)
	hers := w.put(other, "clinical/exam", 1)
	outside, longer, sealed := w.put(patient, "clinical", 1), w.put(patient, "clinical/examination", 1), w.put(patient, "clinical/exam/sealed:hiv", 1)
	erased := w.put(patient, "clinical/exam", 1)
	w.must(w.run(string(patient), record.Contract, record.MethodErase, record.EraseArgs{ID: erased}, nil))
	g := w.grant(patient, reader, "clinical/exam", terms{Conditions: consent.Conditions{
		Since: w.now() - 30*day.Milliseconds(), Until: w.now() - day.Milliseconds()/2, Purposes: []consent.Purpose{"CLINTRCH", "COC"},
	}})
	good := func() consent.AccessArgs { a := w.ask(g, id); a.Purpose = "COC"; return a }
	of := func(ids ...record.ID) func(*consent.AccessArgs) {
		return func(a *consent.AccessArgs) { slices.Sort(ids); a.Records = ids }
	}
	purpose := func(p consent.Purpose) func(*consent.AccessArgs) {
		return func(a *consent.AccessArgs) { a.Purpose = p }
	}
	for what, c := range map[string]struct {
		want chain.Code
		edit func(*consent.AccessArgs)
	}{
		"no grant":                    {consent.ErrUnknown, func(a *consent.AccessArgs) { a.Grant = "g-aaaaaaaaaaaaaaaaaaaaaaaaaa" }},
		"no id":                       {consent.ErrUnknown, func(a *consent.AccessArgs) { a.Grant = "" }},
		"no records":                  {consent.ErrMalformed, of()},
		"a record twice":              {consent.ErrMalformed, of(id, id)},
		"records out of order":        {consent.ErrMalformed, func(a *consent.AccessArgs) { of(id, second)(a); slices.Reverse(a.Records) }},
		"too many records":            {consent.ErrMalformed, func(a *consent.AccessArgs) { a.Records = numbered(consent.MaxRecords + 1) }},
		"as many as one may ask":      {consent.ErrRecord, func(a *consent.AccessArgs) { a.Records = numbered(consent.MaxRecords) }},
		"a purpose that is none":      {consent.ErrMalformed, purpose("FUN")},
		"no purpose":                  {consent.ErrMalformed, purpose("")},
		"answers for everybody":       {consent.ErrMalformed, func(a *consent.AccessArgs) { a.Transport = make([]byte, 32) }},
		"answers for nobody":          {consent.ErrMalformed, func(a *consent.AccessArgs) { a.Transport = nil }},
		"the purpose above":           {consent.ErrPurpose, purpose("HRESCH")},
		"another purpose":             {consent.ErrPurpose, purpose("HMARKT")},
		"breaking the glass":          {consent.ErrPurpose, purpose(consent.BreakGlass)},
		"a purpose below":             {"", purpose("CLINTRCHPC")},
		"a record that is none":       {consent.ErrRecord, of("r-aaaaaaaaaaaaaaaaaaaaaaaaaa")},
		"an id that is none":          {consent.ErrRecord, of("r")},
		"another owner's":             {consent.ErrOwner, of(hers)},
		"one of another owner's":      {consent.ErrOwner, of(hers, id)},
		"an epoch before":             {consent.ErrEpoch, of(before)},
		"a type above":                {consent.ErrType, of(outside)},
		"a type that begins like it":  {consent.ErrType, of(longer)},
		"below a sealed component":    {consent.ErrType, of(sealed)},
		"too old":                     {consent.ErrDated, of(old)},
		"too young":                   {consent.ErrDated, of(young)},
		"erased":                      {consent.ErrErased, of(erased)},
		"many, of which one is young": {consent.ErrDated, of(id, second, young)},
		"all that is granted":         {"", of(id, second)},
	} {
		args := good()
		c.edit(&args)
		if got := w.access(args).Code; got != c.want {
			t.Errorf("%s: code is %q, want %q", what, got, c.want)
		}
	}
	for _, who := range []identity.Name{stranger, patient, witness, "south", "nobody@south"} {
		w.refused(w.do(who, consent.MethodAccess, good()), consent.ErrDenied)
	}
	w.refused(w.access(consent.AccessArgs{}), consent.ErrMalformed)
	w.refused(w.do(reader, consent.MethodAccess, []byte{0x85}), consent.ErrMalformed)
	w.refused(w.do(reader, "nothing", good()), consent.ErrDenied)
	if u := w.lookup(g).Uses; u != 2 {
		t.Errorf("%d uses are counted, want 2: refused ones are none", u)
	}
}

func TestAccessOnlyWithinItsTimeAndUses(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical", 1)
	start := w.now()
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{
		NotBefore: start + day.Milliseconds(), NotAfter: start + 3*day.Milliseconds(), MaxUses: 2,
	}})
	w.refused(w.access(w.ask(g, id)), consent.ErrEarly)
	w.wait(day - time.Millisecond)
	w.refused(w.access(w.ask(g, id)), consent.ErrEarly)
	w.wait(time.Millisecond)
	w.must(w.access(w.ask(g, id)))
	w.wait(2 * day)
	w.must(w.access(w.ask(g, id)))
	if err := w.serveable(w.last(), w.now()); err != nil {
		t.Errorf("the last use is not answered: %v", err)
	}
	if s := w.lookup(g).Status(w.now()); s != consent.StatusUsedUp {
		t.Errorf("status is %s", s)
	}
	w.refused(w.access(w.ask(g, id)), consent.ErrUsedUp)
	w.wait(time.Millisecond)
	w.refused(w.access(w.ask(g, id)), consent.ErrExpired)
	if s := w.lookup(g).Status(w.now()); s != consent.StatusExpired {
		t.Errorf("status is %s", s)
	}
}

// TestAGrantForAnyPurposeDoesNotBreakTheGlass: that takes a grant that says so.
func TestAGrantForAnyPurposeDoesNotBreakTheGlass(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical", 1)
	for _, c := range []struct {
		purposes []consent.Purpose
		want     chain.Code
	}{{nil, consent.ErrPurpose}, {[]consent.Purpose{"TREAT"}, consent.ErrPurpose}, {[]consent.Purpose{"BTG"}, ""}} {
		args := w.ask(w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{Purposes: c.purposes}}), id)
		args.Purpose = consent.BreakGlass
		w.refused(w.access(args), c.want)
	}
}

// TestOldRecordsStayInReachOfAStaleGrant, and new ones do not come into it.
func TestOldRecordsStayInReachOfAStaleGrant(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{})
	w.raiseEpoch(patient)
	w.read(g, id, "east", "north", "west")
	if s, err := consent.Standing(w.lookup(g), w.of(identity.Contract), w.of(keys.Contract), w.now()); s != consent.StatusStale || err != nil {
		t.Errorf("status is %s, %v", s, err)
	}
	w.refused(w.access(w.ask(g, w.put(patient, "clinical", 0))), consent.ErrEpoch)
}

// TestAGrantDoesNotReachIntoSelfCustody that its owner took on later, in the
// same epoch.
func TestAGrantDoesNotReachIntoSelfCustody(t *testing.T) {
	w := newWorld(t)
	g := w.grant(patient, reader, "clinical", terms{})
	w.takeCustody(patient)
	w.refused(w.access(w.ask(g, w.put(patient, "clinical", 0))), consent.ErrEpoch)
}

func TestCoSigners(t *testing.T) {
	w := newWorld(t)
	w.register("nurse.c@south", "role=nurse")
	w.register("clerk@south", "role=clerk")
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{
		CoSigners: consent.CoSigners{Count: 2, Attribute: "role", Value: "nurse"},
	}})
	signed := func(by ...identity.Name) consent.AccessArgs {
		a := w.ask(g, id)
		a.Approvals = w.approve(reader, consent.MethodAccess, a, by...)
		return a
	}
	w.refused(w.access(signed()), consent.ErrApproval)
	w.refused(w.access(signed(nurse)), consent.ErrApproval)
	w.refused(w.access(signed(nurse, "clerk@south")), consent.ErrApproval)
	w.refused(w.access(signed(nurse, reader)), consent.ErrApproval)
	w.refused(w.access(signed(nurse, "nobody@south")), consent.ErrApproval)
	w.refused(w.access(signed(nurse, nurse)), consent.ErrMalformed)
	w.must(w.access(signed(nurse, "nurse.c@south", "clerk@south")))
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil || fmt.Sprint(a.CoSigners) != "[clerk@south nurse.b@south nurse.c@south]" {
		t.Errorf("access is %+v, %v", a, err)
	}
	swapped := signed(nurse, "nurse.c@south")
	slices.Reverse(swapped.Approvals)
	w.refused(w.access(swapped), consent.ErrMalformed)
	many := signed(nurse, "nurse.c@south")
	for i := range consent.MaxApprovals - 1 {
		many.Approvals = append(many.Approvals, consent.Approval{Name: identity.Name(fmt.Sprintf("z%02d@south", i))})
	}
	w.refused(w.access(many), consent.ErrMalformed)
	w.must(w.run("south", identity.Contract, identity.MethodAttest, identity.AttestArgs{Name: nurse}, nil))
	w.refused(w.access(signed(nurse, "nurse.c@south")), consent.ErrApproval) // is a nurse no more
}

// TestAnApprovalIsGoodForOneAccessOnly: not for other records, another reader,
// chain, method or purpose, and not twice.
func TestAnApprovalIsGoodForOneAccessOnly(t *testing.T) {
	w := newWorld(t)
	id, second := w.put(patient, "clinical", 1), w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{CoSigners: consent.CoSigners{Count: 1}}})
	hers := w.grant(patient, stranger, "clinical", terms{Conditions: consent.Conditions{CoSigners: consent.CoSigners{Count: 1}}})
	good := w.ask(g, id)
	good.Approvals = w.approve(reader, consent.MethodAccess, good, nurse)
	for what, edit := range map[string]func(*consent.AccessArgs){
		"other records":   func(a *consent.AccessArgs) { a.Records = []record.ID{second} },
		"another purpose": func(a *consent.AccessArgs) { a.Purpose = "COC" },
		"another key":     func(a *consent.AccessArgs) { a.Transport = w.transport().Public() },
		"another signer": func(a *consent.AccessArgs) {
			a.Approvals = []consent.Approval{{Name: witness, Signature: a.Approvals[0].Signature}}
		},
		"no signature":   func(a *consent.AccessArgs) { a.Approvals = []consent.Approval{{Name: nurse}} },
		"another method": func(a *consent.AccessArgs) { a.Approvals = w.approve(reader, consent.MethodEmergency, *a, nurse) },
		"another reader": func(a *consent.AccessArgs) { a.Approvals = w.approve(stranger, consent.MethodAccess, *a, nurse) },
		"another chain": func(a *consent.AccessArgs) {
			b, err := consent.ApprovalStatement("elsewhere.example", reader, consent.MethodAccess, a)
			if err != nil {
				t.Fatal(err)
			}
			a.Approvals = []consent.Approval{{Name: nurse, Signature: ed25519.Sign(ledgertest.Key(string(nurse)), b)}}
		},
	} {
		args := good
		edit(&args)
		if got := w.access(args).Code; got != consent.ErrApproval {
			t.Errorf("%s: code is %q", what, got)
		}
	}
	stolen := good
	stolen.Grant = hers
	w.refused(w.do(stranger, consent.MethodAccess, stolen), consent.ErrApproval)
	w.must(w.access(good))
	w.refused(w.access(good), consent.ErrTaken)
	// Another reader may name the same key: nobody can spoil an access by naming its key first.
	first := w.ask(hers, id)
	first.Transport = good.Transport
	first.Approvals = w.approve(stranger, consent.MethodAccess, first, nurse)
	w.must(w.do(stranger, consent.MethodAccess, first))
	if _, err := consent.ApprovalStatement("c", reader, consent.MethodAccess, "no arguments"); err == nil {
		t.Error("anything can be approved")
	}
}

// TestTheLargestAccessFits runs one of as many records as allowed, with as many
// approvals, through all limits of the chain.
func TestTheLargestAccessFits(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 512 records")
	}
	w := newWorld(t)
	var ids []record.ID
	for range consent.MaxRecords {
		ids = append(ids, w.put(patient, "clinical", 1))
	}
	g := w.grant(patient, reader, "clinical", terms{})
	args := w.ask(g, ids...)
	var signers []identity.Name
	for i := range consent.MaxApprovals {
		name := identity.Name(fmt.Sprintf("%s%02d@south", bytes.Repeat([]byte("s"), 46), i))
		w.register(name)
		signers = append(signers, name)
	}
	args.Approvals = w.approve(reader, consent.MethodAccess, args, signers...)
	r := w.must(w.access(args))
	b, err := r.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the result takes %d bytes", len(b))
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil || !slices.Equal(a.Records, args.Records) {
		t.Errorf("access has %d records, %v", len(a.Records), err)
	}
}

func TestListingsOfAccesses(t *testing.T) {
	w := newWorld(t)
	id, second := w.put(patient, "clinical", 1), w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{})
	hers := w.grant(other, stranger, "clinical", terms{})
	w.must(w.access(w.ask(g, id)))
	first := w.last()
	w.must(w.access(w.ask(g, id, second)))
	both := w.last()
	w.must(w.do(stranger, consent.MethodAccess, w.ask(hers, w.put(other, "clinical", 1))))
	third := w.last()
	list := func(sel consent.Accesses, after uint64) (out []uint64) {
		err := consent.EachAccess(w.of(consent.Contract), sel, after, func(a *consent.Access) bool { out = append(out, a.Index); return true })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		sel   consent.Accesses
		after uint64
		want  []uint64
	}{
		{consent.Accesses{}, 0, []uint64{first, both, third}},
		{consent.Accesses{}, first, []uint64{both, third}},
		{consent.Accesses{Owner: patient}, 0, []uint64{first, both}},
		{consent.Accesses{Owner: patient}, first, []uint64{both}},
		{consent.Accesses{Reader: stranger}, 0, []uint64{third}},
		{consent.Accesses{Record: second}, 0, []uint64{both}},
		{consent.Accesses{Record: id}, 0, []uint64{first, both}},
		{consent.Accesses{Open: true}, 0, nil},
		{consent.Accesses{Owner: patient, Open: true}, 0, nil},
	} {
		if got := list(c.sel, c.after); !slices.Equal(got, c.want) {
			t.Errorf("%+v after %d: %v, want %v", c.sel, c.after, got, c.want)
		}
	}
	if _, err := consent.LookupAccess(w.of(consent.Contract), third+1); err != consent.ErrUnknown {
		t.Errorf("an access that is none: %v", err)
	}
}
