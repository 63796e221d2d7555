package node_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/devnet"
)

// TestNobodyTakesPartUnasked: a ceremony that a member opened waits for the
// operators, and goes on as each of them accepts it.
func TestNobodyTakesPartUnasked(t *testing.T) {
	inWorld(t, 4, func(o *devnet.Options) {
		o.WithoutKeys = true
		o.Node = func(c *node.Config) { c.AskCeremony = true }
	}, func(w *world) {
		if _, err := w.Node(0).Proposal(w.ctx); !errors.Is(err, ward.ErrNotFound) {
			t.Fatalf("before the first ceremony: %v", err)
		}
		windows := node.DefaultWindows
		windows[2] = devnet.Windows[2] // the one for complaints, which is waited for to its end
		if _, err := w.Node(0).OpenCeremony(w.ctx, windows); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute) // virtual; the join window is an hour
		p, err := w.Node(1).Proposal(w.ctx)
		if err != nil || p.Accepted || !p.Involved || p.Ceremony.State != keys.Running || p.Ceremony.Posts != 0 {
			t.Fatalf("nobody accepted: %+v, %+v, %v", p, p.Ceremony, err)
		}
		if err := w.Node(1).AcceptCeremony(w.ctx, chain.Hash{1}); !errors.Is(err, ward.ErrNotFound) {
			t.Fatalf("accepted a ceremony that there is not: %v", err)
		}
		for i := range 4 {
			if err := w.Node(i).AcceptCeremony(w.ctx, p.Hash); err != nil {
				t.Fatal(err)
			}
			if err := w.Node(i).AcceptCeremony(w.ctx, p.Hash); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Wait(w.ctx, func() bool { return w.Node(3).Ready() == nil && w.Node(3).Status().Ceremony == "completed" }); err != nil {
			t.Fatal(err)
		}
		if p, err = w.Node(2).Proposal(w.ctx); err != nil || !p.Accepted {
			t.Errorf("after it: %+v, %v", p, err)
		}
	})
}

// TestOneWhoDeclinesLeavesNoKeyHalfMade: the first keys are made by everybody or
// by nobody, and another ceremony can follow.
func TestOneWhoDeclinesLeavesNoKeyHalfMade(t *testing.T) {
	inWorld(t, 4, func(o *devnet.Options) {
		o.WithoutKeys = true
		o.Node = func(c *node.Config) { c.AskCeremony = true }
	}, func(w *world) {
		for number := range 2 {
			if _, err := w.Node(0).OpenCeremony(w.ctx, devnet.Windows); err != nil {
				t.Fatal(err)
			}
			p, err := w.Node(0).Proposal(w.ctx)
			if err != nil || p.Ceremony.Number != uint64(number+1) {
				t.Fatal(p, err)
			}
			for i := range 3 + number {
				// A member that has not executed the block yet knows of no such ceremony.
				if err := w.Wait(w.ctx, func() bool { q, err := w.Node(i).Proposal(w.ctx); return err == nil && q.Hash == p.Hash }); err != nil {
					t.Fatalf("member %d does not see ceremony %d: %v", i, number+1, err)
				}
				if err := w.Node(i).AcceptCeremony(w.ctx, p.Hash); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{"aborted", "completed"}[number]
			if err := w.Wait(w.ctx, func() bool { return w.Node(0).Status().Ceremony == want }); err != nil {
				t.Fatalf("ceremony %d is %s: %v", number+1, w.Node(0).Status().Ceremony, err)
			}
		}
	})
}
