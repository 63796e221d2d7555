package replica

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// A member was away while the log was compacted and the consortium changed twice:
// the snapshot it is sent is signed by members of a file it does not know.
func TestMemberThatWasAwayFollowsTheConsortium(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, compacting)
		founding := c.consortium
		c.startAll()
		c.load(5)
		c.sameHead()
		c.stop("h2")
		known := map[string]*chain.Consortium{}
		c.tune = func(o *Options) {
			compacting(o)
			if k := known[o.Member]; k != nil {
				o.Bootstrap, o.Known = false, k
			}
		}
		now, all := founding, []string{"h0", "h1", "h2"}
		for _, name := range []string{"h3", "h4"} {
			next, tx := nextConsortium(t, now, append(slices.Clone(now.Members), testMember(name)))
			submitChange(t, c.nodes["h0"], now, tx)
			known[name], now, all = next, next, append(all, name)
			c.start(name)
			waitVoters(t, c, "h0", all)
		}
		c.load(60)
		time.Sleep(20 * time.Second)
		c.load(5)
		if s := c.nodes["h1"].snaps.newest(); s == nil || len(s.Members) < now.CheckpointThreshold || c.nodes["h1"].raftLog.log.First() < 20 {
			t.Fatalf("the log was not compacted under the last file: %+v", s)
		}
		c.start("h2")
		c.load(3)
		c.sameHead()
		if got := c.nodes["h2"].Consortium().Epoch; got != 2 {
			t.Errorf("epoch %d", got)
		}
		c.stopAll()
	})
}

// The leader's snapshot was signed when fewer signatures counted: those in force
// now vouch for it, so that who joins need not wait for the next one.
func TestJoiningMemberHasAnEarlierSnapshotVouchedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, compacting)
		founding := c.consortium
		c.startAll()
		c.load(40)
		time.Sleep(10 * time.Second)
		c.stopAll()
		never := func(o *Options) { o.SnapshotEntries, o.TrailingEntries = 1<<20, 1<<20 }
		c.tune = never
		c.startAll()
		c.load(2)
		for name, r := range c.nodes {
			if s := r.snaps.newest(); s == nil || len(s.Members) >= 3 && r.raftLog.log.First() < 10 {
				t.Skipf("%s: snapshot %+v", name, s)
			}
		}
		next, tx := nextConsortium(t, founding, append(slices.Clone(founding.Members), testMember("h3")))
		submitChange(t, c.nodes["h0"], founding, tx)
		c.tune = func(o *Options) {
			never(o)
			if o.Member == "h3" {
				o.Bootstrap, o.Known = false, next
			}
		}
		c.start("h3")
		waitVoters(t, c, "h0", []string{"h0", "h1", "h2", "h3"})
		c.load(3)
		c.sameHead()
		c.stopAll()
	})
}

// A member joins after the log was compacted, while another is away: without the
// newcomer nothing can be certified, and it has to take a snapshot that was
// certified before it came. It gets its vote, and the chain goes on.
func TestJoiningAfterCompactionWhileAnotherIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, compacting)
		founding := c.consortium
		c.startAll()
		c.load(40)
		time.Sleep(10 * time.Second)
		c.sameHead()
		c.stop("h2")
		if first := c.nodes["h0"].raftLog.log.First(); first < 10 {
			t.Fatalf("log was not compacted: begins at %d", first)
		}
		next, tx := nextConsortium(t, founding, append(slices.Clone(founding.Members), testMember("h3")))
		submitChange(t, c.nodes["h0"], founding, tx)
		c.tune = func(o *Options) {
			compacting(o)
			if o.Member == "h3" {
				o.Bootstrap, o.Known = false, next
			}
		}
		c.start("h3")
		waitVoters(t, c, "h0", []string{"h0", "h1", "h2", "h3"})
		c.load(3)
		c.sameHead()
		c.start("h2")
		c.load(3)
		c.sameHead()
		c.stopAll()
	})
}

// A member that joins has no vote before it has what the leader has executed.
func TestJoiningMemberHasNoVoteBeforeItCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		founding := c.consortium
		c.startAll()
		c.load(10)
		next, tx := nextConsortium(t, founding, append(slices.Clone(founding.Members), testMember("h3")))
		submitChange(t, c.nodes["h0"], founding, tx)
		c.load(5)
		head := c.sameHead()
		height := head.Height - 1
		stop := c.lie("h3", func(_ context.Context, _ string, kind byte, _ []byte) (any, error) {
			if kind == rpcStatus {
				return &statusAnswer{Height: height}, nil
			}
			return nil, errors.New("no")
		})
		time.Sleep(20 * time.Second)
		if got := voters(c.nodes["h0"]); slices.Contains(got, "h3") {
			t.Errorf("a member at block %d of %d votes", height, head.Height)
		}
		stop()
		c.tune = func(o *Options) {
			if o.Member == "h3" {
				o.Bootstrap, o.Known = false, next
			}
		}
		c.start("h3")
		waitVoters(t, c, "h0", []string{"h0", "h1", "h2", "h3"})
		c.load(2)
		c.sameHead()
		c.stopAll()
	})
}

// A file that the members endorsed and that never came into force, or that a
// stranger made, leads nowhere: nobody certifies under it.
func TestEndorsedFileThatIsNotInForceLeadsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		founding := c.consortium
		c.startAll()
		c.load(2)
		c.sameHead()
		c.stop("h3")
		endorsed, idle := nextConsortium(t, founding, founding.Members[1:])
		inForce, used := nextConsortium(t, founding, append(slices.Clone(founding.Members), testMember("h4")))
		strangers := *founding
		strangers.Members = []chain.Member{testMember("x0"), testMember("x1"), testMember("x2"), testMember("x3")}
		_, forged := nextConsortium(t, &strangers, append(slices.Clone(strangers.Members), testMember("x4")))
		var changes [][]byte
		stop := c.lie("h3", func(_ context.Context, _ string, kind byte, _ []byte) (any, error) {
			if kind == rpcChanges {
				return changes, nil
			}
			return nil, errors.New("no")
		})
		// Good under the file with h4, and under no other.
		good := attestedBy(t, inForce, []string{"h0", "h1", "h2", "h4"}, 3, []string{"h0", "h1", "h2", "h4"})
		if _, err := good.verify(inForce); err != nil {
			t.Fatal(err)
		}
		for _, k := range []*chain.Consortium{founding, endorsed} {
			if _, err := good.verify(k); err == nil {
				t.Fatal("good under another file")
			}
		}
		r := c.nodes["h0"]
		for name, args := range map[string][][]byte{"none": {}, "endorsed, not in force": {idle.Args}, "by strangers": {forged.Args}, "garbage": {{1}}} {
			changes = args
			if k, err := r.follow(context.Background(), good); err == nil {
				t.Errorf("%s: follows to %+v", name, k)
			}
		}
		changes = [][]byte{used.Args}
		if k, err := r.follow(context.Background(), good); err != nil || k.Epoch != 1 || k.Member("h4") == nil {
			t.Errorf("the one in force: %v", err)
		}
		stop()
		c.stopAll()
	})
}
