package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// groupDelay is how long the committer waits for more blocks before it writes a
// group. Nothing waits for it: a transaction is acknowledged when a quorum has
// its entry in the Raft log, from which the state can be made again. A group costs
// every member about a millisecond of processor time.
const groupDelay = 100 * time.Millisecond

// group is a run of steps written together.
type group struct {
	steps  []*step
	batch  batch
	bytes  int // of the batch when it is complete, at most
	writes int // likewise
}

// groupReserve is room in a group for what it has once: the head and the
// incomplete chunk of tree hashes.
const groupReserve = 32 << 10

// commit writes steps in groups until the queue is closed. After a failure it
// writes nothing more. hashes is the number of tree hashes on disk.
func (b *book) commit(hashes int64) {
	defer close(b.done)
	var next *step
	for {
		var g *group
		var more bool
		g, next, more = b.collect(next)
		if g != nil {
			n, err := b.write(g, hashes)
			if err != nil {
				b.fail(err)
				for range b.queue {
					// Not written: failed says so to everyone.
				}
				return
			}
			hashes = n
		}
		if !more {
			return
		}
	}
}

// collect gathers a group, which begins with first if it is not nil: what arrives
// within groupDelay, until it is half of what one Badger transaction takes. A step
// that does not fit into one begins the next group.
func (b *book) collect(first *step) (g *group, next *step, more bool) {
	if first == nil {
		var ok bool
		if first, ok = <-b.queue; !ok {
			return nil, nil, false
		}
	}
	g = &group{}
	g.add(first)
	maxBytes, maxWrites := b.db.room()
	maxBytes -= groupReserve
	timer := time.NewTimer(groupDelay)
	defer timer.Stop()
	for g.bytes < maxBytes/2 && g.writes < maxWrites/2 {
		select {
		case s, ok := <-b.queue:
			if !ok {
				return g, nil, false
			}
			bytes, writes := s.size()
			if g.bytes+bytes > maxBytes || g.writes+writes > maxWrites {
				return g, s, true
			}
			g.add(s)
		case <-timer.C:
			return g, nil, true
		}
	}
	return g, nil, true
}

// size returns how much of a group's batch a step takes, at most.
func (s *step) size() (bytes, writes int) {
	count := func(n, size int) {
		bytes += n * (16 + size + writeOverhead)
		writes += n
	}
	if s.config != nil {
		count(1, len(s.config))
	}
	count(2*len(s.late), 8)
	count(len(s.missing), 1)
	if s.outcome == nil {
		return bytes, writes
	}
	for _, w := range s.outcome.Writes {
		count(1, len(w.Key)+len(w.Value))
	}
	for _, c := range s.changes {
		count(1, len(c.args))
	}
	count(1, 8) // first leaf
	count(len(s.outcome.Sidecars), 8)
	count(2*len(s.outcome.Purge), 1)
	count(len(s.outcome.Hashes)/chunkHashes+1, 0)
	return bytes + len(s.outcome.Hashes)*tlog.HashSize, writes
}

func (g *group) add(s *step) {
	g.steps = append(g.steps, s)
	bytes, writes := s.size()
	g.bytes, g.writes = g.bytes+bytes, g.writes+writes
	if s.config != nil {
		g.batch.set(numKey(keyConfig, s.configIndex()), s.config)
	}
	for _, d := range s.late {
		g.batch.set(numKey(keyMissing, d.Index), nil)
	}
	for _, leaf := range s.missing {
		g.batch.set(numKey(keyMissing, leaf), []byte{1})
	}
	if s.outcome == nil {
		return
	}
	for _, w := range s.outcome.Writes {
		g.batch.set(stateKey(w.Key), w.Value)
	}
	g.batch.set(numKey(keyLeaves, s.first), binary.BigEndian.AppendUint64(nil, s.height()))
	for _, c := range s.changes {
		g.batch.set(numKey(keyChange, c.index), c.args)
	}
	for _, leaf := range s.outcome.Purge {
		g.batch.set(numKey(keyPurge, leaf), []byte{1})
		g.batch.set(numKey(keyMissing, leaf), nil)
	}
}

// write puts a group on stable storage: the bodies first, then in one
// transaction everything that refers to them. hashes is the number of tree
// hashes on disk before; write returns the number after.
func (b *book) write(g *group, hashes int64) (int64, error) {
	b.mu.RLock()
	abandoned := b.abandoned
	b.mu.RUnlock()
	if abandoned {
		return 0, os.ErrClosed
	}
	if err := b.writeBodies(g); err != nil {
		return 0, err
	}
	head, applied := b.diskHead, b.written
	for _, s := range g.steps {
		if s.outcome != nil {
			head = s.outcome.Head
		}
		if s.pos.Index >= applied.Index {
			applied = s.pos
		}
	}
	count := tlog.StoredHashCount(int64(head.Header.Size))
	if count > hashes {
		if err := b.batchHashes(&g.batch, hashes, count); err != nil {
			return 0, err
		}
	}
	hashes = count
	if err := b.setHead(&g.batch, head, applied, b.nextSidecar); err != nil {
		return 0, err
	}
	if err := b.db.commit(&g.batch); err != nil {
		return 0, err
	}
	b.diskHead = head
	b.written = applied
	b.settle(g, hashes)
	return hashes, b.erase(g)
}

// writeBodies appends the blocks and sidecars of a group to their logs.
func (b *book) writeBodies(g *group) error {
	var blocks, sidecars [][]byte
	first := uint64(0)
	used := 0
	for _, s := range g.steps {
		for _, d := range s.sidecars() {
			g.batch.set(numKey(keySidecar, d.Index), binary.BigEndian.AppendUint64(nil, b.nextSidecar+uint64(len(sidecars))))
			sidecars = append(sidecars, d.Data)
		}
		if s.outcome == nil {
			continue
		}
		if first == 0 {
			first = s.height()
		}
		// Each block has its own room, which the next group uses again.
		if used == len(b.records) {
			b.records = append(b.records, nil)
		}
		rec, err := blockRecord(b.records[used][:0], s)
		if err != nil {
			return err
		}
		b.records[used] = rec
		used++
		blocks = append(blocks, rec)
	}
	if len(blocks) > 0 {
		if err := b.blocks.Append(first, blocks...); err != nil {
			return err
		}
	}
	for i, rec := range b.records {
		if i >= keepRecords || cap(rec) > maxLogBuffer {
			b.records[i] = nil
		}
	}
	if len(sidecars) > 0 {
		if err := b.sidecars.Append(b.nextSidecar, sidecars...); err != nil {
			return err
		}
		b.nextSidecar += uint64(len(sidecars))
	}
	return nil
}

// batchHashes adds the tree hashes from number from up to number to, in whole
// chunks; the first and the last may have been or be incomplete.
func (b *book) batchHashes(txn *batch, from, to int64) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for n := from / chunkHashes; n*chunkHashes < to; n++ {
		lo, hi := n*chunkHashes, min((n+1)*chunkHashes, to)
		if lo < b.tailBase {
			return errors.New("tree hashes left memory before they were written")
		}
		v := make([]byte, 0, chunkHashes*tlog.HashSize)
		for _, h := range b.tail[lo-b.tailBase : hi-b.tailBase] {
			v = append(v, h[:]...)
		}
		txn.set(numKey(keyHashes, uint64(n)), v)
	}
	return nil
}

// settle drops from memory what is now on disk.
func (b *book) settle(g *group, hashes int64) {
	base := b.db.view()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.base.Discard()
	b.base = base
	b.pending = append([]*step(nil), b.pending[len(g.steps):]...)
	for _, s := range g.steps {
		b.waiting -= s.weight()
	}
	b.layers = dropLayers(b.layers, b.diskHead.Header.Height)
	if excess := hashes/chunkHashes*chunkHashes - b.tailBase; excess > 2*keepHashes {
		drop := excess - keepHashes
		b.tail = append(make([]tlog.Hash, 0, 2*keepHashes+4096), b.tail[drop:]...) // as many as come before the next time
		b.tailBase += drop
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *book) fail(err error) {
	err = &writeError{fmt.Errorf("write chain: %w", err)}
	b.mu.Lock()
	b.failed = err
	close(b.changed)
	b.changed = make(chan struct{})
	b.mu.Unlock()
	if b.opt.onFail != nil {
		b.opt.onFail(err)
	}
}

// drain waits until every executed entry is on disk.
func (b *book) drain(ctx context.Context) error {
	for {
		b.mu.RLock()
		idle, failed, changed := len(b.pending) == 0, b.failed, b.changed
		b.mu.RUnlock()
		if failed != nil || idle {
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stored reports whether the executed blocks up to height are on disk.
func (b *book) stored(height uint64) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, s := range b.pending {
		if s.outcome != nil {
			return s.height() > height
		}
	}
	return true
}

// erase overwrites the sidecars that the blocks of a group purged. Their marks came
// to disk with the group, and go when all are overwritten: until then the next start
// begins again.
func (b *book) erase(g *group) error {
	var leaves []uint64
	for _, s := range g.steps {
		if s.outcome != nil {
			leaves = append(leaves, s.outcome.Purge...)
		}
	}
	return b.eraseLeaves(leaves)
}

func (b *book) eraseLeaves(leaves []uint64) error {
	if len(leaves) == 0 {
		return nil
	}
	txn := b.db.view()
	defer txn.Discard()
	var done batch
	for _, leaf := range leaves {
		v, err := txn.get(numKey(keySidecar, leaf))
		if err != nil {
			return err
		}
		if len(v) == 8 {
			if err := b.sidecars.Erase(binary.BigEndian.Uint64(v)); err != nil {
				return err
			}
		}
		done.set(numKey(keyPurge, leaf), nil)
	}
	return b.db.commit(&done)
}

// finishPurges erases what a crash left unerased.
func (b *book) finishPurges(txn *kvTxn) error {
	if b.opt.readOnly {
		return nil
	}
	var leaves []uint64
	err := txn.scan([]byte{keyPurge}, nil, func(k, _ []byte) (bool, error) {
		if len(k) != 9 {
			return false, &DamageError{Path: b.db.dir, Reason: "malformed purge key"}
		}
		leaves = append(leaves, binary.BigEndian.Uint64(k[1:]))
		return true, nil
	})
	if err != nil {
		return err
	}
	return b.eraseLeaves(leaves)
}
