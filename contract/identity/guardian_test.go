package identity_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
)

// The ward is p-kid@north, whose key her hospital holds, or alice@north, who
// holds her own. The guardian is of another hospital.
const (
	kid = identity.Name("p-kid@north")
	mum = identity.Name("mum@south")
)

const year = 365 * 24 * time.Hour

func family(t testing.TB) *world {
	w := newWorld(t)
	w.must("north", "register", controlled(kid))
	w.register(alice)
	w.register(mum)
	w.register(bob)
	return w
}

func (w *world) in(d time.Duration) int64 { return w.Now.Add(d).UnixMilli() }

func (w *world) acts(owner, signer identity.Name) bool {
	w.t.Helper()
	ok, err := identity.ActsFor(w.space(), owner, signer, w.Now.UnixMilli(), w.Consortium)
	if err != nil {
		w.t.Fatal(err)
	}
	return ok
}

func minor(w *world) identity.GuardianArgs {
	return identity.GuardianArgs{Name: kid, Guardian: mum, Kind: identity.Minor, Until: w.in(year)}
}

// incapable is what a hospital proposes about somebody who holds her own key.
func incapable() identity.GuardianArgs {
	return identity.GuardianArgs{Name: alice, Guardian: mum, Kind: identity.Incapacity, Wait: identity.MinRecoveryWait}
}

// proposed is what the member of the ward's organisation proposed.
func proposed(a identity.GuardianArgs) identity.ProposalArgs { return proposedBy(a.Name.Org(), a) }

func proposedBy(member string, a identity.GuardianArgs) identity.ProposalArgs {
	return identity.ProposalArgs{Name: a.Name, Member: member, Guardian: a.Guardian, Kind: a.Kind, Until: a.Until, Wait: a.Wait}
}

func TestGuardianOfAMinorActsUntilSheIsOfAge(t *testing.T) {
	w := family(t)
	a := minor(w)
	w.must("north", "guardian", a)
	want := identity.Guardian{Name: mum, Kind: identity.Minor, By: "north", Since: w.lookup(kid).Guardians[0].Since, Until: a.Until}
	if got := w.lookup(kid).Guardians; len(got) != 1 || got[0] != want || !w.acts(kid, mum) || !w.acts(kid, kid) {
		t.Errorf("guardians %+v", got)
	}
	if w.acts(mum, kid) || w.acts(alice, mum) || w.acts(kid, bob) {
		t.Error("somebody acts for somebody else's ward")
	}
	w.Now = time.UnixMilli(a.Until)
	if !w.acts(kid, mum) {
		t.Error("the last moment does not count")
	}
	w.wait(time.Millisecond)
	if w.acts(kid, mum) {
		t.Error("she acts for a grown-up")
	}
}

func TestActsForNobodyUnknown(t *testing.T) {
	w := family(t)
	if _, err := identity.ActsFor(w.space(), "nobody@north", "nobody@north", 1, w.Consortium); err != identity.ErrUnknown {
		t.Errorf("error %v", err)
	}
}

func TestAGuardianOfAGuardianIsNone(t *testing.T) {
	w := family(t)
	w.must("north", "guardian", minor(w))
	w.must(string(mum), "guardian", identity.GuardianArgs{Name: mum, Guardian: bob, Kind: identity.Delegate})
	if !w.acts(mum, bob) || w.acts(kid, bob) {
		t.Error("guardianship was handed on")
	}
}

func TestOwnerDelegatesAndTakesItBack(t *testing.T) {
	w := family(t)
	w.must(string(alice), "guardian", identity.GuardianArgs{Name: alice, Guardian: mum, Kind: identity.Delegate})
	if g := w.lookup(alice).Guardians; len(g) != 1 || g[0].By != "" || !w.acts(alice, mum) {
		t.Errorf("guardians %+v", g)
	}
	w.must(string(alice), "guardian", identity.GuardianArgs{Name: alice, Guardian: mum, Kind: identity.Delegate, Until: w.in(time.Hour)})
	if g := w.lookup(alice).Guardians; len(g) != 1 || g[0].Until == 0 {
		t.Errorf("what she says now does not replace what she said: %+v", g)
	}
	w.must(string(alice), "end-guardian", identity.EndGuardianArgs{Name: alice, Guardian: mum})
	if w.acts(alice, mum) {
		t.Error("still acts")
	}
	w.refuse(identity.ErrGuardian, string(alice), "end-guardian", identity.EndGuardianArgs{Name: alice, Guardian: mum})
}

func TestGuardianLaysItDown(t *testing.T) {
	w := family(t)
	w.must("north", "guardian", minor(w))
	w.refuse(identity.ErrDenied, string(bob), "end-guardian", identity.EndGuardianArgs{Name: kid, Guardian: mum})
	w.must(string(mum), "end-guardian", identity.EndGuardianArgs{Name: kid, Guardian: mum})
	if w.acts(kid, mum) {
		t.Error("still acts")
	}
}

// A member ends what it said, and neither what another said nor the ward's word.
func TestMemberEndsOnlyWhatItNamed(t *testing.T) {
	w := family(t)
	w.must("north", "guardian", minor(w))
	w.must(string(kid), "guardian", identity.GuardianArgs{Name: kid, Guardian: mum, Kind: identity.Delegate})
	end := identity.EndGuardianArgs{Name: kid, Guardian: mum}
	w.refuse(identity.ErrGuardian, "south", "end-guardian", end)
	w.must("north", "end-guardian", end)
	if g := w.lookup(kid).Guardians; len(g) != 1 || g[0].Kind != identity.Delegate {
		t.Errorf("left %+v", g)
	}
	w.refuse(identity.ErrGuardian, "north", "end-guardian", end)
	w.must(string(kid), "end-guardian", end)
}

// Attack: a hospital names a guardian for another hospital's patient.
func TestForeignHospitalNamesNoGuardian(t *testing.T) {
	w := family(t)
	w.refuse(identity.ErrDenied, "south", "guardian", minor(w))
	a := incapable()
	w.refuse(identity.ErrDenied, "south", "guardian", a)
	w.register(desk, "registrar") // a registrar's wallet is on somebody's desk
	w.refuse(identity.ErrDenied, string(desk), "guardian", minor(w))
}

// Attack: a hospital names somebody of its own guardian of a person who holds
// her own key, for whatever reason it gives.
func TestOneHospitalNamesNoGuardianOfAPersonWithHerOwnKey(t *testing.T) {
	w := family(t)
	w.register("mallory@north")
	for _, kind := range []identity.Guardianship{identity.Minor, identity.Incapacity, identity.Death} {
		w.refuse(identity.ErrController, "north", "guardian", identity.GuardianArgs{Name: alice, Guardian: "mallory@north", Kind: kind, Until: w.in(year)})
	}
	w.refuse(identity.ErrDenied, "north", "guardian", identity.GuardianArgs{Name: alice, Guardian: "mallory@north", Kind: identity.Delegate})
	a := incapable()
	a.Guardian = "mallory@north"
	w.must("north", "guardian", a)
	w.wait(minWait)
	w.refuse(identity.ErrApprovals, "north", "finish-guardian", proposed(a))
	if w.acts(alice, "mallory@north") {
		t.Error("a proposal acts")
	}
}

// Attack: a stranger, and a delegate, name themselves or others.
func TestNobodyNamesHimself(t *testing.T) {
	w := family(t)
	w.refuse(identity.ErrDenied, string(bob), "guardian", identity.GuardianArgs{Name: alice, Guardian: bob, Kind: identity.Delegate})
	w.must(string(alice), "guardian", identity.GuardianArgs{Name: alice, Guardian: mum, Kind: identity.Delegate})
	w.refuse(identity.ErrDenied, string(mum), "guardian", identity.GuardianArgs{Name: alice, Guardian: bob, Kind: identity.Delegate})
	w.refuse(identity.ErrDenied, string(mum), "guardian", identity.GuardianArgs{Name: alice, Guardian: mum, Kind: identity.Delegate})
	w.refuse(identity.ErrDenied, string(alice), "guardian", identity.GuardianArgs{Name: alice, Guardian: bob, Kind: identity.Death})
}

func TestQuorumNamesAGuardian(t *testing.T) {
	w := family(t)
	a := incapable()
	w.must("north", "guardian", a)
	w.must("north", "approve-guardian", proposed(a)) // by proposing it did, and its word stands
	w.must("east", "approve-guardian", proposed(a))
	w.must("east", "approve-guardian", proposed(a)) // counts once
	w.wait(minWait - time.Millisecond)
	w.refuse(identity.ErrEarly, "north", "finish-guardian", proposed(a))
	w.wait(time.Millisecond)
	w.refuse(identity.ErrApprovals, "north", "finish-guardian", proposed(a))
	w.refuse(identity.ErrDenied, string(mum), "approve-guardian", proposed(a))
	w.refuse(identity.ErrDenied, string(mum), "finish-guardian", proposed(a))
	w.must("west", "approve-guardian", proposed(a))
	w.must("west", "finish-guardian", proposed(a))
	id := w.lookup(alice)
	if len(id.Proposals) != 0 || len(id.Guardians) != 1 || id.Guardians[0].By != "north" || id.Guardians[0].Kind != identity.Incapacity || !w.acts(alice, mum) {
		t.Errorf("named %+v", id)
	}
	w.refuse(identity.ErrGuardian, "west", "finish-guardian", proposed(a)) // once
	w.must(string(alice), "end-guardian", identity.EndGuardianArgs{Name: alice, Guardian: mum})
}

func TestWardObjectsToAGuardian(t *testing.T) {
	for story, object := range map[string]func(w *world){
		"veto": func(w *world) { w.must(string(alice), "veto", identity.VetoArgs{}) },
		"end": func(w *world) {
			w.must(string(alice), "end-guardian", identity.EndGuardianArgs{Name: alice, Guardian: mum})
		},
		"the guardian declines": func(w *world) {
			w.must(string(mum), "end-guardian", identity.EndGuardianArgs{Name: alice, Guardian: mum})
		},
		"the hospital thinks better of it": func(w *world) {
			w.must("north", "end-guardian", identity.EndGuardianArgs{Name: alice, Guardian: mum})
		},
	} {
		t.Run(story, func(t *testing.T) {
			w := family(t)
			a := incapable()
			w.must("north", "guardian", a)
			w.must("east", "approve-guardian", proposed(a))
			w.must("west", "approve-guardian", proposed(a))
			w.wait(minWait)
			object(w)
			w.refuse(identity.ErrGuardian, "north", "finish-guardian", proposed(a))
			if id := w.lookup(alice); len(id.Proposals) != 0 || w.acts(alice, mum) {
				t.Errorf("left %+v", id.Proposals)
			}
		})
	}
}

// Attack: the hospital collects words for one guardian, and changes him, the
// kind, the end or the wait before the last.
func TestWordIsForTheGuardianThatWasMeant(t *testing.T) {
	w := family(t)
	shown := incapable()
	w.must("north", "guardian", shown)
	w.must("east", "approve-guardian", proposed(shown))
	for _, change := range []func(a *identity.GuardianArgs){
		func(a *identity.GuardianArgs) { a.Guardian = bob },
		func(a *identity.GuardianArgs) { a.Kind = identity.Death },
		func(a *identity.GuardianArgs) { a.Until = w.in(year) },
		func(a *identity.GuardianArgs) { a.Wait++ },
	} {
		a := shown
		change(&a)
		w.must("north", "guardian", a)
		w.refuse(identity.ErrGuardian, "west", "approve-guardian", proposed(shown))
		if p := w.lookup(alice).Proposals; len(p) != 1 || !slices.Equal(p[0].Approvals, []string{"north"}) {
			t.Errorf("east's word was taken over: %+v", p)
		}
	}
	// Nor does the same proposal, opened again, keep them: its wait begins anew.
	w.must("north", "guardian", shown)
	w.must("east", "approve-guardian", proposed(shown))
	w.wait(minWait)
	w.must("north", "guardian", shown)
	w.refuse(identity.ErrEarly, "north", "finish-guardian", proposed(shown))
	if p := w.lookup(alice).Proposals; len(p) != 1 || len(p[0].Approvals) != 1 {
		t.Errorf("proposals %+v", p)
	}
}

func TestProposalLapses(t *testing.T) {
	w := family(t)
	a := incapable()
	w.must("north", "guardian", a)
	w.must("east", "approve-guardian", proposed(a))
	w.must("west", "approve-guardian", proposed(a))
	w.wait(minWait + window + time.Millisecond)
	w.refuse(identity.ErrGuardian, "north", "finish-guardian", proposed(a))
	w.refuse(identity.ErrGuardian, "south", "approve-guardian", proposed(a))
	a.Until = w.in(minWait)
	w.must("north", "guardian", a)
	w.must("east", "approve-guardian", proposed(a))
	w.must("west", "approve-guardian", proposed(a))
	w.wait(minWait)
	w.refuse(identity.ErrUntil, "north", "finish-guardian", proposed(a)) // it would end as it begins
}

// A recovery and a guardianship race: who gets the name by a recovery begins
// with nobody who acts for her, and nobody whose naming is under way.
func TestRecoveryRacingAGuardianshipEndsIt(t *testing.T) {
	w := family(t)
	a := incapable()
	w.must("north", "guardian", a)
	w.must("east", "approve-guardian", proposed(a))
	w.must("west", "approve-guardian", proposed(a))
	w.must(string(alice), "guardian", identity.GuardianArgs{Name: alice, Guardian: bob, Kind: identity.Delegate})
	w.must("east", "recover", recovery(alice, "new"))
	w.must("west", "approve", meant(alice, "new"))
	w.must("north", "approve", meant(alice, "new"))
	if p := w.lookup(alice).Proposals; len(p) != 1 || len(p[0].Approvals) != 3 {
		t.Errorf("a word on the key took back a word on the guardian: %+v", p)
	}
	w.wait(minWait)
	w.must("east", "finish", meant(alice, "new"))
	w.refuse(identity.ErrGuardian, "north", "finish-guardian", proposed(a))
	if id := w.lookup(alice); len(id.Guardians) != 0 || len(id.Proposals) != 0 || w.acts(alice, bob) {
		t.Errorf("recovered with %+v", id)
	}
}

// The other way round: the guardian is named first, and does not keep the owner
// from getting her name back, nor does he get it.
func TestGuardianCannotStopARecovery(t *testing.T) {
	w := family(t)
	a := incapable()
	w.must("north", "guardian", a)
	w.must("east", "approve-guardian", proposed(a))
	w.must("west", "approve-guardian", proposed(a))
	w.wait(minWait)
	w.must("north", "finish-guardian", proposed(a))
	w.must("east", "recover", recovery(alice, "new"))
	w.refuse(identity.ErrRecovery, string(mum), "veto", identity.VetoArgs{}) // of her own name
	w.must("west", "approve", meant(alice, "new"))
	w.must("north", "approve", meant(alice, "new"))
	w.wait(minWait)
	w.must("south", "finish", meant(alice, "new"))
	if w.acts(alice, mum) {
		t.Error("the guardian outlives the recovery")
	}
}

// Attack: a hospital names guardians for everybody whose key it holds, before it
// hands the keys over.
func TestHandOverEndsWhatTheHospitalNamed(t *testing.T) {
	w := family(t)
	w.must("north", "guardian", minor(w))
	a := identity.GuardianArgs{Name: kid, Guardian: bob, Kind: identity.Incapacity, Wait: identity.MinRecoveryWait}
	w.must("north", "guardian", a)
	w.must(string(kid), "hand-over", handOver(kid, "phone"))
	if id := w.lookup(kid); len(id.Guardians) != 0 || len(id.Proposals) != 0 {
		t.Errorf("handed over with %+v", id)
	}
	w.refuse(identity.ErrController, "north", "guardian", minor(w))
}

// Attack: the guardian does with the ward's name what is hers alone. He signs
// with his own key, so what he does he does to himself.
func TestGuardianTouchesNoKeysOfTheWard(t *testing.T) {
	w := family(t)
	w.must("north", "guardian", minor(w))
	before := w.lookup(kid)
	w.refuse(identity.ErrController, string(mum), "hand-over", handOver(kid, "grabbed"))
	w.refuse(identity.ErrPossession, string(mum), "rotate", rotation(kid, "grabbed"))
	w.must(string(mum), "epoch", identity.EpochArgs{})
	w.refuse(identity.ErrCustody, string(mum), "custody-off", identity.CustodyOffArgs{})
	w.refuse(identity.ErrDenied, string(mum), "recover", recovery(kid, "grabbed"))
	w.refuse(identity.ErrDenied, string(mum), "attest", identity.AttestArgs{Name: kid})
	after := w.lookup(kid)
	if after.Key != before.Key || after.Epoch != before.Epoch || after.Changed != before.Changed {
		t.Errorf("%+v became %+v", before, after)
	}
}

// What a member named counts while it is a member, as what it attests does. Her
// own delegates stay, and another member proposes, with a quorum.
func TestGuardiansAfterTheirHospitalHasLeft(t *testing.T) {
	k := ledgertest.Consortium(t, 5)
	w := newWorldOf(t, k)
	w.must("x5", "register", controlled("p-9@x5"))
	w.register(mum)
	w.register(bob)
	w.must("x5", "guardian", identity.GuardianArgs{Name: "p-9@x5", Guardian: mum, Kind: identity.Death})
	w.must("p-9@x5", "guardian", identity.GuardianArgs{Name: "p-9@x5", Guardian: bob, Kind: identity.Delegate})
	a := identity.GuardianArgs{Name: "p-9@x5", Guardian: mum, Kind: identity.Incapacity, Wait: identity.MinRecoveryWait}
	w.must("x5", "guardian", a)
	w.refuse(identity.ErrDenied, "east", "guardian", a)
	next := *k
	next.Members = k.Members[:4]
	w.succeed(&next)
	if w.acts("p-9@x5", mum) || !w.acts("p-9@x5", bob) {
		t.Error("the wrong one acts")
	}
	w.refuse(identity.ErrDenied, "x5", "guardian", a)
	w.refuse(identity.ErrGuardian, "east", "approve-guardian", proposed(a)) // it was x5's
	a.Wait = 0
	w.refuse(identity.ErrController, "east", "guardian", a)
	a.Wait = identity.MinRecoveryWait
	w.must("east", "guardian", a)
	w.must("west", "guardian", a) // the same, by another
	w.must("north", "approve-guardian", proposedBy("east", a))
	w.must("east", "approve-guardian", proposedBy("east", a)) // it did already, and its own stays
	w.must("west", "approve-guardian", proposedBy("east", a)) // its own falls
	if p := w.lookup("p-9@x5").Proposals; len(p) != 2 || p[0].Member != "east" || p[1].Member != "x5" {
		t.Errorf("proposals %+v", p)
	}
	w.wait(minWait)
	w.must("south", "finish-guardian", proposedBy("east", a))
	if !w.acts("p-9@x5", mum) {
		t.Error("the quorum's guardian does not act")
	}
}

// orphan is a world in which p-9@x5 has no hospital any more: any member may
// propose a guardian for her.
func orphan(t *testing.T) (*world, identity.GuardianArgs) {
	k := ledgertest.Consortium(t, 5)
	w := newWorldOf(t, k)
	w.must("x5", "register", controlled("p-9@x5"))
	w.register(mum)
	w.register(bob)
	next := *k
	next.Members = k.Members[:4]
	w.succeed(&next)
	return w, identity.GuardianArgs{Name: "p-9@x5", Guardian: mum, Kind: identity.Incapacity, Wait: identity.MinRecoveryWait}
}

// Attack: a member proposes what another did, with a wait that is shorter, to
// have the words for its own, or with one that is longer, to stall it.
func TestNobodyCatchesTheWordsForAnothersProposal(t *testing.T) {
	w, shown := orphan(t)
	shown.Wait = 2 * identity.MinRecoveryWait
	w.must("west", "guardian", shown)
	copied := shown
	copied.Wait = identity.MinRecoveryWait
	w.must("east", "guardian", copied)
	slow := shown
	slow.Wait = identity.MaxRecoveryWait
	w.must("north", "guardian", slow)
	w.must("south", "approve-guardian", proposedBy("west", shown))
	w.must("north", "approve-guardian", proposedBy("west", shown))
	w.refuse(identity.ErrGuardian, "south", "approve-guardian", proposedBy("west", copied))
	w.refuse(identity.ErrGuardian, "south", "approve-guardian", proposedBy("east", shown))
	w.wait(minWait)
	w.refuse(identity.ErrApprovals, "east", "finish-guardian", proposedBy("east", copied))
	w.refuse(identity.ErrEarly, "west", "finish-guardian", proposedBy("west", shown))
	w.wait(minWait)
	w.must("west", "finish-guardian", proposedBy("west", shown))
	if g := w.lookup(shown.Name).Guardians; len(g) != 1 || g[0].By != "west" {
		t.Errorf("guardians %+v", g)
	}
}

// A member has one word on who becomes guardian: with a proposal of its own it
// takes back the one that it gave to another's. What has lapsed is not kept.
func TestAMemberHasOneWordOnAGuardian(t *testing.T) {
	w, a := orphan(t)
	w.must("east", "guardian", a)
	w.must("west", "approve-guardian", proposedBy("east", a))
	w.must("north", "approve-guardian", proposedBy("east", a))
	b := a
	b.Guardian = bob
	w.must("west", "guardian", b)
	w.must("north", "approve-guardian", proposedBy("west", b))
	if p := w.lookup("p-9@x5").Proposals; len(p) != 2 || !slices.Equal(p[0].Approvals, []string{"east"}) || !slices.Equal(p[1].Approvals, []string{"north", "west"}) {
		t.Errorf("proposals %+v", p)
	}
	w.wait(minWait + window + time.Millisecond)
	w.must("south", "guardian", a)
	if p := w.lookup("p-9@x5").Proposals; len(p) != 1 || p[0].Member != "south" {
		t.Errorf("proposals %+v", p)
	}
}

// As many guardians as there may be: those whose time is up make room, those in
// force do not.
func TestGuardiansAreFew(t *testing.T) {
	w := family(t)
	for i := range identity.MaxGuardians {
		name := identity.Name("g-" + string(rune('a'+i)) + "@south")
		w.register(name)
		a := identity.GuardianArgs{Name: kid, Guardian: name, Kind: identity.Delegate}
		if i == 3 {
			a.Until = w.in(time.Hour)
		}
		w.must(string(kid), "guardian", a)
	}
	w.refuse(identity.ErrFull, string(kid), "guardian", identity.GuardianArgs{Name: kid, Guardian: mum, Kind: identity.Delegate})
	w.refuse(identity.ErrFull, "north", "guardian", minor(w))
	w.must(string(kid), "guardian", identity.GuardianArgs{Name: kid, Guardian: "g-a@south", Kind: identity.Delegate, Until: w.in(year)}) // again
	w.wait(time.Hour + time.Millisecond)
	w.must("north", "guardian", minor(w))
	w.refuse(identity.ErrFull, string(kid), "guardian", identity.GuardianArgs{Name: kid, Guardian: mum, Kind: identity.Delegate})
	id := w.lookup(kid)
	if len(id.Guardians) != identity.MaxGuardians || !slices.IsSortedFunc(id.Guardians, func(a, b identity.Guardian) int {
		if a.Name < b.Name || a.Name == b.Name && a.By < b.By {
			return -1
		}
		return 1
	}) {
		t.Errorf("guardians %+v", id.Guardians)
	}
}

func TestMalformedGuardianships(t *testing.T) {
	w := family(t)
	for story, change := range map[string]func(a *identity.GuardianArgs){
		"of herself":           func(a *identity.GuardianArgs) { a.Guardian = kid },
		"a minor for ever":     func(a *identity.GuardianArgs) { a.Until = 0 },
		"before the beginning": func(a *identity.GuardianArgs) { a.Until = -1 },
		"too short a wait":     func(a *identity.GuardianArgs) { a.Wait = identity.MinRecoveryWait - 1 },
		"too long a wait":      func(a *identity.GuardianArgs) { a.Wait = identity.MaxRecoveryWait + 1 },
		"a delegate who waits": func(a *identity.GuardianArgs) { a.Kind, a.Wait = identity.Delegate, identity.MinRecoveryWait },
		"an unknown kind":      func(a *identity.GuardianArgs) { a.Kind = "uncle" },
		"no kind":              func(a *identity.GuardianArgs) { a.Kind = "" },
		"no name":              func(a *identity.GuardianArgs) { a.Name = "" },
		"no guardian":          func(a *identity.GuardianArgs) { a.Guardian = "mum" },
	} {
		a := minor(w)
		change(&a)
		if code := w.call("north", "guardian", a); code != identity.ErrMalformed {
			t.Errorf("%s: %q", story, code)
		}
	}
	for _, method := range []string{"approve-guardian", "finish-guardian"} {
		w.refuse(identity.ErrMalformed, "north", method, identity.ProposalArgs{Name: kid, Guardian: "mum"})
		w.refuse(identity.ErrUnknown, "north", method, identity.ProposalArgs{Name: "nobody@north", Guardian: mum})
	}
	w.refuse(identity.ErrMalformed, "north", "end-guardian", identity.EndGuardianArgs{Name: kid})
	w.refuse(identity.ErrUnknown, "north", "end-guardian", identity.EndGuardianArgs{Name: "nobody@north", Guardian: mum})
	for want, change := range map[chain.Code]func(a *identity.GuardianArgs){
		identity.ErrUnknown: func(a *identity.GuardianArgs) { a.Guardian = "nobody@south" },
		identity.ErrUntil:   func(a *identity.GuardianArgs) { a.Until = w.Now.UnixMilli() },
	} {
		a := minor(w)
		change(&a)
		w.refuse(want, "north", "guardian", a)
	}
	w.refuse(identity.ErrUnknown, "north", "guardian", identity.GuardianArgs{Name: "nobody@north", Guardian: mum, Kind: identity.Death})
}
