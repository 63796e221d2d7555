// Package identity is the contract that says who is who on the chain: which
// key signs for a name, who holds that key, what an organisation attests about
// the name, and what authors and grantors need to know to encrypt for it.
//
// It also says who may call what: the one table for all contracts is Rules,
// and Authorize applies it to a transaction.
//
// SPEC.md gives every method with its arguments, rules, results and events.
package identity

import (
	"github.com/ward-health/ward/chain"
)

// Contract is the name of the contract on the chain.
const Contract = "identity"

// A Name is an identity's handle, such as "p-7f3a@north": 1 to 48 of a–z, 0–9,
// '.', '_' and '-', beginning with a letter or digit, then '@' and the name of
// the member that registered it. A patient's is a pseudonym; what people call
// each other never gets on the chain.
type Name string

// Attributes that the contracts themselves look at. An organisation may attest
// any others about its own. All but Author are reserved: only the member itself
// gives and takes them, none of its registrars.
const (
	Author    = "author"    // may write records for others
	Registrar = "registrar" // may register and attest identities of its organisation, without what is reserved
	Emergency = "emergency" // may break the glass
	Reviewer  = "reviewer"  // may close the review of an emergency access
	Auditor   = "auditor"   // may see who accessed what
)

// An Attribute is what an organisation attests about an identity of its own.
type Attribute struct {
	_     struct{} `cbor:",toarray"`
	Name  string   // 1 to 48 of a–z, 0–9, '_' and '-', beginning with a letter
	Value string   // 0 to 48 of the same, with '.'; empty for an attribute that is just there
	Until int64    // Unix milliseconds after which it no longer holds; 0 for no end
}

// An Identity is what the chain knows about a name.
type Identity struct {
	_          struct{} `cbor:",toarray"`
	Name       Name
	Key        chain.PublicKey // Ed25519: signs its transactions
	Controller string          // member whose wallet holds Key; "" once its person holds it
	Registered uint64          // leaf index of the registration
	Changed    uint64          // leaf index of the last change
	Version    uint32          // custody key in force; 0 while hospitals extract its keys
	Custody    []byte          // P' = P + X, 48 bytes, in self-custody; empty otherwise
	Epoch      uint64
	Attributes []Attribute // in ascending order, each pair of name and value once
	Recoveries []Recovery  // those under way, in ascending order of Member
	Custodies  uint32      // custody keys registered so far: the next one is of version Custodies + 1
	Guardians  []Guardian  // in ascending order of Name and then By, each pair once; some may be over
	Proposals  []Proposal  // of guardians, those under way, in ascending order of Member
}

// A Recovery replaces a lost key on the word of a quorum of members, after a
// wait in which the holder of the key may object. Each member can have one
// under way for a name, and its word counts for one of them: a member can spoil
// no recovery but its own.
type Recovery struct {
	_         struct{}        `cbor:",toarray"`
	Member    string          // that opened it
	Key       chain.PublicKey // the new key
	Opened    int64           // block time, Unix milliseconds
	Ready     int64           // earliest block time at which it can finish
	Approvals []string        // members, in ascending order; the one that opened it included
}

// Waits of a recovery, in milliseconds. Part of the rules.
const (
	MinRecoveryWait = 72 * 60 * 60 * 1000      // a recovery waits at least 72 hours
	MaxRecoveryWait = 90 * 24 * 60 * 60 * 1000 // and at most 90 days
	RecoveryWindow  = 30 * 24 * 60 * 60 * 1000 // not finished 30 days after it was ready, it has lapsed
)

// MaxAttributes is the largest number of attributes of one identity.
const MaxAttributes = 32

// Methods and their arguments. All arguments are deterministic CBOR arrays.
const (
	MethodRegister = "register"  // RegisterArgs, by the member or one of its registrars
	MethodAttest   = "attest"    // AttestArgs, likewise
	MethodHandOver = "hand-over" // HandOverArgs, by the identity
	MethodRotate   = "rotate"    // RotateArgs, by the identity
	MethodEpoch    = "epoch"     // EpochArgs, by the identity
	MethodCustody  = "custody"   // CustodyArgs, by the identity
	MethodRecover  = "recover"   // RecoverArgs, by a member
	MethodApprove  = "approve"   // NameArgs, by a member
	MethodFinish   = "finish"    // NameArgs, by a member
	MethodVeto     = "veto"      // VetoArgs, by the identity
)

// EventChanged tells subscribers of every change; its data is the Identity.
const EventChanged = "identity/changed"

// RegisterArgs register a name. The organisation that registers controls it
// until it hands it over.
type RegisterArgs struct {
	_          struct{} `cbor:",toarray"`
	Name       Name
	Key        chain.PublicKey
	Possession []byte // by Key over PossessionStatement, 64 bytes
	Controller bool   // the organisation's wallet holds Key
	Attributes []Attribute
}

// AttestArgs replace everything an organisation attests about a name.
type AttestArgs struct {
	_          struct{} `cbor:",toarray"`
	Name       Name
	Attributes []Attribute
}

// HandOverArgs give a name that its organisation controls to its person, who
// proves to hold Key. Signed by the key in force.
type HandOverArgs struct {
	_          struct{} `cbor:",toarray"`
	Key        chain.PublicKey
	Possession []byte
}

// RotateArgs replace the key of the name that signs.
type RotateArgs struct {
	_          struct{} `cbor:",toarray"`
	Key        chain.PublicKey
	Possession []byte
}

// EpochArgs raise the signer's epoch, so that later records are out of the
// reach of all keys and grants made before.
type EpochArgs struct {
	_    struct{} `cbor:",toarray"`
	From uint64   // the epoch in force, so that a repeated request changes nothing
}

// CustodyArgs take the signer into self-custody, or replace its custody key.
type CustodyArgs struct {
	_     struct{} `cbor:",toarray"`
	Proof []byte   // by pre.CustodyKey.Prove for Version + 1
}

// RecoverArgs open the recovery of a name whose key is lost. By a member.
type RecoverArgs struct {
	_          struct{} `cbor:",toarray"`
	Name       Name
	Key        chain.PublicKey
	Possession []byte
	Wait       int64 // milliseconds, MinRecoveryWait to MaxRecoveryWait
}

// VetoArgs end all recoveries of the signer, and all proposals of guardians for
// it. They are an empty array.
type VetoArgs struct {
	_ struct{} `cbor:",toarray"`
}

// NameArgs name an identity: the arguments of approve and finish, by members.
type NameArgs struct {
	_    struct{} `cbor:",toarray"`
	Name Name
	Key  chain.PublicKey // of the recovery that is meant
}

// Codes. Part of the format.
const (
	ErrMalformed  chain.Code = "identity/malformed"
	ErrDenied     chain.Code = "identity/denied"     // the signer may not do this
	ErrUnknown    chain.Code = "identity/unknown"    // no such identity
	ErrTaken      chain.Code = "identity/taken"      // the name or the key is in use
	ErrPossession chain.Code = "identity/possession" // proof of possession does not hold, or could be anyone's
	ErrController chain.Code = "identity/controller" // wrong holder for this change
	ErrEpoch      chain.Code = "identity/epoch"      // not the epoch in force
	ErrNoKey      chain.Code = "identity/no-key"     // the consortium has no extraction key yet
	ErrRecovery   chain.Code = "identity/recovery"   // no such recovery, or it has lapsed
	ErrEarly      chain.Code = "identity/early"      // the recovery still waits
	ErrApprovals  chain.Code = "identity/approvals"  // too few members approved
)
