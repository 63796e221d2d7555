package workflow

import (
	"errors"
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// member returns the caller of a method for members.
func member(call *ledger.Call, method string) (*chain.Member, error) {
	by, err := authorize(call, method)
	if err == nil && by.Member == nil {
		err = ErrDenied
	}
	return by.Member, err
}

func (c *contract) define(call *ledger.Call, a *DefineArgs) error {
	if len(a.YAML) == 0 || len(a.YAML) > MaxDefinition {
		return ErrMalformed
	}
	m, err := member(call, MethodDefine)
	if err != nil {
		return err
	}
	n := 0
	prefix := []byte(keyOfMember + m.Name + "\x00")
	if err := call.State.Scan(prefix, nil, func(_, _ []byte) bool { n++; return n < MaxProposals }); err != nil {
		return err
	}
	if n >= MaxProposals {
		return ErrProposals
	}
	def, err := c.memo.compile(a.YAML)
	if err != nil {
		return ErrDefinition
	}
	if err := fits(call.State, def); err != nil {
		return err
	}
	hash := def.Hash()
	if _, err := LookupProposal(call.State, def.Name, def.Version, hash); err == nil {
		return ErrTaken
	} else if !errors.Is(err, ErrUnknown) {
		return err
	}
	p := &Proposal{Definition: def.Name, Version: def.Version, Hash: hash, Proposer: m.Name, Endorsed: []string{m.Name}, Index: call.Index, Time: call.Time}
	if err := call.State.Set(bodyKey(hash), a.YAML); err != nil {
		return err
	}
	if err := call.State.Set(ofMemberKey(p), []byte{1}); err != nil {
		return err
	}
	return c.decide(call, p)
}

func ofMemberKey(p *Proposal) []byte {
	return append([]byte(keyOfMember+p.Proposer+"\x00"), proposalKey(p.Definition, p.Version, p.Hash)[len(keyProposal):]...)
}

// fits returns nil if a definition can come into force next: its version is the
// next one, and what it counts and claims is kept as before.
func fits(r ledger.Reader, def *Definition) error {
	if next, err := next(r, def.Name); err != nil {
		return err
	} else if def.Version != next {
		return ErrVersion
	}
	for _, want := range def.kept() {
		was, err := load[kept](r, keptKey(def.Name, want.name))
		if err != nil {
			return err
		}
		if was != nil && *was != want.kept {
			return ErrConflict
		}
	}
	return nil
}

// next returns the version of a definition that can come into force next.
func next(r ledger.Reader, name string) (uint32, error) {
	p, err := Newest(r, name)
	if errors.Is(err, ErrUnknown) {
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	return p.Version + 1, nil
}

// kept says how a counter or unique is kept, which no later version changes.
type kept struct {
	_      struct{} `cbor:",toarray"`
	Kind   string   // "counter" or "unique"
	Scope  Scope
	Window int64
	Scale  int
}

// keeping is a kept with the name of the counter or unique.
type keeping struct {
	name string
	kept
}

func (d *Definition) kept() (out []keeping) {
	for _, c := range d.Counters {
		out = append(out, keeping{c.Name, kept{Kind: "counter", Scope: c.Scope, Window: c.Window, Scale: c.Scale}})
	}
	for _, u := range d.Uniques {
		out = append(out, keeping{u.Name, kept{Kind: "unique", Scope: u.Scope}})
	}
	return out
}

func keptKey(definition, name string) []byte { return []byte(keyKept + definition + "\x00" + name) }

func (c *contract) endorse(call *ledger.Call, a *VersionArgs) error {
	m, err := member(call, MethodEndorse)
	if err != nil {
		return err
	}
	p, err := LookupProposal(call.State, a.Definition, a.Version, a.Hash)
	if err != nil {
		return err
	}
	if next, err := next(call.State, p.Definition); err != nil {
		return err
	} else if p.Version != next {
		return ErrVersion // another came into force since
	}
	at, there := slices.BinarySearch(p.Endorsed, m.Name)
	if !there {
		p.Endorsed = slices.Insert(p.Endorsed, at, m.Name)
	}
	return c.decide(call, p)
}

// decide puts a proposal in force if enough members endorse it, and otherwise
// keeps it.
func (c *contract) decide(call *ledger.Call, p *Proposal) error {
	n := 0
	for _, name := range p.Endorsed {
		if call.Consortium.Member(name) != nil {
			n++
		}
	}
	if n < call.Consortium.CheckpointThreshold {
		if err := save(call.State, proposalKey(p.Definition, p.Version, p.Hash), p); err != nil {
			return err
		}
		return emit(call, EventDefine, p)
	}
	def, err := c.memo.definition(call.State, p)
	if err != nil {
		return err
	}
	if err := fits(call.State, def); err != nil { // the version before came into force since it was proposed
		return err
	}
	for _, k := range def.kept() {
		if err := save(call.State, keptKey(def.Name, k.name), &k.kept); err != nil {
			return err
		}
	}
	p.InForce, p.InForceBy = call.Time, call.Index
	if err := drop(call.State, p); err != nil {
		return err
	}
	if err := save(call.State, versionKey(p.Definition, p.Version), p); err != nil {
		return err
	}
	if err := save(call.State, []byte(keyNewest+p.Definition), &p.Version); err != nil {
		return err
	}
	return emit(call, EventDefine, p)
}

// drop removes a proposal from those that are not in force.
func drop(v *ledger.View, p *Proposal) error {
	if err := v.Delete(proposalKey(p.Definition, p.Version, p.Hash)); err != nil {
		return err
	}
	return v.Delete(ofMemberKey(p))
}

func withdraw(call *ledger.Call, a *VersionArgs) error {
	m, err := member(call, MethodWithdraw)
	if err != nil {
		return err
	}
	p, err := LookupProposal(call.State, a.Definition, a.Version, a.Hash)
	if err != nil {
		return err
	}
	if p.Proposer != m.Name {
		return ErrDenied
	}
	if err := drop(call.State, p); err != nil {
		return err
	}
	if err := call.State.Delete(bodyKey(p.Hash)); err != nil {
		return err
	}
	p.Endorsed = nil
	return emit(call, EventDefine, p)
}
