package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/store"
)

// A Problem is the body of every response that is an error: RFC 9457, with a
// code that is stable. It holds nothing about a person: Detail comes from this
// package's list, never from an error.
type Problem struct {
	Type   string `json:"type"` // "about:blank"
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code" doc:"Stable. That of a contract, such as consent/revoked; or one of node/…, store/…, auth/…"`
}

// MaxProblem is the size in bytes of the largest problem that is read.
const MaxProblem = 8 << 10

// Codes of the protocol itself, besides those of the contracts.
const (
	CodeInternal  = "node/internal"  // what went wrong is in the node's log
	CodeMalformed = "node/malformed" // the request cannot be read
	CodeTooLarge  = "node/too-large"
	CodeTimeout   = "node/timeout" // the request took too long to arrive, or to answer
	CodeNoRoute   = "node/no-such-path"

	CodeTokenMissing   = "auth/missing"
	CodeTokenMalformed = "auth/malformed"
	CodeTokenChain     = "auth/chain"     // for another chain
	CodeTokenAudience  = "auth/audience"  // for another member
	CodeTokenTime      = "auth/time"      // the two clocks are more than TokenWindow apart, or it is old
	CodeTokenSignature = "auth/signature" // not by its key
	CodeTokenReplayed  = "auth/replayed"
	CodeTokenUnknown   = "auth/unknown" // nobody signs with its key now

	codeCorrupt = "store/corrupt"
)

// ErrMalformed says that a request could not be read.
var ErrMalformed = errors.New("malformed request")

// ErrTooLarge says that the body of a request or an answer is over its limit.
var ErrTooLarge = errors.New("body is too large")

// An AuthError says why a node does not take a caller. It is
// ward.ErrUnauthorized to errors.Is.
type AuthError struct{ Code string }

// Error says what was wrong.
func (e *AuthError) Error() string {
	if k, ok := kindOf(e.Code); ok {
		return k.detail
	}
	return ward.ErrUnauthorized.Error()
}

// Is reports whether target is ward.ErrUnauthorized.
func (e *AuthError) Is(target error) bool { return target == ward.ErrUnauthorized }

// A kind is one line of the table below: what an error is on the wire.
type kind struct {
	code   string
	status int
	err    error // nil where it is made from the code
	detail string
}

// kinds returns the table of what errors become and what becomes of them. Of
// two that an error matches, the first one counts.
func kinds() []kind {
	return []kind{
		{"node/unknown-outcome", http.StatusGatewayTimeout, ward.ErrUnknown, "send the same transaction again to find out"},
		{"node/not-committed", http.StatusGone, ward.ErrNotCommitted, "sign it anew"},
		{"node/no-quorum", http.StatusServiceUnavailable, ward.ErrNoQuorum, "too few members are reachable"},
		{"node/busy", http.StatusTooManyRequests, ward.ErrBusy, "try again later"},
		{"node/quota", http.StatusInsufficientStorage, ward.ErrQuota, "no record refers to too much of what the caller stored; what stays so is deleted in a day or two"},
		{"node/read-only", http.StatusInsufficientStorage, ward.ErrReadOnly, "the node's disk is nearly full"},
		{"node/not-ready", http.StatusServiceUnavailable, ward.ErrNotReady, "the node is starting, catching up, or sealed"},
		{"node/not-found", http.StatusNotFound, ward.ErrNotFound, "not found"},
		{"node/erased", http.StatusGone, ward.ErrErased, "it was erased"},
		{"node/shares", http.StatusServiceUnavailable, ward.ErrShares, "too few members answered"},
		{"node/integrity", http.StatusInternalServerError, ward.ErrIntegrity, "what the node has does not hold"},
		{"node/unavailable", http.StatusServiceUnavailable, ward.ErrUnavailable, "the node cannot answer now"},
		{"store/not-found", http.StatusNotFound, store.ErrNotFound, "blob not found"},
		{"store/full", http.StatusInsufficientStorage, store.ErrFull, "the store is full"},
		{"store/reader", http.StatusBadRequest, store.ErrReader, "the blob did not arrive whole"},
		{codeCorrupt, http.StatusInternalServerError, nil, "the node's copy of the blob is damaged"},

		{CodeMalformed, http.StatusBadRequest, ErrMalformed, "the request cannot be read"},
		{CodeTooLarge, http.StatusRequestEntityTooLarge, ErrTooLarge, "the body is over the limit"},
		{CodeTimeout, http.StatusGatewayTimeout, nil, "the request took too long"},
		{CodeNoRoute, http.StatusNotFound, nil, "there is no such path, or it does not take the method"},
		{CodeInternal, http.StatusInternalServerError, nil, "the node failed; its log says more under the request's id"},

		{CodeTokenMissing, http.StatusUnauthorized, nil, "the request carries no token"},
		{CodeTokenMalformed, http.StatusUnauthorized, nil, "the token cannot be read"},
		{CodeTokenChain, http.StatusUnauthorized, nil, "the token is for another chain"},
		{CodeTokenAudience, http.StatusUnauthorized, nil, "the token is for another member"},
		{CodeTokenTime, http.StatusUnauthorized, nil, "the token is not of now: check both clocks"},
		{CodeTokenSignature, http.StatusUnauthorized, nil, "the token is not signed by its key"},
		{CodeTokenReplayed, http.StatusUnauthorized, nil, "the token was used before"},
		{CodeTokenUnknown, http.StatusUnauthorized, nil, "nobody is registered with this key"},
	}
}

func kindOf(code string) (kind, bool) {
	for _, k := range kinds() {
		if k.code == code {
			return k, true
		}
	}
	return kind{}, false
}

// Codes returns the codes of the protocol itself.
func Codes() []string {
	var codes []string
	for _, k := range kinds() {
		codes = append(codes, k.code)
	}
	return codes
}

// NewProblem returns the problem with a code of the protocol.
func NewProblem(code string) *Problem {
	k, ok := kindOf(code)
	if !ok {
		k, _ = kindOf(CodeInternal)
	}
	return k.problem()
}

func (k kind) problem() *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(k.status), Status: k.status, Detail: k.detail, Code: k.code}
}

// ProblemOf returns what a node answers instead, for an error: never nil, and
// node/internal for an error that is not in the protocol.
func ProblemOf(err error) *Problem {
	var auth *AuthError
	var code chain.Code
	var corrupt *store.CorruptError
	switch {
	case errors.As(err, &auth):
		return NewProblem(auth.Code)
	case errors.As(err, &corrupt):
		return NewProblem(codeCorrupt)
	case errors.As(err, &code) && codeIsContracts(string(code)):
		k := kind{code: string(code), status: statusOf(code), detail: "the contract refuses"}
		return k.problem()
	}
	for _, k := range kinds() {
		if k.err != nil && errors.Is(err, k.err) {
			return k.problem()
		}
	}
	if errors.Is(err, ward.ErrUnauthorized) {
		return NewProblem(CodeTokenUnknown)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return NewProblem(CodeTimeout) // the caller's own deadline has not passed
	}
	return NewProblem(CodeInternal)
}

// codeIsContracts reports whether a code on the wire is a contract's, or the
// chain's own, rather than one of the protocol.
func codeIsContracts(code string) bool {
	first, _, _ := strings.Cut(code, "/")
	return chain.ValidName(code) && first != "node" && first != "store" && first != "auth"
}

// statusOf gives the status for a code of a contract. Clients look at the code.
func statusOf(code chain.Code) int {
	_, what, _ := strings.Cut(string(code), "/")
	switch what {
	case "denied":
		return http.StatusForbidden
	case "unknown":
		return http.StatusNotFound
	case "malformed":
		return http.StatusBadRequest
	}
	return http.StatusConflict
}

// Err returns the error that the problem stands for: the same to errors.Is as
// the one that ProblemOf was given. One that is not in the protocol, as an
// older or newer node may send, is ward.ErrUnavailable.
func (p *Problem) Err() error {
	k, known := kindOf(p.Code)
	switch {
	case p.Code == codeCorrupt:
		return &store.CorruptError{Reason: "the node says that its copy is"}
	case strings.HasPrefix(p.Code, "auth/"):
		return &AuthError{p.Code}
	case known && k.err != nil:
		return k.err
	case known:
		return fmt.Errorf("%w: %s", ward.ErrUnavailable, k.detail)
	case codeIsContracts(p.Code):
		return chain.Code(p.Code)
	}
	return fmt.Errorf("%w: it answers with status %d", ward.ErrUnavailable, p.Status)
}

// ParseProblem reads the body of a response that is an error. What cannot be
// read is a problem too, without a code.
func ParseProblem(status int, mediaType string, body []byte) *Problem {
	p := new(Problem)
	if mediaType != TypeProblem || json.Unmarshal(body, p) != nil || p.Status != status {
		return &Problem{Status: status}
	}
	return p
}

// ErrDenied is the error for a question or an action that the caller may not
// have, where no contract has one of its own.
const ErrDenied = identity.ErrDenied
