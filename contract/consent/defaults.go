package consent

import (
	"slices"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// DefaultsArgs replace the grants that an organisation proposes to its patients.
type DefaultsArgs struct {
	_        struct{}  `cbor:",toarray"`
	From     uint64    // the version in force, 0 if there is none: a repeated request changes nothing
	Defaults []Default // at most MaxDefaults, ascending by name
}

// A Default is a grant to a policy that an organisation proposes to its
// patients. It grants nothing: each owner makes the grant, or does not.
type Default struct {
	_      struct{} `cbor:",toarray"`
	Name   string   // 1 to 48 of a–z, 0–9, '_' and '-', beginning with a letter
	Type   pre.Type // not the root: who grants everything says so herself
	Policy string   // abe.Policy.String; every attribute names its authority
	Lasts  int64    // milliseconds from when the grant is made; 0 for no end
	// Conditions are those of the grant but for its times: NotBefore and NotAfter
	// are zero, and it is for no workflow.
	Conditions Conditions
}

// Defaults are what the chain keeps of an organisation's.
type Defaults struct {
	_        struct{} `cbor:",toarray"`
	Org      string
	Version  uint64 // rises by one with every change
	Index    uint64 // leaf index of the last change
	Time     int64
	Defaults []Default
}

// At returns the conditions of a grant made at a block time.
func (d *Default) At(time int64) Conditions {
	c := d.Conditions
	if d.Lasts != 0 {
		c.NotAfter = time + d.Lasts
	}
	return c
}

// Made reports whether a grant is one that this default proposes, whenever it
// was made.
func (d *Default) Made(g *Grant) bool {
	if g.Recipient != "" || g.Policy != d.Policy || g.Type != d.Type || (d.Lasts == 0) != (g.Conditions.NotAfter == 0) {
		return false
	}
	have := g.Conditions
	have.NotBefore, have.NotAfter = 0, 0
	x, err := have.Hash()
	if err != nil {
		return false
	}
	y, err := d.Conditions.Hash()
	return err == nil && x == y
}

func (d *Default) valid() bool {
	c := &d.Conditions
	if !word(d.Name, false) || d.Name[0] < 'a' || d.Name[0] > 'z' || d.Type == "" || d.Lasts < 0 || d.Lasts > maxLasts ||
		c.NotBefore != 0 || c.NotAfter != 0 || c.Instance != "" || !c.valid() || !below(c.Except, d.Type) {
		return false
	}
	if _, err := pre.ParseType(string(d.Type)); err != nil {
		return false
	}
	p, err := abe.ParsePolicy(d.Policy)
	return err == nil && p.String() == d.Policy && !slices.Contains(p.Authorities(), "")
}

// maxLasts is a hundred years in milliseconds.
const maxLasts = 100 * 365 * 24 * 60 * 60 * 1000

// LookupDefaults returns the defaults of an organisation, or ErrUnknown. r reads
// the contract's namespace.
func LookupDefaults(r ledger.Reader, org string) (*Defaults, error) {
	d, err := load[Defaults](r, []byte(keyDefaults+org))
	if err == nil && d == nil {
		return nil, ErrUnknown
	}
	return d, err
}

func setDefaults(call *ledger.Call, raw []byte) error {
	var args DefaultsArgs
	if err := parse(raw, &args); err != nil {
		return err
	}
	if len(args.Defaults) > MaxDefaults {
		return ErrMalformed
	}
	for i := range args.Defaults {
		if !args.Defaults[i].valid() || i > 0 && args.Defaults[i-1].Name >= args.Defaults[i].Name {
			return ErrMalformed
		}
	}
	caller, err := authorize(call, MethodDefaults)
	if err != nil {
		return err
	}
	if caller.Member == nil {
		return ErrDenied
	}
	old, err := LookupDefaults(call.State, caller.Member.Name)
	switch {
	case err == ErrUnknown:
		old = new(Defaults)
	case err != nil:
		return err
	}
	if args.From != old.Version {
		return ErrStale
	}
	for i := range args.Defaults {
		if err := published(call, args.Defaults[i].Policy); err != nil {
			return err
		}
	}
	d := &Defaults{Org: caller.Member.Name, Version: old.Version + 1, Index: call.Index, Time: call.Time, Defaults: args.Defaults}
	if err := store(call.State, []byte(keyDefaults+d.Org), d); err != nil {
		return err
	}
	return emit(call, EventDefaults, d)
}

// published returns ErrRecipient unless every authority that a policy names is a
// member's and has been published, and the policy can be sealed to: authorities
// are joined by "or" alone.
func published(call *ledger.Call, policy string) error {
	p, err := abe.ParsePolicy(policy)
	if err != nil {
		return ErrMalformed
	}
	for _, name := range p.Authorities() {
		if _, err := p.Part(name); err != nil || call.Consortium.Member(name) == nil {
			return ErrRecipient
		}
		switch _, err := identity.CurrentAuthority(call.Of(identity.Contract), name); {
		case err == identity.ErrNoAuthority:
			return ErrRecipient
		case err != nil:
			return err
		}
	}
	return nil
}
