package replica

import (
	"context"
	"crypto"
	"crypto/rand"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// placer is a member that sends good blocks at places that lie makes of those where they
// are.
type placer struct {
	lie atomic.Pointer[func(height uint64, pos position) position]
}

func (p *placer) wrap(honest rpcHandler) rpcHandler {
	return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
		answer, err := honest(ctx, from, kind, body)
		blocks, _ := answer.([]sentBlock)
		lie := p.lie.Load()
		for i := range blocks {
			if blk, perr := chain.ParseBlock(blocks[i].Block); lie != nil && perr == nil {
				blocks[i].Pos = (*lie)(blk.Header.Height, blocks[i].Pos)
			}
		}
		return answer, err
	}
}

// The member that is asked first sends a good block with a false place in the log.
// Whoever fetched it takes the next ones all the same, which come at the places where
// they are. If it did not, it would stand there for ever: what it has noted is on its disk.
func TestAttackFalsePlaceOfABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p placer
		c := newCluster(t, 4, lying("h0", p.wrap))
		c.startAll()
		c.compacts(30)
		snap := c.nodes["h1"].snaps.newest()
		end := snap.Anchor.Pos
		target, err := snap.Anchor.header()
		if err != nil {
			t.Fatal(err)
		}
		once := func(at uint64, place func(position) position) func(uint64, position) position {
			return func(height uint64, pos position) position {
				if height == at {
					return place(pos)
				}
				return pos
			}
		}
		for name, lie := range map[string]func(uint64, position) position{
			"that of the snapshot":   once(1, func(position) position { return end }),
			"one of another block":   once(5, func(pos position) position { pos.Index += 3; return pos }),
			"one before":             once(5, func(pos position) position { pos.Index--; return pos }),
			"beyond the snapshot":    once(5, func(position) position { return position{Index: end.Index + 1, Term: end.Term} }),
			"none":                   once(5, func(position) position { return position{} }),
			"none but a term":        once(5, func(position) position { return position{Term: 1} }),
			"another term":           once(5, func(pos position) position { pos.Term += 7; return pos }),
			"the greatest there is":  once(1, func(position) position { return position{Index: 1<<64 - 1, Term: 1<<64 - 1} }),
			"none of all its blocks": func(uint64, position) position { return position{} },
		} {
			p.lie.Store(&lie)
			r, stop := c.emptied("h3")
			if err := r.catchUp(within(t, time.Minute), snap); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if r.book.Head().Header.Hash() != target.Hash() || r.book.Applied() != end {
				t.Errorf("%s: at block %d of %d, entry %v of %v", name, r.book.Head().Header.Height, target.Height, r.book.Applied(), end)
			}
			for height := uint64(1); height <= r.book.Head().Header.Height; height++ {
				_, is, err := c.nodes["h1"].book.block(height)
				_, got, gerr := r.book.block(height)
				if err != nil || gerr != nil {
					t.Fatal(err, gerr)
				}
				if got.Index > end.Index || lie(height, is) == is && got != is {
					t.Errorf("%s: block %d is noted at %v; it is at %v", name, height, got, is)
				}
			}
			stop()
		}
		p.lie.Store(nil)
		c.stopAll()
	})
}

// A member that was lied to about the place of a block serves whoever is behind it, and
// comes back after a restart on the way.
func TestAttackFalsePlaceIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p placer
		c := newCluster(t, 4, lying("h0", p.wrap))
		c.startAll()
		c.load(6)
		c.sameHead()
		c.stop("h3")
		c.compacts(30)
		far := func(height uint64, pos position) position {
			switch height {
			case 8:
				pos.Index += 20
			case 9:
				return position{Index: 1, Term: 1}
			}
			return pos
		}
		p.lie.Store(&far)
		r := c.start("h3")
		c.sameHead()
		if _, pos, err := r.book.block(8); err != nil || pos.Index < 28 {
			t.Fatalf("block 8 is noted at %v, %v", pos, err)
		}
		_, last, err := r.book.block(6)
		if _, pos, perr := r.book.block(9); err != nil || perr != nil || pos.Index <= last.Index {
			t.Fatalf("block 9 is noted at %v, %v; the last before the way is at %v, %v", pos, perr, last, err)
		}
		p.lie.Store(nil)
		c.stop("h3")
		c.start("h3")
		c.compacts(10)
		snap := c.nodes["h3"].snaps.newest()
		r, stop := c.emptied("h2")
		c.net.setCut("h0", "h2", true)
		c.net.setCut("h1", "h2", true)
		if err := r.catchUp(within(t, time.Minute), snap); err != nil || r.book.Applied() != snap.Anchor.Pos {
			t.Errorf("from one that was lied to: %v, applied %v of %v", err, r.book.Applied(), snap.Anchor.Pos)
		}
		c.net.setCut("h0", "h2", false)
		c.net.setCut("h1", "h2", false)
		stop()
		c.start("h2")
		c.load(2)
		c.sameHead()
		c.stopAll()
	})
}

// A member was lied to about the place of the newest certified block. The anchor that it
// proposes to one that lost its log is at the place of its snapshot, and the others sign
// it: one liar does not make that as good as lost, too.
func TestAttackFalsePlaceInAnAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p placer
		c := newCluster(t, 4, lying("h0", p.wrap))
		c.startAll()
		c.load(6)
		c.sameHead()
		c.stop("h3")
		c.compacts(30)
		tip := c.sameHead().Height
		// An entry after the last block, which makes none, and that every snapshot covers.
		for _, r := range c.nodes {
			if _, self := r.leader(); self {
				if err := r.node().Barrier(time.Minute).Error(); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(5 * time.Second)
		for _, r := range c.nodes {
			if err := r.node().Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
		}
		early := func(height uint64, pos position) position {
			if height == tip {
				pos.Index--
			}
			return pos
		}
		p.lie.Store(&early)
		r := c.start("h3")
		c.sameHead()
		_, is, err := c.nodes["h1"].book.block(tip)
		_, got, gerr := r.book.block(tip)
		if err != nil || gerr != nil || got != early(tip, is) {
			t.Fatalf("block %d is noted at %v, %v; it is at %v, %v", tip, got, gerr, is, err)
		}
		answer, err := r.serveAttest(attestRequest{})
		if err != nil {
			t.Fatal(err)
		}
		first, err := c.nodes["h1"].serveAttest(attestRequest{})
		var own anchor
		if uerr := chain.Unmarshal(first.Anchor, &own); err != nil || uerr != nil || own.Pos != is {
			t.Errorf("with the block in its log, h1 proposes %v, %v, %v", own.Pos, err, uerr)
		}
		for _, name := range []string{"h1", "h2"} {
			if _, err := c.nodes[name].serveAttest(attestRequest{Anchor: answer.Anchor}); err != nil {
				t.Errorf("%s, of what was proposed: %v", name, err)
			}
		}
		c.stopAll()
	})
}

// A member was lied to about the places of blocks, and so agrees that an old block stands
// where the one after it does. With it, the liar has signatures enough for one that lost
// its disk, which would never execute that block. It knows that newer
// blocks are certified.
func TestAttackAnchorThatSkipsABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p placer
		var skips atomic.Pointer[attestAnswer]
		var note atomic.Pointer[[]byte]
		c := newCluster(t, 4, func(o *Options) {
			if lying("h0", p.wrap)(o); o.Member == "h0" {
				o.wrapHandler = func(honest rpcHandler) rpcHandler {
					honest = p.wrap(honest)
					return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
						answer, old := skips.Load(), note.Load()
						switch {
						case from == "h2" && kind == rpcAttest && answer != nil:
							return answer, nil
						case from == "h2" && kind == rpcCheckpoint && answer != nil:
							return *old, nil
						}
						return honest(ctx, from, kind, body)
					}
				}
			}
			o.TrailingEntries = 15 // who comes back at the block that is skipped gets no snapshot
		})
		c.startAll()
		c.load(6)
		c.sameHead()
		c.stop("h3")
		c.compacts(60)
		h1 := c.nodes["h1"]
		end := h1.snaps.newest().Anchor
		target, err := end.header()
		if err != nil {
			t.Fatal(err)
		}
		skipped := target.Height - 4
		late := func(height uint64, pos position) position {
			if height >= skipped {
				pos.Index = end.Pos.Index
			}
			return pos
		}
		p.lie.Store(&late)
		c.start("h3")
		c.sameHead()
		p.lie.Store(nil)
		_, is, err := h1.book.block(skipped)
		if err != nil {
			t.Fatal(err)
		}
		a, err := h1.anchorAt(skipped-1, is)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.nodes["h3"].attest(a); err != nil {
			t.Fatalf("who was lied to does not agree: the test tests nothing: %v", err)
		}
		header, err := a.header()
		if err != nil {
			t.Fatal(err)
		}
		cp := &chain.Checkpoint{TreeHead: header.TreeHead()} // the liar has kept it
		for _, m := range c.consortium.Members {
			sig, err := c.consortium.Cosign(cp.TreeHead, m.Name, time.Now().Unix(), testKey(m.Name))
			if err != nil {
				t.Fatal(err)
			}
			cp.Signatures = append(cp.Signatures, sig)
		}
		msg, err := a.message()
		if err != nil {
			t.Fatal(err)
		}
		sig, err := testKey("h0").Sign(rand.Reader, msg, crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := chain.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		old, err := cp.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		c.stop("h2")
		if err := os.RemoveAll(filepath.Join(c.dir, "h2")); err != nil {
			t.Fatal(err)
		}
		note.Store(&old)
		skips.Store(&attestAnswer{Anchor: raw, Signature: sig})
		h2 := c.start("h2")
		c.load(2) // the others' newest certificates change while they are asked
		h2.begun.Wait()
		if s := h2.snaps.newest(); s != nil && s.Anchor.Pos == is {
			t.Fatal("goes by an anchor that skips a block")
		}
		c.sameHead()
		c.stopAll()
	})
}
