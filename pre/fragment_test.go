package pre

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// answered is an access to three records under a grant, and what four members
// answer.
type answered struct {
	*consortium
	d       *Delegation
	g       *Grant
	shares  []*Share
	a       *Access
	key     *TransportKey
	answers []*Answer
	sealed  [][]byte
}

func newAnswered(t *testing.T, records int) *answered {
	c := newConsortium(t, 4, 3)
	alice := c.identity("p-1@north")
	f := &answered{consortium: c}
	f.d, f.shares = c.grant(alice, "lab", c.identity("dr.lee@south"))
	f.g = f.d.Grant()
	var all []*Record
	for i := range records {
		r, sealed := c.put(alice, "lab", fmt.Sprint(i))
		all, f.sealed = append(all, r), append(f.sealed, sealed)
	}
	f.a, f.key = c.access(all...)
	f.answers = answers(t, f.g, f.g.Sharing(), f.a, f.shares...)
	return f
}

// clone copies an answer so that a test may change it.
func (ans *Answer) clone() *Answer {
	c := *ans
	c.points = append([]pairing.G1(nil), ans.points...)
	return &c
}

func TestFragmentEveryInputOfTheChallengeCounts(t *testing.T) {
	f := newAnswered(t, 2)
	ans := f.answers[0]
	if err := ans.Verify(f.g, f.g.Sharing(), f.a); err != nil {
		t.Fatal(err)
	}
	otherAccess, otherRequester, fewer, swapped, foreign := *f.a, *f.a, *f.a, *f.a, *f.a
	otherAccess.ID[0] ^= 1
	otherRequester.Requester = append([]byte{1}, f.a.Requester[1:]...)
	fewer.Records = f.a.Records[:1]
	swapped.Records = []*Record{f.a.Records[1], f.a.Records[0]}
	unlisted, _ := f.put(f.identity("p-1@north"), "lab", "unlisted")
	foreign.Records = []*Record{f.a.Records[0], unlisted}
	renamed := *f.a.Records[1]
	renamed.context[0] ^= 1
	otherRecord := *f.a
	otherRecord.Records = []*Record{f.a.Records[0], &renamed}
	for name, a := range map[string]*Access{
		"another access": &otherAccess, "another requester": &otherRequester, "fewer records": &fewer,
		"records exchanged": &swapped, "an unlisted record": &foreign, "another record's context": &otherRecord,
	} {
		if err := ans.Verify(f.g, f.g.Sharing(), a); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(ans *Answer){
		"point":           func(ans *Answer) { ans.points[1] = ans.points[0] },
		"point negated":   func(ans *Answer) { ans.points[0] = ans.points[0].Neg() },
		"point missing":   func(ans *Answer) { ans.points = ans.points[:1] },
		"point too many":  func(ans *Answer) { ans.points = append(ans.points, ans.points[0]) },
		"challenge":       func(ans *Answer) { ans.challenge = ans.challenge.Add(pairing.NewScalar(1)) },
		"response":        func(ans *Answer) { ans.z = ans.z.Add(pairing.NewScalar(1)) },
		"another member":  func(ans *Answer) { ans.index = 2 },
		"both exchanged":  func(ans *Answer) { ans.challenge, ans.z = ans.z, ans.challenge },
		"another's proof": func(ans *Answer) { ans.challenge, ans.z = f.answers[1].challenge, f.answers[1].z },
	} {
		changed := ans.clone()
		change(changed)
		if err := changed.Verify(f.g, f.g.Sharing(), f.a); !errors.Is(err, ErrProof) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	for name, index := range map[string]uint8{"index 0": 0, "index n+1": 5} {
		changed := ans.clone()
		changed.index = index
		if err := changed.Verify(f.g, f.g.Sharing(), f.a); !errors.Is(err, ErrShares) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFragmentOfAnotherGrantRefused(t *testing.T) {
	f := newAnswered(t, 1)
	alice := f.identity("p-1@north")
	g2, shares2, err := f.extract(alice, "lab").Grant(f.terms("g2"), f.identity("dr.lee@south"))
	must(t, err)
	if err := f.answers[0].Verify(g2, g2.Sharing(), f.a); !errors.Is(err, ErrProof) {
		t.Errorf("an answer to one grant passes for another: %v", err)
	}
	foreign := answers(t, g2, g2.Sharing(), f.a, shares2[:3]...)
	var blame *BlameError
	if _, err := f.d.Open(f.g.Sharing(), f.a, foreign); !errors.As(err, &blame) {
		t.Errorf("answers to another grant are combined: %v", err)
	}
	// Same w₀, other context: the terms are bound even where the shares agree.
	twin := *f.g
	twin.context[0] ^= 1
	if err := f.answers[0].Verify(&twin, f.g.Sharing(), f.a); !errors.Is(err, ErrProof) {
		t.Errorf("an answer passes in another context: %v", err)
	}
}

func TestFragmentOfAnotherGenerationRefused(t *testing.T) {
	f := newAnswered(t, 1)
	second, shares := deal(t, recoverSecret(t, f.shares[:3]), 2, 4, 3)
	if err := f.answers[0].Verify(f.g, second, f.a); !errors.Is(err, ErrShares) {
		t.Errorf("an old answer in a new generation: %v", err)
	}
	relabelled := f.answers[0].clone()
	relabelled.generation = 2
	if err := relabelled.Verify(f.g, second, f.a); !errors.Is(err, ErrProof) {
		t.Errorf("an old answer relabelled: %v", err)
	}
	now := answers(t, f.g, second, f.a, shares...)
	mixed := []*Answer{now[0], now[1], f.answers[2]}
	if _, err := f.d.Open(second, f.a, mixed); !errors.Is(err, ErrShares) {
		t.Errorf("mixed generations: %v", err)
	}
}

func TestFragmentsOfWrongNumberRefused(t *testing.T) {
	f := newAnswered(t, 1)
	zero := f.answers[0].clone()
	zero.index = 0
	for name, got := range map[string][]*Answer{
		"none": nil, "t−1": f.answers[:2], "t+1": f.answers, "repeated": {f.answers[0], f.answers[1], f.answers[1]},
		"index 0": {zero, f.answers[1], f.answers[2]},
	} {
		if _, err := f.d.Open(f.g.Sharing(), f.a, got); !errors.Is(err, ErrShares) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFragmentWrongIsNamedAndNotUsed(t *testing.T) {
	f := newAnswered(t, 3)
	for name, change := range map[string]func(ans *Answer){
		"of another capsule": func(ans *Answer) { ans.points[1] = ans.points[2] },
		"short":              func(ans *Answer) { ans.points = ans.points[:2] },
		"shifted":            func(ans *Answer) { ans.points[2] = ans.points[2].Add(pairing.GeneratorG1()) },
	} {
		wrong := f.answers[1].clone()
		change(wrong)
		var blame *BlameError
		keys, err := f.d.Open(f.g.Sharing(), f.a, []*Answer{f.answers[0], wrong, f.answers[3]})
		if !errors.As(err, &blame) || fmt.Sprint(blame.Members) != "[2]" {
			t.Errorf("%s: %v", name, err)
		}
		for _, k := range keys {
			if k != nil {
				t.Errorf("%s: a key is returned beside the blame", name)
			}
		}
	}
	keys, err := f.d.Open(f.g.Sharing(), f.a, f.answers[1:])
	must(t, err)
	for j := range keys {
		if _, err := keys[j].OpenIndex(f.sealed[j]); err != nil {
			t.Error(err)
		}
	}
}

// TestFragmentForgeryWithKnownCoefficientsRefused tries the attack on
// coefficients that do not depend on the answer: move one point by Δ and
// another by −(ρ₁/ρ₂)·Δ.
func TestFragmentForgeryWithKnownCoefficientsRefused(t *testing.T) {
	f := newAnswered(t, 2)
	honest := f.answers[0]
	public, err := f.g.Sharing().member(1)
	must(t, err)
	st, err := grantStatement(f.g, f.g.Sharing(), f.a)
	must(t, err)
	rho := weights(st.hash(public, f.a, honest), 2)
	delta := pairing.GeneratorG1()
	forged := honest.clone()
	forged.points[0] = forged.points[0].Add(delta)
	forged.points[1] = forged.points[1].Sub(delta.Mul(rho[0].Mul(rho[1].Inverse())))
	if !fold(forged.points, rho).Equal(fold(honest.points, rho)) {
		t.Fatal("the forgery does not cancel: the test's algebra is wrong")
	}
	u := f.a.capsules()
	_, err = forged.prove(rand.Reader, f.shares[0].secret, u[0].ConstantTime(), st.hash(public, f.a, forged), u)
	must(t, err)
	if err := forged.Verify(f.g, f.g.Sharing(), f.a); !errors.Is(err, ErrProof) {
		t.Errorf("a forgery for known coefficients passes: %v", err)
	}
}

// TestFragmentOfChosenCapsuleRefused is the attack on a challenge that does not
// cover U: with U chosen after the proof, a false answer could be proven.
func TestFragmentOfChosenCapsuleRefused(t *testing.T) {
	f := newAnswered(t, 1)
	e := *f.a.Records[0].envelope
	e.u = e.u.Add(pairing.GeneratorG1())
	r := *f.a.Records[0]
	r.envelope = &e
	a := *f.a
	a.Records = []*Record{&r}
	if err := f.answers[0].Verify(f.g, f.g.Sharing(), &a); !errors.Is(err, ErrProof) {
		t.Errorf("an answer passes for another U: %v", err)
	}
}

func TestFragmentTorsionRefused(t *testing.T) {
	f := newAnswered(t, 1)
	b := f.answers[0].Bytes()
	torsion := append([]byte{0x80}, make([]byte, 47)...)
	copy(b[len(answerName)+1+7:], torsion)
	var fe *FormatError
	if _, err := ParseAnswer(b); !errors.As(err, &fe) || fe.Reason != "subgroup" {
		t.Errorf("a point of order 3: %v", err)
	}
}

func TestFragmentForRecordOutOfReachRefused(t *testing.T) {
	f := newAnswered(t, 1)
	alice := f.identity("p-1@north")
	later, selfCustody := alice, alice
	later.Epoch = 1
	selfCustody, _ = f.custody("p-1@north")
	for name, tc := range map[string]struct {
		owner Identity
		typ   Type
	}{
		"an ancestor's record": {alice, ""}, "a sibling's": {alice, "laboratory"}, "a sealed child's": {alice, "lab/sealed:hiv"},
		"a later epoch's": {later, "lab"}, "another owner's": {f.identity("p-2@north"), "lab"}, "a later key's": {selfCustody, "lab"},
	} {
		r, _ := f.put(tc.owner, tc.typ, "x")
		a, _ := f.access(f.a.Records[0], r)
		if _, err := f.shares[0].Reencrypt(f.g, f.g.Sharing(), a); !errors.Is(err, ErrNotCovered) {
			t.Errorf("%s is answered: %v", name, err)
		}
		if _, err := f.d.Open(f.g.Sharing(), a, f.answers[:3]); !errors.Is(err, ErrNotCovered) {
			t.Errorf("%s is opened: %v", name, err)
		}
		if _, err := f.extract(alice, "lab").OpenRecord(r); !errors.Is(err, ErrNotCovered) {
			t.Errorf("%s is opened by the owner's key for lab: %v", name, err)
		}
	}
}

func TestFragmentOfOtherReaderUnreadable(t *testing.T) {
	f := newAnswered(t, 1)
	letter, err := f.answers[0].Seal(f.a)
	must(t, err)
	other, otherKey := f.access(f.a.Records[0])
	second := *f.a
	second.ID[5] ^= 1
	for name, open := range map[string]func() error{
		"another requester":       func() error { _, err := otherKey.OpenAnswer(letter, other, 1, 1); return err },
		"another requester's key": func() error { _, err := otherKey.OpenAnswer(letter, f.a, 1, 1); return err },
		"another access":          func() error { _, err := f.key.OpenAnswer(letter, &second, 1, 1); return err },
		"another member":          func() error { _, err := f.key.OpenAnswer(letter, f.a, 2, 1); return err },
		"another generation":      func() error { _, err := f.key.OpenAnswer(letter, f.a, 1, 2); return err },
		"nothing":                 func() error { _, err := f.key.OpenAnswer(nil, f.a, 1, 1); return err },
	} {
		if err := open(); !errors.Is(err, ErrDecrypt) {
			t.Errorf("opened for %s: %v", name, err)
		}
	}
	if _, err := f.key.OpenAnswer(letter, f.a, 1, 1); err != nil {
		t.Error(err)
	}
	// A member that seals another's answer, or one of another generation, under
	// its own name.
	for _, tc := range []struct {
		index      uint8
		generation uint32
	}{{2, 1}, {1, 2}} {
		b := f.answers[0].Bytes()
		letter, err := sealTo(f.a.Requester, pairing.DSTFragmentSeal, partData(f.a.ID, tc.index, tc.generation), b)
		must(t, err)
		if _, err := f.key.OpenAnswer(letter, f.a, tc.index, tc.generation); !errors.Is(err, ErrDecrypt) {
			t.Errorf("an answer of member 1 opens as member %d's of generation %d: %v", tc.index, tc.generation, err)
		}
	}
}

func TestAccessLimits(t *testing.T) {
	f := newAnswered(t, 1)
	many := make([]*Record, maxRecords+1)
	for i := range many {
		many[i] = f.a.Records[0]
	}
	for name, a := range map[string]*Access{
		"no record":        {Requester: f.a.Requester},
		"too many records": {Requester: f.a.Requester, Records: many},
		"no requester":     {Records: f.a.Records},
	} {
		if _, err := f.shares[0].Reencrypt(f.g, f.g.Sharing(), a); !isFormatError(err) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.consortium.shares[0].Decapsulate(f.authority, a); !isFormatError(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAuthorOfDifferentKeysIsNamed opens an access in which one record is
// malformed by its author: nobody else is blamed, and the others open.
func TestAuthorOfDifferentKeysIsNamed(t *testing.T) {
	f := newAnswered(t, 2)
	h := f.a.Records[0].header
	h.Record = "forged"
	f.a.Records = append(f.a.Records, forgeRecord(t, h, func(_ int, dek []byte) { dek[0] ^= 1 }))
	got := answers(t, f.g, f.g.Sharing(), f.a, f.shares[:3]...)
	keys, err := f.d.Open(f.g.Sharing(), f.a, got)
	var author *AuthorError
	if !errors.As(err, &author) || fmt.Sprint(author.Records) != "[2]" {
		t.Fatalf("the author is not named: %v", err)
	}
	if keys[0] == nil || keys[1] == nil || keys[2] != nil {
		t.Error("the honest records do not open, or the forged one does")
	}
}

func TestDecapsulationOpensWithoutGrant(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice := c.identity("p-1@north")
	r, sealed := c.put(alice, "clinical/sealed:hiv", "x")
	a, _ := c.access(r)
	var got []*Answer
	for _, s := range c.shares[1:] {
		ans, err := s.Decapsulate(c.authority, a)
		must(t, err)
		must(t, ans.VerifyDecapsulation(c.authority, a))
		got = append(got, ans)
	}
	keys, err := a.OpenDecapsulated(c.authority, got)
	must(t, err)
	if _, err := keys[0].OpenIndex(sealed); err != nil {
		t.Error(err)
	}
	if _, err := a.OpenDecapsulated(c.authority, got[:2]); !errors.Is(err, ErrShares) {
		t.Errorf("t−1 members: %v", err)
	}
	wrong := got[0].clone()
	wrong.points[0] = wrong.points[0].Neg()
	var blame *BlameError
	if _, err := a.OpenDecapsulated(c.authority, []*Answer{wrong, got[1], got[2]}); !errors.As(err, &blame) {
		t.Errorf("a wrong answer: %v", err)
	}
}

func TestDecapsulationForSelfCustodyRefused(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, _ := c.custody("p-1@north")
	r, _ := c.put(alice, "lab", "x")
	plain, _ := c.put(c.identity("p-2@north"), "lab", "x")
	claimed, foreign, abroad := c.identity("p-3@north"), alice, c.identity("p-4@north")
	claimed.Version, foreign.Version, abroad.Chain = 1, 0, "baltic"
	underAuthority, _ := c.put(claimed, "lab", "x")
	underAnother, _ := c.put(foreign, "lab", "x")
	otherChain, _ := c.put(abroad, "lab", "x")
	for _, records := range [][]*Record{{r}, {plain, r}, {underAuthority}, {underAnother}, {plain, otherChain}} {
		a, _ := c.access(records...)
		if _, err := c.shares[0].Decapsulate(c.authority, a); !errors.Is(err, ErrNotCovered) {
			t.Errorf("a record in self-custody is decapsulated: %v", err)
		}
		if _, err := a.OpenDecapsulated(c.authority, nil); !errors.Is(err, ErrNotCovered) {
			t.Errorf("a record in self-custody is opened: %v", err)
		}
	}
}

// TestDecapsulationIsNotReencryption hands the answers of one kind in as the
// other's, even where the shares are the same.
func TestDecapsulationIsNotReencryption(t *testing.T) {
	f := newAnswered(t, 1)
	twin := *f.g
	twin.sharing = f.authority // a grant whose shares are the authority's
	ans, err := f.consortium.shares[0].Decapsulate(f.authority, f.a)
	must(t, err)
	if err := ans.Verify(&twin, f.authority, f.a); !errors.Is(err, ErrProof) {
		t.Errorf("a decapsulation passes for a re-encryption: %v", err)
	}
	ans, err = f.consortium.shares[0].Reencrypt(&twin, f.authority, f.a)
	must(t, err)
	if err := ans.VerifyDecapsulation(f.authority, f.a); !errors.Is(err, ErrProof) {
		t.Errorf("a re-encryption passes for a decapsulation: %v", err)
	}
}

func TestDecryptionFailuresLookAlike(t *testing.T) {
	f := newAnswered(t, 1)
	r := f.a.Records[0]
	alice := f.identity("p-1@north")
	e := *r.envelope
	e.wraps = append([][wrapSize]byte(nil), e.wraps...)
	e.wraps[0][0] ^= 1
	wrapChanged := *r
	wrapChanged.envelope = &e
	salamander := forgeRecord(t, r.header, func(_ int, dek []byte) { dek[0] ^= 1 })
	key := f.extract(alice, "lab")
	_, err1 := key.OpenRecord(&wrapChanged)
	_, err2 := key.OpenRecord(salamander)
	_, err3 := r.openWrap(pairing.Pair(pairing.GeneratorG1(), pairing.GeneratorG2()), 0)
	k, err := key.OpenRecord(r)
	must(t, err)
	_, err4 := k.OpenIndex(f.sealed[0][:20])
	_, err5 := k.OpenIndex(append(bytes.Clone(f.sealed[0]), 0))
	_, err6 := f.extract(alice, inbox).openHalf(f.g.sealed, f.g.context)
	_, err7 := f.key.OpenAnswer(f.sealed[0], f.a, 1, 1)
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
		if err != ErrDecrypt {
			t.Errorf("failure %d shows itself: %v", i+1, err)
		}
	}
}

func TestNonceHedgedUnderFrozenRandomness(t *testing.T) {
	f := newAnswered(t, 1)
	other := *f.a
	other.ID[0] ^= 1
	frozen := func(a *Access, share *Share) *Answer {
		ans, err := share.reencrypt(bytes.NewReader(make([]byte, 1000)), f.g, f.g.Sharing(), a)
		must(t, err)
		must(t, ans.Verify(f.g, f.g.Sharing(), a))
		return ans
	}
	first, again, second := frozen(f.a, f.shares[0]), frozen(f.a, f.shares[0]), frozen(&other, f.shares[0])
	if !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Error("the same statement under the same randomness gives two proofs")
	}
	// κ = z − c·w. Equal nonces under different challenges give w away.
	nonce := func(ans *Answer) pairing.Scalar {
		return ans.z.Sub(ans.challenge.Mul(f.shares[0].secret.Publish()))
	}
	if nonce(first).Equal(nonce(second)) {
		t.Error("frozen randomness repeats a nonce for another statement")
	}
	if nonce(frozen(f.a, f.shares[0])).Equal(nonce(f.answers[0])) {
		t.Error("the nonce does not depend on the random source")
	}
	if _, err := f.shares[0].reencrypt(strings.NewReader("short"), f.g, f.g.Sharing(), f.a); err == nil {
		t.Error("a short source of randomness goes unnoticed")
	}
	x, err := GenerateCustodyKey()
	must(t, err)
	if _, err := x.prove(strings.NewReader("short"), "c", "n", 1); err == nil {
		t.Error("a short source of randomness goes unnoticed in a custody proof")
	}
}

// TestNonceUsesConstantTimeBackend holds the source to the one place each where
// a long-lived secret becomes public: as the response of a proof.
func TestNonceUsesConstantTimeBackend(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	published := make(map[string]int)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		must(t, err)
		for _, line := range strings.Split(string(src), "\n") {
			if strings.Contains(line, ".Publish()") {
				published[name]++
				if !strings.Contains(line, "k.Add(") {
					t.Errorf("%s: a secret is published unmasked: %s", name, strings.TrimSpace(line))
				}
			}
		}
	}
	if fmt.Sprint(published) != "map[answer.go:1 custody.go:1]" {
		t.Errorf("secrets are published in %v", published)
	}
}

// TestNoG2ScalarOnAnyWire walks the types that travel in the open. None of them
// holds an element of G2 or GT: with A₀ in G1 public, r·Q alone would replace the
// members.
func TestNoG2ScalarOnAnyWire(t *testing.T) {
	forbidden := map[reflect.Type]bool{reflect.TypeFor[pairing.G2](): true, reflect.TypeFor[pairing.GT](): true, reflect.TypeFor[pairing.PreparedG2](): true, reflect.TypeFor[pairing.Secret](): true}
	seen := make(map[reflect.Type]bool)
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		if forbidden[typ] {
			t.Errorf("%s is on the wire and holds a %s", path, typ)
		}
		if seen[typ] || typ == reflect.TypeFor[pairing.G1]() || typ == reflect.TypeFor[pairing.Scalar]() {
			return
		}
		seen[typ] = true
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			walk(path, typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				walk(path+"."+typ.Field(i).Name, typ.Field(i).Type)
			}
		}
	}
	for _, v := range []any{Envelope{}, Header{}, Sharing{}, Grant{}, Answer{}, Access{}, Identity{}, Terms{}} {
		walk(reflect.TypeOf(v).Name(), reflect.TypeOf(v))
	}
}
