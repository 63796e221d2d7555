package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// answersLate gives a member's answers to these requests only when its time has come, and
// makes them as short as they may be.
func answersLate(member string, lying *atomic.Bool, takes time.Duration, kinds ...byte) func(*Options) {
	return func(o *Options) {
		if o.Member != member {
			return
		}
		o.wrapHandler = func(honest rpcHandler) rpcHandler {
			return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
				answer, err := honest(ctx, from, kind, body)
				for _, k := range kinds {
					if kind != k || !lying.Load() {
						continue
					}
					select {
					case <-time.After(takes):
					case <-ctx.Done():
					}
					switch a := answer.(type) {
					case []sentBlock:
						answer = a[:min(1, len(a))]
					case [][]byte:
						answer = a[:min(1, len(a))]
					}
				}
				return answer, err
			}
		}
	}
}

// The member that is asked first sends one header or block at a time, as slowly as it may,
// or just so soon that it does not seem slow. Whoever catches up asks another the next time.
func TestAttackLittleAtATimeDoesNotHoldUpCatchingUp(t *testing.T) {
	for name, tc := range map[string]struct {
		takes, most time.Duration
		kind        byte
	}{
		"headers, slowly":      {fetchTimeout - time.Second, 3 * fetchTimeout, rpcHeaders},
		"blocks, slowly":       {fetchTimeout - time.Second, 3 * fetchTimeout, rpcBlocks},
		"headers, soon enough": {slowAnswer*time.Second - 50*time.Millisecond, 6 * time.Second, rpcHeaders},
		"blocks, soon enough":  {slowAnswer*time.Second - 50*time.Millisecond, 6 * time.Second, rpcBlocks},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lying atomic.Bool
				c := newCluster(t, 3, func(o *Options) {
					compacting(o)
					answersLate("h0", &lying, tc.takes, tc.kind)(o)
				})
				c.startAll()
				c.compacts(30)
				snap := c.nodes["h1"].snaps.newest()
				r, stop := c.emptied("h2")
				lying.Store(true)
				begun := time.Now()
				if err := r.catchUp(within(t, time.Hour), snap); err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took < tc.takes || took > tc.most {
					t.Errorf("took %v", took)
				}
				lying.Store(false)
				stop()
				c.stopAll()
			})
		})
	}
}

// All members send headers a few at a time, as from a slow disk. The one that sends the
// least, as slowly as it may, is not asked again and again in its turn.
func TestAttackSlowestAmongSlowMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		asked := map[string]int{} // requests come one after the other
		c := newCluster(t, 4, func(o *Options) {
			compacting(o)
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					answer, err := honest(ctx, from, kind, body)
					headers, ok := answer.([][]byte)
					if kind != rpcHeaders || !ok || !lying.Load() {
						return answer, err
					}
					asked[o.Member]++
					n, takes := 3, time.Second
					if o.Member == "h0" {
						n, takes = 1, fetchTimeout-time.Second
					}
					time.Sleep(takes)
					return headers[:min(n, len(headers))], err
				}
			}
		})
		c.startAll()
		c.compacts(30)
		snap := c.nodes["h1"].snaps.newest()
		r, stop := c.emptied("h3")
		lying.Store(true)
		if err := r.catchUp(within(t, time.Hour), snap); err != nil {
			t.Error(err)
		}
		lying.Store(false)
		if asked["h0"] != 1 || asked["h1"]+asked["h2"] < 8 {
			t.Errorf("asked %v", asked)
		}
		stop()
		c.stopAll()
	})
}

// The member that comes first in the consortium file answers no request for headers.
// What the certificates of the others say is found out all the same.
func TestAttackSilenceDoesNotHideAnotherHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		c := newCluster(t, 3, answersLate("h0", &lying, time.Hour, rpcHeaders))
		c.startAll()
		c.load(6)
		c.sameHead()
		r, stop := c.emptied("h2")
		forks(t, r, "h0", 3, 1)
		lying.Store(true)
		if _, other := r.certified(r.ctx); !other {
			t.Error("a fork is taken for a history that is certified")
		}
		lying.Store(false)
		stop()
		c.stopAll()
	})
}

// Whoever asks for headers gets one at least, and no more than can be read in time.
func TestHeadersAreReadForAWhileOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		r := c.start("h0")
		c.load(5)
		ended, end := context.WithCancel(context.Background())
		end()
		for _, tc := range []struct {
			ctx      context.Context
			from, to uint64
			want     int
		}{{ended, 1, 5, 1}, {context.Background(), 1, 5, 5}, {context.Background(), 0, 2, 2}, {context.Background(), 4, 3, 0}} {
			raw, err := r.serveHeaders(tc.ctx, blocksRequest{From: tc.from, To: tc.to})
			if err != nil || len(raw) != tc.want {
				t.Errorf("from %d to %d: %d headers, %v", tc.from, tc.to, len(raw), err)
			}
			for i, b := range raw {
				if h, err := chain.ParseHeader(b); err != nil || h.Height != tc.to-uint64(i) {
					t.Errorf("from %d to %d: header %d: %v, %v", tc.from, tc.to, i, h, err)
				}
			}
		}
		c.stopAll()
	})
}

// In many blocks a sidecar is purged. Whoever catches up does not ask for them: neither
// members that answer nothing, nor that most are away, holds it up. What a block on the
// way purges is not missing at its end.
func TestPurgedSidecarsDoNotHoldUpCatchingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		var alone atomic.Int32 // requests for one block
		c := newCluster(t, 7, func(o *Options) {
			compacting(o)
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					var req blocksRequest
					if kind == rpcBlocks && chain.Unmarshal(body, &req) == nil && req.From == req.To {
						alone.Add(1)
					}
					return honest(ctx, from, kind, body)
				}
			}
			answersLate("h0", &lying, time.Hour, rpcBlocks)(o)
		})
		c.startAll()
		var gone []uint64
		for range 6 {
			leaf := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), canary), canary).Index
			mustSubmit(t, c.nodes["h0"], sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, leaf), nil), nil)
			gone = append(gone, leaf)
		}
		c.compacts(20)
		snap := c.nodes["h1"].snaps.newest()
		r, stop := c.emptied("h6")
		for _, name := range []string{"h2", "h3", "h4", "h5"} {
			c.stop(name)
		}
		lying.Store(true)
		begun := time.Now()
		if err := r.catchUp(within(t, time.Hour), snap); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took < fetchTimeout || took > 2*fetchTimeout { // for the blocks
			t.Errorf("took %v", took)
		}
		for _, leaf := range gone {
			if got, err := r.Sidecar(leaf); !errors.Is(err, ErrPurged) {
				t.Errorf("purged sidecar %d: %q, %v", leaf, got, err)
			}
		}
		if left, err := r.fetchMissing(within(t, time.Hour)); left != 0 || err != nil || alone.Load() != 0 {
			t.Errorf("%d are missing, %v, and one block was asked for %d times", left, err, alone.Load())
		}
		lying.Store(false)
		stop()
		c.stopAll()
	})
}

// A member fails on the way, and there is no other with the headers that come next. When
// there is one again, the way goes on where it stands: what was known is not asked again.
func TestWayGoesOnWhereItStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		asked := map[uint64]int{} // answers by height; requests come one after the other
		fail := 4                 // requests fail after as many answers
		c := newCluster(t, 3, func(o *Options) {
			compacting(o)
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					answer, err := honest(ctx, from, kind, body)
					headers, ok := answer.([][]byte)
					if kind != rpcHeaders || !ok || !lying.Load() {
						return answer, err
					}
					if n := len(asked); n >= 4 && fail > 0 {
						fail--
						return nil, errors.New("busy")
					}
					var req blocksRequest
					err = chain.Unmarshal(body, &req)
					asked[req.To]++
					return headers[:min(3, len(headers))], err
				}
			}
		})
		c.startAll()
		c.compacts(30)
		snap := c.nodes["h1"].snaps.newest()
		r, stop := c.emptied("h2")
		lying.Store(true)
		if err := r.catchUp(within(t, time.Hour), snap); err != nil {
			t.Error(err)
		}
		lying.Store(false)
		if fail != 0 || len(asked) < 8 {
			t.Errorf("%d requests did not fail, and %d were answered", fail, len(asked))
		}
		for height, times := range asked {
			if times != 1 {
				t.Errorf("headers from %d down were asked for %d times", height, times)
			}
		}
		stop()
		c.stopAll()
	})
}
