package abe

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestDeepConditionsAreRefused: tkn20's parser takes 64 levels.
func TestDeepConditionsAreRefused(t *testing.T) {
	a := &Authority{name: "x", catalogue: catalogueOf(t, "f flag\nuntil date")}
	deep := func(levels int) error {
		text := "until < 2026-09-01"
		for i := range levels {
			word := []string{" and ", " or "}[i%2]
			text = strings.Repeat("f"+word, 4) + "(" + text + ")"
		}
		_, err := a.compile(policyOf(t, text).root)
		return err
	}
	must(t, deep(14))
	wantColumn(t, "15 levels", "nested conditions", 1, deep(15))
}

func TestListsAreLimited(t *testing.T) {
	var many []string
	for i := range maxLabels + 1 {
		many = append(many, fmt.Sprintf("a%d", i))
	}
	if _, err := ParseAttributes(strings.Join(many, ",")); err == nil {
		t.Error("257 attributes pass")
	}
	if _, err := ParseAttributes(strings.Join(many[:maxLabels], ",")); err != nil {
		t.Error(err)
	}
	var values []string
	for i := range maxClause + 1 {
		values = append(values, fmt.Sprint(i))
	}
	if _, err := ParsePolicy("a in (" + strings.Join(values, ",") + ")"); err == nil {
		t.Error("65 values pass")
	}
	// Within the limit in a short spelling, over it in the canonical one.
	var lines []string
	for i := range 60 {
		var values []string
		for j := range 60 {
			values = append(values, fmt.Sprintf("%s%02d", strings.Repeat("x", 5), j))
		}
		lines = append(lines, fmt.Sprintf("a%02d one of(%s)", i, strings.Join(values, ",")))
	}
	text := strings.Join(lines, "\n")
	if len(text) > maxCatalogue {
		t.Fatal(len(text))
	}
	_, err := ParseCatalogue(text)
	wantColumn(t, text, "canonical text", len(text)+1, err)
	names := "a" + strings.Repeat("b", 24)
	for i := range 100 {
		names += fmt.Sprintf(",c%02d=%s", i, strings.Repeat("x", 34))
	}
	_, err = ParseAttributes(names)
	wantColumn(t, names, "canonical text", len(names)+1, err)

	// A policy that fits, but not with the authority's name.
	long := &Authority{name: strings.Repeat("n", 64), catalogue: catalogueOf(t, "a text")}
	_, err = NewRecipient(policyOf(t, strings.TrimSuffix(strings.Repeat("a = x or ", 62), " or ")), long)
	wantColumn(t, "long name", "with the authority's name", 1, err)
}

// lossy is a CIRCL that understands something else than it was given.
type lossy struct{}

func (lossy) MarshalBinary() ([]byte, error) { return []byte{1}, nil }
func (lossy) UnmarshalBinary([]byte) error   { return nil }

func TestWhatCIRCLWritesDifferentlyIsRefused(t *testing.T) {
	var f *FormatError
	if err := unframe("x", []byte{2}, lossy{}); !errors.As(err, &f) || f.Reason != "encoding" {
		t.Error(err)
	}
	must(t, unframe("x", []byte{1}, lossy{}))
	// A ciphertext that we would not open is not sent either.
	w := sharedWorld()
	c, err := w.northA.compile(policyOf(t, "contractor").root)
	must(t, err)
	other, err := w.northA.compile(policyOf(t, "role = nurse").root)
	must(t, err)
	c.policy = other.policy
	if _, _, err := c.encapsulate(stream("x"), w.northA.public); err == nil {
		t.Error("seals to another policy than it says")
	}
}

func TestIssueChecks(t *testing.T) {
	w := sharedWorld()
	var s *SyntaxError
	for _, attributes := range []string{"role = boss", "salary = 3", "role", "grade = 8", "role = nurse, role = physician", "north:contractor"} {
		if _, err := w.north.Issue(w.northA, "x", attributesOf(t, attributes)); !errors.As(err, &s) {
			t.Errorf("%s: %v", attributes, err)
		}
	}
	renamed, err := ParseMasterKey(bytes.Replace(w.north.Bytes(), []byte("north"), []byte("nord-"), 1))
	must(t, err)
	if _, err := renamed.Issue(w.northA, "x", Attributes{}); !errors.Is(err, ErrOtherAuthority) {
		t.Error("issues under another name:", err)
	}
}

// TestNoByteOfAKeyFileCanChange: lengths, labels, flags, shapes and points of
// tkn20's key. The values of attributes are for Check. Within points it changes
// every 29th byte, and with WARD_EXHAUSTIVE=1 every byte.
func TestNoByteOfAKeyFileCanChange(t *testing.T) {
	w := sharedWorld()
	k := w.key(t, "x", "role = nurse")
	labels := w.northA.labels(k.attributes)
	b, err := k.secret.MarshalBinary()
	must(t, err)
	if _, err := parseAttributeKey(b, labels); err != nil {
		t.Fatal(err)
	}
	list := int(b[0]) | int(b[1])<<8
	step := stepInPoints(29)
	passed := 0
	for i := 0; i < len(b); i++ {
		if testing.Short() && i%41 != 0 {
			continue
		}
		c := bytes.Clone(b)
		c[i] ^= 1
		if i > 2+list && i%step != 0 && checkAttributeKey(c, labels) == nil {
			continue // a point: CIRCL takes its time
		}
		if got, err := parseAttributeKey(c, labels); err == nil {
			passed++
			if i > 2+list {
				t.Fatalf("byte %d of %d", i, len(b))
			}
			changed := &Key{w.northA, "x", k.attributes, &got}
			if passed%97 == 1 && changed.Check() == nil {
				t.Fatalf("a value changed at byte %d passes the check", i)
			}
		}
		if _, err := parseAttributeKey(b[:i], labels); err == nil {
			t.Fatalf("%d bytes pass", i)
		}
	}
	if want := len(labels) * scalarSize; passed > want {
		t.Errorf("%d changes pass, at most %d bytes are values", passed, want)
	}
	if _, err := parseAttributeKey(append(b, 0), labels); err == nil {
		t.Error("a byte more passes")
	}
}
