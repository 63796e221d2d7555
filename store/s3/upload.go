package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/ward-health/ward/store"
)

// An upload takes the bytes of one blob. If they fit one part, they go to the
// blob's name when it is known; otherwise part by part to key, from where the
// server copies them.
type upload struct {
	ctx   context.Context // of the Put that the upload is made for
	s     *Store
	key   string
	id    string // of the multipart upload, once there is one
	parts []minio.CompletePart
	buf   []byte
	whole bool // key exists as an object
}

// Write implements io.Writer.
func (u *upload) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if len(u.buf) == u.s.opts.PartSize {
			if err := u.sendPart(); err != nil {
				return 0, err
			}
		}
		n := min(len(p), u.s.opts.PartSize-len(u.buf))
		u.buf = append(u.buf, p[:n]...)
		p = p[n:]
	}
	return total, nil
}

func (u *upload) sendPart() error {
	bucket := u.s.opts.Bucket
	if u.id == "" {
		err := u.s.do(u.ctx, func() (err error) {
			u.id, err = u.s.core.NewMultipartUpload(u.ctx, bucket, u.key, minio.PutObjectOptions{})
			return err
		})
		if err != nil {
			return fmt.Errorf("begin upload: %w", err)
		}
	}
	n := len(u.parts) + 1
	if n > maxParts {
		return fmt.Errorf("blob has more than %d parts of %d bytes", maxParts, u.s.opts.PartSize)
	}
	err := u.s.do(u.ctx, func() error {
		part, err := u.s.core.PutObjectPart(u.ctx, bucket, u.key, u.id, n,
			bytes.NewReader(u.buf), int64(len(u.buf)), minio.PutObjectPartOptions{})
		if err != nil {
			return err
		}
		u.parts = append(u.parts, minio.CompletePart{PartNumber: n, ETag: part.ETag})
		return nil
	})
	if err != nil {
		return fmt.Errorf("upload part %d: %w", n, err)
	}
	u.buf = u.buf[:0]
	return nil
}

// finish gives the blob its name. The hash tree comes first: where the blob is,
// its tree is.
func (u *upload) finish(ob *store.Outboard) error {
	ref := ob.Ref()
	if ob.Size() > store.LeafSize {
		if err := u.put(u.s.outboardKey(ref), ob.Bytes()); err != nil {
			return err
		}
	}
	if u.id == "" {
		return u.put(u.s.blobKey(ref), u.buf)
	}
	if err := u.sendPart(); err != nil {
		return err
	}
	bucket := u.s.opts.Bucket
	err := u.s.do(u.ctx, func() error {
		_, err := u.s.core.CompleteMultipartUpload(u.ctx, bucket, u.key, u.id, u.parts, minio.PutObjectOptions{})
		if err != nil {
			// The answer of an earlier attempt may have been lost: then the
			// upload is complete already.
			if info, statErr := u.s.core.StatObject(u.ctx, bucket, u.key, minio.StatObjectOptions{}); statErr == nil && info.Size == ob.Size() {
				return nil
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("complete upload: %w", err)
	}
	u.whole = true
	err = u.s.do(u.ctx, func() error {
		_, err := u.s.core.ComposeObject(u.ctx,
			minio.CopyDestOptions{Bucket: bucket, Object: u.s.blobKey(ref)},
			minio.CopySrcOptions{Bucket: bucket, Object: u.key})
		return err
	})
	if err != nil {
		return fmt.Errorf("name upload: %w", err)
	}
	// The blob is stored. What cannot be removed now, Tidy removes.
	_ = u.abort()
	return nil
}

func (u *upload) put(key string, data []byte) error {
	err := u.s.do(u.ctx, func() error {
		_, err := u.s.core.PutObject(u.ctx, u.s.opts.Bucket, key,
			bytes.NewReader(data), int64(len(data)), "", "", minio.PutObjectOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("upload blob: %w", err)
	}
	return nil
}

// abort removes what was uploaded to key, also when the context is done.
func (u *upload) abort() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), 10*time.Second)
	defer cancel()
	switch {
	case u.whole:
		u.whole = false
		return u.s.remove(ctx, u.key)
	case u.id != "":
		err := classify(u.s.core.AbortMultipartUpload(ctx, u.s.opts.Bucket, u.key, u.id))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}
	return nil
}
