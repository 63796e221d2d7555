package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// schema names the form of the envelope. Part of the interface: what is in it
// may grow; when anything else changes, the number does.
const schema = "ward/v1"

// An envelope is what --json prints, whatever happens.
type envelope struct {
	Schema string   `json:"schema"`
	OK     bool     `json:"ok"`
	Data   any      `json:"data,omitempty"`
	Error  *failure `json:"error,omitempty"`
}

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// A ui is what the command line says to people and to programs. It is not safe
// for concurrent use.
type ui struct {
	stdout, stderr io.Writer
	lang           language
	json           bool // one envelope on stdout, no text
	lines          bool // with json: an envelope for every entry of a list instead
	quiet          bool
	verbose        bool
	err            error // the first error of writing to stdout
}

func newUI(stdout, stderr io.Writer) *ui {
	return &ui{stdout: stdout, stderr: stderr, lang: english}
}

// tr returns a message in the person's language.
func (u *ui) tr(text string, args ...any) string { return u.lang.tr(text, args...) }

// say prints a line for people on stdout: a result.
func (u *ui) say(text string, args ...any) { u.print(u.tr(text, args...) + "\n") }

// tell prints a line for people on stdout that --quiet leaves out.
func (u *ui) tell(text string, args ...any) {
	if !u.quiet {
		u.say(text, args...)
	}
}

// print writes text for people to stdout.
func (u *ui) print(text string) {
	if u.json || u.err != nil {
		return
	}
	_, u.err = io.WriteString(u.stdout, text)
}

func (u *ui) debug(format string, args ...any) {
	if u.verbose {
		fmt.Fprintf(u.stderr, "ward: "+format+"\n", args...)
	}
}

// logger returns where libraries log to.
func (u *ui) logger() *slog.Logger {
	if !u.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(u.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// table prints rows under headings, aligned whatever script they are in and cut
// to the terminal's width. The last column gives way first.
func (u *ui) table(headings []string, rows [][]string) {
	if u.json || u.quiet {
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.Style{Name: "ward", Box: table.BoxStyle{PaddingRight: "  ", PaddingLeft: "", MiddleVertical: ""}})
	t.Style().Options = table.Options{SeparateColumns: true}
	t.Style().Format.HeaderVAlign = text.VAlignTop
	head := make(table.Row, len(headings))
	for i, h := range headings {
		head[i] = u.tr(h)
	}
	t.SetColumnConfigs(alignment(len(head), rows))
	t.AppendHeader(head)
	t.AppendRows(fit(head, rows, u.width()))
	for _, line := range splitLines(t.Render()) {
		u.print("  " + line + "\n")
	}
}

// grid is a table that was asked for: --quiet does not leave it out.
func (u *ui) grid(headings []string, rows [][]string) {
	defer func(quiet bool) { u.quiet = quiet }(u.quiet)
	u.quiet = false
	u.table(headings, rows)
}

// width returns how many columns a line on stdout may have; 0 for no limit.
func (u *ui) width() int {
	if f, ok := u.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			return w
		}
	}
	return 0
}

// progressing reports whether progress should be shown: only to a person who
// watches a terminal.
func (u *ui) progressing() bool {
	f, ok := u.stderr.(*os.File)
	return ok && !u.quiet && term.IsTerminal(int(f.Fd()))
}

// succeed ends a run that went well and returns its exit code.
func (u *ui) succeed(data any) int {
	if u.json && !u.lines {
		u.envelope(envelope{OK: true, Data: data})
	}
	if u.err != nil {
		fmt.Fprintf(u.stderr, "ward: %v\n", u.err)
		return exitFailure
	}
	return exitOK
}

// fail reports an error and returns the exit code for it. data is what there is
// to report all the same.
func (u *ui) fail(data any, err error, command string) int {
	p := explain(err)
	words, hint := p.words.in(u.lang), p.hint.in(u.lang)
	if p.cause != nil {
		words += ": " + p.cause.Error()
	}
	if u.json {
		u.envelope(envelope{Data: data, Error: &failure{p.code, words, hint}})
	}
	if command != "" {
		command += ": "
	}
	fmt.Fprintf(u.stderr, "ward: %s%s\n", command, words)
	if hint != "" {
		fmt.Fprintf(u.stderr, u.tr("ward: hint: %s")+"\n", hint)
	}
	if p.cause == nil {
		u.debug("%v", err)
	}
	return p.exit
}

func (u *ui) envelope(e envelope) {
	e.Schema = schema
	enc := json.NewEncoder(u.stdout)
	enc.SetEscapeHTML(false)
	u.err = enc.Encode(e)
}
