// Package fs keeps blobs in a directory. It is the store a node uses unless it
// is configured otherwise.
//
// A blob is one file that holds its bytes and nothing else, under
// blobs/<first byte of its digest, in hex>/<its CID>; a blob of more than one
// leaf has its hash tree beside it, in <its CID>.outboard. Every file is
// written whole or not at all, and Put returns after it is durable. Nothing is
// locked: several processes may use one directory.
package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/store"
)

// The layout. Part of the format: only add at the end.
const (
	versionFile     = "version"
	versionText     = "ward-store-fs-v1\n"
	blobsDir        = "blobs"
	incomingDir     = "incoming"
	outboardSuffix  = ".outboard"
	maxOutboardFile = 4 << 30
)

// abandoned is how long an unfinished file must have been left alone before it
// counts as what a crash left. A writer that is alive touches its file with
// every leaf.
const abandoned = 24 * time.Hour

// Options change what Open does. The zero value means the defaults.
type Options struct {
	// MinFree is the free space in bytes below which Put refuses with
	// store.ErrFull, so that the other users of the disk, the chain among
	// them, still work. The default is 256 MiB; negative means none.
	MinFree int64
}

// A Store keeps blobs in a directory. It implements store.Store.
type Store struct {
	root    string
	minFree int64
}

// Open opens the store in directory root and creates it if it is not there.
// It removes what crashed writers left behind a day ago or earlier.
func Open(root string, opts Options) (*Store, error) {
	if opts.MinFree == 0 {
		opts.MinFree = 256 << 20
	}
	s := &Store{root: root, minFree: opts.MinFree}
	for _, dir := range []string{filepath.Join(root, blobsDir), filepath.Join(root, incomingDir)} {
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	version := filepath.Join(root, versionFile)
	text, err := os.ReadFile(version)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = durable.WriteFile(version, []byte(versionText), 0o600)
	case err == nil && string(text) != versionText:
		err = fmt.Errorf("%s is of a version this program does not know", root)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.sweep(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// sweep removes abandoned unfinished files.
func (s *Store) sweep() error {
	dir := filepath.Join(s.root, incomingDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !durable.IsUnfinished(e.Name()) || time.Since(info.ModTime()) < abandoned {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s *Store) path(ref store.Ref) string {
	return filepath.Join(s.root, blobsDir, fmt.Sprintf("%02x", ref.Shard()), ref.String())
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	if err := s.room(); err != nil {
		return store.Ref{}, err
	}
	f, err := durable.Create(filepath.Join(s.root, incomingDir), 0o600)
	if err != nil {
		return store.Ref{}, err
	}
	ob, err := store.Digest(ctx, &roomyWriter{s: s, f: f}, r)
	if err != nil {
		return store.Ref{}, errors.Join(err, f.Discard())
	}
	if err := s.commit(f, ob); err != nil {
		return store.Ref{}, errors.Join(err, f.Discard())
	}
	return ob.Ref(), nil
}

// commit names the finished file. The blob comes last: where it is, its hash
// tree is.
func (s *Store) commit(f *durable.File, ob *store.Outboard) error {
	path := s.path(ob.Ref())
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if ob.Size() > store.LeafSize {
		if err := s.writeOutboard(ob); err != nil {
			return err
		}
	}
	return f.Commit(path)
}

func (s *Store) writeOutboard(ob *store.Outboard) error {
	f, err := durable.Create(filepath.Join(s.root, incomingDir), 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(ob.Bytes()); err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.Commit(s.path(ob.Ref()) + outboardSuffix)
}

// room returns an error if the disk has less than the configured free space.
func (s *Store) room() error {
	if s.minFree < 0 {
		return nil
	}
	free, err := s.Free()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	if free < s.minFree {
		return fmt.Errorf("%w: %d bytes free, want %d", store.ErrFull, free, s.minFree)
	}
	return nil
}

// A roomyWriter looks at the free space now and then while it writes.
type roomyWriter struct {
	s *Store
	f *durable.File
	n int // bytes since it last looked
}

func (w *roomyWriter) Write(p []byte) (int, error) {
	const every = 16 << 20
	if w.n += len(p); w.n >= every {
		w.n = 0
		if err := w.s.room(); err != nil {
			return 0, err
		}
	}
	return w.f.Write(p)
}

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, store.NotFound(ref)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open blob: %w", err), f.Close())
	}
	var outboard []byte
	if info.Size() > store.LeafSize {
		// One that cannot be read is computed again.
		outboard, _ = readLimited(s.path(ref)+outboardSuffix, maxOutboardFile)
	}
	return store.OpenBlob(ctx, ref, info.Size(), outboard, source{f},
		store.BlobOptions{Retry: store.Retry{Attempts: 1}})
}

func readLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return os.ReadFile(path)
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	if err := context.Cause(ctx); err != nil {
		return store.Info{}, err
	}
	info, err := os.Stat(s.path(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return store.Info{}, store.NotFound(ref)
	}
	if err != nil {
		return store.Info{}, fmt.Errorf("stat blob: %w", err)
	}
	return store.Info{Ref: ref, Size: info.Size(), Time: info.ModTime()}, nil
}

// Delete implements store.Store. It does not overwrite: the bytes are
// ciphertext whose key is elsewhere.
func (s *Store) Delete(ctx context.Context, ref store.Ref) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	path := s.path(ref)
	for _, p := range []string{path, path + outboardSuffix} {
		if err := durable.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete blob: %w", err)
		}
	}
	return nil
}

// List implements store.Store. Files that are not named like blobs are passed
// over.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for shard := range 256 {
			dir := filepath.Join(s.root, blobsDir, fmt.Sprintf("%02x", shard))
			if !s.listShard(ctx, dir, yield) {
				return
			}
		}
	}
}

func (s *Store) listShard(ctx context.Context, dir string, yield func(store.Info, error) bool) bool {
	if err := context.Cause(ctx); err != nil {
		yield(store.Info{}, err)
		return false
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		yield(store.Info{}, fmt.Errorf("list blobs: %w", err))
		return false
	}
	for _, e := range entries {
		ref, err := store.ParseRef(e.Name())
		if err != nil || s.path(ref) != filepath.Join(dir, e.Name()) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			yield(store.Info{}, fmt.Errorf("list blobs: %w", err))
			return false
		}
		if !yield(store.Info{Ref: ref, Size: info.Size(), Time: info.ModTime()}, nil) {
			return false
		}
	}
	return true
}

// Tidy removes hash trees whose blob is gone and unfinished files that were
// left behind, and returns how many files it removed.
func (s *Store) Tidy(ctx context.Context) (int, error) {
	if err := s.sweep(); err != nil {
		return 0, err
	}
	trees, err := filepath.Glob(filepath.Join(s.root, blobsDir, "??", "*"+outboardSuffix))
	if err != nil {
		return 0, err
	}
	n := 0
	for _, tree := range trees {
		if err := context.Cause(ctx); err != nil {
			return n, err
		}
		info, err := os.Stat(tree)
		if err != nil || time.Since(info.ModTime()) < abandoned {
			continue // gone already, or its blob may be about to come
		}
		if _, err := os.Stat(strings.TrimSuffix(tree, outboardSuffix)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := durable.Remove(tree); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
		n++
	}
	return n, nil
}

// Close implements store.Store.
func (s *Store) Close() error { return nil }

// source serves a blob from its file.
type source struct{ f *os.File }

func (s source) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(s.f, off, n)), nil
}

func (s source) Close() error { return s.f.Close() }
