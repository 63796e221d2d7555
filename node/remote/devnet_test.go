package remote_test

import (
	"bytes"
	"crypto"
	"errors"
	"testing"
	"time"

	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/node/remote"
)

// TestAgainstRealNodes asks four nodes that run the real contracts.
func TestAgainstRealNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts four nodes and lets them make their keys")
	}
	d, err := devnet.New(t.Context(), devnet.Options{Dir: t.TempDir(), HTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	k := d.Consortium()
	as := func(member int, signer crypto.Signer) *remote.Node {
		n, err := remote.New("", remote.Options{Consortium: k, Member: d.Name(member), Signer: signer})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		return n
	}
	auditor := identity.Name("audit@" + d.Name(0))
	key := ledgertest.Key(string(auditor))
	n := as(1, key)
	question := encode(t, query.Identity{Name: auditor})
	if _, err := n.Ask(t.Context(), question); !errors.Is(err, identity.ErrUnknown) && err == nil {
		t.Fatalf("before it is registered: %v", err)
	}
	before, err := as(1, nil).Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Register(t.Context(), 0, auditor, key, false, identity.Attribute{Name: identity.Auditor}); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	answer, err := n.Ask(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := answer.Verify(k, question, asked, time.Now(), time.Minute); err != nil {
		t.Fatal(err)
	}
	for e, err := range n.Events(t.Context(), int64(before.Size)-1) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == identity.EventChanged {
			break
		}
	}
	var chain bytes.Buffer
	if err := n.Export(t.Context(), &chain); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(&chain, k, audit.Visitor{}); err != nil {
		t.Fatal(err)
	}
	nodeKey, err := d.Key(2)
	if err != nil {
		t.Fatal(err)
	}
	member := as(1, nodeKey)
	value, code, a, err := member.Attest(t.Context(), question)
	if err != nil || !a.Verify(k, question, value, code) {
		t.Fatalf("attestation: %v", err)
	}
	if _, err := member.SignHead(t.Context(), before.Height); err != nil {
		t.Fatal(err)
	}
	if ref, err := n.Blobs().Put(t.Context(), bytes.NewReader([]byte("sealed"))); err != nil {
		t.Fatal(err)
	} else if _, err := as(3, key).Blobs().Stat(t.Context(), ref); err != nil {
		t.Fatalf("a blob put at one member, asked for at another: %v", err)
	}
}
