package remote_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	owner  = "p-7f3a@north"
	reader = "dr.lee@south"
)

// A house is the node of the member east, served, with an owner and a reader.
type house struct {
	*apitest.Node
	url  string
	stop func()
	k    *chain.Consortium
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{Node: apitest.New(t, "east", time.Now), k: apitest.Founding(t)}
	h.Register(owner)
	h.Register(reader, identity.Author)
	h.url, h.stop = apitest.Serve(t, h.Node, api.Options{})
	return h
}

// as returns the node as the holder of a key has it: that of an identity or of
// a member, or of nobody.
func (h *house) as(t *testing.T, name string) *remote.Node {
	t.Helper()
	opt := remote.Options{Consortium: h.k, Member: "east"}
	if name != "" {
		opt.Signer = ledgertest.Key(name)
	}
	n, err := remote.New(h.url, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func encode(t *testing.T, q query.Question) []byte {
	t.Helper()
	b, err := query.Encode(q)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestClientCalls(t *testing.T) {
	h := open(t)
	n := h.as(t, reader)
	ctx := t.Context()

	sidecar := []byte("sealed reason")
	access := &consent.Access{Reader: reader, Owner: owner, Transport: make([]byte, 32)}
	tx := h.Tx(reader, consent.Contract, consent.MethodAccess, apitest.Emit(t, consent.EventAccess, access), sidecar)
	receipt, err := n.Submit(ctx, tx, sidecar)
	if err != nil {
		t.Fatalf("Submit: %v", err)
	}
	got, err := receipt.Verify(h.k)
	if err != nil || got.ID() != tx.ID() || receipt.Result.Err() != nil {
		t.Fatalf("receipt of Submit: %v, %v", err, receipt.Result.Err())
	}
	if again, err := n.Submit(ctx, tx, sidecar); err != nil || again.Index != receipt.Index {
		t.Fatalf("second Submit: %v", err)
	}
	if r, err := n.Receipt(ctx, receipt.Index); err != nil || r.Index != receipt.Index || !bytes.Equal(r.Tx, tx.Bytes()) {
		t.Fatalf("Receipt: %v", err)
	}
	if b, err := n.Sidecar(ctx, receipt.Index); err != nil || !bytes.Equal(b, sidecar) {
		t.Fatalf("Sidecar: %q, %v", b, err)
	}

	asked := time.Now()
	question := encode(t, query.Identity{Name: owner})
	answer, err := n.Ask(ctx, question)
	if err != nil {
		t.Fatalf("Ask: %v", err)
	}
	if _, err := answer.Verify(h.k, question, asked, time.Now(), time.Minute); err != nil {
		t.Fatalf("Verify of an answer: %v", err)
	}
	var id identity.Identity
	if err := chain.Unmarshal(answer.Value, &id); err != nil || id.Name != owner {
		t.Fatalf("answer is %+v, %v", id, err)
	}

	if next, err := n.Consortium(ctx, 0); err != nil || len(next) != 0 {
		t.Fatalf("Consortium: %v, %v", next, err)
	}
	cp, err := n.Checkpoint(ctx)
	if err != nil || h.k.Verify(cp) != nil || cp.Size != receipt.Index+1 {
		t.Fatalf("Checkpoint: %+v, %v", cp, err)
	}

	h.Set(func(w *apitest.World) { w.Records = []record.Record{{ID: "r-1", Owner: owner}} })
	sealed, err := n.Accessed(ctx, receipt.Index)
	if err != nil || len(sealed) != 1 || sealed[0].Record.ID != "r-1" || string(sealed[0].Index) != "sealed index of r-1" {
		t.Fatalf("Accessed: %+v, %v", sealed, err)
	}
	for name, gather := range map[string]func() ([]ward.Part, error){
		"Answers":     func() ([]ward.Part, error) { return n.Answers(ctx, receipt.Index, []string{"west"}) },
		"PartialKeys": func() ([]ward.Part, error) { return n.PartialKeys(ctx, receipt.Index, []string{"west"}) },
	} {
		parts, err := gather()
		if err != nil || len(parts) != 3 {
			t.Fatalf("%s: %d parts, %v", name, len(parts), err)
		}
		for _, p := range parts {
			if !p.Verify(h.k, tx.ID()) || p.Member == "west" {
				t.Fatalf("%s: part of %s does not hold", name, p.Member)
			}
		}
	}
}

func TestMemberCalls(t *testing.T) {
	h := open(t)
	n := h.as(t, "west")
	ctx := t.Context()
	tx := h.Tx(reader, keys.Contract, keys.MethodRequest, apitest.Script{}, nil)
	receipt, err := h.as(t, reader).Submit(ctx, tx, nil)
	if err != nil {
		t.Fatal(err)
	}

	question := encode(t, query.Identity{Name: "nobody@north"})
	value, code, a, err := n.Attest(ctx, question)
	if err != nil || len(value) != 0 || code != identity.ErrUnknown || !a.Verify(h.k, question, value, code) {
		t.Fatalf("Attest: %q, %v, %v", value, code, err)
	}
	for name, get := range map[string]func() (ward.Part, error){
		"PartialKey":   func() (ward.Part, error) { return n.PartialKey(ctx, receipt.Index) },
		"AnswerAccess": func() (ward.Part, error) { return n.AnswerAccess(ctx, receipt.Index) },
	} {
		if p, err := get(); err != nil || p.Member != "east" || !p.Verify(h.k, tx.ID()) {
			t.Fatalf("%s: %+v, %v", name, p, err)
		}
	}
	if sig, err := n.SignHead(ctx, 7); err != nil || len(sig) != ed25519.SignatureSize {
		t.Fatalf("SignHead: %x, %v", sig, err)
	}
	founding, err := h.k.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next := *h.k
	next.Epoch, next.Founding = 1, founding
	e, err := n.Endorse(ctx, &next)
	if err != nil || e.Member != "east" {
		t.Fatalf("Endorse: %+v, %v", e, err)
	}
	var export bytes.Buffer
	if err := n.Export(ctx, &export); err != nil {
		t.Fatalf("Export: %v", err)
	}
	if _, err := audit.Verify(&export, h.k, audit.Visitor{}); err != nil {
		t.Fatalf("exported chain: %v", err)
	}
}

// TestErrorsArriveAsTheyWere has the node fail in every way there is.
func TestErrorsArriveAsTheyWere(t *testing.T) {
	h := open(t)
	n := h.as(t, "west")
	for _, want := range []error{
		ward.ErrUnavailable, ward.ErrNoQuorum, ward.ErrUnknown, ward.ErrNotCommitted, ward.ErrBusy, ward.ErrReadOnly,
		ward.ErrNotReady, ward.ErrNotFound, ward.ErrErased, ward.ErrShares, ward.ErrUnauthorized, ward.ErrIntegrity,
		consent.ErrRevoked, record.ErrStale, identity.ErrUnknown, identity.ErrDenied, keys.ErrNoKey, chain.ErrBusy,
	} {
		h.Fail("Answers", want)
		if _, err := n.Answers(t.Context(), 0, nil); !errors.Is(err, want) {
			t.Errorf("%v arrives as %v", want, err)
		}
	}
}
