package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/ward-health/ward/chain/ledger"
)

// Keys in Badger begin with one of these. Part of the format: only add at the end.
const (
	keyMeta    = 'm' // "mh": head and applied index; "mc": newest certified checkpoint; "mu": see large.go
	keyState   = 's' // contract state
	keyHashes  = 'h' // tree hashes, chunkHashes at a time
	keyLeaves  = 'l' // first leaf of a block -> height
	keySidecar = 'd' // leaf -> number of its record in the sidecar log
	keyPurge   = 'p' // leaf whose sidecar is being erased
	keyConfig  = 'c' // Raft index -> Raft configuration
	keyChange  = 'k' // leaf of a change of the consortium -> its arguments
	keyUndo    = 'u' // what a key held before a batch that takes several transactions
	keyMissing = 'w' // leaf whose sidecar is not here, though no block has purged it
)

// Badger has two or three memtables at a time, with all of their memory taken at
// once and a third more than their size: they are most of what a replica holds in
// memory. What it takes in one transaction follows from them: 15 %, and one write
// for each 96 bytes of that. A block may write more; see large.go.
const (
	memTable = 24 << 20
	maxValue = 1 << 20
)

// errBadger marks what Badger says about files it cannot open.
var errBadger = errors.New("open state")

// A DamageError says that a file does not hold what was written to it.
type DamageError struct {
	Path   string
	Reason string
}

func (e *DamageError) Error() string { return fmt.Sprintf("%s is damaged: %s", e.Path, e.Reason) }

// A writeError says that the disk did not take what was written, because it is
// full, say. What is on it is none the worse for it.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// kv is a Badger database whose values carry a checksum over key and value.
//
// Badger hides damage by default: a flipped bit can come back as a wrong value,
// a missing key or an empty value without an error. Tables are checked when they
// are opened, values here, and missing keys by the digest of the whole state.
type kv struct {
	dir    string
	db     *badger.DB
	medium medium
}

// openKV opens the database in dir. On a simulated medium it takes little memory
// and does not flush to stable storage.
func openKV(dir string, m medium) (db *kv, err error) {
	// A damaged table makes Badger panic while it opens.
	defer func() {
		if p := recover(); p != nil {
			err = &DamageError{Path: dir, Reason: fmt.Sprint(p)}
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	opt := badger.DefaultOptions(dir).
		WithLogger(nil).
		WithSyncWrites(true).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithCompression(options.None).
		WithChecksumVerificationMode(options.OnTableRead).
		WithValueThreshold(maxValue).
		WithValueLogFileSize(16 << 20).
		WithMemTableSize(memTable).
		WithNumMemtables(1). // that wait to be written, besides the one that is filled and the one that is written
		WithNumCompactors(2).
		WithIndexCacheSize(32 << 20).
		WithBlockCacheSize(16 << 20).
		WithMetricsEnabled(false)
	if m.simulated {
		opt = opt.WithSyncWrites(false).
			WithMemTableSize(2 << 20).
			WithValueThreshold(256 << 10).
			WithValueLogFileSize(1 << 20).
			WithBaseTableSize(256 << 10).
			WithIndexCacheSize(1 << 20).
			WithBlockCacheSize(0)
	}
	if err := removeUnborn(dir, m); err != nil {
		return nil, err
	}
	b, err := badger.Open(opt)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadger, err)
	}
	return &kv{dir: dir, db: b, medium: m}, nil
}

// removeUnborn removes memtables without a byte. Badger leaves one if it is killed
// between the creation of the file and its first bytes, and does not open with one.
func removeUnborn(dir string, m medium) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".mem" {
			continue
		}
		info, err := f.Info()
		if err == nil && info.Size() == 0 {
			if err = os.Remove(filepath.Join(dir, f.Name())); err == nil {
				err = m.flushDir(dir)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Close flushes and releases the database.
func (s *kv) Close() error { return s.db.Close() }

// kvTxn is a consistent view of a kv. It may be read concurrently. It is released
// when everyone who has it, from view or share, has called Discard.
type kvTxn struct {
	dir  string
	txn  *badger.Txn
	refs atomic.Int32
}

// view returns a new view. Badger makes it wait for a commit that is under way,
// flush included.
func (s *kv) view() *kvTxn {
	t := &kvTxn{dir: s.dir, txn: s.db.NewTransaction(false)}
	t.refs.Store(1)
	return t
}

// share returns t for one more holder. The caller must be one.
func (t *kvTxn) share() *kvTxn {
	t.refs.Add(1)
	return t
}

func (t *kvTxn) Discard() {
	if t.refs.Add(-1) == 0 {
		t.txn.Discard()
	}
}

func metaKey(c byte) []byte    { return []byte{keyMeta, c} }
func stateKey(k []byte) []byte { return append([]byte{keyState}, k...) }

func numKey(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, n)
}

// get returns the value of key, or nil if there is none.
func (t *kvTxn) get(key []byte) ([]byte, error) {
	item, err := t.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return t.value(item, key)
}

func (t *kvTxn) value(item *badger.Item, key []byte) ([]byte, error) {
	v, err := item.ValueCopy(nil)
	if err != nil {
		return nil, &DamageError{Path: t.dir, Reason: err.Error()}
	}
	n := len(v) - 4
	if n <= 0 || checksum(key, v[:n]) != binary.BigEndian.Uint32(v[n:]) {
		return nil, &DamageError{Path: t.dir, Reason: fmt.Sprintf("value of key %x: checksum", key)}
	}
	return v[:n:n], nil
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// scan calls fn with every key that has the prefix and is not less than start,
// in ascending order, until fn returns false or an error.
func (t *kvTxn) scan(prefix, start []byte, fn func(k, v []byte) (bool, error)) error {
	opt := badger.DefaultIteratorOptions
	opt.Prefix = prefix
	opt.PrefetchValues = false // values lie beside their keys: there is nothing to fetch ahead
	it := t.txn.NewIterator(opt)
	defer it.Close()
	if bytes.Compare(start, prefix) < 0 {
		start = prefix
	}
	for it.Seek(start); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		v, err := t.value(it.Item(), key)
		if err != nil {
			return err
		}
		if more, err := fn(key, v); !more || err != nil {
			return err
		}
	}
	return nil
}

// floor returns the entry with the greatest key of this kind that is not above
// n, ok is false if there is none.
func (t *kvTxn) floor(kind byte, n uint64) (num uint64, value []byte, ok bool, err error) {
	opt := badger.DefaultIteratorOptions
	opt.Reverse = true
	opt.PrefetchValues = false
	it := t.txn.NewIterator(opt)
	defer it.Close()
	it.Seek(numKey(kind, n))
	if !it.Valid() {
		return 0, nil, false, nil
	}
	key := it.Item().KeyCopy(nil)
	if len(key) != 9 || key[0] != kind {
		return 0, nil, false, nil
	}
	value, err = t.value(it.Item(), key)
	return binary.BigEndian.Uint64(key[1:]), value, err == nil, err
}

// batch collects the writes of one Badger transaction.
type batch struct {
	writes []ledger.Write
	bytes  int
}

// writeOverhead is what a write takes in a batch besides key and value: more than
// Badger counts, and less than ledger does.
const writeOverhead = 64

// set stores value, which must not be empty; nil deletes.
func (b *batch) set(key, value []byte) {
	b.writes = append(b.writes, ledger.Write{Key: key, Value: value})
	b.bytes += len(key) + len(value) + writeOverhead
}

// room returns how much one batch may hold, in bytes and in writes.
func (s *kv) room() (bytes, writes int) {
	return int(s.db.MaxBatchSize()), int(s.db.MaxBatchCount()) - 1
}
