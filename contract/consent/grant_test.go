package consent_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/pre"
)

func (w *world) raiseEpoch(name identity.Name) {
	w.Helper()
	w.must(w.run(string(name), identity.Contract, identity.MethodEpoch, identity.EpochArgs{From: w.identity(name).Epoch}, nil))
}

func TestGrantIsRefused(t *testing.T) {
	w := newWorld(t)
	until := func(ms int64) consent.Conditions { return consent.Conditions{NotAfter: ms} }
	good := func() *offer { return w.offer(patient, reader, "clinical", terms{}) }
	for what, c := range map[string]struct {
		want chain.Code
		make func() *offer
	}{
		"bytes that are no grant": {consent.ErrMalformed, func() *offer { o := good(); o.args.Grant = o.args.Grant[1:]; return o }},
		"an id that is none": {consent.ErrMalformed, func() *offer {
			return w.offer(patient, reader, "clinical", terms{edit: func(p *pre.Terms) { p.ID = "g-1" }})
		}},
		"conditions out of range":   {consent.ErrMalformed, func() *offer { o := good(); o.args.Conditions.NotAfter = -1; return o }},
		"conditions not its own":    {consent.ErrTerms, func() *offer { o := good(); o.args.Conditions.MaxUses = 9; return o }},
		"another's records":         {consent.ErrDenied, func() *offer { o := good(); o.owner = other; return o }},
		"another's, for a member":   {consent.ErrDenied, func() *offer { o := good(); o.owner = "north"; return o }},
		"another's, for a stranger": {consent.ErrDenied, func() *offer { o := good(); o.owner = "nobody@north"; return o }},
		"everything unsaid":         {consent.ErrTerms, func() *offer { o := w.offer(patient, reader, "", terms{}); o.args.Everything = false; return o }},
		"everything said of less":   {consent.ErrTerms, func() *offer { o := good(); o.args.Everything = true; return o }},
		"exposure that is none":     {consent.ErrTerms, func() *offer { o := good(); o.args.Expose = true; return o }},
		"over already":              {consent.ErrExpired, func() *offer { return w.offer(patient, reader, "clinical", terms{Conditions: until(w.now())}) }},
		"shares withheld":           {consent.ErrShares, func() *offer { o := good(); o.sidecar = nil; return o }},
		"shares that are the secret": {consent.ErrShares, func() *offer {
			return w.offer(patient, reader, "clinical", terms{edit: func(p *pre.Terms) { p.Threshold = 1 }})
		}},
		"shares that never combine": {consent.ErrShares, func() *offer {
			return w.offer(patient, reader, "clinical", terms{edit: func(p *pre.Terms) { p.Threshold = 4 }})
		}},
		"shares for members that are none": {consent.ErrShares, func() *offer {
			return w.offer(patient, reader, "clinical", terms{edit: func(p *pre.Terms) { p.Members = 5 }})
		}},
		"another generation": {consent.ErrStale, func() *offer {
			return w.offer(patient, reader, "clinical", terms{edit: func(p *pre.Terms) { p.Generation = 2 }})
		}},
		"nobody":                 {consent.ErrRecipient, func() *offer { o := good(); o.args.Recipient = "nobody@south"; return o }},
		"no name, and no policy": {consent.ErrMalformed, func() *offer { o := good(); o.args.Recipient = ""; return o }},
		"sealed to someone else": {consent.ErrRecipient, func() *offer { o := good(); o.args.Recipient = stranger; return o }},
		"the owner herself":      {consent.ErrRecipient, func() *offer { return w.offer(patient, patient, "clinical", terms{}) }},
		"renews nothing":         {consent.ErrUnknown, func() *offer { o := good(); o.args.Renews = "g-aaaaaaaaaaaaaaaaaaaaaaaaaa"; return o }},
		"answers nothing":        {consent.ErrUnknown, func() *offer { o := good(); o.args.Answers = "no"; return o }},
	} {
		if got := c.make().send().Code; got != c.want {
			t.Errorf("%s: code is %q, want %q", what, got, c.want)
		}
	}
	w.refused(w.do(patient, consent.MethodGrant, []byte{0x80}), consent.ErrMalformed)
	o := good()
	w.must(o.send())
	w.refused(o.send(), consent.ErrTaken)
	w.revoke(o.id)
	w.refused(o.send(), consent.ErrTaken) // an id is never used again
}

func TestGrantMadeBeforeTheOwnerMovedOn(t *testing.T) {
	w := newWorld(t)
	o := w.offer(patient, reader, "clinical", terms{})
	w.raiseEpoch(patient)
	w.refused(o.send(), consent.ErrStale)
	o = w.offer(patient, reader, "clinical", terms{})
	w.takeCustody(patient)
	w.refused(o.send(), consent.ErrStale)
}

func TestGrantMadeBeforeTheRecipientMovedOn(t *testing.T) {
	w := newWorld(t)
	o := w.offer(patient, reader, "clinical", terms{})
	w.raiseEpoch(reader)
	w.refused(o.send(), consent.ErrRecipient) // sealed to an inbox key of the past
	o = w.offer(patient, reader, "clinical", terms{})
	w.takeCustody(reader)
	w.refused(o.send(), consent.ErrRecipient)
}

// TestSelfCustodyIsNotUndoneByAGrant: t hospitals can extract the inbox key of
// a reader who is not in self-custody, and with it the owner's.
func TestSelfCustodyIsNotUndoneByAGrant(t *testing.T) {
	w := newWorld(t)
	w.takeCustody(patient)
	o := w.offer(patient, reader, "clinical", terms{expose: true})
	o.args.Expose = false
	w.refused(o.send(), consent.ErrTerms)
	o.args.Expose = true
	w.must(o.send())
	w.takeCustody(reader)
	id := w.put(patient, "clinical", 1)
	w.read(w.grant(patient, reader, "clinical", terms{}), id, "east", "north", "west")
}

func TestNoGrantBeforeTheConsortiumHasItsKeys(t *testing.T) {
	w := newWorld(t)
	o := w.offer(patient, reader, "clinical", terms{})
	c := ledgertest.NewFrom(t, keystest.Keyless(t, 4), contracts())
	bare := &world{TB: t, c: c, members: keystest.New(t, c), sealed: w.sealed}
	bare.register(patient)
	bare.register(reader, identity.Emergency)
	o.w = bare
	w.refused(o.send(), consent.ErrNoKey)
	bare.members.Open().Finish()
	w.refused(o.send(), consent.ErrNoKey) // made, but not in the file that clients trust
}

func TestRenewalEndsTheGrantBefore(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical", 1)
	old := w.grant(patient, reader, "clinical", terms{})
	o := w.offer(patient, reader, "clinical", terms{Conditions: consent.Conditions{MaxUses: 5}})
	o.args.Renews = old
	r := w.must(o.send())
	var kinds []string
	for _, e := range r.Events {
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, []string{consent.EventRevoke, consent.EventGrant}) {
		t.Errorf("events are %v", kinds)
	}
	if g := w.lookup(old); g.Ended != w.now() || g.EndedBy != w.last() || g.Status(w.now()) != consent.StatusRevoked {
		t.Errorf("the old grant is %+v", g)
	}
	w.refused(w.do(reader, consent.MethodAccess, w.ask(old, id)), consent.ErrRevoked)
	w.accept(o.id, "east", "north", "west")
	w.read(o.id, id, "east", "north", "west")

	again := w.offer(patient, reader, "clinical", terms{})
	again.args.Renews = old
	w.refused(again.send(), consent.ErrRevoked)
	foreign := w.offer(other, reader, "clinical", terms{})
	foreign.args.Renews = o.id
	w.refused(foreign.send(), consent.ErrDenied)
	elsewhere := w.offer(patient, stranger, "clinical", terms{})
	elsewhere.args.Renews = o.id
	w.refused(elsewhere.send(), consent.ErrRecipient)
	if w.lookup(o.id).Ended != 0 {
		t.Error("a refused renewal ends the grant")
	}
}

func TestGrantIsActiveWhenEnoughMembersHoldShares(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical", 1)
	o := w.offer(patient, reader, "clinical", terms{})
	w.must(o.send())
	index := w.lookup(o.id).Index
	w.refused(w.do(reader, consent.MethodAccess, w.ask(o.id, id)), consent.ErrPending)
	w.accept(o.id, "east", "north")
	w.refused(w.do(reader, consent.MethodAccess, w.ask(o.id, id)), consent.ErrPending)
	word := func(member string, ok bool) chain.Result {
		return w.run(member, consent.Contract, consent.MethodAccept, consent.AcceptArgs{Accepts: []consent.Accept{{Grant: o.id, OK: ok}}}, nil)
	}
	w.must(word("south", false))
	if g := w.lookup(o.id); !slices.Equal(g.Refused, []uint8{3}) || g.Status(w.now()) != consent.StatusPending {
		t.Errorf("grant is %+v", g)
	}
	w.must(word("east", false)) // a share that was good stays good
	w.accept(o.id, "south")     // it opened after all
	g := w.lookup(o.id)
	if !slices.Equal(g.Accepted, []uint8{1, 2, 3}) || len(g.Refused) != 0 || g.Needed != 3 || g.Robust != 4 || g.Status(w.now()) != consent.StatusActive {
		t.Errorf("grant is %+v", g)
	}
	w.read(o.id, id, "east", "north", "south")
	if w.c.Sidecars[index] == nil {
		t.Error("the sealed shares are gone before west has its own")
	}
	w.accept(o.id, "west")
	if w.c.Sidecars[index] != nil {
		t.Error("the sealed shares are kept though everybody has its own")
	}
}

func TestAcceptIsRefused(t *testing.T) {
	w := newWorld(t)
	a, b := w.offer(patient, reader, "clinical", terms{}), w.offer(patient, reader, "clinical", terms{})
	if a.id > b.id {
		a, b = b, a
	}
	w.must(a.send())
	w.must(b.send())
	both := consent.AcceptArgs{Accepts: []consent.Accept{{Grant: a.id, OK: true}, {Grant: b.id, OK: true}}}
	send := func(who string, args any) chain.Result {
		return w.run(who, consent.Contract, consent.MethodAccept, args, nil)
	}
	w.refused(send("east", consent.AcceptArgs{}), consent.ErrMalformed)
	var many consent.AcceptArgs
	for i := range consent.MaxAccepts + 1 {
		many.Accepts = append(many.Accepts, consent.Accept{Grant: consent.GrantID(fmt.Sprintf("g-%026d", i)), OK: true})
	}
	w.refused(send("east", many), consent.ErrMalformed)
	many.Accepts = many.Accepts[1:]
	w.refused(send("east", many), consent.ErrUnknown)
	w.refused(send("east", consent.AcceptArgs{Accepts: []consent.Accept{both.Accepts[1], both.Accepts[0]}}), consent.ErrMalformed)
	w.refused(send("east", consent.AcceptArgs{Accepts: []consent.Accept{both.Accepts[0], both.Accepts[0]}}), consent.ErrMalformed)
	w.refused(send("east", consent.AcceptArgs{Accepts: []consent.Accept{{Grant: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa", OK: true}}}), consent.ErrUnknown)
	w.refused(send(string(patient), both), consent.ErrDenied)
	w.refused(send("stranger", both), consent.ErrDenied)
	w.revoke(a.id)
	r := w.must(send("east", both)) // one that ended does not void the other
	var counted consent.AcceptArgs
	if err := chain.Unmarshal(r.Events[0].Data, &counted); err != nil || len(counted.Accepts) != 1 || counted.Accepts[0].Grant != b.id {
		t.Errorf("event says %+v, %v", counted, err)
	}
	if len(w.lookup(a.id).Accepted) != 0 {
		t.Error("a revoked grant was accepted")
	}
	w.revoke(b.id)
	w.refused(send("north", both), consent.ErrRevoked)
	c := w.offer(patient, reader, "clinical", terms{Conditions: consent.Conditions{NotAfter: w.now() + 1000}})
	w.must(c.send())
	w.wait(day)
	w.refused(send("north", consent.AcceptArgs{Accepts: []consent.Accept{{Grant: c.id, OK: true}}}), consent.ErrExpired)
}

// TestAMemberThatJoinedLaterHasNoWordOnAGrant that was dealt before it came.
func TestAMemberThatJoinedLaterHasNoWordOnAGrant(t *testing.T) {
	w := newWorld(t)
	o := w.offer(patient, reader, "clinical", terms{})
	w.must(o.send())
	w.resize(5)
	w.refused(w.run("x5", consent.Contract, consent.MethodAccept, consent.AcceptArgs{Accepts: []consent.Accept{{Grant: o.id, OK: true}}}, nil), consent.ErrDenied)
}

func TestRevokeIsTheOwners(t *testing.T) {
	w := newWorld(t)
	g := w.grant(patient, reader, "clinical", terms{})
	o := w.offer(patient, reader, "clinical", terms{})
	w.must(o.send())
	for _, who := range []identity.Name{reader, other, "north"} {
		w.refused(w.do(who, consent.MethodRevoke, consent.RevokeArgs{Grant: g}), consent.ErrDenied)
	}
	w.refused(w.do(patient, consent.MethodRevoke, consent.RevokeArgs{Grant: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa"}), consent.ErrUnknown)
	w.refused(w.do(patient, consent.MethodRevoke, []byte{1}), consent.ErrMalformed)
	w.revoke(g)
	w.refused(w.do(patient, consent.MethodRevoke, consent.RevokeArgs{Grant: g}), consent.ErrRevoked)
	index := w.lookup(o.id).Index
	w.revoke(o.id)
	if w.c.Sidecars[index] != nil {
		t.Error("the sealed shares of a revoked grant are kept")
	}
}

func TestListingsOfGrants(t *testing.T) {
	w := newWorld(t)
	var want []consent.GrantID
	for range 3 {
		o := w.offer(patient, reader, "clinical", terms{})
		w.must(o.send())
		want = append(want, o.id)
	}
	w.must(w.offer(other, stranger, "clinical", terms{}).send())
	w.revoke(want[1])
	list := func(each func(ledger.Reader, identity.Name, uint64, func(*consent.Grant) bool) error, name identity.Name, after uint64, limit int) (ids []consent.GrantID) {
		err := each(w.of(consent.Contract), name, after, func(g *consent.Grant) bool {
			ids = append(ids, g.ID)
			return len(ids) < limit
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	for what, got := range map[string][]consent.GrantID{
		"owner":     list(consent.EachByOwner, patient, 0, 9),
		"recipient": list(consent.EachByRecipient, reader, 0, 9),
	} {
		if !slices.Equal(got, want) {
			t.Errorf("by %s: %v, want %v", what, got, want)
		}
	}
	if got := list(consent.EachByOwner, patient, w.lookup(want[0]).Index, 1); !slices.Equal(got, want[1:2]) {
		t.Errorf("after the first: %v", got)
	}
	if got := list(consent.EachByOwner, "p-7f3a@nort", 0, 9); got != nil {
		t.Errorf("a name that is a prefix of another lists %v", got)
	}
	var live []string
	err := consent.Live(w.of(consent.Contract), w.now(), "", func(g keys.LiveGrant) bool {
		if !g.Ended {
			live = append(live, g.ID)
		}
		return true
	})
	if err != nil || len(live) != 3 || !slices.IsSorted(live) || slices.Contains(live, string(want[1])) {
		t.Errorf("live are %v, %v", live, err)
	}
	err = consent.Live(w.of(consent.Contract), w.now(), live[0], func(g keys.LiveGrant) bool {
		if g.ID != live[1] {
			t.Errorf("after the first comes %s", g.ID)
		}
		return false
	})
	if err != nil {
		t.Error(err)
	}
}
