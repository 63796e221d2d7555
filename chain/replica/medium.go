package replica

import (
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ward-health/ward/chain/replica/seglog"
	"github.com/ward-health/ward/internal/durable"
)

// A medium makes what was written durable. A simulated one is memory: it need not
// wait for a disk, and may forget what was not flushed when the power fails.
type medium struct {
	simulated bool
	sync      func(*os.File) error   // of a simulated one; nil does nothing
	syncDir   func(dir string) error // likewise
	commit    func() error           // asked before the state store commits, which it then does durably; nil agrees
	fs        vfs.FS                 // of the state store; nil is that of the system
}

// flush makes the content of a file durable.
func (m medium) flush(f *os.File) error {
	switch {
	case m.sync != nil:
		return m.sync(f)
	case m.simulated:
		return nil
	}
	return seglog.Datasync(f)
}

// flushDir makes the names in a directory durable.
func (m medium) flushDir(dir string) error {
	switch {
	case m.syncDir != nil:
		return m.syncDir(dir)
	case m.simulated:
		return nil
	}
	return durable.SyncDir(dir)
}

// logOptions returns o for a log on this medium.
func (m medium) logOptions(o seglog.Options) seglog.Options {
	o.InsecureNoSync, o.InsecureSync, o.InsecureSyncDir = m.simulated, m.sync, m.syncDir
	return o
}

// writeFile replaces a file as a whole, durably.
func (m medium) writeFile(path string, data []byte) error {
	if !m.simulated {
		return durable.WriteFile(path, data, 0o600)
	}
	tmp := filepath.Join(filepath.Dir(path), ".unfinished-"+filepath.Base(path)) // as durable calls it
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := m.flush(f); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return m.flushDir(filepath.Dir(path))
}

// remove removes a file, durably.
func (m medium) remove(path string) error {
	if !m.simulated {
		return durable.Remove(path)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return m.flushDir(filepath.Dir(path))
}

// stateFS returns where the state store keeps its files. On a simulated medium what it
// flushes is with the system, as if the disk forgot nothing of it.
func (m medium) stateFS() vfs.FS {
	switch {
	case m.fs != nil:
		return m.fs
	case m.simulated:
		return unsynced{vfs.Default}
	}
	return vfs.Default
}

// unsynced is a file system that flushes nothing.
type unsynced struct{ vfs.FS }

// Create implements vfs.FS.
func (u unsynced) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return unsyncedFile(u.FS.Create(name, c))
}

// OpenReadWrite implements vfs.FS.
func (u unsynced) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return unsyncedFile(u.FS.OpenReadWrite(name, c, o...))
}

// OpenDir implements vfs.FS.
func (u unsynced) OpenDir(name string) (vfs.File, error) { return unsyncedFile(u.FS.OpenDir(name)) }

// ReuseForWrite implements vfs.FS.
func (u unsynced) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return unsyncedFile(u.FS.ReuseForWrite(old, name, c))
}

func unsyncedFile(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return noSync{f}, nil
}

type noSync struct{ vfs.File }

// Sync implements vfs.File.
func (noSync) Sync() error { return nil }

// SyncData implements vfs.File.
func (noSync) SyncData() error { return nil }

// SyncTo implements vfs.File.
func (noSync) SyncTo(int64) (fullSync bool, err error) { return true, nil }
