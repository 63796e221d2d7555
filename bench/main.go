// Command bench measures Ward beside its peers.
//
// It is a module of its own, so that nothing here reaches those who use Ward:
// some of the peers have licences that do not suit everybody. Peers that are
// programs are installed by tools/peers.sh and run as processes of their own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/bench/suites/chain"
)

const usage = `Usage: go run . SUITE... [FLAGS]
       go run . docs REPORT.json

Measures Ward beside its peers and prints tables. SUITE is one of
	%s
or "all". "docs" writes docs/benchmarks.md from the report of a full run.

`

func main() {
	// A suite that needs a process of its own starts this program again.
	if asked, err := chain.Member(os.Args[1:]); asked {
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: member: %v\n", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

var errUsage = errors.New("usage")

// settings are what the command line says.
type settings struct {
	suites       []*suite.Suite
	quick, pin   bool
	out          string
	compare      string
	saveBaseline string
	seed         uint64
	docs         string // the report that a chapter is made of
}

func parse(args []string, known []*suite.Suite, stderr io.Writer) (*settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.quick, "quick", false, "few rounds and small sizes: three minutes for all suites on two processors")
	flags.BoolVar(&s.pin, "pin", true, "tie suites of one thread to one processor, where the system can")
	flags.StringVar(&s.out, "out", "", "write report.html, report.csv and report.json to this `directory`")
	flags.StringVar(&s.compare, "compare", "", "fail if a ratio is worse than in this baseline `file`, beyond its margin")
	flags.StringVar(&s.saveBaseline, "save-baseline", "", "put the ratios of this run into this baseline `file`")
	flags.Uint64Var(&s.seed, "seed", 0, "order of the cases in each round, and test data; 0 takes a random one")
	var names []string
	for _, u := range known {
		names = append(names, u.Name)
	}
	flags.Usage = func() {
		fmt.Fprintf(stderr, usage, strings.Join(names, ", "))
		flags.PrintDefaults()
	}
	var words []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, errUsage
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		words, args = append(words, args[0]), args[1:]
	}
	if len(words) == 2 && words[0] == "docs" {
		s.docs = words[1]
		return &s, nil
	}
	for _, word := range words {
		found := known
		if word != "all" {
			i := slices.Index(names, word)
			if i < 0 {
				fmt.Fprintf(stderr, "bench: no suite %q\n", word)
				flags.Usage()
				return nil, errUsage
			}
			found = known[i : i+1]
		}
		for _, u := range found {
			if !slices.Contains(s.suites, u) {
				s.suites = append(s.suites, u)
			}
		}
	}
	if len(s.suites) == 0 {
		flags.Usage()
		return nil, errUsage
	}
	if s.seed == 0 {
		s.seed = rand.Uint64() >> 16
	}
	return &s, nil
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, suites(), stderr)
	if err != nil {
		return 2
	}
	if err := do(ctx, s, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

func do(ctx context.Context, s *settings, stdout, stderr io.Writer) error {
	root, err := root()
	if err != nil {
		return err
	}
	if s.docs != "" {
		return writeDocs(s.docs, filepath.Join(root, "docs"))
	}
	var baseline *report.Baseline
	if s.compare != "" { // read it first: a wrong name should not cost minutes
		b, err := os.ReadFile(s.compare)
		if err != nil {
			return fmt.Errorf("read baseline: %w", err)
		}
		if baseline, err = report.ParseBaseline(b); err != nil {
			return err
		}
	}
	r, failed := measureAll(ctx, s, root, stdout, stderr)
	if err := r.WriteBars(stdout); err != nil {
		failed = errors.Join(failed, fmt.Errorf("print: %w", err))
	}
	if s.out != "" {
		if err := writeReport(r, s.out); err != nil {
			return errors.Join(failed, err)
		}
		fmt.Fprintf(stderr, "bench: report in %s\n", filepath.Join(s.out, "report.html"))
	}
	if failed != nil {
		return failed
	}
	if s.saveBaseline != "" {
		if err := saveBaseline(r, s.saveBaseline); err != nil {
			return err
		}
	}
	if baseline == nil {
		return nil
	}
	return guard(ctx, baseline, r, s, root, stdout, stderr)
}

// measureAll runs the suites. One that fails does not keep the others from
// running; the errors are returned together. After each suite the report is
// written, so that a run that is killed leaves what it has found.
func measureAll(ctx context.Context, s *settings, root string, stdout, stderr io.Writer) (*report.Report, error) {
	r := &report.Report{
		Format: report.Format, Started: time.Now().UTC().Truncate(time.Second), Quick: s.quick, Seed: s.seed, Machine: measure.ThisMachine(),
	}
	if load := r.Machine.Load; load != "" {
		fmt.Fprintf(stderr, "bench: load averages %s: a quiet machine gives smaller spreads\n", load)
	}
	run := &suite.Run{Quick: s.quick, Seed: s.seed, Root: root, Log: stderr}
	var failed []error
	begun := time.Now()
	fmt.Fprintf(stderr, "bench: %d suites, about %s on two quiet processors\n", len(s.suites), minutes(takes(s.suites, s.quick)))
	for i, u := range s.suites {
		if ctx.Err() != nil {
			failed = append(failed, ctx.Err())
			break
		}
		fmt.Fprintf(stderr, "bench: %s: begins, about %s; then about %s more\n", u.Name, minutes(takes(s.suites[i:i+1], s.quick)), minutes(takes(s.suites[i+1:], s.quick)))
		result, err := u.Do(ctx, run, s.pin)
		if err != nil {
			failed = append(failed, err)
		}
		r.Suites = append(r.Suites, result)
		if err := result.WriteText(stdout); err != nil {
			failed = append(failed, fmt.Errorf("print: %w", err))
		}
		r.Seconds, r.Versions = time.Since(begun).Seconds(), run.Versions
		if s.out != "" {
			if err := writeReport(r, s.out); err != nil {
				failed = append(failed, err)
			}
		}
	}
	fmt.Fprintf(stderr, "bench: took %s\n", minutes(time.Since(begun)))
	return r, errors.Join(failed...)
}

// takes returns how long the suites take on two quiet processors.
func takes(suites []*suite.Suite, quick bool) (sum time.Duration) {
	for _, u := range suites {
		if quick {
			sum += u.Quick
		} else {
			sum += u.Full
		}
	}
	return sum
}

func minutes(d time.Duration) string { return fmt.Sprintf("%.1f min", d.Minutes()) }

// guard holds a run against the baseline. What is worse is measured once more,
// and fails only if it is worse again: a busy machine does not err twice alike.
func guard(ctx context.Context, b *report.Baseline, r *report.Report, s *settings, root string, stdout, stderr io.Writer) error {
	verdicts, err := b.Compare(r)
	if err != nil {
		return err
	}
	if len(verdicts) == 0 {
		return errors.New("the baseline has no ratio of these suites: nothing was guarded")
	}
	if again := worse(verdicts); len(again) > 0 {
		second := *s
		second.suites = slices.DeleteFunc(slices.Clone(s.suites), func(u *suite.Suite) bool {
			return !slices.ContainsFunc(again, func(v report.Verdict) bool { return v.Suite == u.Name })
		})
		fmt.Fprintf(stderr, "bench: %d ratios are worse than the baseline allows; measuring their suites again\n", len(again))
		second.out = "" // the report is of the first run
		r, err := measureAll(ctx, &second, root, io.Discard, stderr)
		if err != nil {
			return err
		}
		more, err := b.Compare(r)
		if err != nil {
			return err
		}
		for i, v := range verdicts {
			j := slices.IndexFunc(more, func(m report.Verdict) bool { return m.Suite == v.Suite && m.Name == v.Name })
			if !v.OK() && j >= 0 {
				verdicts[i] = more[j]
			}
		}
	}
	fmt.Fprintf(stdout, "\n== Ratios beside the baseline ==\n")
	for _, v := range verdicts {
		fmt.Fprintln(stdout, v)
	}
	if n := len(worse(verdicts)); n > 0 {
		return fmt.Errorf("%d of %d ratios are worse than the baseline allows", n, len(verdicts))
	}
	return nil
}

func worse(verdicts []report.Verdict) []report.Verdict {
	return slices.DeleteFunc(slices.Clone(verdicts), report.Verdict.OK)
}
