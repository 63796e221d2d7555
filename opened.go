package ward

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/store/seal"
)

// An Opened is a record that was opened: its entry, and its payload to be read.
type Opened struct {
	Entry
	client  *Client
	payload seal.Payload
}

// Format prints the record's id, never what was sealed.
func (o Opened) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "opened record %s", o.ID) }

// openIndex opens the sealed index of a record with its key.
func (c *Client) openIndex(key *pre.RecordKey, r *record.Record, sealed []byte) (*Opened, error) {
	if len(sealed) == 0 {
		return nil, coded(record.ErrErased)
	}
	plain, err := key.OpenIndex(sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: sealed index: %w", ErrIntegrity, err)
	}
	defer clear(plain)
	i, err := parseIndex(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIntegrity, err)
	}
	if !i.matches(r) {
		return nil, fmt.Errorf("%w: sealed index does not describe the payload that the chain knows of", ErrIntegrity)
	}
	o := &Opened{Entry: entryOf(r), client: c, payload: i.payload()}
	i.fill(&o.Entry)
	return o, nil
}

// Open opens the payload for reading, checked as it is read: what package
// store/seal promises of every byte, and at the end that all of it has the hash
// that its author put in the sealed index. If a node fails, the next goes on
// where it stopped. The caller closes it.
func (o *Opened) Open(ctx context.Context) (io.ReadCloser, error) {
	if o.payload.Ref.IsZero() {
		return nil, fmt.Errorf("open payload of %s: %w: the record has none", o.ID, ErrNotFound)
	}
	r := &payloadReader{ctx: ctx, o: o, hash: sha256.New()}
	if err := r.next(nil); err != nil {
		return nil, fmt.Errorf("open payload of %s: %w", o.ID, err)
	}
	return r, nil
}

// A payloadReader reads a payload from one node after the other.
type payloadReader struct {
	ctx  context.Context // of Open, which lasts as long as the reader
	o    *Opened
	node int // index of the next node to try
	cur  *seal.Reader
	seq  bool // cur has been read from the start
	off  int64
	hash hash.Hash
	err  error // what every Read returns from now on
}

// next opens the payload at the next node that has it. Cause is why the one
// before failed.
func (r *payloadReader) next(cause error) error {
	var tried triedError
	if cause != nil {
		tried = append(tried, cause)
	}
	if r.cur != nil {
		r.cur.Close()
		r.cur = nil
	}
	for nodes := r.o.client.nodes; r.node < len(nodes) && r.ctx.Err() == nil; {
		n := nodes[r.node]
		r.node++
		cur, err := seal.Open(r.ctx, n.Blobs(), r.o.payload)
		if err == nil {
			r.cur, r.seq = cur, r.off == 0
			return nil
		}
		tried = append(tried, blobError(err))
	}
	if r.ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(r.ctx), tried)
	}
	return tried
}

// Read implements io.Reader.
func (r *payloadReader) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	for {
		n, err := r.read(p)
		r.off += int64(n)
		r.hash.Write(p[:n])
		switch {
		case errors.Is(err, io.EOF):
			r.err = r.finish()
			return n, r.err
		case n > 0:
			return n, nil // an error comes again
		case err != nil:
			if err = r.next(blobError(err)); err != nil {
				r.err = fmt.Errorf("read payload of %s: %w", r.o.ID, err)
				return 0, r.err
			}
		}
	}
}

// WriteTo implements io.WriterTo: package seal opens a payload on several
// processors when it may write.
func (r *payloadReader) WriteTo(w io.Writer) (int64, error) {
	out := &payloadWriter{r: r, w: w}
	for r.err == nil && r.seq {
		_, err := r.cur.WriteTo(out)
		switch {
		case out.err != nil:
			return out.n, out.err
		case err == nil:
			r.err = r.finish()
		default:
			if err = r.next(blobError(err)); err != nil {
				r.err = fmt.Errorf("read payload of %s: %w", r.o.ID, err)
			}
		}
	}
	if r.err == nil { // another node goes on from the middle
		if _, err := io.Copy(out, readerOnly{r}); err != nil {
			return out.n, err
		}
	}
	if errors.Is(r.err, io.EOF) {
		return out.n, nil
	}
	return out.n, r.err
}

// A payloadWriter counts and hashes what w took.
type payloadWriter struct {
	r   *payloadReader
	w   io.Writer
	n   int64
	err error // of w
}

func (o *payloadWriter) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.n += int64(n)
	if o.r.seq {
		o.r.off += int64(n)
		o.r.hash.Write(p[:n])
	}
	o.err = err
	return n, err
}

// readerOnly hides WriteTo.
type readerOnly struct{ io.Reader }

// read reads on where the last node stopped.
func (r *payloadReader) read(p []byte) (int, error) {
	if r.seq {
		return r.cur.Read(p)
	}
	if r.off == r.o.payload.Size {
		return 0, io.EOF
	}
	n, err := r.cur.ReadAt(p[:min(int64(len(p)), r.o.payload.Size-r.off)], r.off)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// finish checks the whole.
func (r *payloadReader) finish() error {
	sum := r.hash.Sum(nil)
	if r.off != r.o.payload.Size || subtle.ConstantTimeCompare(sum, r.o.Hash[:]) != 1 {
		return fmt.Errorf("read payload of %s: %w: it is not what its author described", r.o.ID, ErrIntegrity)
	}
	return io.EOF
}

// Close stops reading. It does nothing the second time.
func (r *payloadReader) Close() error {
	if r.err == nil {
		r.err = errors.New("payload is closed")
	}
	if r.cur == nil {
		return nil
	}
	cur := r.cur
	r.cur = nil
	return cur.Close()
}

// Get opens one record and writes its payload to w: the caller's own, one of the
// owner for whom the client acts, or one under a grant. If reading or w fails half-way, what was written is a true
// beginning of the payload, and the error says so; the entry is returned all
// the same.
func (c *Client) Get(ctx context.Context, id record.ID, p Purpose, w io.Writer) (*Entry, error) {
	o, err := c.Open(ctx, id, p)
	if err != nil {
		return nil, fmt.Errorf("get record %s: %w", id, err)
	}
	if o.payload.Ref.IsZero() {
		return &o.Entry, nil
	}
	r, err := o.Open(ctx)
	if err != nil {
		return &o.Entry, fmt.Errorf("get record %s: %w", id, err)
	}
	if _, err := io.Copy(w, r); err != nil {
		return &o.Entry, errors.Join(fmt.Errorf("get record %s: %w", id, err), r.Close())
	}
	return &o.Entry, r.Close()
}

// Open opens one record: the caller's own, one of the owner for whom the client
// acts, or one under a grant.
func (c *Client) Open(ctx context.Context, id record.ID, p Purpose) (*Opened, error) {
	r, err := c.record(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.Owner == c.wallet.Name() || r.Owner == c.owner {
		return c.openOwn(ctx, r)
	}
	opened, err := c.Access(ctx, "", []record.ID{id}, p)
	if err != nil {
		return nil, err
	}
	return opened[0], nil
}

// openOwn opens a record of the caller's own, which needs no grant and leaves no
// access in the log, or one of a ward, of which the log has the request for the
// key.
func (c *Client) openOwn(ctx context.Context, r *record.Record) (*Opened, error) {
	if r.Erased != 0 {
		return nil, coded(record.ErrErased)
	}
	if r.Owner != c.wallet.Name() {
		if err := c.mayOpen(ctx); err != nil {
			return nil, err
		}
	}
	verified, err := r.Verified(c.wallet.Chain())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIntegrity, err)
	}
	owner := verified.Header().Owner
	key, err := c.keyOf(ctx, owner, r.Type)
	if err != nil {
		return nil, err
	}
	defer key.Erase()
	rk, err := key.OpenRecord(verified)
	if err != nil {
		return nil, fmt.Errorf("record does not open: %w", err)
	}
	defer rk.Erase()
	var out *Opened
	err = c.try(ctx, func(n Node) error {
		sealed, err := n.Sidecar(ctx, r.Index)
		if err != nil {
			return err
		}
		out, err = c.openIndex(rk, r, sealed)
		return err
	})
	return out, err
}
