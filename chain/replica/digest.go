package replica

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"

	"github.com/ward-health/ward/chain/ledger"
)

// digest reads the whole state on disk and compares it with the head.
func (b *book) digest(v *View) error {
	// One reads, as many as there are processors compute: both take about as long.
	parts := make(chan []ledger.Write, 4)
	sums := make([]ledger.Digest, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i := range sums {
		all.Go(func() {
			for part := range parts {
				for _, w := range part {
					sums[i].Add(w.Key, w.Value)
				}
			}
		})
	}
	const partSize = 512
	part := make([]ledger.Write, 0, partSize)
	err := v.Scan(nil, nil, func(key, value []byte) bool {
		part = append(part, ledger.Write{Key: bytes.Clone(key), Value: bytes.Clone(value)})
		if len(part) == partSize {
			parts <- part
			part = make([]ledger.Write, 0, partSize)
		}
		return true
	})
	parts <- part
	close(parts)
	all.Wait()
	if err != nil {
		return err
	}
	d := &sums[0]
	for i := range sums[1:] {
		d.Join(&sums[1+i])
	}
	if got := d.Sum(); got != v.head.Header.State {
		return &DamageError{Path: b.db.dir, Reason: fmt.Sprintf("state hash at height %d is %s, want %s", v.head.Header.Height, got, v.head.Header.State)}
	}
	return nil
}
