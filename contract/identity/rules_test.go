package identity_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
)

func TestRulesAreSortedAndNobodyChangesThem(t *testing.T) {
	rules := identity.Rules()
	if !slices.IsSortedFunc(rules, func(a, b identity.Rule) int {
		return strings.Compare(a.Contract+"\x00"+a.Method, b.Contract+"\x00"+b.Method)
	}) {
		t.Error("not sorted by contract and method")
	}
	for i, r := range rules {
		if i > 0 && r.Contract == rules[i-1].Contract && r.Method == rules[i-1].Method {
			t.Errorf("two lines for %s/%s", r.Contract, r.Method)
		}
	}
	rules[0].By = identity.ByAnyone
	if identity.Rules()[0].By == identity.ByAnyone {
		t.Error("a caller has changed the table")
	}
}

// Every line of the table, against everybody who might sign.
func TestTableDecidesWhoMayCall(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	for _, attribute := range []string{"author", "registrar", "emergency", "reviewer", "auditor"} {
		w.register(identity.Name(attribute+"@north"), attribute)
	}
	w.must(string(alice), "rotate", rotation(alice, "new"))
	everybody := []string{"north", "south", "new", "author@north", "registrar@north", "emergency@north", "reviewer@north", "auditor@north", "stranger", string(alice)}
	identities := everybody[2:8]
	may := map[identity.Party][]string{
		identity.ByMember:      {"north", "south"},
		identity.ByRegistrar:   {"north", "south", "registrar@north"},
		identity.ByAnyone:      identities,
		identity.ByEither:      append([]string{"north", "south"}, identities...),
		identity.ByAuthor:      identities, // the contract looks at the attribute or at the owner
		identity.ByEmergency:   {"emergency@north"},
		identity.ByReviewer:    {"reviewer@north"},
		identity.ByParticipant: everybody, // the contract looks at the key
	}
	for _, rule := range identity.Rules() {
		if rule.Contract == identity.Contract {
			continue // its own tests
		}
		if may[rule.By] == nil {
			t.Fatalf("%q is nobody", rule.By)
		}
		for _, signer := range everybody {
			r := w.Run(w.Tx(signer, rule.Contract, rule.Method, []byte{}))[0]
			allowed := slices.Contains(may[rule.By], signer)
			if allowed != (r.Code == "") || !allowed && r.Code != identity.ErrDenied {
				t.Errorf("%s calls %s/%s, which is for %s: %q", signer, rule.Contract, rule.Method, rule.By, r.Code)
			}
			want := "identity " + signer
			switch signer {
			case "north", "south":
				want = "member " + signer
			case "new":
				want = "identity " + string(alice)
			case "stranger", string(alice): // a key that nobody registered, and one of the past
				want = "key"
			}
			if allowed && string(r.Value) != want {
				t.Errorf("%s is taken for %q", signer, r.Value)
			}
		}
	}
}

func TestWhatIsNotInTheTableCannotBeCalled(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	for _, signer := range []string{"north", string(alice)} {
		for _, c := range [][2]string{{"consent", "accep"}, {"consent", "accepts"}, {"other", "accept"}, {"keys", "grant"}} {
			if r := w.Run(w.Tx(signer, c[0], c[1], []byte{}))[0]; r.Code != identity.ErrDenied {
				t.Errorf("%s calls %s: %q", signer, c, r.Code)
			}
		}
		w.refuse(identity.ErrDenied, signer, "registe", registration("p-1@north"))
	}
}

func TestAttributeEndsWithItsTime(t *testing.T) {
	w := newWorld(t)
	a := registration(bob)
	a.Attributes = []identity.Attribute{{Name: "emergency", Until: w.Now.UnixMilli()}}
	w.must("south", "register", a)
	breakGlass := func() chain.Code { return w.Run(w.Tx(string(bob), "consent", "emergency", []byte{}))[0].Code }
	if code := breakGlass(); code != "" {
		t.Errorf("in time: %q", code)
	}
	w.wait(time.Millisecond)
	if code := breakGlass(); code != identity.ErrDenied {
		t.Errorf("late: %q", code)
	}
}

// What a hospital attests counts while it is a member: one that was put out must
// not go on breaking glass. Its patients keep what is theirs.
func TestAttributesOfAFormerMemberCountNoMore(t *testing.T) {
	k := ledgertest.Consortium(t, 5)
	w := newWorldOf(t, k)
	w.register("dr.no@x5", "emergency", "registrar", "reviewer")
	next := *k
	next.Members = k.Members[:4]
	w.succeed(&next)
	for method, want := range map[string]chain.Code{"emergency": identity.ErrDenied, "review": identity.ErrDenied, "revoke": ""} {
		if r := w.Run(w.Tx("dr.no@x5", "consent", method, []byte{}))[0]; r.Code != want {
			t.Errorf("%s: %q", method, r.Code)
		}
	}
	w.refuse(identity.ErrDenied, "dr.no@x5", "register", registration("p-1@x5"))
	w.refuse(identity.ErrDenied, "x5", "register", registration("p-1@x5"))
	id := w.lookup("dr.no@x5")
	if !id.Has("emergency", "", 0) || id.Vouched(w.Consortium, "emergency", "", 0) || !id.Vouched(k, "emergency", "", 0) {
		t.Error("Has is what was attested, Vouched is what counts")
	}
}

// A node key that was an identity's before speaks for the member.
func TestNodeKeyComesFirst(t *testing.T) {
	k := ledgertest.Consortium(t, 4)
	w := newWorldOf(t, k)
	w.register(alice)
	next := *k
	next.Members = append(slices.Clone(k.Members), chain.Member{Name: "x5", NodeKey: ledgertest.Public(string(alice)), URL: "https://x5.example", Peer: "x5.example:7700"})
	w.succeed(&next)
	if r := w.Run(w.Tx(string(alice), "consent", "accept", []byte{}))[0]; string(r.Value) != "member x5" {
		t.Errorf("%q %q", r.Value, r.Code)
	}
	w.refuse(identity.ErrDenied, string(alice), "epoch", identity.EpochArgs{})
}
