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

// damageRecord flips a bit of what a stopped member has in one of its logs. what must
// be there.
func (c *cluster) damageRecord(name, log string, what []byte) {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, name, log, "*.seg"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			c.t.Fatal(err)
		}
		at := bytes.Index(b, what)
		if at < 0 {
			continue
		}
		b[at+len(what)/2] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	c.t.Fatalf("%s has no such record in %s", name, log)
}

// loseState removes the state of stopped members.
func (c *cluster) loseState(names ...string) {
	c.t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(c.dir, name, "state")); err != nil {
			c.t.Fatal(err)
		}
	}
}

// blockBytes returns a block of a member.
func blockBytes(t *testing.T, r *Replica, height uint64) []byte {
	t.Helper()
	blk, err := r.Block(height)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := blk.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// withSidecars runs four members with some sidecars, of which gone is purged, and
// compacts their logs.
func withSidecars(t *testing.T, tune func(*Options)) (c *cluster, kept map[uint64][]byte, gone uint64) {
	t.Helper()
	c = newCluster(t, 4, tune)
	c.startAll()
	kept = map[uint64][]byte{}
	for _, side := range []string{"first sidecar", "second sidecar"} {
		c.load(2)
		kept[mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte(side), []byte(side)), []byte(side)).Index] = []byte(side)
	}
	gone = mustSubmit(t, c.nodes["h1"], put(t, "bob", "s", []byte("x"), canary), canary).Index
	c.load(2)
	mustSubmit(t, c.nodes["h2"], sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, gone), nil), nil)
	c.load(20)
	time.Sleep(10 * time.Second)
	c.compacts(20)
	return c, kept, gone
}

var canary = []byte("canary-7f3a91-sealed-index-of-a-record")

// haveSidecars waits until every running member has what was not purged, and checks
// that none has what was.
func (c *cluster) haveSidecars(kept map[uint64][]byte, gone uint64) {
	c.t.Helper()
	lacks := func(r *Replica) error {
		for leaf, want := range kept {
			if got, err := r.Sidecar(leaf); err != nil || !bytes.Equal(got, want) {
				return fmt.Errorf("sidecar %d: %q, %w", leaf, got, err)
			}
		}
		return nil
	}
	for name, r := range c.nodes {
		for begin := time.Now(); lacks(r) != nil && time.Since(begin) < maxMissingPause; {
			time.Sleep(time.Second)
		}
		if err := lacks(r); err != nil {
			c.t.Errorf("%s: %v", name, err)
		}
		if got, err := r.Sidecar(gone); !errors.Is(err, ErrPurged) {
			c.t.Errorf("%s: purged sidecar: %q, %v", name, got, err)
		}
	}
}

// The state of every member is damaged, and of each another block, and of one a
// sidecar, while a sidecar was purged. They all repair themselves at once: as every
// block is good somewhere, all come back, with every sidecar that is good somewhere,
// and what was purged is sent by none.
func TestAllMembersRepairAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, kept, gone := withSidecars(t, compacting)
		before := c.sameHead()
		for name, r := range c.nodes {
			if a := r.snaps.newest(); a == nil || a.Anchor.Pos.Index < 40 {
				t.Fatalf("%s has no snapshot of late", name)
			}
		}
		// The block with the purged sidecar is good on one only.
		blocks := map[string][]uint64{"h0": {3, 7}, "h1": {7}, "h2": {7, 11}, "h3": {15}}
		raw := map[uint64][]byte{}
		for _, height := range []uint64{3, 7, 11, 15} {
			raw[height] = blockBytes(t, c.nodes["h0"], height)
		}
		if blk, i, err := c.nodes["h0"].book.leaf(gone); err != nil || i != 0 || blk.Header.Height != 7 {
			t.Fatalf("the purged sidecar is in another block: %v", err)
		}
		c.stopAll()
		for name, heights := range blocks {
			for _, height := range heights {
				c.damageRecord(name, "blocks", raw[height])
			}
			c.loseState(name)
		}
		c.damageRecord("h2", "sidecars", kept[2])
		c.net = newSimNet(time.Millisecond)
		c.tune = func(o *Options) {
			compacting(o)
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					answer, err := honest(ctx, from, kind, body)
					if raw, merr := chain.Marshal(answer); merr == nil && bytes.Contains(raw, canary) {
						t.Errorf("%s is sent what was purged", from)
					}
					return answer, err
				}
			}
		}
		c.startTogether("h0", "h1", "h2", "h3")
		if after := c.sameHead(); after.Height < before.Height {
			t.Errorf("height %d, was %d", after.Height, before.Height)
		}
		c.haveSidecars(kept, gone)
		c.load(3)
		c.sameHead()
		c.stopAll()
		for name := range blocks {
			c.repaired(name)
			if rep, err := c.verify(name); err != nil || rep.Sidecars != 2 || rep.Purged != 1 || rep.Missing != 0 {
				t.Errorf("%s: %+v, %v", name, rep, err)
			}
		}
		grep(t, c.dir, canary)
	})
}

// A member under repair says how far it was before, though it has not come so far
// again. Otherwise one that lost its log would take the others for founders, and vote
// without what was acknowledged.
func TestMemberUnderRepairSaysHowFarItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := withSidecars(t, compacting)
		before := c.sameHead()
		raw := blockBytes(t, c.nodes["h0"], 4)
		c.stopAll()
		c.damageRecord("h0", "blocks", raw)
		c.loseState("h0")
		c.net = newSimNet(time.Millisecond)
		ctx, give := context.WithCancel(context.Background())
		opened := make(chan error, 1)
		go func() {
			r, err := Open(ctx, c.options("h0"))
			if err == nil {
				err = errors.Join(r.Close(), errors.New("opened without the block that is damaged"))
			}
			opened <- err
		}()
		time.Sleep(5 * time.Second)
		node := c.net.node("h1")
		peer := newPeerNet(node, nil, discardLog())
		var a statusAnswer
		if err := peer.call(within(t, time.Minute), "h0", rpcStatus, struct{}{}, &a); err != nil || a.Height != before.Height || a.Applied < before.Height {
			t.Errorf("at block %d: %+v, %v", before.Height, a, err)
		}
		peer.close()
		node.Close()
		give()
		if err := <-opened; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// All members are under repair, and one of them has lost its log, too: it joins the
// others, and votes for nobody without what was acknowledged.
func TestAllMembersRepairAtOnceAndOneLostItsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, kept, gone := withSidecars(t, compacting)
		before := c.sameHead()
		c.stopAll()
		c.loseState("h0", "h1", "h2", "h3")
		if err := os.RemoveAll(filepath.Join(c.dir, "h1", "raft")); err != nil {
			t.Fatal(err)
		}
		c.net = newSimNet(time.Millisecond)
		c.startTogether("h0", "h1", "h2", "h3")
		c.load(3)
		if after := c.sameHead(); after.Height < before.Height+3 {
			t.Errorf("height %d, was %d", after.Height, before.Height)
		}
		c.haveSidecars(kept, gone)
		c.stopAll()
	})
}
