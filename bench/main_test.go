package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
)

// fakeSuite has one guarded ratio of the given value, and takes no time.
func fakeSuite(name string, cost int, err error) *suite.Suite {
	return &suite.Suite{Name: name, Title: name, Run: func(ctx context.Context, r *suite.Run) error {
		s := r.Section(report.Section{Name: "s", Title: "S", Base: "Ward"})
		took := func(d int) func(int) (measure.Spent, error) {
			return func(n int) (measure.Spent, error) {
				return measure.Spent{Wall: time.Duration(d) * time.Millisecond, CPU: time.Duration(d) * time.Millisecond, Work: n}, nil
			}
		}
		if err := s.Measure(ctx, suite.Case{Operation: "o", System: "Ward", Once: true, Run: took(cost)}, suite.Case{Operation: "o", System: "peer", Once: true, Run: took(1)}); err != nil {
			return err
		}
		r.Skip("absent", errors.New("not installed"))
		r.Version(report.Version{Name: "peer", Version: "1"})
		if e := s.Ratio("cpu", suite.Ref{Operation: "o", System: "absent"}, suite.Ref{Operation: "o", System: "Ward"}, report.Ratio{Name: "x", Bar: 1}); !errors.Is(e, suite.ErrNoRow) {
			return e
		}
		return errors.Join(err, s.Ratio("cpu", suite.Ref{Operation: "o", System: "Ward"}, suite.Ref{Operation: "o", System: "peer"}, report.Ratio{Name: "r", Margin: 0.25}))
	}}
}

func TestRunFilesEverything(t *testing.T) {
	dir := t.TempDir()
	var out, log bytes.Buffer
	s := &settings{suites: []*suite.Suite{fakeSuite("good", 1, nil), fakeSuite("bad", 1, errors.New("boom")), fakeSuite("last", 2, nil)}, out: filepath.Join(dir, "report"), seed: 1}
	if err := do(t.Context(), s, &out, &log); err == nil || !strings.Contains(err.Error(), "bad: boom") {
		t.Errorf("error is %v, want that of the suite that failed", err)
	}
	for _, want := range []string{"== good ==", "== last ==", "not measured: absent: not installed", "the suite ended early: bad: boom"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "bench:") || !strings.Contains(log.String(), "bench: good: not measured: absent") {
		t.Error("progress is not on stderr alone")
	}
	b, err := os.ReadFile(filepath.Join(dir, "report", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := report.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Suites) != 3 || len(r.Versions) != 1 || r.Suites[2].Sections[0].Ratios[0].Summary().Median != 2 {
		t.Errorf("report is %+v", r)
	}
	for _, name := range []string{"report.html", "report.csv"} {
		if info, err := os.Stat(filepath.Join(dir, "report", name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.Contains(out.String(), "== Bars ==") || !strings.Contains(log.String(), "bench: bad: begins") {
		t.Error("the bars or the progress are missing")
	}
	docs := t.TempDir()
	if err := writeDocs(filepath.Join(dir, "report", "report.json"), docs); err != nil {
		t.Fatal(err)
	}
	chapter, err := os.ReadFile(filepath.Join(docs, "benchmarks.md"))
	if err != nil || !strings.Contains(string(chapter), `<a id="last-s"></a>`) {
		t.Errorf("chapter: %v\n%s", err, chapter)
	}
}

// TestReportIsThereWhileTheNextSuiteRuns looks for it from a suite, as one would
// after a run that was killed.
func TestReportIsThereWhileTheNextSuiteRuns(t *testing.T) {
	dir := t.TempDir()
	looks := &suite.Suite{Name: "looks", Title: "looks", Run: func(context.Context, *suite.Run) error {
		b, err := os.ReadFile(filepath.Join(dir, "report.json"))
		if err != nil {
			return err
		}
		r, err := report.Parse(b)
		if err != nil || len(r.Suites) != 1 || r.Suites[0].Name != "first" {
			t.Errorf("report has %+v, %v", r, err)
		}
		return nil
	}}
	s := &settings{suites: []*suite.Suite{fakeSuite("first", 1, nil), looks}, out: dir, seed: 1}
	if err := do(t.Context(), s, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
}

// TestPartsGoOnAfterOneThatFails, unless the run itself has ended.
func TestPartsGoOnAfterOneThatFails(t *testing.T) {
	ran := 0
	ctx, cancel := context.WithCancel(t.Context())
	u := &suite.Suite{Name: "x", Run: func(ctx context.Context, r *suite.Run) error {
		return r.Parts(ctx, func() error { ran++; return errors.New("boom") }, func() error { ran++; cancel(); return nil }, func() error { ran++; return nil })
	}}
	got, err := u.Do(ctx, &suite.Run{Log: io.Discard}, false)
	if err == nil || ran != 2 || !strings.Contains(got.Failed, "boom") || !errors.Is(err, context.Canceled) {
		t.Errorf("%d parts ran: %v", ran, err)
	}
}

// TestGuardInOneRun makes a baseline and holds better and worse runs against it.
func TestGuardInOneRun(t *testing.T) {
	name := filepath.Join(t.TempDir(), "baseline.json")
	of := func(cost int) *settings {
		return &settings{suites: []*suite.Suite{fakeSuite("x", cost, nil)}, seed: 1}
	}
	s := of(2)
	s.saveBaseline = name
	if err := do(t.Context(), s, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	for cost, fails := range map[int]bool{1: false, 2: false, 5: true} {
		s := of(cost)
		s.compare = name
		if err := do(t.Context(), s, io.Discard, io.Discard); (err != nil) != fails {
			t.Errorf("cost %d beside 2: %v", cost, err)
		}
	}
	s = &settings{suites: []*suite.Suite{fakeSuite("y", 1, nil)}, compare: filepath.Join(t.TempDir(), "none")}
	if err := do(t.Context(), s, io.Discard, io.Discard); err == nil {
		t.Error("a baseline that is not there was compared with")
	}
}

// TestGuardOfNothingFails compares a suite that has no guarded ratio.
func TestGuardOfNothingFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "baseline.json")
	if err := do(t.Context(), &settings{suites: []*suite.Suite{fakeSuite("x", 1, nil)}, saveBaseline: name}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	bare := &suite.Suite{Name: "y", Title: "y", Run: func(context.Context, *suite.Run) error { return nil }}
	if err := do(t.Context(), &settings{suites: []*suite.Suite{bare}, compare: name}, io.Discard, io.Discard); err == nil {
		t.Error("a guard that looked at nothing passed")
	}
}

// TestGuardMeasuresAgainWhatIsWorse lets a suite be disturbed once, and then
// every time.
func TestGuardMeasuresAgainWhatIsWorse(t *testing.T) {
	name := filepath.Join(t.TempDir(), "baseline.json")
	good, bad := fakeSuite("x", 1, nil), fakeSuite("x", 9, nil)
	if err := do(t.Context(), &settings{suites: []*suite.Suite{good}, saveBaseline: name}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	for disturbed, fails := range map[int]bool{0: false, 1: false, 2: true} {
		runs, other := 0, 0
		flaky := &suite.Suite{Name: "x", Title: "x", Run: func(ctx context.Context, r *suite.Run) error {
			if runs++; runs <= disturbed {
				return bad.Run(ctx, r)
			}
			return good.Run(ctx, r)
		}}
		steady := &suite.Suite{Name: "y", Title: "y", Run: func(ctx context.Context, r *suite.Run) error { other++; return nil }}
		err := do(t.Context(), &settings{suites: []*suite.Suite{flaky, steady}, compare: name}, io.Discard, io.Discard)
		if (err != nil) != fails || runs != min(disturbed+1, 2) || other != 1 {
			t.Errorf("disturbed %d times: %v after %d runs, the other suite ran %d times", disturbed, err, runs, other)
		}
	}
}

func TestDocsRefusesQuickRuns(t *testing.T) {
	dir := t.TempDir()
	s := &settings{suites: []*suite.Suite{fakeSuite("x", 1, nil)}, out: dir, quick: true}
	if err := do(t.Context(), s, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := writeDocs(filepath.Join(dir, "report.json"), dir); err == nil {
		t.Error("the chapter was made of a quick run")
	}
}

func TestParse(t *testing.T) {
	known := []*suite.Suite{fakeSuite("a", 1, nil), fakeSuite("b", 1, nil)}
	for _, c := range []struct {
		args   string
		suites string
		quick  bool
		bad    bool
	}{
		{"all", "ab", false, false}, {"b --quick", "b", true, false}, {"--quick b a b", "ba", true, false},
		{"--out x a --seed 3", "a", false, false}, {"", "", false, true}, {"c", "", false, true}, {"a --nonsense", "", false, true}, {"docs", "", false, true},
	} {
		s, err := parse(strings.Fields(c.args), known, io.Discard)
		if (err != nil) != c.bad {
			t.Errorf("%q: %v", c.args, err)
		}
		if err != nil {
			continue
		}
		names := ""
		for _, u := range s.suites {
			names += u.Name
		}
		if names != c.suites || s.quick != c.quick || s.seed == 0 {
			t.Errorf("%q: %+v", c.args, s)
		}
	}
	if s, err := parse([]string{"docs", "r.json"}, known, io.Discard); err != nil || s.docs != "r.json" {
		t.Errorf("docs: %+v, %v", s, err)
	}
}

// TestSuitesCanBeLinkedTo checks what links to the chapter rely on.
func TestSuitesCanBeLinkedTo(t *testing.T) {
	seen := map[string]bool{}
	for _, u := range suites() {
		if u.Name == "" || u.Name == "all" || u.Name == "docs" || strings.ToLower(u.Name) != u.Name || strings.ContainsAny(u.Name, " -/") || seen[u.Name] {
			t.Errorf("suite %q has no name of its own", u.Name)
		}
		if u.Title == "" || u.Text == "" || u.Run == nil {
			t.Errorf("suite %q does not say what it compares", u.Name)
		}
		if u.Quick <= 0 || u.Full <= u.Quick {
			t.Errorf("suite %q does not say how long it takes", u.Name)
		}
		seen[u.Name] = true
	}
	if quick, full := takes(suites(), true), takes(suites(), false); quick > 3*time.Minute || full > 35*time.Minute {
		t.Errorf("a quick run takes %s and a full one %s", quick, full)
	}
}

// TestLinksToTheChapterLeadToARow follows every link to the chapter, in all
// documents and in itself: a figure that is claimed somewhere stands there.
func TestLinksToTheChapterLeadToARow(t *testing.T) {
	repository, err := root()
	if err != nil {
		t.Fatal(err)
	}
	chapter, err := os.ReadFile(filepath.Join(repository, "docs", "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	follow := func(from string, text []byte, link string) {
		for _, m := range regexp.MustCompile(link).FindAllSubmatch(text, -1) {
			if links++; !bytes.Contains(chapter, fmt.Appendf(nil, `<a id="%s"></a>`, m[1])) {
				t.Errorf("%s links to #%s of the chapter, which has no such row", from, m[1])
			}
		}
	}
	follow("the chapter", chapter, `\]\(#([^)]+)\)`)
	inside := links
	err = filepath.WalkDir(repository, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != repository {
			return filepath.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		follow(path, text, `benchmarks\.md#([^)\s`+"`"+`]+)`)
		return err
	})
	if err != nil || inside == 0 || links == inside {
		t.Errorf("%d links inside the chapter, %d from elsewhere: %v", inside, links-inside, err)
	}
}
