package replica

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// smallDisk gives h2 a disk with as much room as free says, and lets the others send
// blocks one at a time.
func smallDisk(free func() int64) func(*Options) {
	return func(o *Options) {
		compacting(o)
		if o.Member == "h2" {
			o.MinFree, o.free = 100, func(string) (int64, error) { return free(), nil }
			return
		}
		o.wrapHandler = func(whole rpcHandler) rpcHandler {
			return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
				if kind == rpcBlocks {
					var req blocksRequest
					if err := chain.Unmarshal(body, &req); err != nil {
						return nil, err
					}
					req.To = req.From
					var err error
					if body, err = chain.Marshal(req); err != nil {
						return nil, err
					}
					time.Sleep(100 * time.Millisecond) // virtual
				}
				return whole(ctx, from, kind, body)
			}
		}
	}
}

// A member that has everything to fetch while it opens stops before its disk is full,
// whether there was no room from the start or the blocks took it, and goes on from
// there when there is.
func TestOpeningHeedsANearlyFullDisk(t *testing.T) {
	for name, after := range map[string]uint64{"from the start": 0, "while it fetches": 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var own atomic.Pointer[book]
				var bought atomic.Bool
				c := newCluster(t, 3, smallDisk(func() int64 {
					if b := own.Load(); b != nil && b.Head().Header.Height >= after && !bought.Load() {
						return 10
					}
					return 1000
				}))
				c.startAll()
				c.load(60)
				time.Sleep(10 * time.Second)
				c.load(5)
				c.sameHead()
				c.stop("h2")
				if err := os.RemoveAll(filepath.Join(c.dir, "h2")); err != nil {
					t.Fatal(err)
				}
				small := c.tune
				c.tune = func(o *Options) {
					small(o)
					o.opened = func(b *book) {
						if o.Member == "h2" {
							own.Store(b)
						}
					}
					o.Bootstrap = o.Member != "h2" // so that Open waits
				}
				opened := make(chan error, 1)
				go func() {
					r, err := Open(within(t, time.Hour), c.options("h2"))
					c.nodes["h2"] = r
					opened <- err
				}()
				time.Sleep(time.Minute)
				// Ten blocks come in a second, between two looks at the disk.
				if got := own.Load().Head().Header.Height; got < after || got > after+12 {
					t.Errorf("fetched blocks up to %d, and the disk was nearly full at %d", got, after)
				}
				select {
				case err := <-opened:
					t.Fatalf("opened without its blocks: %v", err)
				default:
				}
				bought.Store(true)
				if err := <-opened; err != nil {
					t.Fatal(err)
				}
				c.load(2)
				c.sameHead()
				c.stopAll()
			})
		})
	}
}

// A damaged chain is made again from its own blocks when there is room: without, they
// are left where they are, and when it becomes short Open waits.
func TestRebuildingHeedsANearlyFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { rebuildOnASmallDisk(t, false) })
}

// An Open that is cut off while it waits for room has not made the chain again.
func TestRebuildingCutOffWhileItWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { rebuildOnASmallDisk(t, true) })
}

// slowRegister is a register that takes a while.
type slowRegister struct{ register }

func (r slowRegister) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	time.Sleep(150 * time.Millisecond) // virtual
	return r.register.Apply(call, method, args)
}

func rebuildOnASmallDisk(t *testing.T, cut bool) {
	var free atomic.Int64
	free.Store(1000)
	c := newCluster(t, 3, smallDisk(free.Load))
	c.startAll()
	c.load(40)
	before := c.sameHead()
	c.stop("h2")
	if err := os.RemoveAll(filepath.Join(c.dir, "h2", "state")); err != nil {
		t.Fatal(err)
	}
	free.Store(10)
	if _, err := Open(within(t, time.Minute), c.options("h2")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("repaired on a disk that is nearly full: %v", err)
	}
	c.notThrownAway("h2")
	free.Store(1000)
	var own atomic.Pointer[book]
	o := c.options("h2")
	o.opened = own.Store
	o.Contracts = map[string]ledger.Contract{"kv": slowRegister{}}
	ctx, give := context.WithCancel(within(t, time.Hour))
	opened := make(chan error, 1)
	go func() {
		r, err := Open(ctx, o)
		if err == nil {
			c.nodes["h2"] = r
		}
		opened <- err
	}()
	time.Sleep(1500 * time.Millisecond)
	free.Store(10)
	time.Sleep(time.Minute)
	if got := own.Load().Head().Header.Height; got == 0 || got > 30 {
		t.Errorf("wrote the blocks up to %d again", got)
	}
	if cut {
		give()
	} else {
		free.Store(1000)
	}
	if err := <-opened; cut && !errors.Is(err, context.Canceled) || !cut && err != nil {
		t.Fatal(err)
	}
	give()
	if cut {
		free.Store(1000)
		c.start("h2")
	}
	if got := c.sameHead(); got.Height < before.Height {
		t.Errorf("height %d after %d", got.Height, before.Height)
	}
	c.stopAll()
}

// A chain is founded when there is room, and nobody takes the disk for damaged.
func TestFoundingHeedsANearlyFullDisk(t *testing.T) {
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			var free atomic.Int64
			free.Store(10)
			c := newCluster(t, n, func(o *Options) {
				o.MinFree, o.free = 100, func(string) (int64, error) { return free.Load(), nil }
			})
			if n == 1 {
				if _, err := Open(within(t, time.Minute), c.options("h0")); !errors.Is(err, ErrReadOnly) {
					t.Errorf("a founder alone: %v", err)
				}
			} else {
				c.startAll()
				time.Sleep(time.Minute)
				for name, r := range c.nodes {
					if r.Err() != nil || r.raftLog.log.Last() != 0 {
						t.Errorf("%s: log up to %d, %v", name, r.raftLog.log.Last(), r.Err())
					}
				}
			}
			if _, err := os.Lstat(filepath.Join(c.dir, "h0", repairMark)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("marked for repair: %v", err)
			}
			free.Store(1000)
			if n == 1 {
				c.startAll()
			}
			c.load(3)
			c.sameHead()
			c.stopAll()
		})
	}
}
