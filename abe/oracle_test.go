package abe

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var oracleRuns = flag.Int("oracle", 500, "random policies × attribute sets to try against the boolean oracle; 10000 before a release")

// truth is a third opinion, besides Evaluate and the cryptography: a condition
// as a function, made together with its text, that shares no code with either.
type truth func(staff) bool

type staff struct {
	contractor bool
	icu, er    bool
	grade      int // -1 for none
	role, unit string
}

func (s staff) text() string {
	var list []string
	if s.contractor {
		list = append(list, "contractor")
	}
	if s.icu {
		list = append(list, "dept = icu")
	}
	if s.er {
		list = append(list, "dept = er")
	}
	if s.grade >= 0 {
		list = append(list, fmt.Sprint("grade = ", s.grade))
	}
	if s.role != "" {
		list = append(list, "role = "+s.role)
	}
	if s.unit != "" {
		list = append(list, "unit = "+s.unit)
	}
	return strings.Join(list, ", ")
}

func randomStaff(r *rand.Rand) staff {
	return staff{
		contractor: r.IntN(2) == 0, icu: r.IntN(2) == 0, er: r.IntN(2) == 0, grade: r.IntN(9) - 1,
		role: []string{"", "nurse", "pharmacist", "physician"}[r.IntN(4)], unit: []string{"", "n1", "n2"}[r.IntN(3)],
	}
}

func randomClause(r *rand.Rand) (string, truth) {
	switch r.IntN(7) {
	case 0:
		return "contractor", func(s staff) bool { return s.contractor }
	case 1:
		return "dept = icu", func(s staff) bool { return s.icu }
	case 2:
		return "dept in (er, icu)", func(s staff) bool { return s.er || s.icu }
	case 3:
		roles := []string{"nurse", "pharmacist", "physician"}
		i, j := r.IntN(3), r.IntN(2)+1
		j = (i + j) % 3
		if r.IntN(2) == 0 {
			return "role = " + roles[i], func(s staff) bool { return s.role == roles[i] }
		}
		return fmt.Sprintf("role in (%s, %s)", roles[i], roles[j]), func(s staff) bool { return s.role == roles[i] || s.role == roles[j] }
	case 4:
		u := []string{"n1", "n2", "n3"}[r.IntN(3)]
		return "unit = " + u, func(s staff) bool { return s.unit == u }
	case 5:
		v := r.IntN(8)
		return fmt.Sprint("grade = ", v), func(s staff) bool { return s.grade == v }
	}
	switch v := r.IntN(7); r.IntN(4) {
	case 0:
		return fmt.Sprint("grade < ", v+1), func(s staff) bool { return s.grade >= 0 && s.grade < v+1 }
	case 1:
		return fmt.Sprint("grade <= ", v+1), func(s staff) bool { return s.grade >= 0 && s.grade <= v+1 }
	case 2:
		return fmt.Sprint("grade > ", v), func(s staff) bool { return s.grade > v }
	default:
		return fmt.Sprint("grade >= ", v), func(s staff) bool { return s.grade >= v }
	}
}

func randomCondition(r *rand.Rand, depth int) (string, truth) {
	if depth == 0 || r.IntN(4) == 0 {
		return randomClause(r)
	}
	if r.IntN(4) == 0 {
		text, f := randomCondition(r, depth-1)
		return "not (" + text + ")", func(s staff) bool { return !f(s) }
	}
	n := 2 + r.IntN(2)
	var texts []string
	var fs []truth
	for range n {
		text, f := randomCondition(r, depth-1)
		texts, fs = append(texts, text), append(fs, f)
	}
	count := func(s staff) (yes int) {
		for _, f := range fs {
			if f(s) {
				yes++
			}
		}
		return yes
	}
	switch r.IntN(3) {
	case 0:
		return "(" + strings.Join(texts, ") and (") + ")", func(s staff) bool { return count(s) == n }
	case 1:
		return "(" + strings.Join(texts, ") or (") + ")", func(s staff) bool { return count(s) > 0 }
	}
	k := 1 + r.IntN(n)
	return fmt.Sprintf("%d of (%s)", k, strings.Join(texts, ", ")), func(s staff) bool { return count(s) >= k }
}

// TestEvaluateAgainstTruth decides 20,000 random policies and evaluates, compiles
// and reads each back, without cryptography.
func TestEvaluateAgainstTruth(t *testing.T) {
	w, r := sharedWorld(), rng("truth")
	yes, refused, n := 0, 0, 20000
	if testing.Short() {
		n = 2000
	}
	for range n {
		text, f := randomCondition(r, 3)
		s := randomStaff(r)
		p, a := policyOf(t, text), attributesOf(t, s.text())
		if p.Evaluate(a) != f(s) {
			t.Fatalf("%q for %q: want %v", text, s.text(), f(s))
		}
		if e := p.Explain(a); e.Satisfied != f(s) || len(e.Decisive) == 0 {
			t.Fatalf("%q for %q: %v", text, s.text(), e)
		}
		if again := policyOf(t, p.String()); again.String() != p.String() || again.Evaluate(a) != f(s) {
			t.Fatalf("%q prints as %q", text, p)
		}
		c, err := w.northA.compile(p.root)
		if err != nil {
			refused++ // too large
			continue
		}
		if got := c.holds(w.northA.labels(a)); got != f(s) {
			t.Fatalf("%q for %q compiles to %s", text, s.text(), c.text)
		}
		if f(s) {
			yes++
		}
	}
	if yes < n/5 || yes > n*4/5 || refused > n/10 {
		t.Errorf("%d satisfied, %d too large: the cases are too much alike", yes, refused)
	}
}

// holds decides the text given to tkn20, as tkn20 would: a negative leaf needs
// the label as well.
func (c *compiled) holds(labels map[string]string) bool {
	i := 0
	text := c.text
	var condition func() bool
	condition = func() bool {
		if text[i] == '(' {
			i++
			left := condition()
			isAnd := strings.HasPrefix(text[i:], " and ")
			i += strings.IndexByte(text[i+1:], ' ') + 2
			right := condition()
			i++
			if isAnd {
				return left && right
			}
			return left || right
		}
		negative := strings.HasPrefix(text[i:], "not ")
		if negative {
			i += 4
		}
		end := i + strings.IndexAny(text[i:]+")", " )")
		label, value, _ := strings.Cut(text[i:end], ":")
		i = end
		have, ok := labels[label]
		return ok && (have == value) != negative
	}
	return condition()
}

// TestKeysOpenWhatTheOracleSays is the cryptography against the oracle: 500
// random policies × attribute sets, 10,000 with -oracle 10000.
func TestKeysOpenWhatTheOracleSays(t *testing.T) {
	n := *oracleRuns
	if testing.Short() && n == 500 {
		n = 25
	}
	w, r := sharedWorld(), rng("oracle")
	var keys []*Key
	var holders []staff
	for range min(max(n/30, 4), 24) {
		s := randomStaff(r)
		keys, holders = append(keys, w.key(t, "x", s.text())), append(holders, s)
	}
	yes := 0
	for i := 0; i < n; {
		text, f := randomCondition(r, 2)
		recipient, err := NewRecipient(policyOf(t, text), w.northA)
		if err != nil {
			continue // too large
		}
		if len(recipient.seals[0].condition.leaves) > 16 {
			continue // slow
		}
		s := sealTo(t, text, w.northA)
		for range 4 { // attribute sets for each policy
			j := r.IntN(len(keys))
			if i++; f(holders[j]) {
				yes++
				must(t, s.open(t, keys[j]))
				continue
			}
			if err := s.open(t, keys[j]); !errors.Is(err, ErrNotSatisfied) {
				t.Fatalf("%q for %q: %v", text, holders[j].text(), err)
			}
			// The same without our own look at the policy.
			if err := s.force(t, keys[j]); err == nil {
				t.Fatalf("tkn20 opens %q for %q", text, holders[j].text())
			}
		}
	}
	t.Logf("%d cases, %d satisfied", n, yes)
}

// force opens with tkn20 whatever we think of the policy.
func (s sealed) force(t testing.TB, k *Key) error {
	t.Helper()
	a, err := ParseAudience(s.description)
	must(t, err)
	seals, err := parseSealed(s.bytes, 1)
	must(t, err)
	c, err := k.authority.compile(a.parts[k.authority.name])
	must(t, err)
	_, err = c.decapsulate(k.secret, seals[0].kem)
	return err
}
