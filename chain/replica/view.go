package replica

import (
	"bytes"
	"slices"
	"sort"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// A View is the state of the chain after one block. It does not change while
// blocks are appended. It is valid during the call it was passed to, and may be
// read concurrently during that time.
type View struct {
	head   *ledger.Head
	layers []*layer
	txn    *kvTxn
}

// layer holds what one executed block wrote, or several in a row, until all of it
// is on disk. It does not change.
type layer struct {
	height uint64 // of the last block
	blocks int
	values map[string][]byte // nil: deleted
	writes []ledger.Write    // in ascending order of keys
}

// Small blocks can be many before a group of them is on disk, and a read looks
// through all layers: mergeBlocks of them become one, if that is not large.
const (
	mergeBlocks = 8
	mergeWrites = 2048
)

func newLayer(height uint64, writes []ledger.Write) *layer {
	l := &layer{height: height, blocks: 1, writes: writes, values: make(map[string][]byte, len(writes))}
	for _, w := range writes {
		l.values[string(w.Key)] = w.Value
	}
	return l
}

// addLayer returns layers with one more, without changing those that others see.
func addLayer(layers []*layer, next *layer) []*layer {
	layers = append(layers, next)
	n, writes := 0, 0
	for n < min(mergeBlocks, len(layers)) && layers[len(layers)-1-n].blocks == 1 {
		writes += len(layers[len(layers)-1-n].writes)
		n++
	}
	if n < mergeBlocks || writes > mergeWrites {
		return layers
	}
	from := len(layers) - mergeBlocks
	merged := &layer{height: next.height, blocks: mergeBlocks, values: make(map[string][]byte, writes)}
	for _, l := range layers[from:] {
		for key, value := range l.values {
			merged.values[key] = value
		}
	}
	merged.writes = make([]ledger.Write, 0, len(merged.values))
	for key, value := range merged.values {
		merged.writes = append(merged.writes, ledger.Write{Key: []byte(key), Value: value})
	}
	slices.SortFunc(merged.writes, func(a, b ledger.Write) int { return bytes.Compare(a.Key, b.Key) })
	return append(slices.Clone(layers[:from]), merged)
}

// dropLayers returns the layers without those that are on disk as a whole up to
// this height.
func dropLayers(layers []*layer, height uint64) []*layer {
	for len(layers) > 0 && layers[0].height <= height {
		layers = layers[1:]
	}
	return slices.Clone(layers)
}

// Header returns the header of the block whose state this is.
func (v *View) Header() chain.Header { return v.head.Header }

// Of returns the namespace of a contract, as the contract sees it.
func (v *View) Of(contract string) ledger.Reader {
	return &space{prefix: []byte(contract + "\x00"), v: v}
}

// Get returns the value of a key of the whole state, or nil if there is none.
func (v *View) Get(key []byte) ([]byte, error) {
	for i := len(v.layers) - 1; i >= 0; i-- {
		if value, ok := v.layers[i].values[string(key)]; ok {
			return value, nil
		}
	}
	return v.txn.get(stateKey(key))
}

// Scan calls fn with every key of the whole state that has the prefix and is not
// less than start, in ascending order, until fn returns false. The slices are
// valid during the call only.
func (v *View) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	if bytes.Compare(start, prefix) < 0 {
		start = prefix
	}
	over := v.overlay(prefix, start)
	more := true
	emit := func(limit []byte) {
		for len(over) > 0 && more && (limit == nil || bytes.Compare(over[0].Key, limit) < 0) {
			if over[0].Value != nil {
				more = fn(over[0].Key, over[0].Value)
			}
			over = over[1:]
		}
	}
	err := v.txn.scan(stateKey(prefix), stateKey(start), func(k, value []byte) (bool, error) {
		k = k[1:]
		emit(k)
		if more && len(over) > 0 && bytes.Equal(over[0].Key, k) {
			if value = over[0].Value; value != nil {
				more = fn(k, value)
			}
			over = over[1:]
		} else if more {
			more = fn(k, value)
		}
		return more, nil
	})
	if err != nil {
		return err
	}
	emit(nil)
	return nil
}

// overlay returns the newest unwritten values in the range, in ascending order.
func (v *View) overlay(prefix, start []byte) []ledger.Write {
	newest := map[string][]byte{}
	for _, l := range v.layers {
		i := sort.Search(len(l.writes), func(i int) bool { return bytes.Compare(l.writes[i].Key, start) >= 0 })
		for ; i < len(l.writes) && bytes.HasPrefix(l.writes[i].Key, prefix); i++ {
			newest[string(l.writes[i].Key)] = l.writes[i].Value
		}
	}
	over := make([]ledger.Write, 0, len(newest))
	for k, value := range newest {
		over = append(over, ledger.Write{Key: []byte(k), Value: value})
	}
	slices.SortFunc(over, func(a, b ledger.Write) int { return bytes.Compare(a.Key, b.Key) })
	return over
}

// space is one contract's namespace of a View.
type space struct {
	prefix []byte
	v      *View
}

func (s *space) Get(key []byte) ([]byte, error) { return s.v.Get(s.key(key)) }

func (s *space) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	return s.v.Scan(s.key(prefix), s.key(start), func(k, value []byte) bool {
		return fn(k[len(s.prefix):], value)
	})
}

func (s *space) key(k []byte) []byte {
	return append(append(make([]byte, 0, len(s.prefix)+len(k)), s.prefix...), k...)
}
