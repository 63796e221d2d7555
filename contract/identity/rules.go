package identity

import (
	"errors"
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// A Party is who may sign a transaction.
type Party string

// The parties.
const (
	ByMember      Party = "member"              // node key of a member
	ByParticipant Party = "participant"         // node key that a ceremony names: of a member, or of one that leaves
	ByRegistrar   Party = "member or registrar" // node key of the member, or an identity of it with the attribute
	ByAnyone      Party = "registered identity"
	ByEither      Party = "member or registered identity"
	ByAuthor      Party = "author"    // identity with the attribute, or the owner
	ByEmergency   Party = "emergency" // identity with the attribute
	ByReviewer    Party = "reviewer"  // identity with the attribute
)

// A Rule says who may call a method. The contract may ask for more: that the
// signer is the owner, or the recipient.
type Rule struct {
	Contract, Method string
	By               Party
	And              string // what the contract asks for besides, in words
}

// A Caller is who signed a transaction: a member, or an identity. For
// ByParticipant it may be neither.
type Caller struct {
	Member   *chain.Member // nil if an identity signed
	Identity *Identity     // nil if a member signed
}

// rules is never changed.
var rules = []Rule{
	{"consent", "accept", ByMember, "was dealt a share of each grant"},
	{"consent", "access", ByAnyone, "is the recipient of the grant, or satisfies its policy"},
	{"consent", "defaults", ByMember, "for itself"},
	{"consent", "deny", ByAnyone, "is the owner asked, a guardian of the owner, or the asker"},
	{"consent", "emergency", ByEmergency, "has the signature of another with the attribute"},
	{"consent", "grant", ByAnyone, "is the owner in the grant, or a guardian of the owner"},
	{"consent", "request", ByAnyone, ""},
	{"consent", "review", ByReviewer, "is of the owner's organisation, and neither read nor signed the access"},
	{"consent", "revoke", ByAnyone, "is the owner in the grant, or a guardian of the owner"},

	{Contract, MethodApprove, ByMember, ""},
	{Contract, MethodApproveGuardian, ByMember, ""},
	{Contract, MethodAttest, ByRegistrar, "is of the organisation of the name; only the member changes reserved attributes"},
	{Contract, MethodAuthority, ByMember, "for itself"},
	{Contract, MethodCustody, ByAnyone, "for itself; holds its own key"},
	{Contract, MethodCustodyOff, ByAnyone, "for itself"},
	{Contract, MethodEndGuardian, ByEither, "is the ward, the guardian, or the member that named him"},
	{Contract, MethodEpoch, ByAnyone, "for itself"},
	{Contract, MethodFinish, ByMember, ""},
	{Contract, MethodFinishGuardian, ByMember, ""},
	{Contract, MethodGuardian, ByEither, "is the ward, for a delegate; otherwise the member of the name's organisation, or any member if that is none"},
	{Contract, MethodHandOver, ByAnyone, "for itself; its organisation holds its key"},
	{Contract, MethodRecover, ByMember, ""},
	{Contract, MethodRegister, ByRegistrar, "is of the organisation of the name; only the member gives reserved attributes"},
	{Contract, MethodRotate, ByAnyone, "for itself"},
	{Contract, MethodVeto, ByAnyone, "for itself"},

	{"keys", "announce", ByMember, "for itself"},
	{"keys", "close", ByMember, ""},
	{"keys", "open", ByMember, ""},
	{"keys", "post", ByParticipant, "is the sender that the message names"},
	{"keys", "request", ByAnyone, "for itself, or as a guardian"},

	{"record", "erase", ByAnyone, "is the owner of the record"},
	{"record", "put", ByAuthor, "if it replaces a record: is of its author's organisation, or the owner"},

	{"workflow", "define", ByMember, ""},
	{"workflow", "endorse", ByMember, ""},
	{"workflow", "start", ByAnyone, "is one of those who may, by the definition"},
	{"workflow", "step", ByAnyone, "is one of those who may, by the definition"},
	{"workflow", "tick", ByAnyone, ""},
	{"workflow", "withdraw", ByMember, "proposed the version"},
}

// Rules returns the table of who may call what, sorted by contract and method.
// A method without a line cannot be called.
func Rules() []Rule { return slices.Clone(rules) }

// Authorize returns who signed the transaction, or ErrDenied if the table does
// not let them call the method. Attributes count as long as the organisation
// that attests them is a member.
//
// What is said of one object is the contract's to check: for ByRegistrar that
// the organisation is the caller's, for ByAuthor that the caller has the
// attribute or is the owner, for ByParticipant that the ceremony names the key.
// Any other error is one of reading the state.
func Authorize(call *ledger.Call, contract, method string) (Caller, error) {
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.Contract == contract && r.Method == method })
	if i < 0 {
		return Caller{}, ErrDenied
	}
	by := rules[i].By
	if m := call.Consortium.MemberByKey(call.Signer); m != nil {
		if by != ByMember && by != ByRegistrar && by != ByParticipant && by != ByEither {
			return Caller{}, ErrDenied
		}
		return Caller{Member: m}, nil
	}
	id, err := ByKey(call.Of(Contract), call.Signer)
	switch {
	case errors.Is(err, ErrUnknown) && by == ByParticipant:
		return Caller{}, nil
	case errors.Is(err, ErrUnknown):
		return Caller{}, ErrDenied
	case err != nil:
		return Caller{}, err
	}
	allowed := false
	switch by {
	case ByAnyone, ByAuthor, ByParticipant, ByEither:
		allowed = true
	case ByRegistrar:
		allowed = id.Vouched(call.Consortium, Registrar, "", call.Time)
	case ByEmergency:
		allowed = id.Vouched(call.Consortium, Emergency, "", call.Time)
	case ByReviewer:
		allowed = id.Vouched(call.Consortium, Reviewer, "", call.Time)
	}
	if !allowed {
		return Caller{}, ErrDenied
	}
	return Caller{Identity: id}, nil
}
