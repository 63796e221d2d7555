package abe

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/pre/insecuretrusteddealer"
)

// TestGrantToAPolicy goes the whole way: an owner grants to a policy, a doctor
// with the attributes opens her half and pre accepts it.
func TestGrantToAPolicy(t *testing.T) {
	w := sharedWorld()
	members, shares, err := insecuretrusteddealer.Deal(1, 1)
	must(t, err)
	owner := pre.Identity{Chain: "c", Name: "alice@north", Key: members.Key()}
	part, err := shares[0].Extract(owner, "lab")
	must(t, err)
	key, err := members.CombineKey(owner, "lab", []*pre.PartialKey{part})
	must(t, err)
	to, err := NewRecipient(policyOf(t, "role = physician and not contractor"), w.northA)
	must(t, err)
	grant, _, err := key.Grant(pre.Terms{ID: "g", Members: 1, Threshold: 1}, to)
	must(t, err)
	grant, err = pre.ParseGrant(grant.Bytes())
	must(t, err)

	half, err := w.key(t, "dr.lee@north", "role = physician").OpenHalf(grant.Recipient(), grant.Sealed(), grant.Context())
	must(t, err)
	if _, err := grant.Accept(half); err != nil {
		t.Fatal(err)
	}
	if _, err := w.key(t, "temp@north", "role = physician, contractor").OpenHalf(grant.Recipient(), grant.Sealed(), grant.Context()); !errors.Is(err, ErrNotSatisfied) {
		t.Fatal(err)
	}
	audience, err := ParseAudience(grant.Recipient())
	must(t, err)
	if audience.Policy().String() != "north:role = physician and not north:contractor" || audience.Authorities()[0] != w.northA.Ref() {
		t.Error("the chain does not see whom the grant is for")
	}
	if to.SelfCustody() {
		t.Error("an authority can issue itself any key")
	}
}

// TestSeveralAuthorities: "or" is a seal for each, and each opens for its own.
func TestSeveralAuthorities(t *testing.T) {
	w := sharedWorld()
	s := sealTo(t, "north:role = physician or south:role = nurse or north:contractor", w.southA, w.northA)
	southern := func(attributes string) *Key {
		k, err := w.south.Issue(w.southA, "s", attributesOf(t, attributes))
		must(t, err)
		return k
	}
	must(t, s.open(t, southern("role = nurse")))
	must(t, s.open(t, w.key(t, "n", "role = physician")))
	must(t, s.open(t, w.key(t, "n", "contractor")))
	for _, k := range []*Key{southern("role = physician"), southern("contractor"), w.key(t, "n", "role = nurse")} {
		if err := s.open(t, k); !errors.Is(err, ErrNotSatisfied) {
			t.Errorf("%v: %v", k, err)
		}
	}
	// The seals exchanged.
	seals, err := parseSealed(s.bytes, 2)
	must(t, err)
	s.bytes = encodeSealed(seals[1], seals[0])
	if err := s.open(t, southern("role = nurse")); !errors.Is(err, ErrDecrypt) {
		t.Error(err)
	}
}

// TestMixedAuthoritiesAreRefused: two people could pool what they have.
func TestMixedAuthoritiesAreRefused(t *testing.T) {
	w := sharedWorld()
	for _, marked := range []string{
		"north:contractor and ^south:contractor",
		"not (north:contractor or ^south:contractor)",
		"2 of (north:contractor, ^south:contractor, north:role = nurse)",
		"north:contractor and (north:role = nurse or ^south:role = nurse)",
		"north:contractor or north:role = nurse and not ^south:role = nurse",
		"south:contractor or (north:contractor and (north:unit = x or ^a:unit = y))",
	} {
		column := strings.Index(marked, "^") + 1
		policy := strings.Replace(marked, "^", "", 1)
		_, err := NewRecipient(policyOf(t, policy), w.northA, w.southA)
		var s *SyntaxError
		if !errors.As(err, &s) || s.Column != column || !strings.Contains(s.Problem, "put theirs together") {
			t.Errorf("%s: %v", policy, err)
		}
	}
	for _, policy := range []string{
		"north:contractor or south:contractor", "1 of (north:contractor, south:contractor)",
		"north:contractor or (south:contractor or (north:role = nurse and north:unit = x))",
		"2 of (north:contractor, north:unit = x) or not south:contractor",
	} {
		if _, err := NewRecipient(policyOf(t, policy), w.northA, w.southA); err != nil {
			t.Errorf("%s: %v", policy, err)
		}
	}
	for _, c := range []struct {
		policy      string
		authorities []*Authority
	}{
		{"north:contractor", nil},
		{"north:contractor", []*Authority{w.southA}},
		{"north:contractor", []*Authority{w.northA, w.southA}},
		{"north:contractor", []*Authority{w.northA, w.northA}},
		{"north:contractor or south:contractor", []*Authority{w.northA}},
		{"contractor", []*Authority{w.northA, w.southA}},
		{"contractor or south:contractor", []*Authority{w.northA, w.southA}},
	} {
		if _, err := NewRecipient(policyOf(t, c.policy), c.authorities...); !errors.Is(err, ErrOtherAuthority) {
			t.Errorf("%s for %d authorities: %v", c.policy, len(c.authorities), err)
		}
	}
}

// TestOtherAuthoritysKeyOpensNothing: neither another hospital's, nor that of
// one that took the name, and not with the description changed to it either.
func TestOtherAuthoritysKeyOpensNothing(t *testing.T) {
	w := sharedWorld()
	s := w.seal(t, "role = physician")
	impostor, err := generateMasterKey(stream("impostor"), "north")
	must(t, err)
	fake, err := impostor.Authority(7, w.northA.Catalogue())
	must(t, err)
	mallory, err := impostor.Issue(fake, "mallory", attributesOf(t, "role = physician"))
	must(t, err)
	if err := s.open(t, mallory); !errors.Is(err, ErrOtherAuthority) {
		t.Error(err)
	}
	south, err := w.south.Issue(w.southA, "s", attributesOf(t, "role = physician"))
	must(t, err)
	if err := s.open(t, south); !errors.Is(err, ErrOtherAuthority) {
		t.Error(err)
	}
	if _, err := impostor.Issue(w.northA, "mallory", attributesOf(t, "role = physician")); !errors.Is(err, ErrOtherAuthority) {
		t.Error("an impostor issues keys of north:", err)
	}
	if _, err := w.south.Issue(w.northA, "s", Attributes{}); !errors.Is(err, ErrOtherAuthority) {
		t.Error("south issues keys of north:", err)
	}

	// The key with north's labels, made with the impostor's secret.
	secret, err := impostor.keyGen(stream("x"), w.northA.labels(mallory.attributes))
	must(t, err)
	forged := &Key{w.northA, "mallory", mallory.attributes, &secret}
	if err := s.open(t, forged); !errors.Is(err, ErrDecrypt) {
		t.Error(err)
	}
	if err := forged.Check(); err == nil {
		t.Error("a key of another secret passes its check")
	}
	must(t, w.key(t, "alice", "role = physician, dept = icu, grade = 5").Check())
}

// TestOtherContextOpensNothing: what is sealed belongs to one grant.
func TestOtherContextOpensNothing(t *testing.T) {
	w := sharedWorld()
	s := w.seal(t, "role = physician")
	k := w.key(t, "alice", "role = physician")
	must(t, s.open(t, k))
	s.context[31]++
	if err := s.open(t, k); !errors.Is(err, ErrDecrypt) {
		t.Error(err)
	}
}

// TestLeaverLosesAccess: a new epoch opens for who got a new key, and for nobody
// else, whatever the leaver does to her file.
func TestLeaverLosesAccess(t *testing.T) {
	w := sharedWorld()
	leaver := w.key(t, "eve", "role = physician")
	next, err := w.north.Authority(8, w.northA.Catalogue())
	must(t, err)
	before, after := w.seal(t, "role = physician"), sealTo(t, "role = physician", next)
	must(t, before.open(t, leaver))
	var e *EpochError
	if err := after.open(t, leaver); !errors.As(err, &e) || *e != (EpochError{"north", 7, 8}) {
		t.Error(err)
	}
	// The old secret under the new epoch's name.
	forged := &Key{next, leaver.holder, leaver.attributes, leaver.secret}
	if err := after.open(t, forged); !errors.Is(err, ErrDecrypt) {
		t.Error(err)
	}
	stays, err := w.north.Issue(next, "alice", attributesOf(t, "role = physician"))
	must(t, err)
	must(t, after.open(t, stays))
	if err := before.open(t, stays); !errors.As(err, &e) {
		t.Error(err)
	}
	// She who came later may be given a key for what was sealed before.
	must(t, before.open(t, w.key(t, "new", "role = physician")))

	// A catalogue that changes within an epoch makes other labels too, so that
	// nothing takes on a second meaning.
	changed, err := w.north.Authority(7, catalogueOf(t, strings.Replace(northCatalogue, "0 to 7", "1 to 8", 1)))
	must(t, err)
	if changed.label("grade") == w.northA.label("grade") || changed.Ref() == w.northA.Ref() {
		t.Error("labels do not depend on the catalogue")
	}
	if err := sealTo(t, "grade >= 3", changed).open(t, w.key(t, "alice", "grade = 5")); !errors.Is(err, ErrOtherAuthority) {
		t.Error(err)
	}
}

// TestCiphertextWhosePolicyLies: in a ciphertext each value stands as text and
// as a number. tkn20 prints the text and computes with the number, so whoever
// seals could show one policy and mean another. Its own tag does not help: the
// sealer can make it.
func TestCiphertextWhosePolicyLies(t *testing.T) {
	w := sharedWorld()
	honest, err := NewRecipient(policyOf(t, "role = nurse"), w.northA)
	must(t, err)
	var recorded bytes.Buffer
	c := honest.seals[0].condition
	sealedTo, err := w.northA.public.Encrypt(teeReader{stream("lie"), &recorded}, c.policy, make([]byte, kemSize))
	must(t, err)
	forged := bytes.Replace(sealedTo, []byte(textValue("nurse")), []byte(textValue("harry")), 1)
	raw := parseRawCiphertext(t, forged)
	copy(forged[len(forged)-32:], rawTag(recorded.Bytes()[:seedSize], raw.mac))

	var shown tkn20.Policy
	must(t, shown.ExtractFromCiphertext(forged))
	nurse := w.key(t, "bob", "role = nurse")
	if _, err := nurse.secret.Decrypt(forged); err != nil || !strings.Contains(shown.String(), "vharry") {
		t.Fatalf("the lie does not work on tkn20: %v, %v", shown.String(), err)
	}
	if _, err := c.decapsulate(nurse.secret, forged); err == nil {
		t.Error("opens under a policy that says harry")
	}
	if (&compiled{leaves: []leaf{{c.leaves[0].label, textValue("harry"), false}}, policy: shown}).checkCiphertext(forged) != nil {
		t.Error("the forgery differs in more than the text")
	}
	harry, err := (&gate{leaf: &leaf{c.leaves[0].label, textValue("harry"), false}}).compile()
	must(t, err)
	if harry.checkCiphertext(forged) == nil {
		t.Error("a ciphertext for nurses passes as one for harry")
	}
}

// teeReader reads r and keeps what it read.
type teeReader struct {
	r    interface{ Read([]byte) (int, error) }
	kept *bytes.Buffer
}

func (r teeReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.kept.Write(b[:n])
	return n, err
}

func encodeSealed(seals ...seal) []byte {
	b := []byte(sealedFormat + "\n")
	b = append(b, byte(len(seals)))
	for _, s := range seals {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s.kem)))
		b = append(append(b, s.kem...), s.body...)
	}
	return b
}

// TestNoByteOfASealCanChange changes every byte, in turn by one bit each, and cuts
// the seal everywhere. Within points, which CIRCL has to parse, it changes every
// 17th byte, and with WARD_EXHAUSTIVE=1 every byte.
func TestNoByteOfASealCanChange(t *testing.T) {
	w := sharedWorld()
	s := w.seal(t, "role = physician and not unit = n1")
	k := w.key(t, "alice", "role = physician")
	must(t, s.open(t, k))
	c, err := w.northA.compile(policyOf(t, "role = physician and not unit = n1").root)
	must(t, err)
	kem := s.kem(t, 0)
	first := bytes.Index(s.bytes, kem) + len(ciphertextVersion) + 2 + 32 + 4 + 4 + 2 + c.sizes().policy
	last := bytes.Index(s.bytes, kem) + len(kem) - (4 + envelopeSize + 2 + 32)
	step, inPoints := 1, stepInPoints(17)
	if testing.Short() {
		step = 29
	}
	for i := 0; i < len(s.bytes); i += step {
		b := bytes.Clone(s.bytes)
		b[i] ^= 1 << (i % 8)
		if first <= i && i < last && i%inPoints != 0 {
			if seals, err := parseSealed(b, 1); err == nil && c.checkCiphertext(seals[0].kem) == nil {
				continue
			}
		}
		if _, err := k.OpenHalf(s.description, b, s.context); !errors.Is(err, ErrDecrypt) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := k.OpenHalf(s.description, s.bytes[:i], s.context); !errors.Is(err, ErrDecrypt) {
			t.Fatalf("%d bytes: %v", i, err)
		}
	}
	for _, b := range [][]byte{append(bytes.Clone(s.bytes), 0), nil, []byte(sealedFormat + "\n")} {
		if _, err := k.OpenHalf(s.description, b, s.context); !errors.Is(err, ErrDecrypt) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	// A seal to another policy under this description.
	other := w.seal(t, "role = physician and not unit = n2")
	if _, err := k.OpenHalf(s.description, other.bytes, s.context); !errors.Is(err, ErrDecrypt) {
		t.Error(err)
	}
}

// TestIdentityPointsAreRefused: CIRCL takes them.
func TestIdentityPointsAreRefused(t *testing.T) {
	w := sharedWorld()
	s := w.seal(t, "role = physician")
	c, err := w.northA.compile(policyOf(t, "role = physician").root)
	must(t, err)
	kem := s.kem(t, 0)
	at := bytes.Index(kem, []byte{4, 3, 4, 0, 1, 0}) + 6 // c1: 772 bytes, 4 rows, 1 column
	copy(kem[at:], append([]byte{0x40}, make([]byte, g2Size-1)...))
	var f *FormatError
	if err := c.checkCiphertext(kem); !errors.As(err, &f) || f.Reason != "identity" {
		t.Error(err)
	}
	for name, value := range map[string][]byte{"encoding": make([]byte, gtSize), "identity": append(make([]byte, gtSize-1), 1)} {
		b := bytes.Clone(w.north.encoded)
		copy(b[len(b)-gtSize:], value)
		if _, err := parsePublic(b); !errors.As(err, &f) || f.Reason != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// panicker stands for a CIRCL that panics, which v1.6.3 did.
type panicker struct{}

func (panicker) MarshalBinary() ([]byte, error) { panic("marshal") }
func (panicker) UnmarshalBinary([]byte) error   { panic("unmarshal") }

func TestPanicsOfCIRCLAreErrors(t *testing.T) {
	var f *FormatError
	if err := unframe("x", nil, panicker{}); !errors.As(err, &f) || f.Reason != "encoding" {
		t.Error(err)
	}
	w := sharedWorld()
	c, err := w.northA.compile(policyOf(t, "contractor").root)
	must(t, err)
	kem := w.seal(t, "contractor").kem(t, 0)
	if _, err := c.decapsulate(new(tkn20.AttributeKey), kem); !errors.Is(err, errPanic) {
		t.Error("an empty key:", err)
	}
	if _, _, err := c.encapsulate(stream("x"), tkn20.PublicKey{}); !errors.Is(err, errPanic) {
		t.Error("an empty public key:", err)
	}
	if _, err := (&MasterKey{secret: new(tkn20.SystemSecretKey)}).keyGen(stream("x"), map[string]string{"a": "1"}); !errors.Is(err, errPanic) {
		t.Error("an empty master key:", err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	w := sharedWorld()
	k := w.key(t, "alice", "role = physician")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("keys", "key", *k, "pointer", k, "master", *w.north)
	texts := []string{log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d", "%q"} {
		texts = append(texts, fmt.Sprintf(verb, k), fmt.Sprintf(verb, *k), fmt.Sprintf(verb, w.north), fmt.Sprintf(verb, *w.north), fmt.Sprintf(verb, []any{k, *w.north}))
	}
	for _, text := range texts {
		if len(text) > 400 || strings.Contains(text, "0x") {
			t.Errorf("prints %.200q", text)
		}
	}
	if got := fmt.Sprint(k, w.north); got != "attribute key of alice at north, epoch 7 attribute master key of north" {
		t.Error(got)
	}
}

func TestErase(t *testing.T) {
	w := sharedWorld()
	s, k := w.seal(t, "contractor"), w.key(t, "alice", "contractor")
	m, err := ParseMasterKey(w.north.Bytes())
	must(t, err)
	k.Erase()
	k.Erase()
	m.Erase()
	if err := s.open(t, k); !errors.Is(err, ErrErased) {
		t.Error(err)
	}
	if err := k.Check(); !errors.Is(err, ErrErased) {
		t.Error(err)
	}
	if _, err := m.Issue(w.northA, "x", Attributes{}); !errors.Is(err, ErrErased) {
		t.Error(err)
	}
	if k.Bytes() != nil || m.Bytes() != nil {
		t.Error("an erased key has an encoding")
	}
}

func TestConcurrentUse(t *testing.T) {
	w := sharedWorld()
	r, err := NewRecipient(policyOf(t, "not role = nurse or contractor"), w.northA)
	must(t, err)
	k := w.key(t, "alice", "contractor")
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			context := sha256.Sum256([]byte{byte(i)})
			half := bytes.Repeat([]byte{byte(i)}, halfSize)
			b, err := r.SealHalf(half, context)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := k.OpenHalf(r.Description(), b, context); err != nil || !bytes.Equal(got, half) {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestMisuse(t *testing.T) {
	w := sharedWorld()
	var f *FormatError
	for _, name := range []string{"", "North", "a b", "-a", strings.Repeat("a", 65), "a:b"} {
		if _, err := GenerateMasterKey(name); !errors.As(err, &f) {
			t.Errorf("authority %q: %v", name, err)
		}
	}
	for _, holder := range []string{"", "a b", strings.Repeat("a", 129), "ä"} {
		if _, err := w.north.Issue(w.northA, holder, Attributes{}); !errors.As(err, &f) {
			t.Errorf("holder %q: %v", holder, err)
		}
	}
	if _, err := w.north.Authority(1, Catalogue{}); !errors.As(err, &f) {
		t.Error("no catalogue:", err)
	}
	r, err := NewRecipient(policyOf(t, "contractor"), w.northA)
	must(t, err)
	for _, n := range []int{0, 95, 97} {
		if _, err := r.SealHalf(make([]byte, n), [32]byte{}); !errors.As(err, &f) {
			t.Errorf("half of %d bytes: %v", n, err)
		}
	}
	// The size of a seal follows from the policy, and is known before.
	for _, policy := range []string{"contractor", "not unit = x", "role = nurse and role = nurse and not role = physician"} {
		s := w.seal(t, policy)
		c, err := w.northA.compile(policyOf(t, policy).root)
		must(t, err)
		if len(s.bytes) != len(sealedFormat)+2+4+c.sizes().all+bodySize {
			t.Errorf("%s: %d bytes", policy, len(s.bytes))
		}
	}
	var deaf deafReader
	if _, err := r.sealHalf(deaf, make([]byte, halfSize), [32]byte{}); err == nil {
		t.Error("seals without randomness")
	}
	if _, err := generateMasterKey(deaf, "a"); err == nil {
		t.Error("makes a master key without randomness")
	}
	if _, err := w.north.issue(deaf, w.northA, "a", Attributes{}); err == nil {
		t.Error("issues a key without randomness")
	}
}

func TestTagsAreOnTheList(t *testing.T) {
	if tagAuthority != pairing.DSTAttributeAuthority || tagSeal != pairing.DSTAttributeSeal {
		t.Error("a tag differs from the list's")
	}
}

type deafReader struct{}

func (deafReader) Read([]byte) (int, error) { return 0, errors.New("no randomness") }
