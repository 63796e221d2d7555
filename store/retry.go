package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"
)

// Retry says how often and how patiently a remote operation is tried. The zero
// value means the defaults.
type Retry struct {
	// Attempts is how often an operation is tried in all; default 5. 1 means
	// no retries.
	Attempts int
	// Base is the pause before the second attempt; default 100 ms. It doubles
	// with every further attempt.
	Base time.Duration
	// Max bounds the pause; default 10 s.
	Max time.Duration
}

// Do calls op until it succeeds, fails for good, has failed Attempts times, or
// ctx is done. It returns the last error of op, and the cause of ctx with it
// when that is why it stopped. Each pause is drawn evenly from the upper half
// of its range, so that clients which failed together do not return together.
func (p Retry) Do(ctx context.Context, op func() error) error {
	attempts := p.Attempts
	if attempts <= 0 {
		attempts = 5
	}
	for attempt := 1; ; attempt++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := op()
		if err == nil || attempt == attempts || isPermanent(err) {
			return err
		}
		if stop := p.pause(ctx, attempt); stop != nil {
			return fmt.Errorf("%w; last attempt: %w", stop, err)
		}
	}
}

// pause waits after the given attempt, counted from 1, and returns the cause
// of ctx if that ends first.
func (p Retry) pause(ctx context.Context, attempt int) error {
	base, limit := p.Base, p.Max
	if base <= 0 {
		base = 100 * time.Millisecond
	}
	if limit <= 0 {
		limit = 10 * time.Second
	}
	d := limit
	if attempt < 30 && base<<(attempt-1) > 0 {
		d = min(limit, base<<(attempt-1))
	}
	d = d/2 + rand.N(d/2+1)

	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Permanent marks err as one that no retry mends. A nil err stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// A passingError is one that a retry may mend although one of the errors in it
// is permanent: another medium may have had a passing trouble.
type passingError struct{ err error }

func (e *passingError) Error() string { return e.err.Error() }
func (e *passingError) Unwrap() error { return e.err }

// isPermanent reports whether trying again is useless: err was marked by
// Permanent, the blob is missing or damaged, the source of a Put failed, or the
// caller's context ended.
func isPermanent(err error) bool {
	var passing *passingError
	if errors.As(err, &passing) {
		return false
	}
	var permanent *permanentError
	var corrupt *CorruptError
	return errors.As(err, &permanent) || errors.As(err, &corrupt) ||
		errors.Is(err, ErrNotFound) || errors.Is(err, ErrFull) || errors.Is(err, ErrReader) ||
		errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, context.Canceled)
}
