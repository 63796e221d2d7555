package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

//go:generate go test . -run TestReference -update

var update = flag.Bool("update", false, "write docs/reference/cli.md and docs/man from the commands")

// TestReference: the reference and the man pages say what the commands say.
// go generate ./cli writes them.
func TestReference(t *testing.T) {
	s := &session{ui: newUI(nil, nil), offer: (*session).commands}
	app := s.app()
	check(t, "../docs/reference/cli.md", s.reference(app))
	pages := map[string]bool{"ward.1": true}
	check(t, "../docs/man/ward.1", manPage(s, app, nil))
	for _, c := range app.Commands {
		name := "ward-" + c.Name + ".1"
		pages[name] = true
		check(t, "../docs/man/"+name, manPage(s, app, c))
	}
	files, err := filepath.Glob("../docs/man/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no man pages: ", err)
	}
	for _, f := range files {
		if !pages[filepath.Base(f)] {
			t.Errorf("%s is of no command", f)
		}
	}
}

// check compares a file with what it should be, or writes it.
func check(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(have, want) {
		t.Errorf("%s is not as the commands are: run go generate ./cli (%v)", path, err)
	}
}

// walk calls fn with every command that people see, those above first.
func walk(commands []*urfave.Command, prefix string, fn func(name string, c *urfave.Command)) {
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		name := strings.TrimSpace(prefix + " " + c.Name)
		fn(name, c)
		walk(c.Subcommands, name, fn)
	}
}

// reference returns the page of all commands, in Markdown.
func (s *session) reference(app *urfave.App) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# The command line\n\n<!-- Written by go generate ./cli. -->\n\n")
	fmt.Fprintf(&b, "`ward`: %s. Flags come before or after arguments. Results go to stdout, everything\nelse to stderr; with `--json` stdout has one envelope,\n`{\"schema\":\"ward/v1\",\"ok\":…,\"data\":…,\"error\":{\"code\",\"message\",\"hint\"}}`.\n\n", app.Usage)
	walk(app.Commands, "", func(name string, c *urfave.Command) {
		fmt.Fprintf(&b, "- [`ward %s`](#ward-%s): %s\n", name, strings.ReplaceAll(name, " ", "-"), c.Usage)
	})
	fmt.Fprintf(&b, "\n## Flags of every command\n\n")
	s.flagList(&b, app.Flags)
	fmt.Fprintf(&b, "\n## Where settings come from\n\nA flag on the command line counts first, then its variable, then the configuration\nfile, then the default. Settings that the file may hold:\n`%s`.\n", strings.Join(settingNames(), "`, `"))
	fmt.Fprintf(&b, "\n## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, e := range ExitCodes() {
		fmt.Fprintf(&b, "| %d | %s |\n", e.Code, e.Meaning)
	}
	walk(app.Commands, "", func(name string, c *urfave.Command) {
		fmt.Fprintf(&b, "\n## ward %s\n\n%s.\n\n", name, capital(c.Usage))
		if len(c.Subcommands) == 0 {
			fmt.Fprintf(&b, "    ward %s\n", strings.TrimSpace(name+" [flags] "+c.ArgsUsage))
		}
		if c.Description != "" {
			text, examples := splitExamples(c.Description)
			if text != "" {
				fmt.Fprintf(&b, "\n%s\n", text)
			}
			if examples != "" {
				fmt.Fprintf(&b, "\n```\n%s\n```\n", examples)
			}
		}
		if len(c.Flags) > 0 {
			fmt.Fprintln(&b)
			s.flagList(&b, c.Flags)
		}
	})
	return b.Bytes()
}

func (s *session) flagList(b *bytes.Buffer, flags []urfave.Flag) {
	fmt.Fprintf(b, "| flag | |\n|---|---|\n")
	for _, r := range s.flagRows(flags) {
		fmt.Fprintf(b, "| `%s` | %s |\n", r[0], strings.ReplaceAll(r[1], "|", "\\|"))
	}
}

// splitExamples parts a description from the examples at its end.
func splitExamples(d string) (text, examples string) {
	text, examples, found := strings.Cut("\n"+strings.TrimSpace(d), "\nExamples:\n")
	if !found {
		return strings.TrimSpace(text), ""
	}
	examples, more, _ := strings.Cut(examples, "\n\n")
	text = strings.TrimSpace(text) + "\n\n"
	lines := strings.Split(strings.TrimRight(examples, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.TrimSpace(text + more), strings.Join(lines, "\n")
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// manPage returns the page of a command with those below it, or of the program if
// c is nil, for man.
func manPage(s *session, app *urfave.App, c *urfave.Command) []byte {
	var b bytes.Buffer
	name, usage, below := "ward", app.Usage, app.Commands
	if c != nil {
		name, usage, below = "ward-"+c.Name, c.Usage, c.Subcommands
	}
	fmt.Fprintf(&b, ".\\\" Written by go generate ./cli.\n.TH %s 1 \"\" ward \"Ward\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", roff(strings.ToUpper(name)), roff(name), roff(usage))
	switch {
	case c == nil:
		fmt.Fprintf(&b, ".B ward\n.I command\n[flags] [arguments]\n")
	case len(below) == 0:
		fmt.Fprintf(&b, ".B ward %s\n[flags] %s\n", c.Name, roff(c.ArgsUsage))
	}
	for _, sub := range below {
		if c != nil {
			fmt.Fprintf(&b, ".B ward %s %s\n[flags] %s\n.br\n", c.Name, sub.Name, roff(sub.ArgsUsage))
		}
	}
	if c == nil {
		fmt.Fprintf(&b, ".SH COMMANDS\n")
		for _, sub := range below {
			fmt.Fprintf(&b, ".TP\n.BR ward-%s (1)\n%s\n", sub.Name, roff(sub.Usage))
		}
	} else {
		manText(&b, c.Description)
		manFlags(&b, s, c.Flags)
		for _, sub := range below {
			fmt.Fprintf(&b, ".SH WARD %s\n%s.\n", roff(strings.ToUpper(c.Name+" "+sub.Name)), roff(capital(sub.Usage)))
			manText(&b, sub.Description)
			manFlags(&b, s, sub.Flags)
		}
	}
	fmt.Fprintf(&b, ".SH FLAGS OF EVERY COMMAND\n")
	manFlags(&b, s, app.Flags)
	fmt.Fprintf(&b, ".SH EXIT STATUS\n")
	for _, e := range ExitCodes() {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", e.Code, roff(e.Meaning))
	}
	if c != nil {
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR ward (1)\n")
	}
	return b.Bytes()
}

func manText(b *bytes.Buffer, description string) {
	text, examples := splitExamples(description)
	for _, paragraph := range strings.Split(text, "\n\n") {
		if paragraph != "" {
			fmt.Fprintf(b, ".PP\n%s\n", roff(paragraph))
		}
	}
	if examples != "" {
		fmt.Fprintf(b, ".PP\n.EX\n%s\n.EE\n", roff(examples))
	}
}

func manFlags(b *bytes.Buffer, s *session, flags []urfave.Flag) {
	for _, r := range s.flagRows(flags) {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(r[0]), roff(r[1]))
	}
}

// roff escapes what troff would obey.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`).Replace(s)
	lines := strings.Split(s, "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], ".") {
			lines[i] = `\&` + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

func TestRoffEscapes(t *testing.T) {
	if got, want := roff("a-b\n.c\\'"), "a\\-b\n\\&.c\\e\\(aq"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if text, examples := splitExamples("A.\n\nExamples:\n  x\n  y\n\nB."); text != "A.\n\nB." || examples != "x\ny" {
		t.Errorf("%q, %q", text, examples)
	}
}
