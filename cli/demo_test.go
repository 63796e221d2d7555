package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ward-health/ward/cli/sniff"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/pre"
)

// TestCtrlCLeavesNothingBehind interrupts the demo in the middle.
func TestCtrlCLeavesNothingBehind(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript finds the program by the name that it is called by.
	program := filepath.Join(t.TempDir(), "ward")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "demo")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := make([]byte, 0, 4096)
	for buf := make([]byte, 512); !bytes.Contains(seen, []byte("[2/9]")); {
		n, err := stdout.Read(buf)
		if seen = append(seen, buf[:n]...); err != nil {
			t.Fatalf("the demo ended before it was interrupted: %v\n%s%s", err, seen, stderr.String())
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, stdout); err != nil {
		t.Fatal(err)
	}
	exit := (*exec.ExitError)(nil)
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("ended with %v, want exit code %d", err, exitInterrupted)
	}
	if got := stderr.String(); got != "ward: demo: interrupted\n" {
		t.Errorf("stderr is %q", got)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestOneChangedByteIsFound: the comparison behind "mismatches 0" does compare.
func TestOneChangedByteIsFound(t *testing.T) {
	content := strings.Repeat("0123456789", 10_000)
	it := &item{from: fstest.MapFS{"f": {Data: []byte(content)}}, path: "f"}
	for what, back := range map[string]string{
		"the first byte changed": "x" + content[1:],
		"the last byte changed":  content[:len(content)-1] + "x",
		"a byte missing":         content[:len(content)-1],
		"a byte too many":        content + "x",
		"nothing":                "",
	} {
		if same, err := it.compare(func(w io.Writer) error { _, err := io.WriteString(w, back); return err }); same || err != nil {
			t.Errorf("%s: same %v, %v", what, same, err)
		}
	}
	for _, chunk := range []int{1, 7, 4096, len(content)} {
		same, err := it.compare(func(w io.Writer) error {
			_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{strings.NewReader(content)}, make([]byte, chunk))
			return err
		})
		if !same || err != nil {
			t.Errorf("in chunks of %d: same %v, %v", chunk, same, err)
		}
	}
	broken := errors.New("broken")
	if _, err := it.compare(func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a payload that cannot be read: %v", err)
	}
}

func TestMismatchesAreAFailure(t *testing.T) {
	for _, r := range []demoReport{{Records: 3, Mismatches: 1, Audit: demoAudit{Verified: true}}, {Records: 3}} {
		d := &demo{session: &session{ui: newUI(io.Discard, io.Discard)}, report: &r}
		if err := d.verdict(); err == nil || explain(err).exit != exitIntegrity {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// TestWhatIsNotRefusedIsAFailure: the demo does not say so when it is not so.
func TestWhatIsNotRefusedIsAFailure(t *testing.T) {
	s := &story{demo: &demo{session: &session{ui: newUI(io.Discard, io.Discard)}, report: new(demoReport)}}
	who := &person{name: "dr.lee@east"}
	if err := s.refused(who, "reads", nil, consent.ErrRevoked); err == nil || explain(err).exit != exitIntegrity {
		t.Errorf("not refused at all: %v", err)
	}
	if err := s.refused(who, "reads", consent.ErrType, consent.ErrRevoked); !errors.Is(err, consent.ErrType) {
		t.Errorf("refused for another reason: %v", err)
	}
	if s.report.Refusals != 0 || len(s.report.Refused) != 0 {
		t.Errorf("counted: %+v", s.report)
	}
	if err := s.refused(who, "reads", fmt.Errorf("access: %w", consent.ErrRevoked), consent.ErrRevoked); err != nil || s.report.Refusals != 1 {
		t.Errorf("refused: %v, %+v", err, s.report)
	}
}

func TestWhatCanBeGranted(t *testing.T) {
	for typed, want := range map[pre.Type]pre.Type{
		"clinical/exam/lab":                  "clinical",
		"unsorted":                           "unsorted",
		"clinical/sensitive/sealed:hiv":      "clinical/sensitive/sealed:hiv",
		"clinical/sealed:hiv/lab/sealed:x/y": "clinical/sealed:hiv/lab/sealed:x",
	} {
		if got := grantable(typed); got != want || !got.Covers(typed) {
			t.Errorf("%s: %s, want %s", typed, got, want)
		}
	}
}

func TestDaysThatTheChainTakes(t *testing.T) {
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for given, want := range map[time.Time]time.Time{
		{}:                {},
		day("2001-02-03"): day("2001-02-03"),
		day("1956-08-21"): day("1970-01-01"),
		day("2999-01-01"): {},
	} {
		if got := onChain(given); !got.Equal(want) {
			t.Errorf("%v: %v, want %v", given, got, want)
		}
	}
}

// TestOneFailureStopsTheRest, and is the one that is reported.
func TestOneFailureStopsTheRest(t *testing.T) {
	all := make([]*item, 100)
	for i := range all {
		all[i] = &item{Record: sniff.Record{Title: "x"}}
	}
	broken, calls := errors.New("broken"), make(chan struct{}, 100)
	err := each(t.Context(), all, 4, func(ctx context.Context, it *item) error {
		calls <- struct{}{}
		if it == all[10] {
			return broken
		}
		if it == all[11] {
			<-ctx.Done() // and what runs is cancelled
			return ctx.Err()
		}
		return nil
	})
	if !errors.Is(err, broken) || len(calls) == 100 {
		t.Errorf("%v after %d calls", err, len(calls))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := each(ctx, all, 4, func(context.Context, *item) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
