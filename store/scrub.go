package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Progress says how far a long operation is. The totals were counted when it
// began.
type Progress struct {
	Blobs, TotalBlobs int64
	Bytes, TotalBytes int64
}

// ScrubOptions change what Scrub does. The zero value means: find damage, mend
// nothing.
type ScrubOptions struct {
	// Repair, if not nil, is another store that may hold good copies.
	Repair Store
	// Expect, if not nil, yields blobs that must be there, besides those that
	// are listed. One that is not is a finding, and is repaired like a damaged
	// one. Do not expect what was erased: it would come back.
	Expect iter.Seq[Ref]
	// Progress, if not nil, is called after every blob.
	Progress func(Progress)
}

// A Finding is one blob that Scrub could not read.
type Finding struct {
	Ref      Ref
	Err      error // a *CorruptError, ErrNotFound, or what the medium said
	Repaired bool  // a good copy was written and read back
	Repair   error // why it was not, if it was tried
}

// A ScrubReport is what Scrub found.
type ScrubReport struct {
	Blobs    int64 // read
	Bytes    int64 // read
	Findings []Finding
}

// Unrepaired returns how many findings are not repaired.
func (r ScrubReport) Unrepaired() int {
	n := 0
	for _, f := range r.Findings {
		if !f.Repaired {
			n++
		}
	}
	return n
}

// Scrub reads every blob of s from its medium, hashes it, and mends what is
// damaged if it can. Damage is in the report, not in the error: that says that
// the scrub itself did not come to its end, and the report is of what was done
// until then.
func Scrub(ctx context.Context, s Store, opts ScrubOptions) (ScrubReport, error) {
	var report ScrubReport
	var progress Progress
	if opts.Progress != nil {
		usage, err := Measure(ctx, s)
		if err != nil {
			return report, err
		}
		progress.TotalBlobs, progress.TotalBytes = usage.Blobs, usage.Bytes
	}
	seen := make(map[Ref]bool)
	check := func(ref Ref, expected bool) error {
		seen[ref] = opts.Expect != nil
		n, err := copyOut(ctx, io.Discard, s, ref)
		if stop := context.Cause(ctx); stop != nil {
			return stop
		}
		if errors.Is(err, ErrNotFound) && !expected {
			return nil // deleted since it was listed
		}
		report.Blobs++
		report.Bytes += n
		if err != nil {
			f := Finding{Ref: ref, Err: err}
			if opts.Repair != nil {
				f.Repair = repair(ctx, s, opts.Repair, ref)
				f.Repaired = f.Repair == nil
			}
			report.Findings = append(report.Findings, f)
		}
		if opts.Progress != nil {
			progress.Blobs, progress.Bytes = report.Blobs, report.Bytes
			opts.Progress(progress)
		}
		return context.Cause(ctx)
	}
	for info, err := range s.List(ctx) {
		if err != nil {
			return report, err
		}
		if err := check(info.Ref, false); err != nil {
			return report, err
		}
	}
	if opts.Expect == nil {
		return report, nil
	}
	for ref := range opts.Expect {
		if seen[ref] {
			continue
		}
		if err := check(ref, true); err != nil {
			return report, err
		}
	}
	return report, nil
}

// repair writes the good copy of a blob from another store to s.
func repair(ctx context.Context, s, from Store, ref Ref) error {
	if err := Copy(ctx, s, from, ref); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	err := Verify(ctx, s, ref)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	// Some media do not write what they believe to have. There is a good copy
	// elsewhere: the first Copy came to its end.
	if err := s.Delete(ctx, ref); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if err := Copy(ctx, s, from, ref); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	return Verify(ctx, s, ref)
}
