package node_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/pre"
)

// TestNoFragmentBeforeTheAccessIsCertified lets Raft commit an access, and every
// member execute it, while no cosignature gets through. The leader, which needs
// nobody to know that it is current, must wait like the others.
func TestNoFragmentBeforeTheAccessIsCertified(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		g := w.grant(owner, reader.Name(), "lab")
		// The grant is active before the last member accepts it, and what that
		// one says would be a transaction beside ours.
		w.until("every member has accepted the grant", func() bool {
			state, err := owner.ShowGrant(w.ctx, g)
			return err == nil && len(state.Grant.Accepted) == w.Len()
		})
		key, err := pre.GenerateTransportKey()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name     string
			contract string
			method   string
			args     any
			release  func(ctx context.Context, i int, index uint64) error
		}{
			{"access", consent.Contract, consent.MethodAccess, accessArgs(t, g, id), func(ctx context.Context, i int, index uint64) error {
				_, err := w.Node(i).AnswerAccess(ctx, index)
				return err
			}},
			{"keys", keys.Contract, keys.MethodRequest, keys.RequestArgs{Inbox: true, Transport: key.Public()}, func(ctx context.Context, i int, index uint64) error {
				_, err := w.Node(i).PartialKey(ctx, index)
				return err
			}},
		} {
			w.quiet()
			leader := w.leader()
			index := w.Node(leader).Status().Size
			w.MuteLane(replica.LanePeer, true)
			submitted := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
				defer cancel()
				_, err := w.Node(leader).Submit(ctx, reader.tx(t, c.contract, c.method, c.args), nil)
				submitted <- err
			}()
			w.until("every member has executed it", func() bool {
				for i := range w.Len() {
					if s := w.Node(i).Status(); s.Size != index+1 || s.Certified >= s.Height {
						return false
					}
				}
				return true
			})
			for i := range w.Len() {
				ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
				if err := c.release(ctx, i, index); err == nil {
					t.Errorf("%s: %s answered before it was certified", c.name, w.Name(i))
				}
				cancel()
				if _, err := w.Node(i).SignHead(w.ctx, w.Node(i).Status().Height); !errors.Is(err, ward.ErrNotFound) {
					t.Errorf("%s: %s signs a block that is not certified: %v", c.name, w.Name(i), err)
				}
			}
			w.MuteLane(replica.LanePeer, false)
			if err := <-submitted; err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			for i := range w.Len() {
				if err := c.release(w.ctx, i, index); err != nil {
					t.Errorf("%s: %s does not answer though it is certified: %v", c.name, w.Name(i), err)
				}
			}
		}
	})
}

// raceInput and raceOutput are operations on one grant.
type raceInput string

const (
	doRevoke raceInput = "revoke"
	doAnswer raceInput = "answer"
	doAccess raceInput = "access"
)

type raceOutput string

const (
	granted raceOutput = "granted"
	revoked raceOutput = "revoked"
	neither raceOutput = "neither" // could not be asked, or says nothing about the grant
)

// raceModel is a grant as its owner thinks of it: it works until it is revoked.
var raceModel = porcupine.Model{
	Init: func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		ended := state.(bool)
		if input.(raceInput) == doRevoke {
			return true, true
		}
		switch output.(raceOutput) {
		case granted:
			return !ended, ended
		case revoked:
			return ended, ended
		}
		return true, ended
	},
}

// A race is one schedule of a revocation against accesses and answers.
type race struct {
	*world
	rnd *rand.Rand

	mu  sync.Mutex
	ops []porcupine.Operation
}

func (r *race) do(client int, in raceInput, op func() error) raceOutput {
	call := time.Now().UnixNano()
	err := op()
	out := granted
	switch {
	case errors.Is(err, consent.ErrRevoked):
		out = revoked
	case err != nil:
		out = neither
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: time.Now().UnixNano()})
	return out
}

var raceSchedules = flag.Int("schedules", 200, "schedules of a revocation against accesses to try; 1000 before a release")

// TestNoFragmentAfterTheRevocation races a revocation against accesses and
// members' answers in 200 schedules, a thousand with -schedules 1000, over a
// network that delays every message differently and cuts a member off now and
// then. Every history must be that of a grant which works until it is revoked,
// and never after.
func TestNoFragmentAfterTheRevocation(t *testing.T) {
	schedules := *raceSchedules
	if testing.Short() && schedules == 200 {
		schedules = 25
	}
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	latency := func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(rnd.IntN(3000)) * time.Microsecond
	}
	inWorld(t, 4, func(o *devnet.Options) { o.Latency = latency }, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		counts := map[raceOutput]int{}
		for s := range schedules {
			r := &race{world: w, rnd: rand.New(rand.NewPCG(seed, uint64(s)))}
			r.run(owner, reader, id)
			for _, op := range r.ops {
				if op.Input == doAnswer {
					counts[op.Output.(raceOutput)]++
				}
			}
			if porcupine.CheckOperationsTimeout(raceModel, r.ops, 10*time.Second) != porcupine.Ok {
				t.Fatalf("schedule %d: no grant behaves like this: %+v", s, r.ops)
			}
		}
		t.Logf("%d schedules, answers: %v", schedules, counts)
		if counts[granted] < schedules/2 || counts[revoked] < schedules/2 {
			t.Errorf("the schedules do not race: %v", counts)
		}
		w.until("no member holds a share any more", func() bool {
			for i := range w.Len() {
				if w.Node(i).Status().Shares != 0 {
					return false
				}
			}
			return true
		})
	})
}

// run is one schedule.
func (r *race) run(owner, reader *person, id record.ID) {
	g := r.grant(owner, reader.Name(), "lab")
	index := r.access(reader, g, id)
	n := r.Len()
	var wg sync.WaitGroup
	at := func(max int, op func()) {
		wait := time.Duration(r.rnd.IntN(max*1000)) * time.Microsecond
		wg.Go(func() {
			<-time.After(wait)
			op()
		})
	}
	if r.rnd.IntN(5) == 0 {
		cut, until := r.rnd.IntN(n), time.Duration(r.rnd.IntN(400))*time.Millisecond
		at(20, func() {
			r.Isolate(cut, true)
			<-time.After(until)
			r.Isolate(cut, false)
		})
	}
	revoke := owner.tx(r.t, consent.Contract, consent.MethodRevoke, consent.RevokeArgs{Grant: g})
	via := r.rnd.IntN(n)
	at(30, func() {
		r.do(0, doRevoke, func() error { return r.submit(via, revoke) })
	})
	for i := range n {
		client := i + 1
		pauses := [3]time.Duration{}
		for k := range pauses {
			pauses[k] = time.Duration(r.rnd.IntN(15000)) * time.Microsecond
		}
		at(30, func() {
			for _, p := range pauses {
				r.do(client, doAnswer, func() error {
					ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
					defer cancel()
					_, err := r.Node(i).AnswerAccess(ctx, index)
					return err
				})
				<-time.After(p)
			}
		})
	}
	again, through := reader.tx(r.t, consent.Contract, consent.MethodAccess, accessArgs(r.t, g, id)), r.rnd.IntN(n)
	at(30, func() {
		r.do(n+1, doAccess, func() error { return r.submit(through, again) })
	})
	wg.Wait()
	// And after all of it, from everybody.
	for i := range n {
		r.do(i+1, doAnswer, func() error {
			_, err := r.Node(i).AnswerAccess(r.ctx, index)
			return err
		})
	}
}

// quiet waits until everything that was executed is certified everywhere.
func (w *world) quiet() {
	w.t.Helper()
	w.until("nothing is under way", func() bool {
		first := w.Nodes(0)[0]
		cp, err := first.Checkpoint(w.ctx)
		if err != nil {
			return false
		}
		for i := range w.Len() {
			if n := w.Node(i); n != nil {
				if s := n.Status(); s.Height != cp.Height || s.Certified != cp.Height {
					return false
				}
			}
		}
		return true
	})
}
