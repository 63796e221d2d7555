package record

import (
	"sync/atomic"
	"testing"
)

func TestParallelCallsEachOnce(t *testing.T) {
	for _, n := range []int{0, 1, 7, 100} {
		calls := make([]atomic.Int32, n)
		parallel(n, func(i int) { calls[i].Add(1) })
		for i := range calls {
			if got := calls[i].Load(); got != 1 {
				t.Errorf("of %d, %d is called %d times", n, i, got)
			}
		}
	}
}

// The chain catches what Prepare panics with, but not what a goroutine does.
func TestPanicOfAWorkerIsTheCallers(t *testing.T) {
	defer func() {
		if recover() != "bug" {
			t.Error("the panic is lost")
		}
	}()
	parallel(10, func(i int) {
		if i%3 == 0 {
			panic("bug")
		}
	})
}
