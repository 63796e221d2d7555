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
