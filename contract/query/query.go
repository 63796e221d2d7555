// Package query asks questions about the state of the chain and lets members
// vouch for the answers.
//
// The state has no proofs of its own. So a client asks any node; the node
// answers from its state and gathers the signatures of other members that read
// the same from theirs; and the client takes an answer that f+1 members
// signed, of whom at least one is honest, beside a certified checkpoint that is
// not older than what they signed for. With n < 4, where f = 0, an answer rests
// on the word of one member. That it is of now rests on the leader, too: see
// SPEC.md, section 4.
//
// SPEC.md gives the questions, their answers and the bytes that are signed.
package query

import (
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// A Question is one of the structs below; its encoding names it.
type Question interface {
	// Kind is the name of the question, such as "records".
	Kind() string

	check() error
	run(s state) (any, error)
}

// DefaultLimit and MaxLimit bound the entries of a list. Part of the format.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// The questions. Lists end after Limit entries, 0 meaning DefaultLimit and at
// most MaxLimit; After is the leaf index (or name) of the last entry seen, 0
// (or "") to begin with the first.
type (
	// Identity asks for one identity. The answer is an identity.Identity.
	Identity struct {
		_    struct{} `cbor:",toarray"`
		Name identity.Name
	}
	// Identities asks for those of an organisation. The answer is []identity.Identity.
	Identities struct {
		_     struct{} `cbor:",toarray"`
		Org   string
		After identity.Name
		Limit int
	}
	// Record asks for one record. The answer is a record.Record.
	Record struct {
		_  struct{} `cbor:",toarray"`
		ID record.ID
	}
	// Records asks for those of an owner. With Grant, which is one of hers, it asks
	// for those of them that the grant covers, whether or not it is in force. The
	// answer is []record.Record.
	Records struct {
		_            struct{} `cbor:",toarray"`
		Owner        identity.Name
		Type         pre.Type
		Since, Until int64
		Author       identity.Name
		Erased       bool
		After        uint64
		Limit        int
		Grant        consent.GrantID
	}
	// Grant asks for one grant. The answer is a GrantState.
	Grant struct {
		_  struct{} `cbor:",toarray"`
		ID consent.GrantID
	}
	// Grants asks for those of an owner, to a recipient by name, or to policies
	// that name an authority: exactly one of the three is set. With Reader, which
	// may stand beside Owner or Authority, it asks for those of them that are to
	// the reader by name, or to a policy that its attributes satisfy now, whether
	// or not they are in force. The answer is []GrantState.
	Grants struct {
		_         struct{} `cbor:",toarray"`
		Owner     identity.Name
		Recipient identity.Name
		Authority string
		Reader    identity.Name
		After     uint64
		Limit     int
	}
	// Requests asks for those to an owner or from an asker. The answer is
	// []consent.Request.
	Requests struct {
		_     struct{} `cbor:",toarray"`
		Owner identity.Name
		From  identity.Name
		After uint64
		Limit int
	}
	// Accesses asks for the log; see consent.Accesses. The answer is
	// []consent.Access.
	Accesses struct {
		_      struct{} `cbor:",toarray"`
		Owner  identity.Name
		Reader identity.Name
		Record record.ID
		Open   bool
		After  uint64
		Limit  int
	}
	// AttributeAuthority asks for what a member published for grants to the
	// attributes of its staff, in an epoch, 0 meaning the current one. The answer
	// is an identity.Authority, without Raw for an epoch of the past.
	AttributeAuthority struct {
		_     struct{} `cbor:",toarray"`
		Name  string
		Epoch uint64
	}
	// Defaults asks for the grants that an organisation proposes to its patients.
	// The answer is a consent.Defaults.
	Defaults struct {
		_   struct{} `cbor:",toarray"`
		Org string
	}
	// Authority asks for the shared keys in force. The answer is an
	// AuthorityState.
	Authority struct {
		_ struct{} `cbor:",toarray"`
	}
)

// A GrantState is a grant with what depends on more than itself.
type GrantState struct {
	_       struct{} `cbor:",toarray"`
	Grant   consent.Grant
	Status  consent.Status
	Sharing []byte  // pre.Sharing in force for it; empty if it is lost
	Holders []uint8 // members that hold a share of it, by index
	Lost    bool    // a ceremony could not move its shares: nobody can serve it any more
}

// An AuthorityState is what encrypting and granting need.
type AuthorityState struct {
	_          struct{} `cbor:",toarray"`
	Ready      bool     // the consortium has its keys
	Generation uint32
	Members    []string // by index, from 1
	Transport  [][]byte // keys to seal shares to, by index; empty for a member that announced none
	Identity   []byte   // pre.Sharing
	Checkpoint []byte   // threshold.Sharing
	Moving     bool     // a ceremony is under way: no grants for now
}
