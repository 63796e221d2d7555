package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
//  5. When the chain is as long as it was, repair is removed, and after it what no
//     purge would reach in damaged/. If the rest comes by the Raft log, that is after
//     Open: until then another member may need a block that only this one has.
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
	if err = r.openMade(); err != nil && repairable(err) {
		r.log.Warn("what the repair had made is damaged, too; it begins again", "error", err)
		if err = r.removeChain(); err == nil {
			err = r.openBook()
		}
	}
	return p, err
}

// openBook opens the chain and compares the state with its hash.
func (r *Replica) openBook() (err error) {
	r.book, err = openBook(r.opt.Dir, r.opt.Consortium, bookOptions{medium: r.opt.medium, onFull: r.noRoom}, r.log)
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

// openMade is openBook of what a repair has made so far. It reads all of it: if a replica
// under repair halted, the file repair does not say that it was about this.
func (r *Replica) openMade() error {
	if err := r.openBook(); err != nil {
		return err
	}
	err := errors.Join(r.book.blocks.Verify(), r.book.sidecars.Verify())
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

// watchRepair ends the repair that is under way when every block that was moved aside and
// can be read has been executed again.
func (r *Replica) watchRepair() {
	if err := r.waitExecuted(r.ctx, r.aside.Load().height); err != nil {
		return
	}
	if err := r.endRepair(r.ctx); err != nil && r.ctx.Err() == nil {
		r.halt(err)
	}
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
	r.closeAside()
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
