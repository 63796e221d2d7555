package consent_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

const catalogue = "contractor flag\nemergency flag\ndept one of (er, icu)\nrole one of (clerk, nurse, physician)\n"

// masters are the secrets of the attribute authorities of all worlds.
var masters = sync.OnceValue(func() map[string]*abe.MasterKey {
	m := make(map[string]*abe.MasterKey)
	for _, name := range []string{"north", "south", "west"} {
		k, err := abe.GenerateMasterKey(name)
		if err != nil {
			panic(err)
		}
		m[name] = k
	}
	return m
})

// attributeAuthority is what a member publishes for an epoch.
func attributeAuthority(t testing.TB, name string, epoch uint64) *abe.Authority {
	t.Helper()
	c, err := abe.ParseCatalogue(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	a, err := masters()[name].Authority(epoch, c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// publish publishes the next epoch of members' authorities.
func (w *world) publish(members ...string) {
	w.Helper()
	for _, m := range members {
		epoch := uint64(1)
		if now, err := identity.CurrentAuthority(w.of(identity.Contract), m); err == nil {
			epoch = now.Epoch + 1
		}
		w.must(w.run(m, identity.Contract, identity.MethodAuthority, identity.AuthorityArgs{Authority: attributeAuthority(w, m, epoch).Bytes()}, nil))
	}
}

// policy makes a recipient of a policy over current authorities.
func (w *world) policy(text string) *abe.Recipient {
	w.Helper()
	p, err := abe.ParsePolicy(text)
	if err != nil {
		w.Fatal(err)
	}
	var list []*abe.Authority
	for _, name := range p.Authorities() {
		now, err := identity.LookupAuthority(w.of(identity.Contract), name, 0)
		if err != nil {
			w.Fatal(err)
		}
		a, err := abe.ParseAuthority(now.Raw)
		if err != nil {
			w.Fatal(err)
		}
		list = append(list, a)
	}
	r, err := abe.NewRecipient(p, list...)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// attest replaces the attributes of an identity.
func (w *world) attest(name identity.Name, attributes ...string) {
	w.Helper()
	w.must(w.run(name.Org(), identity.Contract, identity.MethodAttest, identity.AttestArgs{Name: name, Attributes: identity.Sorted(attest(attributes))}, nil))
}

const physicians = "south:role = physician and not south:contractor"

// policyWorld is a world with authorities and two physicians of south.
func policyWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.publish("north", "south", "west")
	w.attest(reader, "dept=icu", "emergency", "role=physician")
	w.attest(witness, "emergency", "role=physician")
	return w
}

// TestACareTeamReadsByItsAttributes opens a record by the key that the
// authority issued: one who has the attributes reads, without being named.
func TestACareTeamReadsByItsAttributes(t *testing.T) {
	w := policyWorld(t)
	id := w.put(patient, "clinical/exam", 1)
	g := w.grant(patient, "", "clinical", terms{to: w.policy(physicians)})
	if got := w.lookup(g); got.Policy != physicians || got.Recipient != "" || got.By != patient {
		t.Errorf("grant is %+v", got)
	}
	attributes, err := abe.ParseAttributes("dept = icu, role = physician")
	if err != nil {
		t.Fatal(err)
	}
	key, err := masters()["south"].Issue(attributeAuthority(t, "south", 1), string(reader), attributes)
	if err != nil {
		t.Fatal(err)
	}
	args := w.ask(g, id)
	w.must(w.access(args))
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.serveable(a.Index, w.now()); err != nil {
		t.Fatalf("members refuse: %v", err)
	}
	dealt, err := pre.ParseGrant(w.lookup(g).Raw)
	if err != nil {
		t.Fatal(err)
	}
	half, err := key.OpenHalf(dealt.Recipient(), dealt.Sealed(), dealt.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := dealt.Accept(half)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.openWith(d, args, a.ID, "east", "north", "west"); got[0] != "index of "+string(id) {
		t.Errorf("opened %q", got)
	}
	w.must(w.do(witness, consent.MethodAccess, w.ask(g, id)))
	w.refused(w.do(nurse, consent.MethodAccess, w.ask(g, id)), consent.ErrPolicy)
	w.refused(w.do(stranger, consent.MethodAccess, w.ask(g, id)), consent.ErrPolicy)
	w.refused(w.do(patient, consent.MethodAccess, w.ask(g, id)), consent.ErrPolicy)
	w.replay()
}

// TestALeaverLosesAccessAtOnce: what a hospital no longer attests opens nothing,
// under grants of before neither, and members answer no access that was
// accepted an instant ago.
func TestALeaverLosesAccessAtOnce(t *testing.T) {
	for what, leave := range map[string]func(*world){
		"all attributes are gone":   func(w *world) { w.attest(reader) },
		"another role":              func(w *world) { w.attest(reader, "role=clerk") },
		"the excluded attribute":    func(w *world) { w.attest(reader, "contractor", "role=physician") },
		"the attribute's time":      func(w *world) { w.wait(20 * time.Minute) },
		"a flag of the role's name": func(w *world) { w.attest(reader, "role", "role=physician") },
	} {
		w := policyWorld(t)
		w.must(w.run("south", identity.Contract, identity.MethodAttest, identity.AttestArgs{Name: reader, Attributes: []identity.Attribute{
			{Name: "role", Value: "physician", Until: w.now() + (10 * time.Minute).Milliseconds()},
		}}, nil))
		id := w.put(patient, "clinical", 1)
		g := w.grant(patient, "", "clinical", terms{to: w.policy(physicians)})
		w.must(w.access(w.ask(g, id)))
		index := w.last()
		if err := w.serveable(index, w.now()); err != nil {
			t.Fatal(err)
		}
		leave(w)
		w.refused(w.access(w.ask(g, id)), consent.ErrPolicy)
		if err := w.serveable(index, w.now()); err != consent.ErrPolicy {
			t.Errorf("%s: members answer with %v", what, err)
		}
		w.must(w.do(witness, consent.MethodAccess, w.ask(g, id)))
	}
}

// TestTwoPeopleOfTwoHospitalsPutNothingTogether: a physician of south who is not
// of the icu, and a nurse of the north's, satisfy each half.
func TestTwoPeopleOfTwoHospitalsPutNothingTogether(t *testing.T) {
	w := policyWorld(t)
	w.register("nurse.n@north", "dept=icu", "role=nurse")
	w.attest(reader, "role=physician")
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, "", "clinical", terms{to: w.policy("north:role = physician and north:dept = icu or south:role = physician and south:dept = icu")})
	for _, who := range []identity.Name{reader, "nurse.n@north"} {
		w.refused(w.do(who, consent.MethodAccess, w.ask(g, id)), consent.ErrPolicy)
	}
	w.attest(reader, "dept=icu", "role=physician")
	w.must(w.access(w.ask(g, id)))

	// No grant at all can be made to a policy that joins two hospitals by "and".
	mixed := "north:dept = icu and south:role = physician"
	p, err := abe.ParsePolicy(mixed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := abe.NewRecipient(p, attributeAuthority(t, "north", 1), attributeAuthority(t, "south", 1)); err == nil {
		t.Error("and across hospitals can be sealed to")
	}
}

// TestAnotherHospitalsNotLetsNobodyIn: who has no attribute there satisfies
// every "not" about it, and holds no key.
func TestAnotherHospitalsNotLetsNobodyIn(t *testing.T) {
	w := policyWorld(t)
	id := w.put(patient, "clinical", 1)
	for _, policy := range []string{"not south:contractor", "not north:contractor or south:role = clerk"} {
		g := w.grant(patient, "", "clinical", terms{to: w.policy(policy)})
		w.refused(w.do(stranger, consent.MethodAccess, w.ask(g, id)), consent.ErrPolicy)
	}
	g := w.grant(patient, "", "clinical", terms{to: w.policy("not north:contractor or south:role = clerk")})
	w.refused(w.access(w.ask(g, id)), consent.ErrPolicy)
	w.must(w.do(author, consent.MethodAccess, w.ask(g, id)))
}

// TestAFormerMembersStaffReadsNothing, though nothing was taken from it.
func TestAFormerMembersStaffReadsNothing(t *testing.T) {
	w := policyWorld(t)
	w.attest(stranger, "role=physician")
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, "", "clinical", terms{to: w.policy("west:role = physician or south:role = physician")})
	w.must(w.do(stranger, consent.MethodAccess, w.ask(g, id)))
	index := w.last()
	late := w.offer(patient, "", "clinical", terms{to: w.policy("west:role = physician")})
	w.resize(3)
	w.refused(w.do(stranger, consent.MethodAccess, w.ask(g, id)), consent.ErrPolicy)
	if err := w.serveable(index, w.now()); err != consent.ErrPolicy {
		t.Errorf("members answer with %v", err)
	}
	w.must(w.access(w.ask(g, id)))
	w.refused(late.send(), consent.ErrRecipient)
}

func TestGrantToAPolicyIsRefused(t *testing.T) {
	w := policyWorld(t)
	good := func() *offer { return w.offer(patient, "", "clinical", terms{to: w.policy(physicians)}) }
	old := good()
	named := w.grant(patient, reader, "clinical", terms{})
	nurses := w.grant(patient, "", "clinical", terms{to: w.policy("south:role = nurse")})
	other, err := abe.GenerateMasterKey("south")
	if err != nil {
		t.Fatal(err)
	}
	c, err := abe.ParseCatalogue(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	forged := func(k *abe.MasterKey, epoch uint64, policy string) *offer {
		a, err := k.Authority(epoch, c)
		if err != nil {
			t.Fatal(err)
		}
		p, err := abe.ParsePolicy(policy)
		if err != nil {
			t.Fatal(err)
		}
		to, err := abe.NewRecipient(p, a)
		if err != nil {
			t.Fatal(err)
		}
		return w.offer(patient, "", "clinical", terms{to: to})
	}
	nobody, err := abe.GenerateMasterKey("nowhere")
	if err != nil {
		t.Fatal(err)
	}
	silent, err := abe.GenerateMasterKey("east")
	if err != nil {
		t.Fatal(err)
	}
	asked := w.request(nurse, consent.RequestArgs{Owner: patient, Type: "clinical", Purpose: "TREAT"})
	w.publish("south") // somebody has left
	for what, c := range map[string]struct {
		want chain.Code
		make func() *offer
	}{
		"an old authority epoch":        {consent.ErrStale, func() *offer { return old }},
		"an epoch to come":              {consent.ErrStale, func() *offer { return forged(masters()["south"], 3, physicians) }},
		"a forged authority":            {consent.ErrStale, func() *offer { return forged(other, 2, physicians) }},
		"an authority of no member":     {consent.ErrRecipient, func() *offer { return forged(nobody, 1, "nowhere:role = physician") }},
		"an authority nobody published": {consent.ErrRecipient, func() *offer { return forged(silent, 1, "east:role = physician") }},
		"named besides":                 {consent.ErrRecipient, func() *offer { o := good(); o.args.Recipient = reader; return o }},
		"a name for a policy":           {consent.ErrMalformed, func() *offer { o := w.offer(patient, reader, "clinical", terms{}); o.args.Recipient = ""; return o }},
		"exposure that is none":         {consent.ErrTerms, func() *offer { o := good(); o.args.Expose = true; return o }},
		"renews one to a name":          {consent.ErrRecipient, func() *offer { o := good(); o.args.Renews = named; return o }},
		"renews one to another policy":  {consent.ErrRecipient, func() *offer { o := good(); o.args.Renews = nurses; return o }},
		"answers one it is not for":     {consent.ErrRecipient, func() *offer { o := good(); o.args.Answers = asked; return o }},
	} {
		if got := c.make().send().Code; got != c.want {
			t.Errorf("%s: code is %q, want %q", what, got, c.want)
		}
	}
	first := good()
	w.must(first.send())
	renewal := good()
	renewal.args.Renews = first.id
	w.must(renewal.send())
	if w.lookup(first.id).Ended == 0 {
		t.Error("the renewed grant goes on")
	}
	reply := w.offer(patient, "", "clinical", terms{to: w.policy("south:role = nurse")})
	reply.args.Answers = asked
	w.must(reply.send())
	if q, err := consent.LookupRequest(w.of(consent.Contract), asked); err != nil || q.State != consent.RequestGranted || q.Grant != reply.id {
		t.Errorf("request is %+v, %v", q, err)
	}
}

// TestAnOwnerInSelfCustodyGrantsToNoPolicy: an authority can issue itself any
// key, and is a hospital.
func TestAnOwnerInSelfCustodyGrantsToNoPolicy(t *testing.T) {
	w := policyWorld(t)
	w.takeCustody(patient)
	o := w.offer(patient, "", "clinical", terms{to: w.policy(physicians), expose: true})
	w.refused(o.send(), consent.ErrCustody)
	o.args.Expose = false
	w.refused(o.send(), consent.ErrCustody)
}

// TestAnEmergencyPolicy is the usual form of what a patient leaves for
// emergencies.
func TestAnEmergencyPolicy(t *testing.T) {
	w := policyWorld(t)
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, "", "clinical", terms{to: w.policy("south:emergency or south:role = physician"), Conditions: consent.Conditions{Emergency: true}})
	args := w.ask(g, id)
	args.Purpose = consent.BreakGlass
	w.refused(w.run(string(reader), consent.Contract, consent.MethodAccess, args, []byte("sealed reason")), consent.ErrApproval)
	args.Approvals = w.approve(reader, consent.MethodAccess, args, witness)
	w.refused(w.access(args), consent.ErrTerms) // no reason
	w.must(w.run(string(reader), consent.Contract, consent.MethodAccess, args, []byte("sealed reason")))
	if a, err := consent.LookupAccess(w.of(consent.Contract), w.last()); err != nil || a.Review != consent.Open || a.Grant != g {
		t.Errorf("access is %+v, %v", a, err)
	}
}

// TestGrantsToPoliciesAreListed by each authority they name.
func TestGrantsToPoliciesAreListed(t *testing.T) {
	w := policyWorld(t)
	a := w.grant(patient, "", "clinical", terms{to: w.policy(physicians)})
	b := w.grant(other, "", "lab", terms{to: w.policy("north:role = nurse or south:role = nurse")})
	c := w.grant(patient, "", "lab", terms{to: w.policy(physicians)})
	w.grant(patient, reader, "lab", terms{})
	list := func(authority string, after uint64, want func(string) bool) (out []consent.GrantID) {
		err := consent.EachByAuthority(w.of(consent.Contract), authority, after, want, func(g *consent.Grant) bool {
			if len(g.Raw) == 0 {
				t.Error("without its grant")
			}
			out = append(out, g.ID)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	asked := 0
	wanted := func(p string) bool { asked++; return p == physicians }
	for _, x := range []struct {
		authority string
		after     uint64
		filter    func(string) bool
		want      []consent.GrantID
	}{
		{"south", 0, nil, []consent.GrantID{a, b, c}},
		{"south", w.lookup(a).Index, nil, []consent.GrantID{b, c}},
		{"south", 0, wanted, []consent.GrantID{a, c}},
		{"north", 0, nil, []consent.GrantID{b}},
		{"nort", 0, nil, nil},
		{"west", 0, nil, nil},
	} {
		if got := list(x.authority, x.after, x.filter); !slices.Equal(got, x.want) {
			t.Errorf("%s after %d: %v, want %v", x.authority, x.after, got, x.want)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times about two policies", asked)
	}
	var mine []consent.GrantID
	if err := consent.EachByRecipient(w.of(consent.Contract), "", 0, func(g *consent.Grant) bool { mine = append(mine, g.ID); return true }); err != nil || mine != nil {
		t.Errorf("grants to policies are listed as somebody's: %v, %v", mine, err)
	}
}

// TestPolicyGrantsMoveWithACeremony like all others.
func TestPolicyGrantsMoveWithACeremony(t *testing.T) {
	if testing.Short() {
		t.Skip("a ceremony; those of named grants are in the short tests")
	}
	w := policyWorld(t)
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, "", "clinical", terms{to: w.policy(physicians)})
	if s := w.members.Open().Finish(); s != keys.Completed {
		t.Fatalf("the ceremony ends in state %d", s)
	}
	w.must(w.access(w.ask(g, id)))
	if err := w.serveable(w.last(), w.now()); err != nil {
		t.Error(err)
	}
}

// TestAGuardianGrantsAndRevokes for her ward, and the chain shows who did.
func TestAGuardianGrantsAndRevokes(t *testing.T) {
	w := policyWorld(t)
	w.register("mother@north")
	w.must(w.run(string(patient), identity.Contract, identity.MethodGuardian, identity.GuardianArgs{
		Name: patient, Guardian: "mother@north", Kind: identity.Delegate, Until: w.now() + day.Milliseconds(),
	}, nil))
	id := w.put(patient, "clinical", 1)
	by := func(who identity.Name, o *offer) *offer { o.owner = who; return o }
	w.refused(by("author@north", w.offer(patient, reader, "clinical", terms{})).send(), consent.ErrDenied)
	w.refused(by(author, w.offer(patient, reader, "clinical", terms{})).send(), consent.ErrDenied)
	o := by("mother@north", w.offer(patient, reader, "clinical", terms{}))
	w.must(o.send())
	if g := w.lookup(o.id); g.Owner != patient || g.By != "mother@north" {
		t.Errorf("grant of %s by %s", g.Owner, g.By)
	}
	w.accept(o.id, w.authority().Members...)
	w.must(w.access(w.ask(o.id, id)))
	asked := w.request(nurse, consent.RequestArgs{Owner: patient, Type: "clinical", Purpose: "TREAT"})
	w.refused(w.do(author, consent.MethodDeny, consent.DenyArgs{Request: asked}), consent.ErrDenied)
	w.must(w.do("mother@north", consent.MethodDeny, consent.DenyArgs{Request: asked}))
	w.refused(w.do(author, consent.MethodRevoke, consent.RevokeArgs{Grant: o.id}), consent.ErrDenied)
	w.must(w.do("mother@north", consent.MethodRevoke, consent.RevokeArgs{Grant: o.id}))
	late := w.grant(patient, reader, "clinical", terms{})
	w.wait(day + time.Minute)
	w.refused(by("mother@north", w.offer(patient, reader, "clinical", terms{})).send(), consent.ErrDenied)
	w.refused(w.do("mother@north", consent.MethodRevoke, consent.RevokeArgs{Grant: late}), consent.ErrDenied)
}

// TestWhatWasWrittenInSelfCustodyIsOutOfAnEmergencysReach after it has ended.
func TestWhatWasWrittenInSelfCustodyIsOutOfAnEmergencysReach(t *testing.T) {
	w := newWorld(t)
	w.takeCustody(patient)
	hers := w.put(patient, "clinical", 1)
	w.must(w.run(string(patient), identity.Contract, identity.MethodCustodyOff, identity.CustodyOffArgs{From: w.identity(patient).Version}, nil))
	later := w.put(patient, "clinical", 0)
	w.refused(w.emergency(reader, w.breakGlass(reader, patient, []record.ID{hers}, witness)), consent.ErrCustody)
	w.refused(w.emergency(reader, w.breakGlass(reader, patient, []record.ID{hers, later}, witness)), consent.ErrCustody)
	w.must(w.emergency(reader, w.breakGlass(reader, patient, []record.ID{later}, witness)))
}
