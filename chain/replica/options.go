package replica

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

var (
	// ErrUnknown means the outcome of a submitted transaction is not known: it
	// may be on the chain already, or come onto it until its NotAfter. Submit
	// the same transaction again to find out; it has one effect at most.
	ErrUnknown = errors.New("outcome of the transaction is unknown")
	// ErrNotCommitted means the transaction is not on the chain and can no
	// longer come onto it: a certified block is later than its NotAfter.
	ErrNotCommitted = errors.New("transaction expired before it was committed")
	// ErrSignature means the transaction's signature does not verify.
	ErrSignature = errors.New("transaction signature does not verify")
	// ErrOverloaded means too much is queued. Nothing was submitted; try later.
	ErrOverloaded = errors.New("too many transactions are queued")
	// ErrReadOnly means the disk is nearly full and nothing more is written.
	ErrReadOnly = errors.New("replica is read-only: its disk is nearly full")
	// ErrHalted means the replica stopped itself, because what it holds or was
	// sent does not fit together, or because its disk takes no more. The error it
	// is wrapped with says which. Opening it again repairs the first, and goes on
	// after the second when there is room.
	ErrHalted = errors.New("replica halted")
	// ErrClosed means the replica was closed.
	ErrClosed = errors.New("replica is closed")
	// ErrNotFound means the chain has no such block or transaction.
	ErrNotFound = errors.New("not on the chain")
	// ErrPurged means the sidecar was erased by order of its contract.
	ErrPurged = errors.New("sidecar was purged")

	errNotLeader  = errors.New("not the leader")
	errRecovering = errors.New("not voting: lost part of the log, catching up")
)

// Options sets up a replica. Zero fields mean the default.
type Options struct {
	// Dir holds everything the replica stores. It is created if missing.
	Dir string
	// Member is this node's name in the consortium.
	Member string
	// Key is the node's Ed25519 key: it signs proposals and tree heads.
	Key crypto.Signer
	// Consortium is the founding consortium file, of epoch 0.
	Consortium *chain.Consortium
	// Known is the newest consortium file the operator has. A node that joins
	// later needs it to know its peers before it has the chain.
	Known *chain.Consortium
	// Contracts are the rules, by name. All members must run the same.
	Contracts map[string]ledger.Contract
	// Network connects the members. The replica closes it.
	Network Network
	// Bootstrap lets this member found the chain. Set it on every founding member,
	// and on none that joins later. If Dir is empty, the member neither votes nor
	// signs until ⌈n/2⌉ of the n − 1 others have answered: then the chain cannot
	// exist unknown to them. It founds it if they have no certified block; otherwise
	// the disk was replaced, and the member recovers.
	Bootstrap bool
	// Log receives what an operator should know; nil discards it. It never
	// receives the contents of transactions.
	Log *slog.Logger
	// OnCertified is called, in order of height, with every checkpoint that
	// t_c members have cosigned. It must return soon.
	OnCertified func(*chain.Checkpoint)

	// MaxBlockTxs and MaxBlockBytes cap a block. 0 means 1000 and 640 KiB.
	MaxBlockTxs   int
	MaxBlockBytes int
	// MaxInFlight is how many blocks may be on their way through Raft, or wait a
	// moment for their certificates. 0 means 3.
	MaxInFlight int
	// QueueBytes bounds the transactions that wait to be proposed, here and for
	// others. 0 means 64 MiB.
	QueueBytes int
	// SnapshotEntries is how many log entries are gathered before the log is
	// compacted, TrailingEntries how many are kept for members that lag. 0 means
	// 4096 and 2048.
	SnapshotEntries uint64
	TrailingEntries uint64
	// MinFree is the free space, in bytes, below which the replica writes
	// nothing more. 0 means 256 MiB; negative turns the check off.
	MinFree int64
	// Heartbeat is how long a follower waits for its leader before it stands
	// for election. 0 means one second.
	Heartbeat time.Duration
	// MaxSkew is how far ahead of this node's clock a proposed block may be.
	// 0 means five minutes.
	MaxSkew time.Duration
	// ScrubEvery is how often the whole state is read and compared with its
	// hash. 0 means every 24 hours; negative turns it off.
	ScrubEvery time.Duration

	medium           medium                          // for tests; zero is the disk
	free             func(dir string) (int64, error) // free bytes; for tests
	snapshotInterval time.Duration
	wrapTransport    func(raft.Transport) raft.Transport // for tests; nil leaves it
	wrapHandler      func(rpcHandler) rpcHandler         // likewise
	opened           func(*book)                         // for tests: told what is on disk before anything is added; nil tells nobody
}

func (o Options) withDefaults() (Options, error) {
	pub, ok := ed25519.PublicKey(nil), false
	if o.Key != nil {
		pub, ok = o.Key.Public().(ed25519.PublicKey)
	}
	switch {
	case o.Dir == "":
		return o, errors.New("no directory")
	case !ok:
		return o, errors.New("node key is not Ed25519")
	case o.Consortium == nil || o.Consortium.Epoch != 0:
		return o, errors.New("founding consortium file is missing")
	case o.Known != nil && o.Known.Chain != o.Consortium.Chain:
		return o, errors.New("newest consortium file is of another chain")
	case o.Network == nil:
		return o, errors.New("no network")
	case !chain.ValidName(o.Member):
		return o, fmt.Errorf("malformed member name %q", o.Member)
	}
	for _, k := range []*chain.Consortium{o.Consortium, o.Known} {
		if k == nil {
			continue
		}
		if m := k.Member(o.Member); m != nil && m.NodeKey != chain.PublicKey(pub) {
			return o, fmt.Errorf("node key is not the one listed for %s", o.Member)
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnCertified == nil {
		o.OnCertified = func(*chain.Checkpoint) {}
	}
	def(&o.MaxBlockTxs, 1000)
	def(&o.MaxBlockBytes, 640<<10)
	def(&o.MaxInFlight, 3)
	def(&o.QueueBytes, 64<<20)
	def(&o.SnapshotEntries, 4096)
	def(&o.TrailingEntries, 2048)
	def(&o.MinFree, minFree)
	def(&o.Heartbeat, time.Second)
	def(&o.MaxSkew, 5*time.Minute)
	def(&o.ScrubEvery, 24*time.Hour)
	def(&o.snapshotInterval, 30*time.Second)
	if o.free == nil {
		o.free = freeBytes
	}
	o.MaxBlockTxs = min(o.MaxBlockTxs, chain.MaxEntryTxs)
	o.MaxBlockBytes = min(o.MaxBlockBytes, chain.MaxEntry/2)
	o.MaxInFlight = min(o.MaxInFlight, chain.MaxParentAge/2)
	return o, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
