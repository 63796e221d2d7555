package keys_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/dkg"
)

// few are limits with room for five grants of four members in a ceremony.
var few = keys.Limits{Writes: 64 << 10, Looks: 1000, Room: 5 * 272}

// handingWorld has four members and live grants, of which a ceremony moves few.
type handingWorld struct {
	*testing.T
	*book
	m      *keystest.Members
	limits keys.Limits
}

func newHandingWorld(t *testing.T, grants int, limits keys.Limits) *handingWorld {
	t.Helper()
	if limits.Rounds == 0 {
		limits.Rounds = keys.Rules.Rounds
	}
	w := &handingWorld{T: t, book: new(book), limits: limits}
	w.m = keystest.Found(t, ledgertest.NewFrom(t, keystest.Keyless(t, 4), w.contracts()))
	w.deal(t, grants)
	w.m.Grants = w.shares
	return w
}

func (w *handingWorld) contracts() map[string]ledger.Contract {
	return map[string]ledger.Contract{keys.Contract: keys.NewWithTestingLimits(w.live, w.limits), identity.Contract: identity.New()}
}

func (w *handingWorld) pending() *keys.Handover {
	w.Helper()
	h, err := keys.Pending(w.m.Keys())
	if err != nil {
		w.Fatal(err)
	}
	return h
}

// made adds a grant that was dealt in the authority's generation, with shares
// of one that there is.
func (w *handingWorld) made(id string, like keys.LiveGrant) {
	w.grants = append(w.grants, keys.LiveGrant{ID: id, Sharing: like.Sharing, Holders: like.Holders})
	slices.SortFunc(w.grants, func(a, b keys.LiveGrant) int { return strings.Compare(a.ID, b.ID) })
	w.m.Grants[id] = w.m.Grants[like.ID]
}

func (w *handingWorld) revoked(id string) {
	w.grants = slices.DeleteFunc(w.grants, func(g keys.LiveGrant) bool { return g.ID == id })
}

// labels returns the grants that a ceremony moves.
func labels(r *keystest.Run) (list []string) {
	for _, s := range r.Description.Secrets {
		if s.Use == dkg.UseGrant {
			list = append(list, s.Label)
		}
	}
	return list
}

// id returns that of a grant of the book.
func id(i int) string { return fmt.Sprintf("g-%026d", i) }

// inForce checks that every live grant is shared in a generation, and that every
// member's share of it holds.
func (w *handingWorld) inForce(generation uint32) {
	w.Helper()
	for _, g := range w.grants {
		s, holders, lost, err := keys.Moved(w.m.Keys(), g.ID)
		if err != nil || lost || s == nil || s.Generation() != generation || len(holders) < s.Threshold() {
			w.Fatalf("%s: %v, %v, %v, %v", g.ID, s, holders, lost, err)
		}
		for _, name := range current(w, w.m).Members {
			if share := w.m.Grants[g.ID][name]; share == nil || share.Check(s) != nil {
				w.Errorf("%s: share of %s: %v", g.ID, name, share)
			}
		}
	}
}

// untouched checks that a hand-over under way changes nothing that is in force.
func (w *handingWorld) untouched(generation uint32) {
	w.Helper()
	if a := current(w, w.m); a.Generation != generation {
		w.Fatalf("the authority is of generation %d", a.Generation)
	}
	for _, g := range w.grants {
		if s, _, lost, err := keys.Moved(w.m.Keys(), g.ID); err != nil || lost || s != nil && s.Generation() != generation {
			w.Fatalf("%s changed before its hand-over was done: %v, %v, %v", g.ID, s, lost, err)
		}
	}
}

// TestGrantsOfOneCeremonyAreBounded: more than its room move in parts, and all
// are in force at once. It was the end of every ceremony that more grants were
// live than a deal had room for.
func TestGrantsOfOneCeremonyAreBounded(t *testing.T) {
	w := newHandingWorld(t, 12, few)
	var parts [][]string
	for {
		w.untouched(1)
		r := w.m.Open()
		parts = append(parts, labels(r))
		c := latest(t, w.m)
		if last := r.Description.Secrets[0].Use == dkg.UseCheckpoint; last != (c.State == keys.Running) || last != c.Moving() {
			t.Fatalf("ceremony is %+v", c)
		}
		if r.Description.Generation != 2 {
			t.Fatalf("generation %d", r.Description.Generation)
		}
		if s := r.Finish(); s != keys.Completed {
			t.Fatalf("ends in state %d", s)
		}
		if c.State == keys.Running {
			break
		}
		if h := w.pending(); h.Parts != uint32(len(parts)) || h.Moved != uint64(5*len(parts)) || h.Next != id(5*len(parts)-1) || h.Short != 0 {
			t.Errorf("after %d parts: %+v", len(parts), h)
		}
	}
	if fmt.Sprint(parts) != fmt.Sprint([][]string{{id(0), id(1), id(2), id(3), id(4)}, {id(5), id(6), id(7), id(8), id(9)}, {id(10), id(11)}}) {
		t.Errorf("parts are %v", parts)
	}
	if a := current(t, w.m); a.Generation != 2 || a.Ceremony != 4 || !a.Complete {
		t.Errorf("authority is %+v", a)
	}
	if h := w.pending(); h != nil {
		t.Errorf("the hand-over goes on: %+v", h)
	}
	w.inForce(2)
	// The next one begins at the beginning, with a generation of its own.
	if n := w.m.FinishAll(); n != 3 {
		t.Errorf("the next takes %d ceremonies", n)
	}
	w.inForce(5)
	replay(t, w.m.Chain, w.contracts())
}

// TestGrantsMadeAndRevokedDuringAHandOver: who is made behind the search is
// found when it comes round, who is revoked is not looked for any more.
func TestGrantsMadeAndRevokedDuringAHandOver(t *testing.T) {
	t.Run("one transaction lists a part", func(t *testing.T) {
		if testing.Short() {
			t.Skip("the other half finds as much")
		}
		madeAndRevoked(t, few)
	})
	t.Run("several list a part", func(t *testing.T) {
		madeAndRevoked(t, keys.Limits{Writes: 64 << 10, Looks: 3, Room: few.Room})
	})
}

func madeAndRevoked(t *testing.T, limits keys.Limits) {
	w := newHandingWorld(t, 12, limits)
	w.m.Open().Finish() // 0 to 4
	r := w.m.Open()     // 5 to 9
	w.made(id(3)+"a", w.grants[0])
	w.made(id(7)+"a", w.grants[1])
	w.made(id(20), w.grants[2])
	w.revoked(id(2))  // moved already
	w.revoked(id(6))  // on its way
	w.revoked(id(11)) // not yet
	r.Finish()
	r = w.m.Open()
	if got, want := labels(r), []string{id(3) + "a", id(7) + "a", id(10), id(20)}; !slices.Equal(got, want) {
		t.Errorf("the rest is %v, want %v", got, want)
	}
	if s := r.Finish(); s != keys.Completed || current(t, w.m).Generation != 2 {
		t.Fatalf("ends in state %d, generation %d", s, current(t, w.m).Generation)
	}
	w.inForce(2)
	if s, _, lost, err := keys.Moved(w.m.Keys(), id(11)); s != nil || lost || err != nil {
		t.Errorf("the grant revoked before its turn: %v, %v, %v", s, lost, err)
	}
}

// TestMoreGrantsMadeThanAPartHolds: the search goes round until the rest fits.
func TestMoreGrantsMadeThanAPartHolds(t *testing.T) {
	w := newHandingWorld(t, 6, few)
	w.m.Open().Finish() // 0 to 4
	for i := range 7 {
		w.made(fmt.Sprintf("%s%c", id(1), 'a'+i), w.grants[0])
	}
	r := w.m.Open() // 5, then round
	if got := labels(r); len(got) != 5 || got[4] != id(5) || latest(t, w.m).State != keys.Handing {
		t.Errorf("the second part is %v", got)
	}
	r.Finish()
	if n := w.m.FinishAll(); n != 1 {
		t.Errorf("%d more ceremonies", n)
	}
	w.inForce(2)
}

// TestGrantsMadeForEverDoNotPutOffTheEnd: who makes as many as move has so many
// rounds, here two; then they are refused until the keys have moved.
func TestGrantsMadeForEverDoNotPutOffTheEnd(t *testing.T) {
	w := newHandingWorld(t, 2, keys.Limits{Writes: 64 << 10, Looks: 1000, Room: 272, Rounds: 2})
	parts := 0
	for i := 0; ; i++ {
		r := w.m.Open()
		c := latest(t, w.m)
		keysMove := r.Description.Secrets[0].Use == dkg.UseCheckpoint
		if h := w.pending(); c.Moving() != (keysMove || h.Rounds >= 2) {
			t.Fatalf("part %d: %+v, %+v", i, c, h)
		}
		if !c.Moving() {
			w.made(fmt.Sprintf("%s%03d", id(1), 999-i), w.grants[0])
		}
		r.Finish()
		if parts++; keysMove {
			break
		}
	}
	if parts != 8 { // two, six that are made in two rounds, and no more
		t.Errorf("it takes %d ceremonies", parts)
	}
	w.inForce(2)
}

// TestNobodyShortensTheWindowsOfAHandOver, by opening the next part before the
// others do; after a part that aborted anybody may try other ones.
func TestNobodyShortensTheWindowsOfAHandOver(t *testing.T) {
	w := newHandingWorld(t, 7, few)
	w.m.Open().Finish()
	short := w.m.OpenArgs()
	short.Windows[2].Milliseconds = 1
	refused(t, run(w.m.Chain, "west", keys.MethodOpen, short), keys.ErrRunning)
	if s := w.m.Open("south", "west").Finish(); s != keys.Aborted {
		t.Fatalf("ends in state %d", s)
	}
	short.Number++
	refused(t, run(w.m.Chain, "west", keys.MethodOpen, short), "")
	if h := w.pending(); h.Windows != short.Windows {
		t.Errorf("%+v", h)
	}
}

// TestAPartThatAbortsIsTriedAgain with the same grants under another id, and
// nothing is lost meanwhile.
func TestAPartThatAbortsIsTriedAgain(t *testing.T) {
	w := newHandingWorld(t, 7, few)
	r := w.m.Open("south", "west")
	if s := r.Finish(); s != keys.Aborted {
		t.Fatalf("ends in state %d", s)
	}
	first := labels(r)
	w.untouched(1)
	r = w.m.Open()
	if got := labels(r); !slices.Equal(got, first) || r.Description.Generation != 2 || r.Number != 3 {
		t.Errorf("tried again: %v in generation %d, ceremony %d", got, r.Description.Generation, r.Number)
	}
	r.Finish()
	// The last part aborts, too.
	if s := w.m.Open("south", "west").Finish(); s != keys.Aborted {
		t.Fatalf("ends in state %d", s)
	}
	w.untouched(1)
	if n := w.m.FinishAll(); n != 1 {
		t.Errorf("%d more ceremonies", n)
	}
	w.inForce(2)
}

// TestAnotherRosterBeginsTheHandOverAnew: shares for members that will not be
// are of no use.
func TestAnotherRosterBeginsTheHandOverAnew(t *testing.T) {
	w := newHandingWorld(t, 7, few)
	w.m.Open().Finish()
	five := ledgertest.Consortium(t, 5)
	for i, edit := range []func(k *chain.Consortium){
		func(k *chain.Consortium) { k.KeyThreshold = 2 },
		func(k *chain.Consortium) { k.Members[3] = *five.Member("x5") },
		func(k *chain.Consortium) {
			k.Members, k.KeyThreshold, k.CheckpointThreshold = five.Members, five.KeyThreshold, five.CheckpointThreshold
		},
	} {
		w.m.Change(edit)
		if due(w) != nil {
			t.Error("a part is due for a roster of the past")
		}
		r := w.m.Open()
		if got := labels(r); r.Description.Generation != uint32(3+i) || got[0] != id(0) {
			t.Fatalf("%v in generation %d", got, r.Description.Generation)
		}
		if s := r.Finish(); s != keys.Completed {
			t.Fatalf("ends in state %d", s)
		}
		w.untouched(1)
	}
	w.m.FinishAll()
	w.inForce(5)
}

// TestAHandOverThatCannotEndDoesNotBegin: grants alone do not depend on the
// threshold of the checkpoint key, and in the end it would be refused.
func TestAHandOverThatCannotEndDoesNotBegin(t *testing.T) {
	w := newHandingWorld(t, 7, few)
	w.m.Change(func(k *chain.Consortium) { k.CheckpointThreshold = 4 })
	refused(t, run(w.m.Chain, "east", keys.MethodOpen, w.m.OpenArgs()), keys.ErrThresholds)
}

// TestAMemberWithANewKeyBreaksNoHandOver: its place stays the same.
func TestAMemberWithANewKeyBreaksNoHandOver(t *testing.T) {
	w := newHandingWorld(t, 7, few)
	w.m.Open().Finish()
	w.m.Change(func(k *chain.Consortium) { k.Members[1].NodeKey = ledgertest.Public("north's new node") })
	w.m.Renamed = map[string]string{"north": "north's new node"}
	if n := w.m.FinishAll(); n != 1 {
		t.Errorf("%d more ceremonies", n)
	}
	w.inForce(2)
}

// TestMessagesOfAnotherPart are refused: what a dealer posts counts in the part
// that it was made for.
func TestMessagesOfAnotherPart(t *testing.T) {
	w := newHandingWorld(t, 7, few)
	r := w.m.Open("south", "west")
	old := join(r, "east")
	r.Finish()
	again := w.m.Open()
	refused(t, run(w.m.Chain, "east", keys.MethodPost, old), keys.ErrUnknown)
	old.Number = again.Number
	refused(t, run(w.m.Chain, "east", keys.MethodPost, old), keys.ErrRefused)
	refused(t, run(w.m.Chain, "east", keys.MethodPost, join(again, "east")), "")
}

// TestADealerThatServesSomePartsOnly costs nobody a grant: each part is made of
// the deals that it has.
func TestADealerThatServesSomePartsOnly(t *testing.T) {
	w := newHandingWorld(t, 12, few)
	w.m.Open().Finish()
	r := w.m.Open()
	r.Post()                                     // everybody joins
	if s := r.Finish("west"); s != keys.Active { // who then says no more
		t.Fatalf("ends in state %d", s)
	}
	if q := r.Machines["east"].Qualified(); !slices.Equal(q, []uint8{1, 2, 3}) {
		t.Errorf("%v qualify", q)
	}
	// West's machine has the shares all the same, and says so in time.
	r.Post()
	refused(t, r.Close(), "")
	if c := latest(t, w.m); c.State != keys.Completed || w.pending().Short != 0 {
		t.Errorf("%+v, %+v", c, w.pending())
	}
	w.m.FinishAll()
	w.inForce(2)
	if a := current(t, w.m); !a.Complete {
		t.Errorf("authority is %+v", a)
	}
}

// TestOldSharesStayWhileAPartLacksConfirmations, whoever confirms the keys.
func TestOldSharesStayWhileAPartLacksConfirmations(t *testing.T) {
	w := newHandingWorld(t, 7, few)
	r := w.m.Open("west")
	if s := r.Finish(); s != keys.Active || w.pending().Short != 1 {
		t.Fatalf("ends in state %d, %+v", s, w.pending())
	}
	refused(t, run(w.m.Chain, "east", keys.MethodOpen, w.m.OpenArgs()), keys.ErrRunning) // west still has time
	args, after, err := keys.Due(w.m.Keys(), w.m.Chain.Consortium, w.m.Chain.Now.UnixMilli(), 0)
	if err != nil || args == nil || after <= 0 || after > keystest.Window.Milliseconds() {
		t.Errorf("due are %+v in %d ms, %v", args, after, err)
	}
	w.m.Chain.Now = w.m.Chain.Now.Add(time.Duration(after) * time.Millisecond)
	if due(w) == nil {
		t.Error("nothing is due when it should be")
	}
	if s := w.m.Open().Finish(); s != keys.Completed {
		t.Fatalf("ends in state %d", s)
	}
	if a := current(t, w.m); a.Complete || a.Generation != 2 || len(a.Holders) != 4 {
		t.Errorf("authority is %+v", a)
	}
	if _, holders, _, err := keys.Moved(w.m.Keys(), id(0)); err != nil || !slices.Equal(holders, []uint8{1, 2, 3}) {
		t.Errorf("the first part is held by %v, %v", holders, err)
	}
	if _, holders, _, err := keys.Moved(w.m.Keys(), id(6)); err != nil || len(holders) != 4 {
		t.Errorf("the last part is held by %v, %v", holders, err)
	}
	// The next brings everything together again: west deals what it holds.
	w.m.FinishAll()
	w.inForce(4)
	if a := current(t, w.m); !a.Complete {
		t.Errorf("authority is %+v", a)
	}
}

// TestAGrantThatTooFewHoldIsLostWhenTheHandOverIsDone, and not before.
func TestAGrantThatTooFewHoldIsLostWhenTheHandOverIsDone(t *testing.T) {
	w := newHandingWorld(t, 7, few)
	w.grants[1].Holders = []uint8{2, 4}
	w.m.Open().Finish()
	w.untouched(1)
	w.m.FinishAll()
	if s, _, lost, err := keys.Moved(w.m.Keys(), id(1)); s != nil || !lost || err != nil {
		t.Errorf("%v, %v, %v", s, lost, err)
	}
	w.revoked(id(1))
	w.inForce(2)
}

// TestGrantsThatNobodyHoldsFillNoPart: a part of them alone would move nothing,
// and no ceremony can be that.
func TestGrantsThatNobodyHoldsFillNoPart(t *testing.T) {
	w := newHandingWorld(t, 47, keys.Limits{Writes: 1 << 10, Looks: 1000, Room: few.Room})
	for i := range w.grants {
		if i < 40 || i == 45 {
			w.grants[i].Holders = nil
		}
	}
	r := w.m.Open()
	if got := labels(r); !slices.Equal(got, []string{id(40), id(41), id(42), id(43), id(44)}) {
		t.Fatalf("the first part moves %v", got)
	}
	r.ToConfirm()
	r.Post()
	closes := 0
	for ; latest(t, w.m).Runs(); closes++ {
		refused(t, r.Close(), "")
	}
	r.Keep()
	if closes != 13 { // 220 bytes for each that is lost, four to a transaction; 386 for the others
		t.Errorf("%d transactions", closes)
	}
	if h := w.pending(); h.Next != id(45) || h.Moved != 5 {
		t.Errorf("%+v", h)
	}
	w.m.FinishAll()
	if _, _, lost, err := keys.Moved(w.m.Keys(), id(7)); !lost || err != nil {
		t.Errorf("%v, %v", lost, err)
	}
	w.revoked(id(45))
	w.grants = w.grants[40:]
	w.inForce(2)
}

// TestGrantsOfALargerRosterTakeTheRoomThatTheyHad: where a grant costs less to
// deal than to list, the list is what is bounded.
func TestGrantsOfALargerRosterTakeTheRoomThatTheyHad(t *testing.T) {
	w := newHandingWorld(t, 7, keys.Limits{Writes: 64 << 10, Looks: 1000, Room: 1000})
	w.m.Change(func(k *chain.Consortium) {
		k.Members, k.KeyThreshold, k.CheckpointThreshold = k.Members[:3], 2, 2
	})
	if got := labels(w.m.Open("west")); len(got) != 4 { // of 208 bytes, and 192 to deal
		t.Errorf("the first part moves %v", got)
	}
}

func due(w *handingWorld) *keys.OpenArgs {
	w.Helper()
	c := w.m.Chain
	args, after, err := keys.Due(w.m.Keys(), c.Consortium, c.Now.UnixMilli(), c.Head.Header.Size)
	if err != nil {
		w.Fatal(err)
	}
	if after > 0 {
		return nil
	}
	return args
}

// TestAnybodyGoesOnWithAHandOver: what is due follows from the state.
func TestAnybodyGoesOnWithAHandOver(t *testing.T) {
	w := newHandingWorld(t, 12, keys.Limits{Writes: 64 << 10, Looks: 3, Room: few.Room})
	if d := due(w); d != nil {
		t.Errorf("due before anything was opened: %+v", d)
	}
	args := w.m.OpenArgs()
	args.Windows[0].Milliseconds++
	refused(t, run(w.m.Chain, "east", keys.MethodOpen, args), "") // looks at three of five
	opens := 1
	for ceremonies := 0; ceremonies < 3; {
		d := due(w)
		if d == nil {
			t.Fatalf("nothing is due after %d ceremonies and %d transactions", ceremonies, opens)
		}
		if d.Windows != args.Windows {
			t.Fatalf("due with other windows: %+v", d)
		}
		opens++
		refused(t, run(w.m.Chain, "north", keys.MethodOpen, *d), "")
		if latest(t, w.m).State == keys.Preparing {
			continue
		}
		if d := due(w); d != nil {
			t.Errorf("due while a ceremony runs: %+v", d)
		}
		w.attend(d.Number)
		ceremonies++
	}
	if d := due(w); d != nil || current(t, w.m).Generation != 2 {
		t.Errorf("due when all is done: %+v", d)
	}
	// The search goes on behind the part before, and in the end comes round by
	// the ten that have moved: 2 + 2 + 4 transactions.
	if opens != 8 {
		t.Errorf("%d transactions list the grants", opens)
	}
	w.inForce(2)
}

// attend finishes a ceremony that runs.
func (w *handingWorld) attend(number uint64) {
	w.Helper()
	if s := w.m.Attend(number).Finish(); s != keys.Completed {
		w.Fatalf("ceremony %d ends in state %d", number, s)
	}
}

// TestGrantsThatEndedCostLooks, so that a transaction never passes over a
// million of them.
func TestGrantsThatEndedCostLooks(t *testing.T) {
	w := newHandingWorld(t, 6, keys.Limits{Writes: 64 << 10, Looks: 2, Room: 1 << 20})
	for i := range w.grants[:5] {
		w.grants[i] = keys.LiveGrant{ID: w.grants[i].ID, Ended: true}
	}
	args := w.m.OpenArgs()
	for range 2 {
		refused(t, run(w.m.Chain, "east", keys.MethodOpen, args), "")
		if s := latest(t, w.m).State; s != keys.Preparing {
			t.Fatalf("state %d", s)
		}
	}
	r := w.m.Resume(args)
	if got := labels(r); !slices.Equal(got, []string{id(5)}) {
		t.Errorf("moves %v", got)
	}
}

// TestAPartLargerThanATransactionIsStoredInSeveral, none of which fails.
func TestAPartLargerThanATransactionIsStoredInSeveral(t *testing.T) {
	w := newHandingWorld(t, 7, keys.Limits{Writes: 1 << 10, Looks: 1000, Room: few.Room})
	r := w.m.Open()
	r.ToConfirm()
	r.Post()
	closes := 0
	for ; latest(t, w.m).Runs(); closes++ {
		refused(t, r.Close(), "")
	}
	r.Keep()
	if closes != 3 || w.pending().Moved != 5 {
		t.Errorf("%d transactions, %+v", closes, w.pending())
	}
	w.m.FinishAll()
	w.inForce(2)
}

var manyGrants = flag.Int("handover", 0, "grants that TestManyGrantsAreHandedOver moves, by the rules of a real chain")

// TestManyGrantsAreHandedOver moves as many as a flag says with the limits that
// a chain has. A thousand take about ten seconds of processor time.
func TestManyGrantsAreHandedOver(t *testing.T) {
	if *manyGrants == 0 {
		t.Skip("run with -handover 20000")
	}
	w := newHandingWorld(t, *manyGrants, keys.Rules)
	want := (*manyGrants + keys.Rules.Room/272 - 1) / (keys.Rules.Room / 272)
	if n := w.m.FinishAll(); n != want {
		t.Errorf("%d ceremonies, want %d", n, want)
	}
	w.inForce(2)
}
