package ward

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// busyPatience is how long a call waits in all for nodes that are busy. What a
// busy node refuses, it did not do: it is asked again.
const busyPatience = time.Minute

// A patience bounds the waiting of one call for nodes that are busy.
type patience struct {
	until time.Time
	next  time.Duration
}

func newPatience() *patience {
	return &patience{until: time.Now().Add(busyPatience), next: firstPause}
}

// again reports, after a pause, whether to try what failed with err once more:
// if a node was busy, and there is time left. The pause is as long as the node
// asked for, or else grows, and differs between callers that were refused
// together.
func (p *patience) again(ctx context.Context, err error) bool {
	if !errors.Is(err, ErrBusy) {
		return false
	}
	wait := p.next
	p.next = min(2*p.next, maxPause)
	var asks interface{ RetryAfter() time.Duration }
	if errors.As(err, &asks) {
		wait = max(wait, asks.RetryAfter())
	}
	wait += rand.N(wait/2 + 1)
	return time.Now().Add(wait).Before(p.until) && pause(ctx, wait) == nil
}
