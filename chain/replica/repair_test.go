package replica

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
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
		for from := 0; r.book.Head().Header.Height < h.Height; {
			if err := r.fetchSome(context.Background(), &from, h.Height, target.Anchor.Pos.Index); err != nil {
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
