package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/ward-health/ward/chain"
)

// MaxWindow is the number of executed transactions that can be remembered at
// one time so that they are not executed again. Beyond it transactions are
// rejected as chain.ErrBusy until older ones expire. Part of the format.
const MaxWindow = 1 << 21

// maxExpired bounds the replay records one block forgets.
const maxExpired = 64

const idSize = 2 + len(chain.Hash{}) // position in the block, id

// A replayRecord holds the ids executed in one block. Its encoding is the
// value of a key in the system namespace.
type replayRecord struct {
	height uint64
	first  uint64 // leaf index of the block's first transaction
	until  int64  // largest NotAfter
	ids    []byte // idSize bytes each
}

func (r *replayRecord) add(position int, tx *chain.Tx) {
	id := tx.ID()
	r.ids = binary.BigEndian.AppendUint16(r.ids, uint16(position))
	r.ids = append(r.ids, id[:]...)
	r.until = max(r.until, tx.NotAfter)
}

func (r *replayRecord) each(fn func(id chain.Hash, index uint64)) {
	for b := r.ids; len(b) > 0; b = b[idSize:] {
		fn(chain.Hash(b[2:idSize]), r.first+uint64(binary.BigEndian.Uint16(b)))
	}
}

func (r *replayRecord) count() int { return len(r.ids) / idSize }

func (r *replayRecord) bytes() []byte {
	b := binary.BigEndian.AppendUint64(nil, r.first)
	b = binary.BigEndian.AppendUint64(b, uint64(r.until))
	return append(b, r.ids...)
}

func parseReplayRecord(key, value []byte) (replayRecord, error) {
	if len(key) != len(keyReplay)+8 || len(value) < 16 || (len(value)-16)%idSize != 0 {
		return replayRecord{}, errors.New("malformed replay record in the state")
	}
	until := binary.BigEndian.Uint64(value[8:])
	if until > math.MaxInt64 {
		return replayRecord{}, errors.New("malformed replay record in the state")
	}
	return replayRecord{
		height: binary.BigEndian.Uint64(key[len(keyReplay):]),
		first:  binary.BigEndian.Uint64(value),
		until:  int64(until),
		ids:    append([]byte(nil), value[16:]...),
	}, nil
}

// A window is the replay records of the state at one head, indexed by id. It
// is a cache: everything in it is in the state.
type window struct {
	mu      sync.RWMutex
	filled  bool           // it belongs to a header
	head    chain.Hash     // the header
	ids     windowIndex    // of those in records
	records []replayRecord // in order of height
	next    *windowStep    // what the last Apply made of it
}

// A windowStep turns the window at one head into that at the next.
type windowStep struct {
	head    chain.Hash
	expired int
	record  replayRecord
	ids     map[chain.Hash]uint64 // leaf index by id, those of record
}

// moveTo makes w the window at head: at once, by the last step, or by reading
// the state.
func (w *window) moveTo(head chain.Hash, r Reader) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.filled && w.head == head {
		w.next = nil
		return nil
	}
	if w.filled && w.next != nil && w.next.head == head {
		w.advance()
		return nil
	}
	w.ids, w.records, w.next, w.filled = newWindowIndex(), nil, nil, false
	var bad error
	err := r.Scan([]byte(keyReplay), nil, func(key, value []byte) bool {
		record, err := parseReplayRecord(key, value)
		if err != nil {
			bad = err
			return false
		}
		w.push(record)
		return true
	})
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("read replay window: %w", err)
	}
	w.head, w.filled = head, true
	return nil
}

// advance applies the step. w.mu is held.
func (w *window) advance() {
	for _, old := range w.records[:w.next.expired] {
		old.each(w.ids.remove)
	}
	clear(w.records[:w.next.expired]) // the array keeps them otherwise
	w.records = w.records[w.next.expired:]
	if w.next.record.count() > 0 {
		w.push(w.next.record)
	}
	w.head, w.next = w.next.head, nil
}

func (w *window) push(r replayRecord) {
	r.each(w.ids.put)
	r.ids = append(make([]byte, 0, len(r.ids)), r.ids...) // no longer than it is
	w.records = append(w.records, r)
}

// expiring returns the records that a block at this time forgets: the oldest
// ones, while nothing in them could be executed again.
func (w *window) expiring(time int64) []replayRecord {
	n := 0
	for n < len(w.records) && n < maxExpired && w.records[n].until < time {
		n++
	}
	return w.records[:n]
}

// seen reports whether id is in the window, without what the last Apply made of it.
func (w *window) seen(id chain.Hash) bool {
	_, ok := w.ids.find(id, w.records)
	return ok
}

// step records what Apply made of the window.
func (w *window) step(head chain.Hash, expired int, record replayRecord, ids map[chain.Hash]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = &windowStep{head, expired, record, ids}
}

// lookup finds an executed transaction, those of the last Apply included.
func (w *window) lookup(id chain.Hash) (index uint64, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.filled {
		index, ok = w.ids.find(id, w.records)
	}
	if ok || w.next == nil {
		return index, ok
	}
	index, ok = w.next.ids[id]
	return index, ok
}
