package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"

	"github.com/ward-health/ward/chain"
)

// A Preparer is a Contract with checks that are cheaper for a block at once
// than for each transaction, such as proofs and signatures verified in batches.
//
// Prepare is called once for each block, by Apply and Replay alike, before any
// of its transactions runs and only if there is one for this contract. txs are
// the contract's transactions in order, each once, that every check before
// execution lets pass; those for which the block turns out to be full will not
// run.
//
// The contract may remember verdicts, and nothing else: Apply must give the same
// result if Prepare was not called, was called for another block, or was cut
// short by a panic, which is caught and ignored. A verdict must therefore be a
// function of the bytes it is about and be looked up by them or by their hash,
// not by a place in the block.
//
// seed is a hash over the proposal with all its transactions, for the
// coefficients of batch verification. No client can foresee it, but a leader can
// try many: coefficients need 128 bits. state is that before the block; it helps
// to find what to check, but transactions earlier in the block may change it.
//
// A contract that serves several executors is called by them concurrently.
// Prepare may start goroutines but must wait for them, must read state from one
// at a time, must change neither txs nor what they point to, and must keep
// neither txs nor state.
type Preparer interface {
	Contract
	Prepare(seed chain.Hash, state Snapshot, txs []*chain.Tx)
}

// A Snapshot is the state before a block.
type Snapshot struct{ fault *snapshotFault }

// snapshotFault reads for a Snapshot and remembers the first failure.
type snapshotFault struct {
	state *blockState
	err   error
}

// Of returns the namespace of a contract, to read only.
func (s Snapshot) Of(contract string) Reader {
	return snapshotReader{prefix: namespace(contract), fault: s.fault}
}

type snapshotReader struct {
	prefix string
	fault  *snapshotFault
}

// Get implements Reader.
func (r snapshotReader) Get(key []byte) ([]byte, error) {
	value, err := r.fault.state.old(append([]byte(r.prefix), key...))
	return bytes.Clone(value), r.note(err)
}

// Scan implements Reader.
func (r snapshotReader) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	from := append([]byte(r.prefix), start...)
	return r.note(r.fault.state.before.Scan(append([]byte(r.prefix), prefix...), from, func(key, value []byte) bool {
		return fn(key[len(r.prefix):], value)
	}))
}

func (r snapshotReader) note(err error) error {
	if r.fault.err == nil {
		r.fault.err = err
	}
	return err
}

// prepare calls the contracts that are Preparers. The error is that of reading
// the state.
func (b *blockRun) prepare() error {
	txs := make(map[string][]*chain.Tx)
	seen := make(map[chain.Hash]bool)
	for i, tx := range b.txs {
		if tx == nil || seen[tx.ID()] {
			continue
		}
		if _, ok := b.x.contracts[tx.Contract].(Preparer); ok && b.admit(i, tx) == "" {
			seen[tx.ID()] = true
			txs[tx.Contract] = append(txs[tx.Contract], tx)
		}
	}
	if len(txs) == 0 {
		return nil
	}
	h := sha256.New()
	h.Write([]byte("WARD-V1-PREPARE"))
	h.Write(b.hash[:])
	seed := chain.Hash(h.Sum(nil))
	for _, name := range slices.Sorted(maps.Keys(txs)) {
		fault := &snapshotFault{state: b.state}
		prepareOne(b.x.contracts[name].(Preparer), seed, Snapshot{fault}, txs[name])
		if b.state.before.reading {
			return errors.New("reader panicked")
		}
		if fault.err != nil {
			return fault.err
		}
	}
	return nil
}

// prepareOne drops a panic of the contract: Apply decides without it.
func prepareOne(p Preparer, seed chain.Hash, state Snapshot, txs []*chain.Tx) {
	defer func() { _ = recover() }()
	p.Prepare(seed, state, txs)
}
