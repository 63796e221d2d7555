package pre

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// grantFixture is a grant of alice's lab to bob.
type grantFixture struct {
	*consortium
	alice, bob Identity
	key        *PrivateKey
	g          *Grant
	shares     []*Share
}

func newGrant(t *testing.T) *grantFixture {
	c := newConsortium(t, 4, 3)
	f := &grantFixture{consortium: c, alice: c.identity("p-1@north"), bob: c.identity("dr.lee@south")}
	f.key = c.extract(f.alice, "lab")
	var err error
	f.g, f.shares, err = f.key.Grant(c.terms("g"), f.bob)
	must(t, err)
	return f
}

func TestGrantSharesAreAcceptedByTheirMembersOnly(t *testing.T) {
	f := newGrant(t)
	for i, s := range f.shares {
		if err := s.Check(f.g.Sharing()); err != nil {
			t.Errorf("member %d refuses its share: %v", i+1, err)
		}
	}
	wrong := *f.shares[0]
	wrong.secret = f.shares[1].secret
	if err := wrong.Check(f.g.Sharing()); !errors.Is(err, ErrProof) {
		t.Errorf("another member's share: %v", err)
	}
	for name, change := range map[string]func(s *Share){
		"index 0": func(s *Share) { s.index = 0 }, "index n+1": func(s *Share) { s.index = 5 }, "generation": func(s *Share) { s.generation++ },
	} {
		s := *f.shares[0]
		change(&s)
		if err := s.Check(f.g.Sharing()); !errors.Is(err, ErrShares) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGrantZeroShareRefused(t *testing.T) {
	// w(z) = 2 − z is zero at member 2, whose honest answer would be the
	// identity and count as a fault.
	two, one := pairing.NewScalar(2), pairing.NewScalar(1)
	commitments := []pairing.G1{pairing.MulGenerator(two), pairing.MulGenerator(one.Neg())}
	for n, refused := range map[int]bool{2: true, 3: true, 64: true} {
		var f *FormatError
		_, err := newSharing(1, n, commitments)
		if errors.As(err, &f) != refused || f.Reason != "zero" {
			t.Errorf("n = %d: %v", n, err)
		}
	}
	w := wire.NewWriter(sharingName)
	w.Uint32(1)
	w.Uint8(3)
	w.Uint8(2)
	pairing.WriteG1(w, commitments[0])
	pairing.WriteG1(w, commitments[1])
	if _, err := ParseSharing(w.Sum()); !isFormatError(err) {
		t.Errorf("a sharing with a zero share: %v", err)
	}
	if _, err := ParseShare(append([]byte(shareName+"\n\x00\x00\x00\x01\x02"), make([]byte, 32)...)); !isFormatError(err) {
		t.Errorf("the share zero: %v", err)
	}
}

func TestGrantIdentityCommitmentRefused(t *testing.T) {
	f := newGrant(t)
	identity := append([]byte{0xc0}, make([]byte, 47)...)
	b := f.g.Sharing().Bytes()
	for k := range f.g.Sharing().Threshold() {
		changed := bytes.Clone(b)
		copy(changed[len(sharingName)+1+6+48*k:], identity)
		var fe *FormatError
		if _, err := ParseSharing(changed); !errors.As(err, &fe) || fe.Reason != "identity" {
			t.Errorf("commitment %d is the identity: %v", k, err)
		}
	}
}

func TestGrantWrongCommitmentCountRefused(t *testing.T) {
	f := newGrant(t)
	if err := f.g.Check(f.authority); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(terms *Terms){
		"t−2": func(terms *Terms) { terms.Threshold = 1 }, "t−1": func(terms *Terms) { terms.Threshold = 2 }, "t+1": func(terms *Terms) { terms.Threshold = 4 },
		"n+1": func(terms *Terms) { terms.Members = 5 }, "generation": func(terms *Terms) { terms.Generation = 2 },
	} {
		terms := f.terms("g")
		change(&terms)
		g, _, err := f.key.Grant(terms, f.bob)
		must(t, err)
		if err := g.Check(f.authority); !errors.Is(err, ErrShares) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(terms *Terms){
		"no threshold": func(terms *Terms) { terms.Threshold = 0 }, "t > n": func(terms *Terms) { terms.Threshold = 5 },
		"no id": func(terms *Terms) { terms.ID = "" }, "everything of a type": func(terms *Terms) { terms.Everything = true },
	} {
		terms := f.terms("g")
		change(&terms)
		if _, _, err := f.key.Grant(terms, f.bob); !isFormatError(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGrantOfEverythingMustBeAskedForByName(t *testing.T) {
	c := newConsortium(t, 4, 3)
	root, terms := c.extract(c.identity("p-1@north"), ""), c.terms("g")
	if _, _, err := root.Grant(terms, c.identity("dr.lee@south")); !isFormatError(err) {
		t.Errorf("the root is granted in passing: %v", err)
	}
	terms.Everything = true
	if _, _, err := root.Grant(terms, c.identity("dr.lee@south")); err != nil {
		t.Errorf("the root is not granted when asked for: %v", err)
	}
}

func TestGrantOnInboxRefused(t *testing.T) {
	// A granted inbox would hand over every grant its owner ever received.
	c := newConsortium(t, 4, 3)
	bob := c.identity("dr.lee@south")
	terms := c.terms("g")
	for _, everything := range []bool{false, true} {
		terms.Everything = everything
		if _, _, err := c.extract(bob, inbox).Grant(terms, c.identity("mallory@south")); !isFormatError(err) {
			t.Errorf("an inbox is granted: %v", err)
		}
	}
	if _, err := c.shares[0].Extract(bob, inbox); !isFormatError(err) {
		t.Errorf("an inbox key is extracted as if it were a record type's: %v", err)
	}
	f := newGrant(t)
	f.g.t = inbox
	if _, err := ParseGrant(f.g.Bytes()); !isFormatError(err) {
		t.Errorf("a grant of an inbox parses: %v", err)
	}
}

// TestGrantWithWrongHalfNamesTheDealer seals halves that open but do not match
// the commitments, and checks that the evidence convinces a third party.
func TestGrantWithWrongHalfNamesTheDealer(t *testing.T) {
	f := newGrant(t)
	other, _, err := f.key.Grant(f.terms("g2"), f.bob)
	must(t, err)
	inboxKey := f.extract(f.bob, inbox)
	half := func(g *Grant) []byte {
		b, err := inboxKey.openHalf(g.sealed, g.context)
		must(t, err)
		return b
	}
	imaging := f.extract(f.alice, "imaging")
	w0 := recoverSecret(t, f.shares[:3])
	ofImaging := imaging.d.Sub(w0.MulG2(f.alice.typed("imaging").point())).Bytes()
	full := f.key.d.Bytes()
	for name, wrong := range map[string][]byte{
		"half of another grant":  half(other),
		"half of another type":   ofImaging[:],
		"the whole key":          full[:],
		"no point at all":        bytes.Repeat([]byte{1}, 96),
		"the point at infinity":  append([]byte{0xc0}, make([]byte, 95)...),
		"not in the subgroup":    notInG2(t),
		"the negative of itself": negated(t, half(f.g)),
	} {
		g := *f.g
		if g.sealed, err = f.bob.SealHalf(wrong, g.context); err != nil {
			t.Fatal(err)
		}
		var dealer *DealerError
		if _, err := g.Open(inboxKey); !errors.As(err, &dealer) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !f.bob.CheckHalf(g.sealed, dealer.Half, g.context) {
			t.Errorf("%s: the evidence does not convince", name)
		}
		if f.bob.CheckHalf(g.sealed, half(f.g), g.context) {
			t.Errorf("%s: invented evidence convinces", name)
		}
	}
}

func negated(t *testing.T, half []byte) []byte {
	t.Helper()
	e, err := pairing.ParseG2(half)
	must(t, err)
	b := e.Neg().Bytes()
	return b[:]
}

// notInG2 searches a point of the twist outside the subgroup.
func notInG2(t *testing.T) []byte {
	t.Helper()
	b := make([]byte, 96)
	b[0] = 0x80
	for i := range 255 {
		b[95] = byte(i)
		if _, err := pairing.ParseG2(b); errors.Is(err, pairing.ErrSubgroup) {
			return b
		}
	}
	t.Fatal("no point found")
	return nil
}

func TestGrantSealIsChosenCiphertextSecure(t *testing.T) {
	f := newGrant(t)
	inboxKey := f.extract(f.bob, inbox)
	if _, err := f.g.Open(inboxKey); err != nil {
		t.Fatal(err)
	}
	flipEveryByte(f.g.sealed, func(at int, changed []byte) {
		g := *f.g
		g.sealed = changed
		if _, err := g.Open(inboxKey); !errors.Is(err, ErrDecrypt) {
			t.Errorf("byte %d of the seal may change: %v", at, err)
		}
	})
	copied, _, err := f.key.Grant(f.terms("g2"), f.bob)
	must(t, err)
	copied.sealed = f.g.sealed
	next := f.bob
	next.Epoch++
	for name, tc := range map[string]struct {
		g   *Grant
		key *PrivateKey
	}{
		"copied to another grant": {copied, inboxKey},
		"another reader's inbox":  {f.g, f.extract(f.identity("mallory@south"), inbox)},
		"a later epoch's inbox":   {f.g, f.extract(next, inbox)},
		"the reader's record key": {f.g, f.extract(f.bob, "lab")},
		"the owner's own key":     {f.g, f.key},
	} {
		if _, err := tc.g.Open(tc.key); !errors.Is(err, ErrDecrypt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, length := range []int{0, 48, 143, 145} {
		if _, err := inboxKey.openHalf(make([]byte, length), f.g.context); !errors.Is(err, ErrDecrypt) {
			t.Errorf("a seal of %d bytes: %v", length, err)
		}
	}
	if _, err := f.bob.SealHalf(make([]byte, 95), f.g.context); !isFormatError(err) {
		t.Errorf("95 bytes are sealed: %v", err)
	}
}

func TestGrantContextBindsEveryTerm(t *testing.T) {
	f := newGrant(t)
	seen := map[[32]byte]string{f.g.context: "the grant"}
	for name, change := range map[string]func(g *Grant){
		"chain": func(g *Grant) { g.owner.Chain += "x" }, "owner": func(g *Grant) { g.owner.Name += "x" },
		"version": func(g *Grant) { g.owner.Version++ }, "epoch": func(g *Grant) { g.owner.Epoch++ },
		"key": func(g *Grant) { g.owner.Key.g = g.owner.Key.g.Neg() }, "type": func(g *Grant) { g.t += "x" },
		"id": func(g *Grant) { g.id += "x" }, "recipient": func(g *Grant) { g.recipient = append(bytes.Clone(g.recipient), 0) },
		"conditions": func(g *Grant) { g.condition[31] ^= 1 },
		"generation": func(g *Grant) { s := *g.sharing; s.generation++; g.sharing = &s },
		"members":    func(g *Grant) { s := *g.sharing; s.members = s.members[1:]; g.sharing = &s },
		"commitments": func(g *Grant) {
			s := *g.sharing
			s.commitments = append([]pairing.G1(nil), s.commitments...)
			s.commitments[2] = s.commitments[2].Neg()
			g.sharing = &s
		},
	} {
		g := *f.g
		change(&g)
		context := g.computeContext()
		if twin, ok := seen[context]; ok {
			t.Errorf("another %s leaves the context that %s has", name, twin)
		}
		seen[context] = name
	}
}

func TestGrantSecretIsNeverReused(t *testing.T) {
	f := newGrant(t)
	again, _, err := f.key.Grant(f.terms("g"), f.bob)
	must(t, err)
	if again.sharing.Key().Equal(f.g.sharing.Key()) || bytes.Equal(again.sealed, f.g.sealed) {
		t.Error("two grants share w₀: answers to one would serve the other")
	}
}

// policy is a recipient that is no identity, such as an attribute policy.
type policy struct{ description int }

func (p policy) Description() []byte                            { return make([]byte, p.description) }
func (policy) SelfCustody() bool                                { return false }
func (policy) SealHalf(half []byte, _ [32]byte) ([]byte, error) { return bytes.Clone(half), nil }

func TestGrantFromSelfCustodyToPolicyRefused(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, x := c.custody("p-1@north")
	if _, _, err := c.complete(alice, x, "lab").Grant(c.terms("g"), policy{20}); !errors.Is(err, ErrExposed) {
		t.Errorf("a policy reads an owner in self-custody: %v", err)
	}
}

func TestGrantToPolicyIsAcceptedByItsHalf(t *testing.T) {
	f := newGrant(t)
	g, _, err := f.key.Grant(f.terms("g"), policy{20})
	must(t, err)
	if _, err := g.Accept(g.sealed); err != nil {
		t.Errorf("the half opened by other means: %v", err)
	}
	if _, _, err := f.key.Grant(f.terms("g"), policy{maxDescription + 1}); !isFormatError(err) {
		t.Errorf("a description over the limit: %v", err)
	}
}

func TestCustodyProofIsBound(t *testing.T) {
	c := newConsortium(t, 4, 3)
	x, err := GenerateCustodyKey()
	must(t, err)
	proof, err := x.Prove(c.chain, "p-1@north", 1)
	must(t, err)
	p := c.authority.Key()
	if _, err := p.SelfCustody(c.chain, "p-1@north", 1, proof); err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string]func() error{
		"another chain":   func() error { _, err := p.SelfCustody("baltic", "p-1@north", 1, proof); return err },
		"another name":    func() error { _, err := p.SelfCustody(c.chain, "p-2@north", 1, proof); return err },
		"another version": func() error { _, err := p.SelfCustody(c.chain, "p-1@north", 2, proof); return err },
	} {
		if err := check(); !errors.Is(err, ErrProof) {
			t.Errorf("a proof for %s: %v", name, err)
		}
	}
	if _, err := p.SelfCustody(c.chain, "p-1@north", 0, proof); !isFormatError(err) {
		t.Errorf("version 0: %v", err)
	}
	flipEveryByte(proof, func(at int, changed []byte) {
		if _, err := p.SelfCustody(c.chain, "p-1@north", 1, changed); err == nil {
			t.Errorf("byte %d of the proof may change", at)
		}
	})
}

func TestRogueCustodyKeysRefused(t *testing.T) {
	c := newConsortium(t, 4, 3)
	p := c.authority.Key()
	x, err := GenerateCustodyKey()
	must(t, err)
	honest, err := x.Prove(c.chain, "p-1@north", 1)
	must(t, err)

	// X = x·g1 − P would make P' = x·g1 and put the authority out of the
	// game. Its maker knows no discrete logarithm of X, so no proof holds.
	rogue := bytes.Clone(honest)
	rb := pairing.GeneratorG1ConstantTime().Mul(x.x).Sub(p.g).Bytes()
	copy(rogue[len(custodyProofName)+1:], rb[:])
	if _, err := p.SelfCustody(c.chain, "p-1@north", 1, rogue); !errors.Is(err, ErrProof) {
		t.Errorf("X = x·g1 − P: %v", err)
	}

	// X = −P has a proof if all the members make it together.
	all := &CustodyKey{new(pairing.Secret).Sub(c.secret)}
	cancelling, err := all.Prove(c.chain, "p-1@north", 1)
	must(t, err)
	if _, err := p.SelfCustody(c.chain, "p-1@north", 1, cancelling); !isFormatError(err) {
		t.Errorf("X = −P: %v", err)
	}
}

func TestCompleteRefusesForeignKeys(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, x := c.custody("p-1@north")
	d := c.extract(alice, "lab")
	if _, err := x.Complete(d, alice); err != nil {
		t.Fatal(err)
	}
	y, err := GenerateCustodyKey()
	must(t, err)
	if _, err := y.Complete(d, alice); !errors.Is(err, ErrProof) {
		t.Errorf("another custody key: %v", err)
	}
	later, plain := alice, alice
	later.Epoch++
	plain.Version = 0
	for _, id := range []Identity{later, plain, c.identity("p-2@north")} {
		if _, err := x.Complete(d, id); !errors.Is(err, ErrNotCovered) {
			t.Errorf("completed for %+v: %v", id, err)
		}
	}
}

func TestPartialKeysAreBlamedByName(t *testing.T) {
	c := newConsortium(t, 5, 3)
	alice, other := c.identity("p-1@north"), c.identity("p-2@north")
	part := func(i int, id Identity) *PartialKey {
		p, err := c.shares[i].Extract(id, "lab")
		must(t, err)
		return p
	}
	var blame *BlameError
	_, err := c.authority.CombineKey(alice, "lab", []*PartialKey{part(0, alice), part(3, other), part(4, other)})
	if !errors.As(err, &blame) || fmt.Sprint(blame.Members) != "[4 5]" {
		t.Errorf("members 4 and 5 sent another's part: %v", err)
	}
	second, shares := deal(t, c.secret, 2, 5, 3)
	next, err := shares[2].Extract(alice, "lab")
	must(t, err)
	beyond := *part(4, alice)
	beyond.index = 6
	zero := *part(4, alice)
	zero.index = 0
	for name, parts := range map[string][]*PartialKey{
		"two generations": {part(0, alice), part(1, alice), next}, "repeated": {part(0, alice), part(1, alice), part(1, alice)},
		"t−1": {part(0, alice), part(1, alice)}, "t+1": {part(0, alice), part(1, alice), part(2, alice), part(3, alice)},
		"index n+1": {part(0, alice), part(1, alice), &beyond}, "index 0": {part(0, alice), part(1, alice), &zero}, "none": nil,
	} {
		for _, s := range []*Sharing{c.authority, second} {
			if _, err := s.CombineKey(alice, "lab", parts); !errors.Is(err, ErrShares) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := c.authority.CombineKey(Identity{}, "lab", nil); !isFormatError(err) {
		t.Errorf("a key for nobody: %v", err)
	}
	if _, err := c.authority.CombineKey(alice, "a//b", nil); !isFormatError(err) {
		t.Errorf("a key for no type: %v", err)
	}
}

func TestPrivateKeyOfAnotherIdentityRefused(t *testing.T) {
	c := newConsortium(t, 4, 3)
	k := *c.extract(c.identity("p-1@north"), "lab")
	k.id.Name = "p-2@north"
	if _, err := ParsePrivateKey(k.Bytes()); !errors.Is(err, ErrProof) {
		t.Errorf("a relabelled key parses: %v", err)
	}
}

func TestTransportIsBoundToItsPurpose(t *testing.T) {
	f := newGrant(t)
	k, err := GenerateTransportKey()
	must(t, err)
	other, _, err := f.key.Grant(f.terms("g2"), f.bob)
	must(t, err)
	sealed, err := f.shares[1].Seal(k.Public(), f.g)
	must(t, err)
	if s, err := k.OpenShare(sealed, f.g, 2); err != nil || s.Index() != 2 {
		t.Fatalf("OpenShare = %v, %v", s, err)
	}
	stranger, err := GenerateTransportKey()
	must(t, err)
	for name, open := range map[string]func() error{
		"as another member's": func() error { _, err := k.OpenShare(sealed, f.g, 1); return err },
		"for another grant":   func() error { _, err := k.OpenShare(sealed, other, 2); return err },
		"with another key":    func() error { _, err := stranger.OpenShare(sealed, f.g, 2); return err },
		"as a partial key":    func() error { _, err := k.OpenPartialKey(sealed, [32]byte{}, 2, 1); return err },
		"cut":                 func() error { _, err := k.OpenShare(sealed[:31], f.g, 2); return err },
	} {
		if err := open(); !errors.Is(err, ErrDecrypt) {
			t.Errorf("a share opens %s: %v", name, err)
		}
	}
	wrong := *f.shares[1]
	wrong.secret = f.shares[0].secret
	bad, err := wrong.Seal(k.Public(), f.g)
	must(t, err)
	if _, err := k.OpenShare(bad, f.g, 2); !errors.Is(err, ErrProof) {
		t.Errorf("a wrong share is accepted: %v", err)
	}

	p, err := f.consortium.shares[0].Extract(f.alice, "lab")
	must(t, err)
	letter, err := p.Seal(k.Public(), [32]byte{1})
	must(t, err)
	if _, err := k.OpenPartialKey(letter, [32]byte{1}, 1, 1); err != nil {
		t.Fatal(err)
	}
	relabelled := *p
	relabelled.index = 2
	forged, err := sealTo(k.Public(), pairing.DSTPartialKey, partData([32]byte{1}, 1, 1), relabelled.Bytes())
	must(t, err)
	for name, open := range map[string]func() error{
		"another request":                 func() error { _, err := k.OpenPartialKey(letter, [32]byte{2}, 1, 1); return err },
		"another member":                  func() error { _, err := k.OpenPartialKey(letter, [32]byte{1}, 2, 1); return err },
		"another generation":              func() error { _, err := k.OpenPartialKey(letter, [32]byte{1}, 1, 2); return err },
		"a member who says he is another": func() error { _, err := k.OpenPartialKey(forged, [32]byte{1}, 1, 1); return err },
	} {
		if err := open(); !errors.Is(err, ErrDecrypt) {
			t.Errorf("a partial key opens for %s: %v", name, err)
		}
	}
	for _, to := range [][]byte{nil, make([]byte, 31), make([]byte, 32)} {
		if _, err := p.Seal(to, [32]byte{}); !isFormatError(err) {
			t.Errorf("sealed to %x: %v", to, err)
		}
	}
}
