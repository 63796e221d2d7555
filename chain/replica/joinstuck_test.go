package replica

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// neverCompacting leaves snapshots to the test.
func neverCompacting(o *Options) {
	o.SnapshotEntries, o.TrailingEntries, o.snapshotInterval = 1<<20, 4, time.Hour
}

// takesSnapshot makes a member take a Raft snapshot at its last applied entry, and
// returns where that is.
func (c *cluster) takesSnapshot(name string) uint64 {
	c.t.Helper()
	if err := c.nodes[name].node().Snapshot().Error(); err != nil {
		c.t.Fatalf("snapshot of %s: %v", name, err)
	}
	return c.nodes[name].snaps.newest().Anchor.Pos.Index
}

// apart cuts a member off from all others, or connects it again. What was on its way
// is lost.
func (c *cluster) apart(name string, cut bool) {
	for other := range c.nodes {
		if other != name {
			c.parted(name, other, cut)
		}
	}
}

// parted cuts two members off from each other, or connects them again. What was on its
// way is lost.
func (c *cluster) parted(a, b string, cut bool) {
	c.net.setCut(a, b, cut)
	c.net.setCut(b, a, cut)
	c.net.reset(a, b)
}

// comesTo waits until a member has executed all that another has.
func (c *cluster) comesTo(name, other string) {
	c.t.Helper()
	goal := c.nodes[other].book.Head().Header
	for range 120 {
		if got := c.nodes[name].book.Head().Header; got.Height >= goal.Height {
			return
		}
		time.Sleep(time.Second)
	}
	c.describeAt(name, other)
}

func (c *cluster) describeAt(name, other string) {
	c.t.Helper()
	r, o := c.nodes[name], c.nodes[other]
	c.t.Fatalf("%s stands at block %d, entry %d; %s is at block %d, entry %d; refused %d", name, r.book.Head().Header.Height, r.node().LastIndex(),
		other, o.book.Head().Header.Height, o.node().LastIndex(), r.Status().Refused)
}

// A member is at the end of a snapshot, with an empty log, when the leader leaves the
// consortium. The next leader's snapshot is older, and what it sends first begins after
// the change of the consortium: the member says where its log ends, and gets all.
func TestMemberAtTheEndOfItsSnapshotMissesADeparture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, neverCompacting)
		c.startAll()
		c.load(3)
		c.sameHead()
		c.leads("h0")
		c.stop("h3")
		c.load(10)
		older := max(c.takesSnapshot("h1"), c.takesSnapshot("h2"))
		c.load(10)
		newer := c.takesSnapshot("h0")
		r := c.start("h3")
		c.comesTo("h3", "h0")
		if s := r.snaps.newest(); s == nil || s.Anchor.Pos.Index != newer || older >= newer || r.raftLog.log.Last() != 0 {
			t.Fatalf("snapshot %v, log to %d: the test tests nothing", s, r.raftLog.log.Last())
		}
		c.apart("h3", true)
		_, tx := nextConsortium(t, c.consortium, c.consortium.Members[1:])
		submitChange(t, c.nodes["h1"], c.consortium, tx)
		waitVoters(t, c, "h1", []string{"h1", "h2", "h3"})
		time.Sleep(15 * time.Second) // what the leader tries to send now includes that
		c.apart("h3", false)
		c.comesTo("h3", "h1")
		if got := r.Status().Refused; got != 0 {
			t.Errorf("%d messages were refused", got)
		}
		c.stopAll()
	})
}

// A member whose disk is full for a while refuses entries, and the leader goes back by
// one each time, to where the member's snapshot has taken the place of its log. When
// there is room again it takes what follows, though the leader's own snapshot is older.
func TestLeaderWhoWentBackBehindASnapshotComesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, neverCompacting)
		c.startAll()
		c.load(10)
		c.sameHead()
		c.leads("h0")
		older := c.takesSnapshot("h0")
		c.load(20)
		c.sameHead()
		newer := c.takesSnapshot("h2")
		if older >= newer {
			t.Fatalf("snapshots at %d and %d", older, newer)
		}
		r := c.nodes["h2"]
		r.readOnly.Store(true)
		for range 3 {
			mustSubmit(t, c.nodes["h0"], put(t, "alice", "k", []byte("v"), nil), nil)
		}
		time.Sleep(10 * time.Second)
		r.readOnly.Store(false)
		c.comesTo("h2", "h0")
		c.stopAll()
	})
}

// A member joins after another has left, and gets the log from its first entry on: what
// the founding members were, it knows from the founding file, and who may be named
// later from the changes in the log.
func TestMemberThatJoinsAfterADepartureTakesTheWholeLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known *chain.Consortium
		c := newCluster(t, 4, func(o *Options) {
			neverCompacting(o)
			if o.Member == "h4" {
				o.Bootstrap, o.Known = false, known
			}
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					if kind == rpcAttest {
						return nil, errors.New("no") // so that it has no snapshot to begin from
					}
					return honest(ctx, from, kind, body)
				}
			}
		})
		c.startAll()
		c.load(3)
		first, tx := nextConsortium(t, c.consortium, c.consortium.Members[1:])
		submitChange(t, c.nodes["h1"], c.consortium, tx)
		waitVoters(t, c, "h1", []string{"h1", "h2", "h3"})
		c.stop("h0")
		known, tx = nextConsortium(t, first, append(slices.Clone(first.Members), testMember("h4")))
		submitChange(t, c.nodes["h1"], first, tx)
		r := c.start("h4")
		if r.snaps.newest() != nil {
			t.Fatal("it has a snapshot: the test tests nothing")
		}
		c.comesTo("h4", "h1")
		waitVoters(t, c, "h4", []string{"h1", "h2", "h3", "h4"})
		if got := r.Status().Refused; got != 0 {
			t.Errorf("%d messages were refused", got)
		}
		c.stopAll()
	})
}

// A leader that has gone back in the log sends a configuration again that names who
// has left since. It was applied here when that was a member, and is passed over.
func TestConfigurationBeforeADepartureIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, neverCompacting)
		c.startAll()
		c.load(1)
		c.leads("h1")
		_, tx := nextConsortium(t, c.consortium, c.consortium.Members[1:])
		submitChange(t, c.nodes["h1"], c.consortium, tx)
		waitVoters(t, c, "h3", []string{"h1", "h2", "h3"})
		c.stop("h0")
		r := c.nodes["h3"]
		refused := r.Status().Refused
		r.readOnly.Store(true)
		for range 3 {
			mustSubmit(t, c.nodes["h1"], put(t, "alice", "k", []byte("v"), nil), nil)
		}
		time.Sleep(30 * time.Second)
		r.readOnly.Store(false)
		c.comesTo("h3", "h1")
		if got := r.Status().Refused; got != refused {
			t.Errorf("%d messages were refused", got-refused)
		}
		c.stopAll()
	})
}

// Only what the snapshot covers is passed over, only once it is executed, and only if
// the message is of the same history.
func TestOnlyWhatTheSnapshotCoversIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, neverCompacting)
		c.startAll()
		c.load(20)
		c.sameHead()
		c.takesSnapshot("h0")
		r := c.nodes["h0"]
		end, first := r.snaps.newest().Anchor.Pos, r.raftLog.log.First()
		if first < 5 || end.Index < first {
			t.Fatalf("log from %d, snapshot at %d", first, end.Index)
		}
		message := func(prev, n uint64) *raft.AppendEntriesRequest {
			m := &raft.AppendEntriesRequest{Term: r.node().CurrentTerm(), PrevLogEntry: prev, PrevLogTerm: 1}
			for i := range n {
				m.Entries = append(m.Entries, &raft.Log{Index: prev + 1 + i, Term: end.Term, Type: raft.LogNoop})
			}
			return m
		}
		passes := func(name string, m *raft.AppendEntriesRequest, prev position, n int) {
			t.Helper()
			if err := r.vetCommand(m); err != nil || m.PrevLogEntry != prev.Index || m.PrevLogTerm != prev.Term || len(m.Entries) != n ||
				n > 0 && m.Entries[0].Index != prev.Index+1 {
				t.Errorf("%s: %d entries after %d of term %d, want %d after %v; %v", name, len(m.Entries), m.PrevLogEntry, m.PrevLogTerm, n, prev, err)
			}
		}
		covered := end.Index - 2
		passes("up to the snapshot", message(2, covered), end, 0)
		passes("from the first entry on", message(0, end.Index), end, 0)
		passes("before the snapshot", message(2, 1), end, 0)
		passes("beyond the snapshot", message(2, covered+3), end, 3)
		passes("nothing", message(2, 0), position{Index: 2, Term: 1}, 0)
		passes("after an entry in the log", message(first, 2), position{Index: first, Term: 1}, 2)
		passes("after the snapshot", message(end.Index, 2), position{Index: end.Index, Term: 1}, 2)
		other := message(2, covered+3)
		other.Term++
		for _, e := range other.Entries[covered-1:] {
			e.Term++
		}
		passes("of another history", other, position{Index: 2, Term: 1}, int(covered)+3)

		ahead := *r.snaps.newest()
		ahead.Anchor.Pos.Index += 100
		r.snaps.mu.Lock()
		r.snaps.last = &storedSnap{attested: &ahead}
		r.snaps.mu.Unlock()
		passes("not executed yet", message(2, covered+3), position{Index: 2, Term: 1}, int(covered)+3)
		c.stopAll()
	})
}

// An entry holds for good if it was applied and the log has it, of this term.
func TestOnlyAppliedEntriesAreSettled(t *testing.T) {
	l := raftLogOf(t, 10)
	l.raise(7)
	for _, e := range []struct {
		index, term uint64
		want        bool
	}{{7, 1, true}, {1, 1, true}, {8, 1, false}, {7, 2, false}, {11, 1, false}, {11, 0, false}} {
		if got := l.settled(&raft.Log{Index: e.index, Term: e.term}); got != e.want {
			t.Errorf("entry %d of term %d: %v", e.index, e.term, got)
		}
	}
	l.raise(20)
	if l.settled(&raft.Log{Index: 11, Term: 1}) {
		t.Error("an entry that the log does not have")
	}
}
