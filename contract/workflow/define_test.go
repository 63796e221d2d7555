package workflow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
)

// small returns a definition with something in it.
func small(name string, version int, more string) []byte {
	return fmt.Appendf(nil, `workflow: ward/v1
name: %s
version: %d
%s
states:
  open: {}
  done: {final: true}
transitions:
  begin: {from: [start], to: open, by: [anyone]}
  end: {from: [open], to: done, by: [owner]}
`, name, version, more)
}

func versionOf(t *testing.T, yaml []byte) workflow.VersionArgs {
	t.Helper()
	d, err := workflow.Compile(yaml)
	if err != nil {
		t.Fatal(err)
	}
	return workflow.VersionArgs{Definition: d.Name, Version: d.Version, Hash: d.Hash()}
}

func TestVersionIsInForceWhenAQuorumEndorsedIt(t *testing.T) {
	w := newWorld(t)
	yaml := small("errand", 1, "")
	v := versionOf(t, yaml)
	w.want(w.do(string(physician), workflow.MethodDefine, workflow.DefineArgs{YAML: yaml}), workflow.ErrDenied)
	w.want(w.do("north", workflow.MethodEndorse, v), workflow.ErrUnknown)
	w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: yaml}), "")
	w.want(w.do("south", workflow.MethodDefine, workflow.DefineArgs{YAML: yaml}), workflow.ErrTaken)
	w.want(w.do("north", workflow.MethodEndorse, v), "") // twice is once
	w.want(w.do("south", workflow.MethodEndorse, v), "")
	if _, code := w.begin(physician, "errand", patient, "begin", nil); code != workflow.ErrUnknown {
		t.Errorf("an instance of what is not in force: %q", code)
	}
	w.want(w.do(string(physician), workflow.MethodEndorse, v), workflow.ErrDenied)
	w.want(w.do("east", workflow.MethodEndorse, v), "")
	p, err := workflow.InForce(w.of(workflow.Contract), "errand", 1)
	if err != nil || strings.Join(p.Endorsed, " ") != "east north south" || p.InForce != w.now() {
		t.Errorf("%+v, %v", p, err)
	}
	if text, err := p.Text(w.of(workflow.Contract)); err != nil || string(text) != string(yaml) {
		t.Errorf("text is %q, %v", text, err)
	}
	w.want(w.do("west", workflow.MethodEndorse, v), workflow.ErrUnknown)
	w.want(w.do("west", workflow.MethodDefine, workflow.DefineArgs{YAML: yaml}), workflow.ErrVersion)
}

func TestRunningInstanceKeepsItsVersion(t *testing.T) {
	w := newWorld(t)
	w.enact(small("errand", 1, ""))
	old, code := w.begin(physician, "errand", patient, "begin", nil)
	w.want(code, "")
	next := strings.Replace(string(small("errand", 2, "")), "by: [owner]", "by: [starter]", 1)
	w.enact([]byte(next))
	now, code := w.begin(physician, "errand", patient, "begin", nil)
	w.want(code, "")
	w.want(w.take(patient, now, "end", nil), workflow.ErrParty)
	w.want(w.take(patient, old, "end", nil), "")
	w.want(w.take(physician, now, "end", nil), "")
	id := w.id()
	w.want(w.do(string(physician), workflow.MethodStart, workflow.StartArgs{ID: id, Definition: "errand", Version: 1, Owner: patient, Transition: "begin"}), workflow.ErrVersion)
}

func TestClosedDefinitionStartsNothing(t *testing.T) {
	w := newWorld(t)
	w.enact(small("errand", 1, ""))
	id, _ := w.begin(physician, "errand", patient, "begin", nil)
	w.enact(small("errand", 2, "closed: true"))
	_, code := w.begin(physician, "errand", patient, "begin", nil)
	w.want(code, workflow.ErrClosed)
	w.want(w.take(patient, id, "end", nil), "")
}

func TestCompetingProposalsForOneVersion(t *testing.T) {
	w := newWorld(t)
	one, two := small("errand", 1, "title: one"), small("errand", 1, "title: two")
	w.want(w.do("south", workflow.MethodDefine, workflow.DefineArgs{YAML: two}), "")
	w.want(w.do("east", workflow.MethodEndorse, versionOf(t, two)), "")
	w.enact(one)
	w.want(w.do("east", workflow.MethodEndorse, versionOf(t, two)), workflow.ErrVersion)
	w.want(w.do("west", workflow.MethodEndorse, versionOf(t, two)), workflow.ErrVersion)
	w.want(w.do("west", workflow.MethodWithdraw, versionOf(t, two)), workflow.ErrDenied)
	w.want(w.do("south", workflow.MethodWithdraw, versionOf(t, two)), "")
	w.want(w.do("south", workflow.MethodWithdraw, versionOf(t, two)), workflow.ErrUnknown)
}

// A member cannot fill the state with proposals that nobody wants.
func TestMemberHasFewProposals(t *testing.T) {
	w := newWorld(t)
	for n := range workflow.MaxProposals {
		w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: small(fmt.Sprint("p", n), 1, "")}), "")
	}
	w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: small("more", 1, "")}), workflow.ErrProposals)
	w.want(w.do("south", workflow.MethodDefine, workflow.DefineArgs{YAML: small("more", 1, "")}), "")
	w.want(w.do("north", workflow.MethodWithdraw, versionOf(t, small("p0", 1, ""))), "")
	w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: small("again", 1, "")}), "")
}

// A later version cannot make a limit mean something else, or give claims back.
func TestCountersAndClaimsAreKeptAcrossVersions(t *testing.T) {
	w := newWorld(t)
	w.enact(small("errand", 1, "counters: {dose: {scope: owner, window: 7d, limit: 3}}\nuniques: {pack: {}}"))
	for name, more := range map[string]string{
		"window":  "counters: {dose: {scope: owner, window: 1d, limit: 3}}",
		"forever": "counters: {dose: {scope: owner, limit: 3}}",
		"scope":   "counters: {dose: {scope: org, window: 7d, limit: 3}}",
		"scale":   "counters: {dose: {scope: owner, window: 7d, limit: 3, scale: 2}}",
		"unique":  "uniques: {dose: {}}",
		"claims":  "uniques: {pack: {scope: org}}",
	} {
		if code := w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: small("errand", 2, more)}); code != workflow.ErrConflict {
			t.Errorf("%s: %q", name, code)
		}
	}
	w.enact(small("errand", 2, "counters: {dose: {scope: owner, window: 7d, limit: 9}}"))
	w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: small("errand", 3, "uniques: {pack: {scope: org}}")}), workflow.ErrConflict)
	w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: small("errand", 4, "")}), workflow.ErrVersion)
}

func TestDefinitionOnTheChainCompiles(t *testing.T) {
	w := newWorld(t)
	w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: []byte("name: x")}), workflow.ErrDefinition)
	w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{}), workflow.ErrMalformed)
	w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: make([]byte, workflow.MaxDefinition+1)}), workflow.ErrMalformed)
}

// Every mistake is reported where it is.
func TestErrorsPointAtTheLine(t *testing.T) {
	const base = `workflow: ward/v1
name: errand
version: 1
roles:
  nurse: {attributes: [role=nurse]}
fields:
  count: {type: int, max: 9}
  who: {type: identity}
variables:
  left: {type: int}
documents:
  note: {type: clinical/note}
counters:
  doses: {limit: 3, window: 1d}
uniques:
  pack: {}
states:
  open: {timers: [{after: 1d, take: lapse}]}
  done: {final: true}
transitions:
  begin:
    from: [start]
    to: open
    by: [nurse]
    fields: {count: required}
    rules: {enough: fields.count > 1}
    set: {left: fields.count}
  end: {from: [open], to: done, by: [owner], fields: {who: required}}
  lapse: {from: [open], to: done, by: [timer]}
`
	if _, err := workflow.Compile([]byte(base)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		old, with string
		line, col int
		reason    string
	}{
		{"ward/v1", "ward/v2", 1, 11, "is not ward/v1"},
		{"name: errand", "name: Errand", 2, 7, "is no name"},
		{"version: 1", "version: 0", 3, 10, "is no number"},
		{"version: 1", "version: 01", 3, 10, "is no number"},
		{"version: 1", "version: 1\nversion: 2", 4, 1, "twice"},
		{"version: 1", "versions: 1", 3, 1, "unknown key"},
		{"role=nurse", "Role=nurse", 5, 24, "no attribute"},
		{"role=nurse", "role=", 5, 24, "no attribute"},
		{"nurse: {attributes: [role=nurse]}", "nurse: {}", 5, 10, "asks for something"},
		{"nurse: {attributes", "owner: {attributes", 5, 3, "not a role"},
		{"type: int, max", "type: float, max", 7, 17, "none of the types"},
		{"max: 9", "max: -1", 7, 27, "is no number"},
		{"max: 9", "scale: 2", 7, 29, "only decimals"},
		{"type: identity", "type: identity, max: 3", 8, 30, "have bounds"},
		{"type: identity", "type: identity, role: king", 8, 31, "no role"},
		{"type: identity", "type: identity, values: [a]", 8, 34, "only codes"},
		{"left: {type: int}", "left: {type: int, initial: x}", 10, 30, "is no value"},
		{"clinical/note", "Clinical", 12, 16, "no type of records"},
		{"window: 1d", "window: 1y", 14, 29, "no duration"},
		{"window: 1d", "window: 99999d", 14, 29, "no duration"},
		{"limit: 3", "limit: -3", 14, 18, "is no number"},
		{"pack: {}", "doses: {}", 16, 3, "is a counter"},
		{"take: lapse", "take: end", 18, 19, "not by timer"},
		{"take: lapse", "take: begin", 18, 19, "does not lead from here"},
		{"take: lapse", "take: fly", 18, 19, "no transition"},
		{"after: 1d", "after: 1d, at: now", 18, 19, "after a duration or at a time"},
		{"after: 1d", "at: later", 18, 24, "undeclared reference"},
		{"final: true", "final: yes", 19, 17, "none of"},
		{"  done:", "  start: {}\n  done:", 19, 3, "before the first state"},
		{"to: open", "to: shut", 23, 9, "no state"},
		{"by: [nurse]", "by: [king]", 24, 10, "no role"},
		{"by: [nurse]", "by: [holder]", 24, 10, "before the start"},
		{"by: [nurse]", "by: []", 24, 9, "nobody may"},
		{"{count: required}", "{number: required}", 25, 14, "no field"},
		{"{count: required}", "{count: perhaps}", 25, 21, "none of"},
		{"fields.count > 1", "fields.count + 1", 26, 21, "type int"},
		{"fields.count > 1", "fields.number > 1", 26, 21, "undeclared reference"},
		{"fields.count > 1", "fields.count >", 26, 35, "Syntax error"},
		{"fields.count > 1", "actor > 1", 26, 27, "no matching overload"},
		{"left: fields.count", "right: fields.count", 27, 11, "no variable"},
		{"left: fields.count", "left: actor", 27, 17, "type string"},
		{"from: [open], to: done, by: [owner]", "from: [done], to: done, by: [owner]", 28, 16, "is final"},
		{"by: [owner], fields", "by: [owner], holder: fields.count, fields", 28, 54, "nor a field"},
		{"by: [owner], fields", "by: [owner], undo: [x], fields", 28, 53, "neither a counter"},
		{"by: [owner], fields", "by: [owner], documents: {note: {grant: required}}, fields", 28, 64, "is to someone"},
		{"by: [owner], fields", "by: [owner], documents: {note: {}}, fields", 28, 64, "asks for nothing"},
		{"by: [owner], fields", "by: [owner], event: BIG, fields", 28, 53, "no name of an event"},
		{"by: [timer]}", "by: [timer], rules: {a: 'true'}}", 29, 10, "a timer takes has no rules"},
		{"by: [timer]}", "by: [timer], holder: actor}", 29, 10, "a timer cannot"},
		{"  done:", "  gone: {}\n  done:", 19, 3, "cannot be reached"},
		{"lapse: {from: [open], to: done", "lapse: {from: [open], to: open", 18, 3, "timers alone lead"},
	} {
		_, err := workflow.Compile([]byte(strings.Replace(base, c.old, c.with, 1)))
		if !slices.ContainsFunc(mistakes(err), func(d *workflow.DefinitionError) bool {
			return d.Line == c.line && d.Column == c.col && strings.Contains(d.Reason, c.reason)
		}) {
			t.Errorf("%q: %v, want line %d, column %d: %s", c.with, err, c.line, c.col, c.reason)
		}
	}
	dead := strings.NewReplacer("  end: {from: [open], to: done, by: [owner], fields: {who: required}}\n", "", "take: lapse", "take: lapse", "to: done, by: [timer]", "to: open, by: [timer]").Replace(base)
	if _, err := workflow.Compile([]byte(dead)); err == nil || !strings.Contains(err.Error(), "no final state can be reached") {
		t.Errorf("a dead end: %v", err)
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	_, err := workflow.Compile([]byte("workflow: ward/v1\nname: A\nversion: x\nstates: {}\ntransitions: []\n"))
	if list := mistakes(err); len(list) != 3 || list[0].Line != 2 || list[1].Line != 3 || list[2].Line != 5 {
		t.Errorf("%v", err)
	}
}

// mistakes returns what Compile found.
func mistakes(err error) (out []*workflow.DefinitionError) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, e := range joined.Unwrap() {
		var d *workflow.DefinitionError
		if errors.As(e, &d) {
			out = append(out, d)
		}
	}
	return out
}

func ExampleCompile() {
	_, err := workflow.Compile([]byte("workflow: ward/v1\nname: errand\nversion: 1\nstates:\n  open: {final: true}\ntransitions:\n  begin: {from: [start], to: shut, by: [anyone]}\n"))
	var d *workflow.DefinitionError
	if errors.As(err, &d) {
		fmt.Println(d.Line, d.Column)
	}
	fmt.Println(err)
	// Output:
	// 7 30
	// line 7, column 30: there is no state "shut"
}

// The word of a member that has left counts no more.
func TestEndorsementOfAMemberThatLeftDoesNotCount(t *testing.T) {
	w := newWorld(t)
	yaml := small("errand", 1, "")
	w.want(w.do("west", workflow.MethodDefine, workflow.DefineArgs{YAML: yaml}), "")
	founding, err := w.c.Founding.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next := *w.c.Consortium
	next.Epoch, next.Founding, next.CheckpointThreshold = next.Epoch+1, founding, 2
	next.KeyThreshold = min(next.KeyThreshold, 2)
	next.Members = slices.DeleteFunc(slices.Clone(next.Members), func(m chain.Member) bool { return m.Name == "west" })
	var consents []chain.Endorsement
	for _, m := range next.Members {
		consents = append(consents, ledgertest.Endorsement(t, &next, m.Name, m.Name))
	}
	args, err := chain.NextConsortium(&next, consents)
	if err != nil {
		t.Fatal(err)
	}
	w.must(w.c.Run(w.c.Tx("north", chain.SystemContract, chain.ConsortiumMethod, args))[0])
	w.want(w.do("south", workflow.MethodEndorse, versionOf(t, yaml)), "")
	if w.version("errand") != 0 {
		t.Error("in force by the word of one member")
	}
	w.want(w.do("west", workflow.MethodEndorse, versionOf(t, yaml)), workflow.ErrDenied)
	w.want(w.do("east", workflow.MethodEndorse, versionOf(t, yaml)), "")
	if w.version("errand") != 1 {
		t.Error("not in force by the word of two")
	}
}

// inARow returns a definition in which n timers follow each other, with names as
// long as they can be.
func inARow(n int) []byte {
	long := func(s string, i int) string { return fmt.Sprintf("%s%s-%02d", s, strings.Repeat("x", 29-len(s)), i) }
	var states, transitions strings.Builder
	for i := range n {
		fmt.Fprintf(&states, " %s: {timers: [{after: 1d, take: %s}]}\n", long("s", i), long("t", i))
		fmt.Fprintf(&transitions, " %s: {from: [%s], to: %s, by: [timer], event: %s}\n", long("t", i), long("s", i), long("s", i+1), long("e", i))
	}
	return fmt.Appendf(nil, "workflow: ward/v1\nname: %s\nversion: 1\nstates:\n%s %s: {final: true}\ntransitions:\n begin: {from: [start], to: %s, by: [anyone], holder: owner}\n%s",
		long("d", 0), states.String(), long("s", n), long("s", 0), transitions.String())
}

// An instance that nobody looked at for long can still be moved: what one
// transaction says has a limit.
func TestManyTimersDoNotStallAnInstance(t *testing.T) {
	if _, err := workflow.Compile(inARow(17)); err == nil || !strings.Contains(err.Error(), "more than 16 timers") {
		t.Errorf("17 timers in a row: %v", err)
	}
	w := newWorld(t)
	owner := identity.Name(strings.Repeat("p", 48) + "@north")
	w.register(owner, "")
	def := w.enact(inARow(16))
	id, code := w.begin(physician, def.Name, owner, "begin", nil)
	w.want(code, "")
	w.wait(100 * day)
	w.want(w.do(string(physician), workflow.MethodTick, workflow.TickArgs{ID: id}), "")
	if i := w.instance(id); !def.State(i.State).Final || i.Steps != 17 {
		t.Errorf("%+v", i)
	}
}
