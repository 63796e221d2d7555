package ward

import "errors"

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

	// ErrIntegrity says that what a node handed out does not hold against the
	// consortium file: a receipt, an answer, a record, a payload.
	ErrIntegrity = errors.New("integrity check failed")
)
