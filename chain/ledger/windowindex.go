package ledger

import (
	"encoding/binary"
	"hash/maphash"
	"sort"

	"github.com/ward-health/ward/chain"
)

// A windowIndex finds the ids of replay records. A window holds up to two million
// of them, and every replica has it in memory: so it keeps no id a second time,
// but the leaf index under a hash of the id, and compares the id in the record.
type windowIndex struct {
	leaves map[uint64]uint64     // leaf index, by sum of the id
	rest   map[chain.Hash]uint64 // leaf index of ids whose sum another one has
	sum    func(chain.Hash) uint64
}

func newWindowIndex() windowIndex {
	// With a seed: whoever makes ids does not choose which sums meet.
	seed := maphash.MakeSeed()
	return windowIndex{
		leaves: make(map[uint64]uint64),
		rest:   make(map[chain.Hash]uint64),
		sum:    func(id chain.Hash) uint64 { return maphash.Bytes(seed, id[:]) },
	}
}

func (x *windowIndex) count() int { return len(x.leaves) + len(x.rest) }

// put adds an id that is not in the index.
func (x *windowIndex) put(id chain.Hash, leaf uint64) {
	sum := x.sum(id)
	if _, taken := x.leaves[sum]; taken {
		x.rest[id] = leaf
		return
	}
	x.leaves[sum] = leaf
}

// remove removes an id that was put with this leaf index.
func (x *windowIndex) remove(id chain.Hash, leaf uint64) {
	if _, ok := x.rest[id]; ok {
		delete(x.rest, id)
		return
	}
	if sum := x.sum(id); x.leaves[sum] == leaf {
		delete(x.leaves, sum)
	}
}

// find returns the leaf index of an id in records, which are those whose ids were
// put, in order.
func (x *windowIndex) find(id chain.Hash, records []replayRecord) (leaf uint64, ok bool) {
	if leaf, ok = x.rest[id]; ok {
		return leaf, true
	}
	if leaf, ok = x.leaves[x.sum(id)]; !ok {
		return 0, false
	}
	i := sort.Search(len(records), func(i int) bool { return records[i].first > leaf }) - 1
	if i < 0 || !records[i].has(id, leaf) {
		return 0, false
	}
	return leaf, true
}

// has reports whether id is the one at this leaf index.
func (r *replayRecord) has(id chain.Hash, leaf uint64) bool {
	position := func(i int) uint64 { return r.first + uint64(binary.BigEndian.Uint16(r.ids[i*idSize:])) }
	i := sort.Search(r.count(), func(i int) bool { return position(i) >= leaf })
	return i < r.count() && position(i) == leaf && chain.Hash(r.ids[i*idSize+2:(i+1)*idSize]) == id
}
