package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// setFull makes the disk take nothing more, with this error; nil makes room.
func (d *simDisk) setFull(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = err
}

// fillDisks makes the disks of some members take nothing for a while, and opens
// those again that halted because of it.
func (s *simulation) fillDisks() {
	cause := error(syscall.ENOSPC)
	if s.r.IntN(2) == 0 {
		cause = syscall.EIO
	}
	var full []string
	for _, name := range s.names() {
		if s.r.IntN(3) > 0 {
			full = append(full, name)
			s.disk(name).setFull(cause)
		}
	}
	time.Sleep(time.Duration(s.r.IntN(4000)) * time.Millisecond)
	for _, name := range full {
		s.disk(name).setFull(nil)
	}
	time.Sleep(100 * time.Millisecond) // for what was under way to fail
	for _, name := range full {
		s.reopenHalted(name)
	}
}

// isDiskFault reports whether err is what fillDisks causes.
func isDiskFault(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO)
}

func (s *simulation) reopenHalted(name string) {
	s.mu.Lock()
	node := s.nodes[name]
	if node == nil || node.Err() == nil {
		s.mu.Unlock()
		return
	}
	delete(s.nodes, name)
	s.starting[name] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.starting, name)
	}()
	if err := node.Err(); !isDiskFault(err) {
		s.t.Errorf("%s stopped for another reason: %v", name, err)
	}
	_ = node.Close() // says again that it could not write
	s.notThrownAway(name)
	s.halts++
	s.restart(name, false)
}

// notThrownAway checks that a member keeps what it has.
func (c *cluster) notThrownAway(name string) {
	c.t.Helper()
	for _, file := range []string{repairMark, "damaged"} {
		if _, err := os.Lstat(filepath.Join(c.dir, name, file)); !errors.Is(err, fs.ErrNotExist) {
			c.t.Errorf("%s: %s is there: %v", name, file, err)
		}
	}
}

// Disks are full or fail to write, also those of a majority at once, while members
// crash. Who halts because of it keeps what it has and goes on when it is opened
// again; nothing acknowledged is lost.
func TestFullDisksInSchedules(t *testing.T) {
	halts := 0
	for i := range max(3, seeds(t)/40) {
		seed := *simFirst + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				halts += simulate(t, seed, faultFull, faultFull, faultFull, faultCrash, faultPower, faultTransfer).halts
			})
		})
	}
	if t.Logf("%d members halted", halts); halts == 0 {
		t.Error("no disk was full when it mattered")
	}
}

// The disks of all members are full at the same time: who has to write halts, and
// when there is room again they go on by themselves.
func TestFullDisksOfAllMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disks := map[string]*simDisk{}
		c := newCluster(t, 3, func(o *Options) {
			compacting(o)
			if disks[o.Member] == nil {
				disks[o.Member] = newSimDisk()
			}
			o.medium = disks[o.Member].medium()
		})
		c.startAll()
		c.load(20)
		before := c.sameHead()
		for _, d := range disks {
			d.setFull(syscall.ENOSPC)
		}
		for _, name := range []string{"h0", "h1", "h2"} {
			ctx := within(t, 5*time.Second)
			if _, err := c.nodes[name].Submit(ctx, put(t, "alice", "k", []byte("x"), nil), nil); err == nil {
				t.Errorf("%s acknowledged what no disk took", name)
			}
		}
		time.Sleep(time.Minute)
		halted := 0
		for name, r := range c.nodes {
			if err := r.Err(); errors.Is(err, ErrHalted) && errors.Is(err, syscall.ENOSPC) {
				halted++
			} else if err != nil {
				t.Errorf("%s stopped: %v", name, err)
			} // else it had nothing to write
			_ = r.Close() // says again that it could not write
			delete(c.nodes, name)
			c.notThrownAway(name)
		}
		if halted < 2 {
			t.Fatalf("%d members halted", halted)
		}
		for _, d := range disks {
			d.setFull(nil)
		}
		c.startAll()
		c.load(3)
		if after := c.sameHead(); after.Height < before.Height+3 {
			t.Errorf("height %d after %d", after.Height, before.Height)
		}
		for _, name := range []string{"h0", "h1", "h2"} {
			c.notThrownAway(name)
		}
		c.stopAll()
		for _, d := range disks {
			d.close()
		}
	})
}

// The power of all members fails right after an acknowledgement, before any of them
// has written the block: all come back at an earlier one, and execute the log again.
func TestPowerFailureRightAfterAnAcknowledgement(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			disks := map[string]*simDisk{}
			c := newCluster(t, 3, func(o *Options) {
				if disks[o.Member] == nil {
					disks[o.Member] = newSimDisk()
				}
				o.medium = disks[o.Member].medium()
			})
			c.startAll()
			c.load(5)
			c.sameHead()
			time.Sleep(3 * time.Second)
			rc := mustSubmit(t, c.nodes["h0"], put(t, "alice", "k", []byte("x"), nil), nil)
			r := rand.New(rand.NewPCG(seed, 1))
			for name, node := range c.nodes {
				c.net.unplug(name)
				if err := disks[name].fail(); err != nil {
					t.Fatal(err)
				}
				node.crash()
				if err := disks[name].restore(r); err != nil {
					t.Fatal(err)
				}
				delete(c.nodes, name)
			}
			c.startAll()
			for name, node := range c.nodes {
				err := node.Read(within(t, time.Minute), func(v *View) error {
					if v.Header().Size <= rc.Index {
						t.Errorf("%s answers without what was acknowledged", name)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
			c.sameHead()
			c.stopAll()
			for _, d := range disks {
				d.close()
			}
		})
	}
}
