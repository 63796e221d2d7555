package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/fs"
	"github.com/ward-health/ward/store/storetest"
)

// A generated reads as n bytes without holding them.
type generated struct {
	block     []byte
	pos, size int64
}

func generate(n int64) *generated { return &generated{block: storetest.Bytes(1, 1<<20), size: n} }

func (g *generated) Read(p []byte) (int, error) {
	if g.pos == g.size {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), g.size-g.pos)], g.block[g.pos%int64(len(g.block)):])
	g.pos += int64(n)
	return n, nil
}

// benchBytes is the size of the payload: 128 MiB, or what WARD_BENCH_BYTES
// says.
func benchBytes(b *testing.B) int64 {
	text := os.Getenv("WARD_BENCH_BYTES")
	if text == "" {
		return 128 << 20
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkPayload seals and opens a payload beside the operations that cannot
// be avoided. In every round it also times the container's own cipher,
// ChaCha20-Poly1305 over chunks of 64 KiB on one processor, and reports two
// ratios of medians, so that what else the machine does weighs on both sides:
//
//	x-cipher      time of the cipher / time of the operation
//	x-cipher-cpu  processor time of the cipher / processor time of the operation
//
// A row that ends in processors=N uses up to N, so that its x-cipher may exceed
// 1. The other rows encrypt on one, and hash on all. MB/s is of plaintext. Quote
// it with:
//
//	WARD_BENCH_BYTES=1073741824 go test -run '^$' -bench Payload -benchtime 7x ./store/seal
func BenchmarkPayload(b *testing.B) {
	size := benchBytes(b)
	chacha, err := chacha20poly1305.New(make([]byte, 32))
	must(b, err)
	block, err := aes.NewCipher(make([]byte, 32))
	must(b, err)
	gcm, err := cipher.NewGCM(block)
	must(b, err)
	row := func(name string, op func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			var own, other []measured
			for b.Loop() {
				b.StopTimer()
				own = append(own, measure(func() { encrypt(chacha, size) }))
				b.StartTimer()
				other = append(other, measure(func() { op(b) }))
			}
			wall := func(m measured) time.Duration { return m.wall }
			cpu := func(m measured) time.Duration { return m.cpu }
			b.ReportMetric(median(own, wall).Seconds()/median(other, wall).Seconds(), "x-cipher")
			if c := median(other, cpu); c > 0 {
				b.ReportMetric(median(own, cpu).Seconds()/c.Seconds(), "x-cipher-cpu")
			}
		})
	}
	row("ChaCha20Poly1305", func(*testing.B) { encrypt(chacha, size) })
	row("AES256GCM", func(*testing.B) { encrypt(gcm, size) })
	row("SHA256", func(b *testing.B) {
		_, err := io.Copy(sha256.New(), generate(size))
		must(b, err)
	})
	// No verified opening is faster than this one.
	each(row, "SHA256AndChaCha20Poly1305", func(b *testing.B) {
		var g sync.WaitGroup
		n := int64(runtime.GOMAXPROCS(0))
		for range n {
			g.Go(func() {
				encrypt(chacha, size/n)
				_, _ = io.Copy(sha256.New(), generate(size/n)) // neither fails
			})
		}
		g.Wait()
	})
	row("Ref", func(b *testing.B) {
		_, err := store.Digest(b.Context(), nil, generate(size))
		must(b, err)
	})
	row("Seal", func(b *testing.B) {
		s, err := NewSealer(generate(size))
		must(b, err)
		_, err = io.Copy(io.Discard, s)
		must(b, err)
	})
	row("SealAndRef", func(b *testing.B) {
		s, err := NewSealer(generate(size))
		must(b, err)
		_, err = store.Digest(b.Context(), nil, s)
		must(b, err)
	})
	row("SealAndRefAndPlainHash", func(b *testing.B) {
		h := newHasher(generate(size), sha256.New())
		s, err := NewSealer(h)
		must(b, err)
		_, err = store.Digest(b.Context(), nil, s)
		must(b, err)
		h.stop()
	})
	benchmarkDisk(b, size, row)
}

// benchmarkDisk adds the rows that read and write files.
func benchmarkDisk(b *testing.B, size int64, row func(string, func(b *testing.B))) {
	dir := b.TempDir()
	disk, err := fs.Open(filepath.Join(dir, "store"), fs.Options{})
	must(b, err)
	p, err := Put(b.Context(), disk, generate(size), Options{})
	must(b, err)
	path := filepath.Join(dir, "store", "blobs", fmt.Sprintf("%02x", p.Ref.Shard()), p.Ref.String())

	var last store.Ref
	row("SealToDisk", func(b *testing.B) {
		must(b, disk.Delete(b.Context(), last)) // two blobs at a time on the disk
		q, err := Put(b.Context(), disk, generate(size), Options{})
		must(b, err)
		last = q.Ref
	})
	row("CopyOnDisk", func(b *testing.B) { // cp with the fsync that SealToDisk has
		must(b, copyFile(filepath.Join(dir, "copy"), path))
	})
	row("cp", func(b *testing.B) {
		program, err := exec.LookPath("cp")
		if err != nil {
			b.Skip("there is no cp")
		}
		must(b, exec.Command(program, path, filepath.Join(dir, "cp")).Run())
	})
	each(row, "Open", func(b *testing.B) {
		f, err := os.Open(path)
		must(b, err)
		o, err := NewOpener(f, p.Key, p.Size)
		must(b, err)
		_, err = io.Copy(io.Discard, o)
		must(b, err)
		must(b, f.Close())
	})
	row("OpenPipe", func(b *testing.B) {
		f, err := os.Open(path)
		must(b, err)
		o, err := NewOpener(struct{ io.Reader }{f}, p.Key, p.Size)
		must(b, err)
		_, err = io.Copy(io.Discard, o)
		must(b, err)
		must(b, f.Close())
	})
	row("VerifyFromDisk", func(b *testing.B) {
		must(b, store.Verify(b.Context(), disk, p.Ref))
	})
	each(row, "OpenFromDisk", func(b *testing.B) {
		r, err := Open(b.Context(), disk, p)
		must(b, err)
		_, err = io.Copy(io.Discard, r)
		must(b, err)
		must(b, r.Close())
	})
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// encrypt encrypts size bytes, chunk by chunk in place.
func encrypt(aead cipher.AEAD, size int64) {
	buf := make([]byte, chunkSize, chunkSize+tagSize)
	nonce := make([]byte, aead.NonceSize())
	for range size / chunkSize {
		aead.Seal(buf[:0], nonce, buf, nil)
	}
}

// each makes a row of op for one processor and one for all.
func each(row func(string, func(*testing.B)), name string, op func(*testing.B)) {
	all := runtime.GOMAXPROCS(0)
	row(name+"/processors=1", func(b *testing.B) {
		runtime.GOMAXPROCS(1)
		defer runtime.GOMAXPROCS(all)
		op(b)
	})
	if all > 1 {
		row(fmt.Sprintf("%s/processors=%d", name, all), op)
	}
}

// A measured is what an operation took: time, and processor time if the system
// tells, of all goroutines and of the kernel for them.
type measured struct{ wall, cpu time.Duration }

func measure(op func()) measured {
	begin, cpu := time.Now(), cpuTime()
	op()
	return measured{time.Since(begin), cpuTime() - cpu}
}

func median(rounds []measured, of func(measured) time.Duration) time.Duration {
	var d []time.Duration
	for _, m := range rounds {
		d = append(d, of(m))
	}
	slices.Sort(d)
	return d[len(d)/2]
}

// copyFile is cp with fsync, in blocks of 128 KiB as cp takes them.
func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 128<<10)); err != nil {
		return err
	}
	if err := dst.Sync(); err != nil {
		return err
	}
	return dst.Close()
}
