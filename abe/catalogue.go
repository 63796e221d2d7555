package abe

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Limits of a catalogue.
const (
	maxAttributes = 64
	maxLabels     = 256 // of a key
	maxLabelBytes = 60000
	maxCatalogue  = 32768
)

// Catalogue says which attributes an authority certifies. One line declares one
// attribute:
//
//	contractor flag                    set or not
//	role one of (nurse, physician)     at most one of these values
//	dept any of (er, icu)              any number of these values
//	unit text                          at most one value, any
//	grade number 0 to 7                at most one number, both ends included
//	badge_until date                   at most one date, 1970-01-01 to 2149-06-05
//
// The size of a key, and the time to issue it, grow by one unit for each
// attribute, but by one for each value of "any of", by ⌈log₂(n+1)⌉ for a number
// of n possible values, and by 16 for a date.
type Catalogue struct {
	list []declaration // sorted by name, no two with the same
}

type kind int

const (
	kindFlag kind = iota
	kindOne
	kindAny
	kindText
	kindNumber
	kindDate
)

// declaration declares an attribute.
type declaration struct {
	name   string
	kind   kind
	values []string // of kindOne and kindAny, sorted
	lo, hi int64    // of kindNumber and kindDate
}

// lastDate is the last day that 16 bits express, 2149-06-05.
const lastDate = 1<<16 - 2

// bits returns how many bits a number takes. Code 0 stands for no value.
func (d *declaration) bits() int { return bits.Len64(d.code(d.hi)) }

// code returns the code of a number.
func (d *declaration) code(v int64) uint64 { return uint64(v-d.lo) + 1 }

// labels returns how many labels of tkn20 the attribute takes in a key.
func (d *declaration) labels() int {
	switch d.kind {
	case kindAny:
		return len(d.values)
	case kindNumber, kindDate:
		return d.bits()
	}
	return 1
}

// ParseCatalogue reads a catalogue: lines in any order, spaces as one likes, up
// to 64 attributes and 256 units. A [*SyntaxError] says what it did not
// understand.
func ParseCatalogue(text string) (c Catalogue, err error) {
	defer catch(&err)
	if len(text) > maxCatalogue {
		return c, &SyntaxError{"catalogue", maxCatalogue + 1, fmt.Sprintf("longer than %d bytes", maxCatalogue)}
	}
	l := &lexer{what: "catalogue"}
	labels, start := 0, 0
	for line := range strings.Lines(text) {
		l.tokens = lexLine(line, start)
		start += len(line)
		if l.peek().text == "" {
			continue
		}
		column := l.peek().column
		d := l.declaration()
		if slices.ContainsFunc(c.list, func(o declaration) bool { return o.name == d.name }) {
			l.fail(column, "%s is declared twice", d.name)
		}
		if c.list = append(c.list, d); len(c.list) > maxAttributes {
			l.fail(column, "more than %d attributes", maxAttributes)
		}
		if labels += d.labels(); labels > maxLabels {
			l.fail(column, "more than %d units", maxLabels)
		}
	}
	if len(c.list) == 0 {
		l.fail(1, "no attribute")
	}
	slices.SortFunc(c.list, func(a, b declaration) int { return strings.Compare(a.name, b.name) })
	// tkn20 writes the size of all labels in 16 bits and does not look.
	size := 0
	for label := range (&Authority{catalogue: c}).labels(Attributes{}) {
		size += len(label) + 35
	}
	if size > maxLabelBytes {
		l.fail(len(text)+1, "names and values take %d bytes in keys, the limit is %d", size, maxLabelBytes)
	}
	if len(c.String()) > maxCatalogue {
		l.fail(len(text)+1, "canonical text is longer than %d bytes", maxCatalogue)
	}
	return c, nil
}

// lexLine returns the tokens of a line that begins at start.
func lexLine(line string, start int) []token {
	shift := func(column int) int { return column + start }
	defer func() {
		if r := recover(); r != nil {
			if f, ok := r.(fail); ok {
				f.err.Column = shift(f.err.Column)
			}
			panic(r)
		}
	}()
	tokens := newLexer("catalogue", line).tokens
	for i := range tokens {
		tokens[i].column = shift(tokens[i].column)
	}
	return tokens
}

// declaration parses one line.
func (l *lexer) declaration() declaration {
	d := declaration{name: l.word(namePattern, "the name of an attribute").text}
	switch t := l.next(); t.text {
	case "flag":
		d.kind = kindFlag
	case "text":
		d.kind = kindText
	case "one":
		d.kind, d.values = kindOne, l.declaredValues()
	case "any":
		d.kind, d.values = kindAny, l.declaredValues()
	case "date":
		d.kind, d.lo, d.hi = kindDate, 0, lastDate
	case "number":
		d.kind, d.lo = kindNumber, l.number()
		l.expect("to", "after the lowest number")
		column := l.peek().column
		if d.hi = l.number(); d.hi <= d.lo {
			l.fail(column, "the highest number is not above the lowest")
		}
		if d.hi-d.lo >= 1<<32-1 {
			l.fail(column, "more than 32 bits")
		}
	default:
		l.fail(t.column, "expected flag, one of, any of, text, number or date, not %v", t)
	}
	l.end()
	return d
}

func (l *lexer) number() int64 {
	t := l.next()
	n, ok := parseNumber(t.text)
	if !ok {
		l.fail(t.column, "expected a number, not %v", t)
	}
	return n
}

func (l *lexer) declaredValues() []string {
	l.expect("of", "before the values")
	p := policyParser{lexer: l}
	var values []string
	for _, t := range p.valueList() {
		values = append(values, t.text)
	}
	slices.Sort(values)
	return values
}

// String returns the catalogue's canonical text: lines sorted by name, values
// sorted, each line ended by a newline. [ParseCatalogue] reads it back.
func (c Catalogue) String() string {
	var b strings.Builder
	for _, d := range c.list {
		b.WriteString(d.name)
		switch d.kind {
		case kindFlag:
			b.WriteString(" flag")
		case kindText:
			b.WriteString(" text")
		case kindOne:
			b.WriteString(" one of (" + strings.Join(d.values, ", ") + ")")
		case kindAny:
			b.WriteString(" any of (" + strings.Join(d.values, ", ") + ")")
		case kindDate:
			b.WriteString(" date")
		case kindNumber:
			b.WriteString(" number " + strconv.FormatInt(d.lo, 10) + " to " + strconv.FormatInt(d.hi, 10))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// find returns the declaration of an attribute, or nil.
func (c Catalogue) find(name string) *declaration {
	for i := range c.list {
		if c.list[i].name == name {
			return &c.list[i]
		}
	}
	return nil
}

// Check returns an error unless the catalogue admits the attributes: that they
// are declared, as what they are given, with values they may have. The
// attributes name no authority.
func (c Catalogue) Check(a Attributes) error {
	column := 1
	for _, e := range a.list {
		if problem := c.admits(a, e); problem != "" {
			return &SyntaxError{"attributes", column, problem}
		}
		column += len(e.String()) + len(", ")
	}
	return nil
}

// admits returns what is wrong with an attribute, or "".
func (c Catalogue) admits(a Attributes, e attribute) string {
	d := c.find(e.name.attribute)
	switch {
	case e.name.authority != "":
		return fmt.Sprintf("%v names an authority", e.name)
	case d == nil:
		return fmt.Sprintf("%v is not in the catalogue", e.name)
	case d.kind == kindFlag && e.value != "":
		return fmt.Sprintf("%v is a flag and has no value", e.name)
	case d.kind != kindFlag && e.value == "":
		return fmt.Sprintf("%v needs a value", e.name)
	case d.kind != kindAny && len(a.values(e.name)) > 1:
		return fmt.Sprintf("%v has one value at most", e.name)
	case d.kind != kindFlag:
		return d.problem(e.value)
	}
	return ""
}

// problem returns why the attribute cannot have the value, or "".
func (d *declaration) problem(value string) string {
	switch d.kind {
	case kindOne, kindAny:
		if !slices.Contains(d.values, value) {
			return fmt.Sprintf("%s has no value %q; it may be %s", d.name, value, strings.Join(d.values, ", "))
		}
	case kindNumber:
		if n, ok := parseNumber(value); !ok {
			return fmt.Sprintf("%s is a number, not %q", d.name, value)
		} else if n < d.lo || n > d.hi {
			return fmt.Sprintf("%s goes from %d to %d", d.name, d.lo, d.hi)
		}
	case kindDate:
		if n, ok := parseDate(value); !ok {
			return fmt.Sprintf("%s is a date such as 2026-09-01, not %q", d.name, value)
		} else if n < d.lo || n > d.hi {
			return fmt.Sprintf("%s goes from 1970-01-01 to 2149-06-05", d.name)
		}
	case kindText:
		if !valuePattern.MatchString(value) && !numberPattern.MatchString(value) {
			return fmt.Sprintf("%q is no value", value)
		}
	}
	return ""
}
