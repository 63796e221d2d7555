package abe

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"
)

const (
	maxLeaves = 128 // of a compiled policy
	maxNested = 60  // parentheses of a compiled policy; tkn20 takes 64
)

// leaf is what tkn20 knows: an attribute that has a value, or has another one.
// tkn20 has no "not" for who lacks the attribute, so our keys have every label
// of their catalogue, with the value "n" for none.
type leaf struct {
	label, value string
	negative     bool
}

// gate is a compiled condition: a leaf, or two conditions joined.
type gate struct {
	leaf        *leaf
	and         bool
	left, right *gate
}

// Conditions that need no key. Compilation removes them: none is left at the top,
// because every clause that is accepted holds for some attributes and fails for
// others.
var always, never = &gate{}, &gate{}

// compiled is the part of a policy that is for one authority, for tkn20.
type compiled struct {
	leaves []leaf
	text   string
	policy tkn20.Policy
}

// compiler turns conditions into gates.
type compiler struct {
	authority *Authority
	leaves    int
	column    int // of the condition at work
}

func (c *compiler) fail(column int, format string, args ...any) {
	l := lexer{what: "policy"}
	l.fail(column, format, args...)
}

// compile compiles a condition whose clauses are all the authority's.
func (a *Authority) compile(n *node) (_ *compiled, err error) {
	defer catch(&err)
	c := &compiler{authority: a}
	g := c.condition(n, false)
	if d := g.depth(); d > maxNested {
		c.fail(n.column, "compiles to %d nested conditions, the limit is %d", d, maxNested)
	}
	return g.compile()
}

// compile renders the condition and has tkn20 read it.
func (g *gate) compile() (c *compiled, err error) {
	c = new(compiled)
	var b strings.Builder
	g.render(&b, &c.leaves)
	c.text = b.String()
	c.policy, err = parseTKN20(c.text)
	return c, err
}

// parseTKN20 gives a text to tkn20's parser and compares what it understood
// with the text. The parser drops what follows the first complete condition
// without an error (cloudflare/circl issue 697).
func parseTKN20(text string) (p tkn20.Policy, err error) {
	err = guard(func() error {
		if err := p.FromString(text); err != nil {
			return err
		}
		if got := p.String(); got != text {
			return fmt.Errorf("tkn20 reads %q as %q", text, got)
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("compile policy: %w", err)
	}
	return p, nil
}

// guard calls f, which calls CIRCL, and turns a panic into an error.
func guard(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return f()
}

var errPanic = fmt.Errorf("tkn20 panicked")

// condition compiles n, or its negation.
func (c *compiler) condition(n *node, negate bool) *gate {
	c.column = n.column
	switch n.op {
	case opNot:
		return c.condition(n.args[0], !negate)
	case opClause:
		return c.clause(n, negate)
	}
	k := n.need()
	if negate {
		k = len(n.args) - k + 1
	}
	return c.threshold(k, n.args, negate)
}

// threshold is at least k of the conditions. tkn20 has no threshold, so it
// becomes: for some i, at least i of the first half and k-i of the second.
func (c *compiler) threshold(k int, args []*node, negate bool) *gate {
	switch {
	case k <= 0:
		return always
	case k > len(args):
		return never
	case len(args) == 1:
		return c.condition(args[0], negate)
	}
	half := len(args) / 2
	var alternatives []*gate
	for i := max(0, k-(len(args)-half)); i <= min(k, half); i++ {
		alternatives = append(alternatives, and(c.threshold(i, args[:half], negate), c.threshold(k-i, args[half:], negate)))
	}
	return anyOf(alternatives)
}

func and(a, b *gate) *gate {
	switch {
	case a == never || b == always:
		return a
	case b == never || a == always:
		return b
	}
	return &gate{and: true, left: a, right: b}
}

func or(a, b *gate) *gate {
	switch {
	case a == always || b == never:
		return a
	case b == always || a == never:
		return b
	}
	return &gate{left: a, right: b}
}

// anyOf and allOf join conditions to a tree as flat as can be.
func anyOf(list []*gate) *gate { return tree(list, never, or) }
func allOf(list []*gate) *gate { return tree(list, always, and) }

func tree(list []*gate, none *gate, join func(a, b *gate) *gate) *gate {
	switch len(list) {
	case 0:
		return none
	case 1:
		return list[0]
	}
	half := len(list) / 2
	return join(tree(list[:half], none, join), tree(list[half:], none, join))
}

// leaf makes a leaf, of which there are not to be too many.
func (c *compiler) leaf(label, value string, negative bool) *gate {
	if c.leaves++; c.leaves > maxLeaves {
		c.fail(c.column, "the policy compiles to more than %d conditions on keys; thresholds, and comparisons of numbers and dates, take many", maxLeaves)
	}
	return &gate{leaf: &leaf{label, value, negative}}
}

// clause compiles a clause after it has checked it against the catalogue.
func (c *compiler) clause(n *node, negate bool) *gate {
	d := c.authority.catalogue.find(n.name.attribute)
	if d == nil {
		c.fail(n.column, "%s certifies no attribute %s", c.authority.name, n.name.attribute)
	}
	ordered := d.kind == kindNumber || d.kind == kindDate
	switch {
	case d.kind == kindFlag && n.cmp != "":
		c.fail(n.column, "%s is a flag: write it without a value", d.name)
	case d.kind != kindFlag && n.cmp == "":
		c.fail(n.column, "%s is not a flag: say what it is compared with", d.name)
	case !ordered && n.cmp != "" && n.cmp != "=" && n.cmp != "in":
		c.fail(n.column, "%s has no order: only numbers and dates have", d.name)
	case d.kind == kindFlag:
		return c.leaf(c.authority.label(d.name), flagValue(!negate), false)
	}
	for _, v := range n.values {
		if problem := d.problem(v.text); problem != "" {
			c.fail(v.column, "%s", problem)
		}
	}
	if ordered && n.cmp != "=" && n.cmp != "in" {
		return c.comparison(d, n.cmp, n.values[0], negate)
	}
	var equal []*gate
	for _, v := range n.values {
		equal = append(equal, c.equal(d, v.text, negate))
	}
	if negate {
		return allOf(equal)
	}
	return anyOf(equal)
}

// equal is that an attribute has a value, or not.
func (c *compiler) equal(d *declaration, value string, negate bool) *gate {
	label := c.authority.label(d.name)
	switch d.kind {
	case kindAny:
		return c.leaf(memberLabel(label, value), flagValue(!negate), false)
	case kindOne, kindText:
		return c.leaf(label, textValue(value), negate)
	}
	n, _, _ := parseOrdered(value)
	code := d.code(n)
	var list []*gate
	for i := range d.bits() {
		list = append(list, c.bit(label, i, code>>i&1 == 1 != negate))
	}
	if negate {
		return anyOf(list)
	}
	return allOf(list)
}

func (c *compiler) bit(label string, i int, set bool) *gate {
	return c.leaf(bitLabel(label, i), flagValue(set), false)
}

// comparison compiles a comparison to conditions on bits. Who has no value has
// code 0, which is neither above nor below anything.
func (c *compiler) comparison(d *declaration, cmp string, v token, negate bool) *gate {
	n, _, _ := parseOrdered(v.text)
	bound := d.code(n)
	switch {
	case cmp == "<" && n == d.lo || cmp == ">" && n == d.hi:
		c.fail(v.column, "%s is never %s %v", d.name, cmp, v.text)
	case cmp == ">" || cmp == "<=":
		bound++
	}
	label := c.authority.label(d.name)
	if cmp[0] == '>' {
		return c.atLeast(label, d.bits(), bound, negate)
	}
	if negate {
		return or(c.atLeast(label, d.bits(), 1, true), c.atLeast(label, d.bits(), bound, false))
	}
	return and(c.atLeast(label, d.bits(), 1, false), c.atLeast(label, d.bits(), bound, true))
}

// atLeast is code ≥ bound, or its negation: from the lowest bit that counts to
// the highest, a bit of bound that is 1 must be set, and one that is 0 may be
// set instead of all that is below it.
func (c *compiler) atLeast(label string, bits int, bound uint64, negate bool) *gate {
	if bound >= 1<<bits {
		if negate {
			return always
		}
		return never
	}
	g := always
	if negate {
		g = never
	}
	for i := range bits {
		below := bound&(1<<i-1) == 0
		set := bound>>i&1 == 1
		if below && !set {
			continue // whatever this bit and those below are, they are enough
		}
		if set != negate {
			g = and(c.bit(label, i, !negate), g)
		} else {
			g = or(c.bit(label, i, !negate), g)
		}
	}
	return g
}

func (g *gate) depth() int {
	if g.leaf != nil {
		return 0
	}
	return 1 + max(g.left.depth(), g.right.depth())
}

// render writes the condition as tkn20 prints it.
func (g *gate) render(b *strings.Builder, leaves *[]leaf) {
	if g.leaf != nil {
		if g.leaf.negative {
			b.WriteString("not ")
		}
		b.WriteString(g.leaf.label + ":" + g.leaf.value)
		*leaves = append(*leaves, *g.leaf)
		return
	}
	b.WriteByte('(')
	g.left.render(b, leaves)
	if g.and {
		b.WriteString(" and ")
	} else {
		b.WriteString(" or ")
	}
	g.right.render(b, leaves)
	b.WriteByte(')')
}

// label returns an attribute's label in tkn20. It begins with the authority's
// id, which covers epoch and catalogue: a label means the same wherever it
// occurs, and a key of another epoch has none of a policy's labels.
func (a *Authority) label(attribute string) string {
	return "a" + hex.EncodeToString(a.id[:16]) + "_x" + escape(attribute)
}

func memberLabel(label, value string) string { return label + "_s" + escape(value) }
func bitLabel(label string, i int) string    { return label + "_n" + strconv.Itoa(i) }

func flagValue(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// noValue is what the key of who lacks an attribute has instead.
const noValue = "n"

func textValue(value string) string { return "v" + escape(value) }

// escape writes letters and digits as they are and every other byte as _hh, so
// that tkn20's lexer takes it. What it writes has no _ before another letter
// than a to f.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// labels returns what the key of a person with these attributes contains: a
// value for every label of the catalogue.
func (a *Authority) labels(attributes Attributes) map[string]string {
	m := make(map[string]string)
	for i := range a.catalogue.list {
		d := &a.catalogue.list[i]
		label := a.label(d.name)
		values := attributes.values(name{"", d.name})
		switch d.kind {
		case kindFlag:
			m[label] = flagValue(len(values) > 0)
		case kindOne, kindText:
			m[label] = noValue
			if len(values) > 0 {
				m[label] = textValue(values[0])
			}
		case kindAny:
			for _, v := range d.values {
				m[memberLabel(label, v)] = "0"
			}
			for _, v := range values {
				m[memberLabel(label, v)] = "1"
			}
		default:
			var code uint64
			if len(values) > 0 {
				n, _, _ := parseOrdered(values[0])
				code = d.code(n)
			}
			for i := range d.bits() {
				m[bitLabel(label, i)] = flagValue(code>>i&1 == 1)
			}
		}
	}
	return m
}
