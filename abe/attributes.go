package abe

import (
	"slices"
	"strings"
)

// Attributes are what is certified of one person:
//
//	contractor, dept = er, dept = icu, grade = 3, north:role = physician
//
// A bare name is a flag that is set. An attribute with several values is written
// once for each. Attributes are not secret by themselves.
type Attributes struct {
	list []attribute // sorted, no two equal
}

// attribute is a name with one value; of a flag the value is empty.
type attribute struct {
	name  name
	value string
}

func (a attribute) String() string {
	if a.value == "" {
		return a.name.String()
	}
	return a.name.String() + " = " + a.value
}

func compareAttributes(a, b attribute) int {
	if c := strings.Compare(a.name.authority, b.name.authority); c != 0 {
		return c
	}
	if c := strings.Compare(a.name.attribute, b.name.attribute); c != 0 {
		return c
	}
	return strings.Compare(a.value, b.value)
}

// ParseAttributes reads attributes in any order and spacing; empty text is none.
// It refuses an attribute that is there twice with the same value, or both as a
// flag and with a value. A [*SyntaxError] says what it did not understand.
func ParseAttributes(text string) (a Attributes, err error) {
	defer catch(&err)
	l := newLexer("attributes", text)
	if l.peek().text == "" {
		return Attributes{}, nil
	}
	for {
		var e attribute
		var first token
		if e.name, first = l.name(); l.accept("=") {
			e.value = l.value().text
		}
		for _, o := range a.list {
			if o.name == e.name && (o.value == e.value || o.value == "" || e.value == "") {
				l.fail(first.column, "%v is listed twice", e.name)
			}
		}
		if a.list = append(a.list, e); len(a.list) > maxLabels {
			l.fail(first.column, "more than %d attributes", maxLabels)
		}
		if !l.accept(",") {
			break
		}
	}
	l.end()
	slices.SortFunc(a.list, compareAttributes)
	if len(a.String()) > maxText {
		l.fail(len(text)+1, "canonical text is longer than %d bytes", maxText)
	}
	return a, nil
}

// String returns the attributes' canonical text: sorted, with single spaces.
// [ParseAttributes] reads it back.
func (a Attributes) String() string {
	var texts []string
	for _, e := range a.list {
		texts = append(texts, e.String())
	}
	return strings.Join(texts, ", ")
}

// In returns the attributes with every one that names no authority given to this
// one, so that a policy over several authorities can be evaluated.
func (a Attributes) In(authority string) (Attributes, error) {
	if !authorityPattern.MatchString(authority) {
		return Attributes{}, &FormatError{"authority", "field"}
	}
	return ParseAttributes(a.in(authority).String())
}

func (a Attributes) in(authority string) Attributes {
	list := slices.Clone(a.list)
	for i := range list {
		if list[i].name.authority == "" {
			list[i].name.authority = authority
		}
	}
	slices.SortFunc(list, compareAttributes)
	return Attributes{list}
}

// And returns the attributes of both.
func (a Attributes) And(b Attributes) (Attributes, error) {
	return ParseAttributes(strings.TrimPrefix(a.String()+", "+b.String(), ", "))
}

// values returns the values of one attribute; of a flag that is set, one empty
// value.
func (a Attributes) values(n name) []string {
	var list []string
	for _, e := range a.list {
		if e.name == n {
			list = append(list, e.value)
		}
	}
	return list
}
