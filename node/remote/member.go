package remote

import (
	"context"
	"net/http"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/store"
)

// What members ask each other. A node answers it to nobody else: Options.Signer
// is the node key of the member that asks.

// Attest asks for the member's own word on a question. The caller checks the
// attestation.
func (n *Node) Attest(ctx context.Context, question []byte) (value []byte, code chain.Code, a query.Attestation, err error) {
	var all protocol.Attested
	err = n.fetch(ctx, request{method: http.MethodPost, path: protocol.PathAttest, mediaType: protocol.TypeCBOR, body: question}, protocol.MaxBody, &all)
	if err != nil {
		return nil, "", query.Attestation{}, err
	}
	return all.Value, all.Code, all.Attestation, nil
}

// PartialKey asks for the member's own part for a key request.
func (n *Node) PartialKey(ctx context.Context, index uint64) (ward.Part, error) {
	return n.part(ctx, protocol.PathPartialKey, index)
}

// AnswerAccess asks for the member's own answer to an access.
func (n *Node) AnswerAccess(ctx context.Context, index uint64) (ward.Part, error) {
	return n.part(ctx, protocol.PathAnswer, index)
}

func (n *Node) part(ctx context.Context, path string, index uint64) (ward.Part, error) {
	var p ward.Part
	if err := n.fetch(ctx, request{method: http.MethodGet, path: at(path, index)}, maxPart, &p); err != nil {
		return ward.Part{}, err
	}
	return p, nil
}

const maxPart = 128 << 10 // bytes

// SignHead asks for the member's part of the threshold signature on the
// certified checkpoint at a height.
func (n *Node) SignHead(ctx context.Context, height uint64) ([]byte, error) {
	return n.get(ctx, request{method: http.MethodGet, path: at(protocol.PathSignHead, height), accept: protocol.TypeBytes}, maxPart)
}

// Endorse asks for the member's consent to the next consortium file.
func (n *Node) Endorse(ctx context.Context, next *chain.Consortium) (chain.Endorsement, error) {
	file, err := next.Bytes()
	if err != nil {
		return chain.Endorsement{}, err
	}
	var e chain.Endorsement
	err = n.fetch(ctx, request{method: http.MethodPost, path: protocol.PathEndorse, mediaType: protocol.TypeJSON, body: file}, maxPart, &e)
	if err != nil {
		return chain.Endorsement{}, err
	}
	return e, nil
}

// Blobs implements ward.Node. Listing and deleting are for the operator of the
// node: whoever has its key.
func (n *Node) Blobs() store.Store { return &blobs{n, protocol.PathBlobs} }

// LocalBlobs returns what the member stores itself.
func (n *Node) LocalBlobs() store.Store { return &blobs{n, protocol.PathLocalBlobs} }
