package ward

import (
	"context"
	"io"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/store"
)

// A Node is a member's node as a client needs it: the one of the client's own
// hospital, or any other. Nothing it says is taken on trust. Package
// node/remote has the one that speaks to a node over HTTPS; package node has
// one in the same process.
//
// Its methods may be called concurrently. Besides the errors below they return
// ErrUnavailable when the node cannot be reached or does not answer.
type Node interface {
	// Submit puts a transaction on the chain and returns its receipt. It may be
	// repeated with the same transaction. Errors: ErrUnknown, ErrNoQuorum,
	// ErrNotCommitted, ErrBusy, ErrReadOnly.
	Submit(ctx context.Context, tx *chain.Tx, sidecar []byte) (*chain.Receipt, error)

	// Ask answers an encoded question of package query.
	Ask(ctx context.Context, question []byte) (*query.Answer, error)

	// Receipt returns the receipt of the transaction with a leaf index under
	// the newest certified checkpoint. Error: ErrNotFound.
	Receipt(ctx context.Context, index uint64) (*chain.Receipt, error)

	// Sidecar returns the sidecar of a transaction. Errors: ErrNotFound,
	// ErrErased.
	Sidecar(ctx context.Context, index uint64) ([]byte, error)

	// Consortium returns the arguments of the transactions that replaced the
	// consortium file after an epoch, in order.
	Consortium(ctx context.Context, epoch uint64) ([][]byte, error)

	// Checkpoint returns the newest certified checkpoint.
	Checkpoint(ctx context.Context) (*chain.Checkpoint, error)

	// PartialKeys returns members' answers to the key request with a leaf
	// index: t of them, or all there are, none of a member named in without,
	// whose answers were wrong. Error: ErrShares if fewer than t answered.
	PartialKeys(ctx context.Context, index uint64, without []string) ([]Part, error)

	// Answers returns members' answers to the access with a leaf index, as
	// PartialKeys does. Errors: ErrShares, and the code of package consent if
	// the members refuse.
	Answers(ctx context.Context, index uint64, without []string) ([]Part, error)

	// Accessed returns the records of an access as the chain has them, with
	// their sealed indexes, in order.
	Accessed(ctx context.Context, index uint64) ([]Sealed, error)

	// Export writes the chain as package chain/audit reads it.
	Export(ctx context.Context, w io.Writer) error

	// Blobs returns the node's store of sealed payloads.
	Blobs() store.Store
}

// A Sealed is a record with its sealed index.
type Sealed struct {
	_      struct{} `cbor:",toarray"`
	Record record.Record
	Index  []byte // the sealed index; empty if it was erased
}
