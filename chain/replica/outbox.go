package replica

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ward-health/ward/chain"
)

const itemOverhead = 512

// item is a transaction on its way into a block.
type item struct {
	tx        *chain.Tx
	sidecar   []byte
	forwarded bool        // by another member: not to be forwarded again
	taken     atomic.Bool // out of the queue
	left      atomic.Bool // nobody waits for it any more: what is still in the queue is dropped
	done      chan error  // takes one: nil when its entry was applied by the leader
}

// payload is about how many bytes of a block an item takes.
func (it *item) payload() int { return len(it.tx.Bytes()) + len(it.sidecar) }

// size is about how many bytes of memory it takes.
func (it *item) size() int { return it.payload() + itemOverhead }

// outbox holds the transactions that wait to be proposed. It is bounded in
// bytes: who puts waits.
type outbox struct {
	limit int
	stop  <-chan struct{}
	kick  chan struct{} // for the dispatcher; holds one token

	mu    sync.Mutex
	items []*item // guarded by mu
	bytes int     // guarded by mu
	room  *bell   // rung when bytes shrinks
}

// put adds an item, waiting for room if wait is set.
func (o *outbox) put(ctx context.Context, it *item, wait bool) error {
	for {
		room := o.room.wait()
		o.mu.Lock()
		if n := it.size(); o.bytes+n <= o.limit || o.bytes == 0 {
			o.items = append(o.items, it)
			o.bytes += n
			o.mu.Unlock()
			o.nudge()
			return nil
		}
		o.mu.Unlock()
		if !wait {
			return ErrOverloaded
		}
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrOverloaded, context.Cause(ctx))
		case <-o.stop:
			return ErrClosed
		}
	}
}

func (o *outbox) nudge() {
	select {
	case o.kick <- struct{}{}:
	default:
	}
}

// take removes what goes into one block or one message, and what nobody waits for.
func (o *outbox) take(maxTxs, maxBytes int) []*item {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch, n := fit(o.items, maxTxs, maxBytes)
	for _, it := range batch {
		it.taken.Store(true)
	}
	for _, it := range o.items[:n] {
		o.bytes -= it.size()
	}
	if o.items = o.items[n:]; len(o.items) == 0 {
		o.items = nil
	}
	o.room.broadcast()
	return batch
}

// fit returns the items that go into one block, and how many there are up to the
// last of them and behind it that nobody waits for: those may be on the chain already,
// and their sidecars purged since.
func fit(items []*item, maxTxs, maxBytes int) (batch []*item, n int) {
	batch = make([]*item, 0, min(len(items), maxTxs))
	for size := 0; n < len(items); n++ {
		it := items[n]
		if it.left.Load() {
			continue
		}
		if size += it.payload(); len(batch) == maxTxs || size > maxBytes && len(batch) > 0 {
			break
		}
		batch = append(batch, it)
	}
	return batch, n
}

func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items) == 0
}

// full reports whether what waits fills a block.
func (o *outbox) full(maxTxs, maxBytes int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items) >= maxTxs || o.bytes-len(o.items)*itemOverhead >= maxBytes
}
