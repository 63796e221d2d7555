package chain

import (
	"crypto/sha256"
	"errors"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// A Tree is the right edge of an RFC 6962 tree: enough to append leaves and to
// compute the root, at most 64 hashes. The zero Tree is empty.
type Tree struct {
	size uint64
	edge []Hash // roots of the complete subtrees, largest first
}

// NewTree returns the tree with this many leaves and this edge: the roots of
// its complete subtrees, largest first.
func NewTree(size uint64, edge []Hash) (Tree, error) {
	if bits.OnesCount64(size) != len(edge) {
		return Tree{}, errors.New("tree edge does not fit the tree size")
	}
	return Tree{size, edge[:len(edge):len(edge)]}, nil
}

// Size returns the number of leaves.
func (t Tree) Size() uint64 { return t.size }

// Edge returns the roots of the complete subtrees, largest first. The caller
// must not change it.
func (t Tree) Edge() []Hash { return t.edge }

// Root returns the RFC 6962 tree hash. That of the empty tree is the SHA-256
// hash of nothing.
func (t Tree) Root() Hash {
	if len(t.edge) == 0 {
		return sha256.Sum256(nil)
	}
	root := t.edge[len(t.edge)-1]
	for i := len(t.edge) - 2; i >= 0; i-- {
		root = nodeHash(t.edge[i], root)
	}
	return root
}

// Append returns the tree with one more leaf, given as its entry, and appends
// to stored the hashes that become complete, in the order in which
// [tlog.StoredHashIndex] numbers them. It leaves t as it was.
func (t Tree) Append(leaf []byte, stored []tlog.Hash) (Tree, []tlog.Hash) {
	h := leafHash(leaf)
	stored = append(stored, tlog.Hash(h))
	edge := t.edge
	for n := t.size; n&1 == 1; n >>= 1 {
		h = nodeHash(edge[len(edge)-1], h)
		edge = edge[:len(edge)-1]
		stored = append(stored, tlog.Hash(h))
	}
	next := make([]Hash, len(edge), len(edge)+1)
	copy(next, edge)
	return Tree{t.size + 1, append(next, h)}, stored
}

// AppendBlock appends the leaves of a block, as Append does one by one.
func (t Tree) AppendBlock(b *Block) (Tree, []tlog.Hash, error) {
	stored := make([]tlog.Hash, 0, 2*len(b.Results))
	edge := append(make([]Hash, 0, 65), t.edge...)
	var buf, result []byte
	for i := range b.Results {
		var err error
		if result, err = b.Results[i].appendTo(result[:0]); err != nil {
			return Tree{}, nil, err
		}
		buf = appendLeaf(append(buf[:0], 0), b.Proposal.Txs[i], result) // RFC 6962: 0 before a leaf
		h := Hash(sha256.Sum256(buf))
		stored = append(stored, tlog.Hash(h))
		for n := t.size; n&1 == 1; n >>= 1 {
			h = nodeHash(edge[len(edge)-1], h)
			edge = edge[:len(edge)-1]
			stored = append(stored, tlog.Hash(h))
		}
		edge = append(edge, h)
		t.size++
	}
	return Tree{t.size, edge[:len(edge):len(edge)]}, stored, nil
}

func leafHash(entry []byte) Hash { return Hash(tlog.RecordHash(entry)) }

func nodeHash(left, right Hash) Hash {
	var buf [1 + 2*len(Hash{})]byte
	buf[0] = 1 // RFC 6962: 1 before a node
	copy(buf[1:], left[:])
	copy(buf[1+len(left):], right[:])
	return sha256.Sum256(buf[:])
}
