package identity_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

func TestSelfCustody(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	authority := must(pre.ParsePublicKey(w.Consortium.ExtractionKey))
	x := must(pre.GenerateCustodyKey())
	for version := uint32(1); version <= 2; version++ {
		w.must(string(alice), "custody", identity.CustodyArgs{Proof: must(x.Prove("records.example", string(alice), version))})
		id := must(w.lookup(alice).Recipient("records.example", authority))
		want := must(authority.SelfCustody("records.example", string(alice), version, must(x.Prove("records.example", string(alice), version))))
		if id.Version != version || !id.Key.Equal(want) || !id.SelfCustody() || id.Name != string(alice) || id.Chain != "records.example" {
			t.Errorf("recipient %+v", id)
		}
	}
	w.register(bob)
	if id := must(w.lookup(bob).Recipient("records.example", authority)); id.SelfCustody() || !id.Key.Equal(authority) {
		t.Errorf("recipient %+v", id)
	}
}

// A custody key that another holds, or that was registered for another name or
// version, would lock the owner out of her own records.
func TestCustodyNeedsPossession(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	x := must(pre.GenerateCustodyKey())
	good := must(x.Prove("records.example", string(alice), 1))
	for story, proof := range map[string][]byte{
		"none":              {},
		"for another chain": must(x.Prove("other.example", string(alice), 1)),
		"for another name":  must(x.Prove("records.example", string(bob), 1)),
		"for a later key":   must(x.Prove("records.example", string(alice), 2)),
		"cut":               good[:len(good)-1],
	} {
		if code := w.call(string(alice), "custody", identity.CustodyArgs{Proof: proof}); code != identity.ErrPossession {
			t.Errorf("proof %s gives %q", story, code)
		}
	}
	w.must(string(alice), "custody", identity.CustodyArgs{Proof: good})
	w.refuse(identity.ErrPossession, string(alice), "custody", identity.CustodyArgs{Proof: good})

	other := otherChain(t)
	a := registration(alice)
	a.Possession = ed25519.Sign(ledgertest.Key(string(alice)), identity.PossessionStatement("other.example", "register", alice, a.Key))
	other.must("north", "register", a)
	other.refuse(identity.ErrPossession, string(alice), "custody", identity.CustodyArgs{Proof: good})
}

func TestHospitalTakesNoSelfCustody(t *testing.T) {
	w := newWorld(t)
	w.must("north", "register", controlled(alice))
	proof := must(must(pre.GenerateCustodyKey()).Prove("records.example", string(alice), 1))
	w.refuse(identity.ErrController, string(alice), "custody", identity.CustodyArgs{Proof: proof})
}

func TestNoCustodyBeforeTheConsortiumHasItsKey(t *testing.T) {
	k := ledgertest.Consortium(t, 4)
	k.ExtractionKey, k.CheckpointKey = nil, nil
	w := newWorldOf(t, k)
	w.register(alice)
	proof := must(must(pre.GenerateCustodyKey()).Prove("records.example", string(alice), 1))
	w.refuse(identity.ErrNoKey, string(alice), "custody", identity.CustodyArgs{Proof: proof})
}

// Off and on again: each time has a version and an epoch of its own, so that no
// key or grant of one time is one of another.
func TestCustodyOffAndOnAgain(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.refuse(identity.ErrCustody, string(alice), "custody-off", identity.CustodyOffArgs{})
	authority := must(pre.ParsePublicKey(w.Consortium.ExtractionKey))
	seen := map[string]bool{}
	note := func(version uint32, epoch uint64) {
		t.Helper()
		id := must(w.lookup(alice).Recipient("records.example", authority))
		if id.Version != version || id.Epoch != epoch || id.SelfCustody() != (version != 0) || id.Key.Equal(authority) != (version == 0) {
			t.Errorf("recipient %+v", id)
		}
		if seen[string(id.Description())] {
			t.Errorf("version %d in epoch %d comes back", id.Version, id.Epoch)
		}
		seen[string(id.Description())] = true
	}
	x := must(pre.GenerateCustodyKey())
	take := func(version uint32) {
		t.Helper()
		w.must(string(alice), "custody", identity.CustodyArgs{Proof: must(x.Prove("records.example", string(alice), version))})
	}
	note(0, 0)
	take(1)
	note(1, 0)
	w.refuse(identity.ErrCustody, string(alice), "custody-off", identity.CustodyOffArgs{From: 2})
	w.must(string(alice), "custody-off", identity.CustodyOffArgs{From: 1})
	note(0, 1)
	if id := w.lookup(alice); len(id.Custody) != 0 || id.Custodies != 1 {
		t.Errorf("left custody: %+v", id)
	}
	w.refuse(identity.ErrCustody, string(alice), "custody-off", identity.CustodyOffArgs{From: 1})
	// The proof of before is for a key that she gave up.
	w.refuse(identity.ErrPossession, string(alice), "custody", identity.CustodyArgs{Proof: must(x.Prove("records.example", string(alice), 1))})
	take(2)
	note(2, 1)
	take(3)
	note(3, 1)
	w.must(string(alice), "custody-off", identity.CustodyOffArgs{From: 3})
	note(0, 2)
}
