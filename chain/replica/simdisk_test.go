package replica

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/ward-health/ward/chain/replica/seglog"
)

// simDisk is a disk that forgets what was not flushed when the power fails: of
// each file the content written since its last flush, or some of its sectors; of
// each directory the names that came and went since its last flush. What a replica
// does after the power has failed, while the simulation stops it, does not reach
// the disk at all. The state store's files are not among them: its batches are flushed
// one by one, and the disk refuses one after the power has failed.
type simDisk struct {
	mu    sync.Mutex
	off   bool                         // guarded by mu
	full  error                        // guarded by mu; what writing fails with
	files map[uint64]*simFile          // guarded by mu; by inode
	names map[string]map[string]uint64 // guarded by mu; flushed names and their inodes, by directory
	last  map[string]map[string]uint64 // guarded by mu; names when the power failed
	many  func()                       // called once, when there are simFilesMax files
}

// simFilesMax is far more files than a member makes in a schedule, unless it turns in a
// circle. Each of them is held open.
const simFilesMax = 4000

// simFile is the flushed content of a file. The open file keeps its inode from
// being used again.
type simFile struct {
	hold *os.File
	data []byte
	last []byte // when the power failed
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
		return d.full
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
	if d.full != nil {
		return d.full
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
		if len(d.files) == simFilesMax && d.many != nil {
			go d.many()
		}
	}
	d.files[ino].data, err = content(d.files[ino].hold, d.files[ino].data)
	return err
}

// content reads a whole file, into buf if it has room.
func content(f *os.File, buf []byte) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	buf = slices.Grow(buf[:0], int(info.Size()))
	n, err := f.ReadAt(buf[:info.Size()], 0)
	if errors.Is(err, io.EOF) {
		err = nil // it was cut meanwhile
	}
	return buf[:n], err
}

func (d *simDisk) syncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil
	}
	if d.full != nil {
		return d.full
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
func (d *simDisk) fail() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	// A flush waits for mu. So nothing that relies on one that comes too late is
	// seen here.
	d.last = map[string]map[string]uint64{}
	var errs []error
	for dir := range d.names {
		names, err := list(dir)
		if errors.Is(err, os.ErrNotExist) {
			delete(d.names, dir) // moved away as a whole
			continue
		}
		errs = append(errs, err)
		d.last[dir] = names
		for name, ino := range names {
			if d.files[ino] != nil {
				continue
			}
			hold, err := os.Open(filepath.Join(dir, name))
			if errors.Is(err, os.ErrNotExist) {
				continue // removed meanwhile, and never flushed
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			d.files[ino] = &simFile{hold: hold}
		}
	}
	for _, f := range d.files {
		var err error
		f.last, err = content(f.hold, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// restore makes the files what the disk remembers, when nobody has them open, and
// turns the power on.
func (d *simDisk) restore(r *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for dir, names := range d.names {
		if r.IntN(2) == 0 { // the names were written back, or were not
			names = d.last[dir]
		}
		now, err := list(dir)
		errs = append(errs, err)
		for name := range now {
			if f := d.files[names[name]]; f == nil {
				errs = append(errs, os.Remove(filepath.Join(dir, name)))
			}
		}
		for name, ino := range names {
			if f := d.files[ino]; f != nil {
				errs = append(errs, os.WriteFile(filepath.Join(dir, name), f.after(r), 0o600))
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
			data, err := content(hold, nil)
			errs = append(errs, err)
			d.files[ino] = &simFile{hold: hold, data: data}
		}
		d.names[dir] = names
	}
	return errors.Join(errs...)
}

// after returns the flushed content with all, none or some of the sectors that
// were written since.
func (f *simFile) after(r *rand.Rand) []byte {
	kind := r.IntN(4)
	if kind == 0 {
		return f.last // it was written back just in time
	}
	out := bytes.Clone(f.data)
	if kind > 1 {
		return out
	}
	const sector = 512
	for from := 0; from < len(f.last); from += sector {
		if r.IntN(2) == 0 {
			continue
		}
		to := min(from+sector, len(f.last))
		if to > len(out) {
			out = append(out, make([]byte, to-len(out))...)
		}
		copy(out[from:to], f.last[from:to])
	}
	return out
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
		m := d.medium()
		flushing := true
		m.sync = func(f *os.File) error {
			if !flushing {
				return nil
			}
			return d.sync(f)
		}
		m.syncDir = func(dir string) error {
			if !flushing {
				return nil
			}
			return d.syncDir(dir)
		}
		log, err := seglog.Open(filepath.Join(dir, "log"), m.logOptions(seglog.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Append(1, []byte("kept")); err != nil {
			t.Fatal(err)
		}
		vote := filepath.Join(dir, "vote")
		if err := m.writeFile(vote, []byte("old")); err != nil {
			t.Fatal(err)
		}
		flushing = false
		if err := log.Append(2, bytes.Repeat([]byte("lost"), 1000)); err != nil {
			t.Fatal(err)
		}
		if err := m.writeFile(vote, []byte("new")); err != nil {
			t.Fatal(err)
		}
		// Had it been flushed, the name would not be without the content.
		flushing = true
		if f, err := os.Open(vote); err != nil || m.sync(f) != nil || f.Close() != nil {
			t.Fatal(err)
		}
		if err := d.fail(); err != nil {
			t.Fatal(err)
		}
		log.Close()
		if err := d.restore(rand.New(rand.NewPCG(seed, 1))); err != nil {
			t.Fatal(err)
		}
		log, err = seglog.Open(filepath.Join(dir, "log"), m.logOptions(seglog.Options{}))
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

// What is done after the power has failed does not reach the disk, though nobody
// hears of an error: a log that was cut because a snapshot took its place is whole
// again, as the snapshot is not there either.
func TestSimulatedDiskTakesNothingWithoutPower(t *testing.T) {
	for seed := range uint64(64) {
		dir := t.TempDir()
		d := newSimDisk()
		m := d.medium()
		snapshot := filepath.Join(dir, "snapshot")
		if err := m.writeFile(snapshot, []byte("at 1")); err != nil {
			t.Fatal(err)
		}
		log, err := seglog.Open(filepath.Join(dir, "log"), m.logOptions(seglog.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Append(2, []byte("two"), []byte("three"), []byte("four")); err != nil {
			t.Fatal(err)
		}
		if err := d.fail(); err != nil {
			t.Fatal(err)
		}
		if err := m.writeFile(snapshot, []byte("at 3")); err != nil {
			t.Fatal(err)
		}
		if err := log.TruncateFront(3); err != nil {
			t.Fatal(err)
		}
		if err := log.Append(5, []byte("five")); err != nil {
			t.Fatal(err)
		}
		log.Close()
		if err := d.restore(rand.New(rand.NewPCG(seed, 1))); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(snapshot); err != nil || string(b) != "at 1" {
			t.Fatalf("seed %d: snapshot %q, %v", seed, b, err)
		}
		log, err = seglog.Open(filepath.Join(dir, "log"), m.logOptions(seglog.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if first, last := log.First(), log.Last(); first != 2 || last != 4 {
			t.Fatalf("seed %d: log %d to %d", seed, first, last)
		}
		log.Close()
		d.close()
	}
}
