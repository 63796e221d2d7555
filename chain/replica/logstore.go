package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain/replica/seglog"
)

// errFloor is returned to Raft when a peer tells us to overwrite what this
// replica has already applied.
var errFloor = errors.New("refused to overwrite applied entries")

// raftLog is the replica's raft.LogStore: a seglog with checksummed entries, a
// cache of recent ones, and a floor.
//
// hashicorp/raft followers obey any peer with a higher term, even when it
// replaces entries that were committed. The floor is the last entry this replica
// has applied; raftLog refuses to remove or replace it or anything before it,
// except from the front, and there only what a certified snapshot covers.
type raftLog struct {
	log *seglog.Log
	// check is called with the entries before they are stored. An error refuses them.
	check func([]*raft.Log) error
	// onFloor is called when a peer tried to overwrite entries at or below the floor.
	onFloor func(index, floor uint64)
	// onFailed is called when the log takes nothing more until it is opened again,
	// because a flush failed, because Raft counts entries that it has removed for
	// others, which could not be stored, or because it does not count those before a
	// snapshot, which could not be removed.
	onFailed func(error)

	mu        sync.Mutex
	floor     uint64               // guarded by mu
	covered   position             // guarded by mu; of the newest snapshot
	conflict  uint64               // guarded by mu; where the last message with entries replaces what is here, or 0
	cache     map[uint64]*raft.Log // guarded by mu
	oldest    uint64               // guarded by mu; lowest index that may be in cache
	cacheSize int                  // guarded by mu; bytes of Data in cache
	cacheMax  int
	cut       bool   // guarded by mu; the last entries were removed, and none stored since
	buf       []byte // guarded by mu; room for what is stored next
}

const (
	raftLogVersion = 1
	maxLogBuffer   = 8 << 20
	logOverhead    = 22 // bytes of an entry on disk besides its extensions and data
)

func newRaftLog(log *seglog.Log, cacheBytes int) *raftLog {
	return &raftLog{log: log, cache: map[uint64]*raft.Log{}, cacheMax: cacheBytes}
}

// raise sets the floor; it never goes down.
func (l *raftLog) raise(floor uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.floor = max(l.floor, floor)
}

// cover tells the log that a certified snapshot holds everything up to pos.
func (l *raftLog) cover(pos position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pos.Index > l.covered.Index {
		l.covered = pos
	}
	l.floor = max(l.floor, pos.Index)
}

// conflicts tells the log from which entry on the message that Raft is given replaces
// what is here: 0 if from none.
func (l *raftLog) conflicts(index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conflict = index
}

func (l *raftLog) FirstIndex() (uint64, error) { return l.log.First(), nil }
func (l *raftLog) LastIndex() (uint64, error)  { return l.log.Last(), nil }

// IsMonotonic tells Raft to remove the whole log before it continues after an
// installed snapshot. DeleteRange keeps what is behind the snapshot: Raft still
// takes it for the end of its log, and this replica may have acknowledged it.
func (l *raftLog) IsMonotonic() bool { return true }

func (l *raftLog) GetLog(index uint64, out *raft.Log) error {
	l.mu.Lock()
	cached, covered := l.cache[index], l.covered
	l.mu.Unlock()
	if cached != nil {
		*out = *cached
		return nil
	}
	b, err := l.log.Read(index)
	if errors.Is(err, seglog.ErrNotFound) && index == covered.Index && index > 0 {
		// Raft asks for the term here when a leader's entries follow the
		// snapshot, and does not look at the snapshot for it.
		*out = raft.Log{Index: index, Term: covered.Term, Type: raft.LogNoop}
		return nil
	}
	if errors.Is(err, seglog.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	if err != nil {
		return err
	}
	return parseLog(b, index, out)
}

func (l *raftLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

func (l *raftLog) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	err := l.store(logs)
	l.mu.Lock()
	cut := l.cut
	l.cut = cut && err != nil
	l.mu.Unlock()
	if cut && err != nil && l.onFailed != nil {
		l.onFailed(err)
	}
	return err
}

func (l *raftLog) store(logs []*raft.Log) error {
	first := logs[0].Index
	l.mu.Lock()
	floor := l.floor
	l.mu.Unlock()
	if first <= floor && first <= l.log.Last() {
		l.report(first, floor)
		return fmt.Errorf("%w: entry %d, applied %d", errFloor, first, floor)
	}
	if l.check != nil {
		if err := l.check(logs); err != nil {
			return err
		}
	}
	records := make([][]byte, len(logs))
	size := 0
	for _, log := range logs {
		size += logOverhead + len(log.Extensions) + len(log.Data)
	}
	l.mu.Lock()
	buf := slices.Grow(l.buf[:0], size)
	l.buf = nil // one call at a time uses it
	l.mu.Unlock()
	for i, log := range logs {
		if log.Index != first+uint64(i) {
			return fmt.Errorf("entries not consecutive: %d after %d", log.Index, first)
		}
		from := len(buf)
		buf = appendLog(buf, log)
		records[i] = buf[from:len(buf):len(buf)]
	}
	err := l.log.Append(first, records...)
	l.mu.Lock()
	if cap(buf) <= maxLogBuffer {
		l.buf = buf
	}
	l.mu.Unlock()
	if err != nil {
		if failed := l.log.Err(); failed != nil && l.onFailed != nil {
			l.onFailed(failed)
		}
		return err
	}
	l.remember(logs)
	return nil
}

func (l *raftLog) remember(logs []*raft.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.cache) == 0 {
		l.oldest = logs[0].Index
	}
	for _, log := range logs {
		l.cache[log.Index] = log
		l.cacheSize += len(log.Data)
	}
	for last := logs[len(logs)-1].Index; l.cacheSize > l.cacheMax && l.oldest < last; l.oldest++ {
		l.forget(l.oldest)
	}
}

// forget removes one entry from the cache. The caller holds mu.
func (l *raftLog) forget(index uint64) {
	if log := l.cache[index]; log != nil {
		l.cacheSize -= len(log.Data)
		delete(l.cache, index)
	}
}

// DeleteRange removes entries from the front, for compaction, or from the back, when a
// new leader's log differs. Asked for all entries just behind a snapshot, only the message
// that Raft was given tells which it is.
func (l *raftLog) DeleteRange(lo, hi uint64) error {
	first, last := l.log.First(), l.log.Last()
	if last == 0 || lo > last || hi < first {
		return nil
	}
	l.mu.Lock()
	floor, covered, conflict := l.floor, l.covered.Index, l.conflict
	for i := max(lo, l.oldest); i <= hi && len(l.cache) > 0; i++ {
		l.forget(i)
	}
	l.mu.Unlock()
	if lo <= first && (hi <= covered || hi >= last && covered >= first) {
		end := min(hi, covered)
		err := l.log.TruncateFront(end)
		if left := l.log.First(); err != nil && hi >= last && left != 0 && left <= end && l.onFailed != nil {
			// Raft goes on behind the snapshot as if nothing were left before it.
			l.onFailed(fmt.Errorf("remove the entries before a snapshot: %w", err))
		}
		return err
	}
	if lo <= first && hi >= last && covered == first-1 && lo != conflict {
		return nil
	}
	if hi < last {
		return fmt.Errorf("delete entries %d to %d of %d to %d: neither end", lo, hi, first, last)
	}
	if lo <= floor {
		l.report(lo, floor)
		return fmt.Errorf("%w: entry %d, applied %d", errFloor, lo, floor)
	}
	err := l.log.TruncateBack(lo)
	l.mu.Lock()
	l.cut = l.cut || err == nil
	l.mu.Unlock()
	return err
}

func (l *raftLog) report(index, floor uint64) {
	if l.onFloor != nil {
		l.onFloor(index, floor)
	}
}

// joins reports whether the log goes on from the end of a snapshot, or is empty.
func (l *raftLog) joins(end position) (bool, error) {
	first, last := l.log.First(), l.log.Last()
	if last == 0 || first == end.Index+1 {
		return true, nil
	}
	if first > end.Index || last < end.Index {
		return false, nil
	}
	var at raft.Log
	err := l.GetLog(end.Index, &at)
	return at.Term == end.Term, err
}

// term returns the term of the entry at index, 0 if the log does not have it.
func (l *raftLog) term(index uint64) uint64 {
	var log raft.Log
	if err := l.GetLog(index, &log); err != nil {
		return 0
	}
	return log.Term
}

// settled reports whether the log holds this entry for good: it was applied.
func (l *raftLog) settled(e *raft.Log) bool {
	l.mu.Lock()
	floor := l.floor
	l.mu.Unlock()
	return e.Index <= floor && l.term(e.Index) == e.Term
}

func appendLog(b []byte, log *raft.Log) []byte {
	b = append(b, raftLogVersion, byte(log.Type))
	b = binary.BigEndian.AppendUint64(b, log.Term)
	b = binary.BigEndian.AppendUint64(b, uint64(log.AppendedAt.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(log.Extensions)))
	b = append(b, log.Extensions...)
	return append(b, log.Data...)
}

func parseLog(b []byte, index uint64, out *raft.Log) error {
	const fixed = logOverhead
	if len(b) < fixed || b[0] != raftLogVersion {
		return fmt.Errorf("raft entry %d: unknown form", index)
	}
	n := binary.BigEndian.Uint32(b[18:])
	if int64(n) > int64(len(b)-fixed) {
		return fmt.Errorf("raft entry %d: extension longer than entry", index)
	}
	*out = raft.Log{
		Index:      index,
		Type:       raft.LogType(b[1]),
		Term:       binary.BigEndian.Uint64(b[2:]),
		AppendedAt: time.Unix(0, int64(binary.BigEndian.Uint64(b[10:]))),
		Data:       b[fixed+n:],
	}
	if n > 0 {
		out.Extensions = b[fixed : fixed+n]
	}
	return nil
}
