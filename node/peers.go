package node

import (
	"context"
	"crypto"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/store"
)

// A Peer is another member's node as this one needs it. Nothing it says is taken
// on trust. A *Node is one, for nodes in one process; package node/remote has
// the one that speaks to a node over HTTPS.
//
// Its methods may be called concurrently. They return the code of a contract
// where the member refuses, and ward.ErrUnavailable when it cannot be reached.
type Peer interface {
	// Attest gives the member's own word on a question.
	Attest(ctx context.Context, question []byte) (value []byte, code chain.Code, a query.Attestation, err error)
	// PartialKey gives the member's own part for a key request.
	PartialKey(ctx context.Context, index uint64) (ward.Part, error)
	// AnswerAccess gives the member's own answer to an access.
	AnswerAccess(ctx context.Context, index uint64) (ward.Part, error)
	// SignHead gives the member's part of the threshold signature on the
	// certified checkpoint at a height.
	SignHead(ctx context.Context, height uint64) ([]byte, error)
	// Endorse gives the member's consent to the next consortium file.
	Endorse(ctx context.Context, next *chain.Consortium) (chain.Endorsement, error)
	// Checkpoint returns the member's newest certified checkpoint.
	Checkpoint(ctx context.Context) (*chain.Checkpoint, error)
	// LocalBlobs is what the member stores itself.
	LocalBlobs() store.Store
}

// Peers finds the nodes of the other members.
type Peers interface {
	// Peer returns the node of a member, without connecting to it yet. The
	// error is ward.ErrNotFound if there is no such member.
	Peer(member string) (Peer, error)
	// Close releases connections.
	Close() error
}

// A Self is how a node presents itself to the others.
type Self struct {
	Member string
	Key    crypto.Signer // node key
	// Consortium returns the consortium file in force.
	Consortium func() *chain.Consortium
}
