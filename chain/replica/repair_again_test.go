package replica

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// The only member is repaired a second time. What the first repair moved aside and left
// there is not taken for the newer blocks.
func TestSecondRepairOfTheOnlyCopyKeepsWhatCameSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, compacting)
		c.startAll()
		for i := range 2 {
			side := []byte{'s', 'e', 'a', 'l', 'e', 'd', byte(i)}
			rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), side), side)
			c.load(20)
			time.Sleep(10 * time.Second)
			before := c.sameHead()
			c.stopAll()
			if err := os.RemoveAll(filepath.Join(c.dir, "h0", "state")); err != nil {
				t.Fatal(err)
			}
			c.net = newSimNet(time.Millisecond)
			r := c.start("h0")
			if after := c.sameHead(); after.Height < before.Height {
				t.Errorf("height %d after repair %d, was %d", after.Height, i+1, before.Height)
			}
			if got, err := r.Sidecar(rc.Index); err != nil || !bytes.Equal(got, side) {
				t.Errorf("sidecar after repair %d: %q, %v", i+1, got, err)
			}
		}
		c.stopAll()
		c.repaired("h0")
	})
}

// The only member, without its log and its state, is killed when a repair has ended. Its
// blocks are on disk: what the repair had moved aside is not looked at any more.
func TestEndOfARepairHasEverythingOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		c.startAll()
		side := []byte("sealed")
		rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), side), side)
		c.load(20)
		before := c.sameHead()
		c.stopAll()
		dir := filepath.Join(c.dir, "h0")
		for _, lost := range []string{"raft", "state"} {
			if err := os.RemoveAll(filepath.Join(dir, lost)); err != nil {
				t.Fatal(err)
			}
		}
		killed := filepath.Join(tempDir(t), "h0")
		ends := func(of string) error {
			if p, err := readRepair(dir); of == dir && err == nil && p == nil && isThere(dir, "damaged") && !isThere(killed, "") {
				copyDir(t, killed, dir)
			}
			return nil
		}
		c.net = newSimNet(time.Millisecond)
		opt := c.options("h0")
		opt.medium.syncDir = ends
		r, err := Open(within(t, time.Minute), opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if p, err := readRepair(dir); err != nil || p != nil || !isThere(killed, "damaged") {
			t.Fatalf("not killed at the end of the repair: %+v, %v", p, err)
		}
		c.dir, c.net = filepath.Dir(killed), newSimNet(time.Millisecond)
		r = c.start("h0")
		if after := r.book.Head().Header; after.Height < before.Height {
			t.Errorf("height %d, was %d", after.Height, before.Height)
		}
		if got, err := r.Sidecar(rc.Index); err != nil || !bytes.Equal(got, side) {
			t.Errorf("sidecar: %q, %v", got, err)
		}
		c.stopAll()
		c.repaired("h0")
	})
}

func isThere(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// A member learns while it is repaired that it went another way than the others. The end
// of the repair does not take that for done.
func TestHaltDuringARepairIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(10)
		before := c.sameHead()
		c.stop("h0")
		dir := filepath.Join(c.dir, "h0")
		if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
			t.Fatal(err)
		}
		opt := c.options("h0")
		opt.opened = func(b *book) { b.onFail(&astrayError{errors.New("test")}) } // halts it
		r, err := Open(within(t, time.Minute), opt)
		if err == nil {
			_ = r.Close()
		}
		if !errors.Is(err, ErrHalted) {
			t.Errorf("opened: %v", err)
		}
		if p, err := readRepair(dir); err != nil || p == nil || !p.history || !p.begun {
			t.Errorf("repair %+v, %v", p, err)
		}
		c.start("h0")
		if after := c.sameHead(); after.Height < before.Height {
			t.Errorf("height %d, was %d", after.Height, before.Height)
		}
		c.stopAll()
		c.repaired("h0")
	})
}

// A member has blocks of another history, as from the backup of another chain of the same
// members, and a certified snapshot that tells. It throws the blocks away, and the log
// that led to them, also if damage was found first: blocks that are good otherwise would
// be executed again, and again be others than the certified ones.
func TestBlocksOfAnotherHistoryAreMadeAgain(t *testing.T) {
	for _, tc := range []struct {
		blocks  int
		damaged bool
	}{{30, false}, {30, true}, {5, false}} { // the snapshot is between
		synctest.Test(t, func(t *testing.T) {
			other := newCluster(t, 3, nil)
			other.startAll()
			other.load(tc.blocks)
			other.sameHead()
			other.stopAll()
			c := compacted(t, 3, 20, 3)
			before := c.sameHead()
			c.stop("h0")
			dir, theirs := filepath.Join(c.dir, "h0"), filepath.Join(other.dir, "h0")
			for _, name := range append([]string{"raft"}, chainDirs...) {
				if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				if name != "state" || !tc.damaged {
					copyDir(t, filepath.Join(dir, name), filepath.Join(theirs, name))
				}
			}
			r, err := Open(within(t, time.Minute), c.options("h0"))
			if err == nil {
				_ = r.Close()
			}
			if !isAstray(err) {
				t.Errorf("%+v: opened with other blocks: %v", tc, err)
			}
			if p, err := readRepair(dir); err != nil || p == nil || !p.history {
				t.Errorf("%+v: repair %+v, %v", tc, p, err)
			}
			c.start("h0")
			if after := c.sameHead(); after.Height < before.Height {
				t.Errorf("%+v: height %d, was %d", tc, after.Height, before.Height)
			}
			c.stopAll()
			c.repaired("h0")
		})
	}
}

// A member that is told to stop while it fetches the blocks up to a snapshot has nothing
// to repair: it goes on where it was.
func TestCatchingUpThatIsCutOffIsNoRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := compacted(t, 3, 10, 3)
		c.stop("h2")
		c.load(20)
		time.Sleep(10 * time.Second)
		raw, err := os.ReadFile(filepath.Join(c.dir, "h0", "snapshot"))
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(c.dir, "h2")
		if err := os.WriteFile(filepath.Join(dir, "snapshot"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		c.cutOff("h2")
		if p, err := readRepair(dir); err != nil || p != nil {
			t.Errorf("repair %+v, %v", p, err)
		}
		c.start("h2")
		c.sameHead()
		c.stopAll()
	})
}

// The only member has lost blocks that its snapshot covers. Nobody has them, and it says
// so when it is told to wait no longer; whoever finds them can put them back.
func TestOnlyMemberWithoutBlocksGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := compacted(t, 1, 20, 3)
		before := c.sameHead()
		var who turns
		r, stop := c.emptied("h0")
		fetched := r.fetchSome(within(t, time.Minute), &who, 1, 1)
		_, asked := r.hashesBefore(within(t, time.Minute), &who, 1, chain.Hash{1}, 0)
		stop()
		if fetched == nil || asked == nil {
			t.Fatalf("nobody has blocks, %v, or headers, %v", fetched, asked) // and so on without end
		}
		dir, found := filepath.Join(c.dir, "h0"), tempDir(t)
		copyDir(t, filepath.Join(found, "blocks"), filepath.Join(dir, "blocks"))
		if err := os.RemoveAll(filepath.Join(dir, "blocks")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.openAlone("h0"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("opened without its blocks: %v", err)
		}
		copyDir(t, filepath.Join(dir, "damaged", "blocks"), filepath.Join(found, "blocks"))
		c.net = newSimNet(time.Millisecond)
		c.start("h0")
		if after := c.sameHead(); after.Height < before.Height {
			t.Errorf("height %d, was %d", after.Height, before.Height)
		}
		c.stopAll()
		c.repaired("h0")
	})
}

// A member has lost its blocks and its state, and not its sidecars: that is damage as
// any other, and the sidecars are used.
func TestSidecarsWithoutAStateAreDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		side := []byte("sealed")
		rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), side), side)
		c.load(5)
		c.sameHead()
		c.stop("h1")
		for _, lost := range []string{"state", "blocks"} {
			if err := os.RemoveAll(filepath.Join(c.dir, "h1", lost)); err != nil {
				t.Fatal(err)
			}
		}
		r := c.start("h1")
		c.sameHead()
		hasSidecar(t, r, rc.Index, side)
		c.stopAll()
		c.repaired("h1")
	})
}
