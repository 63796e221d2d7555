// Package workflow is the contract of business processes: state machines that
// the consortium declares in YAML and that people step through on the chain. A
// definition says which states there are, who may take which transition, what
// they must state and which records they must have granted to whom, which rules
// must hold, and what is counted and claimed across all hospitals. An instance
// runs one version of a definition for one owner, from its start to a final
// state, and keeps that version when a newer one comes into force.
//
// Compile reads a definition; Rehearse steps through one without a chain. What
// people enter on the chain are codes, numbers, times and names of identities,
// never text: content is in the records, which grants open.
//
// SPEC.md gives the language of definitions and every method with its arguments,
// rules, results and events.
package workflow

import (
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

// Contract is the name of the contract on the chain.
const Contract = "workflow"

// Regulator is the attribute of those who supervise: they see states, parties
// and counts of every instance, but neither what was entered nor its documents.
const Regulator = "regulator"

// Methods.
const (
	MethodDefine   = "define"   // DefineArgs by a member, which endorses with it
	MethodEndorse  = "endorse"  // VersionArgs by a member
	MethodWithdraw = "withdraw" // VersionArgs by the member that proposed
	MethodStart    = "start"    // StartArgs by who may take the transition
	MethodStep     = "step"     // StepArgs by who may take the transition
	MethodTick     = "tick"     // TickArgs by anyone
)

// Limits. Part of the rules.
const (
	MaxDefinition = 40 << 10 // bytes of YAML
	MaxProposals  = 8        // of one member that are not in force
	MaxSteps      = 1000     // of one instance
	MaxCharges    = 64       // of one instance to counters, that are within their windows
	MaxClaims     = 64       // of one instance
	MaxList       = 32       // entries of a list
	MaxCode       = 64       // bytes of a code
	MaxKey        = 128      // bytes of what a counter or a claim is for
)

// An ID names an instance: "w-" and 26 characters as in record.ID. A client
// draws it before it starts the instance, so that records and grants can name it.
type ID string

// A Value is what a field or variable holds: one entry, or several if it is a
// list. Numbers, times (Unix milliseconds) and booleans (0, 1) are in Ints, codes
// and names in Texts; the other is empty. A decimal is a whole number of its
// smallest parts.
type Value struct {
	_     struct{} `cbor:",toarray"`
	Ints  []int64
	Texts []string
}

// A Field is a value with the name of the field or variable.
type Field struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	Value Value
}

// A Document puts a record in a place that the definition names, or shows a
// grant for the record that is there, or both.
type Document struct {
	_      struct{} `cbor:",toarray"`
	Name   string
	Record record.ID       // "" for the one that is there
	Grant  consent.GrantID // "" if the transition asks for none
}

// DefineArgs propose a version of a definition.
type DefineArgs struct {
	_    struct{} `cbor:",toarray"`
	YAML []byte
}

// VersionArgs name a proposed version.
type VersionArgs struct {
	_          struct{} `cbor:",toarray"`
	Definition string
	Version    uint32
	Hash       [32]byte // SHA-256 of the YAML
}

// StartArgs start an instance.
type StartArgs struct {
	_          struct{} `cbor:",toarray"`
	ID         ID
	Definition string
	Version    uint32 // the newest in force
	Owner      identity.Name
	Transition string     // one from "start"
	Fields     []Field    // ascending by name
	Documents  []Document // ascending by name
}

// StepArgs take a transition.
type StepArgs struct {
	_          struct{} `cbor:",toarray"`
	ID         ID
	After      uint32 // Steps of the instance as the signer saw it
	Transition string
	Fields     []Field    // ascending by name
	Documents  []Document // ascending by name
}

// TickArgs take the timers of an instance that are due.
type TickArgs struct {
	_  struct{} `cbor:",toarray"`
	ID ID
}

// A Proposal is a version of a definition on its way into force, or in force.
type Proposal struct {
	_          struct{} `cbor:",toarray"`
	Definition string
	Version    uint32
	Hash       [32]byte
	Proposer   string   // member
	Endorsed   []string // members, ascending; the proposer included
	Index      uint64   // leaf index of the proposal
	Time       int64
	InForce    int64  // block time since when; 0 if it is not
	InForceBy  uint64 // leaf index of the endorsement that put it in force
}

// An Instance is what the chain keeps of one run.
type Instance struct {
	_          struct{} `cbor:",toarray"`
	ID         ID
	Definition string
	Version    uint32
	Owner      identity.Name
	Starter    identity.Name
	State      string
	Holder     identity.Name // whose turn it is; "" if nobody holds it
	Steps      uint32        // taken so far, the start and timers included
	Index      uint64        // leaf index of the start
	Started    int64         // block time
	Last       uint64        // leaf index of the last step
	Changed    int64         // block time of the last step
	Entered    int64         // time at which it came into the state; of a timer when it was due
	Due        Deadline      // the next timer
	Variables  []Field       // ascending by name; all there are
	Documents  []Document    // ascending by name; those that were put
	Charges    []Charge      // to counters
	Claims     []Claim
}

// A Deadline is a timer of the state that an instance is in.
type Deadline struct {
	_    struct{} `cbor:",toarray"`
	At   int64    // block time from which it is due; 0 if there is none
	Take string   // transition
	To   string   // state that this leads to
}

// A Charge is what an instance added to a counter and has not taken back.
type Charge struct {
	_       struct{} `cbor:",toarray"`
	Counter string
	Key     string // with the scope, as in the state
	Bucket  int64  // beginning of the span that it was added in; 0 without a window
	Amount  int64
}

// A Claim is a key that only this instance can have claimed.
type Claim struct {
	_      struct{} `cbor:",toarray"`
	Unique string
	Key    string // with the scope, as in the state
}

// A Step is one entry of the history of an instance.
type Step struct {
	_          struct{} `cbor:",toarray"`
	Instance   ID
	Number     uint32 // from 1
	Index      uint64 // leaf index of the transaction
	Time       int64  // block time
	Transition string
	From, To   string
	By         identity.Name // who signed; "" for a timer
	Due        int64         // of a timer: when it was due; 0 otherwise
	Holder     identity.Name // after it
	Fields     []Field
	Documents  []Document
}

// Events.
const (
	EventDefine = "workflow/define" // data: Proposal, whenever it changes; Withdrawn ones come without endorsements
	EventStep   = "workflow/step"   // data: StepEvent
)

// A StepEvent tells subscribers of a step without what was entered.
type StepEvent struct {
	_          struct{} `cbor:",toarray"`
	Definition string
	Version    uint32
	Owner      identity.Name
	Event      string // that the definition gives the transition, or ""
	Step       Step   // without Fields and Documents
}

// Codes. Part of the format.
const (
	ErrMalformed  chain.Code = "workflow/malformed"
	ErrDenied     chain.Code = "workflow/denied"     // no registered identity, or no member, signed
	ErrUnknown    chain.Code = "workflow/unknown"    // no such instance, definition or proposal
	ErrTaken      chain.Code = "workflow/taken"      // the id is in use
	ErrDefinition chain.Code = "workflow/definition" // it does not compile: see Compile
	ErrVersion    chain.Code = "workflow/version"    // not the newest version in force, or not the one after it
	ErrConflict   chain.Code = "workflow/conflict"   // a counter or claim is kept otherwise than in the version before
	ErrProposals  chain.Code = "workflow/proposals"  // the member has too many that are not in force
	ErrClosed     chain.Code = "workflow/closed"     // the version in force starts no instances
	ErrOwner      chain.Code = "workflow/owner"      // no such owner
	ErrTransition chain.Code = "workflow/transition" // the definition has no such transition
	ErrState      chain.Code = "workflow/state"      // not from the state that the instance is in
	ErrExpired    chain.Code = "workflow/expired"    // a timer that was due has taken the instance out of that state
	ErrEarly      chain.Code = "workflow/early"      // no timer is due
	ErrParty      chain.Code = "workflow/party"      // the signer is none of those who may
	ErrHolder     chain.Code = "workflow/holder"     // only the present holder may
	ErrStale      chain.Code = "workflow/stale"      // the instance has moved on since: look at it again
	ErrField      chain.Code = "workflow/field"      // a field is missing, unknown or out of its bounds
	ErrDocument   chain.Code = "workflow/document"   // a document is missing, unknown, of another type, owner or author, or erased
	ErrGrant      chain.Code = "workflow/grant"      // no grant that opens the document to whom the transition says
	ErrRule       chain.Code = "workflow/rule"       // an expression failed, or gave what its variable cannot hold
	ErrLimit      chain.Code = "workflow/limit"      // a counter would exceed its limit
	ErrClaimed    chain.Code = "workflow/claimed"    // an instance has claimed the key
	ErrFull       chain.Code = "workflow/full"       // the instance has taken as many steps, charges or claims as it can
)

// ruleCode is the code for a rule that does not hold: "workflow/rule/" and the
// name that the definition gives it, such as "workflow/rule/wrong-pharmacy".
func ruleCode(name string) chain.Code { return ErrRule + "/" + chain.Code(name) }
