package replica

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// damagedFile does something to one store of a member that is stopped, and sees it come
// to what the others have, with everything in order on its disk.
func damagedFile(t *testing.T, damage func(own, earlier string) error) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, compacting)
		c.startAll()
		c.load(15)
		time.Sleep(5 * time.Second)
		c.sameHead()
		c.stop("h1")
		own, earlier := filepath.Join(c.dir, "h1"), filepath.Join(tempDir(t), "h1")
		copyDir(t, earlier, own)
		c.start("h1")
		side := []byte("sealed index")
		rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "s", []byte("x"), side), side)
		c.load(20)
		time.Sleep(5 * time.Second)
		c.load(3)
		head := c.getsBack("h1", rc.Index, side, func() error { return damage(own, earlier) })
		c.stopAll()
		if rep, err := c.verify("h1"); err != nil || rep.Head.Hash() != head.Hash() {
			t.Errorf("afterwards: %+v, %v", rep, err)
		}
	})
}

// Of whatever store the files of one member lose their end, half or everything that is
// in them, it gets that back from the others. For the files of the state, which need a
// process of their own, see TestNoBitFlipIsSilent.
func TestTruncatedFilesAreRestored(t *testing.T) {
	parts := []int64{2}
	if !testing.Short() {
		parts = []int64{1, 2, 100}
	}
	for _, files := range []string{"blocks/*", "sidecars/*", "raft/*", "vote", "signed", "snapshot"} {
		for _, part := range parts { // that stays: none, a half, all but a hundredth
			t.Run(files, func(t *testing.T) {
				cut := 0
				damagedFile(t, func(own, _ string) error {
					paths, err := filepath.Glob(filepath.Join(own, files))
					for _, path := range paths {
						info, serr := os.Stat(path)
						if serr != nil {
							return serr
						}
						cut++
						err = errors.Join(err, os.Truncate(path, info.Size()-(info.Size()+part-1)/part))
					}
					return err
				})
				if cut == 0 {
					t.Error("no such file")
				}
			})
		}
	}
}

// One store of a member, or all of them, come from a copy that was made earlier: what
// does not fit the others is noticed, and it gets what is newer from the other members.
func TestOldFilesAreRestored(t *testing.T) {
	for _, name := range []string{"state", "blocks", "sidecars", "raft", "vote", "signed", "snapshot", ""} {
		t.Run("old "+name, func(t *testing.T) {
			damagedFile(t, func(own, earlier string) error {
				from, to := filepath.Join(earlier, name), filepath.Join(own, name)
				if err := os.RemoveAll(to); err != nil {
					return err
				}
				return os.Rename(from, to)
			})
		})
	}
}
