package remote

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/ward-health/ward"
)

// A busyError is ward.ErrBusy and says how long the node wants to be left alone.
type busyError struct {
	error
	after time.Duration
}

func (e *busyError) Unwrap() error { return e.error }

// RetryAfter returns how long the node wants to be left alone.
func (e *busyError) RetryAfter() time.Duration { return e.after }

// maxRetryAfter is the most that a node may ask for.
const maxRetryAfter = 30 * time.Second

// timed adds what a node says in the header Retry-After to an error.
func timed(err error, header string) error {
	seconds, bad := strconv.ParseUint(header, 10, 32)
	if bad != nil || !errors.Is(err, ward.ErrBusy) {
		return err
	}
	return &busyError{err, min(time.Duration(seconds)*time.Second, maxRetryAfter)}
}

// patiently calls fn again while the node is busy, for at most Options.Patience
// in all. fn reports besides whether it may be called again.
func (n *Node) patiently(ctx context.Context, fn func() (again bool, err error)) error {
	until := time.Now().Add(n.opt.Patience)
	for {
		again, err := fn()
		if !again || !errors.Is(err, ward.ErrBusy) {
			return err
		}
		wait := 100 * time.Millisecond
		if asks := new(busyError); errors.As(err, &asks) {
			wait = max(wait, asks.after)
		}
		wait += rand.N(wait/2 + 1) // so that those refused together do not return together
		if time.Now().Add(wait).After(until) {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

// An attempt is one try to send a stream: it knows whether any of it was read,
// and when it is over nothing more is, whatever of the transport still runs.
type attempt struct {
	r io.Reader

	mu    sync.Mutex
	begun bool // guarded by mu
	over  bool // guarded by mu
}

func (a *attempt) Read(p []byte) (int, error) {
	a.mu.Lock()
	if a.over {
		a.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	a.begun = true
	a.mu.Unlock()
	return a.r.Read(p)
}

// end ends the attempt. It reports whether nothing was read, so that there can
// be another.
func (a *attempt) end() (untouched bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	return !a.begun
}
