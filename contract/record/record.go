// Package record is the contract that keeps the index of records: who wrote
// what for whom, of which type and when, with the capsule that only the owner
// and those she grants to can open. The sealed index of a record is the
// sidecar of the transaction that put it; the payload is a blob in a store.
//
// SPEC.md gives every method with its arguments, rules, results and events.
package record

import (
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// Contract is the name of the contract on the chain.
const Contract = "record"

// An ID names a record: "r-" and 26 characters of lower-case base32 (RFC 4648,
// no padding) for 16 random bytes.
type ID string

// MaxAhead is how far beyond the time of its block a record may be dated, in
// milliseconds: a day. Day is the unit of dates. Part of the rules.
const (
	Day      = 24 * 60 * 60 * 1000
	MaxAhead = Day
)

// A Record is what the chain keeps of one record.
type Record struct {
	_        struct{} `cbor:",toarray"`
	ID       ID
	Owner    identity.Name
	Author   identity.Name
	Type     pre.Type
	Version  uint32 // of the owner's custody key
	Epoch    uint64 // of the owner
	Key      []byte // P' that it was written to, 48 bytes
	Envelope []byte // pre.Envelope
	Payload  []byte // store.Ref of the sealed payload, 36 bytes; empty if there is none
	Size     uint64 // of the sealed payload in bytes, padded
	Dated    int64  // when what it tells of happened, Unix milliseconds, whole days
	Index    uint64 // leaf index of the put; its sidecar is the sealed index
	Time     int64  // block time of the put
	Replaces ID     // the record that it supersedes, or ""
	Replaced ID     // the record that superseded it, or ""
	Erased   int64  // block time of its erasure; 0 if it is there
}

// Methods.
const (
	MethodPut   = "put"   // PutArgs; sidecar: the sealed index
	MethodErase = "erase" // EraseArgs
)

// PutArgs put a record. The sidecar is the sealed index.
type PutArgs struct {
	_        struct{} `cbor:",toarray"`
	ID       ID
	Owner    identity.Name
	Type     pre.Type
	Version  uint32
	Epoch    uint64
	Envelope []byte
	Payload  []byte
	Size     uint64
	Dated    int64
	Replaces ID
}

// EraseArgs erase a record: every member deletes the sealed index, and the
// payload unless another record refers to it. A tombstone stays.
type EraseArgs struct {
	_  struct{} `cbor:",toarray"`
	ID ID
}

// EventPut and EventErase tell subscribers; their data is the Record with an
// empty Envelope.
const (
	EventPut   = "record/put"
	EventErase = "record/erase"
)

// Codes. Part of the format.
const (
	ErrMalformed chain.Code = "record/malformed"
	ErrDenied    chain.Code = "record/denied"
	ErrUnknown   chain.Code = "record/unknown"
	ErrOwner     chain.Code = "record/owner"   // no such owner
	ErrTaken     chain.Code = "record/taken"   // the id is in use
	ErrStale     chain.Code = "record/stale"   // not the owner's key version or epoch in force: look it up again
	ErrCapsule   chain.Code = "record/capsule" // the capsule's proof does not hold, or its wraps are not one for each level
	ErrReused    chain.Code = "record/reused"  // the capsule's U was seen before
	ErrSidecar   chain.Code = "record/sidecar" // the sidecar is missing
	ErrErased    chain.Code = "record/erased"
	ErrReplaced  chain.Code = "record/replaced" // superseded already, or by another owner's
	ErrPayload   chain.Code = "record/payload"  // another owner's record refers to the payload
	ErrNoKey     chain.Code = "record/no-key"   // the consortium has no extraction key yet
)

// A Filter selects records in a listing. Zero fields select all.
type Filter struct {
	Type         pre.Type // it and everything below, sealed components too
	Since, Until int64    // of Dated, inclusive
	Author       identity.Name
	Erased       bool // tombstones and superseded records too
}
