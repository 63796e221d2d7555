// Package store keeps sealed payloads: blobs of any size, named by their
// content, on media that are not trusted.
//
// A blob is written once and never changes. Its name, a Ref, is the CID that
// IPFS gives its bytes, computed here and never taken from a server; so a blob
// has one name in every back end and a reader can check what it gets. Package
// seal makes the blobs; this package and its back ends never see a key or a
// plaintext.
//
// What is checked before a byte leaves a Blob: the size and the hash tree
// against the Ref, before the first; the leaf of LeafSize bytes that holds it
// against the tree; and for blobs of at most WholeSize bytes, all of it. So of
// a blob that was exchanged, cut short or replaced by an old one, nothing
// leaves. Of a larger blob that was altered in the middle, the true bytes in
// front of the altered leaf may have left; Verify reads ahead for callers who
// cannot have that.
//
// SPEC.md beside this file gives the bytes of Refs and hash trees.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// A Store keeps blobs. All methods may be called concurrently, also from
// several processes on one medium. They return soon after ctx is done, except
// that Put cannot interrupt a Read of its source.
//
// Package storetest holds the tests that every implementation passes.
type Store interface {
	// Put reads r to its end and stores what it read. When it returns nil, the
	// blob is durable. It streams in constant memory. If r fails, Put returns
	// an error that wraps r's and the store is as before. Storing a blob that
	// is already there writes it again, which mends a damaged one.
	Put(ctx context.Context, r io.Reader) (Ref, error)

	// Open returns the blob for reading. A blob that is not there is an error
	// matching ErrNotFound; one that is found damaged, a *CorruptError, here
	// or when it is read. The caller must close the blob.
	Open(ctx context.Context, ref Ref) (*Blob, error)

	// Stat says what the medium knows about a blob, unchecked, or returns an
	// error matching ErrNotFound.
	Stat(ctx context.Context, ref Ref) (Info, error)

	// Delete removes the blob. When it returns nil, the removal is durable and
	// every later Open says ErrNotFound. Deleting what is not there is no
	// error.
	Delete(ctx context.Context, ref Ref) error

	// List yields every blob in no particular order, and ends after the first
	// error. Blobs that come or go meanwhile may be listed or not.
	List(ctx context.Context) iter.Seq2[Info, error]

	// Close releases what the store holds open. Blobs that are open stay
	// readable. It does nothing the second time.
	Close() error
}

// Info is what a medium says about a blob. It is not checked against anything.
type Info struct {
	Ref  Ref
	Size int64     // bytes
	Time time.Time // when it was last Put, to the second or better
}

// ErrNotFound is matched by the errors for blobs that are not there.
var ErrNotFound = errors.New("blob not found")

// NotFound returns the error of a back end for a blob it does not have.
func NotFound(ref Ref) error { return fmt.Errorf("%w: %s", ErrNotFound, ref) }

// ErrFull is matched by the error of a Put that would leave the medium with
// less free space than configured.
var ErrFull = errors.New("store is full")

// ErrReader is matched by the error of a Put whose source failed. The store
// itself may be in order.
var ErrReader = errors.New("source of the blob failed")

// A CorruptError says that a medium holds something else than the blob asked
// for.
type CorruptError struct {
	Ref    Ref
	Offset int64 // of the damaged leaf in the blob; 0 if all of it is suspect
	Reason string
}

// Error names the blob, the offset and the reason.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("blob %s is damaged at byte %d: %s", e.Ref, e.Offset, e.Reason)
}

// Has reports whether s holds the blob, without checking it.
func Has(ctx context.Context, s Store, ref Ref) (bool, error) {
	_, err := s.Stat(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Verify reads the whole blob and returns nil if every byte is right.
func Verify(ctx context.Context, s Store, ref Ref) error {
	_, err := copyOut(ctx, io.Discard, s, ref)
	return err
}

// Copy copies a blob between stores. Nothing but the blob that ref names ever
// becomes durable under its name in to.
func Copy(ctx context.Context, to, from Store, ref Ref) error {
	b, err := from.Open(ctx, ref)
	if err != nil {
		return err
	}
	defer b.Close()
	r := b.NewReader(ctx)
	defer r.Close()
	got, err := to.Put(ctx, r)
	if err != nil {
		return err
	}
	if got != ref {
		return &CorruptError{Ref: ref, Reason: "the other store names the copy " + got.String()}
	}
	return nil
}

func copyOut(ctx context.Context, w io.Writer, s Store, ref Ref) (int64, error) {
	b, err := s.Open(ctx, ref)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	r := b.NewReader(ctx)
	defer r.Close()
	return io.Copy(w, r)
}
