package abe

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"
)

// TestANDShareAttackOfCIRCL610 is the attack for which everything before CIRCL
// v1.6.4 falls: the leaf that every key has by construction, alone, opened every
// policy. It must succeed on a ciphertext of that time, or it proves nothing,
// and fail on ours, as must every other set of leaves that does not satisfy the
// policy.
func TestANDShareAttackOfCIRCL610(t *testing.T) {
	b, err := os.ReadFile("testdata/circl-610.json")
	must(t, err)
	var old struct{ Policy, Plaintext, Master_key, Ciphertext string }
	must(t, json.Unmarshal(b, &old))
	master, err := hex.DecodeString(old.Master_key)
	must(t, err)
	ciphertext, err := hex.DecodeString(old.Ciphertext)
	must(t, err)
	secret, err := parseSecret(master)
	must(t, err)
	var guest tkn20.Attributes
	guest.FromMap(map[string]string{"role": "guest"})
	issued, err := secret.KeyGen(rand.Reader, guest)
	must(t, err)
	if _, err := issued.Decrypt(ciphertext); err == nil {
		t.Fatal("CIRCL opens for a key that does not satisfy the policy")
	}
	broken, key := parseRawCiphertext(t, ciphertext), parseRawKey(t, &issued)
	plain, err := broken.open(key, use{len(broken.leaves) - 1, key})
	if err != nil || string(plain) != old.Plaintext {
		t.Fatalf("the attack does not work on a ciphertext that it broke: %q, %v", plain, err)
	}

	w := sharedWorld()
	policies := []string{"role = physician and dept = icu", "2 of (role = physician, dept = icu, not contractor)"}
	if testing.Short() {
		policies = policies[:1]
	}
	for _, policy := range policies {
		s := w.seal(t, policy)
		c := parseRawCiphertext(t, s.kem(t, 0))
		mallory := parseRawKey(t, w.key(t, "mallory", "role = nurse, dept = icu, contractor").secret)
		if _, err := c.open(mallory, use{len(c.leaves) - 1, mallory}); err == nil {
			t.Fatalf("%s: the wildcard opens alone", policy)
		}
		if opened := c.attackAll(mallory); len(opened) > 0 {
			t.Fatalf("%s: %d sets of leaves open", policy, len(opened))
		}
		// The same attack by who satisfies the policy is decryption.
		alice := parseRawKey(t, w.key(t, "alice", "role = physician, dept = icu").secret)
		if opened := c.attackAll(alice); len(opened) == 0 {
			t.Fatalf("%s: the second implementation opens nothing", policy)
		}
	}
}

// kem returns what tkn20 made for one of the authorities.
func (s sealed) kem(t testing.TB, i int) []byte {
	t.Helper()
	a, err := ParseAudience(s.description)
	must(t, err)
	seals, err := parseSealed(s.bytes, len(a.refs))
	must(t, err)
	return seals[i].kem
}

// TestCollusionOfTwoKeysOpensNothing: one has the role, the other the department.
func TestCollusionOfTwoKeysOpensNothing(t *testing.T) {
	w := sharedWorld()
	s := w.seal(t, "role = physician and dept = icu")
	a, b := w.key(t, "alice", "role = physician"), w.key(t, "bob", "role = nurse, dept = icu")
	c := parseRawCiphertext(t, s.kem(t, 0))
	if opened := c.attackAll(parseRawKey(t, a.secret), parseRawKey(t, b.secret)); len(opened) > 0 {
		t.Fatalf("%d combinations open", len(opened))
	}

	// The files themselves, cut and glued: alice's with bob's value and point
	// for the department.
	forged := splice(t, a.secret, b.secret, w.northA.labels(a.attributes), memberLabel(w.northA.label("dept"), "icu"))
	if _, err := forged.Decrypt(s.kem(t, 0)); err == nil {
		t.Fatal("a key made of two opens")
	}
	both := w.key(t, "carol", "role = physician, dept = icu")
	must(t, s.open(t, both))
	both.secret = forged
	if err := both.Check(); err == nil {
		t.Fatal("a key made of two passes its check")
	}
}

// splice returns key with the value and the point of one label from another.
func splice(t testing.TB, key, from *tkn20.AttributeKey, labels map[string]string, label string) *tkn20.AttributeKey {
	t.Helper()
	a, err := key.MarshalBinary()
	must(t, err)
	b, err := from.MarshalBinary()
	must(t, err)
	for i, j := 0, 0; ; i++ { // both files have the same labels at the same places
		k := strings.Index(string(a[i:]), label)
		if k < 0 {
			if j != 2 {
				t.Fatalf("%d occurrences of the label", j)
			}
			break
		}
		i += k + len(label)
		copy(a[i:i+33], b[i:i+33])
		if j++; j == 2 {
			copy(a[i:i+2+4+4*g1Size], b[i:i+2+4+4*g1Size])
		}
	}
	forged := new(tkn20.AttributeKey)
	must(t, forged.UnmarshalBinary(a))
	return forged
}

// TestWildcardInAKeyFileGivesNothing: tkn20's keys may say of an attribute that
// it has every value. Nobody can issue such a key here, and a file that claims
// it is refused, and would not open anything.
func TestWildcardInAKeyFileGivesNothing(t *testing.T) {
	w := sharedWorld()
	s := w.seal(t, "role = physician")
	nurse := w.key(t, "bob", "role = nurse")
	b, err := nurse.secret.MarshalBinary()
	must(t, err)
	label := w.northA.label("role")
	b[strings.Index(string(b), label)+len(label)] = 1
	if _, err := parseAttributeKey(b, w.northA.labels(nurse.attributes)); err == nil {
		t.Error("a wildcard passes")
	}
	var forged tkn20.AttributeKey
	must(t, forged.UnmarshalBinary(b))
	if _, err := forged.Decrypt(s.kem(t, 0)); err == nil {
		t.Error("a wildcard opens")
	}

	// The wildcard that tkn20 puts into every key cannot be asked for by name.
	for _, text := range []string{wildcardLabel + " flag", "a-b flag"} {
		if _, err := ParseCatalogue(text); err == nil {
			t.Errorf("%s is an attribute", text)
		}
	}
	for _, label := range nurseLabels(w, nurse) {
		if label >= wildcardLabel {
			t.Errorf("label %s is not before the wildcard", label)
		}
	}
}

func nurseLabels(w *world, k *Key) (list []string) {
	for l := range w.northA.labels(k.attributes) {
		list = append(list, l)
	}
	return list
}

// TestNotHoldsForWhoLacksTheAttribute: in tkn20 it does not.
func TestNotHoldsForWhoLacksTheAttribute(t *testing.T) {
	secret, public := new(tkn20.SystemSecretKey), tkn20.PublicKey{}
	var err error
	public, *secret, err = tkn20.Setup(rand.Reader)
	must(t, err)
	bare, err := parseTKN20("not role:nurse")
	must(t, err)
	ciphertext, err := public.Encrypt(rand.Reader, bare, []byte("x"))
	must(t, err)
	var none, other tkn20.Attributes
	none.FromMap(map[string]string{"unit": "n1"})
	other.FromMap(map[string]string{"role": "physician"})
	for _, c := range []struct {
		attributes tkn20.Attributes
		opens      bool
	}{{none, false}, {other, true}} {
		k, err := secret.KeyGen(rand.Reader, c.attributes)
		must(t, err)
		if _, err := k.Decrypt(ciphertext); (err == nil) != c.opens {
			t.Fatalf("tkn20's \"not\" has changed: %v", err)
		}
	}

	w := sharedWorld()
	nobody := w.key(t, "nobody", "")
	for _, policy := range []string{"not role = nurse", "not contractor", "not dept = icu", "not dept in (er, icu)", "not grade = 3", "not grade < 5", "not grade >= 5", "not unit = n1"} {
		must(t, w.seal(t, policy).open(t, nobody))
	}
	for _, policy := range []string{"role = nurse", "contractor", "dept = icu", "grade = 0", "grade < 5", "grade >= 0", "grade <= 7", "unit = n1"} {
		s := w.seal(t, policy)
		if s.open(t, nobody) == nil || s.force(t, nobody) == nil {
			t.Errorf("%s opens for who has nothing", policy)
		}
	}
}

// TestRepeatedLabels: one attribute in several clauses, and a clause several
// times.
func TestRepeatedLabels(t *testing.T) {
	w := sharedWorld()
	k := w.key(t, "alice", "role = nurse, dept = er, dept = icu")
	for policy, opens := range map[string]bool{
		"dept = icu and dept = er":                                       true,
		"role = nurse or role = physician":                               true,
		"role = nurse and role = physician":                              false,
		"role = nurse and role = nurse and role = nurse":                 true,
		"role = nurse and not role = nurse":                              false,
		"not role = physician and not role = pharmacist":                 true,
		"not role = physician and not role = nurse":                      false,
		"2 of (role = nurse, role = nurse, role = physician)":            true,
		"2 of (role = nurse, role = physician, role = physician)":        false,
		"(role = nurse or contractor) and (role = nurse or grade >= 4)":  true,
		"(role = nurse and contractor) or (role = nurse and grade >= 4)": false,
	} {
		s := w.seal(t, policy)
		if (s.open(t, k) == nil) != opens || (s.force(t, k) == nil) != opens {
			t.Errorf("%s: want %v", policy, opens)
		}
	}
}

// TestTrailingTextIsNoPolicy: tkn20's parser reads the first of these as
// "role:doctor".
func TestTrailingTextIsNoPolicy(t *testing.T) {
	for _, text := range []string{
		"(role: doctor) AND (dept: cardio)", "(role:doctor) (dept:cardio)", "role:doctor)", "(a:b and c:d) e:f",
		" role:doctor", "role: doctor", "(role:doctor)", "a:b and c:d and e:f", "not (a:b and c:d)", "", "(", "a", "a:", "not",
	} {
		if _, err := parseTKN20(text); err == nil {
			t.Errorf("%q passes", text)
		}
	}
	for _, text := range []string{"a:b", "not a:b", "((a:b and not c:d) or a:b)"} {
		if _, err := parseTKN20(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"(role = doctor) AND (dept = cardio)", "(contractor) (contractor)", "contractor)", "contractor,", "contractor contractor", "role = a b"} {
		if p, err := ParsePolicy(text); err == nil {
			t.Errorf("%q is read as %q", text, p)
		}
	}
}
