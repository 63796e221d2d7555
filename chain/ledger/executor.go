package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
)

// Limits on what is written, in bytes of keys and values and writeOverhead for
// each. Part of the format.
const (
	maxTxWrites    = 256 << 10 // by one transaction
	maxBlockWrites = 6 << 20   // by the transactions of a block
	writeOverhead  = 128
)

// The keys of the system namespace. Part of the format.
const (
	keyConsortium = "\x00c" // consortium file in force
	keyParent     = "\x00h" // + height mod MaxParentAge, 1 byte: height, header hash
	keyReplay     = "\x00r" // + height, 8 bytes: replay record
	keySidecar    = "\x00s" // + leaf index, 8 bytes: owner of a sidecar that is kept
)

// A VoidError reports an entry that makes no block on any replica. The entry
// stays in the log; the head stays as it was.
type VoidError struct{ Reason string }

// Error says why the entry is void.
func (e *VoidError) Error() string { return "entry is void: " + e.Reason }

// A KeptSidecar is the sidecar of an accepted transaction.
type KeptSidecar struct {
	Index uint64 // of the transaction's leaf
	Data  []byte // what the transaction commits to
}

// An Outcome is what one entry does to the chain.
type Outcome struct {
	Block    *chain.Block  // header, proposal and results
	Head     *Head         // to apply the next entry to
	Writes   []Write       // changes of the state, in ascending order of keys
	Hashes   []tlog.Hash   // to append to the stored hashes of the tree
	Sidecars []KeptSidecar // to store; none from Replay
	Purge    []uint64      // leaf indices of older sidecars to be erased
	// Consortium was in force for this block: its members certify it. A change
	// in this block takes effect in the next.
	Consortium *chain.Consortium
}

// An Executor runs entries. It is the state machine of every replica: what
// Apply returns depends on its arguments and on the contracts only. The
// executor merely caches parts of the state. Apply and Replay must not run
// concurrently; Lookup may run at any time.
type Executor struct {
	contracts map[string]Contract
	window    window
	file      []byte            // consortium file in force when last read
	current   *chain.Consortium // parsed from file
}

// NewExecutor returns an executor for these contracts, by name. The name
// "chain" is taken.
func NewExecutor(contracts map[string]Contract) (*Executor, error) {
	for name, c := range contracts {
		if !chain.ValidName(name) || name == systemContract || c == nil {
			return nil, fmt.Errorf("contract %q: malformed or reserved name, or nil", name)
		}
	}
	all := maps.Clone(contracts)
	if all == nil {
		all = make(map[string]Contract)
	}
	x := &Executor{contracts: all}
	all[systemContract] = system{x}
	return x, nil
}

// Lookup returns the leaf index of the transaction with this id if it was
// executed, by the last Apply at the latest, and could still be sent again.
func (x *Executor) Lookup(id chain.Hash) (index uint64, ok bool) { return x.window.lookup(id) }

// InForce returns the consortium in force for the block that follows the state
// r reads.
func InForce(r Reader) (*chain.Consortium, error) {
	file, err := r.Get([]byte(keyConsortium))
	if err != nil {
		return nil, fmt.Errorf("read consortium: %w", err)
	}
	return chain.ParseConsortium(file)
}

// Apply runs an entry on the state that head describes and r reads. It changes
// neither. Errors are a *VoidError when the entry makes no block on any
// replica with this history; otherwise reading the state failed and the replica
// must stop.
//
// A proposer with another history does not stop the others: one member, damaged
// or lying, could stop them all, and each again after a restart. Whose history it
// is that differs, certificates say.
func (x *Executor) Apply(head *Head, r Reader, e *chain.Entry) (*Outcome, error) {
	b, err := x.begin(head, r, e)
	if err != nil {
		return nil, err
	}
	for i, tx := range b.txs {
		b.present[i] = tx != nil && tx.Sidecar.Matches(e.Sidecars[i])
	}
	out, err := b.run()
	if err != nil {
		return nil, err
	}
	for i := range out.Block.Results {
		index := head.Header.Size + uint64(i)
		if at := slices.Index(out.Purge, index); at >= 0 {
			out.Purge = slices.Delete(out.Purge, at, at+1) // erased before it was stored
			continue
		}
		if tx := b.txs[i]; tx != nil && tx.Sidecar.Size > 0 && out.Block.Results[i].Code == "" {
			out.Sidecars = append(out.Sidecars, KeptSidecar{Index: index, Data: e.Sidecars[i]})
		}
	}
	return out, nil
}

// Replay runs a block again, without sidecars: it takes the block's word for
// which of them were present. The error is a *chain.BrokenError when the
// outcome differs from the block in any bit.
func (x *Executor) Replay(head *Head, r Reader, block *chain.Block) (*Outcome, error) {
	height := block.Header.Height
	e, err := block.Entry()
	if err != nil {
		return nil, err
	}
	b, err := x.begin(head, r, e)
	var void *VoidError
	if errors.As(err, &void) {
		return nil, &chain.BrokenError{Height: height, Link: "proposal (" + void.Reason + ")"}
	}
	if err != nil {
		return nil, err
	}
	for i := range b.txs {
		b.present[i] = block.Results[i].Code != chain.ErrSidecar
	}
	out, err := b.run()
	if err != nil {
		return nil, err
	}
	want, err := block.Bytes()
	if err != nil {
		return nil, err
	}
	got, err := out.Block.Bytes()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(want, got) {
		return nil, &chain.BrokenError{Height: height, Link: "replayed header",
			Want: block.Header.Hash(), Got: out.Block.Header.Hash()}
	}
	return out, nil
}

// begin checks that e may follow head and prepares its block.
func (x *Executor) begin(head *Head, r Reader, e *chain.Entry) (*blockRun, error) {
	if n := len(e.Txs); n == 0 || len(e.Parsed()) != n || len(e.Sidecars) != n {
		return nil, errors.New("entry was neither parsed nor signed")
	}
	parent := head.Header.Hash()
	if err := x.loadConsortium(r); err != nil {
		return nil, err
	}
	switch {
	case e.Chain != head.Header.Chain:
		return nil, &VoidError{"it is for another chain"}
	case x.current.MemberByKey(e.Proposer) == nil:
		return nil, &VoidError{"its proposer is no member"}
	case e.Height > head.Header.Height:
		return nil, &VoidError{"its parent does not exist yet"}
	case head.Header.Height-e.Height >= chain.MaxParentAge:
		return nil, &VoidError{"its parent is too old"}
	}
	proposer, verdicts, err := e.VerifySignatures()
	if err != nil {
		return nil, err
	}
	if !proposer {
		return nil, &VoidError{"its proposer's signature does not verify"}
	}
	want := parent
	if e.Height < head.Header.Height {
		if want, err = ancestor(r, e.Height); err != nil {
			return nil, err
		}
	}
	if e.Parent != want {
		return nil, &VoidError{fmt.Sprintf("its proposer has another block %d", e.Height)}
	}
	if err := x.window.moveTo(parent, r); err != nil {
		return nil, err
	}
	hash, err := e.Hash()
	if err != nil {
		return nil, err
	}
	state := newBlockState(r, 2*len(e.Txs))
	return &blockRun{
		x: x, head: head, parent: parent, proposal: e.Proposal, hash: hash, txs: e.Parsed(), verdicts: verdicts,
		present: make([]bool, len(e.Txs)),
		state:   state, scratch: newOverlay(state, 0), budget: maxBlockWrites,
		height: head.Header.Height + 1, time: max(head.Header.Time, e.Time),
	}, nil
}

func (x *Executor) loadConsortium(r Reader) error {
	file, err := r.Get([]byte(keyConsortium))
	if err != nil {
		return fmt.Errorf("read consortium: %w", err)
	}
	if x.current != nil && bytes.Equal(file, x.file) {
		return nil
	}
	k, err := chain.ParseConsortium(file)
	if err != nil {
		return fmt.Errorf("read consortium from the state: %w", err)
	}
	x.file, x.current = bytes.Clone(file), k
	return nil
}

// blockRun is one block in the making.
type blockRun struct {
	x        *Executor
	head     *Head
	parent   chain.Hash
	proposal chain.Proposal
	txs      []*chain.Tx
	verdicts []bool
	present  []bool     // by transaction: the sidecar is as it should be
	hash     chain.Hash // of the proposal
	state    *blockState
	scratch  *overlay // writes of the transaction that runs
	call     Call     // of the transaction that runs
	budget   int      // bytes transactions may still write
	height   uint64
	time     int64
	record   replayRecord
	inBlock  map[chain.Hash]uint64 // leaf index of those executed in this block
	live     int                   // ids remembered
	purge    []uint64
}

func (b *blockRun) run() (*Outcome, error) {
	expired := b.x.window.expiring(b.time)
	for _, old := range expired {
		b.state.set(string(binary.BigEndian.AppendUint64([]byte(keyReplay), old.height)), nil)
	}
	b.record = replayRecord{height: b.height, first: b.head.Header.Size, ids: make([]byte, 0, idSize*len(b.txs))}
	b.inBlock = make(map[chain.Hash]uint64, len(b.txs))
	b.live = b.x.window.ids.count()
	if err := b.prepare(); err != nil {
		return nil, fmt.Errorf("read state for block %d: %w", b.height, err)
	}

	results := make([]chain.Result, len(b.txs))
	for i, tx := range b.txs {
		code, value, events, err := b.transaction(i, tx)
		if err != nil {
			return nil, fmt.Errorf("read state for block %d: %w", b.height, err)
		}
		results[i] = chain.NewResult(b.height, b.time, code, value, events)
	}
	if b.record.count() > 0 {
		b.state.set(string(binary.BigEndian.AppendUint64([]byte(keyReplay), b.height)), b.record.bytes())
	}
	b.state.set(parentKey(b.head.Header.Height), parentValue(b.head.Header.Height, b.parent))

	out, err := b.finish(results)
	if err != nil {
		return nil, err
	}
	b.x.window.step(out.Block.Header.Hash(), len(expired), b.record, b.inBlock)
	return out, nil
}

// finish derives the header from the results and the writes.
func (b *blockRun) finish(results []chain.Result) (*Outcome, error) {
	block := &chain.Block{Proposal: b.proposal, Results: results}
	tree, hashes, err := b.head.Tree.AppendBlock(block)
	if err != nil {
		return nil, err
	}
	digest := b.head.Digest.clone()
	writes, err := b.state.changes(digest)
	if err != nil {
		return nil, fmt.Errorf("read state for block %d: %w", b.height, err)
	}
	block.Header = b.head.Header
	block.Header.Height = b.height
	block.Header.Prev = b.parent
	block.Header.Time = b.time
	block.Header.Proposal = b.hash
	block.Header.Size = tree.Size()
	block.Header.Root = tree.Root()
	block.Header.State = digest.Sum()
	return &Outcome{
		Block: block, Head: &Head{Header: block.Header, Tree: tree, Digest: digest},
		Writes: writes, Hashes: hashes, Purge: b.purge, Consortium: b.x.current,
	}, nil
}

// transaction runs one transaction. The error is that of reading the state.
func (b *blockRun) transaction(i int, tx *chain.Tx) (code chain.Code, value []byte, events []chain.Event, err error) {
	if code := b.admit(i, tx); code != "" {
		return code, nil, nil, nil
	}
	b.inBlock[tx.ID()] = b.head.Header.Size + uint64(i)
	b.record.add(i, tx)
	contract, ok := b.x.contracts[tx.Contract]
	if !ok {
		return chain.ErrContract, nil, nil, nil
	}
	b.scratch.reset()
	call := &b.call
	*call = Call{
		Chain: tx.Chain, Height: b.height, Time: b.time, Index: b.head.Header.Size + uint64(i),
		ID: tx.ID(), Signer: tx.Signer, Sidecar: tx.Sidecar, Consortium: b.x.current,
		own: View{prefix: namespace(tx.Contract), tx: b.scratch, budget: maxTxWrites},
		tx:  b.scratch, others: call.others[:0],
	}
	call.State = &call.own
	value, err = invoke(contract, call, tx.Method, tx.Args)
	if b.state.before.reading {
		return "", nil, nil, errors.New("reader panicked") // on this replica only: no verdict on the transaction
	}
	if fault := call.readFault(); fault != nil {
		return "", nil, nil, fault
	}
	if code = codeOf(err, call); code != "" {
		return code, nil, nil, nil
	}
	if !fits(b.height, b.time, value, call.events) {
		return chain.ErrFault, nil, nil, nil
	}
	purged, err := call.settle(tx.Contract)
	if err != nil {
		return "", nil, nil, err
	}
	b.state.commit(b.scratch)
	b.budget -= maxTxWrites - call.own.budget
	b.purge = append(b.purge, purged...)
	return "", value, call.events, nil
}

// admit returns why a transaction is not executed, or the empty code.
func (b *blockRun) admit(i int, tx *chain.Tx) chain.Code {
	if code := tx.Admit(b.head.Header.Chain, b.time, b.verdicts[i]); code != "" {
		return code
	}
	if b.x.window.seen(tx.ID()) {
		return chain.ErrDuplicate
	}
	if _, seen := b.inBlock[tx.ID()]; seen {
		return chain.ErrDuplicate
	}
	if !b.present[i] {
		return chain.ErrSidecar
	}
	if b.full() {
		return chain.ErrBusy
	}
	return ""
}

// full reports whether the window or the block can take no more.
func (b *blockRun) full() bool {
	return b.live+b.record.count() >= MaxWindow || b.budget < maxTxWrites
}

// ancestor returns the hash of the header at this height, which is less than
// MaxParentAge below the head.
func ancestor(r Reader, height uint64) (chain.Hash, error) {
	v, err := r.Get([]byte(parentKey(height)))
	if err != nil {
		return chain.Hash{}, fmt.Errorf("read header hash: %w", err)
	}
	if len(v) != 8+len(chain.Hash{}) || binary.BigEndian.Uint64(v) != height {
		return chain.Hash{}, fmt.Errorf("header hash of height %d is not in the state", height)
	}
	return chain.Hash(v[8:]), nil
}

func parentKey(height uint64) string {
	return keyParent + string([]byte{byte(height % chain.MaxParentAge)})
}

func parentValue(height uint64, hash chain.Hash) []byte {
	return append(binary.BigEndian.AppendUint64(nil, height), hash[:]...)
}
