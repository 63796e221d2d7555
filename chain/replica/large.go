package replica

import (
	"encoding/binary"
	"fmt"

	"github.com/ward-health/ward/chain/ledger"
)

// A batch that Badger does not take in one transaction is written in several, and
// is as atomic as one: what its keys held before is written down first, and put
// back when the database is opened before the last transaction is done.
//
//	'u' and a number   length of the key (4), key, old value; no value: none
//	"mu"               how many there are; present while they count
//
// The last transaction of a batch holds its last write and removes "mu".

// commitLarge writes a batch that is too large for one transaction.
func (s *kv) commitLarge(b *batch) error {
	n := len(b.writes) - 1
	undo, err := s.undo(b.writes[:n])
	if err != nil {
		return err
	}
	if err := s.commitParts(undo); err != nil {
		return err
	}
	count := []ledger.Write{{Key: metaKey('u'), Value: binary.BigEndian.AppendUint64(nil, uint64(len(undo)))}}
	if err := s.commitWrites(count); err != nil {
		return err
	}
	if err := s.commitParts(b.writes[:n]); err != nil {
		return err
	}
	last := []ledger.Write{b.writes[n], {Key: metaKey('u')}}
	if err := s.commitWrites(last); err != nil {
		return err
	}
	return s.commitParts(deletions(len(undo)))
}

// undo returns the writes that note what the keys of others hold now.
func (s *kv) undo(writes []ledger.Write) ([]ledger.Write, error) {
	txn := s.view()
	defer txn.Discard()
	out := make([]ledger.Write, len(writes))
	for i, w := range writes {
		old, err := txn.get(w.Key)
		if err != nil {
			return nil, err
		}
		v := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(w.Key)+len(old)), uint32(len(w.Key)))
		v = append(append(v, w.Key...), old...)
		out[i] = ledger.Write{Key: numKey(keyUndo, uint64(i)), Value: v}
	}
	return out, nil
}

func deletions(n int) []ledger.Write {
	out := make([]ledger.Write, n)
	for i := range out {
		out[i].Key = numKey(keyUndo, uint64(i))
	}
	return out
}

// commitParts writes in as many transactions as it takes.
func (s *kv) commitParts(writes []ledger.Write) error {
	maxBytes, maxWrites := s.room()
	for from := 0; from < len(writes); {
		to, bytes := from, 0
		for to < len(writes) && to-from < maxWrites {
			bytes += len(writes[to].Key) + len(writes[to].Value) + writeOverhead
			if bytes > maxBytes && to > from {
				break
			}
			to++
		}
		if err := s.commitWrites(writes[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// putBack undoes a batch of which not everything was written, and removes what one
// that was has left.
func (s *kv) putBack() error {
	txn := s.view()
	defer txn.Discard()
	count, err := txn.get(metaKey('u'))
	if err != nil {
		return err
	}
	var notes []ledger.Write
	err = txn.scan([]byte{keyUndo}, nil, func(k, v []byte) (bool, error) {
		if len(k) != 9 || len(v) < 4 || uint64(len(v)-4) < uint64(binary.BigEndian.Uint32(v)) {
			return false, &DamageError{Path: s.dir, Reason: "malformed undo record"}
		}
		at := 4 + binary.BigEndian.Uint32(v)
		notes = append(notes, ledger.Write{Key: v[4:at], Value: v[at:]})
		return true, nil
	})
	if err != nil || len(notes) == 0 && count == nil {
		return err
	}
	if count != nil {
		if len(count) != 8 || binary.BigEndian.Uint64(count) != uint64(len(notes)) {
			return &DamageError{Path: s.dir, Reason: "undo records are missing"}
		}
		for i := range notes {
			if len(notes[i].Value) == 0 {
				notes[i].Value = nil
			}
		}
		if err := s.commitParts(notes); err != nil {
			return err
		}
		if err := s.commitWrites([]ledger.Write{{Key: metaKey('u')}}); err != nil {
			return err
		}
	}
	var done []ledger.Write
	err = txn.scan([]byte{keyUndo}, nil, func(k, _ []byte) (bool, error) {
		done = append(done, ledger.Write{Key: k})
		return true, nil
	})
	if err != nil {
		return err
	}
	return s.commitParts(done)
}

// halfWritten reports whether a batch was being written when the replica stopped.
func (t *kvTxn) halfWritten() (bool, error) {
	v, err := t.get(metaKey('u'))
	return v != nil, err
}

// commitWrites writes in one transaction. When it returns, all of it is on stable
// storage.
func (s *kv) commitWrites(writes []ledger.Write) error {
	if s.medium.commit != nil {
		if err := s.medium.commit(); err != nil {
			return fmt.Errorf("write state: %w", err)
		}
	}
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	size := 0
	for _, w := range writes {
		size += len(w.Value) + 4
	}
	values := make([]byte, 0, size)
	for _, w := range writes {
		var err error
		if w.Value == nil {
			err = txn.Delete(w.Key)
		} else {
			from := len(values)
			values = append(values, w.Value...)
			values = binary.BigEndian.AppendUint32(values, checksum(w.Key, w.Value))
			err = txn.Set(w.Key, values[from:len(values):len(values)])
		}
		if err != nil {
			return fmt.Errorf("write state: %w", err)
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// commit writes the batch as a whole, the head last. When it returns, the batch is
// on stable storage.
func (s *kv) commit(b *batch) error {
	maxBytes, maxWrites := s.room()
	if b.bytes <= maxBytes && len(b.writes) <= maxWrites {
		return s.commitWrites(b.writes)
	}
	return s.commitLarge(b)
}
