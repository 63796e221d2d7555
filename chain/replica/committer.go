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
// group, groupBytes how much a group has when it does not wait any longer, and groupSteps
// how many steps; a crash leaves no more blocks without their state. Nothing waits for it: a transaction is acknowledged when a quorum has its entry in the Raft
// log, from which the state can be made again. A group costs every member about a
// millisecond of processor time.
const (
	groupDelay = 100 * time.Millisecond
	groupBytes = 2 << 20
	groupSteps = 64
)

// group is a run of steps written together.
type group struct {
	steps []*step
	batch batch
}

// commit writes steps in groups until the queue is closed. After a failure it
// writes nothing more. hashes is the number of tree hashes on disk.
func (b *book) commit(hashes int64) {
	defer close(b.done)
	for more := true; more; {
		var g *group
		if g, more = b.collect(); g == nil {
			return
		}
		n, err := b.write(g, hashes)
		if err != nil {
			b.fail(&writeError{fmt.Errorf("write chain: %w", err)})
			for range b.queue {
				// Not written: failed says so to everyone.
			}
			return
		}
		hashes = n
	}
}

// collect gathers a group: what arrives within groupDelay, until it has groupBytes
// or groupSteps. It returns nil, and false, when the queue is closed and empty.
func (b *book) collect() (g *group, more bool) {
	s, ok := <-b.queue
	if !ok {
		return nil, false
	}
	g = &group{}
	g.add(s)
	timer := time.NewTimer(groupDelay)
	defer timer.Stop()
	for g.batch.bytes < groupBytes && len(g.steps) < groupSteps {
		select {
		case s, ok := <-b.queue:
			if !ok {
				return g, false
			}
			g.add(s)
		case <-timer.C:
			return g, true
		}
	}
	return g, true
}

func (g *group) add(s *step) {
	g.steps = append(g.steps, s)
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

// fail says that nothing more is written, and why. The first reason counts.
func (b *book) fail(err error) {
	b.mu.Lock()
	first := b.failed == nil
	if first {
		b.failed = err
		close(b.changed)
		b.changed = make(chan struct{})
	}
	onFail := b.onFail
	b.mu.Unlock()
	if first && onFail != nil {
		onFail(err)
	}
}

// tell lets onFail know when nothing more is written. It returns why, if that is so
// already.
func (b *book) tell(onFail func(error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onFail = onFail
	return b.failed
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
