package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/node/remote"
	"github.com/ward-health/ward/pre"
)

// actingFor returns a client over HTTPS with which a person acts for an owner.
func (w *world) actingFor(p *person, owner identity.Name) *person {
	w.t.Helper()
	n, err := remote.New("", remote.Options{Consortium: w.Consortium(), Member: p.Name().Org(), Signer: p.wallet.Signer()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = n.Close() })
	c, err := ward.New(ward.Options{Consortium: w.Consortium(), Wallet: p.wallet, For: owner, Nodes: []ward.Node{n}})
	if err != nil {
		w.t.Fatal(err)
	}
	return &person{c, p.wallet}
}

// TestKeysGoToGuardiansWhileTheyAre asks for an owner's keys with transactions
// that were good when they were committed, and are no reason to answer any more.
func TestKeysGoToGuardiansWhileTheyAre(t *testing.T) {
	var clocks clock
	inWorld(t, 4, clocks.set, func(w *world) {
		owner, mother := w.person("p-1@north"), w.person("mum@south")
		transport, err := pre.GenerateTransportKey()
		if err != nil {
			t.Fatal(err)
		}
		submit := func(inbox bool) (uint64, error) {
			args := keys.RequestArgs{Inbox: inbox, Transport: transport.Public(), Owner: owner.Name()}
			r, err := w.Node(0).Submit(w.ctx, mother.tx(t, keys.Contract, keys.MethodRequest, args), nil)
			if err != nil {
				t.Fatal(err)
			}
			return r.Index, r.Result.Err()
		}
		request := func() uint64 {
			t.Helper()
			index, err := submit(false)
			if err != nil {
				t.Fatal(err)
			}
			return index
		}
		answers := func(what string, index uint64, want error) {
			t.Helper()
			for i := range w.Len() {
				if _, err := w.Node(i).PartialKey(w.ctx, index); !errors.Is(err, want) {
					t.Errorf("%s: %s says %v, want %v", what, w.Name(i), err, want)
				}
			}
		}
		if index, err := submit(false); !errors.Is(err, keys.ErrDenied) {
			t.Errorf("a stranger's request: %v", err)
		} else {
			answers("a stranger", index, keys.ErrDenied)
		}
		delegate := func(until time.Time) {
			t.Helper()
			if err := owner.Delegate(w.ctx, mother.Name(), until); err != nil {
				t.Fatal(err)
			}
		}
		delegate(time.Time{})
		answers("a guardian", request(), nil)
		if _, err := submit(true); !errors.Is(err, keys.ErrDenied) {
			t.Errorf("inbox of the ward: %v", err)
		}

		index := request()
		if err := owner.EndGuardian(w.ctx, mother.Name(), ward.RevokeOptions{}); err != nil {
			t.Fatal(err)
		}
		answers("guardian no more", index, keys.ErrDenied)

		delegate(time.Time{})
		index = request()
		if _, err := owner.TakeCustody(w.ctx); err != nil {
			t.Fatal(err)
		}
		answers("self-custody since", index, keys.ErrCustody)
		if err := owner.LeaveCustody(w.ctx); err != nil {
			t.Fatal(err)
		}

		// The chain stands still while the time runs out.
		delegate(time.Now().Add(10 * time.Minute))
		index = request()
		clocks.pass(9 * time.Minute)
		answers("in the last minute", index, nil)
		clocks.pass(2 * time.Minute)
		answers("a minute later", index, keys.ErrDenied)
	})
}

// TestGuardianOverHTTPS acts for a minor whose key her hospital holds, through
// nodes that show everybody only what is theirs to see.
func TestGuardianOverHTTPS(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	d, err := devnet.New(ctx, devnet.Options{Dir: tempDir(t), HTTP: true, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := &world{d, t, ctx}
	owner, mother, reader, author := w.person("p-1@north"), w.person("mum@south"), w.person("dr.lee@south"), w.person("dr.chen@east", "author")
	id := w.put(author, owner.Name(), "lab", "glucose 5.4")
	mum := w.actingFor(mother, owner.Name())
	if _, err := w.read(mum, id); !errors.Is(err, record.ErrDenied) {
		t.Errorf("a stranger: %v", err)
	}
	if err := owner.Delegate(w.ctx, mother.Name(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.mustRead(mum, id, "glucose 5.4")
	g := w.grant(mum, reader.Name(), "lab")
	w.mustRead(reader, id, "glucose 5.4")
	by := map[string]identity.Name{}
	for e, err := range mum.History(w.ctx, owner.Name()) {
		if err != nil {
			t.Fatal(err)
		}
		by[e.Kind] = e.By
	}
	if by["grant"] != mother.Name() || by["key"] != mother.Name() || by["access"] != reader.Name() {
		t.Errorf("history %v", by)
	}
	if err := mum.Revoke(w.ctx, g, ward.RevokeOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := owner.EndGuardian(w.ctx, mother.Name(), ward.RevokeOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.read(mum, id); !errors.Is(err, record.ErrDenied) {
		t.Errorf("after the end: %v", err)
	}
	if err := mum.Revoke(w.ctx, g, ward.RevokeOptions{}); !errors.Is(err, consent.ErrDenied) {
		t.Errorf("after the end: %v", err)
	}
}
