package pre

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

var (
	// ErrDecrypt says that something sealed did not open. It never says why.
	ErrDecrypt = errors.New("decryption failed")

	// ErrProof says that a zero-knowledge proof does not hold.
	ErrProof = errors.New("proof does not hold")

	// ErrNotCovered says that a key or grant does not reach a record: another
	// owner, epoch, key version or chain, or a type that is not the record's
	// own nor an ancestor of it. The caller asks for the right grant.
	ErrNotCovered = errors.New("record is not covered by this key or grant")

	// ErrExposed says that a self-custody owner's grant would go to a
	// recipient whose key t members can extract, which would hand them hers.
	// [Terms.Expose] accepts that.
	ErrExposed = errors.New("recipient is not in self-custody, and the owner is")

	// ErrErased says that a key was used after its Erase.
	ErrErased = errors.New("key was erased")

	// ErrShares says that parts to be combined are not exactly t, of distinct
	// members, of the generation asked for.
	ErrShares = errors.New("not exactly t parts of distinct members of this generation")
)

// BlameError names the members whose parts are wrong, on two conditions that the
// caller answers for: that the sharing is the one in force (an honest part
// does not fit a forged sharing), and that the parts come from whom they name. To
// convince others, a part must come with its member's signature; its proof, or
// the pairing equation of a partial key, is then the evidence.
type BlameError struct{ Members []uint8 }

func (e *BlameError) Error() string { return fmt.Sprintf("wrong part from member %v", e.Members) }

// DealerError says that whoever made the grant made it wrong: the reader's half
// does not match the commitments. Half is the evidence; [Identity.CheckHalf]
// re-checks that it is what was sealed.
type DealerError struct{ Half []byte }

func (e *DealerError) Error() string {
	return "grant is malformed: the reader's half does not match it"
}

// AuthorError says that records do not open although every answer was right:
// their author wrapped something else than the capsule commits to. Records
// holds their positions in the access.
type AuthorError struct{ Records []int }

func (e *AuthorError) Error() string {
	return fmt.Sprintf("record at position %v was malformed by its author", e.Records)
}

// FormatError says that bytes or a field are not what they should be. What
// names the object, Reason the fault, in words that are stable across releases:
//
//	name, length, trailing, limit            framing
//	encoding, subgroup, identity             points
//	range, zero                              scalars
//	field                                    a value no such object can have
type FormatError struct{ What, Reason string }

func (e *FormatError) Error() string { return "malformed " + e.What + ": " + e.Reason }

// malformed turns an error of the layers below into a FormatError.
func malformed(what string, err error) error {
	for _, r := range []struct {
		err    error
		reason string
	}{
		{wire.ErrName, "name"}, {wire.ErrShort, "length"}, {wire.ErrTrailing, "trailing"}, {wire.ErrTooLong, "limit"},
		{pairing.ErrLength, "length"}, {pairing.ErrEncoding, "encoding"}, {pairing.ErrSubgroup, "subgroup"},
		{pairing.ErrIdentity, "identity"}, {pairing.ErrRange, "range"}, {pairing.ErrZero, "zero"},
	} {
		if errors.Is(err, r.err) {
			return &FormatError{what, r.reason}
		}
	}
	return &FormatError{what, "field"}
}
