package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"

	"github.com/ward-health/ward/chain/ledger"
)

// Keys in the state store begin with one of these. Part of the format: only add at
// the end.
const (
	keyMeta    = 'm' // "mh": head and applied index; "mc": newest certified checkpoint
	keyState   = 's' // contract state
	keyHashes  = 'h' // tree hashes, chunkHashes at a time
	keyLeaves  = 'l' // first leaf of a block -> height
	keySidecar = 'd' // leaf -> number of its record in the sidecar log
	keyPurge   = 'p' // leaf whose sidecar is being erased
	keyConfig  = 'c' // Raft index -> Raft configuration
	keyChange  = 'k' // leaf of a change of the consortium -> its arguments
	keyMissing = 'w' // leaf whose sidecar is not here, though no block has purged it
)

// What the state store holds in memory, in bytes: up to maxMemTables of memTable each,
// and the cache of what was read from its tables.
const (
	memTable     = 16 << 20
	maxMemTables = 4
	blockCache   = 32 << 20
)

// closeRoom is the room on the disk, in bytes, without which nothing more is written
// when the state store is closed.
const closeRoom = 2 * maxMemTables * memTable

// errState marks what the state store says about files it cannot open.
var errState = errors.New("open state")

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

// kv is the state store: a Pebble database whose values carry a checksum over key
// and value. Pebble checks what it reads block by block; missing keys are found by
// the digest of the whole state.
type kv struct {
	dir    string
	db     *pebble.DB
	medium medium
	tell   sync.Once
	told   sync.WaitGroup

	troubled sync.Once
	trouble  chan struct{} // closed when Pebble cannot do what nobody waits for
	closing  chan struct{} // closed when Close begins

	writing sync.Mutex // held by commit
	failed  error      // guarded by writing; why Pebble takes nothing more
}

type kvOptions struct {
	medium   medium
	readOnly bool        // the files stay as they are
	onDamage func(error) // told once of damage, or a disk that fails, that no call has met; nil tells nobody
	onFull   func(error) // told of every compaction that finds no room on the disk; nil tells nobody
}

// openKV opens the database in dir. On a simulated medium it takes little memory.
func openKV(dir string, o kvOptions) (db *kv, err error) {
	// What is damaged may make Pebble panic while it opens, and so may a full disk.
	defer func() {
		if p := recover(); p != nil {
			if fault, ok := p.(error); ok && isSystem(fault) {
				err = fmt.Errorf("open state: %w", fault)
				return
			}
			err = &DamageError{Path: dir, Reason: fmt.Sprint(p)}
		}
	}()
	s := &kv{dir: dir, medium: o.medium, trouble: make(chan struct{}), closing: make(chan struct{})}
	// Pebble holds its lock when it calls a listener, and may be waited for under ours.
	halt := func(err error) {
		if o.onDamage != nil {
			s.tell.Do(func() { s.told.Go(func() { o.onDamage(err) }) })
		}
	}
	opt := &pebble.Options{
		FS:                          slowWhenFull{o.medium.stateFS(), s.closing},
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		ReadOnly:                    o.readOnly,
		MemTableSize:                memTable,
		MemTableStopWritesThreshold: maxMemTables,
		CacheSize:                   blockCache,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		Logger:                      storeLogger{},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				s.troubled.Do(func() { close(s.trouble) })
				if err := s.haltsWith(err); err != nil {
					halt(err)
				}
			},
			FlushEnd: func(info pebble.FlushInfo) {
				// Pebble tries again; when more wait to be flushed, it takes no more writes.
				if err := s.asDamage(info.Err); isSystem(err) {
					halt(&writeError{fmt.Errorf("write state: %w", err)})
				}
			},
			CompactionEnd: func(info pebble.CompactionInfo) {
				if err := info.Err; errors.Is(err, syscall.ENOSPC) && o.onFull != nil {
					s.told.Go(func() { o.onFull(err) })
				}
			},
			DataCorruption: func(pebble.DataCorruptionInfo) {}, // the error comes back from the call that met it
		},
	}
	for i := range opt.Levels {
		opt.Levels[i].BlockSize = 8 << 10
		opt.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opt.Levels[i].Compression = func() *sstable.CompressionProfile { return block.NoCompression } // the data are hashes and ciphertexts
	}
	if o.medium.simulated {
		opt.MemTableSize, opt.CacheSize = 1<<20, 1<<20
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if !o.readOnly {
		err = s.checkRoom(opt)
	}
	if errors.Is(err, ErrReadOnly) {
		return nil, err
	}
	if err == nil {
		s.db, err = pebble.Open(dir, opt)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &DamageError{Path: dir, Reason: err.Error()} // a file is missing: the directory is there
	}
	if isSystem(err) {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errState, s.asDamage(err))
	}
	return s, nil
}

// isSystem reports whether err is what the system says: that the disk is full, or
// something not permitted. It says nothing about what the files hold.
func isSystem(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno)
}

// storeLogger gets what Pebble says besides the errors it returns.
type storeLogger struct{}

func (storeLogger) Infof(string, ...any)  {}
func (storeLogger) Errorf(string, ...any) {}

// Fatalf must not return: Pebble does not know any more what is on disk. In commit
// the panic becomes an error. Elsewhere (the list of tables cannot be written) the
// process ends, as if it had been killed.
func (storeLogger) Fatalf(format string, args ...any) {
	fault := &storeFault{reason: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			fault.cause = err
		}
	}
	panic(fault)
}

type storeFault struct {
	reason string
	cause  error // nil if there is none
}

func (f *storeFault) Error() string { return f.reason }
func (f *storeFault) Unwrap() error { return f.cause }

// asDamage returns a *DamageError if err says that a file does not hold what was
// written to it, and err otherwise.
func (s *kv) asDamage(err error) error {
	if pebble.IsCorruptionError(err) {
		return &DamageError{Path: s.dir, Reason: err.Error()}
	}
	return err
}

// readError returns what a read that met err returns; nil for nil.
func (s *kv) readError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read state: %w", s.asDamage(err))
}

// Close releases the database. What was committed is on disk before; now it comes into
// tables, unless the disk is at fault: in the journal, damage near the end is not told
// from an end that was cut.
func (s *kv) Close() error {
	defer s.told.Wait()
	close(s.closing)
	s.writing.Lock()
	failed := s.failed != nil
	s.writing.Unlock()
	if disk, err := s.medium.stateFS().GetDiskUsage(s.dir); err == nil && disk.AvailBytes < closeRoom {
		failed = true // Pebble ends the process if it finds no room
	}
	if !failed {
		if flushed, err := s.db.AsyncFlush(); err == nil { // it fails for one that is read only
			select {
			case <-flushed:
			case <-s.trouble:
			}
		}
	}
	return s.db.Close()
}

// kvTxn is a consistent view of a kv. It may be read concurrently. It is released
// when everyone who has it, from view or share, has called Discard.
type kvTxn struct {
	kv   *kv
	snap *pebble.Snapshot
	refs atomic.Int32
}

// view returns a new view.
func (s *kv) view() *kvTxn {
	t := &kvTxn{kv: s, snap: s.db.NewSnapshot()}
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
		_ = t.snap.Close() // it always returns nil
	}
}

func metaKey(c byte) []byte    { return []byte{keyMeta, c} }
func stateKey(k []byte) []byte { return append([]byte{keyState}, k...) }

func numKey(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, n)
}

// get returns the value of key, or nil if there is none.
func (t *kvTxn) get(key []byte) ([]byte, error) {
	raw, closer, err := t.snap.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, t.kv.readError(err)
	}
	v, err := t.value(key, raw)
	return v, errors.Join(err, closer.Close())
}

// value returns a copy of what was stored under key as raw.
func (t *kvTxn) value(key, raw []byte) ([]byte, error) {
	n := len(raw) - 4
	if n <= 0 || checksum(key, raw[:n]) != binary.BigEndian.Uint32(raw[n:]) {
		return nil, &DamageError{Path: t.kv.dir, Reason: fmt.Sprintf("value of key %x: checksum", key)}
	}
	return bytes.Clone(raw[:n]), nil
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// scan calls fn with every key that has the prefix and is not less than start,
// in ascending order, until fn returns false or an error.
func (t *kvTxn) scan(prefix, start []byte, fn func(k, v []byte) (bool, error)) error {
	it, err := t.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return t.kv.readError(err)
	}
	defer it.Close() // it.Error says what is wrong
	for ok := it.SeekGE(start); ok; ok = it.Next() {
		key := bytes.Clone(it.Key())
		raw, err := it.ValueAndErr()
		if err != nil {
			return t.kv.readError(err)
		}
		v, err := t.value(key, raw)
		if err != nil {
			return err
		}
		if more, err := fn(key, v); !more || err != nil {
			return err
		}
	}
	return t.kv.readError(it.Error())
}

// after returns the least key that is greater than all with this prefix, nil if there
// is none.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return append(bytes.Clone(prefix[:i]), prefix[i]+1)
		}
	}
	return nil
}

// floor returns the entry with the greatest key of this kind that is not above
// n, ok is false if there is none.
func (t *kvTxn) floor(kind byte, n uint64) (num uint64, value []byte, ok bool, err error) {
	it, err := t.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: append(numKey(kind, n), 0)})
	if err != nil {
		return 0, nil, false, t.kv.readError(err)
	}
	defer it.Close() // it.Error says what is wrong
	if !it.Last() {
		return 0, nil, false, t.kv.readError(it.Error())
	}
	key := bytes.Clone(it.Key())
	if len(key) != 9 {
		return 0, nil, false, nil
	}
	raw, err := it.ValueAndErr()
	if err != nil {
		return 0, nil, false, t.kv.readError(err)
	}
	value, err = t.value(key, raw)
	return binary.BigEndian.Uint64(key[1:]), value, err == nil, err
}

// batch collects writes that come to disk together.
type batch struct {
	writes []ledger.Write
	bytes  int
}

// writeOverhead is what a write takes in a batch besides key and value, at most.
const writeOverhead = 32

// set stores value, which must not be empty; nil deletes.
func (b *batch) set(key, value []byte) {
	b.writes = append(b.writes, ledger.Write{Key: key, Value: value})
	b.bytes += len(key) + len(value) + writeOverhead
}

// commit writes the batch, of whatever size: all of it or nothing is there when the
// database is opened again. When it returns nil, it is on stable storage. When it has
// failed, Pebble gets nothing more: it would end the process.
func (s *kv) commit(b *batch) (err error) {
	if s.medium.commit != nil {
		if err := s.medium.commit(); err != nil {
			return fmt.Errorf("write state: %w", err)
		}
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.failed != nil {
		return s.failed
	}
	defer func() {
		if p := recover(); p != nil {
			fault, ok := p.(*storeFault)
			if !ok {
				panic(p)
			}
			err = fmt.Errorf("write state: %w", fault)
			s.failed = err
		}
	}()
	to := s.db.NewBatchWithSize(b.bytes)
	for _, w := range b.writes {
		if w.Value == nil {
			err = errors.Join(err, to.Delete(w.Key, nil))
			continue
		}
		op := to.SetDeferred(len(w.Key), len(w.Value)+4)
		copy(op.Key, w.Key)
		n := copy(op.Value, w.Value)
		binary.BigEndian.PutUint32(op.Value[n:], checksum(w.Key, w.Value))
		err = errors.Join(err, op.Finish())
	}
	if err == nil {
		err = to.Commit(pebble.Sync)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}
