package query_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
)

// send runs one transaction that is accepted.
func send(t *testing.T, c *ledgertest.Chain, signer, contract, method string, args any) {
	t.Helper()
	if r := c.Run(c.Tx(signer, contract, method, args))[0]; r.Code != "" {
		t.Fatalf("%s is refused as %s", method, r.Code)
	}
}

func TestAttributeAuthoritiesAndDefaults(t *testing.T) {
	c := state(t, 1)
	master, err := abe.GenerateMasterKey("north")
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := abe.ParseCatalogue("role text\n")
	if err != nil {
		t.Fatal(err)
	}
	var a identity.Authority
	if err := run(t, c, query.AttributeAuthority{Name: "north"}, &a); !errors.Is(err, identity.ErrNoAuthority) {
		t.Errorf("before the first: %v", err)
	}
	var encoded [3][]byte
	for epoch := uint64(1); epoch <= 2; epoch++ {
		x, err := master.Authority(epoch, catalogue)
		if err != nil {
			t.Fatal(err)
		}
		encoded[epoch] = x.Bytes()
		send(t, c, "north", identity.Contract, identity.MethodAuthority, identity.AuthorityArgs{Authority: x.Bytes()})
	}
	for _, x := range []struct {
		epoch, want uint64
		raw         []byte
	}{{0, 2, encoded[2]}, {2, 2, encoded[2]}, {1, 1, nil}} {
		a = identity.Authority{}
		if err := run(t, c, query.AttributeAuthority{Name: "north", Epoch: x.epoch}, &a); err != nil || a.Name != "north" || a.Epoch != x.want || !bytes.Equal(a.Raw, x.raw) {
			t.Errorf("epoch %d: %v of epoch %d, %d bytes", x.epoch, err, a.Epoch, len(a.Raw))
		}
	}
	if err := run(t, c, query.AttributeAuthority{Name: "north", Epoch: 3}, &a); !errors.Is(err, identity.ErrNoAuthority) {
		t.Errorf("of an epoch to come: %v", err)
	}

	var d consent.Defaults
	if err := run(t, c, query.Defaults{Org: "north"}, &d); !errors.Is(err, consent.ErrUnknown) {
		t.Errorf("before the first: %v", err)
	}
	team := consent.Default{Name: "team", Type: "clinical", Policy: "north:role = physician"}
	send(t, c, "north", consent.Contract, consent.MethodDefaults, consent.DefaultsArgs{Defaults: []consent.Default{team}})
	if err := run(t, c, query.Defaults{Org: "north"}, &d); err != nil || d.Version != 1 || len(d.Defaults) != 1 || d.Defaults[0].Policy != team.Policy {
		t.Errorf("defaults are %+v, %v", d, err)
	}
}
