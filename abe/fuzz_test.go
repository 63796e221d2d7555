package abe

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// Each parser has a fuzzer with two properties: it does not panic, and what it
// accepts it writes back byte for byte. The seeds are the vectors. Fuzz with
// -fuzzminimizetime=1x: parsing points is slow.

func seedBytes(f *testing.F, operation string) {
	f.Helper()
	n := 0
	for _, v := range loadVectors(f) {
		if v.Operation == operation {
			f.Add(input{f, nil, v.Input}.hex("bytes"))
			n++
		}
	}
	if n == 0 {
		f.Fatalf("no vectors of %s to begin with", operation)
	}
}

func seedTexts(f *testing.F, operation string) {
	f.Helper()
	n := 0
	for _, v := range loadVectors(f) {
		if v.Operation == operation {
			f.Add(v.Input["text"])
			n++
		}
	}
	if n == 0 {
		f.Fatalf("no vectors of %s to begin with", operation)
	}
}

func fuzzBytes[T interface{ Bytes() []byte }](f *testing.F, operation string, parse func([]byte) (T, error)) {
	f.Helper()
	seedBytes(f, operation)
	f.Fuzz(func(t *testing.T, b []byte) {
		given := bytes.Clone(b)
		v, err := parse(b)
		var format *FormatError
		switch {
		case !bytes.Equal(b, given):
			t.Fatal("the parser changed its input")
		case err != nil && !errors.As(err, &format):
			t.Fatalf("unnamed error: %v", err)
		case err == nil && !bytes.Equal(v.Bytes(), b):
			t.Fatalf("%x becomes %x", b, v.Bytes())
		}
	})
}

func FuzzParseAuthority(f *testing.F)   { fuzzBytes(f, "parse-authority", ParseAuthority) }
func FuzzParseMasterKey(f *testing.F)   { fuzzBytes(f, "parse-master-key", ParseMasterKey) }
func FuzzParseKey(f *testing.F)         { fuzzBytes(f, "parse-attribute-key", ParseKey) }
func FuzzParseDescription(f *testing.F) { fuzzBytes(f, "parse-description", ParseAudience) }

func fuzzText[T interface{ String() string }](f *testing.F, operation string, parse func(string) (T, error), also func(*testing.T, T)) {
	f.Helper()
	seedTexts(f, operation)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parse(text)
		if err != nil {
			var s *SyntaxError
			if !errors.As(err, &s) || s.Column < 1 || s.Column > len(text)+1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := parse(v.String())
		if err != nil || again.String() != v.String() {
			t.Fatalf("%q prints as %q, which is read as %q, %v", text, v, again, err)
		}
		also(t, v)
	})
}

// FuzzParsePolicy adds that what compiles means the same to tkn20 as to Evaluate,
// for some attributes and for none.
func FuzzParsePolicy(f *testing.F) {
	w := sharedWorld()
	var held []Attributes
	for _, text := range []string{"", "contractor, dept = er, grade = 4, role = nurse, unit = a", "dept = er, dept = icu, grade = 0, role = physician"} {
		a, err := ParseAttributes(text)
		must(f, err)
		held = append(held, a)
	}
	for _, text := range []string{"grade >= 3 and not contractor", "2 of (dept = icu, unit = a, not role = nurse)", "grade < 5 or grade > 6"} {
		f.Add(text)
	}
	fuzzText(f, "parse-policy", ParsePolicy, func(t *testing.T, p *Policy) {
		if strings.Contains(p.String(), ":") {
			if _, err := p.split(); err != nil {
				var s *SyntaxError
				if !errors.As(err, &s) {
					t.Fatal(err)
				}
			}
			return
		}
		c, err := w.northA.compile(p.root)
		if err != nil {
			var s *SyntaxError
			if !errors.As(err, &s) {
				t.Fatal(err)
			}
			return
		}
		for _, a := range held {
			if c.holds(w.northA.labels(a)) != p.Evaluate(a) || p.Explain(a).Satisfied != p.Evaluate(a) {
				t.Fatalf("%q for %q: %s", p, a, c.text)
			}
		}
	})
}

func FuzzParseCatalogue(f *testing.F) {
	fuzzText(f, "parse-catalogue", ParseCatalogue, func(t *testing.T, c Catalogue) {
		if n := len((&Authority{catalogue: c}).labels(Attributes{})); n > maxLabels {
			t.Fatalf("%d labels", n)
		}
	})
}

func FuzzParseAttributes(f *testing.F) {
	fuzzText(f, "parse-attributes", ParseAttributes, func(*testing.T, Attributes) {})
}

// FuzzOpenHalf opens whatever it is given: only what was sealed opens.
func FuzzOpenHalf(f *testing.F) {
	vectors := loadVectors(f)
	n := 0
	var key *Key
	for _, v := range vectors {
		if v.Operation == "open" && v.Input["key"] == "@key" {
			in := input{f, vectors, v.Input}
			f.Add(in.hex("description"), in.hex("sealed"))
			k, err := ParseKey(in.hex("key"))
			must(f, err)
			key, n = k, n+1
		}
	}
	if n == 0 {
		f.Fatal("no vectors to begin with")
	}
	context := (&maker{}).context()
	f.Fuzz(func(t *testing.T, description, sealed []byte) {
		half, err := key.OpenHalf(description, sealed, context)
		if err == nil && !bytes.Equal(half, (&maker{}).half()) {
			t.Fatal("opens to what nobody sealed")
		}
	})
}
