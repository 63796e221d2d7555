package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// A block rots of which only the last part of a start takes notice: because its sidecar
// is missing, or because the snapshot is there. The next start repairs it: it would fail
// for ever.
func TestDamageThatAStartFindsLateIsRepaired(t *testing.T) {
	for _, late := range []string{"missing sidecar", "snapshot"} {
		synctest.Test(t, func(t *testing.T) {
			c := compacted(t, 3, 20, 0)
			side := []byte("sealed")
			rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), side), side)
			c.load(5)
			before := c.sameHead()
			h, err := c.nodes["h2"].snaps.newest().Anchor.header()
			if err != nil {
				t.Fatal(err)
			}
			height := h.Height
			var out bytes.Buffer
			if _, err := c.nodes["h1"].Export(context.Background(), &out); err != nil {
				t.Fatal(err)
			}
			if late == "missing sidecar" {
				height = rc.Result.Height
			}
			raw := blockBytes(t, c.nodes["h0"], height)
			c.stop("h2")
			if late == "missing sidecar" {
				c.replaced("h2", c.without(out.Bytes(), rc.Index))
			}
			opt := c.options("h2")
			opt.opened = func(*book) { c.damageRecord("h2", "blocks", raw) }
			r, err := Open(within(t, time.Minute), opt)
			if err == nil {
				_ = r.Close()
			}
			if !isDamage(err) {
				t.Errorf("%s: opened with a damaged block: %v", late, err)
			}
			if p, err := readRepair(filepath.Join(c.dir, "h2")); err != nil || p == nil || p.history {
				t.Errorf("%s: repair %+v, %v", late, p, err)
			}
			r = c.start("h2")
			if after := c.sameHead(); after.Height < before.Height {
				t.Errorf("%s: height %d, was %d", late, after.Height, before.Height)
			}
			hasSidecar(t, r, rc.Index, side)
			c.stopAll()
			c.repaired("h2")
		})
	}
}

// A block rots whose sidecar is missing, while the replica asks for that: it halts, for
// the next start to repair it, and does not leave the others aside that are missing.
func TestDamagedBlockOfAMissingSidecarHalts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		r := c.start("h0")
		rc := mustSubmit(t, r, put(t, "bob", "s", []byte("x"), canary), canary)
		c.load(2)
		c.sameHead()
		raw := blockBytes(t, r, rc.Result.Height)
		var out bytes.Buffer
		if _, err := r.Export(context.Background(), &out); err != nil {
			t.Fatal(err)
		}
		c.stopAll()
		c.replaced("h0", c.without(out.Bytes(), rc.Index))
		c.net = newSimNet(time.Millisecond)
		r = c.start("h0")
		c.damageRecord("h0", "blocks", raw)
		time.Sleep(time.Minute)
		if err := r.Err(); !errors.Is(err, ErrHalted) || !isDamage(err) {
			t.Errorf("stopped by %v", err)
		}
		if p, err := readRepair(filepath.Join(c.dir, "h0")); err != nil || p == nil || p.history {
			t.Errorf("repair %+v, %v", p, err)
		}
		_ = r.Close() // says why it halted
	})
}

// The sidecars of blocks that were fetched a moment ago are looked for, though nothing
// of them is on disk.
func TestMissingSidecarIsKnownBeforeItIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		a := mustSubmit(t, c.nodes["h0"], put(t, "bob", "a", []byte("1"), canary), canary).Index
		b := mustSubmit(t, c.nodes["h0"], put(t, "bob", "b", []byte("2"), canary), canary).Index
		mustSubmit(t, c.nodes["h0"], sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, a), nil), nil)
		tip := c.sameHead().Height
		r, stop := c.emptied("h2")
		missing := func(want ...uint64) {
			t.Helper()
			if got, err := r.book.missing(); err != nil || !slices.Equal(got, want) {
				t.Errorf("missing are %v, %v, want %v", got, err, want)
			}
		}
		for height := uint64(1); height <= tip; height++ {
			if height == tip {
				missing(a, b)
			}
			blk, pos, err := c.nodes["h0"].book.block(height)
			if err == nil {
				err = r.replay(blk, pos, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		missing(b)
		if n := len(r.book.pending); uint64(n) != tip {
			t.Errorf("%d blocks of %d are not on disk", n, tip)
		}
		if err := r.book.drain(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		missing(b)
		if err := r.book.append(&step{late: []ledger.KeptSidecar{{Index: b, Data: canary}}}); err != nil {
			t.Fatal(err)
		}
		missing()
		stop()
		c.stopAll()
	})
}

// Members that send many blocks at a time leave out the sidecars. Whoever has caught up
// with a snapshot asks for them at once, though it found none missing when it was opened,
// and for each block once, however many of its sidecars are missing.
func TestSidecarsLeftOutOnTheWayAreAskedForAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		var alone atomic.Int32 // requests for one block
		c := newCluster(t, 3, func(o *Options) {
			compacting(o)
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					answer, err := honest(ctx, from, kind, body)
					blocks, ok := answer.([]sentBlock)
					var req blocksRequest
					if !ok || !lying.Load() || chain.Unmarshal(body, &req) != nil {
						return answer, err
					}
					if req.From == req.To {
						alone.Add(1)
					}
					for i := range blocks {
						if req.From < req.To {
							clear(blocks[i].Sidecars)
						}
					}
					return blocks, err
				}
			}
		})
		c.startAll()
		c.load(2)
		c.sameHead()
		c.stop("h2")
		var txs []*chain.Tx
		var sides [][]byte
		for i := range 8 {
			sides = append(sides, binary.BigEndian.AppendUint64([]byte("sealed"), uint64(i)))
			txs = append(txs, put(t, "bob", "s", sides[i], sides[i]))
		}
		receipts, err := c.nodes["h0"].SubmitAll(within(t, time.Minute), txs, sides)
		if err != nil {
			t.Fatal(err)
		}
		in := map[uint64]bool{}
		for _, rc := range receipts {
			if rc.Err != nil {
				t.Fatal(rc.Err)
			}
			in[rc.Receipt.Result.Height] = true
		}
		if len(in) == len(receipts) {
			t.Fatal("no block has two of them")
		}
		c.compacts(40)
		lying.Store(true)
		r := c.start("h2")
		c.sameHead()
		time.Sleep(10 * time.Second)
		for i, rc := range receipts {
			hasSidecar(t, r, rc.Receipt.Index, sides[i])
		}
		if int(alone.Load()) != len(in) {
			t.Errorf("%d requests for %d blocks", alone.Load(), len(in))
		}
		c.stopAll()
	})
}

// A member answers as late as it may whenever it is asked for a sidecar. Whoever lacks
// many does not wait for all of them when it is opened; they come later.
func TestAttackLateAnswersDoNotHoldUpAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		const late, n = 1900 * time.Millisecond, 30 // a member is waited for two heartbeats
		c := newCluster(t, 3, answersLate("h0", &lying, late, rpcBlocks))
		c.startAll()
		kept := map[uint64][]byte{}
		var leaves []uint64
		for i := range n {
			side := binary.BigEndian.AppendUint64([]byte("sealed"), uint64(i))
			leaf := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", side, side), side).Index
			kept[leaf], leaves = side, append(leaves, leaf)
		}
		c.sameHead()
		var out bytes.Buffer
		if _, err := c.nodes["h1"].Export(context.Background(), &out); err != nil {
			t.Fatal(err)
		}
		c.stop("h2")
		c.replaced("h2", c.without(out.Bytes(), leaves...))
		lying.Store(true)
		begun := time.Now()
		r := c.start("h2")
		if took := time.Since(begun); took > n*late-late || took < fetchTimeout {
			t.Errorf("opened after %v", took)
		}
		time.Sleep(n * late)
		for leaf, side := range kept {
			hasSidecar(t, r, leaf, side)
		}
		c.sameHead()
		c.stopAll()
	})
}
