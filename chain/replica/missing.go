package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// ErrMissing means that the sidecar of a transaction is not here though no block has
// purged it: damage took it, an export that was imported did not have it, or a member
// left it out of the blocks that were fetched from it. The replica asks the other members
// for it from time to time.
var ErrMissing = errors.New("sidecar is missing")

// What was purged, the blocks say when they are executed. So whoever executes them
// again without a sidecar notes that it is missing, and a purge removes the note. What
// is missing then is looked for: nobody's word makes it count as purged.

// sidecars returns those that a step brings.
func (s *step) sidecars() []ledger.KeptSidecar {
	if s.outcome == nil {
		return s.late
	}
	return s.outcome.Sidecars
}

func (s *step) purges(index uint64) bool {
	return s.outcome != nil && slices.Contains(s.outcome.Purge, index)
}

// brings reports whether a step brings a sidecar that was missing.
func (s *step) brings(index uint64) bool {
	return slices.ContainsFunc(s.late, func(d ledger.KeptSidecar) bool { return d.Index == index })
}

// onlyMissing leaves in s those late sidecars that are still missing: a block may
// have purged one meanwhile. The caller holds mu.
func (b *book) onlyMissing(s *step) error {
	var kept []ledger.KeptSidecar
	for _, d := range s.late {
		v, err := b.base.get(numKey(keyMissing, d.Index))
		if err != nil {
			return err
		}
		is := v != nil
		for _, p := range b.pending {
			is = (is || slices.Contains(p.missing, d.Index)) && !p.purges(d.Index) && !p.brings(d.Index)
		}
		if is {
			kept = append(kept, d)
		}
	}
	s.late = kept
	return nil
}

// missing returns, in order, the leaves whose sidecar is missing, also those that are
// not yet noted on disk.
func (b *book) missing() ([]uint64, error) {
	b.mu.RLock()
	txn, pending := b.base.share(), b.pending
	b.mu.RUnlock()
	defer txn.Discard()
	var leaves []uint64
	err := txn.scan([]byte{keyMissing}, nil, func(k, _ []byte) (bool, error) {
		if len(k) != 9 {
			return false, &DamageError{Path: b.db.dir, Reason: "malformed key of a missing sidecar"}
		}
		leaves = append(leaves, binary.BigEndian.Uint64(k[1:]))
		return true, nil
	})
	for _, s := range pending {
		leaves = slices.DeleteFunc(append(leaves, s.missing...), func(index uint64) bool { return s.purges(index) || s.brings(index) })
	}
	return leaves, err
}

// fetchMissing asks every other member for the sidecars that are missing here, and
// returns how many still are.
func (r *Replica) fetchMissing(ctx context.Context) (left int, err error) {
	leaves, err := r.book.missing()
	if err != nil || len(leaves) == 0 {
		return 0, err
	}
	left = len(leaves)
	late := map[string]int{}
	for len(leaves) > 0 && ctx.Err() == nil {
		if err := errors.Join(r.writable(), r.haltErr()); err != nil {
			return left, err
		}
		blk, i, err := r.book.leaf(leaves[0])
		if err != nil {
			return left, err
		}
		first := leaves[0] - uint64(i)
		n := 0 // of the leaves are in this block
		for n < len(leaves) && leaves[n] < blk.Header.Size {
			n++
		}
		found, err := r.askSidecars(ctx, blk, first, leaves[:n], late)
		if err != nil {
			return left, err
		}
		if err := r.book.append(&step{late: found}); err != nil {
			return left, err
		}
		left -= len(found)
		leaves = leaves[n:]
	}
	return left, ctx.Err()
}

// askSidecars asks the other members in turn for the sidecars of these leaves of a
// block, and returns those that hold. Who is slow is asked last, and waited for: late
// counts how often a member did not answer in time. Who did not the second time is
// passed over.
func (r *Replica) askSidecars(ctx context.Context, blk *chain.Block, first uint64, leaves []uint64, late map[string]int) ([]ledger.KeptSidecar, error) {
	var all []uint64 // leaves that brought a sidecar
	var txs []*chain.Tx
	err := eachSidecar(blk, first, func(index uint64, tx *chain.Tx) error {
		all, txs = append(all, index), append(txs, tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []ledger.KeptSidecar
	wanted := slices.Clone(leaves)
	ask := func(member string, patience time.Duration) {
		got, err := r.askBlock(ctx, member, blk.Header.Height, patience)
		if remote := (*remoteError)(nil); err != nil && !errors.As(err, &remote) {
			late[member]++
		}
		if err != nil || got == nil || len(got.Sidecars) != len(all) {
			return
		}
		for i, data := range got.Sidecars {
			if at := slices.Index(wanted, all[i]); at >= 0 && len(data) > 0 && txs[i].Sidecar.Matches(data) {
				found = append(found, ledger.KeptSidecar{Index: all[i], Data: data})
				wanted = slices.Delete(wanted, at, at+1)
			}
		}
	}
	soon := 2 * r.opt.Heartbeat
	for times, patience := range []time.Duration{soon, max(fetchTimeout, soon)} {
		for _, m := range r.Consortium().Members {
			if m.Name != r.opt.Member && late[m.Name] == times && len(wanted) > 0 && ctx.Err() == nil {
				ask(m.Name, patience)
			}
		}
	}
	return found, ctx.Err()
}

// askBlock asks a member for one block, and returns nil if it answers with none or
// several.
func (r *Replica) askBlock(ctx context.Context, member string, height uint64, patience time.Duration) (*sentBlock, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var got []sentBlock
	if err := r.peers.call(ctx, member, rpcBlocks, blocksRequest{From: height, To: height}, &got); err != nil {
		return nil, err
	}
	if len(got) != 1 {
		return nil, nil
	}
	return &got[0], nil
}

// maxMissingPause is how long a replica waits at most before it asks again for
// sidecars that nobody had.
const maxMissingPause = time.Hour

// watchMissing asks for missing sidecars until there are none, and again when blocks
// were fetched without. It halts a replica of which it finds a block damaged.
func (r *Replica) watchMissing() {
	pause := 4 * r.opt.Heartbeat
	told := 0
	for r.haltErr() == nil {
		left, err := r.fetchMissing(r.ctx)
		if r.ctx.Err() != nil {
			return
		}
		if isDamage(err) {
			r.halt(err)
			return
		}
		if left == 0 && err == nil {
			told = 0
		} else if left != told || err != nil {
			r.log.Warn("sidecars are missing; the members that answered do not have them", "transactions", left, "error", err)
			told = left
		}
		again := time.After(pause)
		if left == 0 && err == nil {
			again = nil
			pause = 4 * r.opt.Heartbeat
		}
		select {
		case <-again:
			pause = min(2*pause, maxMissingPause)
		case <-r.fetched:
			pause = 4 * r.opt.Heartbeat
		case <-r.stopped:
			return
		}
	}
}
