package replica

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// forks executes blocks of its own after the honest ones up to height, on a replica
// that only fetches, and returns them: each is good by itself.
func forks(t *testing.T, r *Replica, proposer string, height uint64, n int) []sentBlock {
	t.Helper()
	if first := r.book.Head().Header.Height + 1; first <= height {
		if _, err := r.fetchFrom(within(t, time.Minute), "h1", blocksRequest{From: first, To: height}, 1<<40); err != nil {
			t.Fatal(err)
		}
	}
	var out []sentBlock
	for range n {
		head := r.book.Head()
		h := head.Header
		e, err := chain.SignEntry(testChain, h.Height, h.Hash(), time.Now().UnixMilli(), []*chain.Tx{put(t, "mallory", "k", []byte("fork"), nil)}, nil, testKey(proposer))
		if err != nil {
			t.Fatal(err)
		}
		v := r.book.view()
		o, err := r.executor.Apply(head, v, e)
		v.txn.Discard()
		if err != nil {
			t.Fatal(err)
		}
		pos := r.book.Applied()
		pos.Index++
		if err := r.book.append(newStep(pos, h.Size, o, e.Parsed())); err != nil {
			t.Fatal(err)
		}
		raw, err := o.Block.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sentBlock{Pos: pos, Block: raw})
		time.Sleep(time.Millisecond) // blocks differ in their time
	}
	return out
}

// forker is a member that is honest but for the blocks it sends from a height on, once
// it has them.
type forker struct {
	from   uint64
	blocks atomic.Pointer[[]sentBlock]
	sent   atomic.Bool
}

// lying has one member of a cluster that compacts answer by way of wrap.
func lying(member string, wrap func(rpcHandler) rpcHandler) func(*Options) {
	return func(o *Options) {
		compacting(o)
		if o.Member == member {
			o.wrapHandler = wrap
		}
	}
}

func (f *forker) wrap(honest rpcHandler) rpcHandler {
	return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
		blocks := f.blocks.Load()
		var req blocksRequest
		if kind != rpcBlocks || blocks == nil {
			return honest(ctx, from, kind, body)
		}
		if err := chain.Unmarshal(body, &req); err != nil {
			return nil, err
		}
		if req.To < f.from {
			return honest(ctx, from, kind, body)
		}
		var good []sentBlock
		fork := (*blocks)[max(req.From, f.from)-f.from : min(req.To+1-f.from, uint64(len(*blocks)))]
		if req.From < f.from {
			req.To = f.from - 1
			body, err := chain.Marshal(req)
			if err != nil {
				return nil, err
			}
			answer, err := honest(ctx, from, kind, body)
			if err != nil {
				return nil, err
			}
			good = answer.([]sentBlock)
		}
		f.sent.Store(true)
		return append(good, fork...), nil
	}
}

// keptItsLog checks that a member neither throws its log away nor is about to.
func (c *cluster) keptItsLog(name string) {
	c.t.Helper()
	if p, err := readRepair(filepath.Join(c.dir, name)); err != nil || p != nil && p.history {
		c.t.Errorf("%s: repair %+v, %v", name, p, err)
	}
	if _, err := os.Lstat(filepath.Join(c.dir, name, "damaged", "raft")); !errors.Is(err, os.ErrNotExist) {
		c.t.Errorf("%s has moved its log aside: %v", name, err)
	}
}

// The member that is asked first sends blocks that are good each by itself, up to the
// height of the snapshot, and are on no chain. Whoever fetches executes none of them,
// and asks another: it would find out at the end only, and take it for a history of
// its own that it has to throw away, log and all.
func TestAttackBlocksOfAForkAreSent(t *testing.T) {
	for name, lose := range map[string][]string{"behind": nil, "under repair": {"state", "blocks"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &forker{from: 5}
				c := newCluster(t, 4, lying("h0", f.wrap))
				c.startAll()
				c.load(6)
				if lose == nil {
					c.sameHead()
					c.stop("h3")
				}
				c.compacts(30)
				r, stop := c.emptied("h3")
				blocks := forks(t, r, "h0", f.from-1, 60)
				stop()
				f.blocks.Store(&blocks)
				for _, dir := range lose {
					if err := os.RemoveAll(filepath.Join(c.dir, "h3", dir)); err != nil {
						t.Fatal(err)
					}
				}
				c.start("h3")
				c.sameHead()
				if !f.sent.Load() {
					t.Error("the liar was not asked")
				}
				c.keptItsLog("h3")
				c.stopAll()
			})
		})
	}
}

// Whether this replica has another history than the others, certificates tell: of a
// block here or of one to which the headers lead. What is not certified says nothing.
func TestAnotherHistoryIsJudgedByCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(6)
		tip := c.sameHead().Height
		why := errors.New("stands still")
		r, stop := c.emptied("h2")
		judge := func(name string, height uint64, other bool) {
			t.Helper()
			got, differs := r.certified(r.ctx)
			if differs != other || !other && got != height || isAstray(r.judged(why)) != other || !errors.Is(r.judged(why), why) {
				t.Errorf("%s: certified up to %d, another history %v", name, got, differs)
			}
		}
		judge("nothing yet", 0, false)
		ctx := within(t, time.Minute)
		if _, err := r.fetchFrom(ctx, "h1", blocksRequest{From: 1, To: 3}, 1<<40); err != nil {
			t.Fatal(err)
		}
		judge("behind", 3, false)
		if _, err := r.fetchFrom(ctx, "h1", blocksRequest{From: 4, To: tip}, 1<<40); err != nil {
			t.Fatal(err)
		}
		forks(t, r, "h0", 0, 0)
		judge("with them", tip, false)
		forks(t, r, "h0", 0, 2)
		judge("a fork that nothing is certified of", tip, false)
		stop()
		for name, n := range map[string]int{"a fork, behind": 1, "a fork, ahead": 9} {
			r, stop = c.emptied("h2")
			forks(t, r, "h0", 3, n)
			judge(name, 0, true)
			c.net.setCut("h0", "h2", true)
			c.net.setCut("h1", "h2", true)
			if isAstray(r.judged(why)) {
				t.Errorf("%s: judged without a certificate", name)
			}
			c.net.setCut("h0", "h2", false)
			c.net.setCut("h1", "h2", false)
			stop()
		}
		c.stopAll()
	})
}

// A member whose last block is on no chain is told so by the headers, before it
// executes anything.
func TestCatchUpFromAForkIsAstray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := compacted(t, 3, 30, 3)
		snap := c.nodes["h0"].snaps.newest()
		r, stop := c.emptied("h2")
		r.fetched = make(chan struct{}, 1)
		forks(t, r, "h0", 3, 2)
		var broken *chain.BrokenError
		err := r.catchUp(within(t, time.Minute), snap)
		if !errors.As(err, &broken) || !isAstray(err) || broken.Height != 5 || r.book.Head().Header.Height != 5 {
			t.Errorf("at block %d: %v", r.book.Head().Header.Height, err)
		}
		stop()
		r, stop = c.emptied("h2")
		r.fetched = make(chan struct{}, 1)
		if err := r.catchUp(within(t, time.Minute), snap); err != nil || len(r.fetched) != 1 {
			t.Errorf("%v; told %d times that blocks were fetched", err, len(r.fetched))
		}
		stop()
		c.stopAll()
	})
}

// On a long way not every hash is kept: those that are left out are walked again, and
// every block is compared, also when headers come a few at a time.
func TestLongWayIsWalkedInWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		few := func(o *Options) {
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					answer, err := honest(ctx, from, kind, body)
					if headers, ok := answer.([][]byte); ok && kind == rpcHeaders {
						answer = headers[:min(3, len(headers))]
					}
					return answer, err
				}
			}
		}
		c := newCluster(t, 3, few)
		c.startAll()
		c.load(22)
		tip := c.sameHead()
		for _, window := range []uint64{1, 4, 5, 64} {
			r, stop := c.emptied("h2")
			ctx := within(t, time.Minute)
			way := r.newTrail(&tip, window)
			if err := way.lay(ctx); err != nil {
				t.Fatal(err)
			}
			for height := uint64(1); height <= tip.Height; height++ {
				blk, err := c.nodes["h0"].Block(height)
				if err != nil {
					t.Fatal(err)
				}
				if err := way.check(ctx, blk); err != nil {
					t.Errorf("window %d, block %d: %v", window, height, err)
				}
				other := *blk
				other.Header.Time++
				if err := way.check(ctx, &other); err == nil {
					t.Errorf("window %d: another block %d is taken", window, height)
				}
				if uint64(len(way.near)) > window+1 {
					t.Errorf("window %d: %d hashes are kept", window, len(way.near))
				}
			}
			stop()
		}
		c.stopAll()
	})
}

// A member has signed a block that a leader showed to it alone, and then executes the
// one that the others certify. It signs no other at that height, and goes on; its log
// is good.
func TestSignatureOnABlockOfNoChainCostsNoLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(4)
		tip := c.sameHead().Height
		c.stop("h2")
		s, _, err := openSignFile(filepath.Join(c.dir, "h2"), medium{simulated: true})
		if err != nil {
			t.Fatal(err)
		}
		next := signedHead{Height: tip + 1, Hash: chain.Hash{1}}
		if err := errors.Join(s.record(next), s.Close()); err != nil {
			t.Fatal(err)
		}
		c.load(1)
		r := c.start("h2")
		time.Sleep(10 * time.Second)
		c.sameHead()
		if _, mine, _ := r.certs.claim(); mine.Height == tip+1 {
			t.Error("signed a second tree head at one height")
		}
		c.load(2)
		c.sameHead()
		if _, mine, to := r.certs.claim(); mine.Height <= tip+1 || to != mine.Height {
			t.Errorf("signed block %d last", mine.Height)
		}
		c.keptItsLog("h2")
		c.stopAll()
	})
}

// With a certificate of its own history a member signs on above the height, without
// one it waits and then halts, and with one of another it throws its log away.
func TestSignatureOnAnotherBlockIsJudgedByCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(5)
		c.sameHead()
		why := &chain.BrokenError{Link: "tree head signed before"}
		for name, tc := range map[string]struct {
			fork, cut, later bool
			jobs             int
			astray, fail     bool
		}{
			"certified":           {jobs: 1},
			"another is":          {fork: true, astray: true, fail: true},
			"nobody can be asked": {cut: true, fail: true},
			"later":               {cut: true, later: true, jobs: 1},
		} {
			r, stop := c.emptied("h2")
			n := 0
			if tc.fork {
				n = 1
			}
			forks(t, r, "h0", 3, n)
			r.signed = &signFile{last: signedHead{Height: 3}}
			c.net.setCut("h0", "h2", tc.cut)
			c.net.setCut("h1", "h2", tc.cut)
			if tc.later {
				time.AfterFunc(3*r.opt.Heartbeat, func() {
					c.net.setCut("h0", "h2", false)
					c.net.reset("h0", "h2")
				})
			}
			left, err := r.unsignable(jobs(t, head(2, 1), head(3, 1), head(4, 1)), why)
			if len(left) != tc.jobs || isAstray(err) != tc.astray || errors.Is(err, why) != tc.fail {
				t.Errorf("%s: %d jobs, %v", name, len(left), err)
			}
			c.net.setCut("h0", "h2", false)
			c.net.setCut("h1", "h2", false)
			stop()
		}
		c.stopAll()
	})
}
