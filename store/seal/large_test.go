package seal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/fs"
)

// large is the size of the large payloads of the tests: 64 MiB, and with
// WARD_LARGE=1 it is 1 GiB.
func large() int64 {
	if os.Getenv("WARD_LARGE") != "" {
		return 1 << 30
	}
	return 64 << 20
}

// countingStore counts what is read of its blobs.
type countingStore struct {
	store.Store
	read atomic.Int64
}

func (s *countingStore) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	b, err := s.Store.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	return store.NewBlob(b.Outboard(), store.BlobOptions{}, countingSource{s, b.Sources()[0]}), nil
}

type countingSource struct {
	s *countingStore
	store.Source
}

func (c countingSource) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	body, err := c.Source.ReadRange(ctx, off, n)
	if err != nil {
		return nil, err
	}
	return countingBody{c.s, body}, nil
}

type countingBody struct {
	s *countingStore
	io.ReadCloser
}

func (c countingBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.s.read.Add(int64(n))
	return n, err
}

func TestRangeReadLeavesTheRestAlone(t *testing.T) {
	disk, err := fs.Open(t.TempDir(), fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &countingStore{Store: disk}
	size := large()
	p, err := Put(t.Context(), s, generate(size), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), s, p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const n = 1 << 20
	off := size/2 + 12345
	got := make([]byte, n)
	if _, err := r.ReadAt(got, off); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes at %d of %d: read %d bytes of the blob and its hash tree of %d", n, off, size, s.read.Load(), treeSize(size))
	// The range with the ends of its first and last leaf, and the leaves with
	// the header and the last chunk.
	if max := int64(n + 4*store.LeafSize); s.read.Load() > max {
		t.Fatalf("read %d bytes of the blob, want at most %d", s.read.Load(), max)
	}
	want := make([]byte, n)
	src := generate(size)
	if _, err := io.CopyN(io.Discard, src, off); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(src, want); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("wrong bytes, %v", err)
	}
}

// treeSize is the size in bytes of the digests of a payload's leaves.
func treeSize(size int64) int64 {
	return (SealedSize(size) + store.LeafSize - 1) / store.LeafSize * 32
}

// TestMain lets the test binary play the process whose memory is measured.
func TestMain(m *testing.M) {
	if text := os.Getenv("WARD_TEST_STREAM"); text != "" {
		if err := stream(text, os.Getenv("WARD_TEST_DIR")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// stream seals a payload into a store in dir, opens it, and prints the peak of
// the process's resident memory in KiB.
func stream(size, dir string) error {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := fs.Open(dir, fs.Options{})
	if err != nil {
		return err
	}
	p, err := Put(ctx, s, generate(n), Options{})
	if err != nil {
		return err
	}
	r, err := Open(ctx, s, p)
	if err != nil {
		return err
	}
	m, err := io.Copy(io.Discard, r)
	if err != nil || m != n {
		return fmt.Errorf("read %d bytes of %d: %w", m, n, err)
	}
	if err := r.Close(); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Println(strings.Fields(rest)[0])
	return nil
}

// TestMemoryDoesNotGrowWithThePayload seals and opens a small and a large
// payload, each in a process of its own: 16 and 256 MiB, or 1 and 10 GiB with
// WARD_LARGE=1.
func TestMemoryDoesNotGrowWithThePayload(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("this system does not tell the peak of memory")
	}
	if testing.Short() {
		t.Skip("it writes 256 MiB")
	}
	sizes := []int64{16 << 20, 256 << 20}
	if os.Getenv("WARD_LARGE") != "" {
		sizes = []int64{1 << 30, 10 << 30}
	}
	peak := func(size int64) int64 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprint("WARD_TEST_STREAM=", size), "WARD_TEST_DIR="+t.TempDir())
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d MiB: peak of resident memory %.1f MiB", size>>20, float64(kib)/1024)
		return kib << 10
	}
	a, b := peak(sizes[0]), peak(sizes[1])
	if limit := int64(64 << 20); a > limit || b > limit {
		t.Errorf("peaks of %d and %d bytes, want less than %d", a, b, limit)
	}
	// The digests of the leaves are 32 bytes for 256 KiB: 1.25 MiB at 10 GiB,
	// held a few times over when the tree is written.
	if b-a > 16<<20 {
		t.Errorf("the larger payload took %d bytes more", b-a)
	}
}
