package protocol_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/store"
)

// errorsOfWard are all errors of package ward, by name.
var errorsOfWard = map[string]error{
	"ErrUnavailable": ward.ErrUnavailable, "ErrNoQuorum": ward.ErrNoQuorum, "ErrUnknown": ward.ErrUnknown,
	"ErrNotCommitted": ward.ErrNotCommitted, "ErrBusy": ward.ErrBusy, "ErrQuota": ward.ErrQuota, "ErrReadOnly": ward.ErrReadOnly,
	"ErrNotReady": ward.ErrNotReady, "ErrNotFound": ward.ErrNotFound, "ErrErased": ward.ErrErased,
	"ErrShares": ward.ErrShares, "ErrUnauthorized": ward.ErrUnauthorized, "ErrIntegrity": ward.ErrIntegrity,
}

// notOnTheWire are errors of package ward that no node gives: a client makes
// them.
var notOnTheWire = []string{"ErrStale", "ErrNoGrant"}

// TestEveryErrorOfWardIsKnownHere reads the list from its source.
func TestEveryErrorOfWardIsKnownHere(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Err") {
			return true
		}
		n++
		name := spec.Names[0].Name
		if _, ok := errorsOfWard[name]; !ok && !slices.Contains(notOnTheWire, name) {
			t.Errorf("ward.%s has no line in this test: does it map there and back?", name)
		}
		return true
	})
	if n == 0 {
		t.Fatal("no errors found: has the file moved?")
	}
}

// across sends an error over the wire.
func across(t *testing.T, err error) error {
	t.Helper()
	p := protocol.ProblemOf(fmt.Errorf("east: %w", err))
	b, failed := json.Marshal(p)
	if failed != nil {
		t.Fatal(failed)
	}
	return protocol.ParseProblem(p.Status, protocol.TypeProblem, b).Err()
}

func TestErrorsMapThereAndBack(t *testing.T) {
	for name, err := range errorsOfWard {
		if got := across(t, err); !errors.Is(got, err) {
			t.Errorf("%s arrives as %v", name, got)
		}
		for other, no := range errorsOfWard {
			if other != name && errors.Is(across(t, err), no) {
				t.Errorf("%s arrives as %s too", name, other)
			}
		}
	}
	for _, err := range []error{store.ErrNotFound, store.ErrFull, store.ErrReader, protocol.ErrMalformed, protocol.ErrTooLarge} {
		if got := across(t, err); !errors.Is(got, err) {
			t.Errorf("%v arrives as %v", err, got)
		}
	}
	for _, code := range []chain.Code{
		identity.ErrUnknown, identity.ErrDenied, record.ErrStale, consent.ErrRevoked, consent.ErrExpired, consent.ErrUsedUp,
		consent.ErrPurpose, keys.ErrRunning, chain.ErrBusy, chain.ErrConsortium, chain.ErrDuplicate, "workflow/whatever",
	} {
		if got := across(t, code); !errors.Is(got, code) {
			t.Errorf("code %v arrives as %v", code, got)
		}
	}
	var corrupt *store.CorruptError
	if got := across(t, &store.CorruptError{Reason: "bent"}); !errors.As(got, &corrupt) {
		t.Errorf("a CorruptError arrives as %v", got)
	}
}

// TestTextOfErrorsStaysAtTheNode: an error may name somebody, or where a file
// is.
func TestTextOfErrorsStaysAtTheNode(t *testing.T) {
	secret := "p-7f3a@north"
	for _, err := range []error{
		errors.New("cannot open the record of " + secret),
		fmt.Errorf("record of %s: %w", secret, ward.ErrErased),
		fmt.Errorf("%s: %w", secret, consent.ErrRevoked),
		&fs.PathError{Op: "open", Path: "/var/lib/" + secret, Err: fs.ErrNotExist},
		&store.CorruptError{Reason: secret},
	} {
		b, failed := json.Marshal(protocol.ProblemOf(err))
		if failed != nil || strings.Contains(string(b), secret) {
			t.Errorf("%T arrives as %s, %v", err, b, failed)
		}
	}
}

// TestNodeCannotPassOffItsErrorsAsTheCallers: what a node says must not look
// like the end of the caller's own context, and a code that it makes up must
// not become one of another kind.
func TestNodeCannotPassOffItsErrorsAsTheCallers(t *testing.T) {
	if got := across(t, context.DeadlineExceeded); errors.Is(got, context.DeadlineExceeded) || !errors.Is(got, ward.ErrUnavailable) {
		t.Errorf("the node's own deadline arrives as %v", got)
	}
	for _, p := range []*protocol.Problem{
		{Status: 500, Code: "node/what-is-this"}, {Status: 500}, {Status: 404, Code: "Not A Code"}, {Status: 200, Code: ""},
		protocol.ParseProblem(404, "text/html", []byte("<html>")), protocol.ParseProblem(404, protocol.TypeProblem, []byte(`{"status":200}`)),
	} {
		if err := p.Err(); !errors.Is(err, ward.ErrUnavailable) || errors.Is(err, ward.ErrNotFound) {
			t.Errorf("%+v is %v", p, err)
		}
	}
	if err := (&protocol.Problem{Status: 401, Code: "auth/later"}).Err(); !errors.Is(err, ward.ErrUnauthorized) {
		t.Errorf("an unknown reason to refuse is %v", err)
	}
}

func FuzzParseProblem(f *testing.F) {
	b, err := json.Marshal(protocol.ProblemOf(ward.ErrShares))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(503, b)
	f.Add(404, []byte("{}"))
	f.Fuzz(func(t *testing.T, status int, b []byte) {
		err := protocol.ParseProblem(status, protocol.TypeProblem, b).Err()
		if err == nil || err.Error() == "" {
			t.Fatal("a problem that is none")
		}
	})
}
