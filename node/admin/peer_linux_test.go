package admin

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAnotherUserIsHungUpOn even where the modes of files would let him in.
func TestAnotherUserIsHungUpOn(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	dir, err := os.MkdirTemp("", "ward-admin-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, mode := range map[string]os.FileMode{dir: 0o755, Socket(dir): 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	connect := func(uid int) (int, error) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
			return 0, err
		}
		if uid != 0 {
			// For this thread only, which ends with its goroutine.
			runtime.LockOSThread()
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); e != 0 {
				return 0, e
			}
		}
		return fd, unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, "admin.sock")})
	}
	type end struct {
		fd  int
		err error
	}
	ends := make(chan end)
	go func() { fd, err := connect(65534); ends <- end{fd, err} }()
	stranger := <-ends
	own, err := connect(0)
	if stranger.err != nil || err != nil {
		t.Fatal(stranger.err, err)
	}
	defer unix.Close(stranger.fd)
	defer unix.Close(own)
	conn, err := l.Accept() // the second: it has hung up on the first
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := unix.Read(stranger.fd, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the stranger reads %d bytes, %v", n, err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(own, make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the owner reads %d bytes, %v", n, err)
	}
}
