// Package query asks questions about the state of the chain and lets members
// vouch for the answers.
//
// The state has no proofs of its own. So a client asks any node; the node
// answers from its state and gathers the signatures of other members that read
// the same from theirs; and the client takes an answer that f+1 members
// signed, of whom at least one is honest, beside a certified checkpoint that is
// not older than what they signed for. With n < 4, where f = 0, an answer rests
// on the word of one member.
//
// SPEC.md gives the questions, their answers and the bytes that are signed.
package query

import (
	"crypto"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// A Question is one of the structs below; its encoding names it. Each has a
// method that gives the type of the answer.
type Question interface{ Kind() string }

// The questions. Lists end after Limit entries, 0 meaning 100 and at most
// 1,000; After is the leaf index (or name) of the last entry seen.
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
	// Records asks for those of an owner. The answer is []record.Record.
	Records struct {
		_            struct{} `cbor:",toarray"`
		Owner        identity.Name
		Type         pre.Type
		Since, Until int64
		Author       identity.Name
		Erased       bool
		After        uint64
		Limit        int
	}
	// Grant asks for one grant. The answer is a GrantState.
	Grant struct {
		_  struct{} `cbor:",toarray"`
		ID consent.GrantID
	}
	// Grants asks for those of an owner or to a recipient; one of the two is
	// empty. The answer is []GrantState.
	Grants struct {
		_         struct{} `cbor:",toarray"`
		Owner     identity.Name
		Recipient identity.Name
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
	Sharing []byte // pre.Sharing in force for it
	Holders []uint8
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

// Encode returns the encoding of a question.
func Encode(q Question) ([]byte, error) { panic("skeleton") }

// Parse reads what Encode wrote.
func Parse(b []byte) (Question, error) { panic("skeleton") }

// Run answers a question from the whole state; of gives the namespace of a
// contract, time is that of the state's block in Unix milliseconds. A thing
// that is not there is an error that is the contract's ErrUnknown.
func Run(of func(contract string) ledger.Reader, chainID string, time int64, q Question) ([]byte, error) {
	panic("skeleton")
}

// An Attestation is a member's signature on an answer.
type Attestation struct {
	_         struct{} `cbor:",toarray"`
	Member    string
	Height    uint64     // of the certified block whose state it read
	Block     chain.Hash // hash of that block's header
	Time      int64      // by the member's clock, Unix milliseconds
	Signature []byte     // by its node key, 64 bytes
}

// Attest signs an answer: a value, or the code of the error that Run gave. The
// caller has read it from the state after the block, which is certified, and
// that state was not behind when it was asked.
func Attest(k *chain.Consortium, member string, block chain.Header, question, value []byte, code chain.Code, now time.Time, key crypto.Signer) (Attestation, error) {
	panic("skeleton")
}

// An Answer is a value with the members that vouch for it.
type Answer struct {
	_            struct{}   `cbor:",toarray"`
	Value        []byte     // CBOR; empty if Code is set
	Code         chain.Code // the error that Run gave, which is signed like a value
	Checkpoint   []byte     // certified signed note
	Attestations []Attestation
}

// Verify checks an answer to a question (encoded) that was asked at a time:
// f+1 members of k signed it, none of them more than skew before that time or
// after now, and the checkpoint is certified and not older than what they
// signed for. It returns the checkpoint.
func (a *Answer) Verify(k *chain.Consortium, question []byte, asked, now time.Time, skew time.Duration) (*chain.Checkpoint, error) {
	panic("skeleton")
}
