package replica

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The operator of one member has given it a consortium file that is endorsed and not in
// force yet. While it leads, it does not ask the others to take in who is no member.
func TestLeaderGoesByTheChainAndNotByAFileThatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *cluster
		c = newCluster(t, 4, func(o *Options) {
			if o.Member == "h0" {
				o.Known, _ = nextConsortium(t, c.consortium, append(slices.Clone(c.consortium.Members), testMember("h4")))
			}
		})
		c.startAll()
		time.Sleep(5 * time.Second)
		c.leads("h0")
		mustSubmit(t, c.nodes["h1"], put(t, "alice", "k", []byte("v"), nil), nil)
		if _, self := c.nodes["h0"].leader(); !self {
			t.Error("another leads: the test tests nothing")
		}
		if got := c.nodes["h1"].Status().Refused; got != 0 {
			t.Errorf("refused %d messages", got)
		}
		c.stopAll()
	})
}

// The others hear a leader, and take nothing from it, as when their disks are full. It
// can be closed.
func TestLeaderWhoseEntriesNobodyTakesCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		c.load(2)
		c.leads("h0")
		for _, name := range []string{"h1", "h2", "h3"} {
			c.nodes[name].readOnly.Store(true)
		}
		told := make(chan error, 1)
		r := c.nodes["h0"]
		go func() {
			_, err := r.Submit(within(t, time.Hour), put(t, "alice", "k", []byte("v"), nil), nil)
			told <- err
		}()
		time.Sleep(time.Second)
		begun := time.Now()
		c.stop("h0")
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("took %v to close", took)
		}
		if err := <-told; err == nil {
			t.Error("submitted, though nobody took it")
		}
		c.stopAll()
	})
}

// Damage is found while the replica waits in Open for blocks of others: Open says so.
func TestDamageWhileOpenWaitsForBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, compacting)
		c.startAll()
		c.compacts(40)
		if c.nodes["h3"].snaps.newest() == nil {
			t.Fatal("no snapshot")
		}
		c.stop("h3")
		for _, name := range chainDirs {
			if err := os.RemoveAll(filepath.Join(c.dir, "h3", name)); err != nil {
				t.Fatal(err)
			}
		}
		for name := range c.nodes {
			c.net.setCut("h3", name, true)
		}
		opt := c.options("h3")
		damage := &DamageError{Path: opt.Dir, Reason: "a bit has rotted"}
		opt.opened = func(b *book) { time.AfterFunc(5*time.Second, func() { b.fail(damage) }) }
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		r, err := Open(ctx, opt)
		if !errors.Is(err, damage) {
			t.Errorf("opened: %v", err)
		}
		if r != nil {
			r.Close()
		}
		c.stopAll()
	})
}
