package identity

import (
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// A Party is who may sign a transaction.
type Party string

// The parties.
const (
	ByMember    Party = "member"              // node key of a member
	ByRegistrar Party = "member or registrar" // node key of the member, or an identity of it with the attribute
	ByAnyone    Party = "registered identity"
	ByAuthor    Party = "author"    // identity with the attribute, or the owner
	ByEmergency Party = "emergency" // identity with the attribute
	ByReviewer  Party = "reviewer"  // identity with the attribute
)

// A Rule says who may call a method. The contract may ask for more: that the
// signer is the owner, or the recipient.
type Rule struct {
	Contract, Method string
	By               Party
	And              string // what the contract asks for besides, in words
}

// A Caller is who signed a transaction: a member, or an identity.
type Caller struct {
	Member   *chain.Member // nil if an identity signed
	Identity *Identity     // nil if a member signed
}

// Rules returns the table of who may call what, sorted by contract and method.
// A method without a line cannot be called.
func Rules() []Rule { panic("skeleton") }

// Authorize returns who signed the transaction, or ErrDenied if the table does
// not let them call the method.
func Authorize(call *ledger.Call, contract, method string) (Caller, error) { panic("skeleton") }
