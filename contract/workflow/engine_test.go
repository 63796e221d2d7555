package workflow_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
)

const odd = `workflow: ward/v1
name: odd
version: 1
roles:
  same: {org: owner}
  neighbour: {org: south}
  keeper: {is: holder, attributes: [role=pharmacy]}
  of-holder: {org: holder, attributes: [role]}
fields:
  key: {type: code}
  who: {type: identity}
  n: {type: int}
  at: {type: time}
  many: {type: bool, many: true}
variables:
  code: {type: code}
  who: {type: identity}
  yes: {type: bool}
  n: {type: int, initial: 7}
  at: {type: time}
counters:
  each: {scope: instance, limit: 3}
  house: {scope: org, window: 1d, limit: 3}
  all: {scope: consortium, limit: 5}
uniques:
  mine: {scope: owner}
  house_key: {scope: org}
  own: {scope: instance}
  any: {}
states:
  open: {timers: [{at: vars.at, take: early}, {after: 2d, take: late}]}
  next: {timers: [{after: 1d, take: late}]}
  done: {final: true}
transitions:
  begin: {from: [start], to: open, by: [anyone], fields: {at: optional}, set: {at: fields.at}, event: begun}
  count: {from: [open], to: open, by: [anyone], fields: {key: optional}, count: {each: {key: fields.key, add: "1"}, house: {add: "1"}, all: {add: counts.each}}}
  take: {from: [open], to: open, by: [anyone], fields: {key: required}, claim: {mine: fields.key, house_key: fields.key, own: fields.key, any: "vars.yes ? fields.key : ''"}}
  give: {from: [open], to: open, by: [anyone], undo: [mine, house_key, own, any, each, house, all]}
  local: {from: [open], to: open, by: [same]}
  south: {from: [open], to: open, by: [neighbour]}
  hold: {from: [open], to: open, by: [anyone], fields: {who: optional}, holder: fields.who}
  kept: {from: [open], to: open, by: [keeper]}
  near: {from: [open], to: open, by: [of-holder]}
  set:
    from: [open]
    to: open
    by: [anyone]
    fields: {key: optional, who: optional, n: optional, at: optional, many: optional}
    set: {code: fields.key, who: fields.who, n: fields.n * 3, yes: "given.n && size(fields.many) == 0 || true in fields.many", at: "given.at ? fields.at : vars.at"}
  swap: {from: [open], to: open, by: [anyone], set: {code: "actor_org + ':' + state + '/'"}}
  early: {from: [open], to: next, by: [timer], set: {n: 1 / (vars.n - vars.n), yes: "true"}, holder: starter}
  late: {from: [open, next], to: done, by: [timer, anyone], holder: nobody}
`

func oddly(t testing.TB) (*world, workflow.ID) {
	w := newWorld(t)
	w.enact([]byte(odd))
	id, code := w.begin(physician, "odd", patient, "begin", nil)
	w.want(code, "")
	return w, id
}

func TestCounterCountsWithinItsScope(t *testing.T) {
	w, id := oddly(t)
	w.want(w.take(physician, id, "count", nil), "")
	w.want(w.take(physician, id, "count", nil), "")
	w.want(w.take(physician, id, "count", fields{"key": workflow.Text("k")}), "")
	w.want(w.take(pharmacist, id, "count", nil), workflow.ErrLimit) // north has counted three
	w.want(w.take(colleague, id, "count", nil), "")                 // the third of the instance
	w.want(w.take(colleague, id, "count", nil), workflow.ErrLimit)
	second, _ := w.begin(physician, "odd", other, "begin", nil)
	w.want(w.take(colleague, second, "count", nil), "")
	w.want(w.take(colleague, second, "count", nil), "")
	w.wait(24 * time.Hour)
	w.want(w.take(physician, second, "count", nil), workflow.ErrLimit) // a span counts until all of it is out of the window
	w.wait(time.Hour)
	for _, c := range []struct {
		counter, of, key string
		want             int64
	}{{"each", string(id), "", 3}, {"each", string(id), "k", 1}, {"house", "north", "", 0}, {"all", "", "", 4}, {"all", "", "x", 0}, {"each", "a\x00b", "", 0}, {"none", "", "", 0}} {
		got, err := workflow.Counted(w.of(workflow.Contract), "odd", c.counter, c.of, c.key, w.now())
		if err != nil || got.Sum != c.want {
			t.Errorf("%s of %q for %q: %+v, want %d, %v", c.counter, c.of, c.key, got, c.want, err)
		}
	}
}

func TestClaimIsWithinItsScopeAndCanBeGivenBack(t *testing.T) {
	w, id := oddly(t)
	k := fields{"key": workflow.Text("k")}
	w.want(w.take(physician, id, "take", k), "")
	w.want(w.take(colleague, id, "take", k), workflow.ErrClaimed) // of the owner
	second, _ := w.begin(physician, "odd", other, "begin", nil)
	w.want(w.take(physician, second, "take", k), workflow.ErrClaimed) // of north
	w.want(w.take(colleague, second, "take", k), "")
	w.want(w.take(physician, id, "give", nil), "")
	if c := w.instance(id).Claims; len(c) != 0 {
		t.Errorf("%v", c)
	}
	w.want(w.take(pharmacist, id, "take", k), "")
	third, _ := w.begin(colleague, "odd", other, "begin", nil)
	w.want(w.take(pharmacy, third, "set", fields{"n": workflow.Int(1)}), "")
	w.want(w.take(pharmacy, third, "take", fields{"key": workflow.Text("x")}), "")
	fourth, _ := w.begin(colleague, "odd", patient, "begin", nil)
	w.want(w.take(rival, fourth, "set", fields{"n": workflow.Int(1)}), "")
	w.want(w.take(rival, fourth, "take", fields{"key": workflow.Text("x")}), workflow.ErrClaimed) // of the consortium
}

func TestRoleIsAllThatItLists(t *testing.T) {
	w, id := oddly(t)
	w.want(w.take(physician, id, "local", nil), "")
	w.want(w.take(colleague, id, "local", nil), workflow.ErrParty)
	w.want(w.take(colleague, id, "south", nil), "")
	w.want(w.take(physician, id, "south", nil), workflow.ErrParty)
	w.want(w.take(pharmacy, id, "kept", nil), workflow.ErrHolder)
	w.want(w.take(courier, id, "kept", nil), workflow.ErrParty)
	w.want(w.take(physician, id, "near", nil), workflow.ErrParty) // nobody holds it
	w.want(w.take(physician, id, "hold", fields{"who": workflow.Text(string(pharmacy))}), "")
	w.want(w.take(pharmacy, id, "kept", nil), "")
	w.want(w.take(rival, id, "kept", nil), workflow.ErrHolder)
	w.want(w.take(courier, id, "near", nil), "")
	w.want(w.take(rival, id, "near", nil), workflow.ErrParty)
	w.want(w.take(physician, id, "hold", nil), "")
	w.at(id, "open", "")
}

func TestVariablesAreSetTogether(t *testing.T) {
	w, id := oddly(t)
	w.want(w.take(physician, id, "set", fields{"key": workflow.Text("a:b"), "who": workflow.Text(string(patient)), "n": workflow.Int(4), "many": workflow.Int(0, 1)}), "")
	get := func(name string) string {
		v, _ := workflow.Get(w.instance(id).Variables, name)
		return fmt.Sprint(v.Ints, v.Texts)
	}
	if got := get("code") + get("who") + get("n") + get("yes"); got != "[] [a:b][] [p-7f3a@north][12] [][1] []" {
		t.Error(got)
	}
	w.want(w.take(physician, id, "set", fields{"n": workflow.Int(1 << 52)}), workflow.ErrRule) // three times that is no number
	w.want(w.take(physician, id, "set", fields{"many": workflow.Int(0)}), "")
	if got := get("code") + get("who") + get("n") + get("yes"); got != "[] [][] [][0] [][0] []" {
		t.Error(got)
	}
	w.want(w.take(physician, id, "swap", nil), "")
	if got := get("code"); got != "[] [north:open/]" {
		t.Error(got)
	}
}

func TestTimerThatIsDueFirstIsTaken(t *testing.T) {
	w := newWorld(t)
	w.enact([]byte(odd))
	start := w.now()
	id, code := w.begin(physician, "odd", patient, "begin", fields{"at": workflow.Int(start + time.Hour.Milliseconds())})
	w.want(code, "")
	if d := w.instance(id).Due; d.At != start+time.Hour.Milliseconds() || d.Take != "early" || d.To != "next" {
		t.Errorf("%+v", d)
	}
	w.wait(time.Hour - time.Millisecond)
	w.want(w.do(string(patient), workflow.MethodTick, workflow.TickArgs{ID: id}), workflow.ErrEarly)
	w.wait(time.Millisecond)
	if i := w.instance(id); !i.Overdue(w.now()) {
		t.Error("not due")
	}
	w.want(w.do(string(patient), workflow.MethodTick, workflow.TickArgs{ID: id}), "")
	i := w.instance(id)
	if i.State != "next" || i.Holder != physician || i.Due.At != start+25*time.Hour.Milliseconds() || w.number(id, "n") != 7 || w.number(id, "yes") != 1 {
		t.Errorf("%+v", i)
	}
	// Years later both timers of another instance are due; it ends when the second was.
	second, _ := w.begin(physician, "odd", patient, "begin", fields{"at": workflow.Int(w.now() + time.Hour.Milliseconds())})
	begun := w.now()
	w.wait(1000 * 24 * time.Hour)
	w.want(w.take(physician, second, "count", nil), workflow.ErrExpired)
	w.want(w.do(string(patient), workflow.MethodTick, workflow.TickArgs{ID: second}), "")
	if i := w.instance(second); i.State != "done" || i.Entered != begun+25*time.Hour.Milliseconds() || i.Changed != w.now() || i.Steps != 3 {
		t.Errorf("%+v", i)
	}
	past, code := w.begin(physician, "odd", patient, "begin", fields{"at": workflow.Int(1)})
	w.want(code, "")
	w.want(w.take(physician, past, "count", nil), workflow.ErrExpired)
}

func TestGuardianStepsForTheOwner(t *testing.T) {
	w := prescribing(t)
	id := w.approved(patient, nil)
	w.want(w.take(guardian, id, "offer", nil), workflow.ErrParty)
	w.must(w.c.Run(w.c.Tx(string(patient), identity.Contract, identity.MethodGuardian, identity.GuardianArgs{Name: patient, Guardian: guardian, Kind: identity.Delegate, Until: w.now() + 1000}))[0])
	w.want(w.take(guardian, id, "offer", nil), "")
	w.wait(time.Minute)
	w.want(w.take(guardian, id, "transfer", nil), workflow.ErrParty)
}

func TestEventSaysNothingOfWhatWasEntered(t *testing.T) {
	w := prescribing(t)
	id := w.claimed(patient, nil)
	args := workflow.StepArgs{ID: id, After: w.instance(id).Steps, Transition: "dispense", Fields: fields{"substituted": workflow.Text("shortage"), "packs": workflow.Text("81000001")}.list()}
	r := w.c.Run(w.c.Tx(string(pharmacy), workflow.Contract, workflow.MethodStep, args))[0]
	w.must(r)
	if len(r.Events) != 1 || r.Events[0].Kind != workflow.EventStep || bytes.Contains(r.Events[0].Data, []byte("81000001")) || bytes.Contains(r.Events[0].Data, []byte("shortage")) {
		t.Errorf("%+v", r.Events)
	}
	var e workflow.StepEvent
	if err := chain.Unmarshal(r.Events[0].Data, &e); err != nil || e.Event != "dispensed" || e.Owner != patient || e.Step.By != pharmacy {
		t.Errorf("%+v, %v", e, err)
	}
	i := w.instance(id).Supervised()
	if i.State != "dispensed" || i.Owner != patient || len(i.Variables)+len(i.Documents)+len(i.Charges)+len(i.Claims) != 0 || len(w.instance(id).Variables) == 0 {
		t.Errorf("%+v", i)
	}
	if err := workflow.EachStep(w.of(workflow.Contract), id, 0, func(s *workflow.Step) bool {
		if s := s.Supervised(); len(s.Fields)+len(s.Documents) != 0 || s.By == "" {
			t.Errorf("%+v", s)
		}
		return true
	}); err != nil {
		t.Error(err)
	}
}

func TestListingsComeInPartsAndCountsAddUp(t *testing.T) {
	w := newWorld(t)
	w.enact(small("errand", 1, ""))
	const n = 300
	for k := range n {
		owner := []identity.Name{patient, other}[k%2]
		id, code := w.begin([]identity.Name{physician, colleague}[k%2], "errand", owner, "begin", nil)
		w.want(code, "")
		if k%3 == 0 {
			w.want(w.take(owner, id, "end", nil), "")
		}
		if k == n/2 {
			w.wait(24 * time.Hour)
		}
	}
	r := w.of(workflow.Contract)
	for _, c := range []struct {
		s    workflow.Selection
		want int
	}{
		{workflow.Selection{Definition: "errand"}, n}, {workflow.Selection{Definition: "errand", State: "done"}, n / 3}, {workflow.Selection{Owner: patient}, n / 2},
		{workflow.Selection{Participant: physician}, n / 2}, {workflow.Selection{Participant: patient}, n / 6}, {workflow.Selection{Holder: patient}, 0},
		{workflow.Selection{}, 0}, {workflow.Selection{Owner: patient, Definition: "errand"}, 0}, {workflow.Selection{Owner: patient, State: "done"}, 0}, {workflow.Selection{Definition: "a\x00b"}, 0},
	} {
		got, after := 0, uint64(0)
		for {
			part := 0
			if err := workflow.Each(r, c.s, after, func(i *workflow.Instance) bool {
				if i.Index <= after {
					t.Fatal("out of order")
				}
				after = i.Index
				part++
				return part < 140
			}); err != nil {
				t.Fatal(err)
			}
			if got += part; part < 140 {
				break
			}
		}
		if got != c.want {
			t.Errorf("%+v: %d, want %d", c.s, got, c.want)
		}
	}
	list, err := workflow.Counts(r, "errand", "south")
	if err != nil || fmt.Sprint(list) != "[{{} south done 50} {{} south open 100}]" {
		t.Errorf("%v, %v", list, err)
	}
	today := w.now() - w.now()%day.Milliseconds()
	steps := uint64(0)
	if err := workflow.Flows(r, "errand", today, today, func(f *workflow.Flow) bool {
		if f.Day != today {
			t.Errorf("%+v", f)
		}
		steps += f.Count
		return true
	}); err != nil || steps != 149+49 {
		t.Errorf("%d steps today, %v", steps, err)
	}
	i := new(workflow.Instance)
	if err := workflow.Each(r, workflow.Selection{Owner: patient}, 0, func(o *workflow.Instance) bool { i = o; return false }); err != nil {
		t.Fatal(err)
	}
	for who, want := range map[identity.Name]bool{physician: true, colleague: false, patient: true} {
		if got, err := i.Participated(r, who); got != want || err != nil {
			t.Errorf("%s: %v, %v", who, got, err)
		}
	}
}

func TestRehearsalIsAsTheChain(t *testing.T) {
	def := prescribing(t).enacted(t)
	r := def.Rehearse(cast, time.UnixMilli(1_760_000_000_000))
	names := func(who identity.Name, id workflow.ID) (out []string) {
		for _, t := range r.Open(who, id) {
			out = append(out, t.Name)
		}
		return out
	}
	if got := names(physician, ""); fmt.Sprint(got) != "[issue]" {
		t.Error(got)
	}
	f := fields{"quantity": workflow.Int(1), "repeats": workflow.Int(0), "schedule": workflow.Text("none"), "days": workflow.Int(1), "substitution": workflow.Text("allowed")}.list()
	if _, err := r.Start(patient, patient, "issue", f); err != workflow.ErrParty {
		t.Error(err)
	}
	if _, err := r.Start("x@north", patient, "issue", f); err != workflow.ErrDenied {
		t.Error(err)
	}
	if _, err := r.Start(physician, "x@north", "issue", f); err != workflow.ErrOwner {
		t.Error(err)
	}
	if _, err := r.Start(physician, patient, "issue", f); err != workflow.ErrDocument {
		t.Error(err)
	}
	id, err := r.Start(physician, patient, "issue", f, workflow.Document{Name: "prescription", Record: "r-aaaaaaaaaaaaaaaaaaaaaaaaaa"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(names(patient, id), names(pharmacist, id), names(pharmacy, id)); got != "[cancel] [review] []" {
		t.Error(got)
	}
	r.Wait(25 * time.Hour)
	if got := fmt.Sprint(names(patient, id)); got != "[]" {
		t.Error(got)
	}
	if err := r.Step(patient, id, "cancel", nil); err != workflow.ErrExpired {
		t.Error(err)
	}
	if err := r.Tick(id); err != nil || r.Instance(id).State != "expired" || len(r.Steps(id)) != 2 {
		t.Errorf("%v, %+v", err, r.Instance(id))
	}
	if err := r.Tick(id); err != workflow.ErrEarly {
		t.Error(err)
	}
	if err := r.Step(patient, "w-", "cancel", nil); err != workflow.ErrUnknown {
		t.Error(err)
	}
}

func (w *world) enacted(t *testing.T) *workflow.Definition {
	p, err := workflow.Newest(w.of(workflow.Contract), "prescription")
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.Text(w.of(workflow.Contract))
	if err != nil {
		t.Fatal(err)
	}
	def, err := workflow.Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return def
}

// Titles come from whoever wrote the definition: they must not become markup.
func TestTitlesDoNotBecomeMarkup(t *testing.T) {
	yaml := strings.NewReplacer("open: {}", `open: {title: "</text><script>alert(1)</script>\" x"}`, "{from: [start]", `{title: "a]]>; click s0 b", from: [start]`).Replace(string(small("x", 1, "")))
	def, err := workflow.Compile([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	if svg := string(def.SVG("en")); strings.Contains(svg, "<script") || !strings.Contains(svg, "&lt;script&gt;") {
		t.Error(svg)
	}
	if m := def.Mermaid("en"); !strings.Contains(m, "#60;script#62;") || !strings.Contains(m, "a#93;#93;#62;#59; click") || strings.Contains(m, "<") {
		t.Error(m)
	}
}
