package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// load submits n transactions, spread over the members.
func (c *cluster) load(n int) {
	c.t.Helper()
	names := make([]string, 0, len(c.nodes))
	for name := range c.nodes {
		names = append(names, name)
	}
	for i := range n {
		mustSubmit(c.t, c.nodes[names[i%len(names)]], put(c.t, "alice", "k", binary.BigEndian.AppendUint32(nil, uint32(i+1)), nil), nil)
	}
}

// sameHead waits until every running member has executed and certified the same
// block.
func (c *cluster) sameHead() chain.Header {
	c.t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for {
		heads := map[chain.Hash]chain.Header{}
		certified := true
		for _, r := range c.nodes {
			if err := r.Err(); err != nil {
				c.t.Fatalf("%s: %v", r.opt.Member, err)
			}
			h := r.book.Head().Header
			heads[h.Hash()] = h
			cp := r.Checkpoint()
			certified = certified && (h.Height == 0 || cp != nil && cp.Height == h.Height)
		}
		if len(heads) == 1 && certified {
			for _, h := range heads {
				return h
			}
		}
		if time.Now().After(deadline) {
			for name, r := range c.nodes {
				leader, _ := r.leader()
				c.t.Logf("%s: height %d, raft %v %d/%d leader %q, certified %v, votes %v", name, r.book.Head().Header.Height,
					r.node().State(), r.node().AppliedIndex(), r.node().LastIndex(), leader, r.Checkpoint() != nil && r.Checkpoint().Height == r.book.Head().Header.Height, r.mayVote())
			}
			c.t.Fatal("members do not come to the same certified head")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(10)
		before := c.sameHead()
		c.stopAll()
		c.startAll()
		if after := c.sameHead(); after.Height != before.Height {
			t.Fatalf("height %d after restart, want %d", after.Height, before.Height)
		}
		c.load(5)
		c.sameHead()
		c.stopAll()
	})
}

func compacting(o *Options) {
	o.SnapshotEntries, o.TrailingEntries, o.snapshotInterval = 8, 4, 2*time.Second
}

// compacted returns a cluster of n members that compacted their logs between this
// many blocks and some more.
func compacted(t *testing.T, n, blocks, more int) *cluster {
	t.Helper()
	c := newCluster(t, n, compacting)
	c.startAll()
	c.load(blocks)
	time.Sleep(10 * time.Second)
	c.load(more)
	c.sameHead()
	return c
}

// A member that was away while the log was compacted fetches the blocks from the
// others and executes them.
func TestMemberThatFellBehindCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, compacting)
		c.startAll()
		c.load(5)
		c.stop("h2")
		c.load(60)
		time.Sleep(10 * time.Second)
		c.load(5)
		r := c.nodes["h0"]
		if first := r.raftLog.log.First(); first <= 10 {
			t.Fatalf("log was not compacted: begins at %d", first)
		}
		c.start("h2")
		c.sameHead()
		c.stopAll()
		c.startAll()
		c.sameHead()
		c.stopAll()
	})
}

// getsBack stops a member, does something to its files and starts it again: it comes
// to what the others have, with the sidecar of a transaction, and goes on. It returns
// the head then.
func (c *cluster) getsBack(name string, index uint64, sidecar []byte, damage func() error) chain.Header {
	c.t.Helper()
	before := c.sameHead()
	c.stop(name)
	if err := damage(); err != nil {
		c.t.Fatal(err)
	}
	c.load(3)
	c.start(name)
	if after := c.sameHead(); after.Height < before.Height+3 {
		c.t.Fatalf("height %d, want at least %d", after.Height, before.Height+3)
	}
	got, err := c.nodes[name].Sidecar(index)
	if err != nil || !bytes.Equal(got, sidecar) {
		c.t.Fatalf("sidecar %q, %v", got, err)
	}
	c.load(3)
	return c.sameHead()
}

// Whatever one member loses of its directory, it gets back from the others.
func TestMissingFilesAreRestored(t *testing.T) {
	for _, name := range []string{"state", "blocks", "sidecars", "raft", "vote", "signed", "snapshot", ""} {
		t.Run("without "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, compacting)
				c.startAll()
				side := []byte("sealed index")
				rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), side), side)
				c.load(30)
				time.Sleep(5 * time.Second)
				c.load(3)
				c.getsBack("h1", rc.Index, side, func() error { return os.RemoveAll(filepath.Join(c.dir, "h1", name)) })
				c.stopAll()
			})
		})
	}
}

// A purged sidecar is gone on every member: from the sidecar log at once, from
// the Raft log when it is compacted.
func TestPurgedSidecarIsGoneEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, compacting)
		c.startAll()
		canary := []byte("canary-7f3a91-sealed-index-of-a-record")
		rc := mustSubmit(t, c.nodes["h1"], put(t, "bob", "s", []byte("x"), canary), canary)
		for name, r := range c.nodes {
			if err := r.waitExecuted(context.Background(), rc.Result.Height); err != nil {
				t.Fatal(err)
			}
			if got, err := r.Sidecar(rc.Index); err != nil || !bytes.Equal(got, canary) {
				t.Fatalf("%s: sidecar %q, %v", name, got, err)
			}
		}
		purge := sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, rc.Index), nil)
		mustSubmit(t, c.nodes["h2"], purge, nil)
		c.load(40)
		time.Sleep(10 * time.Second)
		c.load(20)
		time.Sleep(10 * time.Second)
		c.sameHead()
		for name, r := range c.nodes {
			if _, err := r.Sidecar(rc.Index); !errors.Is(err, ErrPurged) {
				t.Errorf("%s: sidecar after purge: %v", name, err)
			}
		}
		again, err := c.nodes["h0"].Receipt(context.Background(), rc.Index)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Verify(c.consortium); err != nil {
			t.Fatalf("receipt after purge: %v", err)
		}
		c.stopAll()
		grep(t, c.dir, canary)
	})
}

// grep fails if any file under dir contains b.
func grep(t *testing.T, dir string, b []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, b) {
			t.Errorf("%s still holds the purged bytes", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
