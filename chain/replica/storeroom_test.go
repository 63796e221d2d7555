package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// diskWith is a file system on which so many bytes are free.
type diskWith struct {
	vfs.FS
	free uint64
}

func (d diskWith) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free}, nil
}

// A directory whose owner was killed, on a disk that has filled since: what the journal
// holds does not fit into tables. Pebble would try it thousands of times a second, for
// ever. It is not opened, nothing is written, and it is said how much room it takes. It
// can be read, and opened when there is room.
func TestOpeningAfterAKillOnAFullDiskFails(t *testing.T) {
	for _, rounds := range []int{1, 9} { // nine leave journals that are not needed any more
		disk := vfs.NewCrashableMem()
		s := mustOpenKV(t, "state", kvOptions{medium: medium{simulated: true, fs: disk}})
		want := map[string]string{}
		for round := range rounds {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
			var b *batch
			b, want = someBatch(want, round, 60)
			if err := s.commit(b); err != nil {
				t.Fatal(err)
			}
		}
		killed := disk.CrashClone(vfs.CrashCloneCfg{})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		var journals int64
		names, err := killed.List("state")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			info, err := killed.Stat("state/" + name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, ".log") {
				journals += info.Size()
			}
		}
		var writes atomic.Int64
		open := func(free uint64, readOnly bool) (*kv, error) {
			fs := errorfs.Wrap(killed, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpLock {
					writes.Add(1)
				}
				return nil
			}))
			return openKV("state", kvOptions{medium: medium{simulated: true, fs: diskWith{fs, free}}, readOnly: readOnly})
		}
		_, err = open(4096, false)
		if !errors.Is(err, ErrReadOnly) || repairable(err) || writes.Load() != 0 {
			t.Fatalf("opened on a full disk: %v, %d writes", err, writes.Load())
		}
		var need uint64
		if _, err := fmt.Sscanf(strings.TrimPrefix(err.Error(), ErrReadOnly.Error()), ": state cannot be opened with 4096 bytes free, %d needed", &need); err != nil {
			t.Fatal(err)
		}
		if got := need < uint64(journals)+openRoom; got != (rounds == 9) {
			t.Errorf("%d rounds: needs %d bytes, has %d of journals", rounds, need, journals)
		}
		if s, err = open(4096, true); err != nil {
			t.Fatal(err)
		}
		if got := contentOf(t, s); !maps.Equal(got, want) || writes.Load() != 0 {
			t.Errorf("read %d entries of %d, %d writes", len(got), len(want), writes.Load())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err = open(need-1, false); !errors.Is(err, ErrReadOnly) {
			t.Errorf("a byte less than is needed: %v", err)
		}
		if s, err = open(need, false); err != nil {
			t.Fatal(err)
		}
		if got := contentOf(t, s); !maps.Equal(got, want) {
			t.Errorf("has %d entries of %d", len(got), len(want))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever finds no room for a table takes its time over it.
func TestTablesWithoutRoomAreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full bool
		fs := slowWhenFull{errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(errorfs.Op) error {
			if full {
				return syscall.ENOSPC
			}
			return nil
		})), make(chan struct{})}
		f, err := fs.Create("1.sst", "")
		if err != nil {
			t.Fatal(err)
		}
		full = true
		for name, op := range map[string]func() error{
			"create": func() error { _, err := fs.Create("2.sst", ""); return err },
			"write":  func() error { _, err := f.Write([]byte("x")); return err },
			"sync":   f.Sync,
			"data":   f.SyncData,
			"part":   func() error { _, err := f.SyncTo(1); return err },
		} {
			begin := time.Now()
			if err := op(); !errors.Is(err, syscall.ENOSPC) || time.Since(begin) != fullPause {
				t.Errorf("%s: %v after %v", name, err, time.Since(begin))
			}
		}
		close(fs.closing)
		begin := time.Now()
		if err := f.SyncData(); !errors.Is(err, syscall.ENOSPC) || time.Since(begin) != 0 {
			t.Errorf("when closing: %v after %v", err, time.Since(begin))
		}
	})
}

// fullTables is a medium on which tables of the state find no room while full is set,
// but for as many as spare says. tries counts those that found none.
func fullTables(full *atomic.Bool, spare, tries *atomic.Int64) medium {
	fs := errorfs.Wrap(unsynced{vfs.Default}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !full.Load() || op.Kind != errorfs.OpCreate || !strings.HasSuffix(op.Path, ".sst") || spare.Add(-1) >= 0 {
			return nil
		}
		if tries.Add(1) > 5000 {
			return nil // who does not pause would go on for ever
		}
		return syscall.ENOSPC
	}))
	return medium{simulated: true, fs: fs}
}

// A compaction that finds no room loses nothing: the member is read-only until the disk
// has room, which is said once, and it does not try all the time.
func TestCompactionThatFindsNoRoomMakesReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		var spare, tries atomic.Int64
		logged := &messages{text: "no room on the disk to merge tables of the state: nothing more is written"}
		c := newCluster(t, 1, func(o *Options) {
			o.medium, o.Log = fullTables(&full, &spare, &tries), slog.New(logged)
		})
		r := c.start("h0")
		for range 2 { // overlapping tables
			c.load(3)
			c.sameHead()
			spare.Store(1) // for the flush
			if err := errors.Join(r.book.drain(within(t, time.Minute)), r.book.db.db.Flush()); err != nil {
				t.Fatal(err)
			}
			full.Store(true)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.book.db.db.Compact(ctx, []byte{0}, []byte{0xff}, false) }() // it tries again and again
		time.Sleep(2 * time.Minute)
		if n := tries.Load(); n < 10 || n > 600 {
			t.Errorf("tried %d times", n)
		}
		if s := r.Status(); !s.ReadOnly || s.Err != nil || logged.n.Load() != 1 {
			t.Errorf("read-only %t, %v, said %d times", s.ReadOnly, s.Err, logged.n.Load())
		}
		if _, err := r.Submit(within(t, time.Minute), put(t, "alice", "k", []byte("x"), nil), nil); !errors.Is(err, ErrReadOnly) {
			t.Errorf("submitted: %v", err)
		}
		cancel()
		full.Store(false)
		<-done
		time.Sleep(fullFor + time.Second)
		if r.Status().ReadOnly {
			t.Error("read-only when there is room")
		}
		c.load(3)
		c.sameHead()
		c.notThrownAway("h0")
		c.stopAll()
	})
}

// A leader whose state store finds no room lets another lead, who goes on.
func TestLeaderWhoFindsNoRoomStepsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(1)
		c.leads("h0")
		c.nodes["h0"].noRoom(syscall.ENOSPC)
		time.Sleep(time.Second)
		if name, _ := c.nodes["h1"].leader(); name == "h0" {
			t.Error("still leads")
		}
		mustSubmit(t, c.nodes["h1"], put(t, "alice", "k", []byte("x"), nil), nil)
		time.Sleep(fullFor)
		c.load(1)
		c.sameHead()
		c.stopAll()
	})
}

// A flush that finds no room halts the member, which says why: Pebble takes no more
// writes when enough of them wait. Nothing is thrown away.
func TestFlushThatFindsNoRoomHalts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		var spare, tries atomic.Int64
		c := newCluster(t, 1, func(o *Options) { o.medium = fullTables(&full, &spare, &tries) })
		r := c.start("h0")
		c.load(3)
		before := c.sameHead()
		if err := r.book.drain(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		full.Store(true)
		if _, err := r.book.db.db.AsyncFlush(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-r.Stopped():
		case <-time.After(time.Minute):
		}
		if err := r.Status().Err; !errors.Is(err, ErrHalted) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("halted: %v", err)
		}
		if n := tries.Load(); n > 100 {
			t.Errorf("tried %d times", n)
		}
		if _, err := r.Submit(within(t, time.Minute), put(t, "alice", "k", []byte("x"), nil), nil); !errors.Is(err, ErrHalted) {
			t.Errorf("submitted: %v", err)
		}
		_ = r.Close() // says again that it could not write
		full.Store(false)
		c.notThrownAway("h0")
		c.start("h0")
		if after := c.sameHead(); after.Height < before.Height {
			t.Errorf("height %d after %d", after.Height, before.Height)
		}
		c.load(1)
		c.stopAll()
	})
}

// A certificate that the disk does not take halts the member, although no block follows
// that would find it out.
func TestCertificateThatTheDiskDoesNotTakeHalts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newSimDisk()
		c := newCluster(t, 1, func(o *Options) { o.medium = disk.medium() })
		r := c.start("h0")
		c.load(3)
		before := c.sameHead()
		time.Sleep(10 * time.Second)
		disk.setFull(syscall.ENOSPC)
		if err := r.book.storeCheckpoint(r.Checkpoint()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("stored: %v", err)
		}
		if err := r.Status().Err; !errors.Is(err, ErrHalted) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("halted: %v", err)
		}
		_ = r.Close() // says again that it could not write
		c.notThrownAway("h0")
		disk.setFull(nil)
		c.start("h0")
		if after := c.sameHead(); after.Height < before.Height {
			t.Errorf("height %d after %d", after.Height, before.Height)
		}
		c.stopAll()
		disk.close()
	})
}
