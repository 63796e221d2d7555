package ward_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/wallet"
)

const (
	kidName identity.Name = "p-kid@north"
	mumName identity.Name = "mum@south"
)

// actingFor returns the client with which someone acts for an owner.
func (p *people) actingFor(name, owner identity.Name) *ward.Client {
	p.t.Helper()
	c, err := ward.New(ward.Options{
		Consortium: p.Founding(), Wallet: p.wallets[name], For: owner, Nodes: []ward.Node{p.Node("north")}, Clock: p.Now,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// writeFor stores a payload for an owner.
func (p *people) writeFor(owner identity.Name, payload string) record.ID {
	p.t.Helper()
	id, err := p.author.Put(p.ctx, ward.Record{Owner: owner, Type: "clinical/lab", Title: "note", MediaType: "text/plain"}, strings.NewReader(payload))
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// get reads a record as a client.
func (p *people) get(c *ward.Client, id record.ID) (string, error) {
	var out bytes.Buffer
	_, err := c.Get(p.ctx, id, ward.Purpose{Code: consent.Treatment, Reason: "check-up"}, &out)
	return out.String(), err
}

// reads checks that a record opens to a client.
func (p *people) reads(c *ward.Client, id record.ID, want string) {
	p.t.Helper()
	if got, err := p.get(c, id); err != nil || got != want {
		p.t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// TestMinorWithAGuardianGrowsUp is a childhood: a mother grants, reads, denies
// and revokes for her daughter, whose key the hospital holds; at eighteen she
// takes it over, and what her mother did is in her history.
func TestMinorWithAGuardianGrowsUp(t *testing.T) {
	p := meet(t)
	held, err := wallet.Generate(p.Founding().Chain, kidName)
	if err != nil {
		t.Fatal(err)
	}
	p.RegisterWallet(held, true)
	p.wallets[kidName] = held
	p.join(mumName)
	mum := p.actingFor(mumName, kidName)
	if mum.Name() != mumName || mum.Owner() != kidName {
		t.Errorf("%s acts for %s", mum.Name(), mum.Owner())
	}
	id := p.writeFor(kidName, "measles")
	if _, err := p.get(mum, id); !errors.Is(err, consent.ErrDenied) {
		t.Errorf("read before she was guardian: %v", err)
	}
	eighteen := p.Now().Add(30 * 24 * time.Hour)
	p.Must("north", identity.Contract, identity.MethodGuardian, identity.GuardianArgs{
		Name: kidName, Guardian: mumName, Kind: identity.Minor, Until: eighteen.UnixMilli(),
	})
	p.reads(mum, id, "measles")
	asked, err := p.reader.Request(p.ctx, kidName, "clinical", consent.Treatment, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := mum.Grant(p.ctx, ward.Terms{To: readerName, Type: "clinical", Answers: asked})
	if err != nil {
		t.Fatal(err)
	}
	p.reads(p.reader, id, "measles")
	var access uint64
	for e, err := range mum.History(p.ctx, kidName) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == "access" {
			access = e.Index
		}
	}
	if reason, err := mum.Reason(p.ctx, access); err != nil || reason != "check-up" {
		t.Errorf("reason %q, %v", reason, err)
	}
	if asked, err = p.reader.Request(p.ctx, kidName, "imaging", consent.Treatment, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := mum.Deny(p.ctx, asked); err != nil {
		t.Fatal(err)
	}
	if err := mum.Revoke(p.ctx, g, ward.RevokeOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.get(p.reader, id); !errors.Is(err, consent.ErrRevoked) {
		t.Errorf("read after she revoked: %v", err)
	}
	stands, err := mum.Grant(p.ctx, ward.Terms{To: readerName, Type: "clinical"})
	if err != nil {
		t.Fatal(err)
	}

	p.Advance(eighteen.Sub(p.Now()) + time.Second)
	if _, err := p.get(mum, id); !errors.Is(err, consent.ErrDenied) {
		t.Errorf("read with a key of before: %v", err)
	}
	p.wants(mum.Revoke(p.ctx, stands, ward.RevokeOptions{}), consent.ErrDenied)
	if _, err := mum.Grant(p.ctx, ward.Terms{To: readerName, Type: "clinical"}); err == nil {
		t.Error("granted for a grown-up")
	}
	p.reads(p.reader, id, "measles") // what she granted stands
	hers := p.Client(held)
	if err := hers.Claim(p.ctx); err != nil {
		t.Fatal(err)
	}
	if err := hers.Revoke(p.ctx, stands, ward.RevokeOptions{Rotate: true}); err != nil {
		t.Fatal(err)
	}
	want := []string{"put lab@north", "key mum@south", "request dr-lee@south", "key mum@south", "grant mum@south", "access dr-lee@south", "key mum@south",
		"request dr-lee@south", "revoke mum@south", "grant mum@south", "access dr-lee@south", "revoke p-kid@north"}
	var got []string
	for e, err := range hers.History(p.ctx, kidName) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e.Kind, " ", e.By))
	}
	if !slices.Equal(got, want) {
		t.Errorf("history is %q, want %q", got, want)
	}
}

// TestGuardianDoesNotDoToHimselfWhatTheOwnerAloneMay: a guardian signs with his
// own key, so that what is about a key would be about his.
func TestGuardianDoesNotDoToHimselfWhatTheOwnerAloneMay(t *testing.T) {
	p := meet(t)
	p.join(mumName)
	if err := p.patient.Delegate(p.ctx, mumName, time.Time{}); err != nil {
		t.Fatal(err)
	}
	mum := p.actingFor(mumName, patientName)
	before, err := p.patient.Identity(p.ctx, mumName)
	if err != nil {
		t.Fatal(err)
	}
	id := p.put("x", []byte("x"))
	g := p.grant()
	for what, do := range map[string]func() error{
		"register":       func() error { return mum.Register(p.ctx, p.Key("south"), false) },
		"rotate":         func() error { return mum.RotateKey(p.ctx) },
		"claim":          func() error { return mum.Claim(p.ctx) },
		"hand over":      func() error { return mum.HandOver(p.ctx, before.Key, nil) },
		"epoch":          func() error { return mum.RaiseEpoch(p.ctx) },
		"take custody":   func() error { _, err := mum.TakeCustody(p.ctx); return err },
		"leave custody":  func() error { return mum.LeaveCustody(p.ctx) },
		"delegate":       func() error { return mum.Delegate(p.ctx, readerName, time.Time{}) },
		"veto":           func() error { return mum.Veto(p.ctx) },
		"revoke, rotate": func() error { return mum.Revoke(p.ctx, g, ward.RevokeOptions{Rotate: true}) },
		"end, rotate":    func() error { return mum.EndGuardian(p.ctx, mumName, ward.RevokeOptions{Rotate: true}) },
	} {
		if err := do(); !errors.Is(err, ward.ErrGuardian) {
			t.Errorf("%s: %v", what, err)
		}
	}
	p.wants(mum.Erase(p.ctx, id), record.ErrDenied)
	after, err := p.patient.Identity(p.ctx, mumName)
	if err != nil || after.Changed != before.Changed {
		t.Errorf("%+v became %+v, %v", before, after, err)
	}
	if s, err := p.patient.ShowGrant(p.ctx, g); err != nil || s.Grant.Ended != 0 {
		t.Errorf("half of a refused revocation happened: %+v, %v", s, err)
	}
}

// TestDelegateIsEnded: by the owner, so that later records are out of reach, and
// by the delegate, whose wallet forgets the keys.
func TestDelegateIsEnded(t *testing.T) {
	p := meet(t)
	p.join(mumName)
	mum := p.actingFor(mumName, patientName)
	id := p.put("x", []byte("x"))
	if err := p.patient.Delegate(p.ctx, mumName, p.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	p.reads(mum, id, "x")
	if err := p.patient.EndGuardian(p.ctx, mumName, ward.RevokeOptions{Rotate: true}); err != nil {
		t.Fatal(err)
	}
	now, err := p.patient.Identity(p.ctx, patientName)
	if err != nil || now.Epoch != 1 || len(now.Guardians) != 0 {
		t.Errorf("%+v, %v", now, err)
	}
	if _, err := p.get(mum, id); !errors.Is(err, consent.ErrDenied) {
		t.Errorf("read: %v", err)
	}
	if err := p.patient.Delegate(p.ctx, mumName, time.Time{}); err != nil {
		t.Fatal(err)
	}
	p.reads(mum, id, "x")
	if err := mum.EndGuardian(p.ctx, mumName, ward.RevokeOptions{}); err != nil {
		t.Fatal(err)
	}
	p.wants(mum.EndGuardian(p.ctx, mumName, ward.RevokeOptions{}), identity.ErrGuardian)
	if err := p.patient.Delegate(p.ctx, mumName, time.Time{}); err != nil {
		t.Fatal(err)
	}
	p.reads(mum, id, "x")
	n := 0
	for r, err := range p.patient.KeyRequests(p.ctx, patientName) {
		if err != nil || r.By != mumName {
			t.Fatal(r, err)
		}
		n++
	}
	if n != 3 { // the wallet had forgotten, each time
		t.Errorf("%d requests for keys", n)
	}
}

// TestCustodyOnOffAndOnAgain: whatever was written when, it opens to its owner,
// and to a reader under a grant of that time.
func TestCustodyOnOffAndOnAgain(t *testing.T) {
	p := meet(t)
	if _, err := p.reader.TakeCustody(p.ctx); err != nil {
		t.Fatal(err)
	}
	p.join(mumName)
	if err := p.patient.Delegate(p.ctx, mumName, time.Time{}); err != nil {
		t.Fatal(err)
	}
	mum := p.actingFor(mumName, patientName)
	steps := []struct {
		name  string
		do    func() error
		opens bool // to a guardian
	}{
		{"before", func() error { return nil }, true},
		{"taken", func() error { _, err := p.patient.TakeCustody(p.ctx); return err }, false},
		{"left", func() error { return p.patient.LeaveCustody(p.ctx) }, true},
		{"taken again", func() error { _, err := p.patient.TakeCustody(p.ctx); return err }, false},
		{"replaced", func() error { _, err := p.patient.TakeCustody(p.ctx); return err }, false},
		{"left again", func() error { return p.patient.LeaveCustody(p.ctx) }, true},
	}
	var ids []record.ID
	var first uint64 // access, with its reason sealed to the patient as she was before
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		ids = append(ids, p.put(s.name, []byte(s.name)))
		p.grant()
		p.reads(p.reader, ids[len(ids)-1], s.name)
		if first == 0 {
			first = p.lastAccess()
		}
		if _, err := p.get(mum, ids[len(ids)-1]); (err == nil) != s.opens || !s.opens && !errors.Is(err, keys.ErrCustody) {
			t.Errorf("%s: to a guardian: %v", s.name, err)
		}
		// Not even with a key that his wallet has from before.
		if _, err := p.get(mum, ids[0]); (err == nil) != s.opens || !s.opens && !errors.Is(err, keys.ErrCustody) {
			t.Errorf("%s: what was before, to a guardian: %v", s.name, err)
		}
		if _, err := mum.Reason(p.ctx, first); (err == nil) != s.opens || !s.opens && !errors.Is(err, keys.ErrCustody) {
			t.Errorf("%s: a reason of before, to a guardian: %v", s.name, err)
		}
	}
	for i, s := range steps {
		p.reads(p.patient, ids[i], s.name)
		p.reads(p.reader, ids[i], s.name)
		// What was written in self-custody is for ever hers alone.
		if _, err := p.get(mum, ids[i]); (err == nil) != s.opens {
			t.Errorf("%s, at the end: to a guardian: %v", s.name, err)
		}
	}
	p.wants(p.patient.LeaveCustody(p.ctx), identity.ErrCustody)
}

func TestActingForNoName(t *testing.T) {
	p := meet(t)
	if _, err := ward.New(ward.Options{Consortium: p.Founding(), Wallet: p.wallets[patientName], For: "mum", Nodes: p.Nodes()}); !errors.Is(err, identity.ErrMalformed) {
		t.Errorf("error %v", err)
	}
}
