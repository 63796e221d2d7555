package cli

import (
	"log/slog"
	"net"
	"path/filepath"
	"testing"
)

// TestSystemdIsTold, and nobody where there is none.
func TestSystemdIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	d := &daemon{log: slog.New(slog.DiscardHandler)}
	t.Setenv("NOTIFY_SOCKET", "")
	d.notify("READY=1")
	t.Setenv("NOTIFY_SOCKET", path+".gone")
	d.notify("READY=1")
	t.Setenv("NOTIFY_SOCKET", path)
	d.notify("STOPPING=1")
	b := make([]byte, 100)
	n, _, err := l.ReadFrom(b)
	if err != nil || string(b[:n]) != "STOPPING=1" {
		t.Errorf("systemd hears %q, %v", b[:n], err)
	}
}
