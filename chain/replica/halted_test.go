package replica

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// A member that halted signs nothing more and answers with no block, also when
// something was executed before it halted and waits for its signature.
func TestHaltedMemberSignsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(3)
		h := c.sameHead()
		r := c.nodes["h1"]
		time.Sleep(time.Second)
		if _, err := r.Block(1); err != nil {
			t.Fatal(err)
		}
		r.halt(errors.New("test"))
		next := h.TreeHead()
		next.Height, next.Size = next.Height+1, next.Size+1
		r.certs.executed(next, c.consortium, 99)
		time.Sleep(time.Second)
		if _, _, to := r.certs.claim(); to > h.Height {
			t.Errorf("signed block %d after it halted at %d", to, h.Height)
		}
		if _, err := r.Block(1); !errors.Is(err, ErrHalted) {
			t.Errorf("block: %v", err)
		}
		if _, err := r.Sidecar(0); !errors.Is(err, ErrHalted) {
			t.Errorf("sidecar: %v", err)
		}
		_ = r.Close() // says again why it halted
		delete(c.nodes, "h1")
		c.stopAll()
	})
}

// A member whose disk is nearly full takes no snapshot and fetches no blocks, however
// far the others go on; when there is room, it catches up.
func TestReadOnlyMemberFetchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Int64
		free.Store(1000)
		c := newCluster(t, 3, func(o *Options) {
			compacting(o)
			if o.Member == "h2" {
				o.MinFree, o.free = 100, func(string) (int64, error) { return free.Load(), nil }
			}
		})
		c.startAll()
		c.load(5)
		before := c.sameHead().Height
		free.Store(10)
		r := c.nodes["h2"]
		r.checkDisk()
		for range 4 {
			for range 15 {
				mustSubmit(t, c.nodes["h0"], put(t, "alice", "k", []byte("v"), nil), nil)
			}
			time.Sleep(10 * time.Second)
		}
		time.Sleep(time.Minute)
		if c.nodes["h0"].raftLog.log.First() <= r.raftLog.log.Last() {
			t.Fatal("the others still have the entries it lacks")
		}
		if after := r.book.Head().Header.Height; after != before {
			t.Errorf("wrote blocks %d to %d", before+1, after)
		}
		err := r.catchUp(within(t, time.Minute), c.nodes["h0"].snaps.newest())
		if after := r.book.Head().Header.Height; after != before || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("fetched blocks %d to %d: %v", before+1, after, err)
		}
		free.Store(1000)
		r.checkDisk()
		c.load(2)
		c.sameHead()
		c.stopAll()
	})
}

// lyingLeader answers forwarded transactions with what answer makes of their number,
// after it has proposed them.
func lyingLeader(answer func(n int) (any, error)) func(*Options) {
	return func(o *Options) {
		o.wrapHandler = func(honest rpcHandler) rpcHandler {
			return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
				if kind != rpcSubmit {
					return honest(ctx, from, kind, body)
				}
				var req submitRequest
				if err := chain.Unmarshal(body, &req); err != nil {
					return nil, err
				}
				if _, err := honest(ctx, from, kind, body); err != nil {
					return nil, err
				}
				return answer(len(req.Txs))
			}
		}
	}
}

// follower returns a member that does not lead, when there is a leader.
func (c *cluster) follower() *Replica {
	c.t.Helper()
	for range 600 {
		for _, r := range c.nodes {
			if leader, self := r.leader(); leader != "" && !self {
				return r
			}
		}
		time.Sleep(100 * time.Millisecond) // virtual
	}
	c.t.Fatal("no leader")
	return nil
}

// A leader proposes a transaction and says that its signature is wrong. The member
// that forwarded it verifies it itself.
func TestAttackLeaderSaysTheSignatureIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, lyingLeader(func(n int) (any, error) {
			codes := make([]byte, n)
			for i := range codes {
				codes[i] = forwardSignature
			}
			return codes, nil
		}))
		c.startAll()
		mustSubmit(t, c.follower(), put(t, "alice", "k", []byte("v"), nil), nil)
		c.stopAll()
	})
}

// A leader proposes transactions and says that its disk is full: nobody is told that
// nothing happened.
func TestAttackLeaderSaysItIsReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, lyingLeader(func(int) (any, error) { return nil, ErrReadOnly }))
		c.startAll()
		r := c.follower()
		tx := put(t, "alice", "k", []byte("v"), nil)
		it := &item{tx: tx, done: make(chan error, 1)}
		leader, _ := r.leader()
		r.forward(leader, []*item{it})
		_, err := r.await(within(t, time.Minute), tx, &waiter{ch: make(chan executed)}, it, time.Now())
		if !errors.Is(err, errRetry) || !errors.Is(err, ErrReadOnly) || !errors.Is(err, ErrUnknown) {
			t.Errorf("the word of a leader is taken for certain: %v", err)
		}
		c.stopAll()
	})
}
