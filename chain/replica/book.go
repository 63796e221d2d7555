package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// position is where an entry stands in the Raft log.
type position struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Term  uint64
}

// step is one entry after execution, on its way to disk.
type step struct {
	pos     position
	first   uint64          // leaf index of the block's first transaction
	outcome *ledger.Outcome // nil for an entry that makes no block
	changes []change        // of the consortium, in the block
	config  []byte          // Raft configuration, for such an entry
	// configAt is the Raft index of config if it is not pos.Index.
	configAt uint64
	missing  []uint64             // leaves of the block whose sidecar is not here
	late     []ledger.KeptSidecar // of earlier blocks, which were missing
}

// newStep returns the step of an entry that made a block.
func newStep(pos position, first uint64, o *ledger.Outcome, txs []*chain.Tx) *step {
	return &step{pos: pos, first: first, outcome: o, changes: changesOf(o, first, txs)}
}

func (s *step) configIndex() uint64 {
	if s.configAt > 0 {
		return s.configAt
	}
	return s.pos.Index
}

// weight is about how many bytes of memory a step holds.
func (s *step) weight() int {
	n := len(s.config) + 8*len(s.missing)
	for _, c := range s.changes {
		n += len(c.args)
	}
	for _, d := range s.sidecars() {
		n += len(d.Data)
	}
	if s.outcome == nil {
		return n
	}
	for _, w := range s.outcome.Writes {
		n += len(w.Key) + len(w.Value) + writeOverhead
	}
	for _, tx := range s.outcome.Block.Proposal.Txs {
		n += len(tx)
	}
	return n + len(s.outcome.Hashes)*tlog.HashSize
}

func (s *step) height() uint64 { return s.outcome.Block.Header.Height }

// book keeps what entries have made of the chain: blocks, tree, state and
// sidecars. Its end is in memory first; a committer writes it to disk in groups.
//
// Only the owner of Raft's state machine goroutine, or Open before there is one,
// calls append with an entry. Everything else may be called concurrently.
type book struct {
	dir      string
	opt      bookOptions
	db       *kv
	blocks   *seglog.Log // by height
	sidecars *seglog.Log // by number
	log      *slog.Logger

	appending sync.Mutex // held while a step joins pending and the queue, in the same order

	mu       sync.RWMutex
	head     *ledger.Head  // guarded by mu; after the last executed block
	applied  position      // guarded by mu; last executed entry
	layers   []*layer      // guarded by mu; in order of height, those not on disk as a whole
	base     *kvTxn        // guarded by mu; the state under layers
	pending  []*step       // guarded by mu; in order, those not on disk
	waiting  int           // guarded by mu; weight of those in pending
	tail     []tlog.Hash   // guarded by mu; stored hashes from tailBase on
	tailBase int64         // guarded by mu; a multiple of chunkHashes
	changed  chan struct{} // guarded by mu; closed and replaced when a group is on disk or writing fails
	failed   error         // guarded by mu; why nothing more is written: a *writeError unless something is damaged
	onFail   func(error)   // guarded by mu; told so; nil tells nobody

	abandoned bool // guarded by mu; a test makes as if the process had died

	// The rest of what is on disk. Owned by the committer.
	diskHead    *ledger.Head
	written     position // last entry
	nextSidecar uint64   // number of the next sidecar record
	records     [][]byte // room for block records

	queue  chan *step
	done   chan struct{}
	chunks chunkCache
}

type bookOptions struct {
	medium   medium
	readOnly bool        // do not repair or commit
	onFull   func(error) // as in kvOptions
}

const (
	chunkHashes = 256
	keepHashes  = 1 << 17 // stored hashes kept in memory, 4 MiB
	queueSteps  = 64
	maxPending  = 32 << 20 // weight of the steps that are not on disk, beyond which execution waits
	keepRecords = 4        // block records whose memory is kept
)

type headWire struct {
	_       struct{} `cbor:",toarray"`
	Name    string
	Applied position
	Sidecar uint64 // number of the next sidecar record
	Head    []byte
}

const headName = "ward/v1/replica-head"

// openBook opens the chain in dir, or begins one from the founding consortium
// file. A *DamageError or *seglog.CorruptError says what does not hold.
func openBook(dir string, founding *chain.Consortium, opt bookOptions, log *slog.Logger) (_ *book, err error) {
	b := &book{
		dir:     dir,
		opt:     opt,
		log:     log,
		changed: make(chan struct{}),
		queue:   make(chan *step, queueSteps),
		done:    make(chan struct{}),
	}
	defer func() {
		if err != nil {
			_ = b.release() // err says more
		}
	}()
	if b.db, err = openKV(filepath.Join(dir, "state"), kvOptions{medium: opt.medium, readOnly: opt.readOnly, onDamage: b.fail, onFull: opt.onFull}); err != nil {
		return nil, err
	}
	logOpt := opt.medium.logOptions(seglog.Options{ReadOnly: opt.readOnly})
	if b.blocks, err = seglog.Open(filepath.Join(dir, "blocks"), logOpt); err != nil {
		return nil, err
	}
	if b.sidecars, err = seglog.Open(filepath.Join(dir, "sidecars"), logOpt); err != nil {
		return nil, err
	}
	if err = b.load(founding); err != nil {
		return nil, err
	}
	b.base = b.db.view()
	go b.commit(tlog.StoredHashCount(int64(b.head.Header.Size)))
	return b, nil
}

func (b *book) release() error {
	var errs []error
	if b.base != nil {
		b.base.Discard()
	}
	if b.db != nil {
		errs = append(errs, b.db.Close())
	}
	if b.blocks != nil {
		errs = append(errs, b.blocks.Close())
	}
	if b.sidecars != nil {
		errs = append(errs, b.sidecars.Close())
	}
	return errors.Join(errs...)
}

// Close writes what is pending and releases the files.
func (b *book) Close() error {
	close(b.queue)
	<-b.done
	b.mu.RLock()
	err := b.failed
	b.mu.RUnlock()
	return errors.Join(err, b.release())
}

// load reads the head and cuts off what a crash left beyond it.
func (b *book) load(founding *chain.Consortium) error {
	txn := b.db.view()
	defer txn.Discard()
	raw, err := txn.get(metaKey('h'))
	if err != nil {
		return err
	}
	if raw == nil {
		return b.begin(founding)
	}
	var w headWire
	if err := chain.Unmarshal(raw, &w); err != nil || w.Name != headName {
		return &DamageError{Path: b.db.dir, Reason: "head does not parse"}
	}
	head, err := ledger.ParseHead(w.Head)
	if err != nil {
		return &DamageError{Path: b.db.dir, Reason: err.Error()}
	}
	if head.Header.Chain != founding.Chain {
		return fmt.Errorf("open chain: directory holds chain %q", head.Header.Chain)
	}
	b.head, b.applied, b.diskHead, b.written, b.nextSidecar = head, w.Applied, head, w.Applied, w.Sidecar
	if err := b.loadTail(txn); err != nil {
		return err
	}
	if err := b.trim(); err != nil {
		return err
	}
	return b.finishPurges(txn)
}

// begin writes the genesis state.
func (b *book) begin(founding *chain.Consortium) error {
	if b.blocks.Last() != 0 || b.sidecars.Last() != 0 {
		return &DamageError{Path: b.db.dir, Reason: "there are blocks or sidecars but no state"}
	}
	if b.opt.readOnly {
		return &DamageError{Path: b.db.dir, Reason: "no chain here"}
	}
	head, writes, err := ledger.Genesis(founding)
	if err != nil {
		return fmt.Errorf("begin chain: %w", err)
	}
	b.head, b.diskHead, b.nextSidecar = head, head, 1
	var txn batch
	for _, w := range writes {
		txn.set(stateKey(w.Key), w.Value)
	}
	if err := b.setHead(&txn, head, position{}, 1); err != nil {
		return err
	}
	return b.db.commit(&txn)
}

func (b *book) setHead(txn *batch, head *ledger.Head, applied position, sidecar uint64) error {
	raw, err := head.Bytes()
	if err != nil {
		return err
	}
	v, err := chain.Marshal(headWire{Name: headName, Applied: applied, Sidecar: sidecar, Head: raw})
	if err != nil {
		return err
	}
	txn.set(metaKey('h'), v)
	return nil
}

// loadTail reads the last chunk of tree hashes and checks that the tree's edge
// is among them.
func (b *book) loadTail(txn *kvTxn) error {
	count := tlog.StoredHashCount(int64(b.head.Header.Size))
	b.tailBase = count / chunkHashes * chunkHashes
	if count == b.tailBase {
		return nil
	}
	raw, err := txn.get(numKey(keyHashes, uint64(b.tailBase/chunkHashes)))
	if err != nil {
		return err
	}
	if int64(len(raw)) != (count-b.tailBase)*tlog.HashSize {
		return &DamageError{Path: b.db.dir, Reason: "last tree hashes are missing"}
	}
	b.tail = parseHashes(raw)
	return nil
}

func parseHashes(raw []byte) []tlog.Hash {
	hashes := make([]tlog.Hash, len(raw)/tlog.HashSize)
	for i := range hashes {
		hashes[i] = tlog.Hash(raw[i*tlog.HashSize:])
	}
	return hashes
}

// trim removes block and sidecar records that a crash left beyond the head, and
// reports records that are missing below it.
func (b *book) trim() error {
	height := b.head.Header.Height
	if b.blocks.Last() < height || height > 0 && b.blocks.First() != 1 {
		return &DamageError{Path: filepath.Join(b.dir, "blocks"),
			Reason: fmt.Sprintf("has blocks %d to %d of %d", b.blocks.First(), b.blocks.Last(), height)}
	}
	if last := b.sidecars.Last(); last+1 < b.nextSidecar {
		return &DamageError{Path: filepath.Join(b.dir, "sidecars"),
			Reason: fmt.Sprintf("has %d sidecars of %d", last, b.nextSidecar-1)}
	}
	if height > 0 {
		blk, _, err := b.readBlock(height)
		if err != nil {
			return err
		}
		if blk.Header.Hash() != b.head.Header.Hash() {
			return &DamageError{Path: filepath.Join(b.dir, "blocks"), Reason: "last block is not the head's"}
		}
	}
	if b.blocks.Last()-height > groupSteps {
		// The blocks may be all there is of them: the Raft log need not reach back so far.
		return &DamageError{Path: b.db.dir, Reason: fmt.Sprintf("ends at block %d of %d", height, b.blocks.Last())}
	}
	if b.opt.readOnly {
		return nil
	}
	if b.blocks.Last() > height {
		if err := b.blocks.TruncateBack(height + 1); err != nil {
			return err
		}
	}
	if b.sidecars.Last() >= b.nextSidecar {
		return b.sidecars.TruncateBack(b.nextSidecar)
	}
	return nil
}

// Head returns the head after the last executed block.
func (b *book) Head() *ledger.Head {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.head
}

// Applied returns the last executed entry.
func (b *book) Applied() position {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.applied
}

// view returns the state after the last executed block. The caller discards its
// transaction.
func (b *book) view() *View {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return &View{head: b.head, layers: b.layers[:len(b.layers):len(b.layers)], txn: b.base.share()}
}

// reader returns what is on disk, as of the last group. The caller discards it.
func (b *book) reader() *kvTxn {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.base.share()
}

// append adds an executed entry. It waits while too much is not yet on disk.
func (b *book) append(s *step) error {
	b.appending.Lock()
	defer b.appending.Unlock()
	b.mu.Lock()
	for b.waiting > maxPending && b.failed == nil {
		changed := b.changed
		b.mu.Unlock()
		<-changed
		b.mu.Lock()
	}
	if b.failed != nil {
		defer b.mu.Unlock()
		return b.failed
	}
	if err := b.onlyMissing(s); err != nil {
		defer b.mu.Unlock()
		return err
	}
	if s.pos.Index >= b.applied.Index {
		b.applied = s.pos
	}
	if o := s.outcome; o != nil {
		b.head = o.Head
		b.layers = addLayer(b.layers, newLayer(s.height(), o.Writes))
		b.tail = append(b.tail, o.Hashes...)
	}
	stored := s.outcome != nil || s.config != nil || len(s.late) > 0
	if stored {
		b.pending = append(b.pending, s)
		b.waiting += s.weight()
	}
	b.mu.Unlock()
	if stored {
		b.queue <- s
	}
	return nil
}

// block returns the block at height, 1 or more, and where its entry stands.
func (b *book) block(height uint64) (*chain.Block, position, error) {
	b.mu.RLock()
	for _, s := range b.pending {
		if s.outcome != nil && s.height() == height {
			b.mu.RUnlock()
			return s.outcome.Block, s.pos, nil
		}
	}
	b.mu.RUnlock()
	return b.readBlock(height)
}

func (b *book) readBlock(height uint64) (*chain.Block, position, error) {
	raw, err := b.blocks.Read(height)
	if errors.Is(err, seglog.ErrNotFound) {
		return nil, position{}, fmt.Errorf("%w: block %d", ErrNotFound, height)
	}
	if err != nil {
		return nil, position{}, err
	}
	return parseBlockRecord(raw)
}

// blockRecord appends the record of a block to b.
func blockRecord(b []byte, s *step) ([]byte, error) {
	b = binary.BigEndian.AppendUint64(b, s.pos.Index)
	b = binary.BigEndian.AppendUint64(b, s.pos.Term)
	return s.outcome.Block.Append(b)
}

// blockPosition returns where the entry of a block record stands.
func blockPosition(raw []byte) (position, error) {
	if len(raw) < 16 {
		return position{}, errors.New("block record cut short")
	}
	return position{Index: binary.BigEndian.Uint64(raw), Term: binary.BigEndian.Uint64(raw[8:])}, nil
}

func parseBlockRecord(raw []byte) (*chain.Block, position, error) {
	pos, err := blockPosition(raw)
	if err != nil {
		return nil, position{}, err
	}
	blk, err := chain.ParseBlock(raw[16:])
	return blk, pos, err
}

// leaf returns the block with the transaction at index and its place in it.
func (b *book) leaf(index uint64) (*chain.Block, int, error) {
	height, first, err := b.heightOf(index)
	if err != nil {
		return nil, 0, err
	}
	blk, _, err := b.block(height)
	if err != nil {
		return nil, 0, err
	}
	i := index - first
	if i >= uint64(len(blk.Results)) {
		return nil, 0, &DamageError{Path: b.db.dir, Reason: fmt.Sprintf("leaf %d is not in block %d", index, height)}
	}
	return blk, int(i), nil
}

func (b *book) heightOf(index uint64) (height, first uint64, err error) {
	b.mu.RLock()
	if index >= b.head.Header.Size {
		b.mu.RUnlock()
		return 0, 0, fmt.Errorf("%w: transaction %d", ErrNotFound, index)
	}
	for i := len(b.pending) - 1; i >= 0; i-- {
		if s := b.pending[i]; s.outcome != nil && s.first <= index {
			if index < s.outcome.Block.Header.Size {
				b.mu.RUnlock()
				return s.height(), s.first, nil
			}
			break
		}
	}
	b.mu.RUnlock()
	txn := b.reader()
	defer txn.Discard()
	first, v, ok, err := txn.floor(keyLeaves, index)
	if err != nil {
		return 0, 0, err
	}
	if !ok || len(v) != 8 {
		return 0, 0, &DamageError{Path: b.db.dir, Reason: fmt.Sprintf("no block for leaf %d", index)}
	}
	return binary.BigEndian.Uint64(v), first, nil
}

// sidecar returns the sidecar of the transaction at index: nil if it has none,
// ErrPurged from the moment on at which a block that purges it is executed,
// ErrMissing if it is not here though none does.
func (b *book) sidecar(index uint64) ([]byte, error) {
	b.mu.RLock()
	var pending []byte
	purged, missing := false, false
	for _, s := range b.pending {
		for _, d := range s.sidecars() {
			if d.Index == index {
				pending = d.Data
			}
		}
		missing = missing || slices.Contains(s.missing, index)
		purged = purged || s.purges(index)
	}
	b.mu.RUnlock()
	switch {
	case pending != nil && purged:
		return nil, purgedError(index)
	case pending != nil:
		return pending, nil
	}
	txn := b.reader()
	defer txn.Discard()
	v, err := txn.get(numKey(keySidecar, index))
	if err != nil {
		return nil, err
	}
	if v == nil {
		noted, err := txn.get(numKey(keyMissing, index))
		switch {
		case err != nil || noted == nil && !missing:
			return nil, err
		case purged:
			return nil, purgedError(index)
		}
		return nil, fmt.Errorf("%w: transaction %d", ErrMissing, index)
	}
	if len(v) != 8 {
		return nil, &DamageError{Path: b.db.dir, Reason: "malformed sidecar number"}
	}
	// With a mark, a crash may have left the record half erased.
	mark, err := txn.get(numKey(keyPurge, index))
	if err != nil {
		return nil, err
	}
	if purged || mark != nil {
		return nil, purgedError(index)
	}
	data, err := b.sidecars.Read(binary.BigEndian.Uint64(v))
	if errors.Is(err, seglog.ErrErased) {
		return nil, purgedError(index)
	}
	return data, err
}

func purgedError(index uint64) error { return fmt.Errorf("%w: transaction %d", ErrPurged, index) }

// configAt returns the newest Raft configuration at or before a Raft index.
func (b *book) configAt(index uint64) (config []byte, at uint64, err error) {
	b.mu.RLock()
	for i := len(b.pending) - 1; i >= 0; i-- {
		if s := b.pending[i]; s.config != nil && s.configIndex() <= index {
			b.mu.RUnlock()
			return s.config, s.configIndex(), nil
		}
	}
	b.mu.RUnlock()
	txn := b.reader()
	defer txn.Discard()
	at, config, _, err = txn.floor(keyConfig, index)
	return config, at, err
}

// ReadHashes implements tlog.HashReader.
func (b *book) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	var rest []int
	b.mu.RLock()
	for i, x := range indexes {
		if x < b.tailBase {
			rest = append(rest, i)
			continue
		}
		if x-b.tailBase >= int64(len(b.tail)) {
			b.mu.RUnlock()
			return nil, fmt.Errorf("%w: tree hash %d", ErrNotFound, x)
		}
		out[i] = b.tail[x-b.tailBase]
	}
	b.mu.RUnlock()
	for _, i := range rest {
		chunk, err := b.chunk(indexes[i] / chunkHashes)
		if err != nil {
			return nil, err
		}
		out[i] = chunk[indexes[i]%chunkHashes]
	}
	return out, nil
}

// chunk returns a complete chunk of tree hashes.
func (b *book) chunk(n int64) ([]tlog.Hash, error) {
	if c := b.chunks.get(n); c != nil {
		return c, nil
	}
	txn := b.reader()
	defer txn.Discard()
	raw, err := txn.get(numKey(keyHashes, uint64(n)))
	if err != nil {
		return nil, err
	}
	if len(raw) != chunkHashes*tlog.HashSize {
		return nil, &DamageError{Path: b.db.dir, Reason: fmt.Sprintf("tree hashes from %d are missing", n*chunkHashes)}
	}
	c := parseHashes(raw)
	b.chunks.put(n, c)
	return c, nil
}

// chunkCache holds complete chunks of tree hashes, which never change: at most
// maxChunks of them, 16 MiB.
type chunkCache struct {
	mu sync.Mutex
	m  map[int64][]tlog.Hash // guarded by mu
}

const maxChunks = 2048

func (c *chunkCache) get(n int64) []tlog.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[n]
}

func (c *chunkCache) put(n int64, chunk []tlog.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[int64][]tlog.Hash{}
	}
	if len(c.m) >= maxChunks {
		for old := range c.m {
			delete(c.m, old)
			break
		}
	}
	c.m[n] = chunk
}

// checkpoint returns the newest certified checkpoint on disk, nil if there is none.
func (b *book) checkpoint() (*chain.Checkpoint, error) {
	txn := b.db.view()
	defer txn.Discard()
	raw, err := txn.get(metaKey('c'))
	if err != nil || raw == nil {
		return nil, err
	}
	return chain.ParseCheckpoint(raw)
}

// storeCheckpoint writes the newest certified checkpoint. If the disk does not take it,
// nothing more is written. Nothing is lost with it: a crash before the write leaves no
// more, what is acknowledged rests on what is signed and in the Raft log, and the members
// have the certificate or make it again.
func (b *book) storeCheckpoint(c *chain.Checkpoint) error {
	raw, err := c.Bytes()
	if err != nil {
		return err
	}
	var txn batch
	txn.set(metaKey('c'), raw)
	if err := b.db.commit(&txn); err != nil {
		err = &writeError{fmt.Errorf("write checkpoint: %w", err)}
		b.fail(err)
		return err
	}
	return nil
}
