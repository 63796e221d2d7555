package replica

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain/replica/seglog"
)

// The state of every member is damaged, and blocks that are above the snapshot of some
// and below that of others. Two have taken no snapshot and come on by their logs: not
// before the other two run, which need blocks that only the first two have, and have not
// executed again. They all come back.
func TestBlocksAboveTheSnapshotsOfSomeAreDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, func(o *Options) {
			if o.Member == "h0" || o.Member == "h3" {
				compacting(o)
			}
		})
		c.startAll()
		side := []byte("sealed")
		c.load(3)
		rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), side), side)
		c.compacts(40)
		before := c.sameHead()
		blocks := map[string][]uint64{"h0": {12, 20}, "h3": {16, 20}, "h1": {7}, "h2": {9}}
		raw := map[uint64][]byte{}
		for _, heights := range blocks {
			for _, height := range heights {
				raw[height] = blockBytes(t, c.nodes["h0"], height)
			}
		}
		for name, r := range c.nodes {
			if has := r.snaps.newest() != nil; has != (name == "h0" || name == "h3") {
				t.Fatalf("%s has a snapshot: %v", name, has)
			}
		}
		c.stopAll()
		for name, heights := range blocks {
			for _, height := range heights {
				c.damageRecord(name, "blocks", raw[height])
			}
			c.loseState(name)
		}
		c.net = newSimNet(time.Millisecond)
		c.startTogether("h1", "h2") // they return before the others ask
		c.startTogether("h0", "h3")
		if after := c.sameHead(); after.Height < before.Height {
			t.Errorf("height %d, was %d", after.Height, before.Height)
		}
		c.load(3)
		c.sameHead()
		time.Sleep(time.Minute)
		for _, r := range c.nodes {
			hasSidecar(t, r, rc.Index, side)
		}
		c.stopAll()
		for name := range blocks {
			c.repaired(name)
		}
	})
}

// inSegments makes the blocks of a stopped member a log of many segments, of which only
// the last is read as a whole when it is opened.
func (c *cluster) inSegments(name string) {
	c.t.Helper()
	dir := filepath.Join(c.dir, name, "blocks")
	from, err := seglog.Open(dir, seglog.Options{ReadOnly: true})
	if err != nil {
		c.t.Fatal(err)
	}
	to, err := seglog.Open(dir+".new", seglog.Options{SegmentBytes: 500, InsecureNoSync: true})
	if err != nil {
		c.t.Fatal(err)
	}
	for i := from.First(); i <= from.Last() && err == nil; i++ {
		var raw []byte
		if raw, err = from.Read(i); err == nil {
			err = to.Append(i, raw)
		}
	}
	if err := errors.Join(err, from.Close(), to.Close(), os.RemoveAll(dir), os.Rename(dir+".new", dir)); err != nil {
		c.t.Fatal(err)
	}
}

// The members that only their logs bring back are started again before there are enough
// of them. What they have moved aside is there for the others all the same.
func TestRepairThatWaitsForTheLogOutlastsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(20)
		before := c.sameHead()
		raw, third := blockBytes(t, c.nodes["h0"], 7), blockBytes(t, c.nodes["h0"], 3)
		c.stopAll()
		c.damageRecord("h0", "blocks", raw)
		c.loseState("h0")
		c.net = newSimNet(time.Millisecond)
		for range 2 {
			r := c.start("h0")
			if got := r.book.Head().Header.Height; got != 6 {
				t.Fatalf("at block %d", got)
			}
			if _, _, err := r.book.block(3); err != nil {
				t.Errorf("of the blocks that were made again: %v", err)
			}
			sent, err := r.serveBlocks(blocksRequest{From: 1, To: 6})
			if err != nil || len(sent) != 6 {
				t.Errorf("%d blocks, %v", len(sent), err)
			}
			if _, err := r.serveBlocks(blocksRequest{From: 7, To: 9}); !errors.Is(err, ErrNotFound) {
				t.Errorf("the damaged block: %v", err)
			}
			sent, err = r.serveBlocks(blocksRequest{From: 8, To: before.Height})
			if err != nil || uint64(len(sent)) != before.Height-7 {
				t.Errorf("%d blocks that were moved aside, %v", len(sent), err)
			}
			c.stop("h0")
			c.inSegments("h0")
			c.damageRecord("h0", "blocks", third) // of those that were made again: so are they, then
			if p, err := readRepair(filepath.Join(c.dir, "h0")); err != nil || p == nil || !p.begun || p.history {
				t.Errorf("repair %+v, %v", p, err)
			}
		}
		c.startTogether("h0", "h1", "h2")
		if after := c.sameHead(); after.Height < before.Height {
			t.Errorf("height %d, was %d", after.Height, before.Height)
		}
		c.load(1)
		c.sameHead()
		c.stopAll()
		c.repaired("h0")
	})
}

// The same block is damaged on every member. It says so, once, and not before all the
// others have answered; and it comes back when one of them has the block again.
func TestBlockThatNoMemberHasIsSaidToBeLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logged := &messages{text: lostBlock}
		c := newCluster(t, 3, func(o *Options) {
			compacting(o)
			if o.Member == "h0" {
				o.Log = slog.New(logged)
			}
		})
		c.startAll()
		c.compacts(30)
		before := c.sameHead()
		raw := blockBytes(t, c.nodes["h0"], 7)
		c.stopAll()
		good := filepath.Join(tempDir(t), "blocks")
		copyDir(t, good, filepath.Join(c.dir, "h2", "blocks"))
		names := []string{"h0", "h1", "h2"}
		for _, name := range names {
			c.damageRecord(name, "blocks", raw)
			c.loseState(name)
		}
		c.net = newSimNet(time.Millisecond)
		ctx, give := context.WithCancel(context.Background())
		var all sync.WaitGroup
		open := func(name string) {
			all.Go(func() {
				if r, err := Open(ctx, c.options(name)); !errors.Is(err, context.Canceled) {
					t.Errorf("%s opened: %v", name, err)
					_ = r.Close()
				}
			})
		}
		open("h0")
		open("h1")
		time.Sleep(time.Minute)
		if n := logged.n.Load(); n != 0 {
			t.Errorf("said %d times that a block is lost before all have answered", n)
		}
		open("h2")
		time.Sleep(10 * time.Minute)
		if n := logged.n.Load(); n != 1 {
			t.Errorf("said %d times that a block is lost", n)
		}
		give()
		all.Wait()
		damaged := filepath.Join(c.dir, "h2", "damaged", "blocks")
		if err := os.RemoveAll(damaged); err != nil {
			t.Fatal(err)
		}
		copyDir(t, damaged, good)
		c.net = newSimNet(time.Millisecond)
		c.startTogether(names...)
		if after := c.sameHead(); after.Height < before.Height {
			t.Errorf("height %d, was %d", after.Height, before.Height)
		}
		c.stopAll()
	})
}

// The blocks that a repair has moved aside cannot be opened at all, and the others have
// lost the sidecars that are good among them: these are used.
func TestSidecarsThatARepairMovedAsideAreUsedWithoutBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hiding atomic.Bool
		c := newCluster(t, 3, func(o *Options) {
			compacting(o)
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					answer, err := honest(ctx, from, kind, body)
					if blocks, ok := answer.([]sentBlock); ok && hiding.Load() {
						for i := range blocks {
							clear(blocks[i].Sidecars)
						}
					}
					return answer, err
				}
			}
		})
		c.startAll()
		side := []byte("sealed")
		rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), side), side)
		c.compacts(30)
		c.nodes["h1"].halt(&DamageError{Path: "blocks", Reason: "found by the scrub"})
		c.stop("h1")
		if err := os.WriteFile(filepath.Join(c.dir, "h1", "blocks", "no number.seg"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		hiding.Store(true)
		r := c.start("h1")
		c.sameHead()
		hasSidecar(t, r, rc.Index, side)
		c.stopAll()
		c.repaired("h1")
	})
}
