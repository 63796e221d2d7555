package pairing

import (
	"sync"
	"testing"
)

// TestConcurrentUseOfAPreparedPoint: gnark-crypto overwrites the lines that it
// is given.
func TestConcurrentUseOfAPreparedPoint(t *testing.T) {
	secret, err := GenerateSecret(nil)
	if err != nil {
		t.Fatal(err)
	}
	q := secret.MulG2(GeneratorG2()).Prepare()
	p := MulGenerator(secret.Publish())
	want := q.Pair(p)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 3 {
				if !q.Pair(p).Equal(want) || !q.PairProduct(p, p, q).Equal(want.Mul(want)) {
					t.Error("a prepared point pairs to something else when it is shared")
				}
			}
		})
	}
	group.Wait()
}
