package remote

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/internal/patience"
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

// busyPause is how long the node is left alone that does not say for how long.
const busyPause = 100 * time.Millisecond

// patiently calls fn again while the node is busy, for at most Options.Patience
// in all. fn reports besides whether it may be called again.
func (n *Node) patiently(ctx context.Context, fn func() (again bool, err error)) error {
	for p := patience.New(n.opt.Patience, busyPause, busyPause); ; {
		again, err := fn()
		if !again || !errors.Is(err, ward.ErrBusy) {
			return err
		}
		asks := new(busyError)
		errors.As(err, &asks)
		if !p.Wait(ctx, asks.after) {
			return err
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
