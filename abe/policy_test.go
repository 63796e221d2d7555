package abe

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestCanonicalPolicies(t *testing.T) {
	for text, want := range map[string]string{
		"contractor":                           "contractor",
		" ( ( contractor ) ) ":                 "contractor",
		"not not contractor":                   "contractor",
		"not(not(not contractor))":             "not contractor",
		"a and b and c":                        "a and b and c",
		"a and (b and c)":                      "a and b and c",
		"(a or b) or c":                        "a or b or c",
		"a or b and c":                         "a or b and c",
		"(a or b) and c":                       "(a or b) and c",
		"not (a and b)":                        "not (a and b)",
		"not 2 of (a,b,c)":                     "not 2 of (a, b, c)",
		"1 of (a, b or c)":                     "a or b or c",
		"2 of (a, b and c)":                    "a and b and c",
		"2 of (a, b or c, not (d))":            "2 of (a, b or c, not d)",
		"role in (nurse)":                      "role = nurse",
		"role in(nurse,physician)":             "role in (nurse, physician)",
		"north : role=nurse":                   "north:role = nurse",
		"grade>=3":                             "grade >= 3",
		"grade < -3":                           "grade < -3",
		"badge_until > 2026-09-01":             "badge_until > 2026-09-01",
		"code = E11.9\n\tand who=dr.lee@south": "code = E11.9 and who = dr.lee@south",
		"role = 007":                           "role = 007",
		"role = physician and dept in (icu, er) and not contractor": "role = physician and dept in (icu, er) and not contractor",
	} {
		p, err := ParsePolicy(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if p.String() != want || policyOf(t, want).String() != want {
			t.Errorf("%q prints as %q, want %q", text, p, want)
		}
	}
}

// marked takes a ^ out of a text and returns its column.
func marked(text string) (string, int) {
	return strings.Replace(text, "^", "", 1), strings.Index(text, "^") + 1
}

func wantColumn(t *testing.T, text, problem string, column int, err error) {
	t.Helper()
	var s *SyntaxError
	if !errors.As(err, &s) || s.Column != column || !strings.Contains(s.Problem, problem) {
		t.Errorf("%.80q: got %v, want column %d and %q", text, err, column, problem)
	}
}

func TestPoliciesThatDoNotParse(t *testing.T) {
	many := strings.Repeat("a or ", 64)
	for at, problem := range map[string]string{
		"^":                               "expected the name",
		"a and ^":                         "not the end",
		"a ^b":                            "unexpected",
		"(a^":                             `expected ")"`,
		"a^)":                             "unexpected",
		"a ^&& b":                         "unexpected byte",
		"role ^!= nurse":                  "write not x = y",
		"role =^= nurse":                  "a value",
		"^Role = nurse":                   "name of an attribute",
		"^North:role = nurse":             "name of an authority",
		"north:^in = x":                   "name of an attribute",
		"role = ^":                        "a value",
		"role = ^and":                     "a value",
		"role = ^-x":                      "a value",
		"role = ^.x":                      "a value",
		"role in ^nurse":                  `expected "("`,
		"role in (^)":                     "a value",
		"role in (a, ^a)":                 "listed twice",
		"role in (a ^b)":                  `expected ")"`,
		"grade < ^high":                   "numbers and dates",
		"until < ^2026-02-30":             "numbers and dates",
		"grade < ^03":                     "numbers and dates",
		"^0 of (a, b)":                    "from 1 to 64",
		"^3 of (a, b)":                    "only 2",
		"^1 of (a)":                       "a single condition",
		"^x of (a, b)":                    "number from 1",
		"2 of ^a, b":                      `expected "("`,
		"2 of (a, b^":                     `expected ")"`,
		"^of (a, b)":                      "name of an attribute",
		"not ^":                           "not the end",
		"^α":                              "unexpected byte",
		"a = ^" + strings.Repeat("x", 65): "a value",
		"^" + strings.Repeat("x", 33):     "name of an attribute",
		many + "^a":                       "more than 64 clauses",
		strings.Repeat("(", 16) + "^(a" + strings.Repeat(")", 17): "16 levels",
		strings.Repeat("not ", 16) + "^not a":                     "16 levels",
		strings.Repeat("2 of (a, b, ", 16) + "^2 of (a, b)":       "16 levels",
		strings.Repeat(" ", 4096) + "^a":                          "longer than 4096",
	} {
		text, column := marked(at)
		_, err := ParsePolicy(text)
		wantColumn(t, text, problem, column, err)
	}
	// What fits in a short spelling may not fit in the canonical one.
	var values []string
	for i := range 64 {
		values = append(values, fmt.Sprintf("%s%02d", strings.Repeat("x", 60), i))
	}
	text := "a in(" + strings.Join(values, ",") + ")"
	_, err := ParsePolicy(text)
	wantColumn(t, text, "canonical text", len(text)+1, err)
}

func TestPoliciesThatTheCatalogueRefuses(t *testing.T) {
	w := sharedWorld()
	for at, problem := range map[string]string{
		"role = nurse and ^salary = 3": "certifies no attribute salary",
		"^contractor = yes":            "is a flag",
		"^role":                        "is not a flag",
		"^role < 3":                    "has no order",
		"^unit >= 3":                   "has no order",
		"role = ^phycisian":            `no value "phycisian"; it may be nurse, pharmacist, physician`,
		"dept in (icu, ^x)":            "no value",
		"grade = ^high":                "is a number",
		"grade >= ^2026-09-01":         "is a number",
		"grade >= ^8":                  "goes from 0 to 7",
		"grade in (1, ^-1)":            "goes from 0 to 7",
		"grade < ^0":                   "never",
		"grade > ^7":                   "never",
		"not grade < ^0":               "never",
		"^8 of (" + strings.TrimSuffix(strings.Repeat("role = nurse, ", 16), ", ") + ")": "more than 128 conditions",
	} {
		text, column := marked(at)
		_, err := NewRecipient(policyOf(t, text), w.northA)
		if strings.Contains(text, "8 of") {
			var s *SyntaxError
			if !errors.As(err, &s) || s.Column < column {
				t.Errorf("%s: %v", text, err)
			}
			column = s.Column
		}
		wantColumn(t, text, problem, column, err)
		if w.northA.Check(policyOf(t, text)) == nil {
			t.Errorf("%s passes", text)
		}
	}
	must(t, w.northA.Check(policyOf(t, "north:role = nurse and contractor")))
	_, err := NewRecipient(policyOf(t, strings.TrimSuffix(strings.Repeat("not role = nurse and ", 64), " and ")), w.northA)
	wantColumn(t, "64 times", "the limit is 65536", 1, err)
}

func TestExplain(t *testing.T) {
	p := policyOf(t, "role = physician and dept in (icu, er) and not contractor")
	for attributes, want := range map[string]string{
		"role = physician, dept = er": "satisfied\n" +
			"  role = physician holds (column 1): has physician\n  dept in (icu, er) holds (column 22): has er\n  contractor does not hold (column 48)",
		"role = nurse, dept = er, contractor": "not satisfied\n" +
			"  role = physician does not hold (column 1): has nurse\n  contractor holds (column 48)",
		"": "not satisfied\n  role = physician does not hold (column 1)\n  dept in (icu, er) does not hold (column 22)",
	} {
		if got := p.Explain(attributesOf(t, attributes)).String(); got != want {
			t.Errorf("%q:\n%s\nwant\n%s", attributes, got, want)
		}
	}
	for text, want := range map[string]string{
		"2 of (a, b, c, d)":      "satisfied: b d",
		"not 3 of (a, b, c, d)":  "satisfied: a c",
		"c or d or b":            "satisfied: d",
		"not (a or c)":           "satisfied: a c",
		"not (b and d)":          "not satisfied: b d",
		"3 of (a, b, c, not b)":  "not satisfied: a c b",
		"not (a and b) and c":    "not satisfied: c",
		"not not b and (a or c)": "not satisfied: a c",
	} {
		e := policyOf(t, text).Explain(attributesOf(t, "b, d"))
		got := strings.Split(e.String(), "\n")[0] + ":"
		for _, d := range e.Decisive {
			got += " " + d.Clause
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestThresholdsMatchTheSum compiles every k of n up to 8.
func TestThresholdsMatchTheSum(t *testing.T) {
	var lines, names []string
	for i := range 8 {
		names = append(names, fmt.Sprintf("f%d", i))
		lines = append(lines, names[i]+" flag")
	}
	a := &Authority{name: "x", catalogue: catalogueOf(t, strings.Join(lines, "\n"))}
	for n := 2; n <= 8; n++ {
		for k := 1; k <= n; k++ {
			text := fmt.Sprintf("%d of (%s)", k, strings.Join(names[:n], ", "))
			for _, text := range []string{text, "not " + text} {
				c, err := a.compile(policyOf(t, text).root)
				if err != nil {
					if n < 7 {
						t.Errorf("%s: %v", text, err)
					}
					continue
				}
				for set := range 1 << n {
					var has []string
					for i := range n {
						if set>>i&1 == 1 {
							has = append(has, names[i])
						}
					}
					attributes := attributesOf(t, strings.Join(has, ", "))
					want := (len(has) >= k) != strings.HasPrefix(text, "not")
					if c.holds(a.labels(attributes)) != want {
						t.Fatalf("%s for %s", text, attributes)
					}
				}
			}
		}
	}
}

// TestComparisonsOfEveryNumber compiles every comparison with every bound for
// every value, and none.
func TestComparisonsOfEveryNumber(t *testing.T) {
	for _, r := range [][2]int{{0, 1}, {0, 6}, {0, 7}, {-3, 5}, {1, 16}} {
		lo, hi := r[0], r[1]
		a := &Authority{name: "x", catalogue: catalogueOf(t, fmt.Sprintf("g number %d to %d", lo, hi))}
		for _, cmp := range []string{"=", "<", "<=", ">", ">="} {
			for bound := lo; bound <= hi; bound++ {
				for _, not := range []string{"", "not "} {
					text := fmt.Sprintf("%sg %s %d", not, cmp, bound)
					c, err := a.compile(policyOf(t, text).root)
					if err != nil {
						if cmp == "<" && bound == lo || cmp == ">" && bound == hi {
							continue
						}
						t.Fatal(err)
					}
					for v := lo - 1; v <= hi; v++ {
						holder := Attributes{}
						if v >= lo {
							holder = attributesOf(t, fmt.Sprint("g = ", v))
						}
						has := v >= lo
						want := has && map[string]bool{"=": v == bound, "<": v < bound, "<=": v <= bound, ">": v > bound, ">=": v >= bound}[cmp]
						if want = want != (not != ""); c.holds(a.labels(holder)) != want || policyOf(t, text).Evaluate(holder) != want {
							t.Fatalf("%s for %d (lowest %d): want %v", text, v, lo, want)
						}
					}
				}
			}
		}
	}
}

func TestDates(t *testing.T) {
	a := &Authority{name: "x", catalogue: catalogueOf(t, "until date")}
	for _, text := range []string{"until >= 2026-09-01", "until = 1970-01-01", "until = 2149-06-05", "until > 2026-02-28", "until <= 2149-06-05", "until < 2000-01-01"} {
		p := policyOf(t, text)
		c, err := a.compile(p.root)
		must(t, err)
		for _, day := range []string{"", "until = 1970-01-01", "until = 1999-12-31", "until = 2000-01-01", "until = 2026-02-28", "until = 2026-03-01", "until = 2026-08-31", "until = 2026-09-01", "until = 2149-06-05"} {
			held := attributesOf(t, day)
			must(t, a.catalogue.Check(held))
			if c.holds(a.labels(held)) != p.Evaluate(held) {
				t.Errorf("%s for %q", text, day)
			}
		}
		if n := len(c.leaves); n > 32 {
			t.Errorf("%s takes %d conditions", text, n)
		}
	}
	for _, day := range []string{"1969-12-31", "2149-06-06", "2026-13-01", "3", "x"} {
		if a.catalogue.Check(attributesOf(t, "until = "+day)) == nil {
			t.Errorf("%s passes", day)
		}
		if _, err := a.compile(policyOf(t, "until = "+day).root); err == nil {
			t.Errorf("a policy over %s passes", day)
		}
	}
	if policyOf(t, "until > 3").Evaluate(attributesOf(t, "until = 2026-09-01")) {
		t.Error("a date is above a number")
	}
}

// TestLabelsAreInjective: no two attributes, values or bits share a label, and
// each is what tkn20's lexer takes for one word.
func TestLabelsAreInjective(t *testing.T) {
	a := &Authority{name: "x", catalogue: catalogueOf(t, "a any of (b, 1, b_s1, A, a.b, a-b, a@b)\na_sb text\na_s flag\na_n1 flag\nan number 0 to 9\nan_n0 text\nx_5f flag\nx_ flag\nx text")}
	total := 0
	for i := range a.catalogue.list {
		total += a.catalogue.list[i].labels()
	}
	labels := a.labels(attributesOf(t, "a = b, an = 3, an_n0 = n"))
	if len(labels) != total {
		t.Errorf("%d labels for %d", len(labels), total)
	}
	for l, v := range labels {
		if _, err := parseTKN20(l + ":" + v); err != nil {
			t.Error(err)
		}
	}
	seen := map[string]string{}
	for _, v := range []string{"a", "A", "a.b", "a_2eb", "a-b", "a@b", "a_b", "n", "0", "1", "-1", "v"} {
		if o, ok := seen[textValue(v)]; ok || textValue(v) == noValue {
			t.Errorf("%q is encoded like %q", v, o)
		}
		seen[textValue(v)] = v
	}
}

func TestCatalogues(t *testing.T) {
	c := catalogueOf(t, "\n role  one of(physician,nurse)\n\ncontractor flag\r\ngrade number -1 to 7\nuntil date\ndept any of (icu)\nunit text")
	want := "contractor flag\ndept any of (icu)\ngrade number -1 to 7\nrole one of (nurse, physician)\nunit text\nuntil date\n"
	if c.String() != want || catalogueOf(t, want).String() != want {
		t.Errorf("%q", c)
	}
	for at, problem := range map[string]string{
		"^":                              "no attribute",
		"a flag\n^a text":                "declared twice",
		"a flag\nb ^number1":             "expected flag",
		"a flag ^x":                      "unexpected",
		"^A flag":                        "name of an attribute",
		"a number ^x to 3":               "a number",
		"a number 3 ^3":                  `expected "to"`,
		"a number 3 to ^3":               "not above",
		"a number 0 to ^4294967295":      "32 bits",
		"a one ^(x)":                     `expected "of"`,
		"a one of (x, ^x)":               "listed twice",
		"a flag\nb one of (x, ^and)":     "a value",
		"a flag\nb = ^%":                 "unexpected byte",
		strings.Repeat("x", 40000) + "^": "",
	} {
		text, column := marked(at)
		if len(text) > maxCatalogue {
			column = maxCatalogue + 1
		}
		_, err := ParseCatalogue(text)
		wantColumn(t, text, problem, column, err)
	}
	var lines, long []string
	for i := range 65 {
		lines = append(lines, fmt.Sprintf("a%d flag", i))
	}
	if _, err := ParseCatalogue(strings.Join(lines, "\n")); err == nil {
		t.Error("65 attributes pass")
	}
	for i := range 17 {
		lines[i] = fmt.Sprintf("a%d date", i)
	}
	if _, err := ParseCatalogue(strings.Join(lines[:17], "\n")); err == nil {
		t.Error("272 units pass")
	}
	for i := range 4 {
		var values []string
		for j := range 60 {
			values = append(values, fmt.Sprintf("a%s%02d", strings.Repeat("@", 59), j))
		}
		long = append(long, fmt.Sprintf("a%d any of (%s)", i, strings.Join(values, ",")))
	}
	text := strings.Join(long, "\n")
	_, err := ParseCatalogue(text)
	wantColumn(t, text, "the limit is 60000", len(text)+1, err)
	if _, err = ParseCatalogue(strings.Join(long[:3], "\n")); err != nil {
		t.Error(err)
	}
	if _, err = ParseCatalogue(strings.Join(lines[:16], "\n")); err != nil {
		t.Error(err)
	}
}

func TestAttributes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "",
		"  ":                              "",
		"contractor":                      "contractor",
		"dept=icu,contractor , dept = er": "contractor, dept = er, dept = icu",
		"south:role = x, role = y":        "role = y, south:role = x",
	} {
		if a := attributesOf(t, text); a.String() != want || attributesOf(t, want).String() != want {
			t.Errorf("%q prints as %q", text, a)
		}
	}
	for at, problem := range map[string]string{
		"a,^":           "name of an attribute",
		"a ^b":          "unexpected",
		"a, ^a":         "listed twice",
		"a = x, ^a = x": "listed twice",
		"a, ^a = x":     "listed twice",
		"a = ^":         "a value",
		"a ^in (x)":     "unexpected",
		"^not a":        "name of an attribute",
	} {
		text, column := marked(at)
		_, err := ParseAttributes(text)
		wantColumn(t, text, problem, column, err)
	}
	c := catalogueOf(t, northCatalogue)
	for at, problem := range map[string]string{
		"^salary = 3":                     "not in the catalogue",
		"contractor, ^north:role = nurse": "names an authority",
		"contractor = ^x":                 "",
		"role = nurse, ^role = physician": "",
		"^role":                           "needs a value",
		"^role = boss":                    "no value",
		"^grade = 9":                      "goes from 0 to 7",
		"^grade = x":                      "is a number",
		"^dept = x":                       "no value",
	} {
		text, column := marked(at)
		err := c.Check(attributesOf(t, text))
		if problem == "" {
			if err == nil {
				t.Errorf("%s passes", text)
			}
			continue
		}
		wantColumn(t, text, problem, column, err)
	}
	// Over several authorities.
	north, err := attributesOf(t, "role = nurse").In("north")
	must(t, err)
	south, err := attributesOf(t, "contractor").In("south")
	must(t, err)
	both, err := north.And(south)
	must(t, err)
	if both.String() != "north:role = nurse, south:contractor" || !policyOf(t, "north:role = nurse and south:contractor").Evaluate(both) {
		t.Error(both)
	}
	if _, err := north.And(north); err == nil {
		t.Error("the same twice")
	}
	if _, err := north.In("No"); err == nil {
		t.Error("an authority of another spelling")
	}
	p, err := policyOf(t, "role = nurse or south:contractor").In("north")
	must(t, err)
	if p.String() != "north:role = nurse or south:contractor" || fmt.Sprint(p.Authorities()) != "[north south]" {
		t.Error(p)
	}
	if _, err := p.In("No"); err == nil {
		t.Error("an authority of another spelling")
	}
}
