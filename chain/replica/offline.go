package replica

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
			if errors.Is(err, ErrPurged) || errors.Is(err, ErrMissing) || err == nil && data == nil {
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

// VerifyOptions say what Verify checks a directory against.
type VerifyOptions struct {
	// Dir holds a replica that is not running.
	Dir string
	// Founding is the founding consortium file.
	Founding *chain.Consortium
	// Trusted is a consortium file, of any epoch, from a trusted place. nil
	// means Founding.
	Trusted *chain.Consortium
	// Progress, if not nil, is told now and then how many bytes are checked, of
	// how many. The blocks are gone through twice, and count so.
	Progress func(checked, all int64)
}

// Report says what Verify found in order.
type Report struct {
	Head chain.Header // last block
	// Certified is the newest certified checkpoint, nil if there is none that
	// members of the trusted consortium file, or of a later one, certify.
	Certified *chain.Checkpoint
	Sidecars  uint64 // checked
	Purged    uint64 // sidecars that were erased
	Missing   uint64 // sidecars that are not there, though no block purged them
}

// Verify walks the chain in the directory of a stopped replica: first, from genesis,
// every checksum, every link, every signature and every tree root of the blocks; then
// what is stored beside them: the whole state against the last header, every stored
// tree hash, the indexes of transactions and of changes of the consortium, every
// sidecar, and the newest certified checkpoint. It repairs nothing. The Raft log, the
// vote and the file of signatures are not part of the chain; Open checks them.
//
// The error names the first link that is broken, in this order: a *chain.BrokenError,
// a *seglog.CorruptError or a *DamageError. It wraps fs.ErrNotExist if no chain is in
// the directory, durable.ErrLocked while a replica runs there, and ErrImporting if an
// import was cut off.
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
	if err := checkImported(opt.Dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(opt.Dir, "state")); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no chain in %s", fs.ErrNotExist, opt.Dir)
	} else if err != nil {
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
	p := newProgress(opt, blocks)
	auditor, err := auditBlocks(ctx, blocks, opt, p)
	if cerr := blocks.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	b, err := openBook(opt.Dir, opt.Founding, bookOptions{readOnly: true}, slog.New(slog.DiscardHandler))
	if repairable(err) && !isDamage(err) { // not all that is damaged has a type of its own
		err = &DamageError{Path: filepath.Join(opt.Dir, "state"), Reason: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	rep, err := verifyBook(ctx, b, auditor, p)
	return rep, errors.Join(err, b.Close())
}

// auditBlocks checks every block and remembers nothing but the auditor.
func auditBlocks(ctx context.Context, blocks *seglog.Log, opt VerifyOptions, p *progress) (*auditTrail, error) {
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
		p.at(0, p.blocks, height, blocks.Last())
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

// verifyBook checks against the blocks that were audited what is stored beside them:
// state, tree hashes, indexes and sidecars.
func verifyBook(ctx context.Context, b *book, trail *auditTrail, p *progress) (*Report, error) {
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
	w := &bookWalk{book: b, txn: v.txn, report: rep}
	for h := uint64(1); h <= height; h++ {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		if err := w.block(h); err != nil {
			return rep, err
		}
		p.at(p.blocks+p.state, p.blocks+p.sidecars, h, height)
	}
	if err := w.end(); err != nil {
		return rep, err
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

// bookWalk derives again, block by block, what a book stores beside the blocks.
type bookWalk struct {
	book    *book
	txn     *kvTxn
	report  *Report
	tree    chain.Tree
	blocks  int // so far
	changes int // of the consortium, so far
	indexes []int64
}

func (w *bookWalk) block(height uint64) error {
	blk, _, err := w.book.block(height)
	if err != nil {
		return err
	}
	if err := w.hashes(blk); err != nil {
		return err
	}
	first := blk.Header.Size - uint64(len(blk.Results))
	if err := w.stored(height, "index of the transactions", numKey(keyLeaves, first), binary.BigEndian.AppendUint64(nil, height)); err != nil {
		return err
	}
	w.blocks++
	for i := range blk.Results {
		if blk.Results[i].Code != "" {
			continue
		}
		tx, err := chain.ParseTx(blk.Proposal.Txs[i])
		if err != nil {
			return err
		}
		if tx.Contract == chain.SystemContract && tx.Method == chain.ConsortiumMethod {
			if err := w.stored(height, "stored change of the consortium", numKey(keyChange, first+uint64(i)), tx.Args); err != nil {
				return err
			}
			w.changes++
		}
		if tx.Sidecar.Size > 0 {
			if err := w.sidecar(height, first+uint64(i), tx); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashes compares the tree hashes that a block completes.
func (w *bookWalk) hashes(blk *chain.Block) error {
	from := tlog.StoredHashCount(int64(w.tree.Size()))
	tree, want, err := w.tree.AppendBlock(blk)
	if err != nil {
		return err
	}
	w.tree, w.indexes = tree, w.indexes[:0]
	for i := range want {
		w.indexes = append(w.indexes, from+int64(i))
	}
	got, err := w.book.ReadHashes(w.indexes)
	if err != nil {
		return err
	}
	for i := range want {
		if got[i] != want[i] {
			return &chain.BrokenError{Height: blk.Header.Height, Link: fmt.Sprintf("stored tree hash %d", w.indexes[i]),
				Want: chain.Hash(want[i]), Got: chain.Hash(got[i])}
		}
	}
	return nil
}

// stored compares a value on disk that follows from a block.
func (w *bookWalk) stored(height uint64, link string, key, want []byte) error {
	got, err := w.txn.get(key)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return &chain.BrokenError{Height: height, Link: link, Want: sha256.Sum256(want), Got: sha256.Sum256(got)}
	}
	return nil
}

func (w *bookWalk) sidecar(height, index uint64, tx *chain.Tx) error {
	data, err := w.book.sidecar(index)
	if errors.Is(err, ErrMissing) {
		w.report.Missing++
		return nil
	}
	if errors.Is(err, ErrPurged) || err == nil && data == nil {
		w.report.Purged++
		return nil
	}
	if err != nil {
		return err
	}
	if !tx.Sidecar.Matches(data) {
		return &chain.BrokenError{Height: height, Link: fmt.Sprintf("sidecar of transaction %d", index)}
	}
	w.report.Sidecars++
	return nil
}

// end looks for entries of the indexes that no block stands for: a search finds the
// nearest one.
func (w *bookWalk) end() error {
	for _, index := range []struct {
		kind byte
		want int
		link string
	}{{keyLeaves, w.blocks, "index of the transactions"}, {keyChange, w.changes, "stored changes of the consortium"}} {
		n := 0
		err := w.txn.scan([]byte{index.kind}, nil, func(_, _ []byte) (bool, error) { n++; return true, nil })
		if err != nil {
			return err
		}
		if n != index.want {
			return &chain.BrokenError{Height: w.report.Head.Height, Link: fmt.Sprintf("%s has %d entries, want %d", index.link, n, index.want)}
		}
	}
	return nil
}
