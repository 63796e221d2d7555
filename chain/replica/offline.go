package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/replica/seglog"
	"github.com/ward-health/ward/internal/durable"
)

// Export writes the chain up to the newest certified checkpoint, with the
// sidecars that are still there, as a stream that audit.Verify and Import
// read. It is the backup of a chain: everything else can be made from it. It
// returns the height of the last block written.
func (r *Replica) Export(ctx context.Context, w io.Writer) (uint64, error) {
	r.views.RLock()
	defer r.views.RUnlock()
	if err := r.Err(); err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	cp := r.Checkpoint()
	if cp == nil {
		return 0, fmt.Errorf("export: %w: no certified checkpoint", ErrNotFound)
	}
	if err := export(ctx, w, r.book, r.opt.Consortium, cp); err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	return cp.Height, nil
}

func export(ctx context.Context, w io.Writer, b *book, founding *chain.Consortium, cp *chain.Checkpoint) error {
	genesis, _, err := ledger.Genesis(founding)
	if err != nil {
		return err
	}
	e, err := audit.NewExporter(w, founding, &genesis.Header)
	if err != nil {
		return err
	}
	for height := uint64(1); height <= cp.Height; height++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		blk, _, err := b.block(height)
		if err != nil {
			return err
		}
		if err := e.Block(blk); err != nil {
			return err
		}
		err = eachSidecar(blk, blk.Header.Size-uint64(len(blk.Results)), func(index uint64, _ *chain.Tx) error {
			data, err := b.sidecar(index)
			if errors.Is(err, ErrPurged) || err == nil && data == nil {
				return nil
			}
			if err != nil {
				return err
			}
			return e.Sidecar(index, data)
		})
		if err != nil {
			return err
		}
	}
	if err := e.Checkpoint(cp); err != nil {
		return err
	}
	return e.Close()
}

// ImportOptions say into what an exported chain is imported.
type ImportOptions struct {
	// Dir receives the replica. It must not hold one.
	Dir string
	// Member is whose replica it will be.
	Member string
	// Trusted is a consortium file of the chain, of any epoch, that the caller
	// has from a trusted place.
	Trusted *chain.Consortium
	// Contracts are the rules, by name.
	Contracts map[string]ledger.Contract

	medium medium
}

// Import makes a replica from an exported chain, executing every transaction
// again. It returns the header of the last block. Dir is as if the import had
// never begun unless it returns nil.
//
// To restore a consortium that lost every replica, import the same export on all
// members and open them with Options.Bootstrap. What was certified after the
// export is then gone: clients that hold later receipts will notice.
func Import(in io.Reader, opt ImportOptions) (_ *chain.Header, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("import: %w", err)
		}
	}()
	if !isEmpty(opt.Dir) {
		return nil, fmt.Errorf("%s holds a replica already", opt.Dir)
	}
	if err := durable.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := durable.LockDir(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	i := &importer{opt: opt}
	defer func() {
		if i.book != nil {
			err = errors.Join(err, i.book.Close())
		}
		if err != nil {
			err = errors.Join(err, discardImport(opt.Dir))
		}
	}()
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

func discardImport(dir string) error {
	var errs []error
	for _, name := range []string{"state", "blocks", "sidecars", "signed"} {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
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
	return nil
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

func (i *importer) finish() (*chain.Header, error) {
	if err := i.execute(); err != nil {
		return nil, err
	}
	if err := i.book.drain(context.Background()); err != nil {
		return nil, err
	}
	head := i.book.Head().Header
	if i.last != nil && i.last.Height == head.Height {
		if err := i.book.storeCheckpoint(i.last); err != nil {
			return nil, err
		}
	}
	// What this member signed up to here is what it has now.
	s, _, err := openSignFile(i.opt.Dir, i.opt.medium)
	if err != nil {
		return nil, err
	}
	if head.Height > 0 {
		err = s.record(signedHead{Height: head.Height, Hash: bodyHash(head.TreeHead())})
	}
	return &head, errors.Join(err, s.Close())
}

// VerifyOptions say what Verify checks a directory against.
type VerifyOptions struct {
	// Dir holds a replica that is not running.
	Dir string
	// Founding is the founding consortium file.
	Founding *chain.Consortium
	// Trusted is a consortium file, of any epoch, from a trusted place. nil
	// means Founding.
	Trusted *chain.Consortium
}

// Report says what Verify found in order.
type Report struct {
	Head chain.Header // last block
	// Certified is the newest certified checkpoint, nil if there is none that
	// members of the trusted consortium file, or of a later one, certify.
	Certified *chain.Checkpoint
	Sidecars  uint64 // checked
	Purged    uint64 // sidecars that were erased
}

// Verify walks the chain in the directory of a stopped replica: every checksum,
// every link from genesis, every signature, every tree root, every sidecar, then
// the tree hashes and the whole state against the last header, and the newest
// certified checkpoint. It changes nothing.
//
// The error names the first link that is broken: a *chain.BrokenError, a
// *seglog.CorruptError or a *DamageError.
func Verify(ctx context.Context, opt VerifyOptions) (*Report, error) {
	rep, err := verify(ctx, opt)
	if err != nil {
		return rep, fmt.Errorf("verify: %w", err)
	}
	return rep, nil
}

func verify(ctx context.Context, opt VerifyOptions) (*Report, error) {
	if opt.Trusted == nil {
		opt.Trusted = opt.Founding
	}
	if _, err := os.Stat(filepath.Join(opt.Dir, "state")); err != nil {
		return nil, err
	}
	lock, err := durable.LockDir(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	// The blocks first: what is wrong with the state is clearer afterwards.
	blocks, err := seglog.Open(filepath.Join(opt.Dir, "blocks"), seglog.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	auditor, err := auditBlocks(ctx, blocks, opt)
	if cerr := blocks.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	b, err := openBook(opt.Dir, opt.Founding, bookOptions{readOnly: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	rep, err := verifyBook(b, auditor)
	return rep, errors.Join(err, b.Close())
}

// auditBlocks checks every block and remembers nothing but the auditor.
func auditBlocks(ctx context.Context, blocks *seglog.Log, opt VerifyOptions) (*auditTrail, error) {
	genesis, _, err := ledger.Genesis(opt.Founding)
	if err != nil {
		return nil, err
	}
	a, err := audit.New(opt.Trusted, opt.Founding, &genesis.Header)
	if err != nil {
		return nil, err
	}
	trail := &auditTrail{trusted: opt.Trusted, blocks: map[uint64]auditedBlock{0: {genesis.Header.Hash(), opt.Founding}}}
	for height := uint64(1); height <= blocks.Last(); height++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		raw, err := blocks.Read(height)
		if errors.Is(err, seglog.ErrNotFound) {
			return nil, &chain.BrokenError{Height: height, Link: "block is missing"}
		}
		if err != nil {
			return nil, err
		}
		blk, _, err := parseBlockRecord(raw)
		if err != nil {
			return nil, &chain.BrokenError{Height: height, Link: fmt.Sprintf("form of the block (%v)", err)}
		}
		by := a.Consortium()
		if err := a.Block(blk); err != nil {
			return nil, err
		}
		trail.blocks[height] = auditedBlock{blk.Header.Hash(), by}
	}
	return trail, nil
}

type auditTrail struct {
	trusted *chain.Consortium
	blocks  map[uint64]auditedBlock // by height
}

type auditedBlock struct {
	hash chain.Hash
	by   *chain.Consortium // whose members certify it: a change takes effect after its block
}

// verifyBook checks state, tree hashes and sidecars against the blocks that were
// audited.
func verifyBook(b *book, trail *auditTrail) (*Report, error) {
	rep := &Report{Head: b.Head().Header}
	height := rep.Head.Height
	if got := rep.Head.Hash(); got != trail.blocks[height].hash {
		return rep, &chain.BrokenError{Height: height, Link: "head against the block", Want: trail.blocks[height].hash, Got: got}
	}
	v := b.view()
	defer v.txn.Discard()
	if err := b.digest(v); err != nil {
		return rep, err
	}
	if size := rep.Head.Size; size > 0 {
		root, err := tlog.TreeHash(int64(size), b)
		if err != nil {
			return rep, err
		}
		if chain.Hash(root) != rep.Head.Root {
			return rep, &chain.BrokenError{Height: height, Link: "stored tree hashes", Want: rep.Head.Root, Got: chain.Hash(root)}
		}
	}
	for h := uint64(1); h <= height; h++ {
		if err := rep.sidecars(b, h); err != nil {
			return rep, err
		}
	}
	cp, err := b.checkpoint()
	if err != nil || cp == nil {
		return rep, err
	}
	at, ok := trail.blocks[cp.Height]
	if !ok || at.hash != cp.Block {
		return rep, &chain.BrokenError{Height: cp.Height, Link: "certified checkpoint", Want: at.hash, Got: cp.Block}
	}
	if err := at.by.Verify(cp); err != nil {
		return rep, err
	}
	if at.by.Epoch >= trail.trusted.Epoch || trail.trusted.Verify(cp) == nil {
		rep.Certified = cp
	}
	return rep, nil
}

func (rep *Report) sidecars(b *book, height uint64) error {
	blk, _, err := b.block(height)
	if err != nil {
		return err
	}
	return eachSidecar(blk, blk.Header.Size-uint64(len(blk.Results)), func(index uint64, tx *chain.Tx) error {
		data, err := b.sidecar(index)
		if errors.Is(err, ErrPurged) || err == nil && data == nil {
			rep.Purged++
			return nil
		}
		if err != nil {
			return err
		}
		if !tx.Sidecar.Matches(data) {
			return &chain.BrokenError{Height: height, Link: fmt.Sprintf("sidecar of transaction %d", index)}
		}
		rep.Sidecars++
		return nil
	})
}
