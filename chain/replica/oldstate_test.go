package replica

import (
	"os"
	"path/filepath"
	"testing"
)

// The state of a member lost what was written last, as when its journal is cut. Its
// blocks, of which it may have the only copy, are not cut off with it: the state is made
// again from them, though the Raft log does not reach back so far.
func TestBlocksOutliveALostJournal(t *testing.T) {
	c := newCluster(t, 1, compacting)
	r := c.start("h0")
	older := filepath.Join(t.TempDir(), "state")
	copyDir(t, older, filepath.Join(c.dir, "h0", "state"))
	c.load(groupSteps + 20)
	height := r.book.Head().Header.Height
	c.stop("h0")
	dir := filepath.Join(c.dir, "h0", "state")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	copyDir(t, dir, older)
	if _, err := Verify(t.Context(), VerifyOptions{Dir: filepath.Join(c.dir, "h0"), Founding: c.consortium}); !isDamage(err) {
		t.Errorf("verify: %v", err)
	}
	r = c.start("h0")
	if got := r.book.Head().Header.Height; got < height { // as soon as it is open
		t.Errorf("height %d, was %d", got, height)
	}
	c.stopAll()
}

// A crash leaves at most groupSteps blocks without their state, however many wait.
func TestGroupHasAnEnd(t *testing.T) {
	b := &book{queue: make(chan *step, 2*groupSteps)}
	for range groupSteps + 10 {
		b.queue <- &step{config: []byte{1}}
	}
	close(b.queue)
	for _, want := range []int{groupSteps, 10} {
		if g, more := b.collect(); len(g.steps) != want || more != (want == groupSteps) {
			t.Errorf("%d steps, %v, want %d", len(g.steps), more, want)
		}
	}
}

// A directory of an older build has a state of another database.
func TestStateOfAnOlderBuildIsMadeAgain(t *testing.T) {
	c := newCluster(t, 1, nil)
	r := c.start("h0")
	c.load(5)
	before := r.book.Head().Header
	c.stop("h0")
	dir := filepath.Join(c.dir, "h0", "state")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"MANIFEST", "KEYREGISTRY", "000001.sst", "00001.mem", "000001.vlog", "DISCARD", "LOCK"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("of another database"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Verify(t.Context(), VerifyOptions{Dir: filepath.Join(c.dir, "h0"), Founding: c.consortium}); !isDamage(err) {
		t.Errorf("verify: %v", err)
	}
	r = c.start("h0")
	if got := r.book.Head().Header; got.Height < before.Height {
		t.Errorf("height %d, was %d", got.Height, before.Height)
	}
	c.stopAll()
}
