package workflow

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/types/ref"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
)

// An engine moves instances of one definition. What it decides is a function of
// the definition, the instance, the arguments and what its fields read: the
// contract runs it on the chain, Rehearse on what it makes up.
type engine struct {
	def   *Definition
	store store
	k     *chain.Consortium
	now   int64
	index uint64
	who   func(identity.Name) (*identity.Identity, error) // identity.ErrUnknown if there is none
	acts  func(owner, signer identity.Name) (bool, error)
	// papers checks a document that a transition takes: a record, "" if none is
	// put, and a grant to somebody, "" if none is shown.
	papers func(def *Definition, i *Instance, a *Asked, d Document, actor, to identity.Name) error
}

// A store is where tallies and claims are kept: the contract's namespace.
type store interface {
	Get(key []byte) ([]byte, error)
	Set(key, value []byte) error
	Delete(key []byte) error
}

// A move is one transition on its way.
type move struct {
	*engine
	i        *Instance
	t        *Transition
	c        *compiled
	actor    *identity.Identity // nil for a timer
	at       int64              // now, or when the timer was due
	vars     map[string]any
	fields   []Field
	tallies  []*Tally // of t.Count
	keys     []string // of t.Count
	assigned []Field
}

// step takes the timers that are due and then the transition of a. The instance
// is changed even if the error is not nil.
func (e *engine) step(i *Instance, a *StepArgs, actor *identity.Identity) ([]Step, error) {
	before, after := i.State, i.Steps
	steps, err := e.settle(i)
	if err != nil {
		return nil, err
	}
	t := e.def.Transition(a.Transition)
	switch {
	case t == nil:
		return nil, ErrTransition
	case !slices.Contains(t.From, i.State):
		if len(steps) > 0 && slices.Contains(t.From, before) {
			return nil, ErrExpired
		}
		return nil, ErrState
	}
	if err := e.mayTake(i, t, actor); err != nil {
		return nil, err
	}
	switch {
	case a.After != after:
		return nil, ErrStale
	case i.Steps >= MaxSteps && !e.def.State(t.To).Final:
		return nil, ErrFull
	}
	s, err := e.take(i, t, actor, a.Fields, a.Documents)
	if err != nil {
		return nil, err
	}
	return append(steps, *s), nil
}

// settle takes the timers that are due. There are at most as many as states,
// because timers alone never lead back to a state.
func (e *engine) settle(i *Instance) (steps []Step, err error) {
	for i.Overdue(e.now) {
		t := e.def.Transition(i.Due.Take)
		m := &move{engine: e, i: i, t: t, c: e.def.program.transitions[t.Name], at: max(i.Due.At, i.Entered)}
		due := i.Due.At
		m.bind()
		if err := m.undo(); err != nil {
			return nil, err
		}
		m.set(true)
		s := m.arrive("")
		s.Due = due
		if err := m.deadline(true); err != nil {
			return nil, err
		}
		steps = append(steps, *s)
	}
	return steps, nil
}

// take takes a transition that leads from the instance's state and that the
// actor may take.
func (e *engine) take(i *Instance, t *Transition, actor *identity.Identity, fields []Field, docs []Document) (*Step, error) {
	m := &move{engine: e, i: i, t: t, c: e.def.program.transitions[t.Name], actor: actor, at: e.now, fields: fields}
	if err := m.checkFields(); err != nil {
		return nil, err
	}
	if err := m.documents(docs); err != nil {
		return nil, err
	}
	m.bind()
	for _, do := range [...]func() error{m.undo, m.load, m.rules, m.count, m.claim, func() error { return m.set(false) }} {
		if err := do(); err != nil {
			return nil, err
		}
	}
	s := m.arrive(actor.Name)
	s.Fields, s.Documents = fields, docs
	return s, m.deadline(false)
}

// mayTake returns nil if the actor is one of those who may take the transition.
func (e *engine) mayTake(i *Instance, t *Transition, actor *identity.Identity) error {
	refusal := ErrParty
	for _, name := range t.By {
		is, holding, err := e.is(i, name, actor)
		if err != nil {
			return err
		}
		if is {
			return nil
		}
		if holding {
			refusal = ErrHolder
		}
	}
	return refusal
}

// is reports whether somebody is a party or has a role; and if not, whether it
// would be so for the holder.
func (e *engine) is(i *Instance, name string, actor *identity.Identity) (is, holding bool, err error) {
	r := e.def.Role(name)
	if r == nil {
		return e.party(i, Party(name), actor)
	}
	for _, a := range r.Attributes {
		if !actor.Vouched(e.k, a.Name, a.Value, e.now) {
			return false, false, nil
		}
	}
	org := r.Org
	switch Party(org) {
	case PartyOwner:
		org = i.Owner.Org()
	case PartyStarter:
		org = i.Starter.Org()
	case PartyHolder:
		org = i.Holder.Org()
	}
	if r.Org != "" && (actor.Name.Org() != org || e.k.Member(org) == nil) {
		return false, false, nil
	}
	if r.Is == "" {
		return true, false, nil
	}
	return e.party(i, r.Is, actor)
}

func (e *engine) party(i *Instance, p Party, actor *identity.Identity) (is, holding bool, err error) {
	switch p {
	case PartyAnyone:
		return true, false, nil
	case PartyOwner:
		if actor.Name == i.Owner {
			return true, false, nil
		}
		is, err = e.acts(i.Owner, actor.Name)
		return is, false, err
	case PartyStarter:
		return actor.Name == i.Starter, false, nil
	case PartyHolder:
		return actor.Name == i.Holder, actor.Name != i.Holder, nil
	}
	return false, false, nil
}

// rules evaluates the rules in their order.
func (m *move) rules() error {
	for n, x := range m.c.rules {
		v, err := x.eval(m.vars)
		if err != nil {
			return ErrRule
		}
		if holds, ok := v.Value().(bool); !ok {
			return ErrRule
		} else if !holds {
			return ruleCode(m.t.Rules[n].Name)
		}
	}
	return nil
}

// set computes all variables from what they were and then assigns them. With
// keep, one that cannot be computed stays as it was.
func (m *move) set(keep bool) error {
	for n, x := range m.c.set {
		rule := m.def.Variable(m.t.Set[n].Name)
		out, err := x.eval(m.vars)
		v, ok := Value{}, false
		if err == nil {
			v, ok = rule.Type.fromCEL(out)
		}
		switch {
		case ok:
			m.assigned = append(m.assigned, Field{Name: rule.Name, Value: v})
		case !keep:
			return ErrRule
		}
	}
	for _, f := range m.assigned {
		at, _ := slices.BinarySearchFunc(m.i.Variables, f.Name, func(v Field, name string) int { return strings.Compare(v.Name, name) })
		m.i.Variables[at] = f
	}
	return nil
}

// fromCEL returns what an expression came to as a variable of the type; an empty
// text is one that is not set.
func (t Type) fromCEL(v ref.Val) (Value, bool) {
	switch x := v.Value().(type) {
	case int64:
		return Int(x), t.holdsInt(x)
	case bool:
		return Bool(x), t == TypeBool
	case string:
		return Text(x), t.textual() && (x == "" || t.holdsText(x))
	}
	return Value{}, false
}

// arrive puts the instance into the state that the transition leads to.
func (m *move) arrive(by identity.Name) *Step {
	i := m.i
	s := &Step{Instance: i.ID, Index: m.index, Time: m.now, Transition: m.t.Name, From: i.State, To: m.t.To, By: by}
	if m.t.Holder != "" {
		i.Holder = m.named(m.t.Holder)
	}
	i.Steps++
	i.State, i.Entered, i.Last, i.Changed = m.t.To, m.at, m.index, m.now
	s.Number, s.Holder = i.Steps, i.Holder
	return s
}

// deadline finds the timer of the new state that is due first; of several at
// one time, the one that comes first in the file. With lenient, an expression
// that fails is never due.
func (m *move) deadline(lenient bool) error {
	i := m.i
	i.Due = Deadline{}
	state := m.def.State(i.State)
	if len(state.Timers) == 0 {
		return nil
	}
	m.bind()
	for n, timer := range state.Timers {
		at := i.Entered + timer.After
		if x := m.def.program.timers[i.State][n]; x != nil {
			v, err := x.eval(m.vars)
			t, ok := int64(0), false
			if err == nil {
				t, ok = v.Value().(int64)
			}
			if (!ok || t < 0 || t > maxTime) && !lenient {
				return ErrRule
			}
			if !ok || t <= 0 || t > maxTime {
				continue
			}
			at = t
		}
		if i.Due.At == 0 || at < i.Due.At {
			i.Due = Deadline{At: at, Take: timer.Take, To: m.def.Transition(timer.Take).To}
		}
	}
	return nil
}

// bind makes the names that expressions use.
func (m *move) bind() {
	i := m.i
	m.vars = map[string]any{
		"now": m.at, "steps": int64(i.Steps), "state": i.State, "instance": string(i.ID),
		"owner": string(i.Owner), "owner_org": i.Owner.Org(), "starter": string(i.Starter), "starter_org": i.Starter.Org(),
		"holder": string(i.Holder), "actor": "", "actor_org": "",
	}
	if m.actor != nil {
		m.vars["actor"], m.vars["actor_org"] = string(m.actor.Name), m.actor.Name.Org()
	}
	for name, v := range durations {
		m.vars[name] = v
	}
	for _, v := range i.Variables {
		m.vars["vars."+v.Name] = m.def.Variable(v.Name).Type.native(v.Value, false)
	}
	for _, e := range m.t.Fields {
		rule := m.def.Field(e.Field)
		v, given := Get(m.fields, e.Field)
		if !given && !rule.Many {
			v = rule.Type.zero()
		}
		m.vars["fields."+e.Field], m.vars["given."+e.Field] = rule.Type.native(v, rule.Many), given
	}
}

// native returns a value as expressions see it.
func (t Type) native(v Value, many bool) any {
	switch {
	case many && t.textual():
		return append([]string{}, v.Texts...)
	case many && t == TypeBool:
		list := []bool{}
		for _, i := range v.Ints {
			list = append(list, i != 0)
		}
		return list
	case many:
		return append([]int64{}, v.Ints...)
	case t.textual():
		return v.Texts[0]
	case t == TypeBool:
		return v.Ints[0] != 0
	}
	return v.Ints[0]
}
