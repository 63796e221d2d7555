package ward

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/seal"
)

// A Record describes a record that is put: what the chain shows of it, and what
// only those who may read it see.
type Record struct {
	Owner identity.Name
	Type  pre.Type
	Dated time.Time // when what it tells of happened; the chain shows the day. Zero means today
	// Replaces is a record that this one supersedes.
	Replaces record.ID

	Title     string // sealed
	MediaType string // sealed
	Filename  string // sealed
}

// Put encrypts what it reads from payload, stores it, and puts a record of it on
// the chain for its owner, who need not know. When it returns, the record is
// certified and its payload durable on f+1 members. A nil payload makes a
// record that is its sealed title alone.
//
// If the error matches ErrUnknown the record may be on the chain or not yet:
// its id is returned with the error. If payload fails, nothing is put, and the
// error wraps the payload's.
func (c *Client) Put(ctx context.Context, r Record, payload io.Reader) (record.ID, error) {
	id, err := c.put(ctx, r, payload)
	if err != nil {
		return id, fmt.Errorf("put record: %w", err)
	}
	return id, nil
}

func (c *Client) put(ctx context.Context, r Record, payload io.Reader) (record.ID, error) {
	if r.Dated.IsZero() {
		r.Dated = c.clock()
	}
	index := sealedIndex{
		Name: nameIndex, Title: r.Title, MediaType: r.MediaType, Filename: r.Filename, Dated: r.Dated.UnixMilli(),
	}
	if err := index.check(); err != nil {
		return "", err
	}
	if _, err := pre.ParseType(string(r.Type)); err != nil {
		return "", err
	}
	if _, err := c.known(ctx, r.Owner); err != nil { // before anything is stored
		return "", ownerError(err)
	}
	if payload != nil {
		if err := c.store(ctx, &index, payload); err != nil {
			return "", err
		}
	}
	id, err := record.GenerateID()
	if err != nil {
		return "", err
	}
	if err = c.putRecord(ctx, id, &r, &index); errors.Is(err, record.ErrStale) {
		c.forget(r.Owner) // it raised its epoch, or changed its key, a moment ago
		err = c.putRecord(ctx, id, &r, &index)
	}
	if err != nil && !errors.Is(err, ErrUnknown) {
		id = ""
	}
	return id, err
}

func ownerError(err error) error {
	if errors.Is(err, identity.ErrUnknown) {
		return also{record.ErrOwner, ErrNotFound}
	}
	return err
}

// store seals the payload into a node's store and describes it in the index. A
// payload that was partly read can go to another node only if it can be read
// again from the start.
func (c *Client) store(ctx context.Context, index *sealedIndex, payload io.Reader) error {
	src := &countingReader{r: payload}
	return c.try(ctx, func(n Node) error {
		if src.n > 0 {
			s, ok := payload.(io.Seeker)
			if !ok {
				return settled{errors.New("payload was read in part and cannot be read again")}
			}
			if _, err := s.Seek(0, io.SeekStart); err != nil {
				return settled{fmt.Errorf("read payload again: %w", err)}
			}
			src.n = 0
		}
		hash := sha256.New()
		p, err := seal.Put(ctx, n.Blobs(), src, seal.Options{Hash: hash})
		switch {
		case src.err != nil:
			return settled{fmt.Errorf("read payload: %w", src.err)}
		case err != nil && src.n > 0 && !seekable(payload):
			return settled{fmt.Errorf("store payload: %w", err)}
		case err != nil:
			return fmt.Errorf("store payload: %w", err)
		case p.Size != src.n:
			return fmt.Errorf("store payload: %w: %d bytes of %d were sealed", ErrIntegrity, p.Size, src.n)
		}
		index.Size, index.Hash, index.Ref, index.Key = p.Size, [32]byte(hash.Sum(nil)), p.Ref.Bytes(), p.Key[:]
		return nil
	})
}

func seekable(r io.Reader) bool {
	_, ok := r.(io.Seeker)
	return ok
}

// A countingReader counts what was read and remembers what failed.
type countingReader struct {
	r   io.Reader
	n   int64
	err error
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// putRecord encapsulates to the owner as it is known and submits.
func (c *Client) putRecord(ctx context.Context, id record.ID, r *Record, index *sealedIndex) error {
	owner, err := c.recipient(ctx, r.Owner, true)
	if err != nil {
		return ownerError(err)
	}
	plain, err := index.bytes()
	if err != nil {
		return err
	}
	defer clear(plain)
	header := pre.Header{Record: string(id), Owner: owner, Type: r.Type, Author: string(c.wallet.Name())}
	envelope, sealed, err := c.writer.Encapsulate(header, plain)
	if err != nil {
		return err
	}
	args := record.PutArgs{
		ID: id, Owner: r.Owner, Type: r.Type, Version: owner.Version, Epoch: owner.Epoch,
		Envelope: envelope.Bytes(), Payload: index.Ref, Dated: day(index.Dated), Replaces: r.Replaces,
	}
	if len(index.Ref) > 0 {
		args.Size = uint64(seal.SealedSize(index.Size))
	}
	_, err = c.submit(ctx, record.Contract, record.MethodPut, args, sealed, c.wallet.Signer())
	return err
}

// recipient returns an identity as others seal to it; cached says that one of a
// minute ago will do.
func (c *Client) recipient(ctx context.Context, name identity.Name, cached bool) (pre.Identity, error) {
	look := c.Identity
	if cached {
		look = c.known
	}
	id, err := look(ctx, name)
	if err != nil {
		return pre.Identity{}, err
	}
	p, err := c.extraction(ctx)
	if err != nil {
		return pre.Identity{}, err
	}
	return id.Recipient(c.wallet.Chain(), p)
}

// Erase erases a record of the caller's own: every member deletes its sealed
// index, and its payload unless another record refers to it. A tombstone stays.
func (c *Client) Erase(ctx context.Context, id record.ID) error {
	_, err := c.submit(ctx, record.Contract, record.MethodErase, record.EraseArgs{ID: id}, nil, c.wallet.Signer())
	if err != nil {
		return fmt.Errorf("erase record %s: %w", id, err)
	}
	return nil
}

// blobError turns an error of a store into one of this package's.
func blobError(err error) error {
	var corrupt *store.CorruptError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.As(err, &corrupt), errors.Is(err, seal.ErrOpen):
		return fmt.Errorf("%w: %w", ErrIntegrity, err)
	}
	return err
}
