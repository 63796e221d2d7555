package replica

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// openRoom is the room on the disk, in bytes, that opening the state store takes
	// besides what its journal and its list of tables hold.
	openRoom = 1 << 20
	// fullPause is how long a flush or a compaction takes at least that finds no room.
	// Pebble begins it anew at once.
	fullPause = time.Second
	// fullFor is how long the replica is read-only after a compaction found no room.
	fullFor = time.Minute
)

// checkRoom returns an error that wraps ErrReadOnly if what the journal holds does not
// fit on the disk. Pebble brings it into tables when it opens the directory, and does not
// give up: it tries again until there is room.
func (s *kv) checkRoom(opt *pebble.Options) error {
	fs := opt.FS
	disk, err := fs.GetDiskUsage(s.dir)
	if err != nil {
		return nil // it is not known; Pebble goes without, too
	}
	names, err := fs.List(s.dir)
	if err != nil {
		return err
	}
	var journal, lists uint64
	for _, name := range names {
		isJournal := strings.HasSuffix(name, ".log")
		if !isJournal && !strings.HasPrefix(name, "MANIFEST-") {
			continue
		}
		info, err := fs.Stat(fs.PathJoin(s.dir, name))
		if err != nil {
			return err
		}
		if isJournal {
			journal += uint64(info.Size())
		} else {
			lists += uint64(info.Size())
		}
	}
	rest := lists + openRoom
	most := journal + journal/4 // in tables
	if journal == 0 || disk.AvailBytes >= most+rest {
		return nil
	}
	// Most of these files may be old ones that are kept to be used again.
	look := opt.Clone()
	look.ReadOnly = true
	db, err := pebble.Open(s.dir, look)
	if err != nil {
		return err
	}
	need := min(most, db.Metrics().MemTable.Size) + rest
	if err := db.Close(); err != nil {
		return err
	}
	if disk.AvailBytes < need {
		return fmt.Errorf("%w: %s cannot be opened with %d bytes free, %d needed", ErrReadOnly, s.dir, disk.AvailBytes, need)
	}
	return nil
}

// slowWhenFull is a file system whose tables say that the disk is full after fullPause,
// or when closing is closed.
type slowWhenFull struct {
	vfs.FS
	closing chan struct{}
}

// Create implements vfs.FS.
func (s slowWhenFull) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(name, c)
	if !strings.HasSuffix(name, ".sst") {
		return f, err
	}
	if s.wait(err); err != nil {
		return nil, err
	}
	return slowFile{f, s}, nil
}

// wait waits if err says that the disk is full.
func (s slowWhenFull) wait(err error) {
	if !errors.Is(err, syscall.ENOSPC) {
		return
	}
	timer := time.NewTimer(fullPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closing:
	}
}

type slowFile struct {
	vfs.File
	fs slowWhenFull
}

// Write implements vfs.File.
func (f slowFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.fs.wait(err)
	return n, err
}

// Sync implements vfs.File.
func (f slowFile) Sync() error {
	err := f.File.Sync()
	f.fs.wait(err)
	return err
}

// SyncData implements vfs.File. Some file systems find room only now, or none.
func (f slowFile) SyncData() error {
	err := f.File.SyncData()
	f.fs.wait(err)
	return err
}

// SyncTo implements vfs.File.
func (f slowFile) SyncTo(length int64) (fullSync bool, err error) {
	fullSync, err = f.File.SyncTo(length)
	f.fs.wait(err)
	return fullSync, err
}

// haltsWith returns what the replica halts with because of an error that no call has met,
// nil if it can go on. It can after a compaction that found no room: that loses nothing.
func (s *kv) haltsWith(err error) error {
	if err = s.asDamage(err); isDamage(err) {
		return err
	}
	for _, broken := range []error{syscall.EIO, syscall.EROFS, syscall.EDQUOT} {
		if errors.Is(err, broken) {
			return &writeError{err} // Pebble would try again for ever, and take no more writes in the end
		}
	}
	return nil
}

// noRoom makes the replica read-only for a while. The state store has found no room to
// merge its tables; it tries that again, and takes no more writes when it has too many.
func (r *Replica) noRoom(err error) {
	now := time.Now()
	if now.UnixNano() < r.fullUntil.Swap(now.Add(fullFor).UnixNano()) {
		return // said before
	}
	r.log.Error("no room on the disk to merge tables of the state: nothing more is written", "error", err)
	if _, self := r.leader(); self {
		r.stepDown()
	}
}
