package chain_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

func TestTreeAgreesWithTwoLibraries(t *testing.T) {
	var tree chain.Tree
	var stored, want ledgertest.Hashes
	other := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	if tree.Root() != sha256.Sum256(nil) {
		t.Fatal("root of the empty tree")
	}
	for n := range int64(600) {
		leaf := fmt.Append(nil, "leaf ", n)
		before, edge := tree.Root(), len(tree.Edge())
		next, hashes := tree.Append(leaf, nil)
		if tree.Root() != before || len(tree.Edge()) != edge {
			t.Fatal("Append changed the tree it was called on")
		}
		tree, stored = next, append(stored, hashes...)

		more, err := tlog.StoredHashes(n, leaf, want)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, more...)
		root, err := tlog.TreeHash(n+1, want)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Append(rfc6962.DefaultHasher.HashLeaf(leaf), nil); err != nil {
			t.Fatal(err)
		}
		third, err := other.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Root() != chain.Hash(root) || tree.Root() != chain.Hash(third) || tree.Size() != uint64(n+1) {
			t.Fatalf("roots of %d leaves differ", n+1)
		}
		if len(stored) != len(want) || stored[len(stored)-1] != want[len(want)-1] {
			t.Fatalf("stored hashes of %d leaves differ", n+1)
		}
		again, err := chain.NewTree(tree.Size(), tree.Edge())
		if err != nil || again.Root() != tree.Root() {
			t.Fatalf("tree is not its size and edge: %v", err)
		}
		if _, err := chain.NewTree(tree.Size(), append(tree.Edge(), chain.Hash{})); err == nil {
			t.Fatal("edge of the wrong length is accepted")
		}
	}
	for i := range want {
		if stored[i] != want[i] {
			t.Fatalf("stored hash %d differs", i)
		}
	}
}

// BenchmarkTreeAppend reports what a leaf of 600 bytes costs, in hashes of the
// same bytes.
func BenchmarkTreeAppend(b *testing.B) {
	var tree chain.Tree
	leaf := make([]byte, 600)
	var stored []tlog.Hash
	for b.Loop() {
		tree, stored = tree.Append(leaf, stored[:0])
	}
	perLeaf := time.Duration(int64(b.Elapsed()) / int64(b.N))
	const rounds = 10000
	start := time.Now()
	for range rounds {
		sha256.Sum256(leaf)
	}
	b.ReportMetric(float64(perLeaf)*rounds/float64(time.Since(start)), "×sha256")
}
