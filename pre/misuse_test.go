package pre

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// What a caller can do wrong, and what happens then: never a panic, never an
// innocent party blamed.

func TestErasedKeysAreRefused(t *testing.T) {
	f := newAnswered(t, 1)
	alice, x := f.custody("p-9@north")
	d := f.extract(alice, "lab")
	key := f.extract(f.identity("p-1@north"), "lab")
	inboxKey := f.extract(f.identity("dr.lee@south"), inbox)
	recordKey, err := key.OpenRecord(f.a.Records[0])
	must(t, err)
	letter, err := f.answers[0].Seal(f.a)
	must(t, err)
	share, master := f.shares[0], f.consortium.shares[0]
	for _, k := range []interface{ Erase() }{share, master, key, inboxKey, x, recordKey, f.d, f.key} {
		k.Erase()
	}
	for name, use := range map[string]func() error{
		"Share.Check":              func() error { return share.Check(f.g.Sharing()) },
		"Share.Reencrypt":          func() error { _, err := share.Reencrypt(f.g, f.g.Sharing(), f.a); return err },
		"Share.Decapsulate":        func() error { _, err := master.Decapsulate(f.authority, f.a); return err },
		"Share.Extract":            func() error { _, err := master.Extract(f.identity("p-1@north"), "lab"); return err },
		"Share.ExtractInbox":       func() error { _, err := master.ExtractInbox(f.identity("p-1@north")); return err },
		"Share.Seal":               func() error { _, err := share.Seal(f.a.Requester, f.g); return err },
		"PrivateKey.OpenRecord":    func() error { _, err := key.OpenRecord(f.a.Records[0]); return err },
		"PrivateKey.Grant":         func() error { _, _, err := key.Grant(f.terms("g"), f.identity("dr.lee@south")); return err },
		"Grant.Open":               func() error { _, err := f.g.Open(inboxKey); return err },
		"CustodyKey.Prove":         func() error { _, err := x.Prove("c", "n", 1); return err },
		"CustodyKey.Complete":      func() error { _, err := x.Complete(d, alice); return err },
		"RecordKey.OpenIndex":      func() error { _, err := recordKey.OpenIndex(f.sealed[0]); return err },
		"Delegation.Open":          func() error { _, err := f.d.Open(f.g.Sharing(), f.a, f.answers[1:]); return err },
		"TransportKey.OpenAnswer":  func() error { _, err := f.key.OpenAnswer(letter, f.a, 1, 1); return err },
		"CustodyKey.Complete of D": func() error { y, _ := GenerateCustodyKey(); d.Erase(); _, err := y.Complete(d, alice); return err },
	} {
		if err := use(); !errors.Is(err, ErrErased) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f.key.Public() != nil {
		t.Error("an erased transport key still has a public key")
	}
}

// TestMemberDoesNotFrameItself gives a member a damaged share, and sharings that
// are not the grant's.
func TestMemberDoesNotFrameItself(t *testing.T) {
	f := newAnswered(t, 2)
	damaged := *f.shares[0]
	damaged.secret = damaged.secret.Add(pairing.NewSecret(1))
	if _, err := damaged.Reencrypt(f.g, f.g.Sharing(), f.a); !errors.Is(err, ErrShares) {
		t.Errorf("a damaged share answers: %v", err)
	}
	if _, err := damaged.Decapsulate(f.authority, f.a); !errors.Is(err, ErrShares) {
		t.Errorf("another secret's share decapsulates: %v", err)
	}
	sameKey, _ := deal(t, recoverSecret(t, f.shares[:3]), 1, 4, 3)
	lowThreshold, _ := deal(t, recoverSecret(t, f.shares[:3]), 1, 4, 1)
	for name, forged := range map[string]*Sharing{"other coefficients": sameKey, "threshold 1": lowThreshold, "none": nil} {
		if _, err := f.shares[0].Reencrypt(f.g, forged, f.a); !errors.Is(err, ErrShares) {
			t.Errorf("a member answers under a sharing with %s: %v", name, err)
		}
		if err := f.answers[0].Verify(f.g, forged, f.a); !errors.Is(err, ErrShares) {
			t.Errorf("an answer is judged under a sharing with %s: %v", name, err)
		}
		if _, err := f.d.Open(forged, f.a, f.answers[:3]); !errors.Is(err, ErrShares) {
			t.Errorf("answers are combined under a sharing with %s: %v", name, err)
		}
	}
	// A forged sharing of a later generation cannot be told from the true one
	// here, but the member's own share does not fit it.
	later, _ := deal(t, recoverSecret(t, f.shares[:3]), 2, 4, 3)
	mine := *f.shares[0]
	mine.generation = 2
	if _, err := mine.Reencrypt(f.g, later, f.a); !errors.Is(err, ErrShares) {
		t.Errorf("a member answers under a forged later sharing: %v", err)
	}
}

func TestNilArgumentsAreRefused(t *testing.T) {
	f := newAnswered(t, 1)
	key := f.extract(f.identity("p-1@north"), "lab")
	nilRecord := *f.a
	nilRecord.Records = []*Record{nil}
	for name, use := range map[string]func() error{
		"access":    func() error { _, err := f.shares[0].Reencrypt(f.g, f.g.Sharing(), nil); return err },
		"record":    func() error { _, err := f.shares[0].Reencrypt(f.g, f.g.Sharing(), &nilRecord); return err },
		"sharing":   func() error { _, err := f.shares[0].Reencrypt(f.g, nil, f.a); return err },
		"authority": func() error { _, err := f.consortium.shares[0].Decapsulate(nil, f.a); return err },
		"answer":    func() error { _, err := f.d.Open(f.g.Sharing(), f.a, []*Answer{nil, nil, nil}); return err },
		"partial key": func() error {
			_, err := f.authority.CombineKey(f.identity("p"), "", []*PartialKey{nil, nil, nil})
			return err
		},
		"recipient":        func() error { _, _, err := key.Grant(f.terms("g"), nil); return err },
		"record to open":   func() error { _, err := key.OpenRecord(nil); return err },
		"envelope":         func() error { _, errs := VerifyBatch(nil, []*Envelope{nil}, []Header{{}}); return errs[0] },
		"envelope, single": func() error { _, err := (*Envelope)(nil).Verify(Header{}); return err },
		"authority key":    func() error { _, err := PublicKey{}.SelfCustody("c", "n", 1, nil); return err },
	} {
		if err := use(); err == nil {
			t.Errorf("no %s, no error", name)
		}
	}
	x, err := GenerateCustodyKey()
	must(t, err)
	proof, err := x.Prove("c", "n", 1)
	must(t, err)
	if _, err := (PublicKey{}).SelfCustody("c", "n", 1, proof); !isFormatError(err) {
		t.Errorf("self-custody under no authority at all: %v", err)
	}
	for name, prove := range map[string]func() ([]byte, error){
		"version 0": func() ([]byte, error) { return x.Prove("c", "n", 0) }, "no chain": func() ([]byte, error) { return x.Prove("", "n", 1) }, "no name": func() ([]byte, error) { return x.Prove("c", "", 1) },
	} {
		if _, err := prove(); !isFormatError(err) {
			t.Errorf("a custody proof for %s: %v", name, err)
		}
	}
}

func TestParsersDoNotKeepTheirInput(t *testing.T) {
	f := newGrant(t)
	r, _ := f.put(f.alice, "lab", "x")
	a, _ := f.access(r)
	ans := answers(t, f.g, f.g.Sharing(), a, f.shares[0])[0]
	type encoded interface{ Bytes() []byte }
	for name, tc := range map[string]struct {
		v     encoded
		parse func([]byte) (encoded, error)
	}{
		"grant":       {f.g, func(b []byte) (encoded, error) { return ParseGrant(b) }},
		"envelope":    {r.envelope, func(b []byte) (encoded, error) { return ParseEnvelope(b) }},
		"answer":      {ans, func(b []byte) (encoded, error) { return ParseAnswer(b) }},
		"private key": {f.key, func(b []byte) (encoded, error) { return ParsePrivateKey(b) }},
	} {
		b := tc.v.Bytes()
		input := bytes.Clone(b)
		v, err := tc.parse(input)
		must(t, err)
		clear(input)
		if !bytes.Equal(v.Bytes(), b) {
			t.Errorf("a parsed %s changes with the buffer it came from", name)
		}
	}
	context := f.g.context
	clear(f.g.Recipient())
	clear(f.g.Sealed())
	if f.g.computeContext() != context || bytes.Equal(f.g.sealed, make([]byte, len(f.g.sealed))) {
		t.Error("a grant changes through what its methods return")
	}
}

func TestGrantWithHalfOfTheAuthoritysKeyNamesTheDealer(t *testing.T) {
	// In self-custody the half must come from D', not from the D that the
	// members extract.
	c := newConsortium(t, 4, 3)
	alice, x := c.custody("p-1@north")
	bob, y := c.custody("dr.lee@south")
	g, shares, err := c.complete(alice, x, "lab").Grant(c.terms("g"), bob)
	must(t, err)
	w0 := recoverSecret(t, shares[:3])
	half := c.extract(alice, "lab").d.Sub(w0.MulG2(alice.typed("lab").point())).Bytes()
	g.sealed, err = bob.SealHalf(half[:], g.context)
	must(t, err)
	var dealer *DealerError
	if _, err := g.Open(c.complete(bob, y, inbox)); !errors.As(err, &dealer) {
		t.Errorf("a half made from D instead of D': %v", err)
	}
}

func TestAuthorOfOneWrongLevelIsNamed(t *testing.T) {
	// The owner's own level is right; only the level the grant opens at lies.
	f := newAnswered(t, 1)
	h := f.a.Records[0].header
	h.Record, h.Type = "forged", "lab/cbc"
	r := forgeRecord(t, h, func(level int, dek []byte) { dek[0] ^= byte(level & 1) })
	a, _ := f.access(r)
	_, err := f.d.Open(f.g.Sharing(), a, answers(t, f.g, f.g.Sharing(), a, f.shares[:3]...))
	var author *AuthorError
	if !errors.As(err, &author) {
		t.Errorf("the author is not named: %v", err)
	}
	if _, err := f.extract(f.identity("p-1@north"), "lab/cbc").OpenRecord(r); err != nil {
		t.Errorf("the honest level does not open: %v", err)
	}
}

func TestRepeatingRandomnessRepeatsNoIndexKey(t *testing.T) {
	c := newConsortium(t, 4, 3)
	h := Header{Record: "a", Owner: c.identity("p-1@north"), Type: "lab", Author: "lab@south"}
	frozen := func(h Header, index []byte) []byte {
		_, sealed, err := c.writer.encapsulate(bytes.NewReader(make([]byte, 1000)), h, index)
		must(t, err)
		return sealed[len(indexName)+1+24:]
	}
	zeros, ones := make([]byte, 200), bytes.Repeat([]byte{1}, 200)
	first, other := frozen(h, zeros), frozen(h, ones)
	h.Record = "b"
	second := frozen(h, zeros)
	for name, ct := range map[string][]byte{"another index": other, "another record": second} {
		same := 0
		for i := range 200 {
			if first[4+i]^ct[4+i] == zeros[i]^ones[i] || first[4+i] == ct[4+i] {
				same++
			}
		}
		if same > 20 {
			t.Errorf("%s is sealed with the same key stream", name)
		}
	}
}

func TestDescriptionsNameTheirFormat(t *testing.T) {
	c := newConsortium(t, 4, 3)
	id := c.identity("dr.lee@south")
	back, err := ParseIdentity(id.Description())
	if err != nil || !back.equal(id) || !strings.HasPrefix(string(id.Description()), identityName+"\n") {
		t.Errorf("ParseIdentity = %v, %v", back, err)
	}
	if _, err := ParseIdentity(append(id.Description(), 0)); !isFormatError(err) {
		t.Errorf("trailing byte: %v", err)
	}
	if _, err := ParseIdentity(id.Description()[1:]); !isFormatError(err) {
		t.Errorf("no name: %v", err)
	}
}

// TestNothingSecretPrints compares with the whole expected line: a printed point
// shows as limbs that no search for its bytes would find.
func TestNothingSecretPrints(t *testing.T) {
	f := newAnswered(t, 1)
	alice, x := f.custody("p-9@north")
	part, err := f.consortium.shares[1].Extract(alice, "lab")
	must(t, err)
	key := f.extract(alice, "lab")
	recordKey, err := f.extract(f.identity("p-1@north"), "lab").OpenRecord(f.a.Records[0])
	must(t, err)
	for want, values := range map[string][]any{
		"share 1 of generation 1":                 {f.shares[0], *f.shares[0]},
		"partial key 2 of generation 1":           {part, *part},
		`private key of p-9@north for "lab"`:      {key, *key},
		"custody key":                             {x, *x},
		"transport key":                           {f.key, *f.key},
		"key of record rec-30":                    {recordKey, *recordKey},
		"answer of member 1 in generation 1":      {f.answers[0], *f.answers[0]},
		"delegation of grant " + f.d.Grant().ID(): {f.d, *f.d},
	} {
		for _, v := range values {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
				if got := fmt.Sprintf(verb, v); got != want {
					t.Errorf("%s of %T prints %q", verb, v, got)
				}
			}
		}
	}
	if got := fmt.Sprintf("%+v", struct{ S *pairing.Secret }{f.shares[0].secret}); got != "{S:redacted}" {
		t.Errorf("a scalar inside a struct prints as %s", got)
	}
}

func TestPolicySealOverTheLimitRefused(t *testing.T) {
	f := newGrant(t)
	if _, _, err := f.key.Grant(f.terms("g"), hugeSeal{policy{20}}); !isFormatError(err) {
		t.Errorf("a sealed half over the limit: %v", err)
	}
	if _, _, err := f.key.Grant(f.terms("g"), policy{0}); !isFormatError(err) {
		t.Errorf("a recipient without description: %v", err)
	}
}

type hugeSeal struct{ policy }

func (hugeSeal) SealHalf([]byte, [32]byte) ([]byte, error) {
	return make([]byte, maxDescription+1), nil
}
