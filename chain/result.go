package chain

import (
	"errors"
	"fmt"
)

// MaxResult is the largest encoded Result in bytes, so that a leaf fits the
// 16-bit length of a C2SP entry bundle. Part of the format.
const MaxResult = 12 << 10

// A Code says why a transaction had no effect. It is an error, so that callers
// compare with errors.Is. The empty code means success. Codes carry no text:
// nothing about a person can end up in one.
type Code string

// Error returns the code.
func (c Code) Error() string { return string(c) }

// Codes recorded by the chain itself. Contracts add their own, which begin
// with the contract's name and a slash. Part of the format.
const (
	ErrMalformed Code = "malformed"   // bytes are not a transaction
	ErrSignature Code = "signature"   // signature does not verify
	ErrChain     Code = "chain"       // transaction is for another chain
	ErrExpired   Code = "expired"     // block time is after NotAfter
	ErrLifetime  Code = "lifetime"    // NotAfter is more than MaxLifetime after the block time
	ErrDuplicate Code = "duplicate"   // executed before; the first result stands
	ErrSidecar   Code = "sidecar"     // sidecar missing, unexpected or not the one committed to
	ErrContract  Code = "no-contract" // no such contract
	ErrBusy      Code = "busy"        // block or replay window is full: send it again
	ErrFailed    Code = "failed"      // contract returned an error that is no Code
	ErrFault     Code = "fault"       // contract panicked or broke a limit
)

// An Event is something a contract tells subscribers.
type Event struct {
	_    struct{} `cbor:",toarray"`
	Kind string   // a valid name
	Data []byte   // deterministic CBOR
}

// A Result is the recorded outcome of one transaction.
type Result struct {
	_      struct{} `cbor:",toarray"`
	Name   string   // "ward/v1/result"
	Height uint64   // of the block
	Time   int64    // of the block, Unix milliseconds
	Code   Code     // empty for success
	Value  []byte   // what the contract returned; empty on failure
	Events []Event  // in order; empty on failure
}

// NewResult returns a result for a transaction in the block with this height
// and time.
func NewResult(height uint64, time int64, code Code, value []byte, events []Event) Result {
	return Result{Name: nameResult, Height: height, Time: time, Code: code, Value: value, Events: events}
}

// Err returns nil on success and the Code otherwise.
func (r *Result) Err() error {
	if r.Code == "" {
		return nil
	}
	return r.Code
}

// Bytes returns the encoding of r. It fails if r is malformed or longer than
// MaxResult.
func (r *Result) Bytes() ([]byte, error) {
	return r.appendTo(make([]byte, 0, r.size()))
}

// Valid reports whether Bytes succeeds.
func (r *Result) Valid() bool {
	if r.size() <= MaxResult {
		return r.check() == nil
	}
	_, err := r.Bytes()
	return err == nil
}

// appendTo appends Bytes to b.
func (r *Result) appendTo(b []byte) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	from := len(b)
	b = r.append(b)
	if n := len(b) - from; n > MaxResult {
		return nil, fmt.Errorf("result: %d bytes, limit %d", n, MaxResult)
	}
	return b, nil
}

func parseResult(data []byte) (*Result, error) {
	r := new(Result)
	if err := unmarshalNamed("result", MaxResult, data, r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Result) check() error {
	if r.Name != nameResult {
		return fmt.Errorf("result: name is not %q", nameResult)
	}
	if r.Code != "" && (len(r.Value) > 0 || len(r.Events) > 0 || !ValidName(string(r.Code))) {
		return errors.New("result: failure with a value, events or a malformed code")
	}
	for _, e := range r.Events {
		if !ValidName(e.Kind) {
			return errors.New("result: malformed event kind")
		}
	}
	return nil
}

// leaf is one entry of the tree.
type leaf struct {
	_      struct{} `cbor:",toarray"`
	Name   string   // "ward/v1/leaf"
	Tx     []byte
	Result []byte
}

// Leaf returns the tree entry for a transaction, as sent, and its result. It
// is shorter than 64 KiB.
func Leaf(tx, result []byte) ([]byte, error) {
	return appendLeaf(make([]byte, 0, 32+len(tx)+len(result)), tx, result), nil
}

func appendLeaf(b, tx, result []byte) []byte {
	b = appendHead(b, majorArray, 3)
	b = appendText(b, nameLeaf)
	b = appendBytes(b, tx)
	return appendBytes(b, result)
}

// ParseLeaf splits a tree entry into the transaction, as sent, and its result.
// The transaction of a leaf whose code is ErrMalformed does not parse.
func ParseLeaf(data []byte) (tx []byte, result *Result, err error) {
	var l leaf
	if err := unmarshalNamed("leaf", 1<<16-1, data, &l); err != nil {
		return nil, nil, err
	}
	if l.Name != nameLeaf || len(l.Tx) > MaxTx {
		return nil, nil, errors.New("leaf: wrong name or size")
	}
	if result, err = parseResult(l.Result); err != nil {
		return nil, nil, err
	}
	return l.Tx, result, nil
}
