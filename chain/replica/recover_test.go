package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain/replica/seglog"
)

// openAlone opens a member while nobody else can be reached.
func (c *cluster) openAlone(name string) (*Replica, error) {
	c.net = newSimNet(time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return Open(ctx, c.options(name))
}

// A founder whose disk was replaced starts while the one member that has what it
// acknowledged is away. It does not take itself for founding: another chain would
// be certified beside the first.
func TestAttackFounderOnAnEmptyDiskFoundsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(4)
		c.sameHead()
		c.stop("h2")
		c.load(3) // acknowledged by h0 and h1
		acked := c.sameHead()
		c.stopAll()
		if err := os.RemoveAll(filepath.Join(c.dir, "h1")); err != nil {
			t.Fatal(err)
		}
		c.net = newSimNet(time.Millisecond)
		c.start("h1")
		c.start("h2")
		for range 2 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			rc, err := c.nodes["h2"].Submit(ctx, put(t, "alice", "k", []byte("x"), nil), nil)
			cancel()
			if err == nil {
				t.Fatalf("block %d is certified without the acknowledged ones up to %d", rc.Result.Height, acked.Height)
			}
			c.stop("h1") // it is not less careful the second time
			c.start("h1")
		}
		c.start("h0")
		c.load(1)
		if head := c.sameHead(); head.Height <= acked.Height {
			t.Errorf("height %d, %d was acknowledged", head.Height, acked.Height)
		}
		c.stopAll()
	})
}

// Founders begin when as many are there as a certificate takes, whoever is first.
func TestFoundingTakesAsManyAsACertificate(t *testing.T) {
	for n, enough := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, n, nil)
			for i := range enough {
				for name, r := range c.nodes {
					if r.node() != nil || r.mayVote() && r.raftLog.log.Last() > 0 {
						t.Errorf("%s takes part with %d of %d members up", name, i, n)
					}
				}
				c.start(memberName(i))
				time.Sleep(20 * time.Second)
			}
			c.load(1)
			c.sameHead()
			for name := range c.nodes {
				if _, err := os.Lstat(filepath.Join(c.dir, name, recoveringMark)); err == nil {
					t.Errorf("%s would ask again", name)
				}
			}
			c.stopAll()
		})
	}
}

// A member that may have forgotten a promise waits for the others. So it does when
// it is opened again, wherever the Open before was killed: what shows the loss may
// be gone by then.
func TestLossIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, compacting)
		c.startAll()
		c.load(40)
		c.sameHead()
		var oldVote []byte
		for range 4 {
			if name, _ := c.nodes["h1"].leader(); oldVote == nil && name != "" {
				b, err := os.ReadFile(filepath.Join(c.dir, "h1", "vote"))
				if err != nil {
					t.Fatal(err)
				}
				oldVote = b
			}
			for _, r := range c.nodes {
				if _, self := r.leader(); self {
					r.stepDown()
					break
				}
			}
			time.Sleep(10 * time.Second)
			c.load(2)
		}
		c.sameHead()
		c.stopAll()
		good := filepath.Join(c.dir, "h1")
		for _, loss := range []struct {
			name string
			lose func(dir string) error
			note string
		}{
			{"log", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "raft")) }, "log"},
			{"end of the log", func(dir string) error { return flipLast(t, filepath.Join(dir, "raft")) }, "log"},
			{"snapshot", func(dir string) error { return os.Remove(filepath.Join(dir, "snapshot")) }, "log"},
			{"vote", func(dir string) error { return os.Remove(filepath.Join(dir, "vote")) }, "vote"},
			{"old vote", func(dir string) error { return os.WriteFile(filepath.Join(dir, "vote"), oldVote, 0o600) }, "vote"},
			{"signatures", func(dir string) error { return os.Remove(filepath.Join(dir, "signed")) }, "signatures"},
			{"log of another history", forgoLog, "log"},
			{"everything", os.RemoveAll, "log vote signatures"},
			{"nothing", func(string) error { return nil }, ""},
		} {
			c.dir = tempDir(t)
			dir := filepath.Join(c.dir, "h1")
			copyDir(t, dir, good)
			if err := loss.lose(dir); err != nil {
				t.Fatal(err)
			}
			var killed []string // copies of dir at every flush
			kill := func() {
				killed = append(killed, filepath.Join(tempDir(t), "h1"))
				copyDir(t, killed[len(killed)-1], dir)
			}
			waits := func(when string) {
				r, err := c.openAlone("h1")
				if err == nil {
					r.Close()
				}
				note, _ := os.ReadFile(filepath.Join(c.dir, "h1", recoveringMark))
				if (err == nil) != (loss.note == "") || string(note) != loss.note {
					t.Errorf("%s, %s: noted %q: %v", loss.name, when, note, err)
				}
			}
			c.tune = func(o *Options) {
				o.Bootstrap = false
				o.medium.sync = func(*os.File) error { kill(); return nil }
				o.medium.syncDir = func(string) error { kill(); return nil }
			}
			waits("first")
			c.tune = func(o *Options) { o.Bootstrap = false }
			if loss.note == "" {
				continue
			}
			for i, dir := range killed {
				c.dir = filepath.Dir(dir)
				waits(fmt.Sprintf("killed at flush %d of %d", i+1, len(killed)))
			}
		}
	})
}

// flipLast damages the last entry of the log in dir, which was not executed: all
// others are there. It adds two, so that the state does not tell.
func flipLast(t *testing.T, dir string) error {
	log, err := seglog.Open(dir, seglog.Options{InsecureNoSync: true})
	if err != nil {
		return err
	}
	last, err := log.Read(log.Last())
	if err != nil {
		return err
	}
	for range 2 {
		if err := log.Append(log.Last()+1, bytes.Clone(last)); err != nil {
			return err
		}
	}
	if err := log.Close(); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		return err
	}
	path := files[len(files)-1]
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	flipAt(t, path, info.Size()-9)
	return nil
}

// forgoLog makes the member in dir go another way than the others, so that it throws
// its log away. No signature that it remembers tells of an entry.
func forgoLog(dir string) error {
	m := medium{simulated: true}
	s, _, err := openSignFile(dir, m)
	if err != nil {
		return err
	}
	err = s.record(signedHead{Height: s.last.Height})
	return errors.Join(err, s.Close(), (&repair{history: true}).write(m, dir, "test"))
}

// A member that waits for the entries it may have acknowledged still does after a
// restart. When it may vote, the note of its loss is gone.
func TestWaitForEntriesSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(4)
		c.sameHead()
		c.stopAll()
		if err := os.RemoveAll(filepath.Join(c.dir, "h1")); err != nil {
			t.Fatal(err)
		}
		// The others say how far they are, and nothing else.
		var status atomic.Pointer[statusAnswer]
		status.Store(&statusAnswer{Height: 4, Certified: 4, Term: 3, LastIndex: 9, Applied: 9})
		lie := func(_ context.Context, _ string, kind byte, _ []byte) (any, error) {
			if kind == rpcStatus {
				return status.Load(), nil
			}
			return nil, ErrNotFound
		}
		stop0, stop2 := c.lie("h0", lie), c.lie("h2", lie)
		mark := filepath.Join(c.dir, "h1", recoveringMark)
		for try := range 2 {
			r := c.start("h1")
			time.Sleep(10 * time.Second)
			if note, err := os.ReadFile(mark); err != nil || string(note) != "until 9" || r.node() == nil || r.mayVote() {
				t.Errorf("try %d: votes with entries to %d, noted %q: %v", try, r.raftLog.log.Last(), note, err)
			}
			if try == 0 {
				c.stop("h1")
				// What came since, this member never acknowledged: with one of four
				// away, the others need its vote to send it.
				status.Store(&statusAnswer{Height: 6, Certified: 6, Term: 3, LastIndex: 12, Applied: 12})
			}
		}
		status.Store(&statusAnswer{Height: 4, Certified: 4, Term: 3, LastIndex: 9})
		time.Sleep(10 * time.Second)
		if _, err := os.Lstat(mark); err == nil || !c.nodes["h1"].mayVote() {
			t.Errorf("waits although nothing is missing: %v", err)
		}
		c.stop("h1")
		stop0()
		stop2()
	})
}

func FuzzParseLost(f *testing.F) {
	f.Add("log vote signatures")
	f.Add("log log")
	f.Add("vote until 12")
	f.Add("until 0")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if l := parseLost(s); !(l.any() || l.until > 0) || l.String() != s && l != (lost{log: true, vote: true, sign: true}) {
			t.Errorf("%q means %v", s, l)
		}
	})
}
