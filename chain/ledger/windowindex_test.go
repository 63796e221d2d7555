package ledger

import (
	"encoding/binary"
	"testing"

	"github.com/ward-health/ward/chain"
)

// Ids whose sums meet are told apart, whichever goes first.
func TestWindowTellsIdsWithTheSameSumApart(t *testing.T) {
	for name, sum := range map[string]func(chain.Hash) uint64{
		"own":    newWindowIndex().sum,
		"four":   func(id chain.Hash) uint64 { return uint64(id[0] % 4) },
		"always": func(chain.Hash) uint64 { return 7 },
	} {
		w := window{ids: newWindowIndex(), filled: true}
		w.ids.sum = sum
		id := func(n int) chain.Hash { return chain.Hash{byte(n), 1, byte(n >> 8)} }
		const blocks, perBlock = 20, 3
		for height := range blocks {
			r := replayRecord{height: uint64(height), first: uint64(height * 10)}
			for i := range perBlock {
				h := id(height*perBlock + i)
				r.ids = append(binary.BigEndian.AppendUint16(r.ids, uint16(2*i)), h[:]...)
			}
			w.push(r)
		}
		for gone := 0; ; gone += 7 {
			for n := range blocks*perBlock + 5 {
				leaf, ok := w.lookup(id(n))
				want := n >= gone*perBlock && n < blocks*perBlock
				if ok != want || ok && leaf != uint64(n/perBlock*10+2*(n%perBlock)) {
					t.Fatalf("%s: %d blocks expired: id %d: %d, %v", name, gone, n, leaf, ok)
				}
			}
			if w.ids.count() != max(0, blocks-gone)*perBlock {
				t.Fatalf("%s: %d ids", name, w.ids.count())
			}
			if gone >= blocks {
				break
			}
			w.step(chain.Hash{byte(gone)}, min(7, blocks-gone), replayRecord{}, nil)
			w.advance()
		}
	}
}
