package ledger

import (
	"bytes"
	"slices"
	"strings"
)

// A cell is what an overlay knows of one key.
type cell struct {
	key     string
	value   []byte // if written; nil: deleted
	old     []byte // if read: the value below the overlay
	written bool
	read    bool
}

// overlay holds uncommitted writes above a Reader.
type overlay struct {
	base    Reader
	cells   map[string]*cell
	written []*cell // those of cells that are; sorted by key if inOrder
	inOrder bool
	scans   int    // in progress: no write may change keys
	buf     []byte // key of the last Get of a View
}

// newOverlay returns an overlay with room for about n keys.
func newOverlay(base Reader, n int) *overlay {
	return &overlay{base: base, cells: make(map[string]*cell, n), inOrder: true}
}

// reset makes o an overlay that holds nothing, for the next transaction.
func (o *overlay) reset() {
	const few = 8 // a map that was never larger is cleared faster than made
	if len(o.written) <= few {
		clear(o.cells)
	} else {
		o.cells = make(map[string]*cell)
	}
	clear(o.written)
	o.written, o.inOrder, o.scans = o.written[:0], true, 0
}

// Get implements Reader.
func (o *overlay) Get(key []byte) ([]byte, error) {
	if c := o.cells[string(key)]; c != nil && c.written {
		return c.value, nil
	}
	return o.base.Get(key)
}

// set stores a value, or a deletion when it is nil. It keeps value.
func (o *overlay) set(key string, value []byte) {
	c := o.cells[key]
	if c == nil {
		c = &cell{key: key}
		o.cells[key] = c
	}
	c.value = value
	o.wrote(c)
}

// wrote notes that a cell was written.
func (o *overlay) wrote(c *cell) {
	if !c.written {
		c.written = true
		o.inOrder = o.inOrder && (len(o.written) == 0 || o.written[len(o.written)-1].key < c.key)
		o.written = append(o.written, c)
	}
}

// Scan implements Reader: it merges the writes into what the base has.
func (o *overlay) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	from := max(string(start), string(prefix))
	written := o.sorted()
	o.scans++
	defer func() { o.scans-- }()
	i, _ := slices.BinarySearchFunc(written, from, func(c *cell, key string) int { return strings.Compare(c.key, key) })
	more := true
	// emit passes on the writes below limit; all with the prefix when limit is nil.
	emit := func(limit []byte) {
		for ; more && i < len(written) && strings.HasPrefix(written[i].key, string(prefix)); i++ {
			c := written[i]
			if limit != nil && c.key >= string(limit) {
				return
			}
			if c.value != nil {
				more = fn([]byte(c.key), c.value)
			}
		}
	}
	err := o.base.Scan(prefix, start, func(key, value []byte) bool {
		if emit(key); !more {
			return false
		}
		if c := o.cells[string(key)]; c == nil || !c.written {
			more = fn(key, value)
			return more
		}
		return true // emit passes it on, or it is deleted
	})
	if err != nil {
		return err
	}
	emit(nil)
	return nil
}

// sorted returns what was written in ascending order of keys.
func (o *overlay) sorted() []*cell {
	if !o.inOrder {
		slices.SortFunc(o.written, func(a, b *cell) int { return strings.Compare(a.key, b.key) })
		o.inOrder = true
	}
	return o.written
}

// A blockState is the state as the transactions of a block have left it. It
// remembers what it read of the state before the block, so that old values are
// read once.
type blockState struct {
	overlay
	before watchedReader
}

// newBlockState returns the state that r reads, with room for about n keys.
func newBlockState(r Reader, n int) *blockState {
	s := &blockState{before: watchedReader{Reader: r}}
	s.overlay = *newOverlay(&s.before, n)
	return s
}

// Get implements Reader.
func (s *blockState) Get(key []byte) ([]byte, error) {
	c := s.cells[string(key)]
	if c != nil && c.written {
		return c.value, nil
	}
	return s.remember(c, key)
}

// old returns the value of key before the block.
func (s *blockState) old(key []byte) ([]byte, error) { return s.remember(s.cells[string(key)], key) }

// remember reads the value of key before the block, and keeps it in c, which is the
// cell of key, or nil if it has none.
func (s *blockState) remember(c *cell, key []byte) ([]byte, error) {
	if c != nil && c.read {
		return c.old, nil
	}
	v, err := s.before.Get(key)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = &cell{key: string(key)}
		s.cells[c.key] = c
	}
	c.old, c.read = v, true
	return v, nil
}

// commit takes over the writes of a transaction, and may keep their cells.
func (s *blockState) commit(tx *overlay) {
	for _, w := range tx.written {
		c := s.cells[w.key]
		if c == nil {
			c = w
			s.cells[c.key] = c
			c.written = false // here
		}
		c.value = w.value
		s.wrote(c)
	}
}

// changes returns the writes that change anything and applies them to digest, which
// is that of the state before the block. The error is that of reading it.
func (s *blockState) changes(digest *Digest) ([]Write, error) {
	written := s.sorted()
	size := 0
	for _, c := range written {
		size += len(c.key)
	}
	writes, keys := make([]Write, 0, len(written)), make([]byte, 0, size)
	for _, c := range written {
		from := len(keys)
		keys = append(keys, c.key...)
		key := keys[from:len(keys):len(keys)]
		old, err := s.remember(c, key)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(old, c.value) { // values are never empty: nil equals nil only
			continue
		}
		if old != nil {
			digest.Remove(key, old)
		}
		if c.value != nil {
			digest.Add(key, c.value)
		}
		writes = append(writes, Write{Key: key, Value: c.value})
	}
	return writes, nil
}

// A watchedReader knows whether its Reader is at work: a panic is that one's own
// then, and not the contract's.
type watchedReader struct {
	Reader
	reading bool
}

// Get implements Reader.
func (w *watchedReader) Get(key []byte) ([]byte, error) {
	w.reading = true
	v, err := w.Reader.Get(key)
	w.reading = false
	return v, err
}

// Scan implements Reader.
func (w *watchedReader) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	w.reading = true
	err := w.Reader.Scan(prefix, start, func(key, value []byte) bool {
		w.reading = false
		more := fn(key, value)
		w.reading = true
		return more
	})
	w.reading = false
	return err
}
