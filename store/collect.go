package store

import (
	"context"
	"errors"
	"time"
)

// CollectOptions say what Collect may delete.
type CollectOptions struct {
	// Live reports whether a blob is still in use: whether some record that is
	// not erased refers to it. It is required. If it fails, Collect stops.
	Live func(ctx context.Context, ref Ref) (bool, error)
	// MinAge protects blobs that were put so recently that their transaction
	// may not be committed; default 24 hours, negative means none.
	MinAge time.Duration
	// DryRun says what would be deleted, and deletes nothing.
	DryRun bool
	// Progress, if not nil, is called after every blob.
	Progress func(Progress)
}

// A CollectReport is what Collect deleted, or would have.
type CollectReport struct {
	Deleted []Ref
	Bytes   int64 // of what was deleted
	Kept    int64 // blobs
}

var errNoLive = errors.New("collect without a way to tell what is in use")

// Collect deletes the blobs of s that nothing refers to: those of erased
// records, and those whose transaction was never committed. On error the report
// is of what was done until then.
func Collect(ctx context.Context, s Store, opts CollectOptions) (CollectReport, error) {
	var report CollectReport
	if opts.Live == nil {
		return report, errNoLive
	}
	if opts.MinAge == 0 {
		opts.MinAge = 24 * time.Hour
	}
	var progress Progress
	if opts.Progress != nil {
		usage, err := Measure(ctx, s)
		if err != nil {
			return report, err
		}
		progress.TotalBlobs, progress.TotalBytes = usage.Blobs, usage.Bytes
	}
	for info, err := range s.List(ctx) {
		if err != nil {
			return report, err
		}
		dead, err := opts.dead(ctx, s, info)
		if err != nil {
			return report, err
		}
		if dead && !opts.DryRun {
			if err := s.Delete(ctx, info.Ref); err != nil {
				return report, err
			}
		}
		if dead {
			report.Deleted = append(report.Deleted, info.Ref)
			report.Bytes += info.Size
		} else {
			report.Kept++
		}
		if opts.Progress != nil {
			progress.Blobs++
			progress.Bytes += info.Size
			opts.Progress(progress)
		}
	}
	return report, nil
}

func (opts *CollectOptions) dead(ctx context.Context, s Store, info Info) (bool, error) {
	if opts.young(info) {
		return false, nil
	}
	live, err := opts.Live(ctx, info.Ref)
	if err != nil || live {
		return false, err
	}
	// It may have been put again while Live was asked.
	info, err = s.Stat(ctx, info.Ref)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && !opts.young(info), err
}

func (opts *CollectOptions) young(info Info) bool {
	return opts.MinAge > 0 && (info.Time.IsZero() || time.Since(info.Time) < opts.MinAge)
}

// Usage is how much a store holds.
type Usage struct {
	Blobs int64
	Bytes int64 // of blobs, without what the medium needs besides
	Free  int64 // bytes left on the medium; -1 if it does not say
}

// Measure counts what s holds.
func Measure(ctx context.Context, s Store) (Usage, error) {
	u := Usage{Free: -1}
	for info, err := range s.List(ctx) {
		if err != nil {
			return u, err
		}
		u.Blobs++
		u.Bytes += info.Size
	}
	if f, ok := s.(interface{ Free() (int64, error) }); ok {
		free, err := f.Free()
		if err == nil {
			u.Free = free
		} else if !errors.Is(err, errors.ErrUnsupported) {
			return u, err
		}
	}
	return u, nil
}
