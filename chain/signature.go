package chain

import (
	"crypto/rand"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// batchSize is the number of signatures checked in one multiplication. Larger
// batches gain nothing and cost memory.
const batchSize = 1024

// zip215 selects the rules all signatures of the chain are checked under,
// alone and in batches: https://zips.z.cash/zip-0215.
func zip215() *ed25519.Options {
	return &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215}
}

// Verify reports whether sig is a signature of msg by k under the rules of
// ZIP 215.
func (k PublicKey) Verify(msg, sig []byte) bool {
	return ed25519.VerifyWithOptions(k[:], msg, sig, zip215())
}

type signed struct {
	key      PublicKey
	msg, sig []byte
}

// verifyBatch returns one verdict per item, each the same as that of
// PublicKey.Verify.
func verifyBatch(items []signed) []bool {
	verdicts := make([]bool, 0, len(items))
	opts := zip215()
	for len(items) > 0 {
		n := min(batchSize, len(items))
		batch := ed25519.NewBatchVerifierWithCapacity(n)
		repeated := expandRepeated(items[:n])
		for i := range items[:n] {
			item := &items[i]
			if key := repeated[item.key]; key != nil {
				batch.AddExpandedWithOptions(key, item.msg, item.sig, opts)
			} else {
				batch.AddWithOptions(item.key[:], item.msg, item.sig, opts)
			}
		}
		_, each := batch.Verify(rand.Reader)
		verdicts = append(verdicts, each...)
		items = items[n:]
	}
	return verdicts
}

// expandRepeated decompresses the keys that sign more than one item: one key
// costs about a fifth of a verification. A key that is no point is left out.
func expandRepeated(items []signed) map[PublicKey]*ed25519.ExpandedPublicKey {
	keys := make(map[PublicKey]*ed25519.ExpandedPublicKey, len(items))
	for i := range items {
		key, seen := keys[items[i].key]
		if seen && key == nil {
			key, _ = ed25519.NewExpandedPublicKey(items[i].key[:]) // nil on error
		}
		keys[items[i].key] = key
	}
	return keys
}

// VerifyTxs returns one verdict per transaction, false for a nil one: the same
// as Tx.Verify, at about a quarter of the cost when there are many. It marks
// good transactions, so that they are not verified again, and is therefore not
// safe for concurrent use on the same transactions.
func VerifyTxs(txs []*Tx) []bool { return verifyTxs(txs) }

// verifyTxs appends the verdicts for more to those for the transactions.
func verifyTxs(txs []*Tx, more ...signed) []bool {
	items := make([]signed, 0, len(txs)+len(more))
	pending := make([]bool, len(txs)) // decided first: a transaction may occur twice
	for i, tx := range txs {
		if pending[i] = tx != nil && !tx.good; pending[i] {
			msg, sig := tx.signed()
			items = append(items, signed{tx.Signer, msg, sig})
		}
	}
	fresh := verifyBatch(append(items, more...))
	verdicts := make([]bool, len(txs), len(txs)+len(more))
	for i, tx := range txs {
		verdicts[i] = tx != nil && tx.good
		if pending[i] {
			verdicts[i], fresh = fresh[0], fresh[1:]
		}
	}
	for i, tx := range txs {
		if verdicts[i] {
			tx.good = true
		}
	}
	return append(verdicts, fresh...)
}
