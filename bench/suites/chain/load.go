package chain

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/peer"
)

// shape is how entries arrive.
type shape struct {
	clients, batch int
	entries        int // of one sample in a full run
}

// shapes are those of the bars that Ward sets itself.
var shapes = []shape{{64, 1, 8_000}, {8, 100, 24_000}, {4, 1000, 40_000}}

// target is a system that takes entries. load puts n of them there, or as near
// to that as batches allow, and returns when all are durable.
type target interface {
	load(n, clients, batch int) (peer.Load, error)
}

// drive calls op until n entries are done: each of the clients again and again,
// with the numbers from ≤ i < to of the entries.
func drive(n, clients, batch int, op func(from, to int) error) (peer.Load, error) {
	return driveFor(0, n, clients, batch, op)
}

// driveFor is drive for so long: no call begins after that, even if not all
// entries are done. 0 means until they are.
func driveFor(length time.Duration, n, clients, batch int, op func(from, to int) error) (peer.Load, error) {
	calls := max(1, n/batch)
	took := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var next atomic.Int64
	var all sync.WaitGroup
	runtime.GC() // what preparing has left
	begun, start := measure.Now(), time.Now()
	for c := range clients {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < calls; i = int(next.Add(1)) - 1 {
				called := time.Now()
				if length > 0 && called.Sub(start) >= length {
					return
				}
				if errs[c] = op(i*batch, (i+1)*batch); errs[c] != nil {
					return
				}
				took[c] = append(took[c], time.Since(called))
			}
		})
	}
	all.Wait()
	waits := slices.Concat(took...)
	l := peer.Load{Spent: begun.Spent(len(waits) * batch)}
	for _, err := range errs {
		if err != nil {
			return peer.Load{}, err
		}
	}
	if len(waits) == 0 {
		return peer.Load{}, errors.New("the time was over before the first call")
	}
	slices.Sort(waits)
	l.P50, l.P99 = waits[len(waits)/2].Seconds(), waits[len(waits)*99/100].Seconds()
	return l, nil
}
