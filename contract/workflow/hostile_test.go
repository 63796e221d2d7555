package workflow_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/workflow"
)

// with returns a definition with a rule, and names to use in it.
func with(rule string) []byte {
	return fmt.Appendf(nil, `workflow: ward/v1
name: hostile
version: 1
fields:
  n: {type: int, min: -9007199254740991}
  s: {type: code}
  l: {type: code, many: true}
  b: {type: bool}
variables:
  v: {type: int}
states:
  open: {}
  done: {final: true}
transitions:
  begin: {from: [start], to: open, by: [anyone], fields: {n: optional, s: optional, l: optional, b: optional}, rules: {r: %q}}
  end: {from: [open], to: done, by: [owner]}
`, rule)
}

func TestAliasBombIsRefused(t *testing.T) {
	bomb := "workflow: ward/v1\nname: bomb\nversion: 1\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9))
	}
	for name, yaml := range map[string]string{
		"aliases":  bomb,
		"anchor":   strings.Replace(string(small("x", 1, "")), "open: {}", "open: &a {}", 1),
		"self":     "a: &a [*a]",
		"merge":    "a: &a {b: c}\nd: {<<: *a}",
		"tag":      strings.Replace(string(small("x", 1, "")), "name: x", "name: !!binary eA==", 1),
		"own tag":  strings.Replace(string(small("x", 1, "")), "open: {}", "open: !x {}", 1),
		"document": string(small("x", 1, "")) + "---\nmore: 1\n",
	} {
		if d, err := workflow.Compile([]byte(yaml)); err == nil || d != nil || len(mistakes(err)) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeepOrLargeDefinitionIsRefused(t *testing.T) {
	var steps strings.Builder
	for n := range 300 {
		steps.WriteString(strings.Repeat(" ", min(n, 120)) + "a:\n")
	}
	for name, yaml := range map[string]string{
		"brackets":  strings.Repeat("[", 40_000),
		"braces":    strings.Repeat("{a: ", 10_000),
		"mixed":     strings.Repeat("[{", 20_000),
		"dashes":    strings.Repeat("- ", 20_000),
		"questions": strings.Repeat("? ", 20_000),
		"indents":   steps.String(),
		"entries":   "a: [" + strings.Repeat("1,", 20_000) + "]",
		"too long":  strings.Repeat("#", workflow.MaxDefinition+1),
		"quotes":    "a: \"" + strings.Repeat("\\", 40_000),
		"folded":    "a: >\n" + strings.Repeat(" \n", 20_000),
		"nothing":   "",
		"a scalar":  "x",
		"a list":    "[workflow]",
		"nulls":     "workflow:\nname:\nversion:\nstates:\ntransitions:\n",
		"not UTF-8": "name: \xff",
		"invisible": "name: a\u202eb",
		"a zero":    "name: \x00",
		"keys":      "? [a, b]\n: c\n",
		"collision": strings.Repeat("a: 1\n", 8_000),
	} {
		start := time.Now()
		if _, err := workflow.Compile([]byte(yaml)); err == nil || len(mistakes(err)) == 0 {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}

func TestExpressionOutsideTheLanguageIsRefused(t *testing.T) {
	for _, rule := range []string{
		"1.5 > 1.0", "1u == 1u", "b'x' == b'x'", "null == null", "{'a': 1}.size() == 1", "{1: 2}[1] == 2",
		"[1, 2].all(x, x > 0)", "[1].exists(x, x == 1)", "[[1]].map(x, x).size() == 1", "has(fields.n)", "fields.l[0] == 'a'",
		"fields.s.matches('(a+)+$')", "'a'.matches('a')", "timestamp('2026-01-01T00:00:00Z') == timestamp('2026-01-01T00:00:00Z')", "duration('1h') > duration('1m')",
		"type(1) == int", "dyn(1) == 1", "int('1') == 1", "string(1) == '1'", "double(1) > 0.5", "now.getHours() == 1", "fields.s.contains('a')", "fields.s.endsWith('a')",
		"'a' < 'b'", "true < false", "[1] + [2] == [3]", "fields == fields", "vars.w == 1", "counts.x == 1", "given.v", "1 in {1: 2}", "[1, 'a'] == [1, 'a']",
		"cel.bind(x, 1, x == 1)", "optional.none() == optional.none()", "google.protobuf.Int64Value{value: 1} == 1", "1", "''", "",
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200),
		"true" + strings.Repeat(" && true", 120),
		"'a'" + strings.Repeat("+'a'", 17) + " == ''",
		"size(" + strings.Repeat("[", 50) + strings.Repeat("]", 50) + ") == 0",
		"1 in [" + strings.Repeat("1,", 130) + "1]",
		strings.Repeat("true?", 60) + "true" + strings.Repeat(":false", 60),
		"'" + strings.Repeat("x", workflow.MaxExpression) + "' == ''",
		"fields.n > 9223372036854775808",
		"'\u4e2d' == ''",
	} {
		if _, err := workflow.Compile(with(rule)); err == nil {
			t.Errorf("%.60q compiles", rule)
		}
	}
}

func TestExpressionThatFailsRefusesTheStep(t *testing.T) {
	for rule, f := range map[string]fields{
		"1 / fields.n == 0":                                      {"n": workflow.Int(0)},
		"1 % fields.n == 0":                                      {"n": workflow.Int(0)},
		"fields.n * fields.n * fields.n * fields.n > 0":          {"n": workflow.Int(1<<53 - 1)},
		"-9223372036854775807 - fields.n - fields.n > 0":         {"n": workflow.Int(2)},
		"9223372036854775807 + fields.n > 0":                     {"n": workflow.Int(1)},
		"-(-9223372036854775807 - fields.n) > 0":                 {"n": workflow.Int(1)},
		"(-9223372036854775807 - fields.n) / (0 - fields.n) > 0": {"n": workflow.Int(1)},
	} {
		if _, err := rehearse(t, with(rule)).Start(physician, patient, "begin", f.list()); err != workflow.ErrRule {
			t.Errorf("%s: %v", rule, err)
		}
	}
	r := rehearse(t, with("fields.b || 1 / fields.n == 1")) // as in CEL: what is not needed may fail
	if _, err := r.Start(physician, patient, "begin", fields{"b": workflow.Bool(true)}.list()); err != nil {
		t.Error(err)
	}
	if _, err := r.Start(physician, patient, "begin", nil); err != workflow.ErrRule {
		t.Error(err)
	}
}

func TestLimitsOnTheTreeAreTheReason(t *testing.T) {
	for yaml, reason := range map[string]string{
		strings.Repeat("[", 40_000):                       "nested deeper",
		strings.Repeat("- ", 12) + "x":                    "nested deeper",
		"a: [" + strings.Repeat("1,", 10_000) + "]":       "more than 10000 entries",
		string(small("x", 1, "# \u202e")):                 "control character",
		string(small("x", 1, "title: \"\\u202e\"")):       "one line",
		string(small("x", 1, "title: \"a\\u000ab\"")):     "one line",
		string(small("x", 1, "fields: {"+many(65)+"}")):   "limit 64",
		strings.Repeat(" ", workflow.MaxDefinition) + "x": "limit 40960",
	} {
		if _, err := workflow.Compile([]byte(yaml)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.40q: %v, want %s", yaml, err, reason)
		}
	}
}

func many(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf("f%d: {type: int}, ", i)
	}
	return s
}

// What expressions make of fields is checked as fields are.
func TestKeysAndAdditionsAreChecked(t *testing.T) {
	with := func(more string) *workflow.Rehearsal {
		return rehearse(t, []byte(strings.Replace(string(small("x", 1, "counters: {c: {limit: 9, window: 7d}}\nuniques: {u: {}}\nfields: {k: {type: code}}")), "by: [anyone]}", "by: [anyone], fields: {k: optional}, "+more+"}", 1)))
	}
	for more, want := range map[string]error{
		"count: {c: {add: '0 - 1'}}": workflow.ErrRule, "count: {c: {add: '10'}}": workflow.ErrLimit, "count: {c: {add: '9'}}": nil,
		"count: {c: {key: \"'a b'\", add: '1'}}": workflow.ErrRule, "claim: {u: \"'a b'\"}": workflow.ErrRule, "claim: {u: \"['a', 'b c']\"}": workflow.ErrRule,
		"claim: {u: owner}": nil, "count: {c: {key: owner, add: '1'}}": nil, "claim: {u: \"['a', 'a']\"}": workflow.ErrClaimed,
	} {
		id, err := with(more).Start(physician, patient, "begin", nil)
		if (want != nil || id == "") && err != want || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", more, err, want)
		}
	}
	if _, err := with("claim: {u: fields.k}").Start(physician, patient, "begin", fields{"k": workflow.Text("Mr Wang")}.list()); err != workflow.ErrField {
		t.Errorf("free text in a code: %v", err)
	}
}

func TestInstanceHasFewCharges(t *testing.T) {
	r := rehearse(t, []byte(strings.NewReplacer("by: [owner]}", "by: [owner]}\n  add: {from: [open], to: open, by: [anyone], fields: {k: required}, count: {c: {key: fields.k, add: '1'}}}").Replace(
		string(small("x", 1, "counters: {c: {limit: 9}}\nfields: {k: {type: code}}")))))
	id, err := r.Start(physician, patient, "begin", nil)
	for n := range workflow.MaxCharges {
		if err == nil {
			err = r.Step(physician, id, "add", fields{"k": workflow.Text(fmt.Sprint(n))}.list())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Step(physician, id, "add", fields{"k": workflow.Text("one-more")}.list()); err != workflow.ErrFull {
		t.Error(err)
	}
	if err := r.Step(physician, id, "add", fields{"k": workflow.Text("0")}.list()); err != nil {
		t.Error(err)
	}
}

// largest returns a definition that has as much in it as fits, of what is
// dearest to compile.
func largest() []byte {
	var b strings.Builder
	b.WriteString("workflow: ward/v1\nname: large\nversion: 1\nfields:\n")
	for n := range 64 {
		fmt.Fprintf(&b, " f%d: {type: int}\n", n)
	}
	b.WriteString("states:\n a: {}\n z: {final: true}\ntransitions:\n s: {from: [start], to: a, by: [anyone]}\n e: {from: [a], to: z, by: [anyone]}\n")
	for n := range 40 {
		fmt.Fprintf(&b, " # %s\n", strings.Repeat("x", 500)) // to the limit
		if n >= workflow.MaxExpressions/16 {
			continue
		}
		fmt.Fprintf(&b, " t%d: {from: [a], to: a, by: [anyone], fields: {f%d: optional}, rules: {", n, n)
		for r := range 16 {
			fmt.Fprintf(&b, "r%d: %s, ", r, strings.Repeat("now>1||", 8)+"now>1") // 61 bytes
		}
		b.WriteString("}}\n")
	}
	return []byte(b.String())
}

// A definition cannot stall a node. BenchmarkCompile says what it costs.
func TestLargestDefinitionCompiles(t *testing.T) {
	yaml := largest()
	if len(yaml) < workflow.MaxDefinition*9/10 {
		t.Errorf("only %d bytes", len(yaml))
	}
	start := time.Now()
	if _, err := workflow.Compile(yaml); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("%d bytes took %v", len(yaml), d)
	}
	rules := ""
	for n := range 16 {
		rules += fmt.Sprintf("r%d: \"%s1 == 1\", ", n, strings.Repeat(" ", 1010))
	}
	long := strings.NewReplacer("by: [anyone]}", "by: [anyone], rules: {"+rules+"}}", "by: [owner]}", "by: [owner], rules: {"+rules+"}}").Replace(string(small("x", 1, "")))
	if _, err := workflow.Compile([]byte(long)); err == nil || !strings.Contains(err.Error(), "bytes of expressions") {
		t.Errorf("long expressions: %v", err)
	}
	more := strings.Replace(string(yaml), " e: {from", " e: {rules: {r: 'true'}, from", 1)
	if _, err := workflow.Compile([]byte(more)); err == nil || !strings.Contains(err.Error(), "more than 256 expressions") {
		t.Errorf("one expression more: %v", err)
	}
}

const cyclic = `workflow: ward/v1
name: cycle
version: 1
counters:
  turns: {scope: consortium, window: 28d, limit: 1000000}
uniques:
  token: {}
fields:
  token: {type: code, many: true}
variables:
  n: {type: int}
states:
  a: {timers: [{after: 1d, take: lapse}]}
  b: {}
  done: {final: true}
transitions:
  begin: {from: [start], to: a, by: [anyone]}
  turn: {from: [a], to: b, by: [anyone], set: {n: vars.n + 1}}
  back: {from: [b], to: a, by: [anyone], fields: {token: optional}, count: {turns: {key: instance, add: 1}}, claim: {token: fields.token}}
  undo: {from: [b], to: a, by: [anyone], undo: [turns, token]}
  lapse: {from: [a], to: b, by: [timer]}
  end: {from: [a, b], to: done, by: [anyone]}
`

// An instance that goes round for ever comes to its end.
func TestInstanceTakesABoundedNumberOfSteps(t *testing.T) {
	r := rehearse(t, []byte(cyclic))
	id, err := r.Start(physician, patient, "begin", nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < workflow.MaxSteps; n++ {
		if err := r.Step(physician, id, []string{"back", "turn"}[n%2], nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]error{"back": workflow.ErrFull, "turn": workflow.ErrState} {
		if err := r.Step(physician, id, name, nil); err != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if err := r.Step(physician, id, "end", nil); err != nil || r.Instance(id).State != "done" {
		t.Error(err)
	}
}

func rehearse(t testing.TB, yaml []byte) *workflow.Rehearsal {
	t.Helper()
	def, err := workflow.Compile(yaml)
	if err != nil {
		t.Fatal(err)
	}
	return def.Rehearse(cast, time.UnixMilli(1_760_000_000_000))
}

// Counters and claims of one instance are bounded, and so is what one counter
// remembers for a key.
func TestCountersAndClaimsDoNotBloat(t *testing.T) {
	w := newWorld(t)
	w.enact([]byte(cyclic))
	id, _ := w.begin(physician, "cycle", patient, "begin", nil)
	names := func(n, from int) workflow.Value {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("%060d", from+i))
		}
		return workflow.Text(list...)
	}
	w.want(w.take(physician, id, "turn", nil), "")
	w.want(w.take(physician, id, "back", fields{"token": names(33, 0)}), workflow.ErrField)
	for n := range 2 {
		w.want(w.take(physician, id, "back", fields{"token": names(32, 32*n)}), "")
		w.want(w.take(physician, id, "turn", nil), "")
	}
	w.want(w.take(physician, id, "back", fields{"token": names(1, 64)}), workflow.ErrFull)
	for range 100 { // over a hundred spans
		w.wait(25 * time.Hour)
		w.want(w.take(physician, id, "back", nil), "")
		w.want(w.take(physician, id, "turn", nil), "")
	}
	i := w.instance(id)
	tally, err := workflow.Counted(w.of(workflow.Contract), "cycle", "turns", "", string(id), w.now())
	if err != nil || len(tally.Buckets) > 30 || len(i.Charges) > workflow.MaxCharges {
		t.Errorf("%d spans, %d charges, %v", len(tally.Buckets), len(i.Charges), err)
	}
	if size, _ := sizes(w, "i/"); size > ledger.MaxValue {
		t.Errorf("an instance of %d bytes", size)
	}
	w.want(w.take(physician, id, "undo", nil), "")
	if n, total := sizes(w, "u/"); n != 0 || total != 0 {
		t.Errorf("%d bytes of claims that were given back", total)
	}
	if n, total := sizes(w, "c/"); n != 0 || total != 0 {
		t.Errorf("%d bytes of counters that were given back", total)
	}
}

// sizes returns the largest and the total size of the values under a prefix.
func sizes(w *world, prefix string) (largest, total int) {
	w.Helper()
	err := w.of(workflow.Contract).Scan([]byte(prefix), nil, func(_, value []byte) bool {
		largest, total = max(largest, len(value)), total+len(value)
		return true
	})
	if err != nil {
		w.Fatal(err)
	}
	return largest, total
}

// Whatever a client sends, the answer is a code of the contract.
func TestGarbageIsRefused(t *testing.T) {
	w := prescribing(t)
	id, _ := w.issue(physician, patient, nil)
	for _, method := range []string{workflow.MethodDefine, workflow.MethodEndorse, workflow.MethodWithdraw, workflow.MethodStart, workflow.MethodStep, workflow.MethodTick, "cancel"} {
		for _, signer := range []string{"north", string(physician), "nobody"} {
			for _, args := range [][]byte{nil, {0x80}, {0xf6}, {0xff}, {0x81, 0x40}, {0x86, 0x61}} {
				if code := w.do(signer, method, args); !strings.HasPrefix(string(code), "workflow/") {
					t.Errorf("%s by %s with %x: %q", method, signer, args, code)
				}
			}
		}
	}
	w.want(w.do(string(pharmacist), workflow.MethodStep, workflow.StepArgs{ID: id, After: 1, Transition: strings.Repeat("x", 40_000)}), workflow.ErrTransition)
	w.want(w.do(string(pharmacist), workflow.MethodTick, workflow.TickArgs{ID: "w-"}), workflow.ErrUnknown)
	w.want(w.do(string(physician), workflow.MethodStart, workflow.StartArgs{ID: w.id(), Definition: strings.Repeat("x", 40_000), Owner: patient}), workflow.ErrUnknown)
}
