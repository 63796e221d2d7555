// Package s3 keeps blobs in a bucket of any S3-compatible server.
//
// Under the prefix of the store, blobs/<CID> holds a blob's bytes and nothing
// else, outboards/<CID> the hash tree of a blob of more than one leaf, and
// incoming/ uploads whose name is not known yet: a blob larger than a part is
// uploaded there while it is hashed, and the server then copies it to its name.
//
// The server is not trusted with the content: the CID is computed here and
// every byte read is checked against it. It is trusted to keep what it
// acknowledges and to forget what it deletes. A bucket with versioning forgets
// nothing, so Open refuses one.
package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ward-health/ward/store"
)

// Options say where a store is and how to reach it. Zero fields mean the
// defaults; Endpoint and Bucket are required.
type Options struct {
	// Endpoint is the server's host, with a port if it is not the usual one.
	Endpoint string
	// Insecure uses plain HTTP.
	Insecure bool
	// Bucket must exist.
	Bucket string
	// Prefix begins the name of every object, without slashes at its ends.
	Prefix string
	// Region of the bucket; the server is asked by default.
	Region string
	// AccessKey, SecretKey and SessionToken sign requests. By default they
	// come from the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
	// AWS_SESSION_TOKEN, then from ~/.aws/credentials.
	AccessKey, SecretKey, SessionToken string
	// PartSize is the size in bytes of the parts of an upload, of which one is
	// in memory at a time; default 16 MiB, at least 5 MiB. A blob has at most
	// 10,000 parts.
	PartSize int
	// Transport makes the HTTP requests; by default one is made for the store
	// and closed with it.
	Transport http.RoundTripper
	// Retry applies to every request, and to reads leaf by leaf.
	Retry store.Retry
	// Stall is how long the server may take over one leaf of a read; default
	// one minute.
	Stall time.Duration
}

// A Store keeps blobs in a bucket. It implements store.Store.
type Store struct {
	core   *minio.Core
	opts   Options
	prefix string // with a slash at its end, or empty
	close  func()
}

const (
	defaultPart = 16 << 20
	minPart     = 5 << 20
	maxParts    = 10_000
)

// Open returns the store in a bucket after it has seen the bucket.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if opts.PartSize == 0 {
		opts.PartSize = defaultPart
	}
	if opts.PartSize < minPart {
		return nil, fmt.Errorf("open S3 store: parts of %d bytes, at least %d are needed", opts.PartSize, minPart)
	}
	s := &Store{opts: opts, close: func() {}}
	if p := strings.Trim(opts.Prefix, "/"); p != "" {
		s.prefix = p + "/"
	}
	transport := opts.Transport
	if transport == nil {
		t, err := minio.DefaultTransport(!opts.Insecure)
		if err != nil {
			return nil, fmt.Errorf("open S3 store: %w", err)
		}
		transport, s.close = t, t.CloseIdleConnections
	}
	creds := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{},
	})
	if opts.AccessKey != "" {
		creds = credentials.NewStaticV4(opts.AccessKey, opts.SecretKey, opts.SessionToken)
	}
	core, err := minio.NewCore(opts.Endpoint, &minio.Options{
		Creds:     creds,
		Secure:    !opts.Insecure,
		Region:    opts.Region,
		Transport: transport,
		// One try each: the retries are ours, and respect the context.
		MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("open S3 store: %w", err)
	}
	s.core = core
	if err := s.checkBucket(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("open S3 store: %w", err)
	}
	return s, nil
}

func (s *Store) checkBucket(ctx context.Context) error {
	var found bool
	err := s.do(ctx, func() (err error) {
		found, err = s.core.BucketExists(ctx, s.opts.Bucket)
		return err
	})
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("there is no bucket %q", s.opts.Bucket)
	}
	// Many servers know no versioning and many accounts may not ask: only a
	// clear yes counts.
	v, err := s.core.GetBucketVersioning(ctx, s.opts.Bucket)
	if err == nil && v.Enabled() {
		return fmt.Errorf("bucket %q keeps old versions: what is erased would stay", s.opts.Bucket)
	}
	return context.Cause(ctx)
}

// do tries op as often as configured.
func (s *Store) do(ctx context.Context, op func() error) error {
	return s.opts.Retry.Do(ctx, func() error { return classify(op()) })
}

// classify marks what the server refuses for good.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var resp minio.ErrorResponse
	if !errors.As(err, &resp) {
		return err
	}
	switch status := resp.StatusCode; {
	case resp.Code == minio.NoSuchKey, status == http.StatusNotFound:
		return fmt.Errorf("%w: %w", store.ErrNotFound, err)
	case resp.Code == minio.NoSuchUpload:
		return store.Permanent(err)
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return err
	case status >= 400 && status < 500:
		return store.Permanent(err)
	}
	return err
}

func (s *Store) blobKey(ref store.Ref) string     { return s.prefix + "blobs/" + ref.String() }
func (s *Store) outboardKey(ref store.Ref) string { return s.prefix + "outboards/" + ref.String() }

// Put implements store.Store. It holds one part in memory.
func (s *Store) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	u := &upload{ctx: ctx, s: s, key: s.prefix + "incoming/" + rand.Text()}
	ob, err := store.Digest(ctx, u, r)
	if err == nil {
		err = u.finish(ob)
	}
	if err != nil {
		return store.Ref{}, errors.Join(err, u.abort())
	}
	return ob.Ref(), nil
}

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	info, err := s.Stat(ctx, ref)
	if err != nil {
		return nil, err
	}
	var outboard []byte
	if info.Size > store.LeafSize {
		if outboard, err = s.getOutboard(ctx, ref, info.Size); err != nil {
			return nil, fmt.Errorf("open blob: %w", err)
		}
	}
	return store.OpenBlob(ctx, ref, info.Size, outboard, source{s, s.blobKey(ref)},
		store.BlobOptions{Retry: s.opts.Retry, Stall: s.opts.Stall})
}

// getOutboard returns the hash tree of a blob, or nil if there is none: then it
// is computed again.
func (s *Store) getOutboard(ctx context.Context, ref store.Ref, size int64) ([]byte, error) {
	// 32 bytes for each leaf and a header. More is not read.
	limit := size/store.LeafSize*32 + 1024
	var data []byte
	err := s.do(ctx, func() error {
		body, _, _, err := s.core.GetObject(ctx, s.opts.Bucket, s.outboardKey(ref), minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		data, err = io.ReadAll(io.LimitReader(body, limit))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return data, err
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	var info minio.ObjectInfo
	err := s.do(ctx, func() (err error) {
		info, err = s.core.StatObject(ctx, s.opts.Bucket, s.blobKey(ref), minio.StatObjectOptions{})
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.Info{}, store.NotFound(ref)
	}
	if err != nil {
		return store.Info{}, fmt.Errorf("stat blob: %w", err)
	}
	return store.Info{Ref: ref, Size: info.Size, Time: info.LastModified}, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, ref store.Ref) error {
	for _, key := range []string{s.blobKey(ref), s.outboardKey(ref)} {
		if err := s.remove(ctx, key); err != nil {
			return fmt.Errorf("delete blob: %w", err)
		}
	}
	return nil
}

func (s *Store) remove(ctx context.Context, key string) error {
	err := s.do(ctx, func() error {
		return s.core.RemoveObject(ctx, s.opts.Bucket, key, minio.RemoveObjectOptions{})
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// List implements store.Store. Objects that are not named like blobs are passed
// over.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		prefix := s.prefix + "blobs/"
		opts := minio.ListObjectsOptions{Prefix: prefix, Recursive: true}
		for o := range s.core.ListObjectsIter(ctx, s.opts.Bucket, opts) {
			if o.Err != nil {
				yield(store.Info{}, fmt.Errorf("list blobs: %w", o.Err))
				return
			}
			ref, err := store.ParseRef(strings.TrimPrefix(o.Key, prefix))
			if err != nil {
				continue
			}
			if !yield(store.Info{Ref: ref, Size: o.Size, Time: o.LastModified}, nil) {
				return
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(store.Info{}, err)
		}
	}
}

// Tidy removes uploads that were begun more than a day ago and never finished,
// and returns how many.
func (s *Store) Tidy(ctx context.Context) (int, error) {
	const abandoned = 24 * time.Hour
	n := 0
	prefix := s.prefix + "incoming/"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for u := range s.core.ListIncompleteUploads(ctx, s.opts.Bucket, prefix, true) {
		if u.Err != nil {
			return n, fmt.Errorf("list uploads: %w", u.Err)
		}
		if time.Since(u.Initiated) < abandoned {
			continue
		}
		err := s.do(ctx, func() error {
			return s.core.AbortMultipartUpload(ctx, s.opts.Bucket, u.Key, u.UploadID)
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return n, fmt.Errorf("abort upload: %w", err)
		}
		n++
	}
	for o := range s.core.ListObjectsIter(ctx, s.opts.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return n, fmt.Errorf("list uploads: %w", o.Err)
		}
		if time.Since(o.LastModified) < abandoned {
			continue
		}
		if err := s.remove(ctx, o.Key); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.close()
	return nil
}

// source serves a blob from its object.
type source struct {
	s   *Store
	key string
}

func (o source) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return http.NoBody, nil
	}
	var opts minio.GetObjectOptions
	if err := opts.SetRange(off, off+n-1); err != nil {
		return nil, store.Permanent(err)
	}
	body, _, _, err := o.s.core.GetObject(ctx, o.s.opts.Bucket, o.key, opts)
	if err != nil {
		return nil, classify(err)
	}
	return body, nil
}

func (o source) Close() error { return nil }
