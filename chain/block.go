package chain

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// maxHeader and maxBlock bound encodings in bytes.
const (
	maxHeader = 512
	maxBlock  = MaxEntry + MaxEntryTxs*MaxResult + maxHeader
)

// A Header commits to one block and, through Prev, to all before it.
type Header struct {
	_        struct{} `cbor:",toarray"`
	Name     string   // "ward/v1/header"
	Chain    string   // id of the chain
	Height   uint64   // 0 for genesis
	Prev     Hash     // hash of the header before; of the consortium file for genesis
	Time     int64    // Unix milliseconds; never less than the one before
	Proposal Hash     // Proposal.Hash; zero for genesis
	Size     uint64   // leaves in the tree after this block
	Root     Hash     // RFC 6962 root of that tree
	State    Hash     // of the whole state after this block
}

// ParseHeader parses the bytes of a header.
func ParseHeader(data []byte) (*Header, error) {
	h := new(Header)
	if err := unmarshalNamed("header", maxHeader, data, h); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return h, nil
}

// Bytes returns the bytes that ParseHeader accepts.
func (h *Header) Bytes() ([]byte, error) { return h.append(make([]byte, 0, maxHeader)), nil }

// Hash returns the SHA-256 hash of Bytes.
func (h *Header) Hash() Hash {
	return sha256.Sum256(h.append(make([]byte, 0, maxHeader)))
}

func (h *Header) check() error {
	switch {
	case h.Name != nameHeader:
		return fmt.Errorf("name is not %q", nameHeader)
	case !validChainID(h.Chain):
		return errors.New("malformed chain id")
	case h.Time < 0:
		return errors.New("negative time")
	case (h.Height == 0) != (h.Size == 0) || (h.Height == 0) != h.Proposal.IsZero():
		return errors.New("genesis and only genesis has no transactions")
	}
	return nil
}

// A Block is a header with what it commits to: the proposal, without sidecars,
// and one result per transaction.
type Block struct {
	Header   Header
	Proposal Proposal
	Results  []Result
}

type blockWire struct {
	_        struct{} `cbor:",toarray"`
	Name     string   // "ward/v1/block"
	Header   Header
	Proposal Proposal
	Results  []Result
}

// ParseBlock parses the bytes of a block. It checks form only:
// links, trees and signatures are for package audit.
func ParseBlock(data []byte) (*Block, error) {
	var w blockWire
	if err := unmarshalNamed("block", maxBlock, data, &w); err != nil {
		return nil, err
	}
	b := &Block{Header: w.Header, Proposal: w.Proposal, Results: w.Results}
	if w.Name != nameBlock {
		return nil, fmt.Errorf("block: name is not %q", nameBlock)
	}
	if err := b.Header.check(); err != nil {
		return nil, fmt.Errorf("block: header: %w", err)
	}
	if err := b.Proposal.check(); err != nil {
		return nil, fmt.Errorf("block: proposal: %w", err)
	}
	if len(b.Results) != len(b.Proposal.Txs) {
		return nil, fmt.Errorf("block: %d results for %d transactions", len(b.Results), len(b.Proposal.Txs))
	}
	for i := range b.Results {
		if err := b.Results[i].check(); err != nil {
			return nil, fmt.Errorf("block: %w", err)
		}
	}
	return b, nil
}

// Bytes returns the bytes that ParseBlock accepts.
func (b *Block) Bytes() ([]byte, error) {
	return b.Append(nil)
}

// Append appends Bytes to dst.
func (b *Block) Append(dst []byte) ([]byte, error) {
	n := maxHeader + b.Proposal.size()
	for i := range b.Results {
		n += b.Results[i].size()
	}
	dst = slices.Grow(dst, n)
	dst = appendHead(dst, majorArray, 4)
	dst = appendText(dst, nameBlock)
	dst = b.Header.append(dst)
	dst = b.Proposal.append(dst)
	dst = appendHead(dst, majorArray, uint64(len(b.Results)))
	for i := range b.Results {
		dst = b.Results[i].append(dst)
	}
	return dst, nil
}

// Leaves returns the tree entries of the block, in order.
func (b *Block) Leaves() ([][]byte, error) {
	leaves := make([][]byte, len(b.Results))
	for i := range b.Results {
		r, err := b.Results[i].Bytes()
		if err != nil {
			return nil, err
		}
		if leaves[i], err = Leaf(b.Proposal.Txs[i], r); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

// Entry returns an entry for the block's proposal, without sidecars.
func (b *Block) Entry() (*Entry, error) {
	if err := b.Proposal.check(); err != nil {
		return nil, err
	}
	e := &Entry{Proposal: b.Proposal, Sidecars: make([][]byte, len(b.Proposal.Txs))}
	e.parseTxs()
	return e, nil
}
