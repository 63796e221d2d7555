package abe

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/internal/wire"
)

var (
	// ErrDecrypt says that something sealed did not open. It never says why.
	ErrDecrypt = errors.New("decryption failed")

	// ErrNotSatisfied says that the attributes of a key do not satisfy the
	// policy. Both are public to whoever holds them; [Policy.Explain] tells
	// which clause decided.
	ErrNotSatisfied = errors.New("attributes do not satisfy the policy")

	// ErrOtherAuthority says that a policy names no authority with the name,
	// public key and catalogue of the key's.
	ErrOtherAuthority = errors.New("policy is for other authorities than the key's")

	// ErrErased says that a key was used after its Erase.
	ErrErased = errors.New("key was erased")
)

// EpochError says that a key is of another epoch than what was sealed. Who still
// belongs to the authority asks it for a key of epoch Want.
type EpochError struct {
	Authority  string
	Have, Want uint64
}

func (e *EpochError) Error() string {
	return fmt.Sprintf("key is of epoch %d of %s, sealed was to epoch %d", e.Have, e.Authority, e.Want)
}

// SyntaxError says what is wrong with a policy, a catalogue or a list of
// attributes, and where. A policy that is well-formed but asks for what an
// authority does not certify, or what attributes cannot express, gives one as
// well.
type SyntaxError struct {
	What    string // "policy", "catalogue" or "attributes"
	Column  int    // in bytes from the start of the text, from 1
	Problem string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s, column %d: %s", e.What, e.Column, e.Problem)
}

// FormatError says that bytes or a field are not what they should be. What
// names the object, Reason the fault, in words that are stable across releases:
//
//	name, length, trailing, limit            framing
//	encoding                                 points and scalars
//	identity                                 points
//	canonical                                text with another spelling
//	pair                                     a public key that is not the secret's
//	field                                    a value no such object can have
type FormatError struct{ What, Reason string }

func (e *FormatError) Error() string { return "malformed " + e.What + ": " + e.Reason }

// malformed turns an error of the layers below into a FormatError.
func malformed(what string, err error) error {
	var f *FormatError
	if errors.As(err, &f) {
		return &FormatError{what, f.Reason}
	}
	for _, r := range []struct {
		err    error
		reason string
	}{
		{wire.ErrName, "name"}, {wire.ErrShort, "length"}, {wire.ErrTrailing, "trailing"}, {wire.ErrTooLong, "limit"},
	} {
		if errors.Is(err, r.err) {
			return &FormatError{what, r.reason}
		}
	}
	return &FormatError{what, "field"}
}

// finish ends a parse.
func finish(what string, r *wire.Reader) error {
	if err := r.Done(); err != nil {
		return malformed(what, err)
	}
	return nil
}
