package replica

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// When the record of a signature cannot be flushed, no signature is made.
func TestFailedFlushOfTheRecordSignsNothing(t *testing.T) {
	r := signer(t, t.TempDir(), watchedKey{testKey("h0"), func() { t.Error("signed") }})
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if seglog.Datasync(null) == nil {
		t.Skip("flushing the null device does not fail here")
	}
	r.signed.file.Close()
	r.signed.file, r.signed.medium = null, medium{}
	if out, err := r.signAll(jobs(t, head(5, 1))); err == nil || len(out) != 0 {
		t.Fatalf("%d signatures, %v", len(out), err)
	}
}

// A leader that hears and says nothing for seconds, while another is elected and
// writes, returns no old state to those who asked it meanwhile.
func TestPausedLeaderServesNoStaleRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(3)
		c.sameHead()
		for round := range 20 {
			old := ""
			for old == "" {
				for name, r := range c.nodes {
					if _, self := r.leader(); self {
						old = name
					}
				}
				time.Sleep(50 * time.Millisecond)
			}
			pause := func(cut bool) {
				for _, m := range c.consortium.Members {
					c.net.setCut(old, m.Name, cut && m.Name != old)
					c.net.setCut(m.Name, old, cut && m.Name != old)
				}
			}
			pause(true)
			want := uint64(0)
			for name, r := range c.nodes {
				if name != old {
					want = mustSubmit(t, r, put(t, "alice", "k", []byte{byte(round), 1}, nil), nil).Result.Height
					break
				}
			}
			got := make(chan uint64, 1)
			go func() {
				height := uint64(0)
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if err := c.nodes[old].Read(ctx, func(v *View) error { height = v.Header().Height; return nil }); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
				got <- height
			}()
			time.Sleep(time.Duration(round%4) * time.Second)
			pause(false)
			if height := <-got; height < want {
				t.Fatalf("round %d: read height %d after %d was acknowledged", round, height, want)
			}
		}
		c.stopAll()
	})
}

// What cannot be submitted is refused before anything is sent, and a transaction
// whose signature is wrong is told so and is not on the chain.
func TestSubmitRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(1)
		refused := map[chain.Hash]bool{}
		raw := append([]byte(nil), put(t, "alice", "k", []byte("v"), nil).Bytes()...)
		raw[len(raw)-1] ^= 1
		forged, err := chain.ParseTx(raw)
		if err != nil {
			t.Fatal(err)
		}
		refused[forged.ID()] = true
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, r := range c.nodes {
			if _, err := r.Submit(ctx, forged, nil); !errors.Is(err, ErrSignature) {
				t.Errorf("wrong signature: %v", err)
			}
			side := put(t, "alice", "k", nil, []byte("side"))
			refused[side.ID()] = true
			if _, err := r.Submit(ctx, side, []byte("other")); err == nil {
				t.Error("another sidecar: accepted")
			}
			other := *put(t, "alice", "k", nil, nil)
			refused[other.ID()] = true
			other.Chain = "other.ward"
			if _, err := r.Submit(ctx, &other, nil); err == nil {
				t.Error("another chain: accepted")
			}
		}
		// Not that nothing is added: the first transaction may have been sent a
		// second time when there was no leader yet, and come to lie in a block of
		// its own, as a duplicate.
		c.load(1)
		head := c.sameHead()
		for height := range head.Height {
			blk, _, err := c.nodes["h1"].book.block(height + 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, raw := range blk.Proposal.Txs {
				if tx, err := chain.ParseTx(raw); err != nil || refused[tx.ID()] {
					t.Errorf("block %d has a transaction that was refused: %v", height+1, err)
				}
			}
		}
		c.stopAll()
	})
}

// A halted member answers no one, stores nothing and opens only after a repair; a
// stranger is answered nothing; a nearly full disk makes a member read-only.
func TestHaltedAndReadOnlyMembersStoreNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Int64
		free.Store(1000)
		c := newCluster(t, 3, func(o *Options) {
			if o.Member == "h2" {
				o.MinFree, o.free = 100, func(string) (int64, error) { return free.Load(), nil }
			}
		})
		c.startAll()
		c.load(3)
		r := c.nodes["h2"]
		if _, err := r.handle(context.Background(), "h9", rpcStatus, nil); err == nil {
			t.Error("answered a stranger")
		}
		free.Store(10)
		r.checkDisk()
		if err := r.raftLog.check(nil); !errors.Is(err, ErrReadOnly) || !r.Status().ReadOnly {
			t.Errorf("nearly full disk: %v", err)
		}
		free.Store(1000)
		if r.checkDisk(); r.raftLog.check(nil) != nil {
			t.Error("still read-only when there is room")
		}
		r.halt(errors.New("test"))
		if _, err := r.handle(context.Background(), "h0", rpcStatus, nil); !errors.Is(err, ErrHalted) {
			t.Errorf("halted member answered: %v", err)
		}
		if err := r.raftLog.check(nil); !errors.Is(err, ErrHalted) {
			t.Errorf("halted member stores: %v", err)
		}
		c.stop("h2")
		if _, err := os.Stat(r.opt.Dir + "/" + repairMark); err != nil {
			t.Errorf("no mark for repair: %v", err)
		}
		c.start("h2")
		c.load(2)
		c.sameHead()
		c.stopAll()
	})
}
