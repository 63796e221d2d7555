package replica

import (
	"fmt"
	"math/bits"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
)

// prover makes the inclusion proofs of receipts. A proof consists of roots of
// complete subtrees, which are stored, and at most one hash of the incomplete
// right edge, which is the same for all leaves: it is computed once for a tree.
type prover struct {
	hashes tlog.HashReader

	mu   sync.Mutex
	edge *edge // guarded by mu; of the tree last asked for
}

// edge is the right edge of a tree: its complete subtrees from the left.
type edge struct {
	size  int64
	from  []int64     // first leaf of each subtree, and the size
	roots []tlog.Hash // of each subtree
	rest  []tlog.Hash // of what begins with each subtree
}

// prove returns the RFC 6962 inclusion proof of a leaf in the tree of this size,
// which it is in.
func (p *prover) prove(size, leaf int64) ([]chain.Hash, error) {
	if leaf < 0 || leaf >= size {
		return nil, fmt.Errorf("leaf %d is not in a tree of %d", leaf, size)
	}
	e, err := p.edgeOf(size)
	if err != nil {
		return nil, err
	}
	at := 0
	for e.from[at+1] <= leaf {
		at++
	}
	// Within its complete subtree the siblings of a leaf are stored.
	first, width := e.from[at], e.from[at+1]-e.from[at]
	height := bits.TrailingZeros64(uint64(width))
	indexes := make([]int64, height)
	for level := range height {
		indexes[level] = tlog.StoredHashIndex(level, (leaf>>level)^1)
	}
	inside, err := p.hashes.ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("proof of leaf %d from %d: %w", leaf, first, err)
	}
	proof := make([]chain.Hash, 0, height+at+1)
	for _, h := range inside {
		proof = append(proof, chain.Hash(h))
	}
	if at+1 < len(e.roots) {
		proof = append(proof, chain.Hash(e.rest[at+1]))
	}
	for i := at - 1; i >= 0; i-- {
		proof = append(proof, chain.Hash(e.roots[i]))
	}
	return proof, nil
}

func (p *prover) edgeOf(size int64) (*edge, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.edge != nil && p.edge.size == size {
		return p.edge, nil
	}
	e := &edge{size: size}
	var indexes []int64
	for from := int64(0); from < size; {
		level := bits.Len64(uint64(size-from)) - 1
		e.from = append(e.from, from)
		indexes = append(indexes, tlog.StoredHashIndex(level, from>>level))
		from += 1 << level
	}
	e.from = append(e.from, size)
	var err error
	if e.roots, err = p.hashes.ReadHashes(indexes); err != nil {
		return nil, fmt.Errorf("edge of a tree of %d: %w", size, err)
	}
	e.rest = make([]tlog.Hash, len(e.roots))
	for i := len(e.roots) - 1; i >= 0; i-- {
		e.rest[i] = e.roots[i]
		if i+1 < len(e.roots) {
			e.rest[i] = tlog.NodeHash(e.roots[i], e.rest[i+1])
		}
	}
	p.edge = e
	return e, nil
}
