package fs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/storetest"
)

func newReader(b []byte) *bytes.Reader { return bytes.NewReader(b) }

// TestMain lets the test binary play the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("WARD_TEST_PUT_FOREVER"); dir != "" {
		fmt.Fprintln(os.Stderr, putForever(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// putForever puts blobs of all sizes and says so after each is acknowledged.
func putForever(dir string) error {
	s, err := Open(dir, Options{MinFree: -1})
	if err != nil {
		return err
	}
	for i := uint64(0); ; i++ {
		data := storetest.Bytes(i, int(i%7)*100_000)
		data = append(data, fmt.Sprint(os.Getpid(), " ", i)...)
		ref, err := s.Put(context.Background(), newReader(data))
		if err != nil {
			return err
		}
		fmt.Println(ref)
	}
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	acknowledged := make(map[string]bool)
	for range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "WARD_TEST_PUT_FOREVER="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		time.AfterFunc(time.Duration(100+rand.IntN(200))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			if _, err := store.ParseRef(lines.Text()); err == nil { // not the last, torn line
				acknowledged[lines.Text()] = true
			}
		}
		_ = cmd.Wait() // killed
	}
	if len(acknowledged) < rounds {
		t.Fatalf("only %d blobs were acknowledged in %d rounds", len(acknowledged), rounds)
	}

	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for info, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Verify(t.Context(), s, info.Ref); err != nil {
			t.Errorf("after the kills: %v", err)
		}
		if acknowledged[info.Ref.String()] {
			found++
		}
	}
	if found != len(acknowledged) {
		t.Fatalf("%d of %d acknowledged blobs are there", found, len(acknowledged))
	}
	t.Logf("%d blobs acknowledged in %d killed processes, all there", found, rounds)
}

func TestAbandonedFilesAreSwept(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	incoming := filepath.Join(dir, incomingDir)
	old, err := durable.Create(incoming, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_ = old // as a crash leaves it
	entries, err := os.ReadDir(incoming)
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-2 * abandoned)
	if err := os.Chtimes(filepath.Join(incoming, entries[0].Name()), past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.Create(incoming, 0o600); err != nil { // still being written
		t.Fatal(err)
	}

	// A hash tree whose blob is gone.
	ref, err := s.Put(t.Context(), newReader(storetest.Bytes(1, 2*store.LeafSize)))
	if err != nil {
		t.Fatal(err)
	}
	tree := s.path(ref) + outboardSuffix
	if err := os.Remove(s.path(ref)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(tree, past, past); err != nil {
		t.Fatal(err)
	}

	if s, err = Open(dir, Options{MinFree: -1}); err != nil {
		t.Fatal(err)
	}
	if entries, err = os.ReadDir(incoming); err != nil || len(entries) != 1 {
		t.Fatalf("%d files in %s after Open, want 1 (%v)", len(entries), incoming, err)
	}
	if n, err := s.Tidy(t.Context()); n != 1 || err != nil {
		t.Fatalf("Tidy = %d, %v, want 1", n, err)
	}
	if _, err := os.Stat(tree); !os.IsNotExist(err) {
		t.Fatalf("orphaned hash tree: %v", err)
	}
}

func TestDamagedHashTreeIsRebuilt(t *testing.T) {
	s := open(t)
	data := storetest.Bytes(1, 3*store.LeafSize+9)
	ref, err := s.Put(t.Context(), newReader(data))
	if err != nil {
		t.Fatal(err)
	}
	tree := s.path(ref) + outboardSuffix
	good, err := os.ReadFile(tree)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for _, bad := range [][]byte{nil, good[:len(good)-1], flipped, append(bytes.Clone(good), 0)} {
		if err := os.WriteFile(tree, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := store.Verify(t.Context(), s, ref); err != nil {
			t.Fatalf("hash tree %d bytes: %v", len(bad), err)
		}
	}
}

func TestOpenRefusesAnotherVersion(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, versionFile), []byte("ward-store-fs-v2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatalf("Open = %v, want an error that names the directory", err)
	}
}

func TestListPassesOverForeignFiles(t *testing.T) {
	s := open(t)
	ref, err := s.Put(t.Context(), newReader([]byte("blob")))
	if err != nil {
		t.Fatal(err)
	}
	shard := filepath.Dir(s.path(ref))
	for _, name := range []string{"README", strings.ToUpper(ref.String()), ref.String() + ".bak"} {
		if err := os.WriteFile(filepath.Join(shard, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for info, err := range s.List(t.Context()) {
		if err != nil || info.Ref != ref {
			t.Fatalf("List yields %v, %v", info, err)
		}
		n++
	}
	if n != 1 {
		t.Fatalf("List yields %d blobs, want 1", n)
	}
}
