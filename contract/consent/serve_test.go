package consent_test

import (
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

// TestMembersAnswerNoLonger names what happens to an access after its block
// that makes members refuse it.
func TestMembersAnswerNoLonger(t *testing.T) {
	w := newWorld(t)
	for what, c := range map[string]struct {
		want error
		then func(g consent.GrantID, ids ...record.ID)
	}{
		"nothing happened":      {nil, func(consent.GrantID, ...record.ID) {}},
		"the grant was revoked": {consent.ErrRevoked, func(g consent.GrantID, _ ...record.ID) { w.revoke(g) }},
		"the grant was renewed": {consent.ErrRevoked, func(g consent.GrantID, _ ...record.ID) {
			o := w.offer(patient, reader, "clinical", terms{})
			o.args.Renews = g
			w.must(o.send())
		}},
		"a record was erased": {consent.ErrErased, func(_ consent.GrantID, ids ...record.ID) {
			w.must(w.run(string(patient), record.Contract, record.MethodErase, record.EraseArgs{ID: ids[1]}, nil))
		}},
		"the hour is nearly over":  {nil, func(consent.GrantID, ...record.ID) { w.wait(consent.AnswerWindow) }},
		"the hour is over":         {consent.ErrExpired, func(consent.GrantID, ...record.ID) { w.wait(consent.AnswerWindow + time.Millisecond) }},
		"the grant expired":        {consent.ErrExpired, func(consent.GrantID, ...record.ID) { w.wait(30*time.Minute + time.Millisecond) }},
		"the owner's epoch rose":   {nil, func(consent.GrantID, ...record.ID) { w.raiseEpoch(patient) }},
		"the reader's key rotated": {consent.ErrDenied, func(consent.GrantID, ...record.ID) { w.rotate(reader, "new key of dr.lee") }},
	} {
		until := w.now() + 2*consent.AnswerWindow.Milliseconds()
		if what == "the grant expired" {
			until = w.now() + (30 * time.Minute).Milliseconds()
		}
		ids := []record.ID{w.put(patient, "clinical", 1), w.put(patient, "clinical", 1)}
		g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{NotAfter: until}})
		w.must(w.run(w.signer(reader), consent.Contract, consent.MethodAccess, w.ask(g, ids...), nil))
		index := w.last()
		c.then(g, ids...)
		if err := w.serveable(index, w.now()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func TestAnAccessFromTheFutureIsNotAnswered(t *testing.T) {
	w := newWorld(t)
	g := w.grant(patient, reader, "clinical", terms{})
	w.must(w.access(w.ask(g, w.put(patient, "clinical", 1))))
	if err := w.serveable(w.last(), w.now()-1); err != consent.ErrEarly {
		t.Error(err)
	}
}

// TestAnAccessThatIsNotOnTheChainIsNotAnswered though a node claims it.
func TestAnAccessThatIsNotOnTheChainIsNotAnswered(t *testing.T) {
	w := newWorld(t)
	g := w.grant(patient, reader, "clinical", terms{})
	w.must(w.access(w.ask(g, w.put(patient, "clinical", 1))))
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil {
		t.Fatal(err)
	}
	forged := *a
	forged.ID[0] ^= 1
	if err := consent.Serveable(w.c.Consortium, w.of, &forged, w.now(), holds); err != consent.ErrUnknown {
		t.Error(err)
	}
	forged = *a
	forged.Index++
	if err := consent.Serveable(w.c.Consortium, w.of, &forged, w.now(), holds); err != consent.ErrUnknown {
		t.Error(err)
	}
	forged = *a
	forged.Reader = "nobody@south"
	if err := consent.Serveable(w.c.Consortium, w.of, &forged, w.now(), holds); err != consent.ErrDenied {
		t.Error(err)
	}
}

// rotate gives an identity another key.
func (w *world) rotate(name identity.Name, to string) {
	w.Helper()
	key := ledgertest.Public(to)
	p := ed25519.Sign(ledgertest.Key(to), identity.PossessionStatement(w.c.Consortium.Chain, identity.MethodRotate, name, key))
	w.must(w.run(w.signer(name), identity.Contract, identity.MethodRotate, identity.RotateArgs{Key: key, Possession: p}, nil))
	if w.signers == nil {
		w.signers = make(map[identity.Name]string)
	}
	w.signers[name] = to
}

// signer is the name of the key that signs for an identity now.
func (w *world) signer(name identity.Name) string {
	if s := w.signers[name]; s != "" {
		return s
	}
	return string(name)
}
