package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
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
// be avoided, and reports each as a multiple of the speed of the container's
// own cipher, ChaCha20-Poly1305 over chunks of 64 KiB on one core, in the same
// run. Quote it with:
//
//	WARD_BENCH_BYTES=1073741824 go test -run '^$' -bench Payload -benchtime 3x ./store/seal
func BenchmarkPayload(b *testing.B) {
	size := benchBytes(b)
	var cipherSpeed float64 // bytes per second
	run := func(name string, op func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			begin := time.Now()
			for b.Loop() {
				op(b)
			}
			speed := float64(size) * float64(b.N) / time.Since(begin).Seconds()
			if name == "ChaCha20Poly1305" {
				cipherSpeed = speed
			}
			if cipherSpeed > 0 {
				b.ReportMetric(speed/cipherSpeed, "x-cipher")
			}
		})
	}
	must := func(b *testing.B, err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}

	chacha, err := chacha20poly1305.New(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	raw := func(aead cipher.AEAD) func(b *testing.B) {
		return func(b *testing.B) {
			buf := make([]byte, chunkSize, chunkSize+tagSize)
			nonce := make([]byte, aead.NonceSize())
			for range size / chunkSize {
				aead.Seal(buf[:0], nonce, buf, nil)
			}
		}
	}
	run("ChaCha20Poly1305", raw(chacha))
	run("AES256GCM", raw(gcm))
	run("SHA256", func(b *testing.B) {
		_, err := io.Copy(sha256.New(), generate(size))
		must(b, err)
	})
	run("Ref", func(b *testing.B) {
		_, err := store.Digest(b.Context(), nil, generate(size))
		must(b, err)
	})

	run("Seal", func(b *testing.B) {
		s, err := NewSealer(generate(size))
		must(b, err)
		_, err = io.Copy(io.Discard, s)
		must(b, err)
	})
	run("SealAndRef", func(b *testing.B) {
		s, err := NewSealer(generate(size))
		must(b, err)
		_, err = store.Digest(b.Context(), nil, s)
		must(b, err)
	})
	run("SealAndRefAndPlainHash", func(b *testing.B) {
		h := newHasher(generate(size), sha256.New())
		s, err := NewSealer(h)
		must(b, err)
		_, err = store.Digest(b.Context(), nil, s)
		must(b, err)
		h.stop()
	})

	dir := b.TempDir()
	disk, err := fs.Open(filepath.Join(dir, "store"), fs.Options{})
	must(b, err)
	var p Payload
	path := func() string {
		return filepath.Join(dir, "store", "blobs", fmt.Sprintf("%02x", p.Ref.Shard()), p.Ref.String())
	}
	run("SealToDisk", func(b *testing.B) {
		p, err = Put(b.Context(), disk, generate(size), Options{})
		must(b, err)
		b.StopTimer()
		for info, err := range disk.List(b.Context()) { // one blob at a time on the disk
			must(b, err)
			if info.Ref != p.Ref {
				must(b, disk.Delete(b.Context(), info.Ref))
			}
		}
		b.StartTimer()
	})
	run("CopyOnDisk", func(b *testing.B) {
		must(b, copyFile(filepath.Join(dir, "copy"), path()))
	})
	run("Open", func(b *testing.B) {
		f, err := os.Open(path())
		must(b, err)
		o, err := NewOpener(f, p.Key, p.Size)
		must(b, err)
		_, err = io.Copy(io.Discard, o)
		must(b, err)
		must(b, f.Close())
	})
	run("OpenFromDisk", func(b *testing.B) {
		r, err := Open(b.Context(), disk, p)
		must(b, err)
		_, err = io.Copy(io.Discard, r)
		must(b, err)
		must(b, r.Close())
	})
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
