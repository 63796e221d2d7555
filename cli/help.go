package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	urfave "github.com/urfave/cli/v2"
)

// A manual is a command as --help --json describes it, for programs that make
// documents or forms from it.
type manual struct {
	Name     string       `json:"name"`
	Usage    string       `json:"usage"`
	Flags    []manualFlag `json:"flags"`
	Commands []manual     `json:"commands,omitempty"`
	Exits    []ExitCode   `json:"exit_codes,omitempty"`
}

type manualFlag struct {
	Names    []string `json:"names"`
	Value    bool     `json:"takes_value"`
	Usage    string   `json:"usage"`
	Default  string   `json:"default,omitempty"`
	Variable string   `json:"variable,omitempty"`
}

// help shows the help of the command that the line names.
func (s *session) help(l *commandLine) {
	if s.json {
		s.data = l.manual()
		return
	}
	var b strings.Builder
	s.helpTo(&b, l)
	s.print(b.String())
}

// helpTo writes help for people.
func (s *session) helpTo(w io.Writer, l *commandLine) {
	name, usage, synopsis := "ward", l.app.Usage, s.tr("<command> [flags] [arguments]")
	var description, operands string
	if n := len(l.path); n > 0 {
		c := l.path[n-1]
		name, usage, description, operands = "ward "+l.name(), c.Usage, c.Description, c.ArgsUsage
		if synopsis = strings.TrimSpace(s.tr("[flags]") + " " + operands); len(c.Subcommands) > 0 {
			synopsis = s.tr("<command> [flags] [arguments]")
		}
	}
	fmt.Fprintf(w, "%s\n\n", usage)
	fmt.Fprintf(w, "%s\n  %s %s\n", s.tr("Usage:"), name, synopsis)
	if description != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(description))
	}
	if commands := l.commands(); len(commands) > 0 {
		var rows [][2]string
		for _, c := range commands {
			rows = append(rows, [2]string{c.Name, c.Usage})
		}
		list(w, s.tr("Commands:"), rows)
	}
	for level := len(l.path); level >= 0; level-- {
		if flags := l.flagsAt(level); len(flags) > 0 {
			title := s.tr("Flags:")
			if level == 0 {
				title = s.tr("Flags of every command:")
			}
			list(w, title, s.flagRows(flags))
		}
	}
	if len(l.path) == 0 {
		var rows [][2]string
		for _, e := range exitCodes {
			rows = append(rows, [2]string{fmt.Sprint(e.Code), s.tr(e.Meaning)})
		}
		list(w, s.tr("Exit codes:"), rows)
	}
}

func (s *session) flagRows(flags []urfave.Flag) [][2]string {
	var rows [][2]string
	for _, f := range describe(flags) {
		var all []string
		for _, n := range f.Names {
			all = append(all, dashed(n))
		}
		left := strings.Join(all, ", ")
		if f.Value {
			left += " " + s.tr("VALUE")
		}
		right := f.Usage
		if f.Default != "" {
			right += s.tr(" (default: %s)", f.Default)
		}
		if f.Variable != "" {
			right += " [" + f.Variable + "]"
		}
		rows = append(rows, [2]string{left, right})
	}
	return rows
}

// list writes two columns, aligned in any script.
func list(w io.Writer, title string, rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, text.StringWidth(r[0]))
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, r := range rows {
		fmt.Fprintf(w, "  %s  %s\n", pad(r[0], width), r[1])
	}
}

func (l *commandLine) manual() manual {
	if n := len(l.path); n > 0 {
		return manualOf(l.path[n-1], l.name())
	}
	m := manual{Name: l.app.Name, Usage: l.app.Usage, Flags: describe(l.app.Flags), Exits: ExitCodes()}
	for _, c := range l.app.Commands {
		m.Commands = append(m.Commands, manualOf(c, c.Name))
	}
	return m
}

func manualOf(c *urfave.Command, name string) manual {
	m := manual{Name: name, Usage: c.Usage, Flags: describe(c.Flags)}
	for _, sub := range c.Subcommands {
		m.Commands = append(m.Commands, manualOf(sub, name+" "+sub.Name))
	}
	return m
}

func describe(flags []urfave.Flag) []manualFlag {
	out := []manualFlag{}
	for _, f := range flags {
		d, ok := f.(urfave.DocGenerationFlag)
		if !ok {
			continue
		}
		m := manualFlag{Names: f.Names(), Value: d.TakesValue(), Usage: d.GetUsage()}
		if m.Value {
			m.Default = strings.TrimPrefix(d.GetDefaultText(), "-") // "-": there is none
		}
		if v := d.GetEnvVars(); len(v) > 0 {
			m.Variable = v[0]
		}
		out = append(out, m)
	}
	return out
}
