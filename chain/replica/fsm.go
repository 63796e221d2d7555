package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// machine is Raft's view of the replica: raft.BatchingFSM.
type machine struct{ r *Replica }

// Apply implements raft.FSM.
func (m machine) Apply(log *raft.Log) any { return m.ApplyBatch([]*raft.Log{log})[0] }

// ApplyBatch implements raft.BatchingFSM. It answers each entry with nil or an
// error. After an entry that does not fit, the replica applies nothing more.
func (m machine) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	for i, log := range logs {
		if err := m.r.apply(log); err != nil {
			out[i] = err
		}
	}
	return out
}

func (r *Replica) apply(log *raft.Log) error {
	if err := r.haltErr(); err != nil {
		return err
	}
	pos := position{Index: log.Index, Term: log.Term}
	if pos.Index <= r.book.Applied().Index {
		return r.checkReplayed(log) // on disk already; Raft replays the log after a restart
	}
	var err error
	switch log.Type {
	case raft.LogConfiguration:
		err = r.book.append(&step{pos: pos, config: log.Data})
	case raft.LogCommand:
		r.notices.send(pos) // so that all execute it at the same time
		err = r.applyEntry(log, pos)
	}
	r.raftLog.raise(pos.Index)
	var void *ledger.VoidError
	if err != nil && !errors.As(err, &void) {
		r.halt(err)
	}
	return err
}

// checkReplayed compares an entry that was executed before a restart with what
// was executed then. A configuration is in no block: if the state was made again from
// blocks, it is put back.
func (r *Replica) checkReplayed(log *raft.Log) error {
	if log.Type == raft.LogConfiguration {
		_, at, err := r.book.configAt(log.Index)
		if err == nil && at != log.Index {
			err = r.book.append(&step{pos: position{Index: log.Index, Term: log.Term}, config: log.Data})
		}
		return err
	}
	if log.Type != raft.LogCommand {
		return nil
	}
	if r.replayed == nil {
		r.replayed = map[uint64]uint64{}
		for height := r.book.Head().Header.Height; height > 0; height-- {
			raw, err := r.book.blocks.Read(height)
			if err != nil {
				break // not on disk yet: it was executed in this run
			}
			pos, err := blockPosition(raw)
			if err != nil || pos.Index < log.Index {
				break
			}
			r.replayed[pos.Index] = pos.Term
		}
	}
	if term, ok := r.replayed[log.Index]; ok && term != log.Term {
		err := fmt.Errorf("%w: entry %d is of term %d, executed was one of term %d", errFloor, log.Index, log.Term, term)
		r.haltJudged(err)
		return err
	}
	return nil
}

func (r *Replica) applyEntry(log *raft.Log, pos position) error {
	e, err := r.entries.take(log)
	if err != nil {
		// Every replica refuses to store such an entry; one that is here
		// nevertheless makes no block on any of them.
		if err := r.book.append(&step{pos: pos}); err != nil {
			return err
		}
		return &ledger.VoidError{Reason: err.Error()}
	}
	head := r.book.Head()
	view := r.book.view()
	outcome, err := r.executor.Apply(head, view, e)
	view.txn.Discard()
	var void *ledger.VoidError
	if errors.As(err, &void) {
		r.log.Warn("entry makes no block", "index", pos.Index, "reason", void.Reason)
		if err := r.book.append(&step{pos: pos}); err != nil {
			return err
		}
		return void
	}
	if err != nil {
		return err
	}
	return r.publish(newStep(pos, head.Header.Size, outcome, e.Parsed()), e.Parsed())
}

// publish makes an executed block visible and tells who waits for it.
func (r *Replica) publish(s *step, txs []*chain.Tx) error {
	if err := r.book.append(s); err != nil {
		return err
	}
	if err := r.learn(s); err != nil {
		return err
	}
	r.waiters.resolve(s, txs)
	r.certs.executed(s.outcome.Head.Header.TreeHead(), s.outcome.Consortium, s.pos.Index)
	r.news.broadcast()
	return nil
}

// learn takes over a new consortium file.
func (r *Replica) learn(s *step) error {
	if len(s.changes) == 0 {
		return nil
	}
	k, err := r.inForce()
	if err != nil {
		return fmt.Errorf("consortium file after block %d: %w", s.height(), err)
	}
	r.setExecuted(k)
	return nil
}

// Snapshot implements raft.FSM. It waits until everything executed is on disk,
// so that what is on disk is never behind a snapshot.
func (m machine) Snapshot() (raft.FSMSnapshot, error) {
	r := m.r
	if err := r.haltErr(); err != nil {
		return nil, err
	}
	if err := r.book.drain(r.ctx); err != nil {
		return nil, err
	}
	height := r.book.Head().Header.Height
	if height == 0 {
		return nil, raft.ErrNothingNewToSnapshot
	}
	return &snapshot{r: r, height: height}, nil
}

// snapshot is a Raft snapshot in the making: see anchor.
type snapshot struct {
	r      *Replica
	height uint64
}

const snapshotTimeout = 20 * time.Second

// Persist implements raft.FSMSnapshot. Without t_c members it fails, and the log
// stays as long as it is.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	ctx, cancel := context.WithTimeout(s.r.ctx, snapshotTimeout)
	defer cancel()
	own, ok := sink.(*snapSink)
	if !ok {
		return errors.New("not a sink of this replica")
	}
	cp, err := s.r.WaitCertified(ctx, s.height)
	if err != nil {
		return fmt.Errorf("wait for certificate of block %d: %w", s.height, err)
	}
	a, err := s.r.anchorAt(s.height, own.pos)
	if err != nil {
		return err
	}
	att, err := s.r.collect(ctx, a, cp, false)
	if err != nil {
		return err
	}
	b, err := chain.Marshal(att)
	if err != nil {
		return err
	}
	_, err = sink.Write(b)
	return err
}

// Release implements raft.FSMSnapshot.
func (s *snapshot) Release() {}

// Restore implements raft.FSM: it catches up to a snapshot of another member.
func (m machine) Restore(rc io.ReadCloser) error {
	b, err := io.ReadAll(io.LimitReader(rc, maxAttested+1))
	if err != nil {
		return err
	}
	a, err := parseAttested(b)
	if err != nil {
		return err
	}
	if err := m.r.catchUp(m.r.ctx, a); err != nil {
		var broken *chain.BrokenError
		if errors.As(err, &broken) {
			m.r.halt(err)
		}
		return err
	}
	return nil
}

// entryCache verifies the signatures of entries when they are stored, while the
// disk and the other members work, and keeps the result until they are applied.
type entryCache struct {
	chain   string
	maxSkew time.Duration
	limit   int // bytes
	keys    *chain.Verifier

	mu    sync.Mutex
	own   map[*byte]*chain.Entry  // guarded by mu; proposed here, by address of their bytes
	ready map[uint64]*cachedEntry // guarded by mu; by index
	size  int                     // guarded by mu; bytes in ready
}

type cachedEntry struct {
	entry *chain.Entry
	term  uint64
	size  int
	done  chan struct{} // closed when the signatures are verified
}

func newEntryCache(chainID string, maxSkew time.Duration, limit int) *entryCache {
	return &entryCache{
		chain: chainID, maxSkew: maxSkew, limit: limit, keys: new(chain.Verifier),
		own: map[*byte]*chain.Entry{}, ready: map[uint64]*cachedEntry{},
	}
}

// propose remembers an entry of this replica, verified already, under the bytes
// that Raft will hand back. forget must follow.
func (c *entryCache) propose(data []byte, e *chain.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own[&data[0]] = e
}

func (c *entryCache) forget(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.own, &data[0])
}

// check is called with entries before they are stored. It refuses what no
// honest leader sends and begins to verify signatures.
func (c *entryCache) check(logs []*raft.Log) error {
	for _, log := range logs {
		if log.Type != raft.LogCommand {
			continue
		}
		e, own, err := c.parse(log)
		if err != nil {
			return err
		}
		done := make(chan struct{})
		if own {
			close(done)
		} else {
			go func() {
				defer close(done)
				c.keys.VerifyEntry(e) // which keeps the verdicts
			}()
		}
		c.put(log, e, done)
	}
	return nil
}

// parse returns the entry in a command that may be stored, and whether it was proposed
// here.
func (c *entryCache) parse(log *raft.Log) (e *chain.Entry, own bool, err error) {
	if len(log.Data) == 0 {
		return nil, false, errors.New("refused an empty entry")
	}
	c.mu.Lock()
	e = c.own[&log.Data[0]]
	c.mu.Unlock()
	if e != nil {
		return e, true, nil
	}
	if e, err = chain.ParseEntry(log.Data); err != nil {
		return nil, false, fmt.Errorf("refused entry %d: %w", log.Index, err)
	}
	if e.Chain != c.chain {
		return nil, false, fmt.Errorf("refused entry %d: for another chain", log.Index)
	}
	if ahead := time.Until(time.UnixMilli(e.Time)); ahead > c.maxSkew {
		return nil, false, fmt.Errorf("refused entry %d: its time is %v ahead", log.Index, ahead)
	}
	return e, false, nil
}

func (c *entryCache) put(log *raft.Log, e *chain.Entry, done chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.ready[log.Index]; old != nil {
		c.size -= old.size
		delete(c.ready, log.Index)
	}
	if c.size+len(log.Data) > c.limit {
		return // Apply parses and verifies it then
	}
	c.size += len(log.Data)
	c.ready[log.Index] = &cachedEntry{entry: e, term: log.Term, size: len(log.Data), done: done}
}

// take returns the entry in log, and forgets what is cached up to it.
func (c *entryCache) take(log *raft.Log) (*chain.Entry, error) {
	c.mu.Lock()
	hit := c.ready[log.Index]
	for i, old := range c.ready {
		if i <= log.Index {
			c.size -= old.size
			delete(c.ready, i)
		}
	}
	c.mu.Unlock()
	if hit != nil && hit.term == log.Term {
		<-hit.done
		return hit.entry, nil
	}
	return chain.ParseEntry(log.Data)
}
