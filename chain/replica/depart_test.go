package replica

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// departing is a cluster of four, connected as in production, whose first member is
// told by OnCertified up to which block the chain is certified. lost says which requests
// do not arrive.
func departing(t *testing.T, lost func(from, to string, kind byte) bool) (c *cluster, told *atomic.Uint64) {
	told = new(atomic.Uint64)
	var running sync.Map // by name
	c = newCluster(t, 4, func(o *Options) {
		self := o.Member
		o.Network = knowing{o.Network, func() *chain.Consortium {
			if r, ok := running.Load(self); ok {
				return r.(*Replica).Consortium()
			}
			return c.consortium
		}}
		o.wrapHandler = func(honest rpcHandler) rpcHandler {
			return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
				if lost(from, self, kind) {
					return nil, errors.New("lost")
				}
				return honest(ctx, from, kind, body)
			}
		}
		if self == "h0" {
			o.OnCertified = func(cp *chain.Checkpoint) { told.Store(cp.Height) }
		}
	})
	c.startAll()
	for name, r := range c.nodes {
		running.Store(name, r)
	}
	c.load(2)
	c.sameHead()
	return c, told
}

// Who leaves is among those who certify the block by which it does: it gets their
// signatures, or the certificate, and who submitted the change through it the receipt.
// After that it says that it is no member.
func TestWhoLeavesGetsTheReceiptOfIt(t *testing.T) {
	for name, tc := range map[string]struct {
		leader string
		lost   byte // kind of the requests that do not arrive at who leaves
	}{
		"leader":                  {"h0", 0},
		"follower":                {"h1", 0},
		"leader, no signatures":   {"h0", rpcCosign},
		"follower, no signatures": {"h1", rpcCosign},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var leaving atomic.Bool
				c, told := departing(t, func(_, to string, kind byte) bool {
					return leaving.Load() && to == "h0" && kind == tc.lost
				})
				c.leads(tc.leader)
				leaving.Store(true)
				before, r := c.consortium, c.nodes["h0"]
				_, tx := nextConsortium(t, before, before.Members[1:])
				begin := time.Now()
				rc, err := r.Submit(within(t, time.Minute), tx, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := rc.Verify(before); err != nil || rc.Checkpoint.Height != rc.Result.Height {
					t.Errorf("receipt at block %d of %d: %v", rc.Checkpoint.Height, rc.Result.Height, err)
				}
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				synctest.Wait()
				if got := told.Load(); got != rc.Result.Height || r.Checkpoint().Height != got {
					t.Errorf("told of block %d, certified is %v", got, r.Checkpoint())
				}
				c.stopAll()
			})
		})
	}
}

// One who has left says so at once: of a block that came after, of which it gets no
// certificate, and of what is submitted and read through it. What it has, it shows.
func TestOneWhoLeftSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := departing(t, func(string, string, byte) bool { return false })
		c.leads("h1")
		r := c.nodes["h0"]
		_, leave := nextConsortium(t, c.consortium, c.consortium.Members[1:])
		earlier, late := put(t, "alice", "k", []byte("v"), nil), put(t, "alice", "l", []byte("v"), nil)
		mustSubmit(t, r, earlier, nil)
		submitChange(t, r, c.consortium, leave)
		rc := mustSubmit(t, c.nodes["h1"], late, nil)
		time.Sleep(time.Second / 5) // it is told of the block with the next heartbeat
		if left := rc.Result.Height - 1; r.Checkpoint().Height != left || r.book.Head().Header.Height != left+1 {
			t.Fatalf("it is at block %d: the test tests nothing", r.book.Head().Header.Height)
		}
		begin, ctx := time.Now(), within(t, time.Minute)
		if _, err := r.Submit(ctx, late, nil); !errors.Is(err, ErrNotMember) {
			t.Errorf("a transaction after it left: %v", err)
		}
		if err := r.ReadLocal(ctx, func(*View) error { return nil }); !errors.Is(err, ErrNotMember) {
			t.Errorf("its state, with a block after it left: %v", err)
		}
		if _, err := r.Submit(ctx, put(t, "alice", "m", nil, nil), nil); !errors.Is(err, ErrNotMember) || errors.Is(err, ErrUnknown) {
			t.Errorf("submit: %v", err)
		}
		if err := r.Read(ctx, func(*View) error { return nil }); !errors.Is(err, ErrNotMember) {
			t.Errorf("read: %v", err)
		}
		for _, tx := range []*chain.Tx{earlier, leave} {
			if rc, err := r.Submit(ctx, tx, nil); err != nil || rc.Result.Code != "" {
				t.Errorf("what was on the chain before: %v", err)
			}
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v", took)
		}
		c.stopAll()
		if _, err := r.Submit(ctx, put(t, "alice", "n", nil, nil), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("submit after it was closed: %v", err)
		}
		if err := r.Read(ctx, func(*View) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("read after it was closed: %v", err)
		}
	})
}

// A leader that leaves proposes nothing more, for it would make no block, and the others
// go on without it.
func TestLeaderThatLeavesProposesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := departing(t, func(string, string, byte) bool { return false })
		c.leads("h0")
		_, leave := nextConsortium(t, c.consortium, c.consortium.Members[1:])
		submitChange(t, c.nodes["h0"], c.consortium, leave)
		before := c.nodes["h1"].book.Applied().Index
		begin := time.Now()
		mustSubmit(t, c.nodes["h1"], put(t, "alice", "k", nil, nil), nil)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if n := c.nodes["h1"].book.Applied().Index - before; n > 12 {
			t.Errorf("%d entries for one block", n)
		}
		c.stopAll()
	})
}

// Who waits with a transaction that is not on the chain when the member leaves is told.
func TestSubmitEndsWhenTheMemberLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leaving atomic.Bool
		c, _ := departing(t, func(from, _ string, kind byte) bool {
			return leaving.Load() && from == "h0" && kind == rpcSubmit
		})
		c.leads("h1")
		leaving.Store(true)
		r := c.nodes["h0"]
		_, leave := nextConsortium(t, c.consortium, c.consortium.Members[1:])
		one, all := make(chan error, 1), make(chan error, 1)
		ctx := within(t, time.Minute)
		go func() { _, err := r.Submit(ctx, put(t, "alice", "k", nil, nil), nil); one <- err }()
		go func() {
			out, err := r.SubmitAll(ctx, []*chain.Tx{put(t, "alice", "l", nil, nil)}, nil)
			all <- errors.Join(err, out[0].Err)
		}()
		time.Sleep(5 * time.Second)
		submitChange(t, c.nodes["h1"], c.consortium, leave)
		begin := time.Now()
		for _, ch := range []chan error{one, all} {
			if err := <-ch; !errors.Is(err, ErrUnknown) || !errors.Is(err, ErrNotMember) {
				t.Errorf("submit: %v", err)
			}
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		c.stopAll()
	})
}
