package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica/seglog"
	"github.com/ward-health/ward/internal/durable"
)

// A repair makes the chain again, from the blocks that are still good here and from
// the other members. The order of its writes lets it go on, wherever it is cut off:
//
//  1. The file repair says why, if the replica halted with it.
//  2. What an earlier repair moved aside is removed, and repair says that this one
//     has begun.
//  3. state, blocks and sidecars are moved to damaged/, and raft if the log is of
//     another history: each unless it is there already. What is in their place
//     is from then on what the repair has made.
//  4. The chain is begun, or gone on with, and completed.
//  5. repair is removed, and after it what no purge would reach in damaged/.
type repair struct {
	// history means that this replica went another way than the others: neither its
	// log nor its blocks are good. Otherwise something is damaged, and the rest is
	// needed: it may be the only copy.
	history bool
	begun   bool // something may have been moved
}

// An astrayError says that this replica has another history than what the others
// have certified, or than what it executed or signed before. What can stop all
// members at the same time, such as an entry that none of them can execute, is none:
// they would all throw their logs away.
type astrayError struct{ err error }

func (e *astrayError) Error() string { return e.err.Error() }
func (e *astrayError) Unwrap() error { return e.err }

func isAstray(err error) bool {
	var astray *astrayError
	return errors.As(err, &astray)
}

// repairMark is the name of a file that tells the next Open to rebuild the chain.
const repairMark = "repair"

// The first words of the file. Part of the format.
const (
	repairDamage  = "damage"
	repairHistory = "history"
	repairBegun   = "begun"
)

// chainDirs are the directories of the chain in the order in which they are moved.
var chainDirs = []string{"state", "blocks", "sidecars"}

// readRepair returns the repair that is due in dir, nil if none is.
func readRepair(dir string) (*repair, error) {
	raw, err := os.ReadFile(filepath.Join(dir, repairMark))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	why, begun, _ := strings.Cut(line, " ")
	return &repair{history: why == repairHistory, begun: begun == repairBegun}, nil
}

// write makes durable that p is due. text is for people.
func (p *repair) write(m medium, dir, text string) error {
	line := repairDamage
	if p.history {
		line = repairHistory
	}
	if p.begun {
		line += " " + repairBegun
	}
	return m.writeFile(filepath.Join(dir, repairMark), []byte(line+"\n"+text+"\n"))
}

// markRepair lets the next Open repair what err says. The only member has no other
// history than its own.
func (r *Replica) markRepair(err error) error {
	p, rerr := readRepair(r.opt.Dir)
	if rerr != nil {
		return rerr
	}
	if p == nil {
		p = &repair{}
	}
	p.history = p.history || isAstray(err) && len(r.Consortium().Members) > 1
	return p.write(r.opt.medium, r.opt.Dir, err.Error())
}

// repairable reports whether err is about what is on disk and not, for example,
// about permissions or another chain's directory.
func repairable(err error) bool {
	var path *os.PathError
	return isDamage(err) || errors.Is(err, errState) && !errors.As(err, &path)
}

// openChain opens the book, and returns the repair that is under way: a damaged book
// is moved aside and begun anew.
func (r *Replica) openChain() (*repair, error) {
	p, err := readRepair(r.opt.Dir)
	if err != nil {
		return nil, err
	}
	if p == nil {
		err := r.openBook()
		if err == nil {
			return nil, r.dropAside()
		}
		if !repairable(err) {
			return nil, err
		}
		r.log.Error("chain on disk is damaged; it is made again", "error", err)
		p = &repair{}
	}
	if err := r.writable(); err != nil {
		return p, fmt.Errorf("no room to make the damaged chain again: %w", err)
	}
	if err := r.setAside(p); err != nil {
		return p, err
	}
	if err = r.openBook(); err != nil && repairable(err) {
		r.log.Warn("what the repair had made is damaged, too; it begins again", "error", err)
		if err = r.removeChain(); err == nil {
			err = r.openBook()
		}
	}
	return p, err
}

// openBook opens the chain and compares the state with its hash.
func (r *Replica) openBook() (err error) {
	r.book, err = openBook(r.opt.Dir, r.opt.Consortium, bookOptions{medium: r.opt.medium}, r.log)
	if err != nil {
		return err
	}
	if err = r.checkState(); err == nil {
		err = r.book.tell(r.halt)
	}
	if err != nil {
		_ = r.book.Close() // err says more
		r.book = nil
	}
	return err
}

// setAside moves what is to be repaired to damaged/, so that it can be used and
// looked at.
func (r *Replica) setAside(p *repair) error {
	m, dir, aside := r.opt.medium, r.opt.Dir, filepath.Join(r.opt.Dir, "damaged")
	if !p.begun {
		if err := os.RemoveAll(aside); err != nil {
			return err
		}
		p.begun = true
		if err := p.write(m, dir, "under way"); err != nil {
			return err
		}
	}
	if err := durable.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	names := chainDirs
	if p.history {
		names = append([]string{"raft"}, names...)
	}
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(aside, name)); err == nil {
			continue
		}
		err := os.Rename(filepath.Join(dir, name), filepath.Join(aside, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := errors.Join(m.flushDir(aside), m.flushDir(dir)); err != nil {
		return err
	}
	if p.history {
		return r.removeChain() // of which nothing says that it is the others'
	}
	return nil
}

// removeChain removes what a repair has made so far.
func (r *Replica) removeChain() error {
	var errs []error
	for _, name := range chainDirs {
		errs = append(errs, os.RemoveAll(filepath.Join(r.opt.Dir, name)))
	}
	return errors.Join(append(errs, r.opt.medium.flushDir(r.opt.Dir))...)
}

// endRepair says that the chain is complete.
func (r *Replica) endRepair(ctx context.Context) error {
	if err := r.book.drain(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	err := r.halted // with a mark of its own
	if err == nil {
		err = r.opt.medium.remove(filepath.Join(r.opt.Dir, repairMark))
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return r.dropAside()
}

// dropAside removes what holds sidecars from what a finished repair moved aside: a
// purge would not reach it.
func (r *Replica) dropAside() error {
	aside := filepath.Join(r.opt.Dir, "damaged")
	removed := false
	for _, name := range []string{"raft", "sidecars"} {
		path := filepath.Join(aside, name)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		removed = true
	}
	if !removed {
		return nil
	}
	return r.opt.medium.flushDir(aside)
}

// aside is what a repair of damage has moved aside: blocks and sidecars of which some
// may be good. It is nil if there is none.
type aside struct {
	blocks   *seglog.Log
	sidecars *seglog.Log // nil if it cannot be used
	kept     *oldSidecars

	// The last block in it that can be read, and where its entry stands.
	height uint64
	pos    position
}

// openAside opens what the repair that is under way has moved aside, as far as it can
// be used.
func (r *Replica) openAside() {
	dir := filepath.Join(r.opt.Dir, "damaged")
	a := &aside{kept: &oldSidecars{}}
	var err error
	if a.blocks, err = seglog.Open(filepath.Join(dir, "blocks"), seglog.Options{Salvage: true}); err != nil {
		r.log.Warn("blocks on disk cannot be used", "error", err)
		return
	}
	if a.sidecars, err = seglog.Open(filepath.Join(dir, "sidecars"), seglog.Options{Salvage: true}); err != nil {
		r.log.Warn("sidecars on disk cannot be used", "error", err)
	}
	for height := a.blocks.Last(); height > 0 && height >= a.blocks.First(); height-- {
		if _, pos, err := a.block(height); err == nil {
			a.height, a.pos = height, pos
			break
		}
	}
	r.aside.Store(a)
}

func (r *Replica) closeAside() {
	a := r.aside.Swap(nil)
	if a == nil {
		return
	}
	_ = a.blocks.Close() // it was only read
	if a.sidecars != nil {
		_ = a.sidecars.Close()
	}
}

// block returns a block that was moved aside, and where its entry stands.
func (a *aside) block(height uint64) (*chain.Block, position, error) {
	if a == nil {
		return nil, position{}, ErrNotFound
	}
	raw, err := a.blocks.Read(height)
	if err != nil {
		return nil, position{}, err
	}
	return parseBlockRecord(raw)
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
