package cli

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

// sample is a tree of commands as later ones will be.
func sample() *urfave.App {
	return &urfave.App{
		Name:  "ward",
		Flags: []urfave.Flag{&urfave.BoolFlag{Name: "json"}, &urfave.StringFlag{Name: "as"}, &urfave.BoolFlag{Name: "help", Aliases: []string{"h"}}},
		Commands: []*urfave.Command{
			{Name: "grant", Flags: []urfave.Flag{&urfave.StringFlag{Name: "wallet"}}, Subcommands: []*urfave.Command{
				{Name: "create", Flags: []urfave.Flag{&urfave.StringFlag{Name: "to", Aliases: []string{"t"}, Required: true}, &urfave.BoolFlag{Name: "dry-run"}}},
				{Name: "list"},
			}},
			{Name: "record", Flags: []urfave.Flag{&urfave.StringFlag{Name: "as"}}},
		},
	}
}

func TestFlagsBeforeAndBehindArguments(t *testing.T) {
	for typed, want := range map[string]string{
		"grant create rec-1 --to b":                      "grant create --to=b -- rec-1",
		"grant create --to b rec-1":                      "grant create --to=b -- rec-1",
		"grant create rec-1 -t=b --dry-run rec-2":        "grant create --to=b --dry-run -- rec-1 rec-2",
		"grant create rec-1 --json --to b":               "--json grant create --to=b -- rec-1",
		"grant --wallet w create --wallet v x":           "grant --wallet=w --wallet=v create -- x",
		"grant create --to -":                            "grant create --to=-",
		"grant create - --to b":                          "grant create --to=b -- -",
		"grant create --to b -- --dry-run":               "grant create --to=b -- --dry-run",
		"grant create --dry-run=false x":                 "grant create --dry-run=false -- x",
		"record --as nurse x":                            "record --as=nurse -- x", // the command's own flag, not the global one of the same name
		"--as nurse record x":                            "--as=nurse record -- x",
		"--to b grant create x":                          "grant create --to=b -- x", // before the command that it belongs to
		"grant --dry-run -t b create x --to=c":           "grant create --to=c --dry-run --to=b -- x",
		"grant list":                                     "grant list",
		"grant create create --to create --json=1 -- --": "--json=1 grant create --to=create -- create --",
	} {
		line, err := arrange(sample(), strings.Fields(typed))
		if err != nil {
			t.Errorf("%s: %v", typed, err)
		}
		if got := strings.Join(line.arguments()[1:], " "); got != want {
			t.Errorf("%s became %s, want %s", typed, got, want)
		}
	}
}

// TestUrfaveUnderstandsWhatArrangeSays runs what the three traps of urfave/cli
// v2 break: a flag behind an argument, and a global flag behind a command.
func TestUrfaveUnderstandsWhatArrangeSays(t *testing.T) {
	app, ran := sample(), false
	app.Writer, app.HideHelp = io.Discard, true
	app.Commands[0].HideHelp = true
	app.Commands[0].Subcommands[0].HideHelp = true
	app.Commands[0].Subcommands[0].Action = func(c *urfave.Context) error {
		ran = true
		if c.String("to") != "b" || !c.Bool("json") || !slices.Equal(c.Args().Slice(), []string{"rec-1", "--x"}) {
			t.Errorf("to %q, json %v, arguments %q", c.String("to"), c.Bool("json"), c.Args().Slice())
		}
		return nil
	}
	line, err := arrange(app, []string{"grant", "create", "rec-1", "--to", "b", "--json", "--", "--x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Run(line.arguments()); err != nil || !ran {
		t.Errorf("ran: %v, %v", ran, err)
	}
}

// TestFlagsOfAnotherCommand: one that stands before its command is still unknown
// where no such command follows.
func TestFlagsOfAnotherCommand(t *testing.T) {
	for _, typed := range []string{"--to b grant list", "--dry-run grant list", "--to b", "--zz grant list", "--to grant list"} {
		if line, err := arrange(sample(), strings.Fields(typed)); err == nil {
			t.Errorf("%s became %s", typed, line.arguments())
		}
	}
}

func TestDidYouMean(t *testing.T) {
	words := []string{"demo", "version", "grant", "record", "request"}
	for typed, want := range map[string]string{
		"dmeo": "demo", "Demo": "demo", "versoin": "version", "grnat": "grant", "recrod": "record", "reqest": "request",
		"x": "", "": "", "zzzz": "", "frobnicate": "", "de": "demo",
	} {
		if got := nearest(typed, words); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

// FuzzArrange: no line makes it panic, and what it says of a good one it says of
// its own answer again.
func FuzzArrange(f *testing.F) {
	for _, s := range []string{"", "grant create x --to b", "--json record -", "grant -- create", "-h", "--=", "-=-", "grant create --to", "--to b grant create x", "--dry-run grant -t create"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		args := strings.Split(s, " ")
		line, err := arrange(sample(), args)
		complete(args, io.Discard, (*session).commands)
		if err != nil || len(line.commands()) > 0 || line.help {
			return
		}
		once := line.arguments()
		again, err := arrange(sample(), once[1:])
		if err != nil || !slices.Equal(again.arguments(), once) {
			t.Errorf("%q became %q, then %q, %v", args, once, again.arguments(), err)
		}
	})
}

// TestEveryFlagHasAVariable: WARD_ and the flag's name, for all but help.
func TestEveryFlagHasAVariable(t *testing.T) {
	s := &session{ui: newUI(io.Discard, io.Discard), offer: (*session).commands}
	var check func(m manual)
	check = func(m manual) {
		for _, f := range m.Flags {
			if f.Names[0] == "help" || f.Names[0] == "version" {
				continue
			}
			if !strings.HasPrefix(f.Variable, "WARD_") || !strings.HasSuffix(f.Variable, strings.ToUpper(strings.ReplaceAll(f.Names[0], "-", "_"))) {
				t.Errorf("flag --%s of %s has variable %q", f.Names[0], m.Name, f.Variable)
			}
		}
		for _, c := range m.Commands {
			check(c)
		}
	}
	line, _ := arrange(s.app(), nil)
	check(line.manual())
}

// TestCompletionNeverFails: a shell has nothing to do with an error.
func TestCompletionNeverFails(t *testing.T) {
	var out, err bytes.Buffer
	exit := run(t.Context(), []string{"x", completionFlag}, &out, &err, func(*session) []*urfave.Command { panic("boom") })
	if exit != exitOK || out.Len() > 0 || err.Len() > 0 {
		t.Errorf("exit %d, stdout %q, stderr %q", exit, out.String(), err.String())
	}
}

// TestAPanicIsReportedAsAnError: no stack on a clinician's screen.
func TestAPanicIsReportedAsAnError(t *testing.T) {
	var out, err bytes.Buffer
	exit := run(t.Context(), []string{"panics", "--json"}, &out, &err, func(s *session) []*urfave.Command {
		return []*urfave.Command{{Name: "panics", Action: s.act(0, func(context.Context, *session, *urfave.Context) (any, error) { panic("boom") })}}
	})
	if exit != exitFailure || err.String() != "ward: internal error: boom\n" || !strings.Contains(out.String(), `"ok":false`) {
		t.Errorf("exit %d, stdout %q, stderr %q", exit, out.String(), err.String())
	}
}
