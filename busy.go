package ward

import (
	"context"
	"errors"
	"time"

	"github.com/ward-health/ward/internal/patience"
)

// busyPatience is how long a call waits in all for nodes that are busy. What a
// busy node refuses, it did not do: it is asked again.
const busyPatience = time.Minute

func newPatience() *patience.Patience { return patience.New(busyPatience, firstPause, maxPause) }

// again reports, after a pause, whether to try what failed with err once more:
// if a node was busy, and there is time left. The pause is at least as long as
// the node asked for.
func again(ctx context.Context, p *patience.Patience, err error) bool {
	if !errors.Is(err, ErrBusy) {
		return false
	}
	var asks interface{ RetryAfter() time.Duration }
	if errors.As(err, &asks) {
		return p.Wait(ctx, asks.RetryAfter())
	}
	return p.Wait(ctx, 0)
}
