package durable

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// LockName is the file inside a directory that carries its lock.
const LockName = ".lock"

// ErrLocked is returned by LockDir for a directory another holder has.
var ErrLocked = errors.New("directory is in use by another process")

// A Lock says that its holder is the only one who changes a directory. The
// kernel releases it when the process dies, however it dies.
type Lock struct {
	mu sync.Mutex
	f  *os.File // guarded by mu; nil once released
}

// LockDir takes the lock of dir, which must exist, and returns ErrLocked
// without waiting if it is taken, by this process or by another.
func LockDir(dir string) (*Lock, error) {
	f, err := lockFile(filepath.Join(dir, LockName))
	if err != nil {
		return nil, err
	}
	return &Lock{f: f}, nil
}

// LockPath takes the lock whose file is path, which is created if it is not
// there, under the rules of LockDir: for a single file that several processes
// change, with a path beside it.
func LockPath(path string) (*Lock, error) {
	f, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	return &Lock{f: f}, nil
}

// Unlock releases the lock. It does nothing the second time. The lock file
// stays: removing it would let two holders lock two files of one name.
func (l *Lock) Unlock() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return f.Close()
}
