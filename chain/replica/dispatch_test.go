package replica

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// What is submitted while a block lacks its certificate goes into one block, when
// that is there, and when it stays away no later than certHold.
func TestNextBlockWaitsForTheCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gate atomic.Pointer[chan struct{}] // no cosignature arrives until it is closed
		hold := func() (release func()) {
			held := make(chan struct{})
			gate.Store(&held)
			return func() { close(held) }
		}
		hold()()
		c := newCluster(t, 3, func(o *Options) {
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					if kind == rpcCosign {
						<-*gate.Load()
					}
					return honest(ctx, from, kind, body)
				}
			}
		})
		c.startAll()
		c.load(2)
		time.Sleep(time.Second)
		r := c.leading()
		height := func() uint64 { return r.book.Head().Header.Height }
		executed := func(h uint64) {
			for range 100 {
				if height() == h {
					return
				}
				time.Sleep(time.Millisecond)
			}
			t.Errorf("height %d, not %d", height(), h)
		}
		var receipts [4]*chain.Receipt
		var submitted sync.WaitGroup
		submit := func(i int) {
			submitted.Go(func() { receipts[i] = mustSubmit(t, r, put(t, "alice", "k", []byte{byte(i + 1)}, nil), nil) })
			synctest.Wait()
		}

		release := hold()
		first := height() + 1
		submit(0)
		executed(first)
		submit(1)
		time.Sleep(certHold / 2)
		submit(2)
		if height() != first {
			t.Errorf("a block of one transaction was cut while the one before had no certificate")
		}
		release()
		executed(first + 1)
		submitted.Wait()
		if a, b := receipts[1].Result.Height, receipts[2].Result.Height; a != first+1 || b != first+1 {
			t.Errorf("what had gathered came into the blocks %d and %d, not %d", a, b, first+1)
		}

		release = hold()
		submit(0)
		executed(first + 2)
		submit(3)
		executed(first + 3)
		release()
		submitted.Wait()
		c.stopAll()
	})
}
