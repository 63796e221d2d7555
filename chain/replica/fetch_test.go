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

// Whatever members answer that do not have a sidecar, with or without the block, it is
// not taken and nothing is forgotten: another that has it is asked.
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
		c.net.setCut("h1", "h2", true)
		c.net.setCut("h3", "h2", true)
		var answer []sentBlock
		asked := 0
		unlie := c.lie("h0", func(_ context.Context, _ string, kind byte, _ []byte) (any, error) {
			if kind == rpcBlocks { // it has no leader, and asks for other things, too
				asked++
			}
			return answer, nil
		})
		if err := r.replayAll(within(t, time.Minute), blocks, height, blocks[len(blocks)-1].Pos.Index); err != nil {
			t.Fatal(err)
		}
		for name, lie := range map[string][]sentBlock{
			"no block":        {},
			"no sidecars":     {{Block: []byte("x")}},
			"two blocks":      {{Sidecars: [][]byte{kept}}, {Sidecars: [][]byte{kept}}},
			"other sidecars":  {{Sidecars: [][]byte{nil, nil}}},
			"forged sidecars": {{Sidecars: [][]byte{[]byte("forged"), []byte("forged")}}},
			"a forged one":    {{Sidecars: [][]byte{[]byte("kepT")}}},
		} {
			answer, asked = lie, 0
			left, err := r.fetchMissing(within(t, time.Minute))
			if got, serr := r.Sidecar(keep.Index); left != 1 || err != nil || asked != 1 || !errors.Is(serr, ErrMissing) || errors.Is(serr, ErrPurged) {
				t.Errorf("%s: asked %d times, %d are missing, %v: %q, %v", name, asked, left, err, got, serr)
			}
		}
		c.net.setCut("h3", "h2", false)
		c.net.reset("h3", "h2")
		if left, err := r.fetchMissing(within(t, time.Minute)); left != 0 || err != nil {
			t.Errorf("%d are missing, %v", left, err)
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
		if err := r.replayAll(within(t, time.Minute), blocks, height, blocks[len(blocks)-1].Pos.Index); err != nil {
			t.Error(err)
		}
		stop()
		c.stopAll()
	})
}
