package pre

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// Each parser has a fuzzer with two properties: it does not panic, and what it
// accepts it writes back byte for byte. What it refuses it calls by the name of
// an error. The seeds are the vectors, valid and not.

// seed adds an input field of every vector of the operations.
func seed(f *testing.F, field string, operations ...string) {
	f.Helper()
	n := 0
	for _, v := range loadVectors(f) {
		for _, o := range operations {
			if v.Operation == o {
				f.Add(v.Input.hex(field))
				n++
			}
		}
	}
	if n == 0 {
		f.Fatalf("no vectors of %v to begin with", operations)
	}
}

// fuzzParser checks both properties of a parser of what has Bytes.
func fuzzParser[T interface{ Bytes() []byte }](f *testing.F, operation string, parse func([]byte) (T, error)) {
	f.Helper()
	seed(f, "bytes", operation)
	f.Fuzz(func(t *testing.T, b []byte) {
		input := bytes.Clone(b)
		v, err := parse(b)
		switch {
		case !bytes.Equal(b, input):
			t.Fatal("the parser changed its input")
		case err != nil && !isFormatError(err) && !errors.Is(err, ErrProof):
			t.Fatalf("unnamed error: %v", err)
		case err == nil && !bytes.Equal(v.Bytes(), b):
			t.Fatalf("%x becomes %x", b, v.Bytes())
		}
	})
}

func FuzzParsePublicKey(f *testing.F)    { fuzzParser(f, "parse-public-key", ParsePublicKey) }
func FuzzParseIdentity(f *testing.F)     { fuzzParser(f, "parse-identity", parseEncodedIdentity) }
func FuzzParseSharing(f *testing.F)      { fuzzParser(f, "parse-sharing", ParseSharing) }
func FuzzParseShare(f *testing.F)        { fuzzParser(f, "parse-share", ParseShare) }
func FuzzParsePartialKey(f *testing.F)   { fuzzParser(f, "parse-partial-key", ParsePartialKey) }
func FuzzParsePrivateKey(f *testing.F)   { fuzzParser(f, "parse-private-key", ParsePrivateKey) }
func FuzzParseCustodyKey(f *testing.F)   { fuzzParser(f, "parse-custody-key", ParseCustodyKey) }
func FuzzParseEnvelope(f *testing.F)     { fuzzParser(f, "parse-envelope", ParseEnvelope) }
func FuzzParseGrant(f *testing.F)        { fuzzParser(f, "parse-grant", ParseGrant) }
func FuzzParseAnswer(f *testing.F)       { fuzzParser(f, "parse-answer", ParseAnswer) }
func FuzzParseTransportKey(f *testing.F) { fuzzParser(f, "parse-transport-key", ParseTransportKey) }

// FuzzParseType adds that a type's levels are types, distinct, and shorter one
// by one.
func FuzzParseType(f *testing.F) {
	n := 0
	for _, v := range loadVectors(f) {
		if v.Operation == "parse-type" {
			f.Add(v.Input.text("type"))
			n++
		}
	}
	if n == 0 {
		f.Fatal("no vectors of types to begin with")
	}
	f.Fuzz(func(t *testing.T, s string) {
		typ, err := ParseType(s)
		if err != nil {
			if !isFormatError(err) {
				t.Fatalf("unnamed error: %v", err)
			}
			return
		}
		if string(typ) != s {
			t.Fatalf("%q becomes %q", s, typ)
		}
		levels := typ.Levels()
		if len(levels) == 0 || len(levels) > maxLevels || len(s) > maxType || levels[0] != typ {
			t.Fatalf("%q has the levels %q", s, levels)
		}
		for j, l := range levels {
			if _, err := ParseType(string(l)); err != nil || typ.level(l) > 0 || l.level(typ) != j || (j > 0 && len(l) >= len(levels[j-1])) {
				t.Fatalf("level %d of %q is %q", j, s, l)
			}
		}
	})
}

// FuzzCustodyProof: an accepted proof has one encoding.
func FuzzCustodyProof(f *testing.F) {
	seed(f, "proof", "check-custody")
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := w.authority.Key().SelfCustody(w.patient.Chain, w.patient.Name, w.patient.Version, b)
		if err != nil {
			if !isFormatError(err) && !errors.Is(err, ErrProof) {
				t.Fatalf("unnamed error: %v", err)
			}
			return
		}
		rest := b[len(custodyProofName)+1:]
		x, err := pairing.ParseG1(rest[:48])
		must(t, err)
		c, err := pairing.ParseScalar(rest[48:80])
		must(t, err)
		z, err := pairing.ParseScalar(rest[80:])
		must(t, err)
		if again := custodyProofName + "\n" + string(unhex(hxPoint(x)+hxScalar(c)+hxScalar(z))); again != string(b) {
			t.Fatalf("%x is a second encoding", b)
		}
	})
}

// FuzzVerifyEnvelope goes past the parser: no envelope, however made, makes the
// verifier or the batch verifier panic, and they agree.
func FuzzVerifyEnvelope(f *testing.F) {
	seed(f, "envelope", "verify-envelope", "open-record")
	w := newWorld(f)
	h := w.header(w.owner, worldType, "refused")
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEnvelope(b)
		if err != nil {
			return
		}
		_, one := e.Verify(h)
		_, all := VerifyBatch(nil, []*Envelope{e}, []Header{h})
		if kindOf(one) != kindOf(all[0]) {
			t.Fatalf("alone %v, in a batch %v", one, all[0])
		}
	})
}

// FuzzVerifyAnswer goes past the parser: no answer makes the verifier or the
// combiner panic.
func FuzzVerifyAnswer(f *testing.F) {
	seed(f, "answer", "verify-answer")
	w := newWorld(f)
	c := w.standard(3)
	good := w.answers(c.shares[:3], c.grant, c.sharing, c.access)
	d, err := c.grant.Accept(c.half)
	must(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		ans, err := ParseAnswer(b)
		if err != nil {
			return
		}
		switch kind := kindOf(ans.Verify(c.grant, c.sharing, c.access)); kind {
		case "valid", "proof", "shares":
		default:
			t.Fatalf("verdict %q", kind)
		}
		_, err = d.Open(c.sharing, c.access, []*Answer{good[0], ans, good[2]})
		switch kind := kindOf(err); kind {
		case "valid", "blame", "shares":
		default:
			t.Fatalf("verdict %q", kind)
		}
	})
}

// FuzzOpenIndex: with a hash that matches, whatever opens is what its own index
// seals to under its nonce; the rest fails as everything else does.
func FuzzOpenIndex(f *testing.F) {
	seed(f, "sealed", "open-record")
	w := newWorld(f)
	h := w.header(w.owner, worldType, "unopened")
	e, sealed := w.put(h, []byte("unopened"))
	f.Add(sealed)
	key := &RecordKey{record: &Record{h, e, h.context()}, dek: [recordKeySize]byte(w.recordKey(h, []byte("unopened")))}
	f.Fuzz(func(t *testing.T, b []byte) {
		changed := *e
		changed.index = indexHash(b)
		k := &RecordKey{record: &Record{h, &changed, h.context()}, dek: key.dek}
		index, err := k.OpenIndex(b)
		if err != nil && err != ErrDecrypt {
			t.Fatalf("unnamed error: %v", err)
		}
		if err != nil {
			return
		}
		nonce := b[len(indexName)+1:][:24]
		again, err := sealIndex(k.dek[:], nonce, h.context(), e.U(), index)
		must(t, err)
		if !bytes.Equal(again, b) {
			t.Fatalf("%x opens as %q, which seals to %x", b, index, again)
		}
	})
}

// FuzzUnpad: padding has one form.
func FuzzUnpad(f *testing.F) {
	for _, n := range []int{0, 1, 251, 252, 253, 508, 509} {
		b := pad(make([]byte, n))
		f.Add(b)
		f.Add(append(b, make([]byte, indexBlock)...))
		f.Add(b[:len(b)-1])
	}
	f.Add([]byte(nil))
	f.Add(bytes.Repeat([]byte{0xff}, indexBlock))
	f.Fuzz(func(t *testing.T, b []byte) {
		index, err := unpad(b)
		if err != nil && err != ErrDecrypt {
			t.Fatalf("unnamed error: %v", err)
		}
		if err == nil && !bytes.Equal(pad(index), b) {
			t.Fatalf("%x has a second padding", b)
		}
	})
}

// FuzzSealedHalf: whatever opens is what its own plaintext seals to.
func FuzzSealedHalf(f *testing.F) {
	w := newWorld(f)
	n := 0
	for _, v := range loadVectors(f) {
		if v.Operation == "open-grant" {
			g, err := ParseGrant(v.Input.hex("grant"))
			must(f, err)
			f.Add(g.sealed)
			n++
		}
	}
	if n == 0 {
		f.Fatal("no vectors of grants to begin with")
	}
	g, _ := w.grant(w.owner, "lab", w.reader, "refused")
	f.Add(g.sealed)
	key := w.key(w.reader, inbox)
	f.Fuzz(func(t *testing.T, b []byte) {
		half, err := key.openHalf(b, g.context)
		if err != nil && err != ErrDecrypt {
			t.Fatalf("unnamed error: %v", err)
		}
		if err == nil && !w.reader.CheckHalf(b, half, g.context) {
			t.Fatalf("%x opens, and is not what seals %x", b, half)
		}
	})
}

// FuzzAcceptHalf: the reader takes one half, and names the dealer for any other.
func FuzzAcceptHalf(f *testing.F) {
	w := newWorld(f)
	c := w.standard(1)
	f.Add(c.half)
	seed(f, "half", "open-access")
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := c.grant.Accept(b)
		var dealer *DealerError
		if err != nil && (!errors.As(err, &dealer) || !bytes.Equal(dealer.Half, b)) {
			t.Fatalf("unnamed error: %v", err)
		}
		if err == nil && !bytes.Equal(b, c.half) {
			t.Fatalf("%x is accepted as well", b)
		}
	})
}

// FuzzOpenTransport: what was not sealed for this use does not open, and does
// not say why.
func FuzzOpenTransport(f *testing.F) {
	seed(f, "sealed", "open-share", "open-partial-key", "open-answer")
	w := newWorld(f)
	c, to, other := w.standard(1), w.transportKey("member 2"), w.transportKey("request")
	var zero [32]byte // an id of no request
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := to.OpenShare(b, c.grant, 2); err == nil {
			must(t, s.Check(c.sharing))
		} else if err != ErrDecrypt && !errors.Is(err, ErrProof) {
			t.Fatalf("share: %v", err)
		}
		if _, err := other.OpenPartialKey(b, zero, 3, 1); err != ErrDecrypt {
			t.Fatalf("partial key: %v", err)
		}
		if ans, err := c.transfer.OpenAnswer(b, c.access, 4, 1); err == nil && (ans.index != 4 || ans.generation != 1) {
			t.Fatalf("answer of %d in %d", ans.index, ans.generation)
		} else if err != nil && err != ErrDecrypt {
			t.Fatalf("answer: %v", err)
		}
	})
}
