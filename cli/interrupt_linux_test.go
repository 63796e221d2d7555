package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestCtrlCWhileNobodyWrites: neither a named pipe that nobody opens nor one from
// which nothing comes keeps a command from ending.
func TestCtrlCWhileNobodyWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &session{ui: newUI(io.Discard, io.Discard)}
	if _, err := s.openPayload(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("a record from the pipe: %v", err)
	}
	if _, _, err := input(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("an export from the pipe: %v", err)
	}
	silent, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer other.Close() // first, so that the copying ends
	in := within(ctx, silent)
	if _, err := io.ReadAll(in); !errors.Is(err, context.Canceled) {
		t.Errorf("reading on: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	// The goroutines that open the pipe end with it.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
