package ledger

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/chain"
)

const nameHead = "ward/v1/ledger-head"

// A Head is the end of the chain: all that is needed, beside the state, to
// append a block. It must not be changed.
type Head struct {
	Header chain.Header
	Tree   chain.Tree // edge of the tree, with the header's size and root
	Digest *Digest    // of the state, with the header's state hash
}

type headWire struct {
	_      struct{} `cbor:",toarray"`
	Name   string   // "ward/v1/ledger-head"
	Header []byte
	Edge   []chain.Hash
	Digest []byte
}

// Genesis returns the head at height 0 for a founding consortium file and the
// writes that make the state at that height.
func Genesis(k *chain.Consortium) (*Head, []Write, error) {
	file, err := k.Bytes()
	if err != nil {
		return nil, nil, err
	}
	writes := []Write{{Key: []byte(keyConsortium), Value: file}}
	d := new(Digest)
	d.Add(writes[0].Key, writes[0].Value)
	header, err := k.Genesis(d.Sum())
	if err != nil {
		return nil, nil, err
	}
	return &Head{Header: *header, Digest: d}, writes, nil
}

// ParseHead parses the bytes of a head, 2.2 to 4.5 KB, and checks that the
// digest and the tree's edge are those the header commits to. It trusts the
// header: compare its hash with a certified checkpoint.
func ParseHead(data []byte) (*Head, error) {
	var w headWire
	if len(data) > 8<<10 {
		return nil, fmt.Errorf("head: %d bytes, limit %d", len(data), 8<<10)
	}
	if err := chain.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	if w.Name != nameHead {
		return nil, fmt.Errorf("head: name is not %q", nameHead)
	}
	header, err := chain.ParseHeader(w.Header)
	if err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	tree, err := chain.NewTree(header.Size, w.Edge)
	if err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	digest, err := parseDigest(w.Digest)
	if err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	if tree.Root() != header.Root {
		return nil, errors.New("head: tree edge is not that of the header")
	}
	if digest.Sum() != header.State {
		return nil, errors.New("head: state digest is not that of the header")
	}
	return &Head{Header: *header, Tree: tree, Digest: digest}, nil
}

// Bytes returns the bytes that ParseHead accepts.
func (h *Head) Bytes() ([]byte, error) {
	header, err := h.Header.Bytes()
	if err != nil {
		return nil, err
	}
	return chain.Marshal(headWire{Name: nameHead, Header: header, Edge: h.Tree.Edge(), Digest: h.Digest.bytes()})
}
