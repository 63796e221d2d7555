package cli

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/ward-health/ward/node/devnet"

	urfave "github.com/urfave/cli/v2"
)

// A demoReport is what `ward demo --json` reports.
type demoReport struct {
	Chain     string   `json:"chain"`
	Hospitals []string `json:"hospitals"`
	Threshold int      `json:"threshold"` // hospitals that open something together

	// What was put and read back: the files of the folder, or, if none was
	// given, the records of the story.
	Records    int            `json:"records"`
	Bytes      int64          `json:"bytes"`
	Mismatches int            `json:"mismatches"`
	Types      map[string]int `json:"types"`
	Skipped    []string       `json:"skipped,omitempty"` // what was no file

	Refusals int        `json:"refusals"`
	Refused  []refusal  `json:"refused"`
	Audit    demoAudit  `json:"audit"`
	Trail    []trailRow `json:"trail"`

	Timings map[string]float64 `json:"timings"` // seconds
	Kept    string             `json:"kept,omitempty"`
}

// A refusal is something that somebody tried and was not allowed.
type refusal struct {
	Who  string `json:"who"`
	What string `json:"what"`
	Code string `json:"code"`
}

type demoAudit struct {
	Verified     bool   `json:"verified"`
	Transactions uint64 `json:"transactions"`
	Height       uint64 `json:"height"`
	Bytes        int64  `json:"bytes"` // of the export
}

// A trailRow is one line of the patient's audit trail.
type trailRow struct {
	Index   uint64    `json:"index"`
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"`
	By      string    `json:"by"`
	Purpose string    `json:"purpose,omitempty"`
	Records int       `json:"records"`
}

func (s *session) demo() *urfave.Command {
	return &urfave.Command{
		Name:  "demo",
		Usage: s.tr("four hospitals, a patient, doctors and records, all on this machine"),
		Description: s.tr(`Starts four hospitals on this machine, lets them make a key that none of them
holds, and plays how a patient's records are shared: put, granted, read, refused,
revoked, opened in an emergency, and audited. Needs no server and leaves nothing
behind.

Examples:
  ward demo
  ward demo --data ./charts           every file of a folder, compared byte by byte
  ward demo --keep ./demo --json      keep the hospitals' data; one envelope at the end`),
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "data", EnvVars: []string{"WARD_DEMO_DATA"}, Usage: s.tr("put every file below this folder too, read it back and compare it")},
			&urfave.StringFlag{Name: "keep", EnvVars: []string{"WARD_DEMO_KEEP"}, Usage: s.tr("keep the hospitals' data in this new folder")},
		},
		Action: s.act(0, runDemo),
	}
}

// A demo is one run of it.
type demo struct {
	*session
	data, dir string
	steps     int
	step      int
	started   time.Time
	report    *demoReport
	net       *devnet.Devnet
}

func runDemo(ctx context.Context, s *session, c *urfave.Context) (data any, err error) {
	d := &demo{session: s, data: c.String("data"), steps: 9, started: time.Now(),
		report: &demoReport{Types: map[string]int{}, Refused: []refusal{}, Trail: []trailRow{}, Timings: map[string]float64{}}}
	if d.data != "" {
		d.steps++
		if info, err := os.Stat(d.data); err != nil || !info.IsDir() {
			return nil, usagef("%s is no folder", d.data)
		}
	}
	clean, err := d.makeRoom(c.String("keep"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, clean()) }()
	if err := d.play(ctx); err != nil {
		return d.report, err
	}
	d.report.Timings["total"] = d.seconds(d.started)
	return d.report, d.verdict()
}

// makeRoom sets the folder for the hospitals' data: one that is kept, or one
// that clean removes.
func (d *demo) makeRoom(keep string) (clean func() error, err error) {
	if keep == "" {
		d.dir, err = os.MkdirTemp("", "ward-demo-")
		return func() error { return os.RemoveAll(d.dir) }, err
	}
	if d.dir, err = filepath.Abs(keep); err != nil {
		return nil, err
	}
	switch entries, err := os.ReadDir(d.dir); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, usagef("%s is no folder", keep)
	case len(entries) > 0:
		return nil, usagef("folder %s is not empty", keep).withHint("give a new one")
	}
	d.report.Kept = d.dir
	return func() error { return nil }, os.MkdirAll(d.dir, 0o700)
}

// begin begins a step of the story; what it returns ends it.
func (d *demo) begin(timing, title string, args ...any) (end func()) {
	d.step++
	d.tell("[%d/%d] %s", d.step, d.steps, d.tr(title, args...))
	start := time.Now()
	return func() {
		took := d.seconds(start)
		d.report.Timings[timing] = took
		d.tell("      %.2f s", took)
		d.tell("")
	}
}

// note prints a line under the step.
func (d *demo) note(text string, args ...any) { d.tell("      %s", d.tr(text, args...)) }

func (d *demo) seconds(since time.Time) float64 {
	return math.Round(time.Since(since).Seconds()*1e4) / 1e4
}

// verdict ends the story.
func (d *demo) verdict() error {
	r := d.report
	switch {
	case r.Mismatches > 0:
		return &problem{code: "integrity", exit: exitIntegrity,
			words: message{"%d of %d records came back changed", []any{r.Mismatches, r.Records}}}
	case !r.Audit.Verified:
		return &problem{code: "integrity", exit: exitIntegrity, words: message{format: "the chain does not verify"}}
	}
	d.say("%d records, %d bytes: all came back as they went in. %d refusals, as it should be. %d transactions verified offline. %.1f s.",
		r.Records, r.Bytes, r.Refusals, r.Audit.Transactions, r.Timings["total"])
	if r.Kept != "" {
		d.say("The hospitals' data is in %s.", r.Kept)
	}
	return nil
}
