package pre

import (
	"bytes"
	"errors"
	"testing"
)

func TestOwnerOpensHerRecord(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice := c.identity("p-1@north")
	r, sealed := c.put(alice, "lab/hematology/cbc", "Hb 13.2")
	for _, typ := range Type("lab/hematology/cbc").Levels() {
		k, err := c.extract(alice, typ).OpenRecord(r)
		must(t, err)
		index, err := k.OpenIndex(sealed)
		must(t, err)
		if string(index) != "Hb 13.2" {
			t.Errorf("at level %q the index is %q", typ, index)
		}
	}
}

func TestReaderOpensManyRecordsInOneAccess(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, bob := c.identity("p-1@north"), c.identity("dr.lee@south")
	d, shares := c.grant(alice, "lab", bob)
	var records []*Record
	var sealed [][]byte
	for _, index := range []string{"one", "two", "three"} {
		r, s := c.put(alice, "lab/hematology", index)
		records, sealed = append(records, r), append(sealed, s)
	}
	a, key := c.access(records...)
	var got []*Answer
	for _, s := range shares[1:] {
		ans, err := s.Reencrypt(d.Grant(), d.Grant().Sharing(), a)
		must(t, err)
		must(t, ans.Verify(d.Grant(), d.Grant().Sharing(), a))
		letter, err := ans.Seal(a)
		must(t, err)
		opened, err := key.OpenAnswer(letter, a, s.Index(), s.Generation())
		must(t, err)
		got = append(got, opened)
	}
	keys, err := d.Open(d.Grant().Sharing(), a, got)
	must(t, err)
	for j, k := range keys {
		index, err := k.OpenIndex(sealed[j])
		must(t, err)
		if want := []string{"one", "two", "three"}[j]; string(index) != want {
			t.Errorf("record %d holds %q, want %q", j, index, want)
		}
	}
}

func TestSelfCustodyEndToEnd(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, x := c.custody("p-1@north")
	bob, y := c.custody("dr.lee@south")
	r, sealed := c.put(alice, "imaging", "MRI")
	g, shares, err := c.complete(alice, x, "imaging").Grant(c.terms("g"), bob)
	must(t, err)
	d, err := g.Open(c.complete(bob, y, inbox))
	must(t, err)
	a, _ := c.access(r)
	keys, err := d.Open(g.Sharing(), a, answers(t, g, g.Sharing(), a, shares[:3]...))
	must(t, err)
	index, err := keys[0].OpenIndex(sealed)
	if err != nil || string(index) != "MRI" {
		t.Errorf("index is %q, %v", index, err)
	}
}

func TestEncodingsRoundTrip(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, bob := c.identity("p-1@north"), c.identity("dr.lee@south")
	x, err := GenerateCustodyKey()
	must(t, err)
	tk, err := GenerateTransportKey()
	must(t, err)
	p, err := c.shares[0].Extract(alice, "lab")
	must(t, err)
	r, _ := c.put(alice, "lab/cbc", "x")
	d, shares := c.grant(alice, "lab", bob)
	a, _ := c.access(r)
	ans := answers(t, d.Grant(), d.Grant().Sharing(), a, shares[0])[0]
	type encoded interface{ Bytes() []byte }
	for name, tc := range map[string]struct {
		v     encoded
		parse func([]byte) (encoded, error)
	}{
		"sharing":       {c.authority, func(b []byte) (encoded, error) { return ParseSharing(b) }},
		"share":         {c.shares[0], func(b []byte) (encoded, error) { return ParseShare(b) }},
		"partial key":   {p, func(b []byte) (encoded, error) { return ParsePartialKey(b) }},
		"private key":   {c.extract(alice, "lab"), func(b []byte) (encoded, error) { return ParsePrivateKey(b) }},
		"inbox key":     {c.extract(bob, inbox), func(b []byte) (encoded, error) { return ParsePrivateKey(b) }},
		"custody key":   {x, func(b []byte) (encoded, error) { return ParseCustodyKey(b) }},
		"transport key": {tk, func(b []byte) (encoded, error) { return ParseTransportKey(b) }},
		"public key":    {c.authority.Key(), func(b []byte) (encoded, error) { return ParsePublicKey(b) }},
		"envelope":      {r.Envelope(), func(b []byte) (encoded, error) { return ParseEnvelope(b) }},
		"grant":         {d.Grant(), func(b []byte) (encoded, error) { return ParseGrant(b) }},
		"answer":        {ans, func(b []byte) (encoded, error) { return ParseAnswer(b) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := tc.v.Bytes()
			back, err := tc.parse(b)
			must(t, err)
			if !bytes.Equal(back.Bytes(), b) {
				t.Error("the encoding changes on the way")
			}
			for n := range b {
				if _, err := tc.parse(b[:n]); !isFormatError(err) {
					t.Fatalf("cut to %d bytes: %v", n, err)
				}
			}
			if _, err := tc.parse(append(bytes.Clone(b), 0)); !isFormatError(err) {
				t.Errorf("trailing byte: %v", err)
			}
		})
	}
}

func isFormatError(err error) bool {
	var f *FormatError
	return errors.As(err, &f)
}
