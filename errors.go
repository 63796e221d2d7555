package ward

import (
	"errors"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

// Errors that callers branch on, besides the codes of the contracts, which are
// errors too: errors.Is(err, consent.ErrRevoked) holds for an access that was
// refused because its grant was revoked.
var (
	ErrUnavailable  = errors.New("node cannot be reached")
	ErrNoQuorum     = errors.New("too few members are reachable")
	ErrUnknown      = errors.New("outcome of the transaction is unknown")
	ErrNotCommitted = errors.New("transaction expired before it was committed")
	ErrBusy         = errors.New("node is busy")
	ErrReadOnly     = errors.New("node is read-only")
	ErrNotReady     = errors.New("node is not ready")
	ErrNotFound     = errors.New("not found")
	ErrErased       = errors.New("record was erased")
	ErrShares       = errors.New("too few members answered")
	ErrUnauthorized = errors.New("node does not know the caller")

	// ErrQuota says that a node has as much stored for the caller as it keeps
	// without records, of Puts that did not come to their end. It deletes that in a
	// day or two.
	ErrQuota = errors.New("node keeps no more payloads without records")

	// ErrIntegrity says that what a node handed out does not hold against the
	// consortium file: a receipt, an answer, a record, a payload.
	ErrIntegrity = errors.New("integrity check failed")

	// ErrStale says that a node is behind what this client has seen before, and
	// stayed so: it was cut off, or it shows the past on purpose.
	ErrStale = errors.New("node is behind what was seen before")

	// ErrNoGrant says that no live grant to the caller covers the records.
	ErrNoGrant = errors.New("no live grant covers the records")
)

// A MemberError names the members whose parts were wrong although they signed
// them, on a request that could not be met without them. It wraps ErrShares.
type MemberError struct{ Members []string }

// Error names the members.
func (e *MemberError) Error() string {
	return "wrong answers by " + strings.Join(e.Members, ", ") + ": " + ErrShares.Error()
}

// Unwrap returns ErrShares.
func (e *MemberError) Unwrap() error { return ErrShares }

// A settled error is one that holds whichever node is asked.
type settled struct{ error }

func (s settled) Unwrap() error { return s.error }

// A triedError says what each node answered.
type triedError []error

// Error gives every distinct message once.
func (e triedError) Error() string {
	var b strings.Builder
	seen := make(map[string]bool)
	for _, err := range e {
		if m := err.Error(); !seen[m] {
			if seen[m] = true; b.Len() > 0 {
				b.WriteString("; ")
			}
			b.WriteString(m)
		}
	}
	return b.String()
}

func (e triedError) Unwrap() []error { return e }

// coded is the error for a code that the chain or f+1 members vouch for. What
// is not there matches ErrNotFound too, what was erased ErrErased.
func coded(code chain.Code) error {
	switch code {
	case identity.ErrUnknown, record.ErrUnknown, consent.ErrUnknown, consent.ErrRecord:
		return also{code, ErrNotFound}
	case record.ErrErased, consent.ErrErased:
		return also{code, ErrErased}
	}
	return code
}

// An also error is a code that matches a sentinel of this package besides.
type also struct {
	error
	kind error
}

func (e also) Unwrap() []error { return []error{e.error, e.kind} }
