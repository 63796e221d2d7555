package node

import (
	"crypto/sha256"
	"sync"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// Nothing is multiplied by a share on the word of a file: before a member
// answers for a record it checks the proof of its capsule, though the chain
// checked it when the record was put. What it has checked it remembers, by all
// the bytes of the record, so that a record that is read often is checked once.

// maxVerified is how many records each of the two generations of verified holds,
// about two KiB each.
const maxVerified = 4096

// verified remembers records whose proofs hold. Its zero value is ready to use,
// by any number of goroutines.
type verified struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]*pre.Record // guarded by mu; what is used moves to young
}

// records returns the records of an access, checked, in their order.
func (v *verified) records(chainID string, access [32]byte, list []*record.Record) ([]*pre.Record, error) {
	keys, out := make([][sha256.Size]byte, len(list)), make([]*pre.Record, len(list))
	var missing []*record.Record
	for i, r := range list {
		b, err := chain.Marshal(r)
		if err != nil {
			return nil, err
		}
		keys[i] = sha256.Sum256(b)
		if out[i] = v.find(keys[i]); out[i] == nil {
			missing = append(missing, r)
		}
	}
	checked, err := record.VerifyAll(chainID, access[:], missing)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i] == nil {
			out[i], checked = checked[0], checked[1:]
			v.add(keys[i], out[i])
		}
	}
	return out, nil
}

func (v *verified) find(key [sha256.Size]byte) *pre.Record {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.young[key]
	if r == nil {
		if r = v.old[key]; r != nil {
			v.keep(key, r)
		}
	}
	return r
}

func (v *verified) add(key [sha256.Size]byte, r *pre.Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keep(key, r)
}

// keep puts a record with the young. v.mu is held.
func (v *verified) keep(key [sha256.Size]byte, r *pre.Record) {
	if len(v.young) >= maxVerified || v.young == nil {
		v.young, v.old = make(map[[sha256.Size]byte]*pre.Record), v.young
	}
	v.young[key] = r
}
