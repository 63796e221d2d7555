package replica

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/ward-health/ward/chain/replica/seglog"
)

// simDisk is a disk that forgets what was not flushed when the power fails: of
// each file the content written since its last flush, or some of its sectors; of
// each directory the names that came and went since its last flush. Badger's
// files are not among them: its transactions are flushed one by one, and the disk
// refuses one after the power has failed.
type simDisk struct {
	mu    sync.Mutex
	off   bool                         // guarded by mu
	files map[uint64]*simFile          // guarded by mu; by inode
	names map[string]map[string]uint64 // guarded by mu; flushed names and their inodes, by directory
}

// simFile is the flushed content of a file. The open file keeps its inode from
// being used again.
type simFile struct {
	hold *os.File
	data []byte
}

var errPowerOff = errors.New("power is off")

func newSimDisk() *simDisk {
	return &simDisk{files: map[uint64]*simFile{}, names: map[string]map[string]uint64{}}
}

func (d *simDisk) medium() medium {
	return medium{simulated: true, sync: d.sync, syncDir: d.syncDir, commit: func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.off {
			return errPowerOff
		}
		return nil
	}}
}

func inode(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Ino, nil
}

func (d *simDisk) sync(f *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil // nobody hears of it any more: see simulation.kill
	}
	ino, err := inode(f)
	if err != nil {
		return err
	}
	if d.files[ino] == nil {
		hold, err := os.Open(f.Name())
		if err != nil {
			return err
		}
		d.files[ino] = &simFile{hold: hold}
	}
	d.files[ino].data, err = content(d.files[ino].hold)
	return err
}

func content(f *os.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
}

func (d *simDisk) syncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil
	}
	for old := range d.names {
		if _, err := os.Stat(old); errors.Is(err, os.ErrNotExist) {
			delete(d.names, old) // moved away as a whole
		}
	}
	names, err := list(dir)
	d.names[dir] = names
	return err
}

// list returns the files of a directory.
func list(dir string) (map[string]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := map[string]uint64{}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			names[e.Name()] = info.Sys().(*syscall.Stat_t).Ino
		}
	}
	return names, nil
}

// fail turns the power off.
func (d *simDisk) fail() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

// restore makes the files what the disk remembers, when nobody has them open, and
// turns the power on.
func (d *simDisk) restore(r *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for dir, names := range d.names {
		now, err := list(dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if r.IntN(2) == 0 { // the names were written back, or were not
			errs = append(errs, d.rename(dir, names, now))
			now = names
		}
		for name, ino := range now {
			if f := d.files[ino]; f != nil {
				errs = append(errs, f.restore(filepath.Join(dir, name), r))
			}
		}
	}
	d.off = false
	for ino, f := range d.files { // inodes change where files are written anew
		f.hold.Close()
		delete(d.files, ino)
	}
	for dir := range d.names {
		names, err := list(dir)
		errs = append(errs, err)
		for name, ino := range names {
			hold, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				errs = append(errs, err)
				continue
			}
			data, err := content(hold)
			errs = append(errs, err)
			d.files[ino] = &simFile{hold: hold, data: data}
		}
		d.names[dir] = names
	}
	return errors.Join(errs...)
}

// rename gives dir the names that were flushed, for files this disk knows.
func (d *simDisk) rename(dir string, names, now map[string]uint64) error {
	var errs []error
	for name, ino := range now {
		if names[name] != ino && d.files[ino] != nil {
			errs = append(errs, os.Remove(filepath.Join(dir, name)))
		}
	}
	for name, ino := range names {
		if f := d.files[ino]; f != nil && now[name] != ino {
			errs = append(errs, os.WriteFile(filepath.Join(dir, name), f.data, 0o600))
		}
	}
	return errors.Join(errs...)
}

// restore writes the flushed content to the file's name, with all, none or some
// of the sectors that were written since.
func (f *simFile) restore(path string, r *rand.Rand) error {
	after, err := content(f.hold)
	if err != nil || bytes.Equal(after, f.data) {
		return err
	}
	kind := r.IntN(4)
	if kind == 0 {
		return nil // it was written back just in time
	}
	out := bytes.Clone(f.data)
	if kind == 1 {
		const sector = 512
		for from := 0; from < len(after); from += sector {
			if r.IntN(2) == 0 {
				continue
			}
			to := min(from+sector, len(after))
			if to > len(out) {
				out = append(out, make([]byte, to-len(out))...)
			}
			copy(out[from:to], after[from:to])
		}
	}
	return os.WriteFile(path, out, 0o600)
}

func (d *simDisk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		f.hold.Close()
	}
	clear(d.files)
}

// The simulated disk keeps what was flushed and may lose everything else.
func TestSimulatedDiskForgets(t *testing.T) {
	lost := map[string]int{}
	for seed := range uint64(64) {
		dir := t.TempDir()
		d := newSimDisk()
		log, err := seglog.Open(filepath.Join(dir, "log"), d.medium().logOptions(seglog.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Append(1, []byte("kept")); err != nil {
			t.Fatal(err)
		}
		vote := filepath.Join(dir, "vote")
		if err := d.medium().writeFile(vote, []byte("old")); err != nil {
			t.Fatal(err)
		}
		d.fail()
		if err := log.Append(2, bytes.Repeat([]byte("lost"), 1000)); err != nil {
			t.Fatal(err)
		}
		log.Close()
		if err := d.medium().writeFile(vote, []byte("new")); err != nil {
			t.Fatal(err)
		}
		if err := d.restore(rand.New(rand.NewPCG(seed, 1))); err != nil {
			t.Fatal(err)
		}
		log, err = seglog.Open(filepath.Join(dir, "log"), d.medium().logOptions(seglog.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := log.Read(1); err != nil || string(b) != "kept" {
			t.Fatalf("seed %d: flushed record: %q, %v", seed, b, err)
		}
		if log.Last() == 1 {
			lost["record"]++
		}
		log.Close()
		d.close()
		b, err := os.ReadFile(vote)
		if err != nil || string(b) != "old" && string(b) != "new" {
			t.Fatalf("seed %d: vote %q, %v", seed, b, err)
		}
		lost[string(b)]++
	}
	for what, n := range lost {
		if n < 10 || n > 60 {
			t.Errorf("%s: %d times of 64", what, n)
		}
	}
}
