package replica

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// aside is what a repair of damage has moved aside: blocks and sidecars of which some
// may be good. It is nil if none is under way.
type aside struct {
	blocks   *seglog.Log // nil if they cannot be used
	sidecars *seglog.Log // nil likewise
	kept     *oldSidecars

	// The last block in it that can be read, and where its entry stands.
	height uint64
	pos    position
}

// openAside opens what the repair that is under way has moved aside, as far as it can
// be used.
func (r *Replica) openAside() {
	a := &aside{kept: &oldSidecars{}}
	open := func(name string) *seglog.Log {
		log, err := seglog.Open(filepath.Join(r.opt.Dir, "damaged", name), seglog.Options{Salvage: true})
		if err != nil {
			r.log.Warn(name+" on disk cannot be used", "error", err)
			return nil
		}
		return log
	}
	a.blocks, a.sidecars = open("blocks"), open("sidecars")
	if a.blocks != nil {
		for height := a.blocks.Last(); height > 0 && height >= a.blocks.First(); height-- {
			if _, pos, err := a.block(height); err == nil {
				a.height, a.pos = height, pos
				break
			}
		}
	}
	r.aside.Store(a)
}

func (r *Replica) closeAside() {
	a := r.aside.Swap(nil)
	if a == nil {
		return
	}
	for _, log := range []*seglog.Log{a.blocks, a.sidecars} {
		if log != nil {
			_ = log.Close() // it was only read
		}
	}
}

// block returns a block that was moved aside, and where its entry stands.
func (a *aside) block(height uint64) (*chain.Block, position, error) {
	if a == nil || a.blocks == nil {
		return nil, position{}, ErrNotFound
	}
	raw, err := a.blocks.Read(height)
	if err != nil {
		return nil, position{}, err
	}
	return parseBlockRecord(raw)
}

// anyBlock returns a block that is here, and where its entry stands: in the chain or, if
// it is not executed, among what a repair has moved aside.
func (r *Replica) anyBlock(height uint64) (*chain.Block, position, error) {
	blk, pos, err := r.book.block(height)
	if err != nil {
		if old, at, oerr := r.aside.Load().block(height); oerr == nil {
			return old, at, nil
		}
	}
	return blk, pos, err
}

// rebuild executes the blocks that were moved aside, as far as they hold, with the
// sidecars that are still good here. What is missing then comes as after any restart:
// from the other members up to the newest snapshot, and from the Raft log. It returns
// an error only if ctx ends.
func (r *Replica) rebuild(ctx context.Context) error {
	a := r.aside.Load()
	if a == nil {
		return nil
	}
	if a.sidecars != nil && a.kept.log == nil {
		if err := a.kept.find(ctx, a.sidecars, r.log); err != nil {
			return err
		}
	}
	for ctx.Err() == nil && r.book.Head().Header.Height < a.height {
		if err := r.replayAside(ctx, a); err != nil && ctx.Err() == nil {
			r.log.Warn("blocks on disk end", "height", r.book.Head().Header.Height+1, "error", err)
			return nil
		}
	}
	return context.Cause(ctx) // the rest of the blocks may be good
}

// replayAside executes the next block, if it was moved aside and is good.
func (r *Replica) replayAside(ctx context.Context, a *aside) error {
	blk, pos, err := a.block(r.book.Head().Header.Height + 1)
	if err != nil {
		return err
	}
	if err := r.trail.check(ctx, blk); err != nil {
		return err
	}
	sidecars, err := a.kept.of(blk)
	if err == nil {
		err = r.awaitRoom(ctx)
	}
	if err != nil {
		return err
	}
	return r.replay(blk, pos, sidecars)
}

// oldSidecars reads a log of sidecars without the state that says whose they are. Its
// zero value has none.
type oldSidecars struct {
	log *seglog.Log
	at  map[chain.Sidecar]uint64 // where each is in log
}

// find reads a log.
func (o *oldSidecars) find(ctx context.Context, log *seglog.Log, report *slog.Logger) error {
	o.log, o.at = log, map[chain.Sidecar]uint64{}
	for i, last := max(1, log.First()), log.Last(); i <= last && ctx.Err() == nil; i++ {
		data, err := log.Read(i)
		if errors.Is(err, seglog.ErrErased) {
			continue
		}
		if err != nil {
			report.Warn("a sidecar on disk is lost, unless another member has it", "error", err)
			continue
		}
		c, err := chain.NewSidecar(data)
		if err != nil {
			continue // longer than any
		}
		o.at[c] = i
	}
	return ctx.Err()
}

// of returns the sidecars of a block, in order, nil where they are gone. Two
// transactions with the same sidecar both get it, though one may have been purged:
// then the block that purged it erases it again.
func (o *oldSidecars) of(blk *chain.Block) ([][]byte, error) {
	txs, err := sidecarTxs(blk)
	return o.fill(make([][]byte, len(txs)), txs), err
}

// fill puts in those of these transactions that are not there.
func (o *oldSidecars) fill(sidecars [][]byte, txs []*chain.Tx) [][]byte {
	for k, tx := range txs {
		if i := o.at[tx.Sidecar]; i > 0 && len(sidecars[k]) == 0 {
			sidecars[k], _ = o.log.Read(i) // what rotted meanwhile is gone
		}
	}
	return sidecars
}
