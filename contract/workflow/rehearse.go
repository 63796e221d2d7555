package workflow

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
)

// MayTake returns nil if somebody may take a transition of an instance, or
// ErrParty or ErrHolder, by the rules that the chain goes by but for guardians:
// acts, if it is not nil, says who may act for the owner. k is the consortium file
// in force, now a block time.
func (d *Definition) MayTake(i *Instance, t *Transition, who *identity.Identity, k *chain.Consortium, now int64, acts func(owner, signer identity.Name) (bool, error)) error {
	if acts == nil {
		acts = nobodyActs
	}
	e := &engine{def: d, k: k, now: now, acts: acts}
	return e.mayTake(i, t, who)
}

func nobodyActs(identity.Name, identity.Name) (bool, error) { return false, nil }

// A Person takes part in a rehearsal.
type Person struct {
	Name       identity.Name
	Attributes []Attribute
}

// A Rehearsal steps through a definition without a chain, by the same code. The
// organisations of its people are members; nobody has guardians. Documents are
// taken at their word: that there is a record and a grant is not checked. It is
// not safe for concurrent use.
type Rehearsal struct {
	def       *Definition
	k         *chain.Consortium
	people    map[identity.Name]*identity.Identity
	now       time.Time
	index     uint64
	state     memory
	instances map[ID]*Instance
	steps     map[ID][]Step
}

// Rehearse returns a rehearsal among people that begins at a time.
func (d *Definition) Rehearse(people []Person, now time.Time) *Rehearsal {
	r := &Rehearsal{
		def: d, k: &chain.Consortium{}, people: make(map[identity.Name]*identity.Identity), now: now,
		state: memory{}, instances: make(map[ID]*Instance), steps: make(map[ID][]Step),
	}
	for _, p := range people {
		id := &identity.Identity{Name: p.Name}
		for _, a := range p.Attributes {
			id.Attributes = append(id.Attributes, identity.Attribute{Name: a.Name, Value: a.Value})
		}
		r.people[p.Name] = id
		if r.k.Member(p.Name.Org()) == nil {
			r.k.Members = append(r.k.Members, chain.Member{Name: p.Name.Org()})
		}
	}
	return r
}

// Wait moves the time on.
func (r *Rehearsal) Wait(d time.Duration) { r.now = r.now.Add(d) }

// Now is the time of the rehearsal.
func (r *Rehearsal) Now() time.Time { return r.now }

// Instance returns an instance as it is, or nil.
func (r *Rehearsal) Instance(id ID) *Instance { return r.instances[id] }

// Steps returns the history of an instance.
func (r *Rehearsal) Steps(id ID) []Step { return r.steps[id] }

// Start starts an instance. The error is one of the codes.
func (r *Rehearsal) Start(by, owner identity.Name, transition string, fields []Field, docs ...Document) (ID, error) {
	if r.people[owner] == nil {
		return "", ErrOwner
	}
	if r.def.Closed {
		return "", ErrClosed
	}
	id := ID("w-" + idText.EncodeToString(binary.BigEndian.AppendUint64(make([]byte, 8), r.index+1)))
	i := r.def.instance(id, owner, by, r.index+1, r.now.UnixMilli())
	return id, r.run(i, by, func(e *engine, i *Instance, who *identity.Identity) ([]Step, error) {
		return e.step(i, &StepArgs{ID: id, Transition: transition, Fields: Sorted(fields), Documents: docs}, who)
	})
}

// Step takes a transition. The error is one of the codes.
func (r *Rehearsal) Step(by identity.Name, id ID, transition string, fields []Field, docs ...Document) error {
	i := r.instances[id]
	if i == nil {
		return ErrUnknown
	}
	return r.run(i, by, func(e *engine, i *Instance, who *identity.Identity) ([]Step, error) {
		return e.step(i, &StepArgs{ID: id, After: i.Steps, Transition: transition, Fields: Sorted(fields), Documents: docs}, who)
	})
}

// Tick takes the timers of an instance that are due, or returns ErrEarly.
func (r *Rehearsal) Tick(id ID) error {
	i := r.instances[id]
	if i == nil {
		return ErrUnknown
	}
	return r.run(i, i.Owner, func(e *engine, i *Instance, _ *identity.Identity) ([]Step, error) {
		steps, err := e.settle(i)
		if err == nil && len(steps) == 0 {
			err = ErrEarly
		}
		return steps, err
	})
}

func (r *Rehearsal) run(i *Instance, by identity.Name, do func(*engine, *Instance, *identity.Identity) ([]Step, error)) error {
	who := r.people[by]
	if who == nil {
		return ErrDenied
	}
	state := maps.Clone(r.state)
	e := &engine{
		def: r.def, store: state, k: r.k, now: r.now.UnixMilli(), index: r.index + 1, acts: nobodyActs,
		who: func(n identity.Name) (*identity.Identity, error) {
			if id := r.people[n]; id != nil {
				return id, nil
			}
			return nil, identity.ErrUnknown
		},
		papers: func(*Definition, *Instance, *Asked, Document, identity.Name, identity.Name) error { return nil },
	}
	moved := i.clone()
	steps, err := do(e, moved, who)
	if err != nil {
		return err
	}
	r.index++
	r.state, r.instances[i.ID], r.steps[i.ID] = state, moved, append(r.steps[i.ID], steps...)
	return nil
}

// clone returns a copy that shares nothing that steps change.
func (i *Instance) clone() *Instance {
	out := *i
	out.Variables, out.Documents = slices.Clone(i.Variables), slices.Clone(i.Documents)
	out.Charges, out.Claims = slices.Clone(i.Charges), slices.Clone(i.Claims)
	return &out
}

// Open returns the transitions that somebody may take of an instance now, after
// the timers that are due, in the order of the file; of a new instance for "".
// What has to be entered and what rules say may still stand against them.
func (r *Rehearsal) Open(by identity.Name, id ID) []*Transition {
	who := r.people[by]
	i := r.instances[id]
	if who == nil || i == nil && id != "" {
		return nil
	}
	if i == nil {
		i = r.def.instance("", by, by, 0, r.now.UnixMilli())
	} else {
		i = i.clone()
		e := &engine{def: r.def, store: maps.Clone(r.state), k: r.k, now: r.now.UnixMilli(), acts: nobodyActs}
		if _, err := e.settle(i); err != nil {
			return nil
		}
	}
	var out []*Transition
	for _, t := range r.def.From(i.State) {
		if r.def.MayTake(i, t, who, r.k, r.now.UnixMilli(), nil) == nil {
			out = append(out, t)
		}
	}
	return out
}

// memory is a store that forgets nothing.
type memory map[string][]byte

// Get implements store.
func (m memory) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

// Set implements store.
func (m memory) Set(key, value []byte) error {
	if len(key) > 512 || len(value) == 0 || len(value) > 64<<10 {
		return errors.New("key or value is too large")
	}
	m[string(key)] = slices.Clone(value)
	return nil
}

// Delete implements store.
func (m memory) Delete(key []byte) error {
	delete(m, string(key))
	return nil
}
