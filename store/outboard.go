package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// LeafSize is the size in bytes of every leaf of a blob but the last, which
// may be shorter. It is part of the format: a Ref depends on it.
const LeafSize = 256 << 10

// outboardMagic begins the encoding of an Outboard.
const outboardMagic = "ward-outboard-v1\n"

// maxOutboard bounds the leaves of one blob: 16 TiB.
const maxOutboard = 1 << 26

// errBadOutboard is wrapped by every error of ParseOutboard.
var errBadOutboard = errors.New("malformed outboard")

// An Outboard is the hash tree of a blob kept beside it: the digests of its
// leaves. With it any leaf can be checked against the blob's Ref without the
// other leaves. It is immutable.
type Outboard struct {
	ref    Ref
	size   int64
	leaves []byte // sha256.Size bytes for each leaf
}

// newOutboard computes the Ref of a blob of size bytes with these leaves.
func newOutboard(size int64, leaves []byte) *Outboard {
	o := &Outboard{size: size, leaves: leaves}
	o.ref = o.build(nil)
	return o
}

// ParseOutboard parses the encoding of an Outboard and checks that it belongs
// to the blob that ref names, so that it may come from anywhere. A blob of one
// leaf has none: its Ref is the digest of the leaf and says nothing of the size.
func ParseOutboard(b []byte, ref Ref) (*Outboard, error) {
	rest, ok := bytes.CutPrefix(b, []byte(outboardMagic))
	if !ok || len(rest) < 8 {
		return nil, fmt.Errorf("%w: no header", errBadOutboard)
	}
	size := binary.BigEndian.Uint64(rest)
	rest = rest[8:]
	if size <= LeafSize || size > maxOutboard*LeafSize {
		return nil, fmt.Errorf("%w: blob of %d bytes", errBadOutboard, size)
	}
	if want := numLeaves(int64(size)) * sha256.Size; int64(len(rest)) != want {
		return nil, fmt.Errorf("%w: %d bytes of digests, want %d", errBadOutboard, len(rest), want)
	}
	o := newOutboard(int64(size), bytes.Clone(rest))
	if o.ref != ref {
		return nil, fmt.Errorf("%w: it belongs to another blob", errBadOutboard)
	}
	return o, nil
}

// Bytes returns the encoding that ParseOutboard parses; see SPEC.md.
func (o *Outboard) Bytes() []byte {
	b := make([]byte, 0, len(outboardMagic)+8+len(o.leaves))
	b = append(b, outboardMagic...)
	b = binary.BigEndian.AppendUint64(b, uint64(o.size))
	return append(b, o.leaves...)
}

// Ref returns the name of the blob.
func (o *Outboard) Ref() Ref { return o.ref }

// Size returns the size of the blob in bytes.
func (o *Outboard) Size() int64 { return o.size }

// Blocks yields the name of every IPFS block of the blob: its leaves, then
// the nodes above them, the last of which is the blob's own Ref. A block that
// occurs twice is yielded twice.
func (o *Outboard) Blocks() iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		for i := range numLeaves(o.size) {
			if !yield(leafRef(o.leaf(i))) {
				return
			}
		}
		more := true
		o.build(func(node []byte) {
			more = more && yield(nodeRef(node))
		})
	}
}

func (o *Outboard) leaf(i int64) [sha256.Size]byte {
	return [sha256.Size]byte(o.leaves[i*sha256.Size:])
}

// leafLen returns the length of leaf i in bytes.
func (o *Outboard) leafLen(i int64) int {
	return int(min(o.size-i*LeafSize, LeafSize))
}

// check reports whether p is leaf i.
func (o *Outboard) check(i int64, p []byte) bool {
	return len(p) == o.leafLen(i) && sha256.Sum256(p) == o.leaf(i)
}

// numLeaves returns how many leaves a blob of size bytes has. An empty blob
// has one, which is empty.
func numLeaves(size int64) int64 {
	return max(1, (size+LeafSize-1)/LeafSize)
}

// build computes the Ref from the leaves: up to maxLinks blocks in a row are
// listed by a node of the level above, until one block is left. It calls visit,
// if not nil, with the bytes of every node, and holds one node of each level.
func (o *Outboard) build(visit func(node []byte)) Ref {
	var levels [][]link // what the next node of each level will list
	var add func(level int, l link)
	flush := func(level int) {
		block := encodeNode(levels[level])
		if visit != nil {
			visit(block)
		}
		parent := link{ref: nodeRef(block), total: uint64(len(block))}
		for _, l := range levels[level] {
			parent.content += l.content
			parent.total += l.total
		}
		levels[level] = levels[level][:0]
		add(level+1, parent)
	}
	add = func(level int, l link) {
		if level == len(levels) {
			levels = append(levels, nil)
		}
		if levels[level] = append(levels[level], l); len(levels[level]) == maxLinks {
			flush(level)
		}
	}
	for i := range numLeaves(o.size) {
		size := uint64(o.leafLen(i))
		add(0, link{ref: leafRef(o.leaf(i)), content: size, total: size})
	}
	for level := 0; ; level++ {
		switch top := level == len(levels)-1; {
		case top && len(levels[level]) == 1:
			return levels[level][0].ref
		case len(levels[level]) > 0:
			flush(level)
		}
	}
}

// FetchOutboard rebuilds the Outboard of the blob that ref names from the
// nodes of its IPFS DAG. It gets each node's bytes with get, checks them
// against the name they were asked for, and checks that the whole has exactly
// the shape that a blob of Ward has.
func FetchOutboard(ctx context.Context, ref Ref, size int64, get func(ctx context.Context, node Ref) ([]byte, error)) (*Outboard, error) {
	if size < 0 || size > maxOutboard*LeafSize {
		return nil, fmt.Errorf("%w: blob of %d bytes", errBadOutboard, size)
	}
	if ref.codec == codecRaw {
		if size > LeafSize {
			return nil, &CorruptError{Ref: ref, Reason: "a single leaf cannot be so large"}
		}
		return newOutboard(size, ref.digest[:]), nil
	}
	level := []Ref{ref}
	for level[0].codec == codecDagPB {
		var next []Ref
		for _, node := range level {
			block, err := get(ctx, node)
			if err != nil {
				return nil, err
			}
			if node.codec != codecDagPB || nodeRef(block) != node {
				return nil, &CorruptError{Ref: ref, Reason: "a node of its tree is not what its name says"}
			}
			links, err := decodeNode(block)
			if err != nil {
				return nil, &CorruptError{Ref: ref, Reason: err.Error()}
			}
			for _, l := range links {
				next = append(next, l.ref)
			}
			if int64(len(next)) > numLeaves(size) {
				return nil, &CorruptError{Ref: ref, Reason: "more leaves than its size allows"}
			}
		}
		level = next
	}
	leaves := make([]byte, 0, len(level)*sha256.Size)
	for _, l := range level {
		leaves = append(leaves, l.digest[:]...)
	}
	if int64(len(level)) != numLeaves(size) {
		return nil, &CorruptError{Ref: ref, Reason: "fewer leaves than its size needs"}
	}
	o := newOutboard(size, leaves)
	if o.ref != ref {
		return nil, &CorruptError{Ref: ref, Reason: "its tree has another shape"}
	}
	return o, nil
}
