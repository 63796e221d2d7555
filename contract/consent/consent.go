// Package consent is the contract of permissions and their use: grants with
// their conditions, what members say about their shares, accesses, revocations,
// requests, and accesses in an emergency with their reviews. No member answers
// an access that is not on the chain, so this is also the log of who read what.
//
// SPEC.md gives every method with its arguments, rules, results and events.
package consent

import (
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// Contract is the name of the contract on the chain.
const Contract = "consent"

// AnswerWindow is how long after its block members answer an access.
const AnswerWindow = time.Hour

// Limits. Part of the rules.
const (
	MaxRecords   = 512 // in one access
	MaxApprovals = 16  // of one access
	MaxAccepts   = 256 // in one transaction
	MaxCoSigners = 8   // that a grant can ask for
	MaxRequests  = 16  // that are open, of one asker to one owner
	MaxExcept    = 32  // subtrees that a grant can leave out
	MaxDefaults  = 32  // of one organisation
	MaxLive      = 128 // grants of one owner that a ceremony must move
)

// Conditions restrict a grant. Zero fields restrict nothing. Their hash is
// bound into the grant, so they cannot change during its life.
type Conditions struct {
	_         struct{}  `cbor:",toarray"`
	NotBefore int64     // block time, Unix milliseconds
	NotAfter  int64     // block time, Unix milliseconds
	Purposes  []Purpose // one of these or a purpose below it; ascending
	Since     int64     // Record.Dated at least
	Until     int64     // Record.Dated at most
	MaxUses   uint32    // accesses
	CoSigners CoSigners
	// Except are subtrees below the grant's type to which it does not extend;
	// ascending. See ByCryptography.
	Except      []pre.Type
	Obligations []Obligation // what the reader takes on with every access, and says so in it; ascending
	Instance    string       // a workflow: the reader must hold it
	Emergency   bool         // only for emergencies: active at t+f members; every use is for BTG, signed by another clinician for emergencies, and reviewed
}

// CoSigners are others who must sign every access.
type CoSigners struct {
	_         struct{} `cbor:",toarray"`
	Count     uint8
	Attribute string // each must have it, with this value; the names are distinct and not the reader's
	Value     string
	Elsewhere bool // each must be of another organisation than the reader's, and that a member in force
}

// A GrantID names a grant: "g-" and 26 characters as in record.ID.
type GrantID string

// A Grant is what the chain keeps of a grant.
type Grant struct {
	_          struct{} `cbor:",toarray"`
	ID         GrantID
	Owner      identity.Name
	Recipient  identity.Name // "" for a grant to a policy
	Policy     string        // abe.Policy.String of a grant to a policy; "" of one to a name
	Type       pre.Type
	Version    uint32 // of the owner's custody key
	Epoch      uint64 // of the owner
	Conditions Conditions
	Raw        []byte // pre.Grant
	Generation uint32 // that it was dealt in
	Members    uint8  // n it was dealt to
	Needed     uint8  // accepts until it is active: t, or t+f for emergencies
	Robust     uint8  // t+f
	Accepted   []uint8
	Refused    []uint8
	Index      uint64 // leaf index; its sidecar is the sealed shares
	Time       int64
	Uses       uint32
	Renews     GrantID       // the grant that it replaces, or ""
	Ended      int64         // block time at which it was revoked or replaced; 0 if it is not
	EndedBy    uint64        // leaf index of what ended it
	Used       int64         // block time of the last access; 0 if there was none
	By         identity.Name // who signed: the owner, or who acts for her
	Ender      identity.Name // who revoked or replaced it, likewise; "" if it has not ended
}

// Status says where a grant stands.
type Status string

// The statuses.
const (
	StatusPending Status = "pending" // too few members hold their share yet
	StatusActive  Status = "active"
	StatusEarly   Status = "early" // not before its time
	StatusExpired Status = "expired"
	StatusUsedUp  Status = "used-up"
	StatusRevoked Status = "revoked"
	StatusStale   Status = "stale" // the owner's epoch or key has moved on; for records of before it still works
	StatusLost    Status = "lost"  // a key ceremony could not move its shares
)

// An Access is one logged use of a grant, or an emergency.
type Access struct {
	_         struct{} `cbor:",toarray"`
	Index     uint64   // leaf index
	ID        [32]byte // of the transaction
	Time      int64
	Reader    identity.Name
	Owner     identity.Name
	Grant     GrantID // "" for an emergency without a grant
	Records   []record.ID
	Purpose   Purpose
	Transport []byte          // the reader's ephemeral key
	CoSigners []identity.Name // who signed besides
	Emergency bool
	Review    ReviewState // of an emergency
	Reviewer  identity.Name
	Reviewed  int64 // block time
	Outcome   string
	Key       chain.PublicKey // of the reader, that signed the transaction
}

// ReviewState says what became of the review of an emergency access.
type ReviewState uint8

// The states. Part of the format.
const (
	NoReview ReviewState = iota
	Open
	Closed
)

// Methods.
const (
	MethodGrant     = "grant"     // GrantArgs by the owner; sidecar: CBOR array of sealed shares, by index
	MethodAccept    = "accept"    // AcceptArgs by members
	MethodRevoke    = "revoke"    // RevokeArgs by the owner
	MethodAccess    = "access"    // AccessArgs by the recipient, or one who satisfies the policy; sidecar: the sealed reason, which only an emergency needs
	MethodEmergency = "emergency" // EmergencyArgs by an identity with the attribute; sidecar: the sealed reason
	MethodReview    = "review"    // ReviewArgs by an identity of the owner's organisation with the attribute, none of those who signed
	MethodRequest   = "request"   // RequestArgs by anyone
	MethodDeny      = "deny"      // DenyArgs by the owner; withdraws if the asker signs
	MethodDefaults  = "defaults"  // DefaultsArgs by a member, for its organisation
)

// GrantArgs make a grant.
type GrantArgs struct {
	_          struct{}      `cbor:",toarray"`
	Grant      []byte        // pre.Grant; its id, owner, type, conditions hash and policy are taken from there
	Recipient  identity.Name // "" if the grant is to an abe.Recipient
	Conditions Conditions
	Everything bool    // must be set for the root type, and for no other
	Expose     bool    // must be set for a recipient that is not in self-custody if the owner is, and only then
	Renews     GrantID // an earlier grant of the owner that ends with this one, or ""
	Answers    string  // a request that this grant answers, or ""
}

// AcceptArgs say of grants whether the member that signs holds its share.
type AcceptArgs struct {
	_       struct{} `cbor:",toarray"`
	Accepts []Accept // 1 to 256, ascending by grant
}

// An Accept is a member's word on its share of one grant.
type Accept struct {
	_     struct{} `cbor:",toarray"`
	Grant GrantID
	OK    bool // false: the share was wrong, missing or did not open
}

// RevokeArgs end a grant.
type RevokeArgs struct {
	_     struct{} `cbor:",toarray"`
	Grant GrantID
}

// AccessArgs ask for records under a grant.
type AccessArgs struct {
	_           struct{} `cbor:",toarray"`
	Grant       GrantID
	Records     []record.ID // 1 to MaxRecords, ascending
	Purpose     Purpose
	Transport   []byte       // pre.TransportKey.Public of a fresh key, 32 bytes
	Approvals   []Approval   // at most MaxApprovals, ascending by name
	Obligations []Obligation // those of the grant, all of them: the signature says that the reader took them on
}

// An Approval is another identity's signature on an access.
type Approval struct {
	_         struct{} `cbor:",toarray"`
	Name      identity.Name
	Signature []byte // by its key over ApprovalStatement, 64 bytes
}

// AccessResult is the result of an access and of an emergency.
type AccessResult struct {
	_ struct{} `cbor:",toarray"`
	// Records is RecordsHash of the records as the chain had them, so that a
	// reader can check what an untrusted node hands out.
	Records [32]byte
}

// EmergencyArgs ask for records of one owner without a grant.
type EmergencyArgs struct {
	_         struct{} `cbor:",toarray"`
	Owner     identity.Name
	Records   []record.ID // 1 to MaxRecords, ascending
	Transport []byte
	Approvals []Approval // ascending by name; at least one by another with the attribute
}

// ReviewArgs close the review of an emergency access.
type ReviewArgs struct {
	_       struct{} `cbor:",toarray"`
	Access  uint64   // leaf index
	Outcome string   // "justified" or "abuse"
}

// RequestArgs ask an owner for a grant.
type RequestArgs struct {
	_        struct{} `cbor:",toarray"`
	Owner    identity.Name
	Type     pre.Type
	Purpose  Purpose
	NotAfter int64 // until when it is wanted
}

// DenyArgs turn a request down, or withdraw it.
type DenyArgs struct {
	_       struct{} `cbor:",toarray"`
	Request string
}

// A Request is what the chain keeps of a request.
type Request struct {
	_        struct{} `cbor:",toarray"`
	ID       string   // of its transaction, in hexadecimal
	Index    uint64
	Time     int64
	From     identity.Name
	Owner    identity.Name
	Type     pre.Type
	Purpose  Purpose
	NotAfter int64
	State    string        // "open", "granted", "denied", "withdrawn"
	Grant    GrantID       // that answered it
	By       identity.Name // who granted, denied or withdrew; "" while it is open
}

// Events.
const (
	EventGrant     = "consent/grant"     // data: Grant
	EventAccept    = "consent/accept"    // data: AcceptArgs, with those that counted
	EventRevoke    = "consent/revoke"    // data: Grant; also for a grant that a renewal ends
	EventAccess    = "consent/access"    // data: Access without its Records, here and below: they could be too many
	EventEmergency = "consent/emergency" // data: Access; also of a grant for emergencies, instead of EventAccess
	EventReview    = "consent/review"    // data: Access
	EventRequest   = "consent/request"   // data: Request, whenever it changes
	EventDefaults  = "consent/defaults"  // data: Defaults
)

// Codes. Part of the format.
const (
	ErrMalformed  chain.Code = "consent/malformed"
	ErrDenied     chain.Code = "consent/denied"    // the signer may not do this
	ErrUnknown    chain.Code = "consent/unknown"   // no such grant, request or access
	ErrTaken      chain.Code = "consent/taken"     // the id, or the transport key, was used before; or the request, or too many others, are open
	ErrStale      chain.Code = "consent/stale"     // made for another epoch, key version or generation: look up and make it again
	ErrRecipient  chain.Code = "consent/recipient" // no such recipient, or not the one in the grant
	ErrTerms      chain.Code = "consent/terms"     // root without Everything, exposure without Expose, conditions not those in the grant, emergency without a reason
	ErrShares     chain.Code = "consent/shares"    // not dealt to the members in force, or no sidecar
	ErrMoving     chain.Code = "consent/moving"    // a key ceremony is under way: try again when it is done
	ErrPending    chain.Code = "consent/pending"   // too few members hold shares yet
	ErrEarly      chain.Code = "consent/early"
	ErrExpired    chain.Code = "consent/expired"
	ErrRevoked    chain.Code = "consent/revoked"
	ErrUsedUp     chain.Code = "consent/used-up"
	ErrLost       chain.Code = "consent/lost" // a ceremony could not move its shares
	ErrPurpose    chain.Code = "consent/purpose"
	ErrType       chain.Code = "consent/type"       // a record is of a type that the grant does not cover
	ErrOwner      chain.Code = "consent/owner"      // a record is another owner's
	ErrEpoch      chain.Code = "consent/epoch"      // a record is of another epoch or key version than the grant
	ErrDated      chain.Code = "consent/dated"      // a record is dated outside the range
	ErrErased     chain.Code = "consent/erased"     // a record was erased
	ErrRecord     chain.Code = "consent/record"     // no such record
	ErrApproval   chain.Code = "consent/approval"   // too few co-signers, or one that does not count
	ErrCustody    chain.Code = "consent/custody"    // the owner is in self-custody: only a grant opens the records
	ErrReviewed   chain.Code = "consent/reviewed"   // closed already, or not open to review
	ErrNoKey      chain.Code = "consent/no-key"     // the consortium has no extraction key yet
	ErrPolicy     chain.Code = "consent/policy"     // the reader's attributes do not satisfy the grant's policy now
	ErrObligation chain.Code = "consent/obligation" // the access does not take on what the grant obliges to
	ErrHolder     chain.Code = "consent/holder"     // the reader does not hold the workflow that the grant is for
	ErrTooMany    chain.Code = "consent/too-many"   // MaxLive grants of the owner live: one must be revoked, expire or be renewed instead
)
