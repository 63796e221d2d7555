package identity

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// A Guardian acts for another identity, its ward, with his own key: he makes and
// revokes her grants, answers requests to her, and opens her records. He does
// not replace her keys, take her into self-custody or out of it, raise her
// epoch, name guardians, or erase.
type Guardian struct {
	_     struct{} `cbor:",toarray"`
	Name  Name     // who acts
	Kind  Guardianship
	By    string // member that named him; "" if the ward did
	Since int64  // block time, Unix milliseconds
	Until int64  // last block time at which he acts; 0 for no end
}

// Guardianship says why somebody has a guardian.
type Guardianship string

// The kinds of guardianship. A ward names delegates herself; the others are
// named by the member of her organisation.
const (
	Delegate   Guardianship = "delegate"
	Minor      Guardianship = "minor" // always with an end: the day she comes of age
	Incapacity Guardianship = "incapacity"
	Death      Guardianship = "death"
)

// A Proposal names a guardian for a person who holds her own key, on the word
// of a quorum of members, after a wait in which she may object. It goes the way
// of a Recovery.
type Proposal struct {
	_         struct{} `cbor:",toarray"`
	Member    string   // that opened it
	Guardian  Name
	Kind      Guardianship
	Until     int64
	Opened    int64    // block time, Unix milliseconds
	Ready     int64    // earliest block time at which it can finish
	Approvals []string // members, in ascending order; the one that opened it included
}

// MaxGuardians is the largest number of guardians of one identity.
const MaxGuardians = 8

// Methods of guardianship, and the one that ends self-custody.
const (
	MethodGuardian        = "guardian"         // GuardianArgs, by the ward or the member of her organisation
	MethodEndGuardian     = "end-guardian"     // EndGuardianArgs, by the ward, the guardian, or the member that named him
	MethodApproveGuardian = "approve-guardian" // ProposalArgs, by a member
	MethodFinishGuardian  = "finish-guardian"  // ProposalArgs, by a member
	MethodCustodyOff      = "custody-off"      // CustodyOffArgs, by the identity
)

// GuardianArgs name a guardian.
//
// A ward names a delegate at once; Wait is 0. The member of her organisation
// names one of the other kinds: at once, with a Wait of 0, while it holds her
// key, otherwise as a Proposal. If her organisation is no member any more, any
// member may propose.
//
// Who named somebody before replaces by this what it said of him.
type GuardianArgs struct {
	_        struct{} `cbor:",toarray"`
	Name     Name     // of the ward
	Guardian Name
	Kind     Guardianship
	Until    int64
	Wait     int64 // milliseconds, 0 or MinRecoveryWait to MaxRecoveryWait
}

// EndGuardianArgs end a guardianship, and the proposals of the signer to the
// same effect. The ward and the guardian end all that is said of him, a member
// what it said itself.
type EndGuardianArgs struct {
	_        struct{} `cbor:",toarray"`
	Name     Name     // of the ward
	Guardian Name
}

// ProposalArgs say which proposal is meant, in everything that its member said:
// the arguments of approve-guardian and finish-guardian. A word counts for no
// other, such as one that leaves the ward less time to object.
type ProposalArgs struct {
	_        struct{} `cbor:",toarray"`
	Name     Name     // of the ward
	Member   string   // that opened it
	Guardian Name
	Kind     Guardianship
	Until    int64
	Wait     int64
}

// CustodyOffArgs end the signer's self-custody. Her epoch rises by one, so that
// no key and no grant of before opens what is written from then on.
type CustodyOffArgs struct {
	_    struct{} `cbor:",toarray"`
	From uint32   // the custody key in force, so that a repeated request changes nothing
}

// Codes of guardianship. Part of the format.
const (
	ErrGuardian chain.Code = "identity/guardian" // no such guardian or proposal, or it has lapsed
	ErrFull     chain.Code = "identity/full"     // as many guardians as there can be
	ErrUntil    chain.Code = "identity/until"    // the end has passed
	ErrCustody  chain.Code = "identity/custody"  // not the custody key in force
)

// ActsFor reports whether signer may act for owner at a block time in Unix
// milliseconds: he is the owner, or one of her guardians in force. It is the
// one rule for all contracts. r reads the contract's namespace, k is the
// consortium file in force. An owner that does not exist is ErrUnknown.
func ActsFor(r ledger.Reader, owner, signer Name, time int64, k *chain.Consortium) (bool, error) {
	id, err := Lookup(r, owner)
	if err != nil {
		return false, err
	}
	return id.ActedForBy(signer, time, k), nil
}

// ActedForBy is ActsFor for an owner that was looked up.
func (i *Identity) ActedForBy(signer Name, time int64, k *chain.Consortium) bool {
	return signer == i.Name || slices.ContainsFunc(i.Guardians, func(g Guardian) bool {
		return g.Name == signer && g.InForce(time, k)
	})
}

// InForce reports whether the guardian acts at a block time: his time is not
// up, and the member that named him, if one did, is still a member of k.
func (g *Guardian) InForce(time int64, k *chain.Consortium) bool {
	return (g.Until == 0 || time <= g.Until) && (g.By == "" || k.Member(g.By) != nil)
}

func (a *GuardianArgs) check() error {
	switch {
	case a.Guardian == a.Name, a.Until < 0, a.Wait != 0 && (a.Wait < MinRecoveryWait || a.Wait > MaxRecoveryWait):
		return ErrMalformed
	}
	switch a.Kind {
	case Delegate:
		if a.Wait != 0 {
			return ErrMalformed
		}
	case Minor:
		if a.Until == 0 {
			return ErrMalformed
		}
	case Incapacity, Death:
	default:
		return ErrMalformed
	}
	return errors.Join(checkName(a.Name), checkName(a.Guardian))
}

func (a *EndGuardianArgs) check() error { return errors.Join(checkName(a.Name), checkName(a.Guardian)) }
func (a *ProposalArgs) check() error    { return errors.Join(checkName(a.Name), checkName(a.Guardian)) }

func nameGuardian(call *ledger.Call, by Caller, a *GuardianArgs) (*Identity, error) {
	if !mayName(call.Consortium, by, a) {
		return nil, ErrDenied
	}
	id, err := Lookup(call.State, a.Name)
	if err != nil {
		return nil, err
	}
	if _, err := Lookup(call.State, a.Guardian); err != nil {
		return nil, err
	}
	if a.Until != 0 && a.Until <= call.Time {
		return nil, ErrUntil
	}
	g := Guardian{Name: a.Guardian, Kind: a.Kind, Since: call.Time, Until: a.Until}
	switch {
	case by.Member == nil:
		return id, id.guard(g, call)
	case a.Wait != 0:
		id.propose(a, by.Member.Name, call)
		return id, nil
	case id.Controller != by.Member.Name:
		return nil, ErrController // one hospital's word is not enough
	}
	g.By = by.Member.Name
	return id, id.guard(g, call)
}

// mayName reports whether the caller may say such a thing about the name.
func mayName(k *chain.Consortium, by Caller, a *GuardianArgs) bool {
	if by.Member == nil {
		return by.Identity.Name == a.Name && a.Kind == Delegate
	}
	org := a.Name.Org()
	return a.Kind != Delegate && (by.Member.Name == org || k.Member(org) == nil)
}

// guard adds a guardian, or replaces what the same party said of him. Those whose
// time is up make room.
func (i *Identity) guard(g Guardian, call *ledger.Call) error {
	i.Guardians = slices.DeleteFunc(i.Guardians, func(o Guardian) bool {
		return compareGuardians(o, g) == 0 || !o.InForce(call.Time, call.Consortium)
	})
	if len(i.Guardians) >= MaxGuardians {
		return ErrFull
	}
	i.Guardians = append(i.Guardians, g)
	slices.SortFunc(i.Guardians, compareGuardians)
	return nil
}

// compareGuardians is the order in which an identity keeps its guardians.
func compareGuardians(a, b Guardian) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.By, b.By))
}

func (i *Identity) propose(a *GuardianArgs, member string, call *ledger.Call) {
	i.Proposals = slices.DeleteFunc(i.Proposals, func(p Proposal) bool {
		return p.Member == member || lapsed(p.Ready, call.Time)
	})
	i.Proposals = append(withdraw(i.Proposals, member), Proposal{
		Member: member, Guardian: a.Guardian, Kind: a.Kind, Until: a.Until,
		Opened: call.Time, Ready: call.Time + a.Wait, Approvals: []string{member},
	})
	slices.SortFunc(i.Proposals, func(a, b Proposal) int { return strings.Compare(a.Member, b.Member) })
}

// proposal returns the index of the one that is meant, or ErrGuardian. What a
// member proposed that has left is nothing any more.
func (i *Identity) proposal(a *ProposalArgs, call *ledger.Call) (int, error) {
	at := slices.IndexFunc(i.Proposals, func(p Proposal) bool {
		return p.Member == a.Member && p.Guardian == a.Guardian && p.Kind == a.Kind && p.Until == a.Until && p.Ready-p.Opened == a.Wait &&
			!lapsed(p.Ready, call.Time) && call.Consortium.Member(p.Member) != nil
	})
	if at < 0 {
		return 0, ErrGuardian
	}
	return at, nil
}

func approveGuardian(call *ledger.Call, by Caller, a *ProposalArgs) (*Identity, error) {
	id, err := Lookup(call.State, a.Name)
	if err != nil {
		return nil, err
	}
	at, err := id.proposal(a, call)
	if err != nil || slices.Contains(id.Proposals[at].Approvals, by.Member.Name) {
		return id, err
	}
	id.Proposals = withdraw(id.Proposals, by.Member.Name)
	if at, err = id.proposal(a, call); err != nil {
		return nil, err
	}
	p := &id.Proposals[at]
	p.Approvals = append(p.Approvals, by.Member.Name)
	slices.Sort(p.Approvals)
	return id, nil
}

func finishGuardian(call *ledger.Call, _ Caller, a *ProposalArgs) (*Identity, error) {
	id, err := Lookup(call.State, a.Name)
	if err != nil {
		return nil, err
	}
	at, err := id.proposal(a, call)
	if err != nil {
		return nil, err
	}
	p := id.Proposals[at]
	switch {
	case call.Time < p.Ready:
		return nil, ErrEarly
	case backed(p.Approvals, call.Consortium) < call.Consortium.KeyThreshold:
		return nil, ErrApprovals
	case p.Until != 0 && p.Until <= call.Time:
		return nil, ErrUntil
	}
	id.Proposals = slices.Delete(id.Proposals, at, at+1)
	return id, id.guard(Guardian{Name: p.Guardian, Kind: p.Kind, By: p.Member, Since: call.Time, Until: p.Until}, call)
}

func endGuardian(call *ledger.Call, by Caller, a *EndGuardianArgs) (*Identity, error) {
	if by.Member == nil && by.Identity.Name != a.Name && by.Identity.Name != a.Guardian {
		return nil, ErrDenied
	}
	id, err := Lookup(call.State, a.Name)
	if err != nil {
		return nil, err
	}
	before := len(id.Guardians) + len(id.Proposals)
	theirs := func(member string) bool { return by.Member == nil || by.Member.Name == member }
	id.Guardians = slices.DeleteFunc(id.Guardians, func(g Guardian) bool { return g.Name == a.Guardian && theirs(g.By) })
	id.Proposals = slices.DeleteFunc(id.Proposals, func(p Proposal) bool { return p.Guardian == a.Guardian && theirs(p.Member) })
	if len(id.Guardians)+len(id.Proposals) == before {
		return nil, ErrGuardian
	}
	return id, nil
}
