package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// folder puts every file below a folder as a record, reads all of them back as a
// doctor whom the patient granted their types, and compares every byte.
func (s *story) folder(ctx context.Context) error {
	end := s.begin("folder", "Every file of %s", s.data)
	all, skipped, err := items(os.DirFS(s.data))
	if err != nil {
		return err
	}
	s.report.Records, s.report.Bytes, s.report.Types, s.report.Skipped = 0, 0, map[string]int{}, skipped
	for _, it := range all {
		s.count(it)
	}
	start := time.Now()
	bar := s.bar("putting", s.report.Bytes)
	if err := each(ctx, all, putters, func(ctx context.Context, it *item) error {
		defer bar.add(it.size)
		return it.put(ctx, s.archive.Client, s.patient.name)
	}); err != nil {
		return err
	}
	bar.done()
	s.report.Timings["folder_put"] = s.seconds(start)
	s.note("%d records, %d bytes put: %.0f records/s", len(all), s.report.Bytes, float64(len(all))/s.seconds(start))

	start = time.Now()
	groups := map[pre.Type][]*item{}
	for _, it := range all {
		top := grantable(it.Type)
		groups[top] = append(groups[top], it)
	}
	bar = s.bar("comparing", s.report.Bytes)
	for _, t := range slices.Sorted(maps.Keys(groups)) {
		if err := s.readBack(ctx, t, groups[t], bar); err != nil {
			return err
		}
	}
	bar.done()
	s.report.Timings["folder_read"] = s.seconds(start)
	s.typesTable()
	s.note("%d of %d came back changed", s.report.Mismatches, len(all))
	for _, name := range skipped {
		s.note("%s is no file and was left out", name)
	}
	end()
	return nil
}

// grantable returns the widest type that can be granted to reach records of a
// type: its first component, or the innermost sealed one.
func grantable(t pre.Type) pre.Type {
	levels := t.Levels()
	if widest := levels[len(levels)-1]; widest != "" {
		return widest
	}
	return levels[len(levels)-2]
}

// readBack grants a type and reads the items below it, as many in an access as
// the chain allows.
func (s *story) readBack(ctx context.Context, t pre.Type, group []*item, bar *bar) error {
	grant, err := s.patient.Grant(ctx, ward.Terms{To: s.lee.name, Type: t, Purposes: []consent.Purpose{consent.Treatment}})
	if err != nil {
		return fmt.Errorf("grant %s: %w", t, err)
	}
	for some := range slices.Chunk(group, consent.MaxRecords) {
		ids := make([]record.ID, len(some))
		byID := make(map[record.ID]*item)
		for i, it := range some {
			ids[i], byID[it.id] = it.id, it
		}
		opened, err := s.lee.Access(ctx, grant, ids, ward.Purpose{Code: consent.Treatment, Reason: "demo"})
		if err != nil {
			return fmt.Errorf("read %s: %w", t, err)
		}
		contents := make(map[*item]*ward.Opened)
		for _, o := range opened {
			contents[byID[o.ID]] = o
		}
		if err := each(ctx, some, putters, func(ctx context.Context, it *item) error {
			defer bar.add(it.size)
			o := contents[it]
			if o == nil {
				return fmt.Errorf("read %s back: %w", it.path, ward.ErrNotFound)
			}
			same, err := it.compareOpened(ctx, o)
			if err == nil && !same {
				s.mismatch()
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) typesTable() {
	rows := [][]string{}
	for _, t := range slices.Sorted(maps.Keys(s.report.Types)) {
		rows = append(rows, []string{t, fmt.Sprint(s.report.Types[t])})
	}
	s.table([]string{"TYPE", "FILES"}, rows)
}

// A bar shows progress to a person who watches a terminal, and nothing to anybody
// else. It is safe for concurrent use.
type bar struct{ *progressbar.ProgressBar }

func (u *ui) bar(what string, total int64) *bar {
	w := io.Discard
	if u.progressing() {
		w = u.stderr
	}
	return &bar{progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("      "+u.tr(what)),
		progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetVisibility(u.progressing()), progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth())}
}

func (b *bar) add(n int64) { _ = b.Add64(n) }
func (b *bar) done()       { _ = b.Finish() }
