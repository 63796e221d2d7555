package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/protocol"
)

// Sizes of answers, in bytes.
const (
	maxReceipt    = 1 << 20
	maxCheckpoint = 64 << 10
)

var _ ward.Node = (*Node)(nil)

// Submit implements ward.Node. The error is ward.ErrUnknown if the connection
// broke when the transaction may have reached the node.
func (n *Node) Submit(ctx context.Context, tx *chain.Tx, sidecar []byte) (*chain.Receipt, error) {
	body, err := chain.Marshal(protocol.Submission{Tx: tx.Bytes(), Sidecar: sidecar})
	if err != nil {
		return nil, err
	}
	b, sent, err := n.exchange(ctx, request{
		method: http.MethodPost, path: protocol.PathSubmit, mediaType: protocol.TypeCBOR, body: body, accept: protocol.TypeCBOR,
	}, maxReceipt)
	if err != nil {
		return nil, outcome(ctx, sent, err)
	}
	r, err := chain.ParseReceipt(b)
	if err != nil {
		return nil, n.malformed(err)
	}
	return r, nil
}

// outcome returns the error of a Submit. What the node itself refused, it did
// not submit, unless it says otherwise.
func outcome(ctx context.Context, sent bool, err error) error {
	broke := context.Cause(ctx) != nil || errors.Is(err, ward.ErrUnavailable) || errors.Is(err, protocol.ErrTooLarge)
	if sent && broke && !errors.Is(err, ward.ErrUnknown) {
		return &unknownError{err}
	}
	return err
}

// An unknownError is ward.ErrUnknown and says why. It is not what caused it: a
// caller that branches on ward.ErrUnavailable must not take it for a
// transaction that was never sent.
type unknownError struct{ cause error }

func (e *unknownError) Error() string { return fmt.Sprintf("%v: %v", ward.ErrUnknown, e.cause) }

func (e *unknownError) Is(target error) bool {
	return target == ward.ErrUnknown || target == context.Canceled && errors.Is(e.cause, target) ||
		target == context.DeadlineExceeded && errors.Is(e.cause, target)
}

// Ask implements ward.Node.
func (n *Node) Ask(ctx context.Context, question []byte) (*query.Answer, error) {
	a := new(query.Answer)
	err := n.fetch(ctx, request{method: http.MethodPost, path: protocol.PathAsk, mediaType: protocol.TypeCBOR, body: question}, protocol.MaxBody, a)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Receipt implements ward.Node.
func (n *Node) Receipt(ctx context.Context, index uint64) (*chain.Receipt, error) {
	b, err := n.get(ctx, request{method: http.MethodGet, path: at(protocol.PathReceipt, index), accept: protocol.TypeCBOR}, maxReceipt)
	if err != nil {
		return nil, err
	}
	r, err := chain.ParseReceipt(b)
	if err != nil {
		return nil, n.malformed(err)
	}
	return r, nil
}

// Sidecar implements ward.Node.
func (n *Node) Sidecar(ctx context.Context, index uint64) ([]byte, error) {
	return n.get(ctx, request{method: http.MethodGet, path: at(protocol.PathSidecar, index), accept: protocol.TypeBytes}, chain.MaxSidecar)
}

// Consortium implements ward.Node.
func (n *Node) Consortium(ctx context.Context, epoch uint64) ([][]byte, error) {
	var next [][]byte
	q := url.Values{"after": {strconv.FormatUint(epoch, 10)}}
	if err := n.fetch(ctx, request{method: http.MethodGet, path: protocol.PathConsortium, query: q}, protocol.MaxBody, &next); err != nil {
		return nil, err
	}
	return next, nil
}

// Checkpoint implements ward.Node.
func (n *Node) Checkpoint(ctx context.Context) (*chain.Checkpoint, error) {
	b, err := n.get(ctx, request{method: http.MethodGet, path: protocol.PathCheckpoint, accept: protocol.TypeNote}, maxCheckpoint)
	if err != nil {
		return nil, err
	}
	c, err := chain.ParseCheckpoint(b)
	if err != nil {
		return nil, n.malformed(err)
	}
	return c, nil
}

// PartialKeys implements ward.Node.
func (n *Node) PartialKeys(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	return n.parts(ctx, protocol.PathPartialKeys, index, without)
}

// Answers implements ward.Node.
func (n *Node) Answers(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	return n.parts(ctx, protocol.PathAnswers, index, without)
}

func (n *Node) parts(ctx context.Context, path string, index uint64, without []string) ([]ward.Part, error) {
	var parts []ward.Part
	q := url.Values{}
	if len(without) > 0 {
		q["without"] = without
	}
	if err := n.fetch(ctx, request{method: http.MethodGet, path: at(path, index), query: q}, protocol.MaxBody, &parts); err != nil {
		return nil, err
	}
	return parts, nil
}

// Accessed implements ward.Node.
func (n *Node) Accessed(ctx context.Context, index uint64) ([]ward.Sealed, error) {
	var records []ward.Sealed
	if err := n.fetch(ctx, request{method: http.MethodGet, path: at(protocol.PathAccessed, index)}, protocol.MaxBody, &records); err != nil {
		return nil, err
	}
	return records, nil
}

// Export implements ward.Node. When it returns nil, all of what the node sent
// was written.
func (n *Node) Export(ctx context.Context, w io.Writer) error {
	resp, _, err := n.do(ctx, request{method: http.MethodGet, path: protocol.PathExport})
	if err != nil {
		return err
	}
	defer resp.Body.Close() // it is read to its end, or the export failed
	failed := new(writeError)
	_, err = io.Copy(&blamed{w, failed}, resp.Body)
	switch {
	case failed.err != nil:
		return fmt.Errorf("export: %w", failed.err)
	case err != nil:
		return fmt.Errorf("export: %w", n.broken(ctx, err))
	}
	return nil
}

// blamed tells errors of its writer from those of what is read.
type blamed struct {
	io.Writer
	failed *writeError
}

type writeError struct{ err error }

func (b *blamed) Write(p []byte) (int, error) {
	k, err := b.Writer.Write(p)
	b.failed.err = err
	return k, err
}
