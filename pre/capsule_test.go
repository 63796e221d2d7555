package pre

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/internal/pairing"
)

func TestTypesAreParsedStrictly(t *testing.T) {
	long := strings.Repeat("a", 32)
	for _, good := range []string{"", "lab", "lab/hematology/cbc", "sealed:hiv", "a/sealed:b/c", "9", "a.b_c-d", long, strings.Repeat(long+"/", 7) + long} {
		if _, err := ParseType(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"/", "lab/", "/lab", "lab//cbc", "Lab", "läb", "检验", "lab cbc", ".lab", "-lab", "_lab", "#inbox", "a/#inbox", "#x",
		"lab#", "sealed:", "sealed:sealed:a", "a:b", long + "a", strings.Repeat("a/", 8) + "a", "a\n", "a\x00", "../a", "..", "*"} {
		if _, err := ParseType(bad); !isFormatError(err) {
			t.Errorf("%q is taken for a type: %v", bad, err)
		}
	}
}

func TestTypeLevelsAndCover(t *testing.T) {
	for typ, want := range map[Type]string{
		"":                       "[]",
		"lab/hematology/cbc":     "[lab/hematology/cbc lab/hematology lab ]",
		"clinical/sealed:hiv":    "[clinical/sealed:hiv]",
		"clinical/sealed:hiv/rx": "[clinical/sealed:hiv/rx clinical/sealed:hiv]",
		"sealed:a/b/sealed:c/d":  "[sealed:a/b/sealed:c/d sealed:a/b/sealed:c]",
		inbox:                    "[#inbox]",
	} {
		if got := fmt.Sprint(typ.Levels()); got != want {
			t.Errorf("levels of %q are %s, want %s", typ, got, want)
		}
	}
	if Type("lab").Covers("laboratory") || Type("lab/he").Covers("lab/hematology") || Type("").Covers(inbox) || !Type("").Covers("lab") {
		t.Error("types do not match by whole components")
	}
}

// flipEveryByte calls f with each single-bit change of every byte of b.
func flipEveryByte(b []byte, f func(at int, changed []byte)) {
	for at := range b {
		for bit := range 8 {
			changed := bytes.Clone(b)
			changed[at] ^= 1 << bit
			f(at, changed)
			if !testing.Short() {
				continue
			}
			break
		}
	}
}

func TestCapsuleEveryBitCounts(t *testing.T) {
	c := newConsortium(t, 4, 3)
	r, _ := c.put(c.identity("p-1@north"), "lab", "x")
	flipEveryByte(r.envelope.Bytes(), func(at int, changed []byte) {
		e, err := ParseEnvelope(changed)
		if err == nil {
			_, err = e.Verify(r.header)
		}
		if err == nil {
			t.Errorf("byte %d may change", at)
		}
	})
}

func TestCapsuleMauledByDeltaRefused(t *testing.T) {
	c := newConsortium(t, 4, 3)
	r, _ := c.put(c.identity("p-1@north"), "lab", "x")
	delta := pairing.NewScalar(5)
	d := pairing.MulGenerator(delta)
	label := r.envelope.label(r.context)
	h := capsuleBase(r.envelope.u, r.envelope.r, label)
	for name, maul := range map[string]func(e *Envelope){
		"U + δ·g1":          func(e *Envelope) { e.u = e.u.Add(d) },
		"U + δ·g1, z + c·δ": func(e *Envelope) { e.u, e.z = e.u.Add(d), e.z.Add(e.challenge(label).Mul(delta)) },
		"both bases and z": func(e *Envelope) {
			e.u, e.ubar, e.z = e.u.Add(d), e.ubar.Add(h.Mul(delta)), e.z.Add(e.challenge(label).Mul(delta))
		},
		"R, Rbar and z":              func(e *Envelope) { e.r, e.rbar, e.z = e.r.Add(d), e.rbar.Add(h.Mul(delta)), e.z.Add(delta) },
		"U and Ubar doubled":         func(e *Envelope) { e.u, e.ubar = e.u.Add(e.u), e.ubar.Add(e.ubar) },
		"second base wrong":          func(e *Envelope) { e.ubar = e.ubar.Add(h) },
		"second commitment wrong":    func(e *Envelope) { e.rbar = e.rbar.Add(h) },
		"first and second exchanged": func(e *Envelope) { e.u, e.ubar = e.ubar, e.u },
	} {
		e := *r.envelope
		maul(&e)
		if _, err := e.Verify(r.header); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
		if _, errs := VerifyBatch(nil, []*Envelope{&e}, []Header{r.header}); !errors.Is(errs[0], ErrProof) {
			t.Errorf("%s in a batch: %v", name, errs[0])
		}
	}
}

// TestCapsuleSecondBaseProvenWithOtherExponentRefused makes the proof afresh for
// Ubar = r'·h: the first equation holds, the second cannot.
func TestCapsuleSecondBaseProvenWithOtherExponentRefused(t *testing.T) {
	c := newConsortium(t, 4, 3)
	r, _ := c.put(c.identity("p-1@north"), "lab", "x")
	e := *r.envelope
	exponent, k := pairing.NewScalar(7), pairing.NewScalar(11)
	e.u = pairing.MulGenerator(exponent)
	label := e.label(r.context)
	e.prove(exponent, k, label)
	if _, err := e.Verify(r.header); err != nil {
		t.Fatalf("the honest proof fails: %v", err)
	}
	h := capsuleBase(e.u, e.r, label)
	e.ubar = h.Mul(pairing.NewScalar(8))
	e.z = k.Add(e.challenge(label).Mul(exponent))
	if !pairing.MulGenerator(e.z).Equal(e.r.Add(e.u.Mul(e.challenge(label)))) {
		t.Fatal("the first equation fails: the test's algebra is wrong")
	}
	if _, err := e.Verify(r.header); !errors.Is(err, ErrProof) {
		t.Errorf("Ubar = r'·h passes: %v", err)
	}
}

// TestCapsuleFirstBaseProvenWithOtherExponentRefused is the attack on a victim's
// U whose exponent the attacker does not know: a proof for the second base only.
func TestCapsuleFirstBaseProvenWithOtherExponentRefused(t *testing.T) {
	c := newConsortium(t, 4, 3)
	r, _ := c.put(c.identity("p-1@north"), "lab", "x")
	e, label := *r.envelope, r.envelope.label(r.context)
	exponent, k := pairing.NewScalar(7), pairing.NewScalar(11)
	e.prove(exponent, k, label)
	if h := capsuleBase(e.u, e.r, label); !h.Mul(e.z).Equal(e.rbar.Add(e.ubar.Mul(e.challenge(label)))) {
		t.Fatal("the second equation fails: the test's algebra is wrong")
	}
	if _, err := e.Verify(r.header); !errors.Is(err, ErrProof) {
		t.Errorf("a proof about another exponent than U's passes: %v", err)
	}
	if _, errs := VerifyBatch(nil, []*Envelope{&e}, []Header{r.header}); !errors.Is(errs[0], ErrProof) {
		t.Errorf("and in a batch: %v", errs[0])
	}
}

func TestCapsuleLevelsAreLimited(t *testing.T) {
	c := newConsortium(t, 4, 3)
	r, _ := c.put(c.identity("p-1@north"), "lab", "x")
	for _, n := range []int{0, maxLevels + 1, 255} {
		e := *r.envelope
		e.wraps = make([][wrapSize]byte, n)
		var f *FormatError
		if _, err := ParseEnvelope(e.Bytes()); !errors.As(err, &f) || f.Reason != "limit" {
			t.Errorf("%d levels: %v", n, err)
		}
	}
}

func TestCapsuleCopiedToAnotherHeaderRefused(t *testing.T) {
	c := newConsortium(t, 4, 3)
	r, _ := c.put(c.identity("p-1@north"), "lab/cbc", "x")
	other, _ := c.custody("p-1@north")
	for name, change := range map[string]func(h *Header){
		"record":  func(h *Header) { h.Record += "x" },
		"owner":   func(h *Header) { h.Owner.Name = "p-2@north" },
		"author":  func(h *Header) { h.Author = "mallory@south" },
		"type":    func(h *Header) { h.Type = "lab/abc" },
		"epoch":   func(h *Header) { h.Owner.Epoch++ },
		"version": func(h *Header) { h.Owner.Version++ },
		"key":     func(h *Header) { h.Owner.Key = other.Key },
		"chain":   func(h *Header) { h.Owner.Chain = "baltic" },
	} {
		h := r.header
		change(&h)
		if _, err := r.envelope.Verify(h); !errors.Is(err, ErrProof) {
			t.Errorf("copied to another %s: %v", name, err)
		}
	}
	for name, change := range map[string]func(h *Header){
		"fewer levels": func(h *Header) { h.Type = "lab" },
		"more levels":  func(h *Header) { h.Type = "lab/cbc/x" },
		"inbox":        func(h *Header) { h.Type = inbox },
		"no record":    func(h *Header) { h.Record = "" },
		"spaces":       func(h *Header) { h.Author = "a b" },
		"long name":    func(h *Header) { h.Owner.Name = strings.Repeat("a", 129) },
		"no key":       func(h *Header) { h.Owner.Key = PublicKey{} },
	} {
		h := r.header
		change(&h)
		if _, err := r.envelope.Verify(h); !isFormatError(err) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := c.writer.Encapsulate(h, nil); name != "fewer levels" && name != "more levels" && !isFormatError(err) {
			t.Errorf("written with %s: %v", name, err)
		}
	}
}

func TestCapsuleWrapsAreBound(t *testing.T) {
	c := newConsortium(t, 4, 3)
	r, _ := c.put(c.identity("p-1@north"), "lab/cbc", "x")
	w := r.envelope.wraps
	for name, wraps := range map[string][][wrapSize]byte{
		"missing":   w[:2],
		"extra":     append(append([][wrapSize]byte(nil), w...), w[0]),
		"reordered": {w[1], w[0], w[2]},
		"repeated":  {w[0], w[0], w[2]},
	} {
		e := *r.envelope
		e.wraps = wraps
		if _, err := e.Verify(r.header); err == nil {
			t.Errorf("wraps %s are accepted", name)
		}
	}
}

// TestCapsuleWithDifferentKeysPerLevelOpensOnlyTheCommitted is the "salamander":
// an author wraps one key for one reader and another for the next. U commits to
// one of them, so only that one opens.
func TestCapsuleWithDifferentKeysPerLevelOpensOnlyTheCommitted(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice := c.identity("p-1@north")
	h := Header{Record: "r", Owner: alice, Type: "lab", Author: "lab@south"}
	r := forgeRecord(t, h, func(level int, dek []byte) {
		if level == 1 {
			dek[0] ^= 1
		}
	})
	if _, err := c.extract(alice, "lab").OpenRecord(r); err != nil {
		t.Errorf("the committed key does not open: %v", err)
	}
	if _, err := c.extract(alice, "").OpenRecord(r); !errors.Is(err, ErrDecrypt) {
		t.Errorf("a second key opens: %v", err)
	}
}

// forgeRecord makes a record with a valid capsule proof and wraps of whatever
// change makes of the record key.
func forgeRecord(t testing.TB, h Header, change func(level int, dek []byte)) *Record {
	t.Helper()
	dek := bytes.Repeat([]byte{7}, recordKeySize)
	context := h.context()
	exponent := recordScalar(dek, context)
	e := &Envelope{u: pairing.MulGenerator(exponent)}
	ub := e.u.Bytes()
	for j, level := range h.Type.Levels() {
		wrapped := bytes.Clone(dek)
		change(j, wrapped)
		id := h.Owner.typed(level)
		w, err := sealWrap(pairing.Pair(h.Owner.Key.g, id.point()).Exp(exponent), id, ub[:], j, context, wrapped)
		must(t, err)
		e.wraps = append(e.wraps, w)
	}
	e.prove(exponent, pairing.NewScalar(3), e.label(context))
	r, err := e.Verify(h)
	must(t, err)
	return r
}

func TestCapsuleTorsionRefusedSingleAndBatch(t *testing.T) {
	// (0, 2) has order 3. Were R + T let in, single verification would refuse
	// it and a random combination accept it one time in three: nodes would
	// part ways. The parser refuses every point outside the subgroup.
	torsion := make([]byte, 48)
	torsion[0] = 0x80
	if _, err := pairing.ParseG1(torsion); !errors.Is(err, pairing.ErrSubgroup) {
		t.Fatalf("the point of order 3: %v", err)
	}
	c := newConsortium(t, 4, 3)
	r, _ := c.put(c.identity("p-1@north"), "lab", "x")
	b := r.envelope.Bytes()
	for i := range 4 {
		changed := bytes.Clone(b)
		copy(changed[len(envelopeName)+1+48*i:], torsion)
		var f *FormatError
		if _, err := ParseEnvelope(changed); !errors.As(err, &f) || f.Reason != "subgroup" {
			t.Errorf("point %d of order 3: %v", i, err)
		}
	}
}

func TestCapsuleNonCanonicalResponseRefused(t *testing.T) {
	c := newConsortium(t, 4, 3)
	order, _ := new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	for range 8 { // z + q fits into 32 bytes for about half of all z
		r, _ := c.put(c.identity("p-1@north"), "lab", "x")
		z := r.envelope.z.Bytes()
		sum := new(big.Int).Add(new(big.Int).SetBytes(z[:]), order)
		if sum.BitLen() > 256 {
			continue
		}
		b := r.envelope.Bytes()
		sum.FillBytes(b[len(envelopeName)+1+4*48:][:32])
		var f *FormatError
		if _, err := ParseEnvelope(b); !errors.As(err, &f) || f.Reason != "range" {
			t.Errorf("z + q: %v", err)
		}
	}
}

func TestCapsuleBatchEqualsSingle(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice := c.identity("p-1@north")
	var good []*Record
	for i := range 12 {
		r, _ := c.put(alice, "lab", fmt.Sprint(i))
		good = append(good, r)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, len(good)).Draw(t, "n")
		envelopes, headers := make([]*Envelope, n), make([]Header, n)
		for i := range n {
			e := *good[i].envelope
			headers[i] = good[i].header
			switch rapid.IntRange(0, 9).Draw(t, "fault") {
			case 0:
				e.z = e.z.Add(pairing.NewScalar(1))
			case 1:
				e.ubar = e.ubar.Neg()
			case 2:
				headers[i].Author = "mallory@south"
			case 3:
				headers[i].Type = "lab/cbc"
			}
			envelopes[i] = &e
		}
		records, errs := VerifyBatch(rapid.SliceOf(rapid.Byte()).Draw(t, "seed"), envelopes, headers)
		for i := range n {
			_, want := envelopes[i].Verify(headers[i])
			if fmt.Sprint(want) != fmt.Sprint(errs[i]) || (want == nil) != (records[i] != nil) {
				t.Fatalf("envelope %d: batch says %v, single says %v", i, errs[i], want)
			}
		}
	})
	if _, errs := VerifyBatch(nil, []*Envelope{good[0].envelope}, nil); !isFormatError(errs[0]) {
		t.Errorf("an envelope without header: %v", errs[0])
	}
}

// TestCapsuleErrorsDoNotCancelInABatch gives two envelopes opposite errors, so
// that the unweighted sum of their equations holds.
func TestCapsuleErrorsDoNotCancelInABatch(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice := c.identity("p-1@north")
	d := pairing.MulGenerator(pairing.NewScalar(9))
	forge := func(record string, off pairing.G1) (*Envelope, Header) {
		r, _ := c.put(alice, "lab", record)
		e, exponent, k := *r.envelope, pairing.NewScalar(7), pairing.NewScalar(11)
		e.u = pairing.MulGenerator(exponent)
		label := e.label(r.context)
		e.prove(exponent, k, label)
		e.rbar = e.rbar.Add(off)
		e.z = k.Add(e.challenge(label).Mul(exponent))
		return &e, r.header
	}
	e, he := forge("a", d)
	f, hf := forge("b", d.Neg())
	_, errs := VerifyBatch(nil, []*Envelope{e, f}, []Header{he, hf})
	if !errors.Is(errs[0], ErrProof) || !errors.Is(errs[1], ErrProof) {
		t.Errorf("opposite errors pass: %v", errs)
	}
}

func TestBatchNamesTheOneBadInAThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand envelopes")
	}
	c := newConsortium(t, 4, 3)
	alice := c.identity("p-1@north")
	envelopes, headers := make([]*Envelope, 1000), make([]Header, 1000)
	for i := range envelopes {
		headers[i] = Header{Record: fmt.Sprint(i), Owner: alice, Type: "", Author: "lab@south"}
		var err error
		envelopes[i], _, err = c.writer.Encapsulate(headers[i], nil)
		must(t, err)
	}
	headers[617].Record = "another"
	_, errs := VerifyBatch([]byte("block"), envelopes, headers)
	for i, err := range errs {
		if (err != nil) != (i == 617) {
			t.Errorf("envelope %d: %v", i, err)
		}
	}
}

func TestSameRandomnessDifferentRecordGivesDifferentU(t *testing.T) {
	c := newConsortium(t, 4, 3)
	h := Header{Record: "a", Owner: c.identity("p-1@north"), Type: "lab", Author: "lab@south"}
	frozen := func(h Header) *Envelope {
		e, _, err := c.writer.encapsulate(bytes.NewReader(make([]byte, 1000)), h, nil)
		must(t, err)
		return e
	}
	first := frozen(h)
	again := frozen(h)
	h.Record = "b"
	second := frozen(h)
	if !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Error("the randomness is not frozen: the test proves nothing")
	}
	if first.u.Equal(second.u) || first.r.Equal(second.r) || first.wraps[0] == second.wraps[0] {
		t.Error("a frozen random generator repeats U, a nonce or a wrap for another record")
	}
}

func TestEncapsulateReportsItsReader(t *testing.T) {
	c := newConsortium(t, 4, 3)
	h := Header{Record: "a", Owner: c.identity("p-1@north"), Type: "lab", Author: "lab@south"}
	if _, _, err := c.writer.encapsulate(strings.NewReader("short"), h, nil); err == nil {
		t.Error("a short source of randomness goes unnoticed")
	}
	if _, _, err := c.writer.Encapsulate(h, make([]byte, maxIndex+1)); !isFormatError(err) {
		t.Errorf("an index over the limit: %v", err)
	}
}

func TestEncapsulatorForgetsWhatItUsedLeast(t *testing.T) {
	c := newConsortium(t, 1, 1)
	var w Encapsulator
	key := c.authority.Key().g
	for i := range cacheSize + 10 {
		w.base(key, typedID{"c", fmt.Sprint(i % 3), "", 0})
	}
	if len(w.bases) != 3 || w.order.Len() != 3 {
		t.Fatalf("%d bases for 3 identities", len(w.bases))
	}
	// Fill it without a thousand pairings.
	for i := range cacheSize {
		k := baseKey{key, typedID{"c", fmt.Sprint("filler ", i), "", 0}}
		w.bases[k] = w.order.PushFront(&base{key: k})
	}
	w.base(key, typedID{"c", "new", "", 0})
	if len(w.bases) != cacheSize || w.order.Len() != len(w.bases) {
		t.Errorf("the cache holds %d bases", len(w.bases))
	}
	for i := range 3 {
		if _, ok := w.bases[baseKey{key, typedID{"c", fmt.Sprint(i), "", 0}}]; ok {
			t.Errorf("base %d, not used for long, was kept", i)
		}
	}
}

func TestIndexIsPaddedOneWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		index := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "index")
		padded := pad(index)
		if len(padded)%indexBlock != 0 || len(padded) > len(index)+4+indexBlock {
			t.Fatalf("%d bytes are padded to %d", len(index), len(padded))
		}
		back, err := unpad(padded)
		if err != nil || !bytes.Equal(back, index) {
			t.Fatalf("unpad(pad) = %v, %v", back, err)
		}
	})
	for name, bad := range map[string][]byte{
		"nothing":       nil,
		"not a block":   make([]byte, 255),
		"too long":      append([]byte{0, 0, 1, 0}, make([]byte, 252)...),
		"a block more":  make([]byte, 512),
		"not zero":      append(make([]byte, 255), 1),
		"absurd length": append([]byte{255, 255, 255, 255}, make([]byte, 252)...),
	} {
		if _, err := unpad(bad); !errors.Is(err, ErrDecrypt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIndexOfAnotherRecordDoesNotOpen(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice := c.identity("p-1@north")
	r, sealed := c.put(alice, "lab", "one")
	_, other := c.put(alice, "lab", "two")
	k, err := c.extract(alice, "lab").OpenRecord(r)
	must(t, err)
	if _, err := k.OpenIndex(other); !errors.Is(err, ErrDecrypt) {
		t.Errorf("another record's index: %v", err)
	}
	// Whoever has the record key can seal another index under it. The envelope
	// holds the hash of the first.
	u := r.envelope.U()
	second, err := sealIndex(k.dek[:], make([]byte, 24), r.context, u, []byte("two"))
	must(t, err)
	if _, err := k.OpenIndex(second); !errors.Is(err, ErrDecrypt) {
		t.Errorf("a second index under the same key: %v", err)
	}
	flipEveryByte(sealed, func(at int, changed []byte) {
		if _, err := k.OpenIndex(changed); !errors.Is(err, ErrDecrypt) {
			t.Errorf("byte %d of the sealed index may change: %v", at, err)
		}
	})
}
