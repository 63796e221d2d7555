package remote

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/store"
)

// blobs is a store at the node. What it reads is checked here, whatever the
// node did.
type blobs struct {
	n    *Node
	path string
}

func (s *blobs) of(pattern string, ref store.Ref) string {
	return s.path + strings.Replace(pattern, "{ref}", ref.String(), 1)
}

// Put implements store.Store. It streams, and believes that the node has the
// blob only if the node names it as this end does.
func (s *blobs) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	if err := context.Cause(ctx); err != nil {
		return store.Ref{}, err
	}
	body, in := io.Pipe()
	var got string
	done := make(chan error, 1)
	go func() {
		var err error
		got, err = s.post(ctx, body)
		if err == nil {
			body.CloseWithError(errEnded)
		} else {
			body.CloseWithError(err)
		}
		done <- err
	}()
	ob, err := store.Digest(ctx, in, r)
	// An error breaks the request off, so that what the node has is not taken
	// for a shorter blob.
	in.CloseWithError(err)
	refused := <-done
	switch {
	case errors.Is(err, store.ErrReader):
		return store.Ref{}, err
	case refused != nil:
		return store.Ref{}, refused
	case err != nil:
		return store.Ref{}, err
	case got != ob.Ref().String():
		return store.Ref{}, &store.CorruptError{Ref: ob.Ref(), Reason: "the node names it otherwise"}
	}
	return ob.Ref(), nil
}

// errEnded is what is left to a Put whose node answered before it had the whole
// blob.
var errEnded = errors.New("the node stopped reading")

// post sends a blob. While the node is busy it waits, and asks again as long as
// the node refused without a byte of the blob.
func (s *blobs) post(ctx context.Context, body io.Reader) (ref string, err error) {
	err = s.n.patiently(ctx, func() (bool, error) {
		a := &attempt{r: body}
		b, err := s.n.get(ctx, request{
			method: http.MethodPost, path: s.path, mediaType: protocol.TypeBytes, stream: a, accept: protocol.TypeNote,
		}, maxRef)
		ref = string(b)
		return a.end(), err
	})
	return ref, err
}

// get is Node.get for a request that may be repeated, while the node is busy.
func (s *blobs) get(ctx context.Context, q request, limit int64) (b []byte, err error) {
	err = s.n.patiently(ctx, func() (bool, error) {
		b, err = s.n.get(ctx, q, limit)
		return true, err
	})
	return b, err
}

// do is Node.do, likewise.
func (s *blobs) do(ctx context.Context, q request) (resp *http.Response, err error) {
	err = s.n.patiently(ctx, func() (bool, error) {
		resp, _, err = s.n.do(ctx, q)
		return true, err
	})
	return resp, err
}

const maxRef = 128 // bytes of a reference as text

// Open implements store.Store.
func (s *blobs) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	var info store.Info
	var tree []byte
	err := s.n.opt.Retry.Do(ctx, func() (err error) {
		if info, err = s.Stat(ctx, ref); err != nil || info.Size <= store.LeafSize {
			return settled(err)
		}
		// A tree that is missing or wrong is computed again from the blob.
		tree, err = s.get(ctx, request{
			method: http.MethodGet, path: s.of(protocol.PathBlobTree, ref), accept: protocol.TypeBytes,
		}, maxTree(info.Size))
		return settled(err)
	})
	if err != nil {
		return nil, err
	}
	return store.OpenBlob(ctx, ref, info.Size, tree, &source{s, ref}, store.BlobOptions{Retry: s.n.opt.Retry})
}

// maxTree bounds the hash tree of a blob.
func maxTree(size int64) int64 { return 4096 + 64*(size/store.LeafSize+1) }

// settled marks what no retry mends: all that the node itself said. If it was
// that it is busy, it was waited for already.
func settled(err error) error {
	if errors.Is(err, ward.ErrUnavailable) || errors.Is(err, ward.ErrNotReady) {
		return err
	}
	return store.Permanent(err)
}

// Stat implements store.Store.
func (s *blobs) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	if err := context.Cause(ctx); err != nil {
		return store.Info{}, err
	}
	if ref.IsZero() {
		return store.Info{}, store.NotFound(ref)
	}
	b, err := s.get(ctx, request{method: http.MethodGet, path: s.of(protocol.PathBlobInfo, ref), accept: protocol.TypeJSON}, protocol.MaxProblem)
	if err != nil {
		return store.Info{}, s.about(ref, err)
	}
	var info protocol.BlobInfo
	if err := json.Unmarshal(b, &info); err != nil || info.Size < 0 {
		return store.Info{}, s.n.malformed(errors.Join(errors.New("what it says about a blob"), err))
	}
	return store.Info{Ref: ref, Size: info.Size, Time: time.UnixMilli(info.Time)}, nil
}

// about names the blob in an error of the node.
func (s *blobs) about(ref store.Ref, err error) error {
	var corrupt *store.CorruptError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.NotFound(ref)
	case errors.As(err, &corrupt):
		return &store.CorruptError{Ref: ref, Reason: corrupt.Reason}
	}
	return err
}

// Delete implements store.Store.
func (s *blobs) Delete(ctx context.Context, ref store.Ref) error {
	if err := context.Cause(ctx); err != nil || ref.IsZero() {
		return err
	}
	_, err := s.get(ctx, request{method: http.MethodDelete, path: s.of(protocol.PathBlob, ref)}, 0)
	return err
}

// List implements store.Store.
func (s *blobs) List(ctx context.Context) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		resp, err := s.do(ctx, request{method: http.MethodGet, path: s.path})
		if err != nil {
			yield(store.Info{}, err)
			return
		}
		defer resp.Body.Close() // the caller has what it wanted
		var line [52]byte
		for {
			switch _, err := io.ReadFull(resp.Body, line[:]); {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(store.Info{}, s.n.broken(ctx, err))
				return
			}
			ref, err := store.ParseRefBytes(line[:36])
			if err != nil {
				yield(store.Info{}, s.n.malformed(err))
				return
			}
			info := store.Info{
				Ref:  ref,
				Size: int64(binary.BigEndian.Uint64(line[36:])),
				Time: time.UnixMilli(int64(binary.BigEndian.Uint64(line[44:]))),
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Close implements store.Store. The node's connections stay.
func (s *blobs) Close() error { return nil }

// A source reads one blob.
type source struct {
	s   *blobs
	ref store.Ref
}

// ReadRange implements store.Source.
func (r *source) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	resp, err := r.s.do(ctx, request{
		method: http.MethodGet, path: r.s.of(protocol.PathBlob, r.ref),
		byteRange: fmt.Sprintf("bytes=%d-%d", off, off+n-1),
	})
	if err != nil {
		return nil, settled(r.s.about(r.ref, err))
	}
	if resp.StatusCode != http.StatusPartialContent {
		err := errors.New("the node sends another part of the blob than asked for")
		return nil, errors.Join(r.s.n.malformed(err), resp.Body.Close())
	}
	return resp.Body, nil
}

// Close implements store.Source.
func (r *source) Close() error { return nil }
