package replica

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain/replica/seglog"
)

// A member has one entry behind the end of its snapshot, which only its leader had
// besides, when the others elect another leader: it takes what that has in the place.
func TestFirstEntryBehindASnapshotIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 5, neverCompacting)
		c.startAll()
		c.load(3)
		c.sameHead()
		c.leads("h0")
		c.stop("h4")
		c.load(20)
		c.sameHead()
		end := c.takesSnapshot("h0")
		r := c.start("h4")
		c.comesTo("h4", "h0")
		if s := r.snaps.newest(); s == nil || s.Anchor.Pos.Index != end || r.raftLog.log.Last() != 0 {
			t.Fatalf("snapshot %v, log to %d: the test tests nothing", s, r.raftLog.log.Last())
		}
		for _, other := range []string{"h1", "h2", "h3"} {
			for _, name := range []string{"h0", "h4"} {
				c.parted(name, other, true)
			}
		}
		go c.nodes["h0"].Submit(within(t, 2*time.Second), put(t, "alice", "k", []byte("v"), nil), nil) // it gets no majority
		for range 100 {
			if r.raftLog.log.Last() > end {
				break
			}
			time.Sleep(time.Millisecond)
		}
		term := r.raftLog.term(end + 1)
		if r.raftLog.log.First() != end+1 || r.raftLog.log.Last() != end+1 {
			t.Fatalf("log from %d to %d, snapshot at %d: the test tests nothing", r.raftLog.log.First(), r.raftLog.log.Last(), end)
		}
		c.stop("h0")
		height := r.book.Head().Header.Height
		go c.nodes["h1"].Submit(within(t, time.Minute), put(t, "alice", "k", []byte("w"), nil), nil) // certified when h4 signs, too
		for range 60 {
			if c.nodes["h1"].book.Head().Header.Height > height {
				break
			}
			time.Sleep(time.Second)
		}
		for _, other := range []string{"h1", "h2", "h3"} {
			c.parted("h4", other, false)
		}
		c.comesTo("h4", "h1")
		if got := r.raftLog.term(end + 1); got <= term || r.Status().Refused != 0 {
			t.Errorf("entry %d of term %d, was %d; refused %d", end+1, got, term, r.Status().Refused)
		}
		c.stopAll()
	})
}

// What a message replaces is known from when it is judged until another one is; that of
// a heartbeat, which is not judged in turn, says nothing.
func TestConflictIsThatOfTheMessageThatRaftHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, neverCompacting)
		c.startAll()
		c.load(2)
		c.sameHead()
		r := c.nodes["h0"]
		last, term := r.raftLog.log.Last(), r.node().CurrentTerm()
		if err := r.raftLog.StoreLog(&raft.Log{Index: last + 1, Term: term, Type: raft.LogNoop}); err != nil { // not applied
			t.Fatal(err)
		}
		before := &raft.AppendEntriesRequest{Term: term + 1, PrevLogEntry: last, PrevLogTerm: r.raftLog.term(last)}
		with := func(term uint64) any {
			m := *before
			m.Entries = []*raft.Log{{Index: last + 1, Term: term, Type: raft.LogNoop}}
			return &m
		}
		config := raft.EncodeConfiguration(r.node().GetConfiguration().Configuration())
		for _, step := range []struct {
			name string
			msg  any
			want uint64
		}{
			{"another entry", with(term + 1), last + 1},
			{"a heartbeat", &raft.AppendEntriesRequest{Term: term + 1}, last + 1},
			{"the same entry", with(term), 0},
			{"another again", with(term + 1), last + 1},
			{"a snapshot", &raft.InstallSnapshotRequest{SnapshotVersion: raft.SnapshotVersionMax, Term: term + 1, Configuration: config}, 0},
		} {
			if err := r.vetCommand(step.msg); err != nil || r.raftLog.conflict != step.want {
				t.Errorf("%s: replaces from %d on, want %d; %v", step.name, r.raftLog.conflict, step.want, err)
			}
		}
		c.stopAll()
	})
}

// another gives the log of a member that is stopped another history from entry from to
// entry last on, of empty entries of a term, and leaves it begin at entry first.
func (c *cluster) another(name string, first, from, last, term uint64) {
	c.t.Helper()
	log, err := seglog.Open(filepath.Join(c.dir, name, "raft"), seglog.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	err = errors.Join(log.TruncateBack(from), log.TruncateFront(first-1))
	for index := from; index <= last && err == nil; index++ {
		err = log.Append(index, appendLog(nil, &raft.Log{Index: index, Term: term, Type: raft.LogNoop}))
	}
	if err != nil || log.First() != first || log.Last() != last {
		c.t.Fatalf("log %d to %d, %v", log.First(), log.Last(), err)
	}
	if err := log.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// A member was cut off when it had a snapshot and had not removed the entries before it,
// which are another history's: of a leader that nobody followed. It takes what comes
// behind the snapshot.
func TestEntriesThatContradictTheSnapshotAreNotKept(t *testing.T) {
	for name, before := range map[string]uint64{"all": 0, "the last ones": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, func(o *Options) {
					neverCompacting(o)
					o.TrailingEntries = 20
				})
				c.startAll()
				c.load(1)
				c.leads("h0")
				c.leads("h1") // so that there is an older term
				c.load(20)
				c.sameHead()
				end := c.takesSnapshot("h2")
				term := c.nodes["h2"].raftLog.term(end)
				c.stop("h2")
				c.another("h2", end-1-before, end-1, end+1, term-1)
				c.load(3)
				r := c.start("h2")
				c.comesTo("h2", "h1")
				if got := r.Status().Refused; got != 0 {
					t.Errorf("%d messages were refused", got)
				}
				c.stopAll()
			})
		})
	}
}

// The entry at the end of the snapshot cannot be read. That is no reason to remove those
// behind it, which this member may have acknowledged.
func TestUnreadableEntryAtTheSnapshotRemovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, neverCompacting)
		c.startAll()
		c.load(2)
		c.sameHead()
		end := c.takesSnapshot("h2")
		term := c.nodes["h2"].raftLog.term(end)
		c.stop("h2")
		open := func() *seglog.Log {
			log, err := seglog.Open(filepath.Join(c.dir, "h2", "raft"), seglog.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return log
		}
		log := open()
		entry := appendLog(nil, &raft.Log{Index: end, Term: term, Type: raft.LogNoop})
		later := append([]byte{raftLogVersion + 1}, entry[1:]...)
		if err := errors.Join(log.TruncateBack(end), log.Append(end, later, entry), log.Close()); err != nil {
			t.Fatal(err)
		}
		if r, err := c.openAlone("h2"); err == nil {
			r.Close()
			t.Error("it was opened")
		}
		log = open()
		if log.Last() != end+1 {
			t.Errorf("log to %d, want %d", log.Last(), end+1)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		c.stopAll()
	})
}

// Raft is given a message that replaces all entries, of which a snapshot covers some: as
// when it has stored that and not executed it. What the snapshot covers goes.
func TestWhatASnapshotCoversIsRemovedForAMessage(t *testing.T) {
	l := raftLogOf(t, 10)
	l.cover(position{Index: 8, Term: 2})
	l.conflicts(1)
	if err := l.DeleteRange(1, 10); err != nil || l.log.First() != 9 || l.log.Last() != 10 {
		t.Errorf("log %d to %d, %v", l.log.First(), l.log.Last(), err)
	}
}

// The disk takes nothing when the entries before a snapshot are to be removed. Raft goes
// on as if they were gone: the replica is told, and removes them when it is opened. It
// is not told if old entries stay a while longer, or if only their names may come back.
func TestEntriesBeforeASnapshotThatStayAreAFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		covered, hi uint64
		halts       bool
	}{
		"all":                    {12, 10, false},
		"those it covers":        {8, 10, true},
		"old ones, to save room": {8, 5, false},
	} {
		t.Run(name, func(t *testing.T) {
			full, disk := errors.New("full"), error(nil)
			log, err := seglog.Open(t.TempDir(), seglog.Options{InsecureSync: func(*os.File) error { return disk }, InsecureSyncDir: func(string) error { return disk }})
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			l := newRaftLog(log, 1<<20)
			for index := uint64(1); index <= 10; index++ {
				if err := l.StoreLog(&raft.Log{Index: index, Term: 1, Type: raft.LogNoop}); err != nil {
					t.Fatal(err)
				}
			}
			var failed error
			l.onFailed = func(err error) { failed = err }
			l.cover(position{Index: tc.covered, Term: 2})
			disk = full
			if err := l.DeleteRange(1, tc.hi); !errors.Is(err, full) || tc.halts != errors.Is(failed, full) {
				t.Errorf("%v, told %v", err, failed)
			}
		})
	}
}

// A member's log ends where the snapshot ends that it is sent, with an entry of another
// history. hashicorp/raft goes on taking that for its last entry, though the snapshot has
// taken its place, and so nothing that follows would join.
func TestLogThatEndedWhereTheSnapshotDoesGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, neverCompacting)
		c.startAll()
		c.load(3)
		c.sameHead()
		c.leads("h0")
		last := c.nodes["h2"].raftLog.log.Last()
		term := c.nodes["h2"].raftLog.term(last)
		c.stop("h2")
		c.leads("h1")
		c.load(20)
		c.sameHead()
		end := max(c.takesSnapshot("h1"), c.takesSnapshot("h0"))
		if c.nodes["h0"].snaps.newest().Anchor.Pos != c.nodes["h1"].snaps.newest().Anchor.Pos || c.nodes["h1"].raftLog.log.First() <= last+1 {
			t.Fatal("the test tests nothing")
		}
		c.another("h2", 1, last+1, end, term)
		c.load(3)
		c.start("h2")
		c.comesTo("h2", "h1")
		c.stopAll()
	})
}

// Raft need not ask whether a message joins if it comes behind the snapshot, which Raft has
// executed, and if nothing is behind that yet.
func TestOnlyWhatComesBehindTheSnapshotJoinsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, neverCompacting)
		c.startAll()
		c.load(3)
		c.sameHead()
		c.leads("h0")
		c.stop("h2")
		c.load(20)
		c.takesSnapshot("h0")
		r := c.start("h2")
		c.comesTo("h2", "h0")
		end := r.snaps.newest().Anchor.Pos
		if r.raftLog.log.Last() != 0 {
			t.Fatal("the log is not empty: the test tests nothing")
		}
		joined := func(prev position) bool {
			m := &raft.AppendEntriesRequest{Term: r.node().CurrentTerm(), PrevLogEntry: prev.Index, PrevLogTerm: prev.Term}
			if err := r.vetCommand(m); err != nil {
				t.Error(err)
			}
			return m.PrevLogEntry == 0 && m.PrevLogTerm == 0
		}
		if !joined(end) {
			t.Error("behind the snapshot")
		}
		for _, elsewhere := range []position{{Index: end.Index, Term: end.Term + 1}, {Index: end.Index + 1, Term: end.Term}, {Index: end.Index - 1, Term: end.Term}} {
			if joined(elsewhere) {
				t.Errorf("at %v, the snapshot ends at %v", elsewhere, end)
			}
		}
		ahead := *r.snaps.newest()
		ahead.Anchor.Pos.Index++
		r.snaps.mu.Lock()
		r.snaps.last = &storedSnap{attested: &ahead}
		r.snaps.mu.Unlock()
		if joined(ahead.Anchor.Pos) {
			t.Error("behind a snapshot that is not executed")
		}
		c.stopAll()
	})
}
