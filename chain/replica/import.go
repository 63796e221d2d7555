package replica

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/internal/durable"
)

// ErrImporting means that an import into the directory was cut off, by a crash say.
// What is in it is no chain. Import begins again there.
var ErrImporting = errors.New("an import into the directory was cut off")

// ImportOptions say into what an exported chain is imported.
type ImportOptions struct {
	// Dir receives the replica. It must be empty or missing, or an import into it
	// was cut off.
	Dir string
	// Trusted is a consortium file of the chain, of any epoch, that the caller
	// has from a trusted place.
	Trusted *chain.Consortium
	// Contracts are the rules, by name.
	Contracts map[string]ledger.Contract
	// MinFree is as in Options: with less free space Import ends with ErrReadOnly.
	MinFree int64

	medium medium
	free   func(dir string) (int64, error) // for tests; nil asks the disk
}

// importMark is the name of a file that says that what else is in a directory is part
// of an import, and no chain. It is on stable storage before anything else is written
// there, and removed when all of that is on stable storage too.
const importMark = "importing"

// importedNames is what Import puts into a directory.
var importedNames = []string{"state", "blocks", "sidecars", recoveringMark}

// Import makes a replica from an exported chain, executing every transaction
// again. It returns the header of the last block. When it returns nil everything is
// on stable storage.
//
// When it returns an error, Dir is empty but for the file of its lock, unless the
// disk refuses that too. Then, and when the process is killed or the power fails
// before Import returns, Dir holds a mark: Open and Verify refuse it with
// ErrImporting, and the next Import begins again. If it had all but returned, the
// replica may be there as a whole.
//
// To restore a consortium that lost every replica, import the same export on all
// members and open them with Options.Bootstrap. What was certified after the
// export is then gone: clients that hold later receipts will notice.
//
// A sidecar that the export does not have and no block in it purges is missing in the
// replica, and not purged: see ErrMissing. The chain is imported all the same: an export
// is often the last copy, whoever wrote it may have been without the sidecar too, and
// one that was purged while the export was written is left out of it. Verify counts
// them, and when the replica is open it asks the other members for them.
//
// A single member may import too. An export does not say what the member promised
// to the others: so Open, on every replica that was imported, first asks them as
// after the loss of a disk, and waits for ⌈n/2⌉ of the n − 1 others to answer.
func Import(in io.Reader, opt ImportOptions) (*chain.Header, error) {
	def(&opt.MinFree, minFree)
	if opt.free == nil {
		opt.free = freeBytes
	}
	head, err := importDir(in, opt)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return head, nil
}

func importDir(in io.Reader, opt ImportOptions) (head *chain.Header, err error) {
	if err := durable.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := durable.LockDir(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if err := checkImported(opt.Dir); errors.Is(err, ErrImporting) {
		if err := discardImport(opt); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if err := checkEmpty(opt.Dir); err != nil {
		return nil, err
	}
	if _, err := durable.Sweep(opt.Dir); err != nil {
		return nil, err
	}
	err = markImport(opt)
	if err == nil {
		head, err = importInto(in, opt)
	}
	if err == nil {
		err = finishImport(opt)
	}
	if err != nil {
		return nil, errors.Join(err, discardImport(opt))
	}
	return head, nil
}

// checkImported returns ErrImporting if an import into dir was cut off.
func checkImported(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, importMark))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%w: %s", ErrImporting, dir)
	}
	return err
}

// checkEmpty returns an error that wraps fs.ErrExist if there is anything in dir but
// the file of its lock, and what cut off writes of other files left.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != durable.LockName && e.Name() != importMark && !durable.IsUnfinished(e.Name()) {
			return fmt.Errorf("%w: %s is not empty", fs.ErrExist, dir)
		}
	}
	return nil
}

func markImport(opt ImportOptions) error {
	return opt.medium.writeFile(filepath.Join(opt.Dir, importMark), []byte("import\n"))
}

// finishImport makes everything in the directory durable, and only then a replica.
func finishImport(opt ImportOptions) error {
	// The promises of the member, if it was one before, are not in an export.
	all := lost{log: true, vote: true, sign: true}
	if err := opt.medium.writeFile(filepath.Join(opt.Dir, recoveringMark), []byte(all.String())); err != nil {
		return err
	}
	err := filepath.WalkDir(opt.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() == durable.LockName || e.Name() == importMark {
			return err
		}
		if e.IsDir() {
			return opt.medium.flushDir(path)
		}
		return flushFile(path, opt.medium)
	})
	if err != nil {
		return err
	}
	return opt.medium.remove(filepath.Join(opt.Dir, importMark))
}

func flushFile(path string, m medium) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(m.flush(f), f.Close())
}

// discardImport removes what an import has written, the mark last. The mark is
// written again before: its removal may be what failed.
func discardImport(opt ImportOptions) error {
	if err := markImport(opt); err != nil {
		return err
	}
	for _, name := range importedNames {
		if err := os.RemoveAll(filepath.Join(opt.Dir, name)); err != nil {
			return err
		}
	}
	if err := opt.medium.flushDir(opt.Dir); err != nil {
		return err
	}
	return opt.medium.remove(filepath.Join(opt.Dir, importMark))
}

// importInto executes an export in a directory that has nothing but the mark.
func importInto(in io.Reader, opt ImportOptions) (_ *chain.Header, err error) {
	i := &importer{opt: opt}
	defer func() {
		if i.book != nil {
			err = errors.Join(err, i.book.Close())
		}
	}()
	if err := i.room(); err != nil {
		return nil, err
	}
	if i.executor, err = ledger.NewExecutor(opt.Contracts); err != nil {
		return nil, err
	}
	_, err = audit.Verify(in, opt.Trusted, audit.Visitor{
		Genesis: i.genesis, Block: i.block, Sidecar: i.sidecar, Checkpoint: i.checkpoint,
	})
	if err != nil {
		return nil, err
	}
	return i.finish()
}

// importer executes the blocks of an export one behind the reader, because the
// sidecars of a block follow it.
type importer struct {
	opt      ImportOptions
	book     *book
	executor *ledger.Executor
	held     *chain.Block
	sidecars map[uint64][]byte
	last     *chain.Checkpoint
}

// room returns ErrReadOnly if the disk is nearly full.
func (i *importer) room() error {
	if i.opt.MinFree < 0 {
		return nil
	}
	free, err := i.opt.free(i.opt.Dir)
	if err == nil && free < i.opt.MinFree {
		err = fmt.Errorf("%w: %d bytes free, %d needed", ErrReadOnly, free, i.opt.MinFree)
	}
	return err
}

func (i *importer) genesis(founding *chain.Consortium, genesis *chain.Header) error {
	b, err := openBook(i.opt.Dir, founding, bookOptions{medium: i.opt.medium}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	i.book = b
	if got := b.Head().Header.Hash(); got != genesis.Hash() {
		return &chain.BrokenError{Height: 0, Link: "genesis", Want: got, Got: genesis.Hash()}
	}
	return nil
}

func (i *importer) block(b *chain.Block) error {
	if err := i.execute(); err != nil {
		return err
	}
	i.held, i.sidecars = b, map[uint64][]byte{}
	return i.room()
}

func (i *importer) sidecar(index uint64, data []byte) error {
	i.sidecars[index] = data
	return nil
}

func (i *importer) checkpoint(c *chain.Checkpoint) error {
	i.last = c
	return nil
}

func (i *importer) execute() error {
	if i.held == nil {
		return nil
	}
	s, _, err := i.book.replay(i.executor, i.held, position{}, func(index uint64) []byte { return i.sidecars[index] })
	if err != nil {
		return err
	}
	i.held = nil
	return i.book.append(s)
}

// finish writes what was read. The audit has seen to it that the last checkpoint is
// of the last block.
func (i *importer) finish() (*chain.Header, error) {
	if err := i.execute(); err != nil {
		return nil, err
	}
	head := i.book.Head().Header
	return &head, i.book.storeCheckpoint(i.last)
}
