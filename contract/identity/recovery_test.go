package identity_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
)

const (
	minWait = identity.MinRecoveryWait * time.Millisecond
	window  = identity.RecoveryWindow * time.Millisecond
)

func TestQuorumRecoversALostKey(t *testing.T) {
	w := newWorld(t)
	w.must("north", "register", controlled(alice))
	opened := w.Now.UnixMilli()
	w.must("east", "recover", recovery(alice, "new"))
	w.must("west", "approve", meant(alice, "new"))
	w.must("north", "approve", meant(alice, "new"))
	want := identity.Recovery{
		Member: "east", Key: ledgertest.Public("new"), Opened: opened, Ready: opened + identity.MinRecoveryWait, Approvals: []string{"east", "north", "west"},
	}
	if id := w.lookup(alice); len(id.Recoveries) != 1 || id.Recoveries[0].Member != want.Member || id.Recoveries[0].Key != want.Key ||
		id.Recoveries[0].Opened != want.Opened || id.Recoveries[0].Ready != want.Ready || !slices.Equal(id.Recoveries[0].Approvals, want.Approvals) {
		t.Errorf("under way: %+v", id.Recoveries)
	}
	w.refuse(identity.ErrDenied, "new", "epoch", identity.EpochArgs{}) // not yet
	w.wait(minWait)
	w.must("south", "finish", meant(alice, "new"))
	id := w.lookup(alice)
	if id.Key != ledgertest.Public("new") || id.Controller != "" || id.Epoch != 1 || len(id.Recoveries) != 0 {
		t.Errorf("recovered %+v", id)
	}
	w.refuse(identity.ErrDenied, string(alice), "epoch", identity.EpochArgs{From: 1})
	w.must("new", "epoch", identity.EpochArgs{From: 1})
	w.refuse(identity.ErrRecovery, "south", "finish", meant(alice, "new")) // once
}

func TestRecoveryWaits(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.must("east", "recover", recovery(alice, "new"))
	w.must("west", "approve", meant(alice, "new"))
	w.must("north", "approve", meant(alice, "new"))
	w.wait(minWait - time.Millisecond)
	w.refuse(identity.ErrEarly, "east", "finish", meant(alice, "new"))
	w.wait(time.Millisecond)
	w.must("east", "finish", meant(alice, "new"))
}

func TestMembersBelowThresholdRecoverNothing(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.must("east", "recover", recovery(alice, "new"))
	w.must("west", "approve", meant(alice, "new"))
	w.must("west", "approve", meant(alice, "new")) // a second time counts once
	w.must("east", "approve", meant(alice, "new"))
	w.wait(minWait)
	w.refuse(identity.ErrApprovals, "east", "finish", meant(alice, "new"))
	w.refuse(identity.ErrDenied, string(alice), "approve", meant(alice, "new"))
	w.refuse(identity.ErrDenied, "nobody", "finish", meant(alice, "new"))
	w.must("south", "approve", meant(alice, "new"))
	w.must("east", "finish", meant(alice, "new"))
}

func TestHolderOfTheKeyObjects(t *testing.T) {
	for story, object := range map[string]func(w *world){
		"veto":   func(w *world) { w.must(string(alice), "veto", identity.VetoArgs{}) },
		"rotate": func(w *world) { w.must(string(alice), "rotate", rotation(alice, "next")) },
	} {
		t.Run(story, func(t *testing.T) {
			w := newWorld(t)
			w.register(alice)
			w.must("east", "recover", recovery(alice, "east's"))
			w.must("west", "recover", recovery(alice, "west's"))
			w.must("north", "approve", meant(alice, "east's"))
			w.must("south", "approve", meant(alice, "east's"))
			w.wait(minWait)
			object(w)
			if id := w.lookup(alice); len(id.Recoveries) != 0 {
				t.Errorf("still under way: %v", id.Recoveries)
			}
			w.refuse(identity.ErrRecovery, "east", "finish", meant(alice, "east's"))
			w.refuse(identity.ErrRecovery, "south", "approve", meant(alice, "west's"))
		})
	}
}

func TestHandOverEndsARecovery(t *testing.T) {
	w := newWorld(t)
	w.must("north", "register", controlled(alice))
	w.must("east", "recover", recovery(alice, "mallory"))
	w.must(string(alice), "hand-over", handOver(alice, "phone"))
	w.refuse(identity.ErrRecovery, "west", "approve", meant(alice, "mallory"))
}

func TestNothingToObjectTo(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.refuse(identity.ErrRecovery, string(alice), "veto", identity.VetoArgs{})
}

// Approvals are for a key: a recovery that was opened again for another key in
// the meantime does not get them.
func TestApprovalIsForTheKeyThatWasMeant(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.must("east", "recover", recovery(alice, "shown"))
	w.must("east", "recover", recovery(alice, "swapped"))
	w.refuse(identity.ErrRecovery, "west", "approve", meant(alice, "shown"))
	w.wait(minWait)
	w.refuse(identity.ErrRecovery, "west", "finish", meant(alice, "shown"))
}

// With one recovery at a time, one dishonest member could keep everybody who
// lost a key from ever getting another.
func TestOneMemberCannotBlockRecovery(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.must("east", "recover", recovery(alice, "junk"))
	w.must("north", "recover", recovery(alice, "good"))
	w.must("west", "approve", meant(alice, "good"))
	w.must("east", "recover", recovery(alice, "junk-2"))
	w.must("south", "approve", meant(alice, "good"))
	w.wait(minWait)
	w.must("east", "recover", recovery(alice, "junk-3"))
	w.must("south", "finish", meant(alice, "good"))
	if id := w.lookup(alice); id.Key != ledgertest.Public("good") || len(id.Recoveries) != 0 {
		t.Errorf("recovered %+v", id)
	}
}

func TestAMemberHasOneWord(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.must("east", "recover", recovery(alice, "a"))
	w.must("north", "recover", recovery(alice, "b"))
	w.must("west", "approve", meant(alice, "a"))
	w.must("south", "approve", meant(alice, "a"))
	w.must("south", "approve", meant(alice, "b"))
	w.must("west", "approve", meant(alice, "b")) // now a has only east's
	w.must("east", "approve", meant(alice, "b")) // and now nobody's
	id := w.lookup(alice)
	if len(id.Recoveries) != 1 || !slices.Equal(id.Recoveries[0].Approvals, []string{"east", "north", "south", "west"}) {
		t.Errorf("under way: %+v", id.Recoveries)
	}
	w.refuse(identity.ErrRecovery, "west", "approve", meant(alice, "a"))
}

// Who opens a recovery takes the member's word back from where it was, and the
// one that the member had opened before is gone with the words of others.
func TestOpeningAgainStartsAnew(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.must("north", "recover", recovery(alice, "north's"))
	w.must("east", "approve", meant(alice, "north's"))
	w.must("east", "recover", recovery(alice, "first"))
	w.must("west", "approve", meant(alice, "first"))
	w.must("east", "recover", recovery(alice, "second"))
	id := w.lookup(alice)
	if len(id.Recoveries) != 2 || id.Recoveries[0].Key != ledgertest.Public("second") || !slices.Equal(id.Recoveries[0].Approvals, []string{"east"}) ||
		!slices.Equal(id.Recoveries[1].Approvals, []string{"north"}) {
		t.Errorf("under way: %+v", id.Recoveries)
	}
}

func TestRecoveryLapses(t *testing.T) {
	w := newWorld(t)
	w.register(alice)
	w.must("east", "recover", recovery(alice, "old"))
	w.must("west", "approve", meant(alice, "old"))
	w.must("north", "approve", meant(alice, "old"))
	w.wait(minWait + window + time.Millisecond)
	w.refuse(identity.ErrRecovery, "east", "finish", meant(alice, "old"))
	w.refuse(identity.ErrRecovery, "south", "approve", meant(alice, "old"))
	w.must("south", "recover", recovery(alice, "new"))
	if id := w.lookup(alice); len(id.Recoveries) != 1 {
		t.Errorf("what has lapsed is kept: %+v", id.Recoveries)
	}
	w.must("west", "approve", meant(alice, "new"))
	w.must("north", "approve", meant(alice, "new"))
	w.wait(minWait + window)
	w.must("east", "finish", meant(alice, "new"))
}

// A member that has left approves nothing any more, and a key that has become a
// node key signs for nobody else.
func TestRecoveryIsForTheMembersInForce(t *testing.T) {
	k := ledgertest.Consortium(t, 5)
	w := newWorldOf(t, k)
	w.register(alice)
	w.must("x5", "recover", recovery(alice, "new"))
	w.must("east", "approve", meant(alice, "new"))
	w.must("west", "approve", meant(alice, "new"))
	w.wait(minWait)
	next := *k
	next.Members = k.Members[:4]
	w.succeed(&next)
	w.refuse(identity.ErrApprovals, "east", "finish", meant(alice, "new"))
	w.refuse(identity.ErrDenied, "x5", "finish", meant(alice, "new"))

	joined := *w.Consortium
	joined.Members = append(slices.Clone(next.Members), chain.Member{Name: "x6", NodeKey: ledgertest.Public("new"), URL: "https://x6.example", Peer: "x6.example:7700"})
	w.succeed(&joined)
	w.must("north", "approve", meant(alice, "new"))
	w.refuse(identity.ErrTaken, "east", "finish", meant(alice, "new"))
}

// succeed puts the next consortium file in force.
func (w *world) succeed(next *chain.Consortium) {
	w.t.Helper()
	next.Epoch = w.Consortium.Epoch + 1
	next.Founding = must(w.Consortium.FoundingHash())
	n := len(next.Members)
	next.KeyThreshold, next.CheckpointThreshold = n/2+1, (n+(n-1)/3)/2+1
	var endorsements []chain.Endorsement
	for _, m := range w.Consortium.Members[:4] {
		endorsements = append(endorsements, must(chain.Endorse(next, m.Name, ledgertest.Key(m.Name))))
	}
	if r := w.Run(w.Tx("east", "chain", "consortium", must(chain.NextConsortium(next, endorsements)))); r[0].Code != "" {
		w.t.Fatal(r[0].Code)
	}
}
