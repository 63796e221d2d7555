package replica

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// departure is a cluster of four, connected as in production, whose first member is to
// leave.
type departure struct {
	*cluster
	told    atomic.Uint64 // height of the certificate that the one who leaves was told of
	said    messages      // of the one who leaves
	leads   atomic.Bool   // leadership is not handed over
	leaving atomic.Bool
}

// departing returns the cluster when leader leads. lost says which requests do not arrive
// from then on.
func departing(t *testing.T, leader string, lost func(from, to string, kind byte) bool) *departure {
	d := &departure{said: messages{text: "this node is no longer a member of the consortium: it takes part in nothing more"}}
	var running sync.Map // by name
	d.cluster = newCluster(t, 4, func(o *Options) {
		self := o.Member
		o.Network = knowing{o.Network, func() *chain.Consortium {
			if r, ok := running.Load(self); ok {
				return r.(*Replica).Consortium()
			}
			return d.consortium
		}}
		o.wrapHandler = func(honest rpcHandler) rpcHandler {
			return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
				if lost != nil && d.leaving.Load() && lost(from, self, kind) {
					return nil, errors.New("lost")
				}
				return honest(ctx, from, kind, body)
			}
		}
		o.wrapTransport = func(t raft.Transport) raft.Transport { return &clinging{t, &d.leads} }
		if self == "h0" {
			o.OnCertified = func(cp *chain.Checkpoint) { d.told.Store(cp.Height) }
			o.Log = slog.New(&d.said)
		}
	})
	d.startAll()
	for name, r := range d.nodes {
		running.Store(name, r)
	}
	d.load(2)
	d.sameHead()
	d.cluster.leads(leader)
	d.leaving.Store(true)
	return d
}

// clinging is a transport by which leadership is not handed over while leads is set.
type clinging struct {
	raft.Transport
	leads *atomic.Bool
}

func (c *clinging) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	if c.leads.Load() {
		return errors.New("lost")
	}
	return c.Transport.TimeoutNow(id, target, args, resp)
}

// leave returns the transaction by which the first member leaves.
func (d *departure) leave() *chain.Tx {
	_, tx := nextConsortium(d.t, d.consortium, d.consortium.Members[1:])
	return tx
}

// Who leaves is among those who certify the block by which it does: it gets their
// signatures, or the certificate, and who submitted the change through it the receipt.
func TestWhoLeavesGetsTheReceiptOfIt(t *testing.T) {
	signatures := func(_, to string, kind byte) bool { return to == "h0" && kind == rpcCosign }
	certificate := func(from, _ string, kind byte) bool { return from == "h0" && kind == rpcCheckpoint }
	for name, tc := range map[string]struct {
		leader string
		lost   func(from, to string, kind byte) bool
	}{
		"leader, no certificate":   {"h0", certificate},
		"follower, no certificate": {"h1", certificate},
		"leader, no signatures":    {"h0", signatures},
		"follower, no signatures":  {"h1", signatures},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := departing(t, tc.leader, tc.lost)
				before, r := d.consortium, d.nodes["h0"]
				begin := time.Now()
				rc, err := r.Submit(within(t, time.Minute), d.leave(), nil)
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
				if got := d.told.Load(); got != rc.Result.Height || r.Checkpoint().Height != got {
					t.Errorf("told of block %d, certified is %v", got, r.Checkpoint())
				}
				if n := d.said.n.Load(); n != 1 {
					t.Errorf("it says %d times that it left", n)
				}
				d.stopAll()
			})
		})
	}
}

// One who has left says so at once: of a block that came after, of which it gets no
// certificate, and of what is submitted and read through it. What it has, it shows.
func TestOneWhoLeftSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Uint64
		d := departing(t, "h1", func(from, _ string, kind byte) bool {
			if from == "h0" && kind == rpcCheckpoint {
				asked.Add(1)
			}
			return false
		})
		r, leave := d.nodes["h0"], d.leave()
		earlier, late := put(t, "alice", "k", []byte("v"), nil), put(t, "alice", "l", []byte("v"), nil)
		mustSubmit(t, r, earlier, nil)
		submitChange(t, r, d.consortium, leave)
		rc := mustSubmit(t, d.nodes["h1"], late, nil)
		time.Sleep(time.Second / 5) // it is told of the block with the next heartbeat
		if left := rc.Result.Height - 1; r.Checkpoint().Height != left || r.book.Head().Header.Height != left+1 {
			t.Fatalf("it is at block %d: the test tests nothing", r.book.Head().Header.Height)
		}
		asked.Store(0)
		begin, ctx := time.Now(), within(t, 5*time.Minute)
		if _, err := r.Submit(ctx, late, nil); !errors.Is(err, ErrNotMember) {
			t.Errorf("a transaction after it left: %v", err)
		}
		if err := r.ReadLocal(ctx, func(*View) error { return nil }); !errors.Is(err, ErrNotMember) {
			t.Errorf("its state, with a block after it left: %v", err)
		}
		other := put(t, "alice", "m", nil, nil)
		if _, err := r.Submit(ctx, other, nil); !errors.Is(err, ErrNotMember) || errors.Is(err, ErrUnknown) {
			t.Errorf("submit: %v", err)
		}
		if out, err := r.SubmitAll(ctx, []*chain.Tx{other}, nil); err != nil || !errors.Is(out[0].Err, ErrNotMember) || errors.Is(out[0].Err, ErrUnknown) {
			t.Errorf("submit of several: %v, %v", out, err)
		}
		if err := r.excluded(other); !errors.Is(err, ErrNotMember) || !errors.Is(err, ErrUnknown) {
			t.Errorf("one who waits for a transaction that does not come: %v", err)
		}
		if err := r.Read(ctx, func(*View) error { return nil }); !errors.Is(err, ErrNotMember) {
			t.Errorf("read: %v", err)
		}
		for _, tx := range []*chain.Tx{earlier, leave} {
			if rc, err := r.Submit(ctx, tx, nil); err != nil || rc.Result.Code != "" || r.excluded(tx) != nil {
				t.Errorf("what was on the chain before: %v", err)
			}
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if cp, err := r.fetchCheckpoint(ctx, "h1"); err == nil {
			t.Errorf("shown the certificate of block %d", cp.Height)
		}
		if time.Sleep(5 * time.Second); asked.Load() != 1 {
			t.Errorf("it goes on asking for certificates: %d times", asked.Load())
		}
		d.stopAll()
		if _, err := r.Submit(ctx, other, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("submit after it was closed: %v", err)
		}
		if err := r.Read(ctx, func(*View) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("read after it was closed: %v", err)
		}
	})
}

// Who reads the state of one who left does not wait for Close, which waits for him.
func TestOneWhoLeftIsReadWhileItCloses(t *testing.T) {
	r := &Replica{opt: Options{Member: "h0"}}
	k := *testConsortium(t, 4, 0)
	k.Members = k.Members[1:]
	r.consortium.Store(&k)
	r.views.RLock()
	closed := make(chan struct{})
	go func() { r.views.Lock(); close(closed) }()
	for r.views.TryRLock() { // until Close waits
		r.views.RUnlock()
		runtime.Gosched()
	}
	if r.outside() {
		t.Error("it looks at a state that may be closed")
	}
	r.views.RUnlock()
	<-closed
}

// A leader that leaves proposes nothing more, for it would make no block, and the others
// go on without it as soon as it has handed leadership over.
func TestLeaderThatLeavesProposesNothingMore(t *testing.T) {
	for name, hindered := range map[string]bool{"handed over": false, "not handed over": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := departing(t, "h0", nil)
				d.leads.Store(hindered)
				submitChange(t, d.nodes["h0"], d.consortium, d.leave())
				h1, begin := d.nodes["h1"], time.Now()
				before := h1.book.Applied().Index
				if hindered {
					time.AfterFunc(10*time.Second, func() { d.leads.Store(false) })
				}
				mustSubmit(t, h1, put(t, "alice", "k", nil, nil), nil)
				if took := time.Since(begin); !hindered && took > time.Second || hindered && took < 10*time.Second {
					t.Errorf("it took %v", took)
				}
				if n := h1.book.Applied().Index - before; n > 12 {
					t.Errorf("%d entries for one block", n)
				}
				d.stopAll()
			})
		})
	}
}

// Who waits with a transaction that is not on the chain when the member leaves is told.
func TestSubmitEndsWhenTheMemberLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := departing(t, "h1", func(from, _ string, kind byte) bool { return from == "h0" && kind == rpcSubmit })
		r := d.nodes["h0"]
		one, all := make(chan error, 1), make(chan error, 1)
		ctx := within(t, time.Minute)
		go func() { _, err := r.Submit(ctx, put(t, "alice", "k", nil, nil), nil); one <- err }()
		go func() {
			out, err := r.SubmitAll(ctx, []*chain.Tx{put(t, "alice", "l", nil, nil)}, nil)
			all <- errors.Join(err, out[0].Err)
		}()
		time.Sleep(5 * time.Second)
		submitChange(t, d.nodes["h1"], d.consortium, d.leave())
		begin := time.Now()
		for _, ch := range []chan error{one, all} {
			if err := <-ch; !errors.Is(err, ErrUnknown) || !errors.Is(err, ErrNotMember) {
				t.Errorf("submit: %v", err)
			}
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		d.stopAll()
	})
}

// Who reads when the member leaves is told, whatever the read waits for.
func TestReadEndsWhenTheMemberLeaves(t *testing.T) {
	for name, lost := range map[string]func(from, to string, kind byte) bool{
		"the leader's answer":  func(from, _ string, kind byte) bool { return from == "h0" && kind == rpcBarrier },
		"the others' heads":    func(from, _ string, kind byte) bool { return from == "h0" && kind == rpcHeads },
		"a block that is next": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := departing(t, "h1", lost)
				r, told := d.nodes["h0"], make(chan error, 1)
				go func() {
					if ctx := within(t, 5*time.Minute); lost != nil {
						told <- r.Read(ctx, func(*View) error { return nil })
					} else {
						told <- r.reach(ctx, r.book.Head().Header.Height+9)
					}
				}()
				time.Sleep(5 * time.Second)
				submitChange(t, d.nodes["h1"], d.consortium, d.leave())
				begin := time.Now()
				if err := <-told; !errors.Is(err, ErrNotMember) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("read: %v", err)
				}
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				d.stopAll()
			})
		})
	}
}

// A block that is executed can be seen before it is known who certifies it. Who asks for
// its certificate in between is told all the same.
func TestOneWhoLeftIsToldOfABlockSeenEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := departing(t, "h1", nil)
		r := d.nodes["h0"]
		submitChange(t, r, d.consortium, d.leave())
		rc := mustSubmit(t, d.nodes["h1"], put(t, "alice", "k", nil, nil), nil)
		time.Sleep(time.Second)
		height := rc.Result.Height
		r.certs.mu.Lock()
		own := r.certs.recent[height]
		delete(r.certs.recent, height)
		r.certs.mu.Unlock()
		if own.consortium == nil {
			t.Fatal("it has not executed the block: the test tests nothing")
		}
		told := make(chan error, 1)
		ctx := within(t, time.Minute)
		go func() { _, err := r.WaitCertified(ctx, height); told <- err }()
		synctest.Wait()
		r.certs.mu.Lock()
		r.certs.recent[height] = own
		r.certs.mu.Unlock()
		r.news.broadcast() // as publish does after it
		if err := <-told; !errors.Is(err, ErrNotMember) {
			t.Errorf("told %v", err)
		}
		d.stopAll()
	})
}
