//go:build unix

package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

var (
	oldContent = []byte("the old content, which must survive")
	newContent = []byte("the new content, which is longer than a few bytes")
)

// recorder is a system that notes every call and fails the one named by fail.
type recorder struct {
	calls  []string
	fail   string
	failAt int // with fail == "write": the byte at which writing stops
	n      int
}

func (r *recorder) note(call string) error {
	r.calls = append(r.calls, call)
	if r.fail == call {
		return syscall.EIO
	}
	return nil
}

func (r *recorder) system() system {
	sys := realSystem()
	return system{
		write: func(f *os.File, p []byte) (int, error) {
			r.calls = append(r.calls, "write")
			if r.fail == "write" && r.n+len(p) > r.failAt {
				n, _ := sys.write(f, p[:r.failAt-r.n])
				r.n += n
				return n, syscall.ENOSPC
			}
			n, err := sys.write(f, p)
			r.n += n
			return n, err
		},
		sync: func(f *os.File) error {
			if err := r.note("sync"); err != nil {
				return err
			}
			return sys.sync(f)
		},
		rename: func(from, to string) error {
			if err := r.note("rename"); err != nil {
				return err
			}
			return sys.rename(from, to)
		},
		syncDir: func(dir string) error {
			if err := r.note("syncDir"); err != nil {
				return err
			}
			return sys.syncDir(dir)
		},
	}
}

func fillWith(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		// In small pieces, so that a fault can fall between two writes.
		for c := range slices.Chunk(data, 7) {
			if _, err := w.Write(c); err != nil {
				return err
			}
		}
		return nil
	}
}

func checkContent(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s holds %q, want %q", path, got, want)
	}
}

func checkOnly(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Fatalf("directory holds %q, want %q", got, want)
	}
}

func TestDataIsSyncedBeforeTheRenameAndTheDirectoryAfter(t *testing.T) {
	r := &recorder{}
	path := filepath.Join(t.TempDir(), "f")
	if err := write(r.system(), path, 0o600, func(w io.Writer) error {
		_, err := w.Write(newContent)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"write", "sync", "rename", "syncDir"}; !slices.Equal(r.calls, want) {
		t.Fatalf("calls were %q, want %q", r.calls, want)
	}
	checkContent(t, path, newContent)
}

func TestWriterThatFailsAtByteNLeavesTheOldFile(t *testing.T) {
	for n := range len(newContent) {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		if err := WriteFile(path, oldContent, 0o600); err != nil {
			t.Fatal(err)
		}
		r := &recorder{fail: "write", failAt: n}
		if err := write(r.system(), path, 0o600, fillWith(newContent)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("disk full at byte %d: error %v, want ENOSPC", n, err)
		}
		checkContent(t, path, oldContent)
		checkOnly(t, dir, "f")
		if slices.Contains(r.calls, "rename") {
			t.Fatalf("disk full at byte %d: renamed all the same", n)
		}
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	for _, call := range []string{"sync", "rename"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		if err := WriteFile(path, oldContent, 0o600); err != nil {
			t.Fatal(err)
		}
		r := &recorder{fail: call}
		if err := write(r.system(), path, 0o600, fillWith(newContent)); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s fails: error %v, want EIO", call, err)
		}
		checkContent(t, path, oldContent)
		checkOnly(t, dir, "f")
		syncs := 0
		for _, c := range r.calls {
			if c == "sync" {
				syncs++
			}
		}
		if syncs != 1 {
			t.Fatalf("%s fails: %d syncs, want exactly one", call, syncs)
		}
	}
}

func TestFailedDirectorySyncIsReported(t *testing.T) {
	r := &recorder{fail: "syncDir"}
	path := filepath.Join(t.TempDir(), "f")
	if err := write(r.system(), path, 0o600, fillWith(newContent)); !errors.Is(err, syscall.EIO) {
		t.Fatalf("error %v, want EIO", err)
	}
}

func TestReaderThatFailsHalfWayLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := WriteFile(path, oldContent, 0o600); err != nil {
		t.Fatal(err)
	}
	half := errors.New("source went away")
	err := Write(path, 0o600, func(w io.Writer) error {
		if _, err := w.Write(newContent[:10]); err != nil {
			return err
		}
		return half
	})
	if !errors.Is(err, half) {
		t.Fatalf("error %v, want %v", err, half)
	}
	checkContent(t, path, oldContent)
	checkOnly(t, dir, "f")
}

func TestCommitAfterIgnoredWriteErrorRefuses(t *testing.T) {
	dir := t.TempDir()
	r := &recorder{fail: "write", failAt: 3}
	f, err := create(r.system(), dir, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write(newContent) // a caller that does not look
	if _, err := f.Write(newContent); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write after a failed write: %v, want ENOSPC", err)
	}
	if err := f.Commit(filepath.Join(dir, "f")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("commit after a failed write: %v, want ENOSPC", err)
	}
	checkOnly(t, dir)
}

func TestFinishedFileRefuses(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(dir, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "f")
	if err := f.Commit(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(); err != nil {
		t.Fatalf("discard after commit: %v", err)
	}
	if err := f.Commit(path); !errors.Is(err, ErrFinished) {
		t.Fatalf("second commit: %v", err)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, ErrFinished) {
		t.Fatalf("write after commit: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o640 {
		t.Fatalf("mode %04o, want 0640", info.Mode().Perm())
	}
	checkOnly(t, dir, "f")
}

func TestConcurrentWritersLeaveOneWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := WriteFile(path, bytes.Repeat([]byte{byte(i)}, 10_000), 0o600); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 10_000 || !bytes.Equal(got, bytes.Repeat(got[:1], 10_000)) {
		t.Fatal("file is a mixture")
	}
}

func TestSweepRemovesOnlyUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := Create(dir, 0o600); err != nil { // as a crash leaves it
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "kept"), oldContent, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, tempPrefix+"dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	n, err := Sweep(dir)
	if err != nil || n != 1 {
		t.Fatalf("Sweep = %d, %v, want 1", n, err)
	}
	checkOnly(t, dir, tempPrefix+"dir", "kept")
}

func TestRemoveAndMkdirAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	if err := MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(dir, 0o700); err != nil {
		t.Fatalf("second time: %v", err)
	}
	path := filepath.Join(dir, "f")
	if err := WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(path, 0o700); err == nil {
		t.Fatal("directory over a file was accepted")
	}
	if err := Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := Remove(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("removing nothing: %v, want ErrNotExist", err)
	}
}

func TestReadSecretRefusesExposedFiles(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := WriteSecret(good, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSecret(good)
	if err != nil || string(got) != "secret" {
		t.Fatalf("ReadSecret = %q, %v", got, err)
	}

	for _, mode := range []fs.FileMode{0o601, 0o602, 0o604, 0o610, 0o620, 0o640, 0o644, 0o666} {
		path := filepath.Join(dir, fmt.Sprintf("mode-%o", mode))
		if err := WriteFile(path, []byte("secret"), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSecret(path); !errors.Is(err, ErrExposed) {
			t.Errorf("mode %04o: %v, want ErrExposed", mode, err)
		}
	}

	link := filepath.Join(dir, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSecret(link); !errors.Is(err, ErrExposed) {
		t.Errorf("symbolic link: %v, want ErrExposed", err)
	}
	if _, err := ReadSecret(dir); !errors.Is(err, ErrExposed) {
		t.Errorf("directory: %v, want ErrExposed", err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSecret(pipe); !errors.Is(err, ErrExposed) {
		t.Errorf("named pipe: %v, want ErrExposed", err)
	}
	if _, err := ReadSecret(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v, want ErrNotExist", err)
	}
	big := filepath.Join(dir, "big")
	if err := WriteSecret(big, make([]byte, MaxSecret+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSecret(big); err == nil {
		t.Error("a secret over the limit was read")
	}
}

func TestReadSecretRefusesForeignOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteSecret(path, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSecret(path); !errors.Is(err, ErrExposed) {
		t.Fatalf("foreign owner: %v, want ErrExposed", err)
	}
}
