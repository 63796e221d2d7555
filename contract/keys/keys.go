// Package keys is the contract that carries the consortium's key ceremonies
// and the requests for identity keys. It orders the members' messages, works
// the outcome out from them, and keeps the public side of what was shared: the
// members' machines (package dkg) do the rest off the chain, from what is on it.
//
// SPEC.md gives every method with its arguments, rules, results and events.
package keys

import (
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/pre"
)

// Contract is the name of the contract on the chain.
const Contract = "keys"

// An Authority is the consortium's two keys as they are shared now.
type Authority struct {
	_          struct{} `cbor:",toarray"`
	Generation uint32
	Ceremony   uint64            // number of the ceremony that made it
	Members    []string          // names in the order of their indices, which begin at 1
	Nodes      []chain.PublicKey // their node keys
	Identity   []byte            // pre.Sharing of s
	Checkpoint []byte            // threshold.Sharing of v
	Holders    []uint8           // members that confirmed their shares
	Complete   bool              // shares of the generation before are to be erased
}

// Index returns the member's number in the sharing, or 0.
func (a *Authority) Index(member string) uint8 { return uint8(slices.Index(a.Members, member) + 1) }

// Sharing returns the public side of the identity key.
func (a *Authority) Sharing() (*pre.Sharing, error) { return pre.ParseSharing(a.Identity) }

// A Ceremony is one run of the key ceremony.
type Ceremony struct {
	_      struct{} `cbor:",toarray"`
	Number uint64   // 1, 2, …
	ID     [32]byte // id field of its description: hash of chain and number
	Opened uint64   // leaf index of the transaction that opened it
	State  State
	Posts  uint64   // messages and ticks so far; see Messages
	Roster []string // names of the new members, in their order
	Ended  uint64   // leaf index of the transaction that put its result in force or found it aborted; 0 before
	Grants uint32   // that move
}

// Moving reports whether the ceremony keeps grants from being made: they would
// not be among those that move.
func (c *Ceremony) Moving() bool { return c.State == Preparing || c.State == Running }

// Runs reports whether the members' machines are at work and have not come to a
// result that the chain has.
func (c *Ceremony) Runs() bool { return c.State == Running || c.State == Handing }

// State is what became of a ceremony.
type State uint8

// The states. Part of the format.
const (
	Running   State = iota
	Active          // its result is in force; late members may still confirm
	Completed       // and older shares are not needed any more
	Aborted
	Preparing // live grants are still being listed: open once more with the same number
	Handing   // as Running, for a part of a hand-over: grants can be made, and are found later
)

// Methods. All but request are for members.
const (
	MethodAnnounce = "announce" // AnnounceArgs
	MethodOpen     = "open"     // OpenArgs
	MethodPost     = "post"     // PostArgs
	MethodClose    = "close"    // CloseArgs
	MethodRequest  = "request"  // RequestArgs, by the identity or a guardian
)

// AnnounceArgs publish the key to which shares of grants are sealed for the
// member that signs.
type AnnounceArgs struct {
	_         struct{} `cbor:",toarray"`
	Transport []byte   // pre.TransportKey.Public, 32 bytes
}

// OpenArgs open a ceremony: the first one makes the keys, later ones move them
// and every live grant to the members of the consortium file in force. Its
// description follows from the state; see Description.
//
// One transaction lists about a thousand grants. While there are more, the
// ceremony is Preparing, and any member opens it again with the same number and
// windows until it is Running or Handing. The latter says that there were more
// grants than one ceremony moves: this one is a part of a Handover, and whoever
// opens the next ceremonies opens its other parts; see Due. The result is the
// Ceremony.
type OpenArgs struct {
	_       struct{}  `cbor:",toarray"`
	Number  uint64    // of the new ceremony: one more than the last
	Windows [4]Window // join, deal, complain, confirm
}

// Window is dkg.Window, except that it always ends by time.
type Window struct {
	_            struct{} `cbor:",toarray"`
	Positions    uint64   // 0 for no such limit
	Milliseconds uint64   // 1 to seven days
}

// PostArgs post a message of a ceremony in one or more parts; only deals have
// several. It counts at the leaf index and block time of its last part. Part 0
// of a message that is not complete begins it anew.
type PostArgs struct {
	_      struct{} `cbor:",toarray"`
	Number uint64   // of the ceremony
	Phase  uint8
	About  uint8  // dealer complained about; 0 in other phases
	Part   uint32 // 0, 1, … in order
	Parts  uint32
	Data   []byte // 1 to 40,960 bytes
}

// CloseArgs end a phase of a ceremony: the contract runs the messages through a
// machine of its own, to which this transaction is a tick, and records what
// became of it. It fails with ErrRunning if the phase is the one recorded and
// no member has confirmed since. A member sends it when its own machine has
// come to another phase, or would by now if it were told the time.
//
// It takes several for a result with more than about a thousand grants: the
// ceremony stays Running until the last one, and none of them fails. The result
// is the Ceremony.
type CloseArgs struct {
	_      struct{} `cbor:",toarray"`
	Number uint64
}

// RequestArgs ask the members for the signer's own key of a type, or for its
// inbox key; or, as a guardian, for the key of a type of the owner's, unless she
// is in self-custody. Members answer off the chain, sealed to Transport.
type RequestArgs struct {
	_         struct{} `cbor:",toarray"`
	Inbox     bool
	Type      pre.Type
	Epoch     uint64        // of the owner, at most the one in force: older records stay hers
	Transport []byte        // 32 bytes
	Owner     identity.Name // for whom the signer asks as a guardian; "" for himself
}

// RequestResult is the result of a request: the identity that the keys are for,
// in the epoch asked for.
type RequestResult struct {
	_        struct{} `cbor:",toarray"`
	Identity []byte   // pre.Identity.Description
}

// Events, with the Ceremony as data.
const (
	EventOpened = "keys/opened"
	EventPosted = "keys/posted" // data: PostArgs of the last part without Data
	EventClosed = "keys/closed"
)

// Codes. Part of the format.
const (
	ErrMalformed  chain.Code = "keys/malformed"
	ErrDenied     chain.Code = "keys/denied"
	ErrUnknown    chain.Code = "keys/unknown"    // no such ceremony
	ErrRunning    chain.Code = "keys/running"    // a ceremony is under way
	ErrNumber     chain.Code = "keys/number"     // not the next number
	ErrRefused    chain.Code = "keys/refused"    // the message is not one that could count
	ErrThresholds chain.Code = "keys/thresholds" // those of the consortium file are none that a ceremony can have
	ErrNoKey      chain.Code = "keys/no-key"     // the consortium file in force holds no key, or not this one
	ErrEpoch      chain.Code = "keys/epoch"      // the owner has not reached that epoch
	ErrCustody    chain.Code = "keys/custody"    // the owner is in self-custody: a guardian gets no key of hers
)

// A Message is a posted message with its place in the log, or a tick: a close
// that ended a phase, for which Raw is nil.
type Message struct {
	At     dkg.Point
	Sender string // member that posted it; that closed it, for a tick
	Raw    []byte
}

// A LiveGrant is a grant whose shares a ceremony moves.
type LiveGrant struct {
	ID      string
	Sharing []byte  // pre.Sharing as it was dealt
	Holders []uint8 // members that accepted it
	Ended   bool    // it is live no more, and the other fields but ID are empty
}

// Live calls fn with every grant that is live at a block time, in ascending
// order of ids after one, until fn returns false. Among them may be some that
// have Ended: passing over them is work, too, and fn counts it. It reads the
// namespace of the contract that keeps them.
type Live func(r ledger.Reader, time int64, after string, fn func(LiveGrant) bool) error
