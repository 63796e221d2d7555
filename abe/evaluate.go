package abe

import (
	"fmt"
	"slices"
	"strings"
)

// Evaluate reports whether the attributes satisfy the policy. It is what the
// cryptography enforces, computed in the open: a key opens if and only if
// Evaluate says so, for attributes that its authority's catalogue admits.
func (p *Policy) Evaluate(a Attributes) bool { return p.root.evaluate(a) }

func (n *node) evaluate(a Attributes) bool {
	switch n.op {
	case opNot:
		return !n.args[0].evaluate(a)
	case opClause:
		return n.holds(a)
	}
	yes := 0
	for _, c := range n.args {
		if c.evaluate(a) {
			yes++
		}
	}
	return yes >= n.need()
}

// need returns how many of a list's conditions must hold.
func (n *node) need() int {
	switch n.op {
	case opOr:
		return 1
	case opAnd:
		return len(n.args)
	}
	return n.k
}

// holds decides a clause.
func (n *node) holds(a Attributes) bool {
	return slices.ContainsFunc(a.values(n.name), n.matches)
}

// matches compares one value that somebody has with the clause.
func (n *node) matches(have string) bool {
	switch n.cmp {
	case "":
		return have == ""
	case "=", "in":
		return slices.ContainsFunc(n.values, func(t token) bool { return t.text == have })
	}
	x, xDate, ok := parseOrdered(have)
	y, yDate, _ := parseOrdered(n.values[0].text)
	if !ok || xDate != yDate {
		return false
	}
	switch n.cmp {
	case "<":
		return x < y
	case "<=":
		return x <= y
	case ">":
		return x > y
	}
	return x >= y
}

// Explanation says what a policy makes of some attributes, and why.
type Explanation struct {
	Satisfied bool
	// Decisive are the clauses that made it so, in the policy's order: each as
	// it is needed for a yes, all that stand in the way for a no.
	Decisive []Decision
}

// Decision is what became of one clause of a policy.
type Decision struct {
	Clause string // as the policy's canonical text has it, without its "not"
	Column int    // in the text the policy was parsed from
	Holds  bool
	Have   []string // the values that the attributes give; none of a flag
}

func (d Decision) String() string {
	verb := "does not hold"
	if d.Holds {
		verb = "holds"
	}
	text := fmt.Sprintf("%s %s (column %d)", d.Clause, verb, d.Column)
	if len(d.Have) > 0 {
		return text + ": has " + strings.Join(d.Have, ", ")
	}
	return text
}

// String gives the verdict and a line for each decisive clause.
func (e Explanation) String() string {
	text := "not satisfied"
	if e.Satisfied {
		text = "satisfied"
	}
	for _, d := range e.Decisive {
		text += "\n  " + d.String()
	}
	return text
}

// Explain evaluates the policy and says which clauses decided.
func (p *Policy) Explain(a Attributes) Explanation {
	e := Explanation{Satisfied: p.Evaluate(a)}
	p.root.explain(a, e.Satisfied, &e.Decisive)
	return e
}

// explain adds the clauses that made the condition what it is.
func (n *node) explain(a Attributes, verdict bool, list *[]Decision) {
	switch n.op {
	case opNot:
		n.args[0].explain(a, !verdict, list)
		return
	case opClause:
		have := slices.DeleteFunc(a.values(n.name), func(v string) bool { return v == "" })
		*list = append(*list, Decision{n.clauseText(), n.column, verdict, have})
		return
	}
	// For a yes as many conditions as are needed, the first ones; for a no
	// everyone that fails.
	missing := n.need()
	for _, c := range n.args {
		if c.evaluate(a) != verdict || verdict && missing == 0 {
			continue
		}
		missing--
		c.explain(a, verdict, list)
	}
}
