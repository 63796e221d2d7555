package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/ward-health/ward"
)

// maxPath is how long the path of a Unix socket may be everywhere.
const maxPath = 100

// Listen listens for the operator of the node in dir, replacing a socket that a
// crash left. The caller must have the node open, and so the only one. A
// connection of another user than the one of this process or root is refused,
// where the operating system says who it is.
func Listen(dir string) (net.Listener, error) {
	path := Socket(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin: %w", err)
	}
	short, release, err := shorten(path)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	defer release()
	l, err := net.Listen("unix", short)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // it may have been listened to under another path
	}
	own := &ownListener{l, path}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("admin: %w", err), own.Close())
	}
	return own, nil
}

// dial connects to the node in dir. The error matches ward.ErrUnavailable if none
// runs there.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	short, release, err := shorten(Socket(dir))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ward.ErrUnavailable, err)
	}
	defer release()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("%w: no node runs in %s", ward.ErrUnavailable, dir)
	}
	return conn, nil
}

// shorten returns a path for a socket that the kernel takes, which works until
// it is released.
func shorten(path string) (short string, release func(), err error) {
	if len(path) <= maxPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	return short, func() { dir.Close() }, nil
}

// An ownListener accepts connections of this user and of root only.
type ownListener struct {
	net.Listener
	path string
}

// Accept implements net.Listener.
func (l *ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if mine(conn) {
			return conn, nil
		}
		conn.Close()
	}
}

// Close implements net.Listener, and removes the socket.
func (l *ownListener) Close() error {
	err := l.Listener.Close()
	if rm := os.Remove(l.path); rm != nil && !errors.Is(rm, fs.ErrNotExist) && err == nil {
		err = rm
	}
	return err
}
