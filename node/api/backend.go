// Package api serves a node over HTTPS: for clients, for the other members, and
// for whoever watches over it. OpenAPI 3.1 describes it at /openapi.json.
package api

import (
	"context"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/store"
)

// A Backend is the node behind the API. Package node has it. One that is a
// tlog.HashReader too, of the tree of its chain, has its tiles served.
type Backend interface {
	ward.Node

	// Member is whose node it is.
	Member() string
	// Members is the consortium file in force.
	Members() *chain.Consortium
	// Identify returns for whom a key signs now: a member or an identity. The
	// error is identity.ErrUnknown if nobody.
	Identify(ctx context.Context, key chain.PublicKey) (identity.Caller, error)

	// What members ask each other. The error is the code of a contract where it
	// refuses.

	// Attest gives this member's own word on a question.
	Attest(ctx context.Context, question []byte) (value []byte, code chain.Code, a query.Attestation, err error)
	// PartialKey gives this member's own part for a key request.
	PartialKey(ctx context.Context, index uint64) (ward.Part, error)
	// AnswerAccess gives this member's own answer to an access.
	AnswerAccess(ctx context.Context, index uint64) (ward.Part, error)
	// SignHead gives this member's part of the threshold signature on the
	// certified checkpoint at a height.
	SignHead(ctx context.Context, height uint64) ([]byte, error)
	// Endorse gives this member's consent to the next consortium file, if its
	// operator gave it, or if the file only adds the keys that the members made.
	Endorse(ctx context.Context, next *chain.Consortium) (chain.Endorsement, error)
	// LocalBlobs is what this member stores itself; Blobs also asks the others.
	LocalBlobs() store.Store
	// Referenced reports whether a record that is not erased refers to a blob, as
	// far as this member has the chain.
	Referenced(ctx context.Context, ref store.Ref) (bool, error)

	// Live returns nil while the process does its work, Ready while clients can
	// use it; otherwise why not.
	Live() error
	Ready() error
	// Status says how the node is doing, for people and for /v1/status.
	Status() Status
}

// Status says how a node is doing.
type Status struct {
	Member     string `json:"member"`
	Chain      string `json:"chain"`
	Version    string `json:"version"`
	Leader     string `json:"leader"`
	Height     uint64 `json:"height"`
	Certified  uint64 `json:"certified"`
	Size       uint64 `json:"transactions"`
	Sealed     bool   `json:"sealed"`
	Fresh      bool   `json:"fresh"` // it has caught up since it started, and serves
	Generation uint32 `json:"generation"`
	Ceremony   string `json:"ceremony"` // state of the newest one, "" if there was none
	Shares     int    `json:"shares"`   // of grants in the vault
	ReadOnly   bool   `json:"read_only"`
	Blobs      int64  `json:"blobs"`
	BlobBytes  int64  `json:"blob_bytes"`
}
