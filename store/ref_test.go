package store

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

const emptyRef = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

func TestParseRefAcceptsOneSpelling(t *testing.T) {
	r, err := ParseRef(emptyRef)
	if err != nil || r.String() != emptyRef {
		t.Fatalf("ParseRef = %v, %v", r, err)
	}
	other := func(version, codec, hash uint64) string {
		p := cid.Prefix{Version: version, Codec: codec, MhType: hash, MhLength: -1}
		c, err := p.Sum([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		return c.String()
	}
	last := strings.Repeat("a", 57)
	for name, s := range map[string]string{
		"empty":               "",
		"upper case":          strings.ToUpper(emptyRef),
		"mixed case":          "bA" + emptyRef[2:],
		"no multibase":        emptyRef[1:],
		"base58":              "zb2rhmy65F3REf8SZp7De11gxtECBGgUKaLdiDj7MCGCHxbDW",
		"base36":              "k2cwueebp9wws0fnm29jatrrbqocjaivp132efhd99cd5phw2odywbit",
		"version 0":           other(0, cid.DagProtobuf, 0x12),
		"other codec":         other(1, cid.DagCBOR, 0x12),
		"other hash":          other(1, cid.Raw, 0x13),
		"trailing byte":       emptyRef + "a",
		"missing byte":        emptyRef[:58],
		"padding":             emptyRef[:58] + "=",
		"line break":          emptyRef[:30] + "\n" + emptyRef[31:],
		"unused bits set":     emptyRef[:58] + "v",
		"not base32":          emptyRef[:58] + "1",
		"zero":                "b" + last + "a",
		"path":                "/ipfs/" + emptyRef,
		"space":               " " + emptyRef,
		"identity hash":       "bafkqaaa",
		"truncated digest":    "bafkreaa",
		"non-minimal version": "bqeakreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
	} {
		if r, err := ParseRef(s); err == nil {
			t.Errorf("%s: ParseRef(%q) = %v", name, s, r)
		}
	}
}

// TestRefIsACID compares with the reference implementation.
func TestRefIsACID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Ref{codec: rapid.SampledFrom([]byte{codecRaw, codecDagPB}).Draw(t, "codec")}
		copy(r.digest[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		c, err := cid.Decode(r.String())
		if err != nil {
			t.Fatal(err)
		}
		if c.String() != r.String() || !bytes.Equal(c.Bytes(), r.Bytes()) {
			t.Fatalf("Ref %s is CID %s", r, c)
		}
		back, err := ParseRef(c.String())
		if err != nil || back != r {
			t.Fatalf("ParseRef(%s) = %s, %v", c, back, err)
		}
		if back, err = ParseRefBytes(c.Bytes()); err != nil || back != r {
			t.Fatalf("ParseRefBytes(%s) = %s, %v", c, back, err)
		}
	})
}

func TestRefInJSON(t *testing.T) {
	type doc struct{ Ref Ref }
	r, err := ParseRef(emptyRef)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(doc{r})
	if err != nil || string(text) != `{"Ref":"`+emptyRef+`"}` {
		t.Fatalf("Marshal = %s, %v", text, err)
	}
	var back doc
	if err := json.Unmarshal(text, &back); err != nil || back.Ref != r {
		t.Fatalf("Unmarshal = %v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"Ref":""}`), &back); err == nil {
		t.Error("an empty reference was parsed")
	}
	if _, err := json.Marshal(doc{}); err == nil {
		t.Error("the zero reference was marshalled")
	}
	if (Ref{}).String() != "" || !(Ref{}).IsZero() || r.IsZero() {
		t.Error("the zero reference is not zero")
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add(emptyRef)
	f.Add(strings.ToUpper(emptyRef))
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			return
		}
		if r.String() != s {
			t.Fatalf("ParseRef(%q).String() = %q", s, r)
		}
		if c, err := cid.Decode(s); err != nil || c.String() != s {
			t.Fatalf("%q is not a CID: %v", s, err)
		}
	})
}
