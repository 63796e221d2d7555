// Package patience bounds how long one call waits for those who are busy.
package patience

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Patience bounds the waiting of one call. It is not safe for concurrent use.
type Patience struct {
	until      time.Time
	next, most time.Duration
}

// New returns a patience that waits for total from now on, in pauses that double
// from first to most.
func New(total, first, most time.Duration) *Patience {
	return &Patience{until: time.Now().Add(total), next: first, most: most}
}

// Wait pauses before another try: for the next pause, or for as long as was asked
// for if that is longer, and up to half as long again, so that those who were
// refused together do not return together. It reports false, without a pause, if
// that would take longer than there is patience, and if ctx ends before.
func (p *Patience) Wait(ctx context.Context, asked time.Duration) bool {
	wait := max(p.next, asked)
	p.next = min(2*p.next, p.most)
	wait += rand.N(wait/2 + 1)
	if !time.Now().Add(wait).Before(p.until) {
		return false
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
