package workflow_test

import (
	"flag"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
)

// A model is a prescription as the guide describes it, written down a second
// time, without definitions, expressions or timers that are taken late.
type model struct {
	state     string
	holder    identity.Name
	steps     uint32
	remaining int64
	handed    bool // something
	repeats   int64
	expires   int64
	review    int64 // when the reviewer loses it
}

var (
	live     = []string{"issued", "in-review", "returned", "approved", "offered", "claimed", "dispensed-partly"}
	froms    = map[string][]string{"review": {"issued"}, "release": {"in-review"}, "approve": {"in-review"}, "return": {"in-review"}, "reject": {"in-review"}, "offer": {"approved"}, "transfer": {"offered", "claimed", "dispensed-partly"}, "claim": {"offered"}, "decline": {"offered", "claimed", "dispensed-partly"}, "dispense-part": {"claimed", "dispensed-partly"}, "dispense": {"claimed", "dispensed-partly"}, "deliver": {"dispensed", "in-transit"}, "receive": {"dispensed", "in-transit"}, "repeat": {"delivered"}, "complete": {"delivered"}, "cancel": live[:5], "recall": {"dispensed"}, "take-back": {"dispensed"}, "expire": live}
	tos      = map[string]string{"review": "in-review", "release": "issued", "approve": "approved", "return": "returned", "reject": "rejected", "offer": "offered", "transfer": "offered", "claim": "claimed", "decline": "approved", "dispense-part": "dispensed-partly", "dispense": "dispensed", "deliver": "delivered", "receive": "delivered", "repeat": "approved", "complete": "completed", "cancel": "cancelled", "recall": "cancelled", "take-back": "cancelled", "expire": "expired"}
	pharmas  = []identity.Name{pharmacy, rival}
	actors   = []identity.Name{patient, other, physician, colleague, pharmacist, stranger, pharmacy, rival, courier, regulator}
	takeable = []string{"review", "release", "approve", "return", "reject", "offer", "transfer", "claim", "decline", "dispense-part", "dispense", "deliver", "receive", "repeat", "complete", "cancel", "recall", "take-back", "expire", "fly"}
)

// settle takes the timers.
func (m *model) settle(now int64) (n int) {
	if m.state == "in-review" && m.review <= now && m.review < m.expires {
		m.state, m.holder, m.steps, n = "issued", "", m.steps+1, n+1
	}
	switch {
	case slices.Contains(live, m.state) && m.expires <= now:
		m.state, m.holder, m.steps, n = "expired", "", m.steps+1, n+1
	case m.state == "delivered" && m.expires <= now:
		m.state, m.holder, m.steps, n = "completed", "", m.steps+1, n+1
	}
	return n
}

// may says who may take what.
func (m *model) may(t string, who identity.Name) chain.Code {
	holds := func(role ...identity.Name) chain.Code {
		switch {
		case !slices.Contains(role, who):
			return workflow.ErrParty
		case who != m.holder:
			return workflow.ErrHolder
		}
		return ""
	}
	is := func(names ...identity.Name) chain.Code {
		if !slices.Contains(names, who) {
			return workflow.ErrParty
		}
		return ""
	}
	switch t {
	case "review":
		return is(pharmacist)
	case "release", "approve", "return", "reject":
		return holds(pharmacist, stranger)
	case "offer", "transfer", "receive", "repeat":
		return is(patient)
	case "claim":
		return is(pharmas...)
	case "decline", "dispense-part", "dispense", "recall", "take-back":
		return holds(pharmas...)
	case "deliver":
		if who != m.holder {
			return workflow.ErrHolder
		}
		return ""
	case "complete", "cancel":
		return is(patient, physician)
	}
	return workflow.ErrParty
}

// take returns the code that the chain should give.
func (m *model) take(t string, who identity.Name, after uint32, quantity, now int64) chain.Code {
	before, seen := m.state, m.steps
	fired := m.settle(now)
	switch {
	case froms[t] == nil:
		return workflow.ErrTransition
	case !slices.Contains(froms[t], m.state):
		if fired > 0 && slices.Contains(froms[t], before) {
			return workflow.ErrExpired
		}
		return workflow.ErrState
	}
	if c := m.may(t, who); c != "" {
		return c
	}
	if after != seen {
		return workflow.ErrStale
	}
	switch t {
	case "claim":
		if m.holder != "" && m.holder != who {
			return "workflow/rule/wrong-pharmacy"
		}
	case "dispense-part":
		if quantity >= m.remaining {
			return "workflow/rule/too-much"
		}
		m.remaining, m.handed = m.remaining-quantity, true
	case "dispense":
		m.remaining = 0
	case "repeat":
		if m.repeats == 0 {
			return "workflow/rule/no-repeats"
		}
		m.repeats, m.remaining, m.handed = m.repeats-1, 10_000, true
	case "recall":
		if m.handed {
			return "workflow/rule/handed-out"
		}
	}
	switch t {
	case "review", "claim":
		m.holder = who
	case "return":
		m.holder = physician
	case "dispense-part", "dispense", "deliver", "receive":
	default:
		m.holder = ""
	}
	m.state, m.steps = tos[t], m.steps+1
	m.review = now + (2 * day).Milliseconds()
	return ""
}

// A twin is a second member: it runs every block of the chain again, with
// contracts that remember nothing of what they compiled.
type twin struct {
	*world
	state ledgertest.State
	head  *ledger.Head
}

func (w *world) twin() *twin {
	w.Helper()
	head, writes, err := ledger.Genesis(w.c.Founding)
	if err != nil {
		w.Fatal(err)
	}
	t := &twin{world: w, head: head}
	t.state.Apply(writes)
	return t
}

// follow runs the blocks that are new and compares what comes of them, the hash of
// the state included.
func (w *twin) follow() {
	w.Helper()
	x, err := ledger.NewExecutor(contracts())
	if err != nil {
		w.Fatal(err)
	}
	for _, b := range w.c.Blocks {
		if b.Header.Height <= w.head.Header.Height {
			continue
		}
		out, err := x.Replay(w.head, &w.state, b)
		if err != nil {
			w.Fatalf("two members disagree: %v", err)
		}
		w.state.Apply(out.Writes)
		w.head = out.Head
	}
}

// few halves what rapid runs in a short test, a fifth of 100.
func few(t *testing.T) {
	if !testing.Short() {
		return
	}
	f := flag.Lookup("rapid.checks")
	old := f.Value.String()
	if err := flag.Set("rapid.checks", "50"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", old) })
}

// Whoever does whatever in whatever order, the chain says what the model says,
// and members that remember nothing come to the same state as those that do.
func TestPrescriptionDoesWhatTheModelSays(t *testing.T) {
	few(t)
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		w := prescribing(outer).twin()
		models := make(map[workflow.ID]*model)
		var ids []workflow.ID
		for range 2 {
			id, code := w.issue(physician, patient, nil)
			if code != "" {
				t.Fatal(code)
			}
			ids = append(ids, id)
			models[id] = &model{state: "issued", steps: 1, remaining: 10_000, repeats: 1, expires: w.now() + (30 * day).Milliseconds()}
		}
		for range rapid.IntRange(5, 40).Draw(t, "length") {
			if rapid.IntRange(0, 5).Draw(t, "wait") == 0 {
				w.wait(time.Duration(rapid.SampledFrom([]int{1, 47, 48, 24 * 15, 24 * 29}).Draw(t, "hours")) * time.Hour)
			}
			id := rapid.SampledFrom(ids).Draw(t, "instance")
			m := models[id]
			who := rapid.SampledFrom(actors).Draw(t, "actor")
			name := rapid.SampledFrom(takeable).Draw(t, "transition")
			if rapid.IntRange(0, 3).Draw(t, "sensibly") > 0 {
				name, who = m.sensible(t)
			}
			after := w.instance(id).Steps
			if rapid.IntRange(0, 9).Draw(t, "stale") == 0 {
				after--
			}
			quantity := int64(rapid.SampledFrom([]int{1, 4_000, 10_000}).Draw(t, "quantity"))
			a := workflow.StepArgs{ID: id, After: after, Transition: name}
			a.Fields, a.Documents = w.entries(t, id, name, who, quantity)
			was := *m
			want := m.take(name, who, after, quantity, w.now())
			if want != "" {
				*m = was // what is refused leaves nothing, timers included
			}
			if got := w.do(string(who), workflow.MethodStep, a); got != want {
				t.Fatalf("%s by %s in %s: %q, want %q", name, who, was.state, got, want)
			}
			i := w.instance(id)
			if left := w.number(id, "remaining"); i.State != m.state || i.Holder != m.holder || i.Steps != m.steps || left != m.remaining {
				t.Fatalf("after %s: %s by %q, %d steps, %d left; want %+v", name, i.State, i.Holder, i.Steps, left, m)
			}
			w.consistent(t, ids)
		}
		w.follow()
	})
}

// sensible picks a transition that the state has, and somebody for it.
func (m *model) sensible(t *rapid.T) (string, identity.Name) {
	var list []string
	for _, name := range takeable {
		if slices.Contains(froms[name], m.state) && name != "expire" {
			list = append(list, name)
		}
	}
	if len(list) == 0 {
		return "cancel", patient
	}
	name := rapid.SampledFrom(list).Draw(t, "sensible")
	for _, who := range actors {
		if m.may(name, who) == "" {
			return name, who
		}
	}
	return name, patient
}

// entries are what a transition asks for.
func (w *twin) entries(t *rapid.T, id workflow.ID, name string, who identity.Name, quantity int64) ([]workflow.Field, []workflow.Document) {
	switch name {
	case "review":
		return nil, []workflow.Document{w.shown(id, who)}
	case "return", "reject", "cancel", "decline", "recall", "take-back":
		return fields{"reason": workflow.Text("other")}.list(), nil
	case "dispense-part":
		return fields{"quantity": workflow.Int(quantity), "substituted": workflow.Text("generic")}.list(), nil
	case "dispense":
		return fields{"substituted": workflow.Text("no")}.list(), nil
	}
	return nil, nil
}

// consistent checks that every listing has what the instances say.
func (w *twin) consistent(t *rapid.T, ids []workflow.ID) {
	r := w.of(workflow.Contract)
	counts := make(map[string]uint64)
	for _, id := range ids {
		i := w.instance(id)
		counts[i.State]++
		for _, s := range []workflow.Selection{{Owner: i.Owner}, {Holder: i.Holder}, {Participant: i.Starter}, {Definition: i.Definition}, {Definition: i.Definition, State: i.State}} {
			found := !s.Valid() // nobody holds it
			if err := workflow.Each(r, s, 0, func(o *workflow.Instance) bool {
				found = found || o.ID == id
				return true
			}); err != nil || !found {
				t.Fatalf("%+v does not list %s: %v", s, id, err)
			}
		}
		n := uint32(0)
		if err := workflow.EachStep(r, id, 0, func(s *workflow.Step) bool {
			n++
			return s.Number == n
		}); err != nil || n != i.Steps {
			t.Fatalf("%d steps of %d: %v", n, i.Steps, err)
		}
	}
	list, err := workflow.Counts(r, "prescription", "")
	if err != nil || len(list) != len(counts) {
		t.Fatalf("%v, %v: %v", list, counts, err)
	}
	for _, c := range list {
		if counts[c.State] != c.Count || c.Org != "north" {
			t.Fatalf("%v, %v", list, counts)
		}
	}
}

// A counter never lets more through in any window than its limit, and refuses
// nothing that would fit if everything counted one span longer.
func TestCounterNeverExceedsItsLimitInAnyWindow(t *testing.T) {
	def, err := workflow.Compile([]byte(`workflow: ward/v1
name: count
version: 1
fields: {n: {type: int, max: 20}}
counters: {c: {scope: owner, window: 7d, limit: 10}}
states: {a: {}, done: {final: true}}
transitions:
  begin: {from: [start], to: a, by: [anyone]}
  add: {from: [a], to: a, by: [anyone], fields: {n: required}, count: {c: {add: fields.n}}}
  undo: {from: [a], to: a, by: [anyone], undo: [c]}
  end: {from: [a], to: done, by: [anyone]}
`))
	if err != nil {
		t.Fatal(err)
	}
	const window, width = 7 * 24 * time.Hour, 6 * time.Hour
	type addition struct {
		at time.Time
		n  int64
		id workflow.ID
	}
	rapid.Check(t, func(t *rapid.T) {
		r := def.Rehearse([]workflow.Person{{Name: patient}}, time.UnixMilli(1_700_000_000_000))
		var ids []workflow.ID
		for range 3 {
			id, err := r.Start(patient, patient, "begin", nil)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		var let []addition
		sum := func(since time.Time) (n int64) {
			for _, a := range let {
				if a.at.After(since) {
					n += a.n
				}
			}
			return n
		}
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			r.Wait(time.Duration(rapid.Int64Range(0, int64(40*time.Hour)).Draw(t, "wait")).Truncate(time.Millisecond))
			id := rapid.SampledFrom(ids).Draw(t, "instance")
			if rapid.IntRange(0, 9).Draw(t, "undo") == 0 {
				if err := r.Step(patient, id, "undo", nil); err != nil {
					t.Fatal(err)
				}
				let = slices.DeleteFunc(let, func(a addition) bool { return a.id == id })
				continue
			}
			n := rapid.Int64Range(0, 11).Draw(t, "n")
			err := r.Step(patient, id, "add", fields{"n": workflow.Int(n)}.list())
			switch {
			case err == nil:
				let = append(let, addition{r.Now(), n, id})
				if got := sum(r.Now().Add(-window)); got > 10 {
					t.Fatalf("%d in one window", got)
				}
			case err != workflow.ErrLimit:
				t.Fatal(err)
			case sum(r.Now().Add(-window-width))+n <= 10:
				t.Fatalf("%d refused although it fits", n)
			}
		}
	})
}

// Blocks of several steps come out the same on a member that remembers nothing.
func TestMembersAgreeOnBlocksOfRaces(t *testing.T) {
	w := prescribing(t).twin()
	for n := range 4 {
		id := w.approved(patient, fields{"quantity": workflow.Int(int64(n + 1))})
		w.want(w.take(patient, id, "offer", nil), "")
		args := workflow.StepArgs{ID: id, After: w.instance(id).Steps, Transition: "claim"}
		w.c.Run(w.c.Tx(string(pharmacy), workflow.Contract, workflow.MethodStep, args), w.c.Tx(string(rival), workflow.Contract, workflow.MethodStep, args))
	}
	w.follow()
}
