package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// A change is a transaction that put a consortium file in force.
type change struct {
	index uint64 // of its leaf
	args  []byte // as Consortium.Next takes them
}

// changesOf returns the changes of the consortium in a block.
func changesOf(o *ledger.Outcome, first uint64, txs []*chain.Tx) []change {
	var out []change
	for i, tx := range txs {
		if tx != nil && tx.Contract == chain.SystemContract && tx.Method == chain.ConsortiumMethod && o.Block.Results[i].Code == "" {
			out = append(out, change{first + uint64(i), tx.Args})
		}
	}
	return out
}

// inForce returns the consortium file in force after the last block that is executed
// here, whatever is known otherwise.
func (r *Replica) inForce() (*chain.Consortium, error) {
	v := r.book.view()
	defer v.txn.Discard()
	return ledger.InForce(v)
}

// eachChange calls fn with every change of the consortium on disk, in order, until it
// returns false: with its leaf, its arguments, and the files before and after it.
// founding is the first.
func (b *book) eachChange(founding *chain.Consortium, fn func(leaf uint64, args []byte, before, after *chain.Consortium) bool) error {
	txn := b.reader()
	defer txn.Discard()
	k := founding
	return txn.scan([]byte{keyChange}, nil, func(key, args []byte) (bool, error) {
		if len(key) != 9 {
			return false, &DamageError{Path: b.db.dir, Reason: "malformed key of a change of the consortium"}
		}
		before := k
		var err error
		if k, err = before.Next(args); err != nil {
			return false, err
		}
		return fn(binary.BigEndian.Uint64(key[1:]), args, before, k), nil
	})
}

// inForceFor returns the consortium file that was in force for the last block on disk,
// which may have changed it. founding is the first.
func (b *book) inForceFor(founding *chain.Consortium, head chain.Header) (*chain.Consortium, error) {
	_, first, err := b.heightOf(head.Size - 1)
	if err != nil {
		return nil, err
	}
	k := founding
	err = b.eachChange(founding, func(leaf uint64, _ []byte, _, after *chain.Consortium) bool {
		if leaf >= first {
			return false
		}
		k = after
		return true
	})
	return k, err
}

const maxChanges = 64 // in one answer

type changesRequest struct {
	_     struct{} `cbor:",toarray"`
	Epoch uint64
}

// serveChanges answers with the changes that lead on from a consortium file of an
// epoch, oldest first.
func (r *Replica) serveChanges(req changesRequest) ([][]byte, error) {
	out := [][]byte{}
	err := r.book.eachChange(r.opt.Consortium, func(_ uint64, args []byte, before, _ *chain.Consortium) bool {
		if before.Epoch >= req.Epoch {
			out = append(out, args)
		}
		return len(out) < maxChanges
	})
	return out, err
}

// follow looks for the consortium file under which a snapshot is good. This
// replica may have been away while the consortium changed, and cannot execute the
// blocks that say so before it trusts the snapshot. Each file must be endorsed by
// t_c members of the one before, the first of them by members this replica goes
// by, and t_c members of the last must have signed the snapshot and a checkpoint:
// an endorsed file that never came into force leads nowhere.
func (r *Replica) follow(ctx context.Context, a *attested) (*chain.Consortium, error) {
	begin := r.Consortium()
	found := make(chan *chain.Consortium, len(begin.Members))
	var wg sync.WaitGroup
	for _, m := range begin.Members {
		if m.Name == r.opt.Member {
			continue
		}
		wg.Go(func() {
			var changes [][]byte
			if err := r.peers.call(ctx, m.Name, rpcChanges, changesRequest{Epoch: begin.Epoch}, &changes); err != nil {
				return
			}
			if k := a.leadingTo(begin, changes); k != nil {
				found <- k
			}
		})
	}
	r.wg.Go(func() { wg.Wait(); close(found) })
	if k := <-found; k != nil { // one is enough: who does not answer is not waited for
		return k, nil
	}
	return nil, errors.New("no consortium file under which the snapshot is good")
}

// leadingTo returns the consortium file under which the snapshot is good, if these
// changes lead there, or nil.
func (s *attested) leadingTo(k *chain.Consortium, changes [][]byte) *chain.Consortium {
	for _, args := range changes[:min(len(changes), maxChanges)] {
		next, err := k.Next(args)
		if err != nil {
			return nil
		}
		k = next
		if _, err := s.verify(k); err == nil {
			return k
		}
	}
	return nil
}

// hearOfChanges follows the changes of the consortium that f+1 members have executed,
// an honest one among them, and that are endorsed, each under the file before. A member
// that joined while this replica was away may lead now, and is no member here: its
// connections are refused, and nobody else sends entries.
func (r *Replica) hearOfChanges() {
	begin := r.Consortium()
	ctx, cancel := context.WithTimeout(r.ctx, r.opt.Heartbeat)
	defer cancel()
	told := make([][][]byte, len(begin.Members))
	var wg sync.WaitGroup
	for i, m := range begin.Members {
		if m.Name != r.opt.Member {
			wg.Go(func() {
				var changes [][]byte
				if err := r.peers.call(ctx, m.Name, rpcChanges, changesRequest{Epoch: begin.Epoch}, &changes); err == nil {
					told[i] = changes
				}
			})
		}
	}
	wg.Wait()
	k := begin
	for n := range maxChanges {
		next, err := k.Next(agreed(told, n, (len(begin.Members)-1)/3+1))
		if err != nil {
			break
		}
		k = next
	}
	if k != begin {
		r.log.Info("the consortium has changed", "epoch", k.Epoch)
		r.setConsortium(k)
	}
}

// agreed returns the n-th of the changes that so many members tell of, or nil.
func agreed(told [][][]byte, n, need int) []byte {
	for _, one := range told {
		count := 0
		for _, other := range told {
			if n < len(one) && n < len(other) && bytes.Equal(one[n], other[n]) {
				count++
			}
		}
		if count >= need {
			return one[n]
		}
	}
	return nil
}
