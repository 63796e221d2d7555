package identity_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
)

const (
	alice identity.Name = "p-7f3a@north"
	bob   identity.Name = "dr.lee@south"
	desk  identity.Name = "desk@north"
)

func TestMemberRegistersItsOwn(t *testing.T) {
	w := newWorld(t)
	w.Run(w.Tx("north", "other", "nothing", nil)) // so that index 0 means something
	a := controlled(alice)
	a.Attributes = []identity.Attribute{{Name: "author"}, {Name: "ward", Value: "3b", Until: 5}}
	w.must("north", "register", a)
	id := w.lookup(alice)
	if id.Name != alice || id.Key != ledgertest.Public(string(alice)) || id.Controller != "north" || id.Registered != 1 || id.Changed != 1 ||
		id.Version != 0 || len(id.Custody) != 0 || id.Epoch != 0 || !slices.Equal(id.Attributes, a.Attributes) || len(id.Recoveries) != 0 {
		t.Errorf("registered %+v", id)
	}
	by, err := identity.ByKey(w.space(), ledgertest.Public(string(alice)))
	if err != nil || by.Name != alice {
		t.Errorf("the key signs for %v, %v", by, err)
	}
	w.register(bob)
	if id := w.lookup(bob); id.Controller != "" {
		t.Errorf("a person who holds the key is controlled by %q", id.Controller)
	}
}

func TestRegistrarRegistersForItsOrganisation(t *testing.T) {
	w := newWorld(t)
	w.register(desk, "registrar")
	w.must(string(desk), "register", registration(alice, "author"))
	if !w.lookup(alice).Has("author", "", 0) {
		t.Error("attribute is missing")
	}
}

func TestChangesAreTold(t *testing.T) {
	w := newWorld(t)
	r := w.Run(w.Tx("north", "identity", "register", registration(alice)))[0]
	var told identity.Identity
	if len(r.Events) != 1 || r.Events[0].Kind != identity.EventChanged || chain.Unmarshal(r.Events[0].Data, &told) != nil || told.Name != alice {
		t.Errorf("events %v", r.Events)
	}
	if len(r.Value) != 0 {
		t.Errorf("result %x", r.Value)
	}
}

func TestRegisterIsDeniedToOthers(t *testing.T) {
	w := newWorld(t)
	w.register(desk, "registrar")
	w.register("desk@south", "registrar")
	w.register("clerk@north", "author")
	for _, signer := range []string{"south", "desk@south", "clerk@north", "nobody", string(alice)} {
		w.refuse(identity.ErrDenied, signer, "register", registration(alice))
	}
	w.must(string(desk), "register", registration(alice))
}

func TestRegistrarWhoseTimeIsUpRegistersNobody(t *testing.T) {
	w := newWorld(t)
	a := registration(desk)
	a.Attributes = []identity.Attribute{{Name: "registrar", Until: w.Now.UnixMilli()}}
	w.must("north", "register", a)
	w.must(string(desk), "register", registration("p-1@north"))
	w.wait(time.Millisecond)
	w.refuse(identity.ErrDenied, string(desk), "register", registration("p-2@north"))
}

func TestRegistrarMakesNoRegistrar(t *testing.T) {
	w := newWorld(t)
	w.register(desk, "registrar")
	w.refuse(identity.ErrDenied, string(desk), "register", registration("friend@north", "registrar"))
	w.register("friend@north", "author")
	w.refuse(identity.ErrDenied, string(desk), "attest", identity.AttestArgs{Name: "friend@north", Attributes: attribute("registrar")})
	w.must("north", "attest", identity.AttestArgs{Name: "friend@north", Attributes: attribute("registrar")})
}

// A registrar leaves registrars as they are, itself included: it neither
// prolongs its own term nor ends another's.
func TestRegistrarChangesNoRegistrar(t *testing.T) {
	w := newWorld(t)
	a := registration(desk)
	a.Attributes = []identity.Attribute{{Name: "registrar", Until: w.Now.Add(time.Hour).UnixMilli()}}
	w.must("north", "register", a)
	w.register("friend@north", "author", "registrar")
	w.refuse(identity.ErrDenied, string(desk), "attest", identity.AttestArgs{Name: desk, Attributes: attribute("registrar")})
	w.refuse(identity.ErrDenied, string(desk), "attest", identity.AttestArgs{Name: "friend@north", Attributes: attribute("author")})
	w.must(string(desk), "attest", identity.AttestArgs{Name: "friend@north", Attributes: attribute("icu", "registrar")})
	w.must("north", "attest", identity.AttestArgs{Name: "friend@north", Attributes: attribute("author")})
}

// TestStolenRegistrarNamesNobodyWhoSeesMore: neither emergency clinicians, who
// break the glass two at a time, nor auditors nor reviewers.
func TestStolenRegistrarNamesNobodyWhoSeesMore(t *testing.T) {
	w := newWorld(t)
	w.register(desk, "registrar")
	w.register("friend@north", "author")
	for _, a := range []string{"auditor", "emergency", "registrar", "reviewer"} {
		w.refuse(identity.ErrDenied, string(desk), "register", registration("puppet@north", a))
		both := []string{a, "author"}
		slices.Sort(both)
		w.refuse(identity.ErrDenied, string(desk), "attest", identity.AttestArgs{Name: "friend@north", Attributes: attribute(both...)})
	}
	w.must("north", "attest", identity.AttestArgs{Name: "friend@north", Attributes: attribute("author", "emergency")})
	later := []identity.Attribute{{Name: "author"}, {Name: "emergency", Until: w.Now.Add(time.Hour).UnixMilli()}}
	w.refuse(identity.ErrDenied, string(desk), "attest", identity.AttestArgs{Name: "friend@north", Attributes: later})
	w.must(string(desk), "attest", identity.AttestArgs{Name: "friend@north", Attributes: attribute("emergency", "icu")})
}

func TestNamesAreTakenOnce(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	again := registration(alice)
	again.Key, again.Possession = ledgertest.Public("other"), possession("other", "register", alice)
	w.refuse(identity.ErrTaken, "north", "register", again)
}

func TestAKeyIsNeverTwoIdentities(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	twice := func(name identity.Name, key string) identity.RegisterArgs {
		a := registration(name)
		a.Key, a.Possession = ledgertest.Public(key), possession(key, "register", name)
		return a
	}
	w.refuse(identity.ErrTaken, "south", "register", twice(bob, string(alice)))
	w.must(string(alice), "rotate", rotation(alice, "alice-2"))
	w.refuse(identity.ErrTaken, "south", "register", twice(bob, string(alice))) // nor when it is a key of the past
	w.must("east", "recover", recovery(alice, "alice-3"))
	w.must("alice-2", "veto", identity.VetoArgs{})
	w.refuse(identity.ErrTaken, "south", "register", twice(bob, "alice-3")) // nor when it never was in force
	w.refuse(identity.ErrTaken, "alice-2", "rotate", rotation(alice, string(alice)))
	w.refuse(identity.ErrTaken, "alice-2", "rotate", rotation(alice, "alice-2"))
	w.refuse(identity.ErrTaken, "east", "recover", recovery(alice, "alice-3"))
}

func TestNodeKeyIsNoIdentity(t *testing.T) {
	w := newWorld(t)
	a := registration("node@south")
	a.Key, a.Possession = ledgertest.Public("south"), possession("south", "register", "node@south")
	w.refuse(identity.ErrTaken, "south", "register", a)
	w.must("north", "register", controlled(alice))
	w.refuse(identity.ErrTaken, string(alice), "rotate", rotation(alice, "north"))
	w.refuse(identity.ErrTaken, string(alice), "hand-over", handOver(alice, "north"))
	w.refuse(identity.ErrTaken, "east", "recover", recovery(alice, "east"))
}

// Somebody else's key must not be registered: its holder would sign for a name
// that it has never heard of.
func TestStrangersKeyIsNotCaptured(t *testing.T) {
	w := newWorld(t)
	good := registration(alice)
	for story, proof := range map[string][]byte{
		"none":                 nil,
		"another key's":        possession("mallory", "register", alice),
		"for another name":     possession(string(alice), "register", bob),
		"for another use":      possession(string(alice), "rotate", alice),
		"too long":             append(slices.Clone(good.Possession), 0),
		"a flipped bit in one": append([]byte{good.Possession[0] ^ 1}, good.Possession[1:]...),
	} {
		bad := good
		bad.Possession = proof
		if code := w.call("north", "register", bad); code != identity.ErrPossession {
			t.Errorf("proof %s gives %q", story, code)
		}
	}
	otherChain(t).refuse(identity.ErrPossession, "north", "register", good)
	w.must("north", "register", good)
	w.refuse(identity.ErrPossession, string(alice), "rotate", identity.RotateArgs{Key: ledgertest.Public("mallory"), Possession: possession("mallory", "register", alice)})
	w.refuse(identity.ErrPossession, "east", "recover", identity.RecoverArgs{Name: alice, Key: ledgertest.Public("mallory"), Possession: possession("mallory", "rotate", alice), Wait: identity.MinRecoveryWait})
	w.must("north", "register", controlled("p-2@north"))
	w.refuse(identity.ErrPossession, "p-2@north", "hand-over", identity.HandOverArgs{Key: ledgertest.Public("mallory"), Possession: possession("mallory", "rotate", "p-2@north")})
}

// Under the rules of ZIP 215 everybody can sign with a key of small order.
func TestKeyThatAnyoneSignsForIsRefused(t *testing.T) {
	w := newWorld(t)
	everyones := make([]byte, 64) // R = 1, s = 0
	everyones[0] = 1
	for story, key := range map[string]chain.PublicKey{
		"neutral":    {1},
		"order 4":    {},
		"order 2":    chain.PublicKey(append(append([]byte{0xec}, slices.Repeat([]byte{0xff}, 30)...), 0x7f)),
		"not a form": chain.PublicKey(append(append([]byte{0xee}, slices.Repeat([]byte{0xff}, 30)...), 0x7f)), // 1, not canonical
	} {
		if !key.Verify([]byte("anything"), everyones) {
			t.Errorf("%s: not a key that anyone signs for", story)
		}
		a := registration(alice)
		a.Key, a.Possession = key, everyones
		w.refuse(identity.ErrPossession, "north", "register", a)
	}
}

func TestPossessionStatementsDiffer(t *testing.T) {
	k := ledgertest.Public("k")
	seen := map[string]bool{}
	for _, s := range [][]byte{
		identity.PossessionStatement("a", "bc", "d", k), identity.PossessionStatement("ab", "c", "d", k),
		identity.PossessionStatement("a", "b", "cd", k), identity.PossessionStatement("a", "b", "cd", ledgertest.Public("l")),
	} {
		if seen[string(s)] || !strings.HasPrefix(string(s), "WARD-V1-POSSESSION") {
			t.Errorf("statement %q", s)
		}
		seen[string(s)] = true
	}
}

func TestAttestReplacesEverything(t *testing.T) {
	w := newWorld(t)
	w.register(bob, "author", "emergency")
	w.must("south", "attest", identity.AttestArgs{Name: bob, Attributes: []identity.Attribute{{Name: "reviewer"}, {Name: "role", Value: "icu"}}})
	id := w.lookup(bob)
	if id.Has("author", "", 0) || id.Has("emergency", "", 0) || !id.Has("reviewer", "", 0) || !id.Has("role", "icu", 0) {
		t.Errorf("attributes %v", id.Attributes)
	}
	w.must("south", "attest", identity.AttestArgs{Name: bob})
	if id := w.lookup(bob); len(id.Attributes) > 0 || id.Changed != 2 {
		t.Errorf("after all attributes are gone: %+v", id)
	}
}

func TestNobodyAttestsForAnotherOrganisation(t *testing.T) {
	w := newWorld(t)
	w.register(bob)
	w.register(desk, "registrar")
	for _, signer := range []string{"north", string(desk), string(bob), "nobody"} {
		w.refuse(identity.ErrDenied, signer, "attest", identity.AttestArgs{Name: bob, Attributes: attribute("emergency")})
	}
}

func TestUnknownNamesAreUnknown(t *testing.T) {
	w := newWorld(t)
	w.refuse(identity.ErrUnknown, "north", "attest", identity.AttestArgs{Name: alice})
	w.refuse(identity.ErrUnknown, "north", "recover", recovery(alice, "k"))
	w.refuse(identity.ErrUnknown, "north", "approve", meant(alice, "k"))
	w.refuse(identity.ErrUnknown, "north", "finish", meant(alice, "k"))
	for _, name := range []identity.Name{alice, "", "x", "@north"} {
		if _, err := identity.Lookup(w.space(), name); !errors.Is(err, identity.ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := identity.ByKey(w.space(), ledgertest.Public("nobody")); !errors.Is(err, identity.ErrUnknown) {
		t.Error(err)
	}
}

func TestPersonTakesOver(t *testing.T) {
	w := newWorld(t)
	w.must("north", "register", controlled(alice))
	w.must(string(alice), "hand-over", handOver(alice, "phone"))
	if id := w.lookup(alice); id.Controller != "" || id.Key != ledgertest.Public("phone") {
		t.Errorf("after the hand-over: %+v", id)
	}
	w.refuse(identity.ErrDenied, string(alice), "epoch", identity.EpochArgs{}) // the hospital's key is dead
	w.refuse(identity.ErrController, "phone", "hand-over", handOver(alice, "phone-2"))
	w.must("phone", "epoch", identity.EpochArgs{})
}

func TestRotatedKeyIsDead(t *testing.T) {
	w := newWorld(t)
	w.must("north", "register", controlled(alice))
	w.must(string(alice), "rotate", rotation(alice, "new"))
	if id := w.lookup(alice); id.Controller != "north" || id.Key != ledgertest.Public("new") {
		t.Errorf("after the rotation: %+v", id)
	}
	w.refuse(identity.ErrDenied, string(alice), "epoch", identity.EpochArgs{})
	w.must("new", "epoch", identity.EpochArgs{})
	if _, err := identity.ByKey(w.space(), ledgertest.Public(string(alice))); !errors.Is(err, identity.ErrUnknown) {
		t.Error(err)
	}
}

func TestRepeatedEpochChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.must(string(alice), "epoch", identity.EpochArgs{From: 0})
	w.refuse(identity.ErrEpoch, string(alice), "epoch", identity.EpochArgs{From: 0})
	w.refuse(identity.ErrEpoch, string(alice), "epoch", identity.EpochArgs{From: 2})
	w.must(string(alice), "epoch", identity.EpochArgs{From: 1})
	if id := w.lookup(alice); id.Epoch != 2 {
		t.Errorf("epoch %d", id.Epoch)
	}
}

func TestMalformedArgumentsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.register(bob)
	w.register(alice)
	attest := func(a ...identity.Attribute) identity.AttestArgs {
		return identity.AttestArgs{Name: bob, Attributes: a}
	}
	many := make([]identity.Attribute, identity.MaxAttributes+1)
	for i := range many {
		many[i] = identity.Attribute{Name: "a", Value: string(rune('a'+i/26)) + string(rune('a'+i%26))}
	}
	w.must("south", "attest", attest(many[1:]...))
	short, long := recovery(alice, "k"), recovery(alice, "k")
	short.Wait--
	long.Wait = identity.MaxRecoveryWait + 1
	for story, c := range map[string]struct {
		method string
		args   any
	}{
		"no bytes":                {"register", []byte{}},
		"not an array":            {"register", []byte{0xf6}},
		"trailing":                {"epoch", []byte{0x81, 0x00, 0x00}},
		"another length":          {"epoch", []byte{0x82, 0x00, 0x00}},
		"not canonical":           {"epoch", []byte{0x81, 0x18, 0x00}},
		"veto with words":         {"veto", []byte{0x81, 0x00}},
		"name":                    {"register", registration("Alice@south")},
		"no name":                 {"attest", identity.AttestArgs{}},
		"wait too short":          {"recover", short},
		"wait too long":           {"recover", long},
		"recovery of no name":     {"recover", recovery("", "k")},
		"approval of no name":     {"approve", meant("south", "k")},
		"finish of no name":       {"finish", meant("a@south/", "k")},
		"attribute no name":       {"attest", attest(identity.Attribute{})},
		"attribute capital":       {"attest", attest(identity.Attribute{Name: "Author"})},
		"attribute dot":           {"attest", attest(identity.Attribute{Name: "a.b"})},
		"attribute digit":         {"attest", attest(identity.Attribute{Name: "1a"})},
		"attribute dash":          {"attest", attest(identity.Attribute{Name: "-a"})},
		"attribute long":          {"attest", attest(identity.Attribute{Name: strings.Repeat("a", 49)})},
		"value capital":           {"attest", attest(identity.Attribute{Name: "a", Value: "B"})},
		"value space":             {"attest", attest(identity.Attribute{Name: "a", Value: "a b"})},
		"value letter":            {"attest", attest(identity.Attribute{Name: "a", Value: "ä"})},
		"value long":              {"attest", attest(identity.Attribute{Name: "a", Value: strings.Repeat("a", 49)})},
		"until":                   {"attest", attest(identity.Attribute{Name: "a", Until: -1})},
		"attributes not in order": {"attest", attest(identity.Attribute{Name: "b"}, identity.Attribute{Name: "a"})},
		"attribute twice":         {"attest", attest(identity.Attribute{Name: "a"}, identity.Attribute{Name: "a", Until: 7})},
		"too many attributes":     {"attest", attest(many...)},
		"too many at register":    {"register", identity.RegisterArgs{Name: "p-9@south", Attributes: many}},
	} {
		signer := "south"
		if c.method == "epoch" || c.method == "veto" {
			signer = string(bob)
		}
		if code := w.call(signer, c.method, c.args); code != identity.ErrMalformed {
			t.Errorf("%s gives %q", story, code)
		}
	}
	w.must("south", "attest", attest(identity.Attribute{Name: "a", Value: "a"}, identity.Attribute{Name: "a", Value: "a.b-c_d0"},
		identity.Attribute{Name: strings.Repeat("a", 48), Value: strings.Repeat("9", 48)}))
}

func otherChain(t *testing.T) *world {
	k := ledgertest.Consortium(t, 4)
	k.Chain = "other.example"
	return newWorldOf(t, k)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
