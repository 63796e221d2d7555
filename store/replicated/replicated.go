// Package replicated keeps every blob in several stores.
//
// A Put succeeds when a quorum of them has the blob durably. A read takes each
// leaf from the first store that has it right, so one store may be down,
// damaged or lying at every leaf and the reader notices nothing. A Delete
// succeeds only when it succeeded everywhere: a blob is erased on all media or
// it is not erased. Scrub brings the stores back to the same content.
package replicated

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/ward-health/ward/store"
)

// A Replica is one of the stores. Its name is for errors and logs.
type Replica struct {
	Name  string
	Store store.Store
}

// Options change what New does. The zero value means the defaults.
type Options struct {
	// Quorum is how many stores must have a blob before Put succeeds; default
	// is more than half.
	Quorum int
	// Stall is how long a store may take over one leaf before Put goes on
	// without it, as long as there are enough others, and how long Put waits
	// for the rest once a quorum has finished; default 30 seconds.
	Stall time.Duration
	// Retry applies to reads that no store can answer.
	Retry store.Retry
	// Logger is told which store failed a Put that succeeded, or could not say
	// whether it has a blob; default is none.
	Logger *slog.Logger
}

// A Store keeps blobs in several stores. It implements store.Store.
type Store struct {
	opts     Options
	replicas []Replica
}

// New returns a store over replicas, which it closes. Reads prefer the first.
func New(opts Options, replicas ...Replica) (*Store, error) {
	if opts.Quorum == 0 {
		opts.Quorum = len(replicas)/2 + 1
	}
	if opts.Quorum < 1 || opts.Quorum > len(replicas) {
		return nil, fmt.Errorf("quorum of %d of %d stores", opts.Quorum, len(replicas))
	}
	if opts.Stall <= 0 {
		opts.Stall = 30 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{opts: opts, replicas: replicas}, nil
}

// A QuorumError says that fewer stores than the quorum took a blob. Those that
// did keep it until it is collected.
type QuorumError struct {
	Stored, Quorum int
	Err            error // what the others said
}

// Error gives the numbers and the reasons.
func (e *QuorumError) Error() string {
	return fmt.Sprintf("stored in %d places, %d needed: %v", e.Stored, e.Quorum, e.Err)
}

// Unwrap returns what the stores said.
func (e *QuorumError) Unwrap() error { return e.Err }

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	var missing, failed []error
	for i, r := range s.replicas {
		b, err := r.Store.Open(ctx, ref)
		if err != nil {
			missing, failed = s.sort(ctx, r, err, missing, failed)
			continue
		}
		// The stores that were asked already come last: they may be back
		// before they are needed.
		sources := b.Sources()
		for k := 1; k < len(s.replicas); k++ {
			sources = append(sources[:len(sources):len(sources)],
				&lazySource{s: s.replicas[(i+k)%len(s.replicas)].Store, ref: ref})
		}
		return store.NewBlob(b.Outboard(), store.BlobOptions{Retry: s.opts.Retry, Stall: s.opts.Stall}, sources...), nil
	}
	return nil, notFoundOnlyIfAll(missing, failed)
}

// sort files the error of a replica under missing or failed.
func (s *Store) sort(ctx context.Context, r Replica, err error, missing, failed []error) (_, _ []error) {
	if errors.Is(err, store.ErrNotFound) {
		return append(missing, err), failed
	}
	s.opts.Logger.WarnContext(ctx, "store failed", "store", r.Name, "error", err)
	return missing, append(failed, fmt.Errorf("%s: %w", r.Name, err))
}

// notFoundOnlyIfAll returns an error that matches store.ErrNotFound only if
// every store said so: one that does not answer may have the blob.
func notFoundOnlyIfAll(missing, failed []error) error {
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return missing[0]
}

// Stat implements store.Store. It asks all stores and gives the latest time: one
// that was away when the blob was put again would give an older one, and Collect
// would delete what is still to be committed.
func (s *Store) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	infos := make([]store.Info, len(s.replicas))
	errs := make([]error, len(s.replicas))
	var wg sync.WaitGroup
	for i, r := range s.replicas {
		wg.Go(func() { infos[i], errs[i] = r.Store.Stat(ctx, ref) })
	}
	wg.Wait()
	var latest *store.Info
	var missing, failed []error
	for i, r := range s.replicas {
		if errs[i] != nil {
			missing, failed = s.sort(ctx, r, errs[i], missing, failed)
		} else if latest == nil || infos[i].Time.After(latest.Time) {
			latest = &infos[i]
		}
	}
	if latest == nil {
		return store.Info{}, notFoundOnlyIfAll(missing, failed)
	}
	return *latest, nil
}

// Delete implements store.Store. If a store fails, the others delete all the
// same; the error names it, and Delete must be called again.
func (s *Store) Delete(ctx context.Context, ref store.Ref) error {
	errs := make([]error, len(s.replicas))
	var wg sync.WaitGroup
	for i, r := range s.replicas {
		wg.Go(func() {
			if err := r.Store.Delete(ctx, ref); err != nil {
				errs[i] = fmt.Errorf("%s: %w", r.Name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// List implements store.Store. It yields what any of the stores has, as the first
// of them has it, and at the end what went wrong with those that could not be
// listed.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		seen := make(map[store.Ref]bool)
		var failed []error
		for _, r := range s.replicas {
			for info, err := range r.Store.List(ctx) {
				if err != nil {
					failed = append(failed, fmt.Errorf("%s: %w", r.Name, err))
					break
				}
				if seen[info.Ref] {
					continue
				}
				seen[info.Ref] = true
				if !yield(info, nil) {
					return
				}
			}
		}
		if len(failed) > 0 {
			yield(store.Info{}, errors.Join(failed...))
		}
	}
}

// Free returns the smallest free space in bytes of the stores that know theirs,
// or an error matching errors.ErrUnsupported if none does.
func (s *Store) Free() (int64, error) {
	least := int64(-1)
	for _, r := range s.replicas {
		f, ok := r.Store.(interface{ Free() (int64, error) })
		if !ok {
			continue
		}
		free, err := f.Free()
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", r.Name, err)
		}
		if least < 0 || free < least {
			least = free
		}
	}
	if least < 0 {
		return 0, errors.ErrUnsupported
	}
	return least, nil
}

// ScrubOptions change what Scrub does.
type ScrubOptions struct {
	// Live, if not nil, reports whether a blob is still in use. One that is,
	// and that a store misses, is copied there from the others. Without it,
	// blobs that are missing stay missing, because they may have been erased
	// while the store that still has them was away.
	Live func(ctx context.Context, ref store.Ref) (bool, error)
	// Progress, if not nil, is called after every blob.
	Progress func(replica string, p store.Progress)
}

// Scrub scrubs each of the stores and repairs it from the others. The reports
// are by name of replica.
func (s *Store) Scrub(ctx context.Context, opts ScrubOptions) (map[string]store.ScrubReport, error) {
	var expect []store.Ref
	if opts.Live != nil {
		for info, err := range s.List(ctx) {
			if err != nil {
				return nil, err
			}
			live, err := opts.Live(ctx, info.Ref)
			if err != nil {
				return nil, err
			}
			if live {
				expect = append(expect, info.Ref)
			}
		}
	}
	reports := make(map[string]store.ScrubReport, len(s.replicas))
	for i, r := range s.replicas {
		o := store.ScrubOptions{Repair: s.without(i), Expect: func(yield func(store.Ref) bool) {
			for _, ref := range expect {
				if !yield(ref) {
					return
				}
			}
		}}
		if opts.Progress != nil {
			o.Progress = func(p store.Progress) { opts.Progress(r.Name, p) }
		}
		report, err := store.Scrub(ctx, r.Store, o)
		reports[r.Name] = report
		if err != nil {
			return reports, fmt.Errorf("scrub %s: %w", r.Name, err)
		}
	}
	return reports, nil
}

// without returns a store over all replicas but i, for reading, or nil if there
// is no other.
func (s *Store) without(i int) store.Store {
	if len(s.replicas) == 1 {
		return nil
	}
	others := append(append([]Replica(nil), s.replicas[:i]...), s.replicas[i+1:]...)
	return &Store{opts: s.opts, replicas: others}
}

// Close implements store.Store. It closes all replicas.
func (s *Store) Close() error {
	var errs []error
	for _, r := range s.replicas {
		errs = append(errs, r.Store.Close())
	}
	return errors.Join(errs...)
}

// A lazySource opens its store when it is first needed, and again as long as
// that fails.
type lazySource struct {
	s   store.Store
	ref store.Ref

	mu sync.Mutex
	b  *store.Blob // guarded by mu; nil until opened
}

func (l *lazySource) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	b, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	return b.Sources()[0].ReadRange(ctx, off, n)
}

func (l *lazySource) open(ctx context.Context) (*store.Blob, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b == nil {
		b, err := l.s.Open(ctx, l.ref)
		if err != nil {
			return nil, err
		}
		l.b = b
	}
	return l.b, nil
}

func (l *lazySource) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b == nil {
		return nil
	}
	b := l.b
	l.b = nil
	return b.Close()
}
