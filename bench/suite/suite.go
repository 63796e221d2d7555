// Package suite is what a suite of benchmarks is written against: it measures
// cases in interleaved rounds, and files what they took under sections, rows and
// ratios of a report. The README of the module shows how.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
)

// Suite is a subject that is measured by itself.
type Suite struct {
	Name, Title string
	Text        string // what is compared, and what is not: read before the figures
	// Serial ties the process to one processor while the suite runs. It is for
	// work that one thread does; suites of servers leave it unset.
	Serial bool
	// Quick and Full are about how long a run of either kind takes on two quiet
	// processors.
	Quick, Full time.Duration
	// Run measures. What it has put into the run stays in the report, even if
	// it returns an error. A peer that cannot be had is no error: see Run.Skip.
	Run func(ctx context.Context, r *Run) error
}

// Run is one run of a suite.
type Run struct {
	Quick bool
	Seed  uint64
	Root  string // of the repository; peers are in .tools below it
	// Log takes the lines of progress.
	Log io.Writer
	// Versions collects what was measured; see Run.Version.
	Versions []report.Version

	name   string
	result *report.Suite
}

// Do runs the suite and returns its part of the report. The error is also in
// the report.
func (u *Suite) Do(ctx context.Context, r *Run, pin bool) (*report.Suite, error) {
	r.name = u.Name
	r.result = &report.Suite{Name: u.Name, Title: u.Title, Text: u.Text, Pinned: "not tied to a processor"}
	if pin && u.Serial {
		processor, undo, err := measure.Pin()
		if err != nil {
			r.result.Pinned = err.Error()
		} else {
			r.result.Pinned = fmt.Sprintf("tied to processor %d", processor)
			defer undo() // only reports that threads could not be freed again
		}
	}
	start := time.Now()
	err := u.Run(ctx, r)
	r.result.Seconds = time.Since(start).Seconds()
	if err != nil {
		err = fmt.Errorf("%s: %w", u.Name, err)
		r.result.Failed = err.Error()
	}
	return r.result, err
}

// Progress tells whoever waits what is happening.
func (r *Run) Progress(format string, args ...any) {
	fmt.Fprintf(r.Log, "bench: %s: %s\n", r.name, fmt.Sprintf(format, args...))
}

// Parts runs the parts of a suite one after the other. One that fails does not
// keep the next from running, unless ctx has ended; the errors are returned
// together.
func (r *Run) Parts(ctx context.Context, parts ...func() error) error {
	var failed []error
	for _, part := range parts {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(failed, err)...)
		}
		if err := part(); err != nil {
			failed = append(failed, err)
			r.Progress("failed, going on: %v", err)
		}
	}
	return errors.Join(failed...)
}

// Skip records that a system could not be measured, and says so at once.
func (r *Run) Skip(system string, why error) {
	r.result.Skipped = append(r.result.Skipped, report.Skip{System: system, Why: why.Error()})
	r.Progress("not measured: %s: %v", system, why)
}

// Unmeasured records bars for which nothing could be measured, so that the
// report says so. Section.Ratio does it by itself where there is a section.
func (r *Run) Unmeasured(bars ...report.Ratio) {
	for _, b := range bars {
		if b.Bar != 0 {
			r.result.Unmeasured = append(r.result.Unmeasured, b)
		}
	}
}

// Version records what is measured.
func (r *Run) Version(v report.Version) {
	if !slices.Contains(r.Versions, v) {
		r.Versions = append(r.Versions, v)
	}
}

// Pick returns quick in a quick run and full otherwise.
func Pick[T any](r *Run, quick, full T) T {
	if r.Quick {
		return quick
	}
	return full
}

// Section adds a section to the report. The fields of s that matter are Name,
// Title, Text, Param, Base and Chart.
func (r *Run) Section(s report.Section) *Section {
	r.result.Sections = append(r.result.Sections, &s)
	return &Section{Section: &s, run: r}
}

// Section is a section of the report that is being filled.
type Section struct {
	*report.Section
	run *Run
}

// Case is an operation of a system, to be measured.
type Case struct {
	Operation, System string
	At                float64 // the value of the section's Param
	// Run is as in [measure.Case]; [measure.Timed] makes one of a function.
	Run  func(n int) (measure.Spent, error)
	Once bool // as in [measure.Case]
}

// Measure measures the cases in interleaved rounds and adds two rows for each,
// "cpu" and "wall". All that is to be divided by each other belongs into one
// call.
func (s *Section) Measure(ctx context.Context, cases ...Case) error {
	return s.MeasureFor(ctx, measure.Options{}, cases...)
}

// MeasureFor is Measure with options of its own. Zero fields are filled in by
// whether the run is quick.
func (s *Section) MeasureFor(ctx context.Context, o measure.Options, cases ...Case) error {
	if o.Rounds == 0 {
		o.Rounds = Pick(s.run, 5, 11)
	}
	if o.Target == 0 {
		o.Target = Pick(s.run, 5*time.Millisecond, 20*time.Millisecond)
	}
	o.Seed = s.run.Seed
	begun, last := time.Now(), time.Now()
	o.Progress = func(round, rounds int, name string) {
		if time.Since(last) >= 2*time.Second {
			last = time.Now()
			s.run.Progress("%s: round %d of %d, %s", s.Name, round, rounds, name)
		}
	}
	var list []measure.Case
	for _, c := range cases {
		list = append(list, measure.Case{Name: c.System + " " + c.Operation, Run: c.Run, Once: c.Once})
	}
	samples, err := measure.Rounds(ctx, list, o)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	for i, c := range cases {
		row := report.Row{Operation: c.Operation, System: c.System, At: c.At, Unit: "s"}
		row.Quantity, row.Samples = "cpu", samples[i].CPU
		s.Rows = append(s.Rows, row)
		row.Quantity, row.Samples = "wall", samples[i].Wall
		s.Rows = append(s.Rows, row)
	}
	s.run.Progress("%s: %d cases in %.1f s", s.Name, len(cases), time.Since(begun).Seconds())
	return nil
}

// Add adds a row of something that is not a time of Measure: a size, a rate, a
// latency. Samples of what was measured in the same rounds can be divided.
func (s *Section) Add(r report.Row) { s.Rows = append(s.Rows, r) }

// Ref names rows of a section, whatever their quantity.
type Ref struct {
	Operation, System string
	At                float64
}

// ErrNoRow says that a ratio is of something that was not measured.
var ErrNoRow = errors.New("not measured")

// Ratio adds the quotient of two rows of a quantity: of is divided by by, round
// by round. The caller sets Name, Text, and what else there is to say of the
// ratio. It returns ErrNoRow if a row is not there, which a caller ignores for a
// peer that was skipped; if there is a bar, the report says that it was not measured.
func (s *Section) Ratio(quantity string, of, by Ref, ratio report.Ratio) error {
	a, b := s.Find(of.Operation, of.System, of.At, quantity), s.Find(by.Operation, by.System, by.At, quantity)
	if a == nil || b == nil {
		s.run.Unmeasured(ratio)
		return fmt.Errorf("%s: ratio %s: %w", s.Name, ratio.Name, ErrNoRow)
	}
	if ratio.Samples = measure.Divide(a.Samples, b.Samples); ratio.Samples == nil {
		return fmt.Errorf("%s: ratio %s: rows were not measured in the same rounds", s.Name, ratio.Name)
	}
	s.Ratios = append(s.Ratios, ratio)
	return nil
}
