package identity_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
)

// published are the arguments of north's authority in an epoch, from a vector of
// package abe: they are the same in every run.
func published(epoch uint64) identity.AuthorityArgs {
	var v struct{ Input struct{ Bytes string } }
	if err := json.Unmarshal(must(os.ReadFile("../../abe/testdata/vectors/authority.json")), &v); err != nil {
		panic(err)
	}
	b := must(hex.DecodeString(v.Input.Bytes))
	at := bytes.Index(b, []byte("\x00\x00\x00\x05north")) + 9
	binary.BigEndian.PutUint64(b[at:], epoch)
	return identity.AuthorityArgs{Authority: b}
}

// masters are the secrets of authorities of all tests.
var masters = sync.OnceValue(func() map[string]*abe.MasterKey {
	m := make(map[string]*abe.MasterKey)
	for _, name := range []string{"north", "south"} {
		m[name] = must(abe.GenerateMasterKey(name))
	}
	return m
})

func authority(name string, epoch uint64, catalogue string) *abe.Authority {
	return must(masters()[name].Authority(epoch, must(abe.ParseCatalogue(catalogue))))
}

func TestAMemberPublishesItsAuthority(t *testing.T) {
	w := newWorld(t)
	if _, err := identity.CurrentAuthority(w.space(), "north"); err != identity.ErrNoAuthority {
		t.Errorf("before the first: %v", err)
	}
	w.must("north", "authority", published(1))
	first := must(identity.LookupAuthority(w.space(), "north", 0))
	ref := must(abe.ParseAuthority(published(1).Authority)).Ref()
	if first.Ref() != ref || !bytes.Equal(first.Raw, published(1).Authority) || first.Time != w.Head.Header.Time || first.Index != w.Head.Header.Size-1 {
		t.Errorf("authority is %+v", first)
	}
	w.wait(time.Hour)
	w.must("north", "authority", published(2))
	w.must("south", "authority", identity.AuthorityArgs{Authority: authority("south", 1, "role text\n").Bytes()})
	for _, c := range []struct {
		member string
		epoch  uint64
		want   uint64
		raw    bool
	}{{"north", 0, 2, true}, {"north", 2, 2, true}, {"north", 1, 1, false}, {"south", 0, 1, true}, {"north", 3, 0, false}, {"nort", 0, 0, false}, {"east", 1, 0, false}} {
		a, err := identity.LookupAuthority(w.space(), c.member, c.epoch)
		if c.want == 0 {
			if err != identity.ErrNoAuthority {
				t.Errorf("%s in epoch %d: %v", c.member, c.epoch, err)
			}
			continue
		}
		if err != nil || a.Name != c.member || a.Epoch != c.want || len(a.Raw) > 0 != c.raw {
			t.Errorf("%s in epoch %d: of %s in %d, %d bytes, %v", c.member, c.epoch, a.Name, a.Epoch, len(a.Raw), err)
		}
	}
	old := must(identity.LookupAuthority(w.space(), "north", 1))
	if first.Raw = nil; fmt.Sprint(old) != fmt.Sprint(first) {
		t.Errorf("epoch 1 became %+v", old)
	}
	r := w.Run(w.Tx("north", "identity", "authority", published(3)))[0]
	if len(r.Events) != 1 || r.Events[0].Kind != identity.EventAuthority || len(r.Events[0].Data) > 200 {
		t.Errorf("events are %v", r.Events)
	}
}

// TestAForgedAuthorityIsRefused: nobody but the member itself says what its
// staff's attributes are sealed to, and nobody goes back to an epoch whose keys
// leavers have.
func TestAForgedAuthorityIsRefused(t *testing.T) {
	w := newWorld(t)
	w.register(desk, "registrar")
	south := func(epoch uint64) identity.AuthorityArgs {
		return identity.AuthorityArgs{Authority: authority("south", epoch, "role text\n").Bytes()}
	}
	for _, signer := range []string{"south", "east", string(desk), "nobody"} {
		w.refuse(identity.ErrDenied, signer, "authority", published(1))
	}
	w.refuse(identity.ErrEpoch, "north", "authority", published(0))
	w.refuse(identity.ErrEpoch, "north", "authority", published(2))
	w.must("north", "authority", published(1))
	w.refuse(identity.ErrEpoch, "north", "authority", published(1))
	w.must("north", "authority", published(2))
	w.refuse(identity.ErrEpoch, "north", "authority", published(1))
	w.refuse(identity.ErrEpoch, "north", "authority", published(2))
	w.refuse(identity.ErrEpoch, "north", "authority", published(1<<64-1))
	w.refuse(identity.ErrDenied, "north", "authority", south(1))
	b := published(3).Authority
	for what, raw := range map[string][]byte{"nothing": nil, "a byte less": b[:len(b)-1], "a byte more": append(slices.Clone(b), 0), "another name": bytes.Replace(b, []byte("north"), []byte("Forth"), 1)} {
		if code := w.call("north", "authority", identity.AuthorityArgs{Authority: raw}); code != identity.ErrMalformed {
			t.Errorf("%s: %q", what, code)
		}
	}
	w.refuse(identity.ErrMalformed, "north", "authority", []byte{0x80})
}

// TestTheLargestAuthorityFits into a transaction and into the state.
func TestTheLargestAuthorityFits(t *testing.T) {
	w := newWorld(t)
	var catalogue strings.Builder
	for i := range 64 { // 256 values, of 64 bytes each
		fmt.Fprintf(&catalogue, "a%02d%s any of (", i, strings.Repeat("x", 29))
		for j := range 4 {
			if j > 0 {
				catalogue.WriteString(", ")
			}
			fmt.Fprintf(&catalogue, "v%d%s", j, strings.Repeat("y", 62))
		}
		catalogue.WriteString(")\n")
	}
	a := authority("south", 1, catalogue.String())
	w.must("south", "authority", identity.AuthorityArgs{Authority: a.Bytes()})
	t.Logf("%d bytes", len(a.Bytes()))
}

func TestAuthoritiesInTheStateArePinned(t *testing.T) {
	w := newWorld(t)
	w.must("north", "authority", published(1))
	w.must("north", "authority", published(2))
	h := sha256.New()
	for _, pair := range w.dump() {
		h.Write([]byte(pair + "\n"))
	}
	const want = "2dde0b6e46225b4322878f26f86810927c65ab319a4ae379deaeeb82cb60f8df"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("hash over the state is %s", got)
	}
}

// certified is an identity of south with attributes as policies have them.
func certified(attributes ...identity.Attribute) *identity.Identity {
	return &identity.Identity{Name: "dr.lee@south", Attributes: identity.Sorted(attributes)}
}

func TestAttributesAsPoliciesSpeakOfThem(t *testing.T) {
	for _, c := range []struct {
		attributes []identity.Attribute
		want       string
	}{
		{nil, ""},
		{[]identity.Attribute{{Name: "role", Value: "physician"}, {Name: "emergency"}}, "south:emergency, south:role = physician"},
		{[]identity.Attribute{{Name: "dept", Value: "icu"}, {Name: "dept", Value: "er"}}, "south:dept = er, south:dept = icu"},
		{[]identity.Attribute{{Name: "role", Value: "a", Until: 99}, {Name: "role", Value: "b", Until: 100}, {Name: "role", Value: "c"}}, "south:role = b, south:role = c"},
		{[]identity.Attribute{{Name: "on-call"}, {Name: "grade", Value: "3"}}, "south:grade = 3"},                        // no name of a policy's has a dash
		{[]identity.Attribute{{Name: "not"}, {Name: "unit", Value: "of"}, {Name: "unit", Value: "a"}}, "south:unit = a"}, // words of the language
		{[]identity.Attribute{{Name: "unit", Value: "_a"}, {Name: "unit", Value: "2026-09-01"}}, "south:unit = 2026-09-01"},
		{[]identity.Attribute{{Name: "level", Value: "-5"}, {Name: "level", Value: "-05"}, {Name: "level", Value: ".5"}}, "south:level = -5"},
		{[]identity.Attribute{{Name: "and"}, {Name: "role", Value: "not"}, {Name: "off-duty"}}, ""},
		{[]identity.Attribute{{Name: strings.Repeat("a", 33)}, {Name: "b"}}, "south:b"},
	} {
		got, err := certified(c.attributes...).Certified(100)
		if err != nil || got.String() != c.want {
			t.Errorf("%v: %q, %v, want %q", c.attributes, got, err, c.want)
		}
	}
}

// TestWhatCannotBeSaidWholeSatisfiesNothing: what is left out would satisfy a
// "not".
func TestWhatCannotBeSaidWholeSatisfiesNothing(t *testing.T) {
	k := ledgertest.Consortium(t, 4)
	p := must(abe.ParsePolicy("not south:contractor"))
	var many []identity.Attribute
	for i := range identity.MaxAttributes {
		many = append(many, identity.Attribute{Name: fmt.Sprintf("a%02d%s", i, strings.Repeat("x", 29)), Value: strings.Repeat("v", 48)})
	}
	long := certified(many...)
	long.Name = identity.Name("dr.lee@" + strings.Repeat("s", 48))
	for what, c := range map[string]struct {
		id *identity.Identity
		p  *abe.Policy
	}{
		"a flag with a value": {certified(identity.Attribute{Name: "contractor"}, identity.Attribute{Name: "contractor", Value: "x"}), p},
		"too long a list":     {long, must(abe.ParsePolicy("not " + long.Name.Org() + ":contractor"))},
	} {
		k.Members[0].Name = c.id.Name.Org()
		if _, err := c.id.Certified(0); err == nil {
			t.Errorf("%s: can be said", what)
		}
		if c.id.Satisfies(k, c.p, 0) {
			t.Errorf("%s: satisfies a not", what)
		}
	}
	k.Members[0].Name = "south"
	if !certified().Satisfies(k, p, 0) {
		t.Error("nothing satisfies it")
	}
	k.Members[0].Name = "east"
	k.Members = slices.DeleteFunc(k.Members, func(m chain.Member) bool { return m.Name == "south" })
	if certified().Satisfies(k, p, 0) {
		t.Error("a former member's staff satisfies it")
	}
}

// TestAPolicyIsSatisfiedByWhoseKeyWouldOpen compares the contract's word with a
// key's, for random policies over two hospitals.
func TestAPolicyIsSatisfiedByWhoseKeyWouldOpen(t *testing.T) {
	k := ledgertest.Consortium(t, 4)
	catalogue := "contractor flag\ndept any of (er, icu, x)\nrole text\n"
	north, south := authority("north", 1, catalogue), authority("south", 1, catalogue)
	sets := [][]identity.Attribute{nil, {{Name: "contractor"}}, {{Name: "role", Value: "physician"}, {Name: "dept", Value: "icu"}}, {{Name: "dept", Value: "er"}, {Name: "dept", Value: "icu"}, {Name: "contractor"}}}
	var keys []*abe.Key
	for _, s := range sets {
		text := must(certified(s...).Certified(0)).String()
		keys = append(keys, must(masters()["south"].Issue(south, "dr.lee@south", must(abe.ParseAttributes(strings.ReplaceAll(text, "south:", ""))))))
	}
	verdicts := map[bool]int{}
	rapid.Check(t, func(rt *rapid.T) {
		var text func(authority string, depth int) string
		text = func(authority string, depth int) string {
			op := rapid.IntRange(0, 6).Draw(rt, "op")
			if depth == 0 {
				op = min(op, 2)
			}
			switch op {
			case 0:
				return authority + ":contractor"
			case 1:
				return authority + ":role = " + rapid.SampledFrom([]string{"physician", "nurse"}).Draw(rt, "role")
			case 2:
				return authority + ":dept in (er, " + rapid.SampledFrom([]string{"icu", "x"}).Draw(rt, "dept") + ")"
			case 3:
				return "not (" + text(authority, depth-1) + ")"
			case 4:
				return "(" + text(authority, depth-1) + " and " + text(authority, depth-1) + ")"
			case 5:
				return "2 of (" + text(authority, depth-1) + ", " + text(authority, depth-1) + ", " + text(authority, depth-1) + ")"
			}
			return "(" + text(authority, depth-1) + " or " + text(authority, depth-1) + ")"
		}
		var parts []string
		var of []*abe.Authority
		for _, a := range []*abe.Authority{north, south} {
			if name := a.Ref().Name; rapid.IntRange(0, 2).Draw(rt, name) > 0 {
				parts, of = append(parts, text(name, 2)), append(of, a)
			}
		}
		if len(parts) == 0 {
			rt.Skip("no policy")
		}
		p := must(abe.ParsePolicy(strings.Join(parts, " or ")))
		r, err := abe.NewRecipient(p, of...)
		if err != nil {
			rt.Skip(err) // a contradiction, which nothing can be sealed to
		}
		for i, key := range keys {
			_, err := key.OpenHalf(r.Description(), []byte("nothing"), [32]byte{})
			want := errors.Is(err, abe.ErrDecrypt) // which only who satisfies it is told
			if got := certified(sets[i]...).Satisfies(k, r.Audience().Policy(), 0); got != want {
				rt.Fatalf("%s and %v: %v, but the key says %v", p, sets[i], got, err)
			}
			verdicts[want]++
		}
	})
	if verdicts[true] == 0 || verdicts[false] == 0 {
		t.Errorf("all verdicts are one: %v", verdicts)
	}
}

func ExampleIdentity_Satisfies() {
	id := &identity.Identity{Name: "dr.lee@north", Attributes: []identity.Attribute{{Name: "role", Value: "physician"}}}
	k := &chain.Consortium{Members: []chain.Member{{Name: "north"}, {Name: "south"}}}
	for _, text := range []string{"north:role = physician", "south:role = physician", "not south:contractor"} {
		p, err := abe.ParsePolicy(text)
		fmt.Println(id.Satisfies(k, p, 0), err)
	}
	// Output:
	// true <nil>
	// false <nil>
	// false <nil>
}
