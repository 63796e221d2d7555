package chain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
)

// growth puts many entries on a chain of members in processes of their own and
// looks at what the later ones cost.
func growth(ctx context.Context, r *suite.Run, dir string) (err error) {
	s := r.Section(report.Section{
		Name: "growth", Title: "One entry, as the chain grows", Param: "entries on the chain",
		Text: "Ward's three members as processes of their own; batches of 1,000 of 4 clients, whose work of signing is not counted. Each line is for the entries since the line before, in up to nine parts. " +
			"\"resident\" is the memory of each process after them, \"anonymous\" the part of it that is no copy of a file: " +
			"each aims at 448 MiB of it, as \"ward node run\" does, unless GOMEMLIMIT says otherwise. \"disk\" is what a member's files occupy, for one entry.",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogX: true},
	})
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := startFleet(ctx, self, dir)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.close(); err == nil {
			err = errors.Join(e, os.RemoveAll(dir))
		}
	}()
	const clients, batch = 4, 1000
	done, last := 0, time.Now()
	marks, err := marksOf(suite.Pick(r, []int{1_000, 10_000, 28_000}, []int{1_000, 10_000, 100_000, 1_000_000}))
	if err != nil {
		return err
	}
	for _, mark := range marks {
		parts := min(9, (mark-done)/batch)
		var cpu, wall []float64
		for left := parts; left > 0; left-- {
			size := (mark - done) / left
			if time.Since(last) > 2*time.Second {
				last = time.Now()
				r.Progress("growth: %d entries on the chain", done)
			}
			c, w, err := f.load(size, min(clients, max(1, size/batch)), batch)
			if err != nil {
				return fmt.Errorf("growth: %w", err)
			}
			cpu, wall = append(cpu, c), append(wall, w)
			done += size
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		add := func(quantity, unit string, samples []float64) {
			if len(samples) > 0 {
				s.Add(report.Row{Operation: commit, System: nameWard, At: float64(mark), Quantity: quantity, Unit: unit, Samples: samples})
			}
		}
		add("cpu", "s", cpu)
		add("wall", "s", wall)
		resident, anonymous := f.memory()
		add("resident", "B", resident)
		add("anonymous", "B", anonymous)
		disk, err := diskOf(dir)
		if err != nil {
			return err
		}
		add("disk", "B", []float64{math.Round(disk / members / float64(done))})
	}
	final := suite.Ref{Operation: commit, System: nameWard, At: float64(done)}
	err = s.Ratio("cpu", final, suite.Ref{Operation: commit, System: nameWard, At: 10_000}, report.Ratio{
		Name: fmt.Sprintf("an entry among the last of %d / among the first 10000", done), Text: "flat is 1", Bar: 1.15, Margin: 0.4,
	})
	if err != nil {
		return err
	}
	most := s.Find(commit, nameWard, float64(done), "anonymous")
	if most == nil {
		return nil
	}
	share := report.Ratio{Name: fmt.Sprintf("memory of a member after %d entries / 512 MiB", done), Text: "anonymous memory; less is better", Bar: 1, Margin: 0.5}
	for _, v := range most.Samples {
		share.Samples = append(share.Samples, v/(512<<20))
	}
	s.Ratios = append(s.Ratios, share)
	return nil
}

// entriesVariable names how far the chain is to grow, instead of what the run's
// length says.
const entriesVariable = "WARD_BENCH_ENTRIES"

// marksOf returns the lengths of the chain at which costs are compared: those
// given, or the decades up to what the environment asks for.
func marksOf(usual []int) ([]int, error) {
	text := os.Getenv(entriesVariable)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 10_000 || n > 100_000_000 {
		return nil, fmt.Errorf("%s is %q: want 10000 to 100000000", entriesVariable, text)
	}
	var marks []int
	for m := 1_000; m < n; m *= 10 {
		marks = append(marks, m)
	}
	return append(marks, n), nil
}
