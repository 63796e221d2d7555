package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/fs"
	"github.com/ward-health/ward/store/seal"
)

type operations = map[string]func(n int) (measure.Spent, error)

// withFile calls f with the opened file.
func withFile(path string, f func(*os.File) error) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f(src), src.Close())
}

// durably writes a file and syncs it.
func durably(path string, f func(io.Writer) error) error {
	dst, err := os.Create(path)
	if err != nil {
		return err
	}
	err = f(dst)
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

func wardOps(ctx context.Context, f file) (operations, error) {
	disk, err := fs.Open(filepath.Join(f.dir, "blobs"), fs.Options{})
	if err != nil {
		return nil, err
	}
	put := func() (p seal.Payload, err error) {
		err = withFile(f.plain, func(src *os.File) error {
			p, err = seal.Put(ctx, disk, src, seal.Options{})
			return err
		})
		return p, err
	}
	kept, err := put()
	if err != nil {
		return nil, err
	}
	// Blobs are removed between samples, which is not timed.
	sealing := func(n int) (measure.Spent, error) {
		var made []store.Ref
		spent, err := measure.Timed(func() error {
			p, err := put()
			made = append(made, p.Ref)
			return err
		})(n)
		for _, ref := range made {
			err = errors.Join(err, disk.Delete(ctx, ref))
		}
		return spent, err
	}
	return operations{
		sealDisk: sealing,
		openDisk: measure.Timed(func() error {
			r, err := seal.Open(ctx, disk, kept)
			if err != nil {
				return err
			}
			n, err := io.Copy(io.Discard, r)
			if err == nil && n != f.size {
				err = fmt.Errorf("opened %d bytes of %d", n, f.size)
			}
			return errors.Join(err, r.Close())
		}),
		sealMemory: measure.Timed(func() error {
			s, err := seal.NewSealer(&repeated{left: f.size})
			if err != nil {
				return err
			}
			_, err = store.Digest(ctx, nil, s)
			return err
		}),
	}, nil
}

// repeated reads as zeros, which costs nearly nothing.
type repeated struct{ left int64 }

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), r.left))
	clear(p[:n])
	r.left -= int64(n)
	return n, nil
}

func cipherOps(_ context.Context, f file) (operations, error) {
	aead, err := chacha20poly1305.New(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	const chunk = 64 << 10
	buf, nonce := make([]byte, chunk, chunk+aead.Overhead()), make([]byte, aead.NonceSize())
	return operations{sealMemory: measure.Timed(func() error {
		for left := f.size; left > 0; left -= chunk {
			aead.Seal(buf[:0], nonce, buf[:min(left, chunk)], nil)
		}
		return nil
	})}, nil
}

func copyOps(_ context.Context, f file) (operations, error) {
	to := filepath.Join(f.dir, "copy")
	copied := func() error {
		return withFile(f.plain, func(src *os.File) error {
			return durably(to, func(w io.Writer) error {
				// Without the system's own copying, which shares blocks on some disks.
				_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{src}, make([]byte, 128<<10))
				return err
			})
		})
	}
	return operations{
		sealDisk: measure.Timed(copied),
		openDisk: measure.Timed(func() error {
			return withFile(f.plain, func(src *os.File) error {
				_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{src}, make([]byte, 128<<10))
				return err
			})
		}),
	}, nil
}

func ageOps(_ context.Context, f file) (operations, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	to := filepath.Join(f.dir, "sealed")
	encrypt := func(path string) error {
		return withFile(f.plain, func(src *os.File) error {
			return durably(path, func(w io.Writer) error {
				a, err := age.Encrypt(w, identity.Recipient())
				if err != nil {
					return err
				}
				if _, err := io.Copy(a, src); err != nil {
					return err
				}
				return a.Close()
			})
		})
	}
	kept := filepath.Join(f.dir, "kept")
	if err := encrypt(kept); err != nil {
		return nil, err
	}
	return operations{
		sealDisk: measure.Timed(func() error { return encrypt(to) }),
		openDisk: measure.Timed(func() error {
			return withFile(kept, func(src *os.File) error {
				plain, err := age.Decrypt(src, identity)
				if err != nil {
					return err
				}
				n, err := io.Copy(io.Discard, plain)
				if err == nil && n != f.size {
					err = fmt.Errorf("opened %d bytes of %d", n, f.size)
				}
				return err
			})
		}),
	}, nil
}
