// Package durable writes files whole or not at all, and says nothing is
// written before it is.
//
// A file is written under a temporary name in the directory it will live in,
// synced, renamed, and the directory is synced. A reader, at any moment and
// after any crash, sees the old content or the new content, never a mixture
// and never a prefix. When a call returns nil, the data survives a power cut,
// as far as the disk tells the truth about its cache.
//
// An error from fsync is final: the kernel may have dropped the dirty pages it
// could not write, so a second fsync can succeed without the data being on
// disk (Rebello et al., "Can Applications Recover from fsync Failures?",
// USENIX ATC 2020). This package never retries one.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tempPrefix begins the name of every unfinished file. Sweep removes what a
// crash left under it.
const tempPrefix = ".unfinished-"

// ErrFinished is returned by the methods of a File that was already committed
// or discarded.
var ErrFinished = errors.New("file is already committed or discarded")

// system is the calls whose order and whose failure decide what survives a
// crash. Tests replace them to record the order and to inject faults.
type system struct {
	write   func(f *os.File, p []byte) (int, error)
	sync    func(f *os.File) error
	rename  func(from, to string) error
	syncDir func(dir string) error
}

func realSystem() system {
	return system{
		write:   (*os.File).Write,
		sync:    (*os.File).Sync,
		rename:  os.Rename,
		syncDir: SyncDir,
	}
}

// WriteFile replaces the file at path by data, with mode perm regardless of
// the umask. On error the old file, if there was one, is untouched, except
// that an error from the last step (syncing the directory) leaves it open
// whether the old or the new file is found after a power cut.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return Write(path, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Write replaces the file at path by what fill writes, under the rules of
// WriteFile. An error from fill is returned and leaves the old file untouched.
func Write(path string, perm fs.FileMode, fill func(w io.Writer) error) error {
	return write(realSystem(), path, perm, fill)
}

func write(sys system, path string, perm fs.FileMode, fill func(w io.Writer) error) error {
	f, err := create(sys, filepath.Dir(path), perm)
	if err != nil {
		return err
	}
	if err := fill(f); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), f.Discard())
	}
	return f.Commit(path)
}

// A File is being written under a temporary name. It ends in exactly one of
// Commit and Discard. It is not safe for concurrent use.
type File struct {
	sys  system
	f    *os.File
	err  error // the first failed write; Commit refuses after it
	done bool
}

// Create starts a file of mode perm in dir, which must be on the same file
// system as the path the file is committed to.
func Create(dir string, perm fs.FileMode) (*File, error) {
	return create(realSystem(), dir, perm)
}

func create(sys system, dir string, perm fs.FileMode) (*File, error) {
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("create unfinished file: %w", err)
	}
	file := &File{sys: sys, f: f}
	if err := f.Chmod(perm); err != nil {
		return nil, errors.Join(fmt.Errorf("set mode of unfinished file: %w", err), file.Discard())
	}
	return file, nil
}

// Write appends p. After a failed write the file can only be discarded.
func (f *File) Write(p []byte) (int, error) {
	if f.done {
		return 0, ErrFinished
	}
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.sys.write(f.f, p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	f.err = err
	return n, err
}

// Commit makes what was written the file at path, replacing any file there.
// When it returns nil the file is durable. On error the temporary file is
// gone; see WriteFile for what may be found at path.
func (f *File) Commit(path string) error {
	if f.done {
		return ErrFinished
	}
	if f.err != nil {
		return errors.Join(fmt.Errorf("commit %s after a failed write: %w", path, f.err), f.Discard())
	}
	if err := f.sys.sync(f.f); err != nil {
		return errors.Join(fmt.Errorf("sync %s: %w", path, err), f.Discard())
	}
	f.done = true
	if err := f.f.Close(); err != nil {
		return errors.Join(fmt.Errorf("close %s: %w", path, err), os.Remove(f.f.Name()))
	}
	if err := f.sys.rename(f.f.Name(), path); err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), os.Remove(f.f.Name()))
	}
	if err := f.sys.syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("commit %s: %w", path, err)
	}
	return nil
}

// Discard removes the unfinished file. It does nothing after Commit or a
// first Discard, so it can be deferred.
func (f *File) Discard() error {
	if f.done {
		return nil
	}
	f.done = true
	return errors.Join(f.f.Close(), os.Remove(f.f.Name()))
}

// Remove deletes the file at path and makes the deletion durable. A file that
// is not there is an error matching fs.ErrNotExist.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// MkdirAll creates dir and its missing parents with mode perm (before umask)
// and makes each new entry durable.
func MkdirAll(dir string, perm fs.FileMode) error {
	dir = filepath.Clean(dir)
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("create directory %s: a file is in the way", dir)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := MkdirAll(parent, perm); err != nil {
		return err
	}
	// Another process may create it first; its entry is synced all the same.
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// Sweep removes the unfinished files that a crash left directly in dir, and
// returns how many. The caller must hold the lock of dir's owner: a file that
// is being written at this moment looks the same.
func Sweep(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		if !e.Type().IsRegular() || !IsUnfinished(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// IsUnfinished reports whether name, without directory, is one that this
// package gives to unfinished files.
func IsUnfinished(name string) bool {
	return strings.HasPrefix(name, tempPrefix)
}
