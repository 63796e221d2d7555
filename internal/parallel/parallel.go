// Package parallel spreads work over the processors.
package parallel

import (
	"runtime"
	"sync"
)

// For calls f(0) to f(n-1), each once, on all processors, and waits for all of
// them. Calls must not depend on each other.
//
// If a call panics, those that its goroutine had still to make are not made, and
// For panics with the same value when the others are done: a panic that stayed in
// a goroutine would end the process, whoever recovers in the caller's. Of several
// panics it is the one of the lowest goroutine.
func For(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers == 1 {
		for i := range n {
			f(i)
		}
		return
	}
	panics := make([]any, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			defer func() { panics[w] = recover() }()
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
}
