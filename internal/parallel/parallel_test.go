package parallel_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/ward-health/ward/internal/parallel"
)

// onProcessors runs a test with one processor and with four.
func onProcessors(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for _, n := range []int{1, 4} {
		before := runtime.GOMAXPROCS(n)
		test(t)
		runtime.GOMAXPROCS(before)
	}
}

func TestEachIsCalledOnce(t *testing.T) {
	onProcessors(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 3, 7, 100} {
			calls := make([]atomic.Int32, n)
			parallel.For(n, func(i int) { calls[i].Add(1) })
			for i := range calls {
				if got := calls[i].Load(); got != 1 {
					t.Errorf("of %d, %d is called %d times", n, i, got)
				}
			}
		}
	})
}

// A panic in a goroutine of For's own would end the process.
func TestPanicOfAWorkerIsTheCallers(t *testing.T) {
	onProcessors(t, func(t *testing.T) {
		defer func() {
			if recover() != "bug" {
				t.Error("the panic is lost")
			}
		}()
		parallel.For(10, func(i int) {
			if i%3 == 0 {
				panic("bug")
			}
		})
	})
}

func TestOtherCallsEndBeforeThePanic(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var running atomic.Int32
	release := make(chan struct{})
	defer func() {
		if recover() == nil || running.Load() != 0 {
			t.Errorf("%d calls go on after the panic", running.Load())
		}
	}()
	parallel.For(4, func(i int) {
		running.Add(1)
		defer running.Add(-1)
		if i == 0 {
			close(release)
			panic("bug")
		}
		<-release
	})
}
