// Package protocol is what package api, which serves a node, and package
// remote, which calls one, must agree on: paths, media types, the bodies that
// travel, how a caller proves who it is, and how an error of one end becomes
// the same error at the other.
//
// Everything goes over TLS 1.3. The server's certificate carries its node key,
// which clients pin out of the consortium file; there is no certificate
// authority. A member that calls proves its node key with a certificate of its
// own, everybody else signs a Token for each request.
package protocol

import (
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
)

// Paths, as patterns of net/http. Part of the protocol.
const (
	PathSubmit      = "/v1/transactions"
	PathReceipt     = "/v1/transactions/{index}/receipt"
	PathSidecar     = "/v1/transactions/{index}/sidecar"
	PathAsk         = "/v1/questions"
	PathConsortium  = "/v1/consortium"
	PathPartialKeys = "/v1/key-requests/{index}/parts"
	PathAnswers     = "/v1/accesses/{index}/parts"
	PathAccessed    = "/v1/accesses/{index}/records"
	PathExport      = "/v1/export"
	PathEvents      = "/v1/events"
	PathStatus      = "/v1/status"
	PathBlobs       = "/v1/blobs" // what the node can get anywhere

	// Among members.
	PathAttest     = "/v1/member/attestations"
	PathPartialKey = "/v1/member/key-requests/{index}/part"
	PathAnswer     = "/v1/member/accesses/{index}/part"
	PathSignHead   = "/v1/member/heads/{height}/signature"
	PathEndorse    = "/v1/member/endorsements"
	PathLocalBlobs = "/v1/member/blobs" // what the member stores itself

	// Below PathBlobs and PathLocalBlobs.
	PathBlob     = "/{ref}"
	PathBlobInfo = "/{ref}/info"
	PathBlobTree = "/{ref}/tree"

	// C2SP tlog-tiles, below the root: https://c2sp.org/tlog-tiles.
	PathCheckpoint = "/checkpoint"
	PathTiles      = "/tile/"

	// For whoever watches over the node.
	PathHealth  = "/healthz"
	PathReady   = "/readyz"
	PathMetrics = "/metrics"
	PathOpenAPI = "/openapi.json"
)

// Media types.
const (
	TypeCBOR    = "application/cbor" // chain.Marshal of what the path says
	TypeBytes   = "application/octet-stream"
	TypeNote    = "text/plain; charset=utf-8" // a signed note
	TypeJSON    = "application/json"
	TypeProblem = "application/problem+json" // RFC 9457
	TypeEvents  = "text/event-stream"
)

// Headers.
const (
	HeaderRequestID = "X-Request-Id" // of a response: what the node's log calls the request
)

// Limits on bodies, in bytes. A body without one in this list is not longer
// than MaxBody.
const (
	MaxSubmission = chain.MaxTx + chain.MaxSidecar + 16
	MaxQuestion   = 4 << 10
	MaxConsortium = 256 << 10 // one consortium file with its endorsements
	MaxBody       = 64 << 20
)

// MaxWithout is how many members a caller may exclude.
const MaxWithout = 64

// A Submission is the body of PathSubmit. The answer is a receipt.
type Submission struct {
	_       struct{} `cbor:",toarray"`
	Tx      []byte
	Sidecar []byte // empty for none
}

// An Attested is what PathAttest answers: one member's word.
type Attested struct {
	_           struct{} `cbor:",toarray"`
	Value       []byte
	Code        chain.Code
	Attestation query.Attestation
}

// An Event is the data of one server-sent event, in JSON. The id of the event
// is Index; all events of a transaction have the same.
type Event struct {
	Index uint64 `json:"index"` // of the transaction's leaf
	Time  int64  `json:"time"`  // of its block, Unix milliseconds
	Kind  string `json:"kind"`  // such as "consent/grant"
	Data  []byte `json:"data"`  // deterministic CBOR, as the contract says
}

// A BlobInfo is what PathBlobInfo answers, in JSON.
type BlobInfo struct {
	Size int64 `json:"size"` // bytes
	Time int64 `json:"time"` // when it was last put, Unix milliseconds
}
