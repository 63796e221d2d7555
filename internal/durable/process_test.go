//go:build unix

package durable

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// TestMain lets the test binary play the other process of a test.
func TestMain(m *testing.M) {
	switch os.Getenv("WARD_TEST_CHILD") {
	case "":
		os.Exit(m.Run())
	case "lock":
		os.Exit(childLock(os.Args[1]))
	case "full":
		os.Exit(childFull(os.Args[1], os.Args[2]))
	}
	os.Exit(2)
}

func child(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "WARD_TEST_CHILD="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// childLock takes the lock, says so, and waits to be killed.
func childLock(dir string) int {
	if _, err := LockDir(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("locked")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return 0
}

// childFull replaces the file at path where no file may grow beyond limit.
func childFull(path, limit string) int {
	n, err := strconv.Atoi(limit)
	if err != nil {
		return 2
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	err = WriteFile(path, newContent, 0o600)
	if errors.Is(err, syscall.EFBIG) {
		return 0
	}
	fmt.Fprintln(os.Stderr, "unexpected:", err)
	return 1
}

func TestFileSizeLimitOfTheKernelLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := WriteFile(path, oldContent, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{0, 1, len(newContent) / 2, len(newContent) - 1} {
		if err := child(t, "full", path, strconv.Itoa(limit)).Run(); err != nil {
			t.Fatalf("limit %d: %v", limit, err)
		}
		checkContent(t, path, oldContent)
		checkOnly(t, dir, "f")
	}
}

func TestLockIsExclusiveAndDiesWithItsHolder(t *testing.T) {
	dir := t.TempDir()
	cmd := child(t, "lock", dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	if _, err := LockDir(dir); !errors.Is(err, ErrLocked) {
		t.Fatalf("lock held by another process: %v, want ErrLocked", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	l, err := LockDir(dir)
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	if _, err := LockDir(dir); !errors.Is(err, ErrLocked) {
		t.Fatalf("second lock in one process: %v, want ErrLocked", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatalf("second unlock: %v", err)
	}
	l, err = LockDir(dir)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(filepath.Join(dir, "none")); err == nil {
		t.Fatal("lock of a missing directory was given")
	}
}
