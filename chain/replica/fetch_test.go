package replica

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// hidden returns the blocks of a member up to height without their sidecars.
func hidden(t *testing.T, r *Replica, height uint64) []sentBlock {
	t.Helper()
	blocks, err := r.serveBlocks(blocksRequest{From: 1, To: height})
	if err != nil {
		t.Fatal(err)
	}
	for i := range blocks {
		clear(blocks[i].Sidecars)
	}
	return blocks
}

// A member says nothing of a sidecar when it does not have the block: with one
// member that hides a sidecar and another without the block, and the only other one
// cut off, the sidecar is not forgotten.
func TestMemberWithoutTheBlockIsNoWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		kept := []byte("kept")
		keep := mustSubmit(t, c.nodes["h0"], put(t, "alice", "s", []byte{1}, kept), kept)
		height := c.sameHead().Height
		blocks := hidden(t, c.nodes["h1"], height)
		r, stop := c.emptied("h2")
		c.stop("h3")
		c.net.setCut("h0", "h2", true)
		var answer []sentBlock
		unlie := c.lie("h3", func(context.Context, string, byte, []byte) (any, error) { return answer, nil })
		replay := func() error {
			return r.replayAll(within(t, 3*time.Minute), "h1", blocks, height, blocks[len(blocks)-1].Pos.Index)
		}
		for name, lie := range map[string][]sentBlock{
			"no block":        {},
			"no sidecars":     {{Block: []byte("x")}},
			"two blocks":      {{Sidecars: [][]byte{nil}}, {Sidecars: [][]byte{nil}}},
			"other sidecars":  {{Sidecars: [][]byte{nil, nil}}},
			"forged sidecars": {{Sidecars: [][]byte{[]byte("forged"), []byte("forged")}}},
		} {
			answer = lie
			if err := replay(); err == nil || r.book.Head().Header.Size > keep.Index {
				t.Fatalf("%s: forgotten on the word of one member: %v", name, err)
			}
		}
		c.net.setCut("h0", "h2", false)
		c.net.reset("h0", "h2")
		if err := replay(); err != nil {
			t.Fatal(err)
		}
		hasSidecar(t, r, keep.Index, kept)
		unlie()
		stop()
		c.stopAll()
	})
}

// The first member that is asked for a hidden sidecar sends a forged one: it is not
// taken, and the next is asked.
func TestAttackForgedSidecar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		kept := []byte("kept")
		keep := mustSubmit(t, c.nodes["h0"], put(t, "alice", "s", []byte{1}, kept), kept)
		height := c.sameHead().Height
		blocks := hidden(t, c.nodes["h1"], height)
		r, stop := c.emptied("h2")
		c.stop("h0")
		asked := 0
		unlie := c.lie("h0", func(_ context.Context, _ string, _ byte, body []byte) (any, error) {
			asked++
			return []sentBlock{{Sidecars: [][]byte{[]byte("kepT")}}}, nil
		})
		if err := r.replayAll(within(t, 3*time.Minute), "h1", blocks, height, blocks[len(blocks)-1].Pos.Index); err != nil {
			t.Errorf("a forged sidecar stops it: %v", err)
		}
		if asked == 0 {
			t.Error("the liar was not asked")
		}
		hasSidecar(t, r, keep.Index, kept)
		unlie()
		stop()
		c.stopAll()
	})
}

// A fetched block that does not follow the last one is refused at its link to it.
func TestFetchedBlockMustFollowTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(2)
		height := c.sameHead().Height
		blocks, err := c.nodes["h0"].serveBlocks(blocksRequest{From: 1, To: height})
		if err != nil {
			t.Fatal(err)
		}
		parse := func(i int) *chain.Block {
			blk, err := chain.ParseBlock(blocks[i].Block)
			if err != nil {
				t.Fatal(err)
			}
			return blk
		}
		r, stop := c.emptied("h2")
		genesis := r.book.Head().Header.Hash()
		for name, change := range map[string]func() *chain.Block{
			"the block after":  func() *chain.Block { return parse(1) },
			"another height":   func() *chain.Block { b := parse(0); b.Header.Height = 2; return b },
			"another previous": func() *chain.Block { b := parse(0); b.Header.Prev[0] ^= 1; return b },
		} {
			blk := change()
			var broken *chain.BrokenError
			err := r.replay(blk, blocks[0].Pos, nil)
			if !errors.As(err, &broken) || broken.Link != "previous hash" || broken.Want != genesis || broken.Got != blk.Header.Prev || broken.Height != blk.Header.Height {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := r.replayAll(within(t, time.Minute), "h0", blocks, height, blocks[len(blocks)-1].Pos.Index); err != nil {
			t.Error(err)
		}
		stop()
		c.stopAll()
	})
}
