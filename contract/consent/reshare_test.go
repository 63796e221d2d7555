package consent_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
)

// resize changes the members to the first n, with their usual thresholds.
func (w *world) resize(n int) {
	w.Helper()
	want := ledgertest.Consortium(w, n)
	w.members.Change(func(k *chain.Consortium) {
		k.Members, k.KeyThreshold, k.CheckpointThreshold = want.Members, want.KeyThreshold, want.CheckpointThreshold
	})
}

// read lets the reader open a record under a grant with the help of members.
func (w *world) read(g consent.GrantID, id record.ID, members ...string) {
	w.Helper()
	args := w.ask(g, id)
	w.must(w.do(reader, consent.MethodAccess, args))
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil {
		w.Fatal(err)
	}
	if err := w.serveable(a.Index, w.now()); err != nil {
		w.Fatalf("members refuse: %v", err)
	}
	if got := w.open(args, a.ID, members...); got[0] != "index of "+string(id) {
		w.Errorf("opened %q", got)
	}
}

// TestGrantsSurviveReshareToFiveMembersAndBack moves live grants to a roster
// with a newcomer and back to the founders, without their owner.
func TestGrantsSurviveReshareToFiveMembersAndBack(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical/exam/lab", 3)
	g := w.grant(patient, reader, "clinical/exam", terms{})
	ended := w.grant(patient, reader, "clinical", terms{})
	w.revoke(ended)
	three := w.offer(patient, reader, "clinical/exam", terms{})
	w.must(three.send())
	w.accept(three.id, "north", "south", "west") // east never said a word

	w.resize(5)
	if s := w.members.Open().Finish(); s != keys.Completed {
		t.Fatalf("the ceremony for five ends in state %d", s)
	}
	a := w.authority()
	if a.Generation != 2 || a.Index("x5") != 5 || !a.Complete {
		t.Fatalf("authority is %+v", a)
	}
	w.read(g, id, "x5", "east", "south")
	w.read(three.id, id, "x5", "east", "north")
	if _, _, lost, err := keys.Moved(w.of(keys.Contract), string(ended)); lost || err != nil {
		t.Errorf("a grant that had ended: %v, %v", lost, err)
	}
	fresh := w.grant(patient, reader, "clinical", terms{})

	w.resize(4)
	if s := w.members.Open().Finish(); s != keys.Completed {
		t.Fatalf("the ceremony for four ends in state %d", s)
	}
	for _, x := range []consent.GrantID{g, three.id, fresh} {
		w.read(x, id, "west", "north", "south")
		sharing, holders, lost, err := keys.Moved(w.of(keys.Contract), string(x))
		if err != nil || lost || sharing.Generation() != 3 || len(holders) != 4 {
			t.Errorf("grant %s: %v, %v, %v, %v", x, sharing, holders, lost, err)
		}
	}
	w.replay()
}

// replay executes the whole chain again, with contracts that remember nothing.
func (w *world) replay() {
	w.Helper()
	x, err := ledger.NewExecutor(contracts())
	if err != nil {
		w.Fatal(err)
	}
	head, writes, err := ledger.Genesis(w.c.Founding)
	if err != nil {
		w.Fatal(err)
	}
	var state ledgertest.State
	state.Apply(writes)
	for _, b := range w.c.Blocks {
		out, err := x.Replay(head, &state, b)
		if err != nil {
			w.Fatal(err)
		}
		state.Apply(out.Writes)
		head = out.Head
	}
}

// TestTheLastUseIsAnsweredAfterACeremony: a grant that is used up moves as long
// as somebody may wait for an answer, and no longer.
func TestTheLastUseIsAnsweredAfterACeremony(t *testing.T) {
	w := newWorld(t)
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{MaxUses: 1}})
	w.must(w.access(w.ask(g, w.put(patient, "clinical", 1))))
	index := w.last()
	w.members.Open().Finish()
	if err := w.serveable(index, w.now()); err != nil {
		t.Errorf("members refuse: %v", err)
	}
	w.wait(consent.AnswerWindow)
	r := w.members.Open()
	if len(r.Description.Secrets) != 2 {
		t.Errorf("the ceremony moves %d grants", len(r.Description.Secrets)-2)
	}
}

func TestAGrantThatExpiredDoesNotMove(t *testing.T) {
	w := newWorld(t)
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{NotAfter: w.now() + 1000}})
	w.wait(time.Second + time.Millisecond)
	r := w.members.Open()
	if len(r.Description.Secrets) != 2 {
		t.Errorf("the ceremony moves %d grants", len(r.Description.Secrets)-2)
	}
	r.Finish()
	if _, _, err := w.lookup(g).InForce(w.of(keys.Contract)); err != consent.ErrLost {
		t.Errorf("its sharing: %v", err)
	}
	if s, err := consent.Standing(w.lookup(g), w.of("identity"), w.of(keys.Contract), w.now()); s != consent.StatusExpired || err != nil {
		t.Errorf("status is %s, %v", s, err)
	}
}

func TestGrantThatTooFewHoldIsLostInACeremony(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical/exam/lab", 3)
	two := w.offer(patient, reader, "clinical", terms{})
	w.must(two.send())
	w.accept(two.id, "north", "south")
	none := w.offer(patient, reader, "clinical", terms{})
	w.must(none.send())
	w.members.Open().Finish()
	for _, g := range []consent.GrantID{two.id, none.id} {
		if _, _, lost, err := keys.Moved(w.of(keys.Contract), string(g)); !lost || err != nil {
			t.Errorf("%s is not lost: %v", g, err)
		}
		if _, _, err := w.lookup(g).InForce(w.of(keys.Contract)); err != consent.ErrLost {
			t.Errorf("its sharing: %v", err)
		}
		w.refused(w.do(reader, consent.MethodAccess, w.ask(g, id)), consent.ErrLost)
		// A late word cannot bring it back.
		w.refused(w.run("east", consent.Contract, consent.MethodAccept, consent.AcceptArgs{Accepts: []consent.Accept{{Grant: g, OK: true}}}, nil), consent.ErrStale)
		if s, err := consent.Standing(w.lookup(g), w.of("identity"), w.of(keys.Contract), w.now()); s != consent.StatusLost || err != nil {
			t.Errorf("status is %s, %v", s, err)
		}
	}
	w.members.Open().Finish()
	if _, _, lost, err := keys.Moved(w.of(keys.Contract), string(two.id)); !lost || err != nil {
		t.Errorf("the next ceremony forgets the loss: %v", err)
	}
	// The owner ends it and makes another.
	w.revoke(two.id)
	w.read(w.grant(patient, reader, "clinical", terms{}), id, "east", "north", "west")
}

func TestNoGrantWhileACeremonyMovesTheKeys(t *testing.T) {
	w := newWorld(t)
	o := w.offer(patient, reader, "clinical", terms{})
	r := w.members.Open()
	w.refused(o.send(), consent.ErrMoving)
	r.Finish()
	w.refused(o.send(), consent.ErrStale) // dealt in the generation before
}

func TestOldSharesServeUntilTheCeremonyIsComplete(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical/exam/lab", 3)
	g := w.grant(patient, reader, "clinical", terms{})
	r := w.members.Open()
	r.ToConfirm()
	r.Post("west") // three confirm: enough to serve, not to erase
	if code := r.Close(); code != "" {
		t.Fatal(code)
	}
	a := w.authority()
	if a.Generation != 2 || a.Complete || !slices.Equal(a.Holders, []uint8{1, 2, 3}) {
		t.Fatalf("authority is %+v", a)
	}
	old, err := keys.Previous(w.of(keys.Contract))
	if err != nil || old.Generation != 1 {
		t.Fatalf("previous authority is %+v, %v", old, err)
	}
	// West confirms late.
	r.Post()
	if code := r.Close(); code != "" {
		t.Fatal(code)
	}
	if a := w.authority(); !a.Complete || len(a.Holders) != 4 {
		t.Fatalf("authority is %+v", a)
	}
	r.Keep()
	w.read(g, id, "west", "east", "north")
}
