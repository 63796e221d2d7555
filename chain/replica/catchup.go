package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

const blocksBytes = 8 << 20 // of blocks and sidecars in one answer

type blocksRequest struct {
	_    struct{} `cbor:",toarray"`
	From uint64
	To   uint64
}

// sentBlock is a block with where its entry stands and the sidecars of its
// accepted transactions, in order, empty where purged or missing.
type sentBlock struct {
	_        struct{} `cbor:",toarray"`
	Pos      position
	Block    []byte
	Sidecars [][]byte
}

// size is how much of an answer a block takes up.
func (s *sentBlock) size() int {
	n := len(s.Block)
	for _, data := range s.Sidecars {
		n += len(data)
	}
	return n
}

// serveBlocks answers with blocks from req.From on, at least one, as many as fit
// in a message. They need not be of those that were executed: who asks goes by their
// hashes. Those have no sidecars yet: some may have to be purged.
func (r *Replica) serveBlocks(req blocksRequest) ([]sentBlock, error) {
	var out []sentBlock
	size := 0
	for height := req.From; height <= req.To && size < blocksBytes; height++ {
		blk, pos, err := r.anyBlock(height)
		if err != nil && len(out) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		raw, err := blk.Bytes()
		if err != nil {
			return nil, err
		}
		s := sentBlock{Pos: pos, Block: raw}
		first := blk.Header.Size - uint64(len(blk.Results))
		err = eachSidecar(blk, first, func(index uint64, _ *chain.Tx) error {
			data, err := r.book.sidecar(index)
			if err != nil && !errors.Is(err, ErrPurged) && !errors.Is(err, ErrMissing) {
				return err
			}
			s.Sidecars = append(s.Sidecars, data)
			return nil
		})
		if err != nil {
			return nil, err
		}
		size += s.size()
		out = append(out, s)
	}
	return out, nil
}

// eachSidecar calls fn with every transaction of a block that brought a sidecar.
func eachSidecar(blk *chain.Block, first uint64, fn func(index uint64, tx *chain.Tx) error) error {
	for i := range blk.Results {
		if blk.Results[i].Code != "" {
			continue
		}
		tx, err := chain.ParseTx(blk.Proposal.Txs[i])
		if err != nil {
			return err
		}
		if tx.Sidecar.Size == 0 {
			continue
		}
		if err := fn(first+uint64(i), tx); err != nil {
			return err
		}
	}
	return nil
}

// sidecarTxs returns the transactions of a block that brought a sidecar, in order.
func sidecarTxs(blk *chain.Block) ([]*chain.Tx, error) {
	var txs []*chain.Tx
	err := eachSidecar(blk, 0, func(_ uint64, tx *chain.Tx) error {
		txs = append(txs, tx)
		return nil
	})
	return txs, err
}

// catchUp brings the chain to the block of a snapshot by fetching blocks from
// the members, verifying every signature and executing every transaction again.
// Nothing that a single member says is taken on trust: every block must be on the way
// to the one that t_c members vouch for.
func (r *Replica) catchUp(ctx context.Context, a *attested) error {
	target, err := a.Anchor.header()
	if err != nil {
		return err
	}
	// At a block that is here already, its hash decides. Whoever signed may have
	// left the consortium since.
	if mine := r.book.Head().Header.Height; mine >= target.Height {
		blk, _, err := r.book.block(max(1, target.Height))
		if err != nil {
			return err
		}
		if blk.Header.Hash() != target.Hash() {
			return &astrayError{&chain.BrokenError{Height: target.Height, Link: "header hash against a certified snapshot", Want: target.Hash(), Got: blk.Header.Hash()}}
		}
		return r.configure(ctx, &a.Anchor)
	}
	if a, err = r.attestAnew(a); err != nil {
		return err
	}
	cp, err := chain.ParseCheckpoint(a.Checkpoint)
	if err != nil {
		return err
	}
	r.certs.expect(cp)
	r.log.Info("catching up", "from", r.book.Head().Header.Height, "to", target.Height)
	defer func() { r.trail = nil }()
	var who turns
	lost := uint64(0)
	for r.book.Head().Header.Height < target.Height {
		if err := r.advance(ctx, target, &who, a.Anchor.Pos.Index); err != nil {
			if errors.Is(err, ErrHalted) || isAstray(err) {
				return err
			}
			if gone := (*goneError)(nil); errors.As(err, &gone) && gone.height != lost {
				lost = gone.height
				r.log.Error(lostBlock, "height", lost, "error", err)
			} else {
				r.log.Warn("catch up", "error", err)
			}
			if !r.pauseFor(ctx, r.opt.Heartbeat/2) {
				return errors.Join(ctx.Err(), err)
			}
		}
	}
	select {
	case r.fetched <- struct{}{}:
	default:
	}
	return r.configure(ctx, &a.Anchor)
}

// advance executes the next blocks on the way to a certified one: one that a repair
// has moved aside, or some that a member sends. So several members under repair, each
// of which has other blocks that are good, come on together: what one of them executes,
// the others can fetch.
func (r *Replica) advance(ctx context.Context, target *chain.Header, who *turns, maxIndex uint64) error {
	if err := r.haltErr(); err != nil {
		return err
	}
	if r.trail == nil {
		r.trail = r.newTrail(target, trailWindow)
	}
	if err := r.trail.lay(ctx); err != nil {
		return err
	}
	if a := r.aside.Load(); a != nil && r.replayAside(ctx, a) == nil {
		return nil
	}
	return r.fetchSome(ctx, who, target.Height, maxIndex)
}

// configure stores the Raft configuration of a snapshot at whose block the chain has
// arrived, if it is not known: it is in no block. It was lost with the state, or a
// crash came between the last block and it.
func (r *Replica) configure(ctx context.Context, a *anchor) error {
	config, at, err := r.book.configAt(a.Pos.Index)
	if err != nil || at == a.ConfigIndex && bytes.Equal(config, a.Config) && r.book.Applied().Index >= a.Pos.Index {
		return err
	}
	if err := r.book.append(&step{pos: a.Pos, config: a.Config, configAt: a.ConfigIndex}); err != nil {
		return err
	}
	return r.book.drain(ctx)
}

// fetchTimeout is how long a member has for an answer with blocks. One that never
// answers must not hold up the others.
const fetchTimeout = 20 * time.Second

// fetchSome asks the members in turn for the next blocks, until one has some that hold.
// Their entries are at or before maxIndex in the Raft log. It fetches nothing while the
// disk is nearly full.
func (r *Replica) fetchSome(ctx context.Context, who *turns, to, maxIndex uint64) error {
	if err := r.writable(); err != nil {
		return err
	}
	var errs []error
	for _, name := range who.order(r.Consortium().Members) {
		if name == r.opt.Member {
			continue
		}
		height := r.book.Head().Header.Height
		answer, err := r.fetchFrom(ctx, name, blocksRequest{From: height + 1, To: to}, maxIndex)
		got := r.book.Head().Header.Height - height
		who.note(name, answer.took, got, err == nil && (answer.size >= blocksBytes || height+got == to), r.opt.Heartbeat)
		if got > 0 {
			return nil
		}
		errs = append(errs, fmt.Errorf("blocks from %s: %w", name, err))
	}
	return nobodyHas(r.book.Head().Header.Height+1, errs)
}

// lostBlock is what the operator reads when no other member has a block that is needed.
// It is waited for all the same: one that halted may have it, one that is under repair may
// come to it by its log.
const lostBlock = "no member has a block that is needed: unless one comes to it by its log, put a good copy into damaged/blocks of a member and start it again, or restore the consortium from an export"

// A goneError says that all the other members answered, and that none gave a block.
type goneError struct {
	height uint64
	err    error
}

func (e *goneError) Error() string {
	return fmt.Sprintf("no other member has block %d: %v", e.height, e.err)
}
func (e *goneError) Unwrap() error { return e.err }

// nobodyHas returns that no other member gave a block, for these reasons, one of each: a
// *goneError if it is on none of them.
func nobodyHas(height uint64, reasons []error) error {
	for _, err := range reasons {
		if !errors.As(err, new(*remoteError)) {
			return errors.Join(reasons...) // it may have the block
		}
	}
	return &goneError{height, errors.Join(reasons...)}
}

// blocksAnswer is how long blocks took to come, and how many bytes they and their
// sidecars have.
type blocksAnswer struct {
	took time.Duration
	size int
}

// fetchFrom executes the blocks that a member sends.
func (r *Replica) fetchFrom(ctx context.Context, member string, req blocksRequest, maxIndex uint64) (blocksAnswer, error) {
	begun := time.Now()
	calling, cancel := context.WithTimeout(ctx, max(fetchTimeout, 2*r.opt.Heartbeat))
	defer cancel()
	var blocks []sentBlock
	err := r.peers.call(calling, member, rpcBlocks, req, &blocks)
	answer := blocksAnswer{took: time.Since(begun)}
	if err != nil {
		return answer, err
	}
	for i := range blocks {
		answer.size += blocks[i].size()
	}
	return answer, r.replayAll(ctx, blocks, req.To, maxIndex)
}

// placed returns where the entry of a fetched block is noted to stand: where the member
// that sent the block says, if that is after what was executed before the way began, and
// not after the snapshot to which it leads. Otherwise it is noted at the last entry.
//
// The header of the block says nothing of its place, and so no block is refused for it:
// one false place would make those of all blocks that follow impossible.
func (r *Replica) placed(told position, maxIndex uint64) position {
	if told.Index <= r.trail.after() || told.Index > maxIndex {
		return r.book.Applied()
	}
	return told
}

// replayAll executes blocks that a member sent. It does not ask another for a sidecar
// that is left out: most are purged by a block that comes later on the way. Those that
// are not are missing then, and asked for when the way is at its end.
func (r *Replica) replayAll(ctx context.Context, blocks []sentBlock, to, maxIndex uint64) error {
	if len(blocks) == 0 {
		return errors.New("none")
	}
	for _, b := range blocks {
		blk, err := chain.ParseBlock(b.Block)
		if err != nil {
			return err
		}
		if blk.Header.Height > to {
			return fmt.Errorf("block %d: out of range", blk.Header.Height)
		}
		if err := r.trail.check(ctx, blk); err != nil {
			return err
		}
		txs, err := sidecarTxs(blk)
		if err == nil && len(b.Sidecars) != len(txs) {
			err = fmt.Errorf("block %d: %d sidecars of %d", blk.Header.Height, len(b.Sidecars), len(txs))
		}
		if err != nil {
			return err
		}
		if a := r.aside.Load(); a != nil {
			a.kept.fill(b.Sidecars, txs)
		}
		if err := r.replay(blk, r.placed(b.Pos, maxIndex), b.Sidecars); err != nil {
			return err
		}
	}
	return nil
}

// replay executes a block that is on the chain already. sidecars are those of
// its accepted transactions, nil where they are not known.
func (r *Replica) replay(blk *chain.Block, pos position, sidecars [][]byte) error {
	s, txs, err := r.book.replay(r.executor, blk, pos, func(uint64) []byte {
		if len(sidecars) == 0 {
			return nil
		}
		data := sidecars[0]
		sidecars = sidecars[1:]
		return data
	})
	if err != nil {
		return err
	}
	return r.publish(s, txs)
}

// replay executes a block that is on the chain already, without appending it.
// sidecar is asked, in order, for those of its accepted transactions; one that is nil
// is missing until a block purges it.
func (b *book) replay(x *ledger.Executor, blk *chain.Block, pos position, sidecar func(index uint64) []byte) (*step, []*chain.Tx, error) {
	head := b.Head()
	if blk.Header.Height != head.Header.Height+1 || blk.Header.Prev != head.Header.Hash() {
		return nil, nil, &chain.BrokenError{Height: blk.Header.Height, Link: "previous hash", Want: head.Header.Hash(), Got: blk.Header.Prev}
	}
	view := b.view()
	outcome, err := x.Replay(head, view, blk)
	view.txn.Discard()
	if err != nil {
		return nil, nil, err
	}
	var missing []uint64
	err = eachSidecar(blk, head.Header.Size, func(index uint64, tx *chain.Tx) error {
		data := sidecar(index)
		if len(data) == 0 {
			missing = append(missing, index)
			return nil
		}
		if !tx.Sidecar.Matches(data) {
			return fmt.Errorf("sidecar of transaction %d is not the one committed to", index)
		}
		outcome.Sidecars = append(outcome.Sidecars, ledger.KeptSidecar{Index: index, Data: data})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	e, err := blk.Entry()
	if err != nil {
		return nil, nil, err
	}
	s := newStep(pos, head.Header.Size, outcome, e.Parsed())
	s.missing = missing
	return s, e.Parsed(), nil
}
