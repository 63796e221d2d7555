package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// compactsStill loads the cluster until the log of a member must have been cut.
func (c *cluster) compactsStill(r *Replica) {
	c.t.Helper()
	first := r.raftLog.log.First()
	for range 4 {
		c.load(20)
		time.Sleep(10 * time.Second)
	}
	c.sameHead()
	if now := r.raftLog.log.First(); now <= first+20 {
		c.t.Errorf("log of %s is not compacted any more: it begins at %d, before at %d", r.opt.Member, now, first)
	}
}

// The Raft configuration is in no block: a member whose state was made again has it
// from the snapshot. Without it, it would compact its log no more and sign no anchor,
// and after the second such repair of three members, nobody could.
func TestRepairedMembersCompactAndAttest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := compacted(t, 3, 40, 3)
		for _, name := range []string{"h0", "h1"} {
			c.stop(name)
			if err := os.RemoveAll(filepath.Join(c.dir, name, "state")); err != nil {
				t.Fatal(err)
			}
			c.start(name)
			c.sameHead()
		}
		c.compactsStill(c.nodes["h1"])
		h2 := c.nodes["h2"]
		a, err := h2.anchorAt(h2.book.Head().Header.Height, position{})
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range c.nodes {
			if _, err := r.attest(a); err != nil {
				t.Errorf("%s signs no anchor: %v", name, err)
			}
		}
		c.stopAll()
	})
}

// Nothing that a repair moved aside is out of reach of a purge. Nor is the log: also if
// there was no snapshot yet, the repaired member knows the Raft configuration, without
// which it would not compact it.
func TestPurgeReachesWhatARepairMovedAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, compacting)
		c.startAll()
		side := []byte("canary-7f3a91-sealed-index-of-a-record")
		rc := mustSubmit(t, c.nodes["h1"], put(t, "bob", "s", []byte("x"), side), side)
		c.load(5)
		c.sameHead()
		c.stop("h1")
		if err := os.RemoveAll(filepath.Join(c.dir, "h1", "state")); err != nil {
			t.Fatal(err)
		}
		r := c.start("h1")
		c.sameHead()
		if r.snaps.newest() != nil {
			t.Fatal("there is a snapshot already")
		}
		if got, err := r.Sidecar(rc.Index); err != nil || !bytes.Equal(got, side) {
			t.Errorf("after the repair: %q, %v", got, err)
		}
		mustSubmit(t, c.nodes["h2"], sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, rc.Index), nil), nil)
		c.compactsStill(r)
		c.stopAll()
		c.repaired("h1")
		grep(t, c.dir, side)
	})
}

// A member is killed when it has fetched the last block of a snapshot and not yet
// stored the Raft configuration.
func TestKilledBetweenTheLastBlockAndTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := compacted(t, 3, 40, 3)
		r, kill := c.emptied("h2")
		target := c.nodes["h0"].snaps.newest()
		h, err := target.Anchor.header()
		if err != nil {
			t.Fatal(err)
		}
		for who := new(turns); r.book.Head().Header.Height < h.Height; {
			if err := r.fetchSome(context.Background(), who, h.Height, target.Anchor.Pos.Index); err != nil {
				t.Fatal(err)
			}
		}
		kill()
		for _, name := range []string{"state", "blocks", "sidecars"} {
			path := filepath.Join(c.dir, "h2", name)
			if err := errors.Join(os.RemoveAll(path), os.Rename(filepath.Join(r.opt.Dir, name), path)); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := os.ReadFile(filepath.Join(c.dir, "h0", "snapshot"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.dir, "h2", "snapshot"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		r = c.start("h2")
		c.sameHead()
		c.compactsStill(r)
		c.stopAll()
	})
}

// cutOff opens a member that is told to stop while it repairs itself.
func (c *cluster) cutOff(name string) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r, err := Open(ctx, c.options(name)); err == nil {
		c.t.Errorf("%s repaired itself at once", name)
		_ = r.Close()
	}
	if len(c.nodes) == 0 {
		c.net = newSimNet(time.Millisecond)
	}
}

// Repairs of the only copies that are cut off, again and again, by a stop or by
// damage to what they had made, lose neither block nor sidecar; what is purged
// afterwards is gone also from what was moved aside.
func TestRepairsThatAreCutOffLoseNothing(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, n, compacting)
				c.startAll()
				side := []byte("canary-7f3a91-sealed-index-of-a-record")
				rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), side), side)
				c.load(30)
				time.Sleep(10 * time.Second)
				c.load(3)
				before := c.sameHead()
				if first := c.nodes["h0"].raftLog.log.First(); first < 5 {
					t.Fatalf("log was not compacted: it begins at %d", first)
				}
				c.stopAll()
				var names []string
				for _, m := range c.consortium.Members {
					names = append(names, m.Name)
					dir := filepath.Join(c.dir, m.Name)
					if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
						t.Fatal(err)
					}
					c.cutOff(m.Name)
					c.cutOff(m.Name)
					for _, lost := range chainDirs {
						if err := os.RemoveAll(filepath.Join(dir, lost)); err != nil {
							t.Fatal(err)
						}
						c.cutOff(m.Name)
					}
				}
				c.startTogether(names...)
				time.Sleep(time.Minute)
				if after := c.sameHead(); after.Height < before.Height {
					t.Errorf("height %d, was %d", after.Height, before.Height)
				}
				for name, r := range c.nodes {
					if got, err := r.Sidecar(rc.Index); err != nil || !bytes.Equal(got, side) {
						t.Errorf("%s: sidecar %q, %v", name, got, err)
					}
				}
				mustSubmit(t, c.nodes["h0"], sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, rc.Index), nil), nil)
				for range 2 {
					c.load(20)
					time.Sleep(10 * time.Second)
				}
				c.sameHead()
				c.stopAll()
				grep(t, c.dir, side)
			})
		})
	}
}

// The only member is killed at every flush of its repair. The next start goes on, and
// has everything.
func TestKilledWhileTheOnlyCopyIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, compacting)
		r := c.start("h0")
		side, gone := []byte("sealed index of a record"), []byte("sealed index of a record that is purged")
		rc := mustSubmit(t, r, put(t, "bob", "s", []byte("x"), side), side)
		purged := mustSubmit(t, r, put(t, "bob", "p", []byte("x"), gone), gone)
		c.load(20)
		time.Sleep(10 * time.Second)
		mustSubmit(t, r, sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, purged.Index), nil), nil)
		c.load(20)
		time.Sleep(10 * time.Second)
		if first := r.raftLog.log.First(); first < 5 {
			t.Fatalf("log was not compacted: it begins at %d", first)
		}
		before := c.sameHead()
		c.stopAll()
		dir := filepath.Join(c.dir, "h0")
		if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
			t.Fatal(err)
		}
		var killed []string // copies of dir at every flush
		kill := func() {
			killed = append(killed, filepath.Join(tempDir(t), "h0"))
			copyDir(t, killed[len(killed)-1], dir)
		}
		c.net = newSimNet(time.Millisecond)
		c.tune = func(o *Options) {
			compacting(o)
			o.medium.sync = func(*os.File) error { kill(); return nil }
			o.medium.syncDir = func(string) error { kill(); return nil }
		}
		c.start("h0")
		n := len(killed)
		c.stopAll()
		c.tune = compacting
		if n < 8 {
			t.Errorf("killed at %d flushes only", n)
		}
		for i, copied := range killed[:n] {
			c.dir, c.net = filepath.Dir(copied), newSimNet(time.Millisecond)
			if i%2 > 0 { // what the repair had made is damaged, too
				if err := os.RemoveAll(filepath.Join(copied, "state")); err != nil {
					t.Fatal(err)
				}
			}
			r := c.start("h0")
			if got := r.book.Head().Header; got.Height < before.Height {
				t.Errorf("killed at flush %d of %d: height %d, was %d", i+1, n, got.Height, before.Height)
			} else if blk, _, err := r.book.block(before.Height); err != nil || blk.Header.Hash() != before.Hash() {
				t.Errorf("killed at flush %d of %d: another block %d: %v", i+1, n, before.Height, err)
			}
			if got, err := r.Sidecar(rc.Index); err != nil || !bytes.Equal(got, side) {
				t.Errorf("killed at flush %d of %d: sidecar %q, %v", i+1, n, got, err)
			}
			c.stopAll()
			grep(t, c.dir, gone)
			c.repaired("h0")
		}
	})
}

// repaired checks that nothing of a repair is left that a purge would not reach.
func (c *cluster) repaired(name string) {
	c.t.Helper()
	for _, gone := range []string{repairMark, "damaged/raft", "damaged/sidecars"} {
		if _, err := os.Lstat(filepath.Join(c.dir, name, gone)); !errors.Is(err, os.ErrNotExist) {
			c.t.Errorf("%s: %s after the repair: %v", name, gone, err)
		}
	}
}

// A bit of one sidecar of the only member flips. It has lost that one, and no other.
func TestDamagedSidecarOfTheOnlyMemberCostsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, compacting)
		r := c.start("h0")
		var leaves []uint64
		var sides [][]byte
		for i := range 5 {
			side := bytes.Repeat([]byte{byte(i + 1)}, 600)
			if i == 4 {
				side = sides[3] // the same again
			}
			sides = append(sides, side)
			leaves = append(leaves, mustSubmit(t, r, put(t, "bob", "s", []byte{byte(i)}, side), side).Index)
		}
		mustSubmit(t, r, sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, leaves[3]), nil), nil)
		c.load(30)
		time.Sleep(10 * time.Second)
		before := c.sameHead()
		if err := r.Scrub(); err != nil {
			t.Fatal(err)
		}
		const damaged = 1
		path := filepath.Join(c.dir, "h0", "sidecars", "0000000000000001.seg")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		flipAt(t, path, int64(bytes.Index(b, sides[damaged])+300))
		err = r.Scrub()
		if !isDamage(err) {
			t.Fatalf("scrub: %v", err)
		}
		r.halt(err)
		c.stopAll()
		c.net = newSimNet(time.Millisecond)
		r = c.start("h0")
		if after := c.sameHead(); after.Height < before.Height {
			t.Errorf("height %d, was %d", after.Height, before.Height)
		}
		for i, leaf := range leaves {
			got, err := r.Sidecar(leaf)
			switch {
			case i == damaged && len(got) > 0, i != damaged && i != 3 && (err != nil || !bytes.Equal(got, sides[i])):
				t.Errorf("sidecar %d: %d bytes, %v", i, len(got), err)
			case i == 3 && !errors.Is(err, ErrPurged):
				t.Errorf("purged sidecar: %d bytes, %v", len(got), err)
			}
		}
		c.stopAll()
		c.repaired("h0")
	})
}

// Only a member that went another way than the others throws its log away.
func TestHaltOnDamageKeepsTheLog(t *testing.T) {
	for name, tc := range map[string]struct {
		members int
		err     error
		aside   bool
	}{
		"damage":                     {3, &DamageError{Path: "sidecars", Reason: "a flipped bit, found by the scrub"}, false},
		"damage of the only member":  {1, &DamageError{Path: "sidecars", Reason: "a flipped bit, found by the scrub"}, false},
		"fault of the only member":   {1, errors.New("test"), false},
		"the only member astray":     {1, &astrayError{errors.New("test")}, false},
		"fault":                      {3, errors.New("test"), false},
		"an entry with another link": {3, &chain.BrokenError{Height: 3, Link: "replayed header"}, false},
		"another history":            {3, &astrayError{errors.New("test")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, tc.members, nil)
				c.startAll()
				c.load(10)
				before := c.sameHead()
				r := c.nodes["h0"]
				r.halt(tc.err)
				c.stop("h0")
				p, err := readRepair(r.opt.Dir)
				if err != nil || p == nil || p.history != tc.aside || p.begun {
					t.Fatalf("repair %+v, %v", p, err)
				}
				c.cutOff("h0")
				if _, err := os.Stat(filepath.Join(r.opt.Dir, "damaged", "raft")); (err == nil) != tc.aside {
					t.Errorf("log moved aside: %v", err == nil)
				}
				if p, err := readRepair(r.opt.Dir); err != nil || p == nil || p.history != tc.aside || !p.begun {
					t.Fatalf("repair %+v, %v", p, err)
				}
				if tc.aside { // a lie that was fetched, for all that is known
					for _, name := range chainDirs {
						copyDir(t, filepath.Join(r.opt.Dir, name), filepath.Join(r.opt.Dir, "damaged", name))
					}
					c.cutOff("h0")
					if made, err := filepath.Glob(filepath.Join(r.opt.Dir, "blocks", "*.seg")); err != nil || len(made) > 0 {
						t.Errorf("the repair goes on from %q, %v", made, err)
					}
				}
				c.start("h0")
				if after := c.sameHead(); after.Height < before.Height {
					t.Errorf("height %d, was %d", after.Height, before.Height)
				}
				c.stopAll()
				c.repaired("h0")
			})
		})
	}
}
