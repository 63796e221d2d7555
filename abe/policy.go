package abe

import (
	"slices"
	"strconv"
	"strings"
)

// A Policy says in terms of attributes who may read:
//
//	role = physician and dept in (icu, er) and not contractor
//	north:role = physician or south:role = physician and south:grade >= 3
//	2 of (role = physician, dept = icu, badge_until >= 2026-09-01)
//
// A bare name is a flag. "=" and "in" compare with values; of an attribute with
// several values, one that is equal suffices. "<", "<=", ">" and ">=" compare
// numbers and dates. "not" binds closer than "and", "and" closer than "or"; "k
// of (…)" asks for at least k of the conditions. A name may stand behind the
// name of its authority and a colon.
//
// Who lacks an attribute satisfies no clause about it, and so satisfies each
// clause's "not".
//
// A policy is at most 4,096 bytes, 64 clauses and 16 levels deep. Policies are
// compared by their text, [Policy.String].
type Policy struct {
	root *node
}

// name names an attribute, with its authority or without.
type name struct{ authority, attribute string }

func (n name) String() string {
	if n.authority == "" {
		return n.attribute
	}
	return n.authority + ":" + n.attribute
}

// op is what a node of a policy does.
type op int

const (
	opOr  op = iota
	opAnd    // binds closer
	opNot
	opOf
	opClause
)

// node is a condition. Conditions are kept in one form: "and" in "and" and "or"
// in "or" are merged, "not not", "1 of" and "n of n" are written without.
type node struct {
	op     op
	column int     // of its first token
	args   []*node // of a clause none
	k      int     // of opOf

	name   name // of a clause
	cmp    string
	values []token
}

// ParsePolicy reads a policy. It accepts any spacing and any redundant
// parentheses; [Policy.String] writes the one canonical text. A [*SyntaxError]
// says what it did not understand.
func ParsePolicy(text string) (p *Policy, err error) {
	defer catch(&err)
	parser := policyParser{lexer: newLexer("policy", text)}
	root := parser.or()
	parser.end()
	p = &Policy{root}
	if len(p.String()) > maxText {
		parser.fail(len(text)+1, "canonical text is longer than %d bytes", maxText)
	}
	return p, nil
}

type policyParser struct {
	*lexer
	depth   int
	clauses int
}

func (p *policyParser) or() *node  { return p.list(opOr, "or", p.and) }
func (p *policyParser) and() *node { return p.list(opAnd, "and", p.not) }

// list parses conditions joined by one word.
func (p *policyParser) list(o op, word string, next func() *node) *node {
	args := []*node{next()}
	for p.accept(word) {
		args = append(args, next())
	}
	return join(o, args)
}

// join returns the conditions as one, merging those of the same kind.
func join(o op, args []*node) *node {
	if len(args) == 1 {
		return args[0]
	}
	var flat []*node
	for _, a := range args {
		if a.op == o {
			flat = append(flat, a.args...)
		} else {
			flat = append(flat, a)
		}
	}
	return &node{op: o, column: args[0].column, args: flat}
}

func (p *policyParser) deeper(column int) {
	if p.depth++; p.depth > maxDepth {
		p.fail(column, "more than %d levels deep", maxDepth)
	}
}

func (p *policyParser) not() *node {
	t := p.peek()
	if !p.accept("not") {
		return p.primary()
	}
	p.deeper(t.column)
	defer func() { p.depth-- }()
	if a := p.not(); a.op == opNot {
		return a.args[0]
	} else {
		return &node{op: opNot, column: t.column, args: []*node{a}}
	}
}

func (p *policyParser) primary() *node {
	t := p.peek()
	if p.accept("(") {
		p.deeper(t.column)
		defer func() { p.depth-- }()
		n := p.or()
		p.expect(")", "to close the parenthesis")
		return n
	}
	if len(p.tokens) > 1 && p.tokens[1].text == "of" {
		return p.threshold()
	}
	return p.clause()
}

// threshold parses k of (…).
func (p *policyParser) threshold() *node {
	t := p.next()
	k, ok := parseNumber(t.text)
	if !ok || k < 1 || k > maxClause {
		p.fail(t.column, "expected a number from 1 to %d before \"of\", not %v", maxClause, t)
	}
	p.expect("of", "after the number")
	p.deeper(t.column)
	defer func() { p.depth-- }()
	p.expect("(", `after "of"`)
	args := []*node{p.or()}
	for p.accept(",") {
		args = append(args, p.or())
	}
	p.expect(")", "after the conditions")
	switch {
	case len(args) == 1:
		p.fail(t.column, "%d of a single condition", k)
	case int(k) > len(args):
		p.fail(t.column, "%d of only %d conditions", k, len(args))
	case k == 1:
		return join(opOr, args)
	case int(k) == len(args):
		return join(opAnd, args)
	}
	return &node{op: opOf, column: t.column, args: args, k: int(k)}
}

func (p *policyParser) clause() *node {
	n := &node{op: opClause}
	var first token
	n.name, first = p.lexer.name()
	n.column = first.column
	if p.clauses++; p.clauses > maxClause {
		p.fail(n.column, "more than %d clauses", maxClause)
	}
	switch t := p.peek(); t.text {
	case "=":
		n.cmp, n.values = p.next().text, []token{p.value()}
	case "<", "<=", ">", ">=":
		n.cmp, n.values = p.next().text, []token{p.value()}
		if _, _, ok := parseOrdered(n.values[0].text); !ok {
			p.fail(n.values[0].column, "%q compares numbers and dates (2026-09-01), not %v", n.cmp, n.values[0])
		}
	case "in":
		p.next()
		n.cmp, n.values = "in", p.valueList()
		if len(n.values) == 1 {
			n.cmp = "="
		}
	}
	return n
}

func (p *policyParser) valueList() []token {
	p.expect("(", `after "in"`)
	list := []token{p.value()}
	for p.accept(",") {
		v := p.value()
		if slices.ContainsFunc(list, func(o token) bool { return o.text == v.text }) {
			p.fail(v.column, "%v is listed twice", v)
		}
		if len(list) == maxClause {
			p.fail(v.column, "more than %d values", maxClause)
		}
		list = append(list, v)
	}
	p.expect(")", "after the values")
	return list
}

// String returns the policy's canonical text: [ParsePolicy] reads it back to an
// equal policy, and every other text of the policy prints as it.
func (p *Policy) String() string {
	var b strings.Builder
	p.root.print(&b, opOr)
	return b.String()
}

// print writes the condition, in parentheses if it binds less than where it
// stands asks for.
func (n *node) print(b *strings.Builder, least op) {
	if n.op < least {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	switch n.op {
	case opOr:
		printList(b, n.args, " or ", opAnd)
	case opAnd:
		printList(b, n.args, " and ", opNot)
	case opNot:
		b.WriteString("not ")
		n.args[0].print(b, opNot)
	case opOf:
		b.WriteString(strconv.Itoa(n.k) + " of (")
		printList(b, n.args, ", ", opOr)
		b.WriteByte(')')
	case opClause:
		b.WriteString(n.clauseText())
	}
}

func printList(b *strings.Builder, args []*node, separator string, least op) {
	for i, a := range args {
		if i > 0 {
			b.WriteString(separator)
		}
		a.print(b, least)
	}
}

func (n *node) clauseText() string {
	switch n.cmp {
	case "":
		return n.name.String()
	case "in":
		var texts []string
		for _, v := range n.values {
			texts = append(texts, v.text)
		}
		return n.name.String() + " in (" + strings.Join(texts, ", ") + ")"
	}
	return n.name.String() + " " + n.cmp + " " + n.values[0].text
}

// In returns the policy with every attribute that names no authority given to
// this one.
func (p *Policy) In(authority string) (*Policy, error) {
	if !authorityPattern.MatchString(authority) {
		return nil, &FormatError{"authority", "field"}
	}
	// Read again, because names have grown and the text may have become too
	// long, and so that columns are those of the text.
	return ParsePolicy((&Policy{p.root.in(authority)}).String())
}

func (n *node) in(authority string) *node {
	c := *n
	if c.op == opClause && c.name.authority == "" {
		c.name.authority = authority
	}
	c.args = make([]*node, len(n.args))
	for i, a := range n.args {
		c.args[i] = a.in(authority)
	}
	return &c
}

// Authorities returns the names of the authorities in the policy, sorted; the
// empty name stands for attributes without one.
func (p *Policy) Authorities() []string {
	var list []string
	p.root.clauses(func(c *node) { list = append(list, c.name.authority) })
	slices.Sort(list)
	return slices.Compact(list)
}

// clauses calls f for every clause, in order.
func (n *node) clauses(f func(*node)) {
	if n.op == opClause {
		f(n)
	}
	for _, a := range n.args {
		a.clauses(f)
	}
}

// split returns, for each authority, the part of the policy that its keys can
// satisfy alone. It exists only if authorities meet in "or" and nowhere else:
// a person's keys of two authorities have nothing in common that would keep two
// people from putting theirs together.
func (p *Policy) split() (parts map[string]*node, err error) {
	defer catch(&err)
	return p.root.split(), nil
}

func (n *node) split() map[string]*node {
	if n.op == opClause {
		return map[string]*node{n.name.authority: n}
	}
	byAuthority := map[string][]*node{}
	for _, a := range n.args {
		for authority, part := range a.split() {
			byAuthority[authority] = append(byAuthority[authority], part)
		}
	}
	if n.op != opOr && len(byAuthority) > 1 {
		n.refuseMixed()
	}
	if n.op != opOr {
		for authority := range byAuthority {
			return map[string]*node{authority: n}
		}
	}
	parts := map[string]*node{}
	for authority, args := range byAuthority {
		parts[authority] = join(opOr, args)
	}
	return parts
}

// refuseMixed fails at the first clause of another authority than the first.
func (n *node) refuseMixed() {
	words := map[op]string{opAnd: "and", opNot: "not", opOf: "of"}
	var first *node
	n.clauses(func(c *node) {
		switch {
		case first == nil:
			first = c
		case first.name.authority != c.name.authority:
			l := lexer{what: "policy"}
			l.fail(c.column, "%q joins attributes of %s and %s: two people could put theirs together; only \"or\" may", words[n.op], first.name.authority, c.name.authority)
		}
	})
}
