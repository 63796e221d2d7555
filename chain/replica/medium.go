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
