// Package replica keeps one member's copy of the chain: blocks, state, tree and
// sidecars on its disk, the same on every member.
//
// The members agree on the order of transactions with Raft (Ongaro and
// Ousterhout, USENIX ATC 2014); hashicorp/raft runs it. Raft tolerates members
// that crash, not members that lie, so nothing a leader says is taken on trust:
// every replica verifies every signature, runs every transaction itself, derives
// results and headers itself, and signs the tree head it came to. What t_c
// members have signed is certified, and only that is final: Submit returns no
// receipt, and Read no state, before.
//
// What is on disk carries checksums and is checked before use. A replica whose
// data do not hold moves them aside and makes the chain again from the other
// members, executing every block. One that sees a link that does not fit halts
// and says where.
package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/replica/seglog"
	"github.com/ward-health/ward/internal/durable"
)

const (
	logCacheBytes   = 16 << 20
	entryCacheBytes = 16 << 20
	closeTimeout    = 10 * time.Second
)

// Replica is one member's copy of the chain. Its methods may be called
// concurrently.
type Replica struct {
	opt  Options
	log  *slog.Logger
	lock *durable.Lock

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	wg     sync.WaitGroup
	begun  sync.WaitGroup // until what Open leaves to the background is done

	executor  *ledger.Executor // Apply and Replay: Raft's state machine goroutine, or Open
	book      *book
	raftLog   *raftLog
	stable    *stableStore
	signed    *signFile // owned by the signer after Open
	snaps     *snapStore
	transport *raftTransport
	peers     *peerNet
	running   atomic.Pointer[raft.Raft] // nil until Open starts it; peers are answered before
	entries   *entryCache
	certs     *certifier
	gossip    *gossip
	notices   *notices
	outbox    *outbox
	waiters   *waiters
	prover    *prover
	barriers  sharing
	heads     sharing
	news      *bell        // rung after every block
	views     sync.RWMutex // read-locked while a View is in use

	aside   atomic.Pointer[aside] // what a repair has moved aside; nil without one
	trail   *trail                // owned by catchUp; nil outside of it
	fetched chan struct{}         // holds a token when blocks were fetched

	consortium atomic.Pointer[chain.Consortium]
	readOnly   atomic.Bool
	fullUntil  atomic.Int64  // Unix nanoseconds; until then the disk counts as full
	voteAt     atomic.Uint64 // log index from which this replica may vote again
	noted      lost          // owned by Open, then by watchVote; what the file recovering says
	refused    atomic.Uint64 // messages of peers that were refused
	floorHits  atomic.Uint64 // attempts to overwrite applied entries
	told       told
	replayed   map[uint64]uint64 // owned by Raft's state machine goroutine; term of entries executed before the restart, by index
	savedCert  uint64            // owned by certifyLoop; height of the checkpoint on disk
	unsaved    *chain.Checkpoint // owned by certifyLoop; waits until the blocks it covers are on disk
	ledTerm    uint64            // owned by dispatch; term in which this replica led up to date

	mu       sync.Mutex
	halted   error          // guarded by mu
	closed   bool           // guarded by mu
	stopped  chan struct{}  // closed when halted or closed
	asking   sync.WaitGroup // those who wait for an answer of Raft; none is added once closed is set
	closing  sync.Once
	closeErr error
}

// Open opens the replica in opt.Dir and starts it. It returns when the replica
// takes part in Raft, which may be before it knows a leader.
//
// If data on disk are damaged, or are missing though the chain was here before,
// Open first repairs them from the other members, and waits for as many of them
// as that takes until ctx ends. It waits for room likewise if the disk is nearly full
// and it has blocks to fetch, or a chain to found; with data to repair it fails with
// ErrReadOnly, and has moved nothing. So it does if the replica was killed and there is
// less room than the journal of its state takes in tables. It takes ownership of
// opt.Network, also when it fails.
//
// A founding member that has nothing yet cannot tell a founding from the loss of
// its disk. For it Open returns at once, and it takes part in Raft when the others
// have told it: see Options.Bootstrap.
func Open(ctx context.Context, opt Options) (_ *Replica, err error) {
	opt, err = opt.withDefaults()
	if err != nil {
		if opt.Network != nil {
			opt.Network.Close()
		}
		return nil, fmt.Errorf("open replica: %w", err)
	}
	r := &Replica{
		opt:     opt,
		log:     opt.Log,
		news:    newBell(),
		fetched: make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = fmt.Errorf("open replica: %w", err)
			_ = r.Close()
		}
	}()
	if err := durable.MkdirAll(opt.Dir, 0o700); err != nil {
		opt.Network.Close()
		return nil, err
	}
	if r.lock, err = durable.LockDir(opt.Dir); err != nil {
		opt.Network.Close()
		return nil, err
	}
	err = checkImported(opt.Dir)
	r.guardDisk()
	var rep *repair
	var l lost
	if err == nil {
		rep, l, err = r.openStores()
	}
	if err != nil {
		opt.Network.Close()
		return nil, err
	}
	if rep != nil && !rep.history {
		r.openAside()
	}
	r.openServices()
	if opt.Bootstrap && l.any() && rep == nil && isBlank(r) && len(r.Consortium().Members) > 1 {
		r.begun.Go(func() {
			if err := r.begin(r.ctx, rep, l); err != nil && r.ctx.Err() == nil {
				r.halt(err)
			}
		})
		return r, nil
	}
	if err := r.begin(ctx, rep, l); err != nil {
		return nil, err
	}
	return r, nil
}

// begin makes good what was lost and takes part in Raft.
func (r *Replica) begin(ctx context.Context, rep *repair, l lost) error {
	if err := r.prepare(ctx, rep, l); err != nil {
		if isAstray(err) || isDamage(err) {
			err = errors.Join(err, r.markRepair(err))
		}
		return err
	}
	if err := r.startRaft(ctx); err != nil {
		return err
	}
	if r.mayVote() {
		r.forgive()
	}
	r.wg.Go(r.dispatch)
	r.wg.Go(r.sign)
	r.wg.Go(r.certifyLoop)
	r.wg.Go(r.superviseMembers)
	r.wg.Go(r.scrub)
	r.wg.Go(r.watchBehind)
	r.wg.Go(r.watchMissing)
	if r.aside.Load() != nil {
		r.wg.Go(r.watchRepair)
	}
	if !r.mayVote() {
		r.wg.Go(r.watchVote)
	}
	return nil
}

// openStores opens everything on disk. rep is the repair that is under way, nil if
// none is; l says which promises are forgotten.
func (r *Replica) openStores() (rep *repair, l lost, err error) {
	opt := r.opt
	if r.executor, err = ledger.NewExecutor(opt.Contracts); err != nil {
		return nil, l, err
	}
	k := opt.Consortium
	if opt.Known != nil {
		k = opt.Known
	}
	r.consortium.Store(k)
	if l, err = r.recall(); err != nil {
		return nil, l, err
	}
	if rep, err = r.openChain(); err != nil {
		return rep, l, err
	}
	if err := r.openRaftStores(&l); err != nil {
		return rep, l, err
	}
	path := filepath.Join(opt.Dir, "signed")
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		l.sign = true
		if err := r.note(l); err != nil {
			return rep, l, err
		}
	}
	signFile, _, err := openSignFile(opt.Dir, opt.medium)
	if err != nil && !isDamage(err) {
		return rep, l, err
	}
	r.signed = signFile
	l.sign = l.sign || err != nil
	reached := max(r.book.Applied().Index, r.signed.last.Raft)
	last := r.raftLog.log.Last()
	if s := r.snaps.newest(); s != nil {
		last = max(last, s.Anchor.Pos.Index)
	}
	l.log = l.log || last < reached || rep != nil && rep.history
	if err := r.note(l); err != nil {
		return rep, l, err
	}
	now, err := r.inForce()
	if err != nil {
		return rep, l, err
	}
	r.setExecuted(now)
	return rep, l, nil
}

// isEmpty reports whether dir has no replica in it yet.
func isEmpty(dir string) bool {
	for _, name := range []string{recoveringMark, "state", "blocks", "raft", "vote", "signed", "snapshot", "damaged"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return false
		}
	}
	return true
}

// checkState compares the state with its hash.
func (r *Replica) checkState() error {
	v := r.book.view()
	defer v.txn.Discard()
	return r.book.digest(v)
}

func (r *Replica) openRaftStores(l *lost) error {
	opt := r.opt
	logOpt := opt.medium.logOptions(seglog.Options{ScanAll: true})
	raftDir := filepath.Join(opt.Dir, "raft")
	if _, err := os.Lstat(raftDir); errors.Is(err, fs.ErrNotExist) && r.book.Applied().Index > 0 {
		l.log = true // also if the snapshot covers all that was executed
		if err := r.note(*l); err != nil {
			return err
		}
	}
	log, err := seglog.Open(raftDir, logOpt)
	if isDamage(err) {
		r.log.Error("Raft log is damaged", "error", err)
		l.log = true
		if err := r.note(*l); err != nil {
			return err
		}
		logOpt.DropDamaged = true
		log, err = seglog.Open(raftDir, logOpt)
	}
	if err != nil {
		return err
	}
	r.raftLog = newRaftLog(log, logCacheBytes)
	r.raftLog.onFloor = func(index, floor uint64) {
		r.refused.Add(1)
		r.floorHits.Add(1)
		r.log.Error("a peer tried to overwrite applied entries", "index", index, "applied", floor)
	}
	r.raftLog.onFailed = func(err error) { r.halt(&writeError{err}) }
	var existed bool
	r.stable, existed, err = openStable(filepath.Join(opt.Dir, "vote"), opt.medium)
	if err != nil && !isDamage(err) {
		return err
	}
	if err == nil && existed {
		// Raft stores a term before it stores entries of it.
		var term uint64
		if term, err = r.stable.GetUint64([]byte(keyCurrentTerm)); err == nil && term < r.raftLog.term(log.Last()) {
			err = &DamageError{Path: r.stable.path, Reason: "older than the log"}
		}
	}
	l.vote = l.vote || err != nil || !existed && log.Last() > 1
	var damage error
	if r.snaps, damage, err = openSnaps(opt.Dir, opt.medium, r.Consortium); err != nil {
		return err
	}
	if damage != nil {
		r.log.Error("snapshot is damaged", "error", damage)
	}
	var snapshot position
	if s := r.snaps.newest(); s != nil {
		snapshot = s.Anchor.Pos
	}
	joins, err := r.raftLog.joins(snapshot)
	if err != nil {
		return err // it says nothing about what follows, which may be acknowledged
	}
	if !joins {
		// Raft cannot go on from a log that does not join its snapshot. What contradicts it
		// is not committed, nor what follows that: it was cut off before it removed them.
		r.log.Error("Raft log does not join the snapshot", "first", log.First(), "last", log.Last(), "snapshot", snapshot.Index)
		l.log = l.log || log.First() > snapshot.Index+1
		if err := r.note(*l); err != nil {
			return err
		}
		if err := log.TruncateBack(log.First()); err != nil { // what is left if it is cut off here does not join either
			return err
		}
	}
	r.raftLog.cover(snapshot)
	r.raftLog.raise(min(r.book.Applied().Index, log.Last()))
	r.snaps.onStored = r.raftLog.cover
	r.snaps.renew = r.attestAnew
	r.snaps.onRefused = func(err error) { r.log.Warn("refused a snapshot", "error", err) }
	r.snaps.writable = r.writable
	r.entries = newEntryCache(opt.Consortium.Chain, opt.MaxSkew, entryCacheBytes)
	r.raftLog.check = func(logs []*raft.Log) error {
		if err := r.writable(); err != nil {
			return err
		}
		if err := r.haltErr(); err != nil {
			return err
		}
		return r.entries.check(logs)
	}
	return nil
}

// openServices starts what answers peers.
func (r *Replica) openServices() {
	opt := r.opt
	if opt.opened != nil {
		opt.opened(r.book)
	}
	cp, err := r.book.checkpoint()
	if err != nil || cp != nil && cp.Height > r.book.Head().Header.Height {
		r.log.Warn("checkpoint on disk is not used", "error", err)
		cp = nil
	}
	r.certs = newCertifier(opt.Member, cp, func(err error) { r.halt(&astrayError{err}) })
	r.certs.top = r.book.Head().Header.Height
	if cp != nil {
		r.savedCert = cp.Height
	}
	r.prover = &prover{hashes: r.book}
	r.gossip = &gossip{r: r, to: map[string]*mailbox{}}
	r.notices = &notices{r: r, next: map[string]*notice{}}
	r.waiters = &waiters{lookup: r.executor.Lookup, m: map[chain.Hash][]*waiter{}}
	r.outbox = &outbox{limit: opt.QueueBytes, stop: r.stopped, kick: make(chan struct{}, 1), room: newBell()}
	r.certs.signedTo = r.signed.last.Height
	handle := rpcHandler(r.handle)
	if opt.wrapHandler != nil {
		handle = opt.wrapHandler(handle)
	}
	r.peers = newPeerNet(opt.Network, handle, r.log)
	r.transport = newRaftTransport(opt.Member, opt.Network, 10*opt.Heartbeat, raftLogger(r.log))
	r.transport.guard = r.guard
	r.transport.refused = r.refusedMessage
	r.transport.mayVote = r.mayVote
	r.wg.Go(r.accept)
}

// prepare repairs what was lost before Raft begins.
func (r *Replica) prepare(ctx context.Context, rep *repair, l lost) error {
	if err := r.resign(); err != nil {
		return err
	}
	if l.any() && len(r.Consortium().Members) > 1 {
		if err := r.makeGood(ctx, l); err != nil {
			return err
		}
	}
	if err := r.rebuild(ctx); err != nil {
		return err
	}
	if a := r.snaps.newest(); a != nil {
		if err := r.catchUp(ctx, a); err != nil {
			return err
		}
		if err := r.rebuild(ctx); err != nil { // above the snapshot
			return err
		}
	}
	if a := r.aside.Load(); rep != nil && (a == nil || r.book.Head().Header.Height >= a.height) {
		if err := r.endRepair(ctx); err != nil {
			return err
		}
	}
	asking, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if _, err := r.fetchMissing(asking); isDamage(err) {
		return err
	} // what is missing otherwise comes later, if it is anywhere
	return nil
}

// isBlank reports whether this replica has nothing yet.
func isBlank(r *Replica) bool {
	return r.raftLog.log.Last() == 0 && r.snaps.newest() == nil && r.book.Head().Header.Height == 0
}

// resign announces the last block again, so that it can be certified if it was
// not before a restart.
func (r *Replica) resign() error {
	head := r.book.Head().Header
	if head.Height == 0 {
		return nil
	}
	k, err := r.book.inForceFor(r.opt.Consortium, head)
	if err != nil {
		return err
	}
	r.certs.executed(head.TreeHead(), k, r.book.Applied().Index)
	return r.haltErr()
}

func (r *Replica) startRaft(ctx context.Context) (err error) {
	opt := r.opt
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(opt.Member)
	config.HeartbeatTimeout = opt.Heartbeat
	config.ElectionTimeout = opt.Heartbeat
	config.LeaderLeaseTimeout = opt.Heartbeat / 2
	config.CommitTimeout = max(opt.Heartbeat/20, time.Millisecond)
	config.MaxAppendEntries = maxEntries
	// Not BatchApplyCh: what is in the channel when Raft shuts down is never
	// answered, and we have few blocks under way.
	config.BatchApplyCh = false
	config.ShutdownOnRemove = false
	config.NoSnapshotRestoreOnStart = true
	config.NoLegacyTelemetry = true
	config.SnapshotThreshold = opt.SnapshotEntries
	config.TrailingLogs = opt.TrailingEntries
	config.SnapshotInterval = opt.snapshotInterval
	config.Logger = raftLogger(r.log)
	if opt.Bootstrap && r.raftLog.log.Last() == 0 && r.snaps.newest() == nil && r.book.Applied() == (position{}) && r.voteAt.Load() == 0 {
		if err := r.awaitRoom(ctx); err != nil {
			return err
		}
		if err := r.bootstrap(); err != nil {
			return err
		}
	}
	var transport raft.Transport = r.transport
	if opt.wrapTransport != nil {
		transport = opt.wrapTransport(transport)
	}
	r.stable.failed = func(err error) {
		if r.node() == nil {
			return // NewRaft panics, below
		}
		r.halt(err)
		<-r.ctx.Done()
		runtime.Goexit() // of Raft's main loop, which Close waits for
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("start Raft: %v", p)
		}
	}()
	node, err := raft.NewRaft(config, machine{r}, r.raftLog, r.stable, r.snaps, transport)
	if err == nil {
		r.running.Store(node)
	}
	return err
}

// node returns Raft, nil before it runs.
func (r *Replica) node() *raft.Raft { return r.running.Load() }

// bootstrap writes the first entry, the same on every founding member. It does what
// raft.BootstrapCluster does, also when the vote of a term was given up before.
func (r *Replica) bootstrap() error {
	var servers []raft.Server
	for _, m := range r.opt.Consortium.Members {
		servers = append(servers, raft.Server{ID: raft.ServerID(m.Name), Address: raft.ServerAddress(m.Name)})
	}
	term, err := r.stable.GetUint64([]byte(keyCurrentTerm))
	if err == nil && term == 0 {
		err = r.stable.SetUint64([]byte(keyCurrentTerm), 1)
	}
	if err != nil {
		return err
	}
	first := &raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{Servers: servers})}
	return r.raftLog.StoreLog(first)
}

// accept hands incoming connections to Raft or to the peer protocol.
func (r *Replica) accept() {
	for {
		conn, member, lane, err := r.opt.Network.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				r.log.Error("accept", "error", err)
			}
			return
		}
		switch lane {
		case LanePeer:
			r.peers.serve(conn, member)
		case LaneRaft:
			r.wg.Go(func() { r.transport.serve(conn, member) })
		default:
			conn.Close()
		}
	}
}

// leader returns the member that leads, "" if none is known, and whether it is
// this one.
func (r *Replica) leader() (name string, self bool) {
	if r.node() == nil {
		return "", false
	}
	if r.node().State() == raft.Leader {
		return r.opt.Member, true
	}
	_, id := r.node().LeaderWithID()
	if string(id) == r.opt.Member {
		return "", false // was
	}
	return string(id), false
}

func (r *Replica) appliedIndex() uint64 {
	if r.node() == nil {
		return r.book.Applied().Index
	}
	return max(r.node().AppliedIndex(), r.book.Applied().Index)
}

// halt stops the replica: it applies, signs and serves nothing more. The next
// Open makes the chain again, and throws the log away only if err says that it is
// another than the others'. It does nothing of this if all that happened is that
// the disk took no more: then what is on it is still good, and the log may be
// needed. If a majority whose disks are full threw theirs away, none of them could
// vote again.
func (r *Replica) halt(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halted == nil && !r.closed {
		r.stop(err)
	}
}

// haltJudged is halt with what judged makes of err. It does not wait for the other
// members that are asked: the replica applies, signs and serves nothing more from now
// on, and stops when they have told.
func (r *Replica) haltJudged(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halted != nil || r.closed {
		return
	}
	r.halted = fmt.Errorf("%w: %w", ErrHalted, err)
	r.wg.Go(func() {
		err := r.judged(err)
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.closed {
			r.stop(err)
		}
	})
}

// stop is the end of halt. The caller holds mu.
func (r *Replica) stop(err error) {
	r.halted = fmt.Errorf("%w: %w", ErrHalted, err)
	close(r.stopped)
	r.log.Error("replica halted", "error", err)
	if full := (*writeError)(nil); errors.As(err, &full) && !isDamage(err) {
		return
	}
	if werr := r.markRepair(err); werr != nil {
		r.log.Error("mark for repair", "error", werr)
	}
}

func (r *Replica) haltErr() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.halted
}

// stopErr says why the replica stopped.
func (r *Replica) stopErr() error {
	if err := r.haltErr(); err != nil {
		return err
	}
	return ErrClosed
}

// Stopped is closed when the replica has halted or was closed. Err says which.
func (r *Replica) Stopped() <-chan struct{} { return r.stopped }

// Err returns why the replica stopped: an error that wraps ErrHalted or
// ErrClosed. It returns nil while the replica runs.
func (r *Replica) Err() error {
	select {
	case <-r.stopped:
		return r.stopErr()
	default:
		return r.haltErr()
	}
}

// raftLogger passes the log of Raft on at debug level: it says much, and what
// matters is logged here.
func raftLogger(log *slog.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name:        "raft",
		Level:       hclog.Info,
		Output:      io.Writer(lineLogger{log}),
		DisableTime: true,
	})
}

type lineLogger struct{ log *slog.Logger }

func (l lineLogger) Write(p []byte) (int, error) {
	l.log.Debug(string(p))
	return len(p), nil
}
