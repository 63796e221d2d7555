package workflow

import (
	"encoding/binary"
	"errors"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
)

// New returns the contract. It is safe for concurrent use by several executors.
func New() ledger.Contract { return &contract{} }

type contract struct{ memo memo }

// Apply implements ledger.Contract. Results are empty.
func (c *contract) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	switch method {
	case MethodDefine:
		return nil, apply(call, args, c.define)
	case MethodEndorse:
		return nil, apply(call, args, c.endorse)
	case MethodWithdraw:
		return nil, apply(call, args, withdraw)
	case MethodStart:
		return nil, apply(call, args, c.start)
	case MethodStep:
		return nil, apply(call, args, c.step)
	case MethodTick:
		return nil, apply(call, args, c.tick)
	}
	return nil, ErrDenied
}

func apply[A any](call *ledger.Call, args []byte, do func(*ledger.Call, *A) error) error {
	a := new(A)
	if chain.Unmarshal(args, a) != nil {
		return ErrMalformed
	}
	return do(call, a)
}

// authorize returns who signed, or ErrDenied.
func authorize(call *ledger.Call, method string) (identity.Caller, error) {
	by, err := identity.Authorize(call, Contract, method)
	if errors.Is(err, identity.ErrDenied) {
		return by, ErrDenied
	}
	return by, err
}

func (c *contract) start(call *ledger.Call, a *StartArgs) error {
	if _, err := ParseID(string(a.ID)); err != nil {
		return err
	}
	if _, err := identity.ParseName(string(a.Owner)); err != nil {
		return ErrMalformed
	}
	by, err := authorize(call, MethodStart)
	if err != nil {
		return err
	}
	p, err := Newest(call.State, a.Definition)
	if err != nil {
		return err
	}
	if a.Version != p.Version {
		return ErrVersion
	}
	if _, err := Lookup(call.State, a.ID); err == nil {
		return ErrTaken
	} else if !errors.Is(err, ErrUnknown) {
		return err
	}
	if _, err := identity.Lookup(call.Of(identity.Contract), a.Owner); errors.Is(err, identity.ErrUnknown) {
		return ErrOwner
	} else if err != nil {
		return err
	}
	e, err := c.engine(call, p)
	if err != nil {
		return err
	}
	if e.def.Closed {
		return ErrClosed
	}
	i := e.def.instance(a.ID, a.Owner, by.Identity.Name, call.Index, call.Time)
	step := &StepArgs{ID: a.ID, Transition: a.Transition, Fields: a.Fields, Documents: a.Documents}
	return e.run(call, i, func(i *Instance) ([]Step, error) { return e.step(i, step, by.Identity) })
}

// instance returns a fresh one.
func (d *Definition) instance(id ID, owner, starter identity.Name, index uint64, time int64) *Instance {
	i := &Instance{
		ID: id, Definition: d.Name, Version: d.Version, Owner: owner, Starter: starter, State: Start,
		Index: index, Started: time, Entered: time,
	}
	for n := range d.Variables {
		i.Variables = append(i.Variables, Field{Name: d.Variables[n].Name, Value: d.Variables[n].Initial})
	}
	i.Variables = Sorted(i.Variables)
	return i
}

func (c *contract) step(call *ledger.Call, a *StepArgs) error {
	by, err := authorize(call, MethodStep)
	if err != nil {
		return err
	}
	return c.change(call, a.ID, func(e *engine, i *Instance) ([]Step, error) { return e.step(i, a, by.Identity) })
}

func (c *contract) tick(call *ledger.Call, a *TickArgs) error {
	if _, err := authorize(call, MethodTick); err != nil {
		return err
	}
	return c.change(call, a.ID, func(e *engine, i *Instance) ([]Step, error) {
		steps, err := e.settle(i)
		if err == nil && len(steps) == 0 {
			err = ErrEarly
		}
		return steps, err
	})
}

func (c *contract) change(call *ledger.Call, id ID, do func(*engine, *Instance) ([]Step, error)) error {
	i, err := Lookup(call.State, id)
	if err != nil {
		return err
	}
	p, err := InForce(call.State, i.Definition, i.Version)
	if err != nil {
		return err
	}
	e, err := c.engine(call, p)
	if err != nil {
		return err
	}
	return e.run(call, i, func(i *Instance) ([]Step, error) { return do(e, i) })
}

// engine returns one that works on the chain's state.
func (c *contract) engine(call *ledger.Call, p *Proposal) (*engine, error) {
	def, err := c.memo.definition(call.State, p)
	if err != nil {
		return nil, err
	}
	identities := call.Of(identity.Contract)
	return &engine{
		def: def, store: call.State, k: call.Consortium, now: call.Time, index: call.Index,
		who: func(n identity.Name) (*identity.Identity, error) { return identity.Lookup(identities, n) },
		acts: func(owner, signer identity.Name) (bool, error) {
			return identity.ActsFor(identities, owner, signer, call.Time, call.Consortium)
		},
		papers: papers{call}.check,
	}, nil
}

// run moves an instance and keeps what became of it.
func (e *engine) run(call *ledger.Call, i *Instance, do func(*Instance) ([]Step, error)) error {
	from, holder := i.State, i.Holder
	steps, err := do(i)
	if err != nil {
		return err
	}
	if err := save(call.State, instanceKey(i.ID), i); err != nil {
		return err
	}
	if err := e.reindex(call.State, i, from, holder); err != nil {
		return err
	}
	for n := range steps {
		if err := e.keep(call, i, &steps[n]); err != nil {
			return err
		}
	}
	return nil
}

// reindex moves the instance to where listings find it.
func (e *engine) reindex(v *ledger.View, i *Instance, from string, holder identity.Name) error {
	id := []byte(i.ID)
	if from == Start {
		for _, key := range [][]byte{indexed(keyOwner, string(i.Owner), i.Index), indexed(keyDefinition, i.Definition, i.Index)} {
			if err := v.Set(key, id); err != nil {
				return err
			}
		}
	}
	if from != i.State {
		if from != Start {
			if err := v.Delete(indexed(keyState, i.Definition+"\x00"+from, i.Index)); err != nil {
				return err
			}
			if err := add(v, countKey(i, from), -1); err != nil {
				return err
			}
		}
		if err := v.Set(indexed(keyState, i.Definition+"\x00"+i.State, i.Index), id); err != nil {
			return err
		}
		if err := add(v, countKey(i, i.State), 1); err != nil {
			return err
		}
	}
	if holder == i.Holder {
		return nil
	}
	if holder != "" {
		if err := v.Delete(indexed(keyHolder, string(holder), i.Index)); err != nil {
			return err
		}
	}
	if i.Holder == "" {
		return nil
	}
	return v.Set(indexed(keyHolder, string(i.Holder), i.Index), id)
}

func countKey(i *Instance, state string) []byte {
	return []byte(keyCount + i.Definition + "\x00" + i.Starter.Org() + "\x00" + state)
}

// keep adds a step to the history of an instance.
func (e *engine) keep(call *ledger.Call, i *Instance, s *Step) error {
	if err := save(call.State, stepKey(i.ID, s.Number), s); err != nil {
		return err
	}
	for _, name := range [...]identity.Name{s.By, s.Holder} {
		if name == "" {
			continue
		}
		if err := call.State.Set(indexed(keyParticipant, string(name), i.Index), []byte(i.ID)); err != nil {
			return err
		}
	}
	org := s.By.Org()
	if s.By == "" {
		org = i.Starter.Org()
	}
	day := uint64(s.Time - s.Time%dayMillis)
	flow := append(binary.BigEndian.AppendUint64([]byte(keyFlow+i.Definition+"\x00"), day), org+"\x00"+s.Transition...)
	if err := add(call.State, flow, 1); err != nil {
		return err
	}
	short := *s
	short.Fields, short.Documents = nil, nil
	return emit(call, EventStep, &StepEvent{
		Definition: i.Definition, Version: i.Version, Owner: i.Owner, Event: e.def.Transition(s.Transition).Event, Step: short,
	})
}

func emit(call *ledger.Call, kind string, data any) error {
	b, err := chain.Marshal(data)
	if err != nil {
		return err
	}
	call.Emit(kind, b)
	return nil
}

// add changes a number, which is not kept when it is 0.
func add(v *ledger.View, key []byte, by int64) error {
	b, err := v.Get(key)
	if err != nil {
		return err
	}
	var n uint64
	if len(b) == 8 {
		n = binary.BigEndian.Uint64(b)
	}
	if n += uint64(by); n == 0 {
		return v.Delete(key)
	}
	return v.Set(key, binary.BigEndian.AppendUint64(nil, n))
}

// Participated reports whether somebody started the instance, took a step of it,
// or holds or held it. r reads the contract's namespace.
func (i *Instance) Participated(r ledger.Reader, name identity.Name) (bool, error) {
	b, err := r.Get(indexed(keyParticipant, string(name), i.Index))
	return b != nil, err
}

// Supervised returns what those see who supervise: the instance without what was
// entered and without its documents.
func (i *Instance) Supervised() *Instance {
	out := *i
	out.Variables, out.Documents, out.Charges, out.Claims = []Field{}, []Document{}, []Charge{}, []Claim{}
	return &out
}

// Supervised returns what those see who supervise: the step without what was
// entered and without its documents.
func (s *Step) Supervised() *Step {
	out := *s
	out.Fields, out.Documents = []Field{}, []Document{}
	return &out
}
