package replicated

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ward-health/ward/store"
)

// ahead is how many pieces of a blob a fast store may be ahead of a slow one.
const ahead = 4

var (
	errTooSlow  = errors.New("store takes too long")
	errNotRead  = errors.New("store did not read to the end")
	errOtherRef = errors.New("store names the blob otherwise")
)

// A feed is a blob on its way to one store, which reads from it.
type feed struct {
	name   string
	cancel context.CancelCauseFunc
	pieces chan []byte   // closed after err is set
	err    error         // how the source ended: io.EOF if well
	rest   []byte        // of the piece being read
	done   chan struct{} // closed after ref and putErr are set
	ref    store.Ref
	putErr error
}

// Read is called by the store's Put.
func (f *feed) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		piece, ok := <-f.pieces
		if !ok {
			return 0, f.err
		}
		f.rest = piece
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func startFeed(ctx context.Context, replica Replica) *feed {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &feed{
		name:   replica.Name,
		cancel: cancel,
		pieces: make(chan []byte, ahead),
		done:   make(chan struct{}),
	}
	go func() {
		defer close(f.done)
		f.ref, f.putErr = replica.Store.Put(ctx, f)
	}()
	return f
}

// send hands the store a piece, waiting at most for stall. On error the store
// takes no more.
func (f *feed) send(piece []byte, stall time.Duration) error {
	select {
	case f.pieces <- piece: // in nearly all cases, without a timer
		return nil
	default:
	}
	timer := time.NewTimer(stall)
	defer timer.Stop()
	select {
	case f.pieces <- piece:
		return nil
	case <-timer.C:
		f.cancel(errTooSlow)
		return errTooSlow
	case <-f.done:
		if f.putErr != nil {
			return f.putErr
		}
		return errNotRead
	}
}

// A fanout writes to all feeds.
type fanout struct {
	live   []*feed // those that still take pieces
	quorum int
	stall  time.Duration
	lost   []error // why the others do not
}

func (w *fanout) Write(p []byte) (int, error) {
	piece := bytes.Clone(p) // the feeds read it when the caller has gone on
	var live []*feed
	for _, f := range w.live {
		if err := f.send(piece, w.stall); err != nil {
			w.lost = append(w.lost, fmt.Errorf("%s: %w", f.name, err))
			continue
		}
		live = append(live, f)
	}
	w.live = live
	if len(live) < w.quorum {
		return 0, &QuorumError{Stored: 0, Quorum: w.quorum, Err: errors.Join(w.lost...)}
	}
	return len(p), nil
}

// Put implements store.Store. It returns when a quorum has the blob and the
// others have it too, failed, or took longer than Options.Stall.
func (s *Store) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	feeds := make([]*feed, len(s.replicas))
	for i, replica := range s.replicas {
		feeds[i] = startFeed(ctx, replica)
	}
	w := &fanout{live: feeds, quorum: s.opts.Quorum, stall: s.opts.Stall}
	ob, err := store.Digest(ctx, w, r)
	for _, f := range feeds {
		f.err = io.EOF
		if err != nil {
			// It must not look like the end of a shorter blob.
			f.err = err
			f.cancel(err)
		}
		close(f.pieces)
	}
	errs := s.await(feeds, ob)
	switch {
	case ctx.Err() != nil:
		return store.Ref{}, context.Cause(ctx)
	case err != nil:
		return store.Ref{}, err
	case len(feeds)-len(errs) < s.opts.Quorum:
		return store.Ref{}, &QuorumError{Stored: len(feeds) - len(errs), Quorum: s.opts.Quorum, Err: errors.Join(errs...)}
	}
	for _, err := range errs {
		s.opts.Logger.WarnContext(ctx, "store did not take a blob", "blob", ob.Ref().String(), "error", err)
	}
	return ob.Ref(), nil
}

// await waits for the stores and returns the error of each that does not have
// the blob. Once a quorum has it, it gives the rest Options.Stall.
func (s *Store) await(feeds []*feed, ob *store.Outboard) []error {
	finished := make(chan *feed, len(feeds))
	for _, f := range feeds {
		go func() {
			<-f.done
			finished <- f
		}()
	}
	var errs []error
	var patience <-chan time.Time
	for left, stored := len(feeds), 0; left > 0; {
		select {
		case f := <-finished:
			left--
			err := f.putErr
			if err == nil && (ob == nil || f.ref != ob.Ref()) {
				err = errOtherRef
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
			} else if stored++; stored == s.opts.Quorum {
				timer := time.NewTimer(s.opts.Stall)
				defer timer.Stop()
				patience = timer.C
			}
			f.cancel(nil)
		case <-patience:
			for _, f := range feeds {
				f.cancel(errTooSlow)
			}
		}
	}
	return errs
}
