// Package cli is the command line of Ward, for hospital IT, clinicians and
// auditors. Package cli/ward is the program.
//
// What holds for every command: flags come before or after arguments; results go
// to stdout and everything else to stderr; with --json stdout carries one
// envelope and nothing else; the exit code is one of those in [ExitCodes].
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	urfave "github.com/urfave/cli/v2"
)

// Main runs the command line of this process until it ends or is interrupted,
// and returns its exit code. A second Ctrl-C ends the process at once.
func Main() int { return mainOf((*session).commands) }

func mainOf(commands func(*session) []*urfave.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr, commands)
}

// Run runs one command line, given without the program's name, and returns its
// exit code. Cancelling ctx interrupts it. Besides its arguments it reads the
// process's environment.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return run(ctx, args, stdout, stderr, (*session).commands)
}

// commands returns what Ward can do.
func (s *session) commands() []*urfave.Command {
	return []*urfave.Command{s.demo(),
		s.walletCommand(), s.identityCommand(), s.recordCommand(), s.grantCommand(), s.requestCommand(), s.accessCommand(), s.policyCommand(),
		s.flowCommand(), s.rxCommand(),
		s.audit(), s.chain(), s.node(), s.consortium(), s.doctor(), s.configCommand(), s.completion(), s.version()}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, commands func(*session) []*urfave.Command) (exit int) {
	if n := len(args); n > 0 && args[n-1] == completionFlag {
		return complete(args[:n-1], stdout, commands)
	}
	s := &session{ui: newUI(stdout, stderr), offer: commands}
	defer func() {
		if v := recover(); v != nil {
			s.debug("%v\n%s", v, debug.Stack())
			exit = s.fail(nil, fmt.Errorf("internal error: %v", v), "")
		}
	}()
	data, name, err := s.run(ctx, args)
	if err != nil {
		if ctx.Err() != nil {
			err = errInterrupted
		}
		return s.fail(data, err, name)
	}
	return s.succeed(data)
}

// A session is one run of the command line.
type session struct {
	*ui
	offer func(*session) []*urfave.Command // the commands
	data  any                              // what the command returned
	work  int                              // how dear guesses of new passphrases are; 0 for the usual, which only tests change

	line   *commandLine   // what the person typed, and the configuration file filled in
	config *configuration // never nil
}

// An action does what a command is for. What it says on the ui is for people;
// what it returns is for programs, and may be there beside an error.
type action func(ctx context.Context, s *session, c *urfave.Context) (data any, err error)

// run executes a command line and returns the command's data and its name.
func (s *session) run(ctx context.Context, args []string) (data any, name string, err error) {
	s.lang = environmentLanguage()
	app := s.app()
	line, err := arrange(app, args)
	s.line = line
	s.config, err = line.configuration(err)
	// Errors of the command line itself are told in the right language and form,
	// too. So what can be read of these flags counts although there is an error.
	if e := s.configure(line); err == nil {
		err = e
	}
	if err != nil {
		return nil, "", err
	}
	switch {
	case line.help:
		s.help(line)
		return s.data, "", nil
	case line.version:
		line.choose(app.Command("version"))
	case len(line.commands()) > 0:
		return nil, "", s.noCommand(line)
	}
	if err := line.checkVariables(); err != nil {
		return nil, line.name(), err
	}
	app = s.app() // again: the language may be another one now
	err = app.RunContext(ctx, line.arguments())
	return s.data, line.name(), err
}

// app returns the tree of commands, its texts in the session's language.
func (s *session) app() *urfave.App {
	app := &urfave.App{
		Name:  "ward",
		Usage: s.tr("share medical records that the patient controls"),
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "json", EnvVars: []string{"WARD_JSON"}, Usage: s.tr("print one JSON envelope on stdout instead of text")},
			&urfave.StringFlag{Name: "lang", EnvVars: []string{"WARD_LANG"}, Usage: s.tr("language of messages, en or zh; else that of LC_ALL, LC_MESSAGES or LANG")},
			&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, EnvVars: []string{"WARD_QUIET"}, Usage: s.tr("no progress, and of results only what was asked for")},
			&urfave.BoolFlag{Name: "verbose", Aliases: []string{"v"}, EnvVars: []string{"WARD_VERBOSE"}, Usage: s.tr("log what happens inside on stderr")},
			&urfave.StringFlag{Name: "config", EnvVars: []string{"WARD_CONFIG"}, Usage: s.tr("the configuration file, if not the usual one; `ward config path` names it")},
			&urfave.StringFlag{Name: "context", EnvVars: []string{"WARD_CONTEXT"}, Usage: s.tr("which of the contexts in the configuration file")},
			&urfave.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: s.tr("show help, also for a command")},
			&urfave.BoolFlag{Name: "version", Usage: s.tr("show the version")},
		},
		Commands: s.offer(s),

		HideHelp:        true, // arrange and help do it
		HideHelpCommand: true,
		HideVersion:     true,
		Writer:          io.Discard,
		ErrWriter:       io.Discard,
		ExitErrHandler:  func(*urfave.Context, error) {},
		OnUsageError:    badValue,
	}
	prepare(app.Commands)
	return app
}

// prepare sets what all commands have in common.
func prepare(commands []*urfave.Command) {
	for _, c := range commands {
		c.HideHelp = true
		c.OnUsageError = badValue
		prepare(c.Subcommands)
	}
}

// act turns an action into what urfave/cli calls. operands is how many
// arguments the command takes at most.
func (s *session) act(operands int, a action) urfave.ActionFunc {
	return func(c *urfave.Context) error {
		if extra := c.Args().Slice(); len(extra) > operands {
			return usagef("unexpected argument %q", extra[operands])
		}
		data, err := a(c.Context, s, c)
		s.data = data
		return err
	}
}

// configure takes the global flags from the command line or their variables.
// urfave/cli parses them once more; here they are needed before it runs.
func (s *session) configure(line *commandLine) error {
	var err error
	if lang := line.global("lang", "WARD_LANG"); lang != "" {
		l, ok := parseLanguage(lang)
		if !ok {
			err = usagef("unknown language %q: choose en or zh", lang)
		} else {
			s.lang = l
		}
	}
	s.json = s.json || isTrue(line.global("json", "WARD_JSON"))
	s.quiet = isTrue(line.global("quiet", "WARD_QUIET"))
	s.verbose = isTrue(line.global("verbose", "WARD_VERBOSE"))
	return err
}

func (s *session) noCommand(line *commandLine) error {
	if !s.json {
		s.helpTo(s.stderr, line)
	}
	if len(line.path) == 0 {
		return usagef("no command given").withHint("try `ward demo`")
	}
	return usagef("%s what?", line.name()).withHint("`ward %s` lists the commands", line.name()+" --help")
}

// ExitCodes returns the exit codes with what they mean, in ascending order. A
// code that is not among them means that the process was killed.
func ExitCodes() []ExitCode { return slices.Clone(exitCodes) }
