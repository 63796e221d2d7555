package node

import (
	"context"
	"sync"
	"time"
)

// A signal wakes everyone who waits for it. Who takes the channel before he
// looks misses nothing.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu
}

func newSignal() *signal { return &signal{ch: make(chan struct{})} }

// wait returns a channel that is closed when the signal fires next.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ch)
	s.ch = make(chan struct{})
}

// pause waits for d, or until one of the channels is closed or ctx done, and
// reports whether ctx is not done.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
