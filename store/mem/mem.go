// Package mem keeps blobs in memory: for tests, examples and small caches.
package mem

import (
	"bytes"
	"context"
	"io"
	"iter"
	"maps"
	"sync"
	"time"

	"github.com/ward-health/ward/store"
)

// A Store keeps blobs in memory. It implements store.Store.
type Store struct {
	mu    sync.RWMutex
	blobs map[store.Ref]blob // guarded by mu; a blob is never changed in place
}

type blob struct {
	data []byte
	ob   *store.Outboard
	time time.Time
}

// New returns an empty store.
func New() *Store {
	return &Store{blobs: make(map[store.Ref]blob)}
}

// Put implements store.Store. It holds the whole blob in memory.
func (s *Store) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	var buf bytes.Buffer
	ob, err := store.Digest(ctx, &buf, r)
	if err != nil {
		return store.Ref{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[ob.Ref()] = blob{buf.Bytes(), ob, time.Now()}
	return ob.Ref(), nil
}

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	b, err := s.get(ctx, ref)
	if err != nil {
		return nil, err
	}
	return store.OpenBlob(ctx, ref, int64(len(b.data)), b.ob.Bytes(), source(b.data),
		store.BlobOptions{Retry: store.Retry{Attempts: 1}})
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	b, err := s.get(ctx, ref)
	if err != nil {
		return store.Info{}, err
	}
	return store.Info{Ref: ref, Size: int64(len(b.data)), Time: b.time}, nil
}

func (s *Store) get(ctx context.Context, ref store.Ref) (blob, error) {
	if err := context.Cause(ctx); err != nil {
		return blob{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[ref]
	if !ok {
		return blob{}, store.NotFound(ref)
	}
	return b, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, ref store.Ref) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, ref)
	return nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		s.mu.RLock()
		blobs := maps.Clone(s.blobs)
		s.mu.RUnlock()
		for ref, b := range blobs {
			if err := context.Cause(ctx); err != nil {
				yield(store.Info{}, err)
				return
			}
			if !yield(store.Info{Ref: ref, Size: int64(len(b.data)), Time: b.time}, nil) {
				return
			}
		}
	}
}

// Close implements store.Store. The blobs stay.
func (s *Store) Close() error { return nil }

// source serves a blob from memory.
type source []byte

func (s source) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(bytes.NewReader(s), off, n)), nil
}

func (s source) Close() error { return nil }
