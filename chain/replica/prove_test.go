package replica

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// Every leaf of every tree up to some size has the proof that the reference
// implementation makes.
func TestProofsAreThoseOfTheReference(t *testing.T) {
	var hashes ledgertest.Hashes
	p := prover{hashes: &hashes}
	for size := int64(1); size <= 140; size++ {
		more, err := tlog.StoredHashes(size-1, fmt.Append(nil, size), hashes)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
		for leaf := range size {
			got, err := p.prove(size, leaf)
			if err != nil {
				t.Fatal(err)
			}
			reference, err := tlog.ProveRecord(size, leaf, hashes)
			if err != nil {
				t.Fatal(err)
			}
			var want []chain.Hash
			for _, h := range reference {
				want = append(want, chain.Hash(h))
			}
			if !slices.Equal(got, want) {
				t.Fatalf("leaf %d of %d: proof %v, want %v", leaf, size, got, want)
			}
		}
	}
	for _, c := range [][2]int64{{5, 5}, {5, -1}, {0, 0}, {1000, 3}} {
		if _, err := p.prove(c[0], c[1]); err == nil {
			t.Errorf("leaf %d of a tree of %d has a proof", c[1], c[0])
		}
	}
}
