package cli

import (
	"flag"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// A commandLine is what a person typed, understood: which command, and which
// flags belong to whom.
//
// urfave/cli v2 ignores flags behind the first argument, and takes a global flag
// behind a command for an unknown one. So Ward reads the line itself first and
// hands over one in the order that urfave/cli reads.
type commandLine struct {
	app      *urfave.App
	path     []*urfave.Command // the command and those above it, outermost first
	flags    [][]given         // by level: global ones first
	operands []string
	help     bool
	version  bool

	early []given // flags of a command that is not named yet
}

// given is one flag on the command line.
type given struct {
	name  string // without dashes, as the flag is called first
	value string
	set   bool // it has a value: "--json" has none

	filled bool // by the configuration file
}

// arrange reads a command line. Beside an error it returns what it understood
// before and after it, as far as possible.
func arrange(app *urfave.App, args []string) (l *commandLine, first error) {
	l = &commandLine{app: app, flags: make([][]given, 1)}
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	defer func() { note(l.settle()) }()
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			for _, a := range args[i+1:] {
				note(l.word(a))
			}
			return l, first
		case len(arg) > 1 && arg[0] == '-':
			used, err := l.flag(arg, args[i+1:])
			note(err)
			i += used
		default:
			note(l.word(arg))
		}
	}
	return l, first
}

// word takes a word that is no flag: a command, or an operand of one.
func (l *commandLine) word(w string) error {
	below := l.commands()
	switch {
	case len(l.operands) > 0 || len(below) == 0:
		l.operands = append(l.operands, w)
		return nil
	case len(l.path) == 0 && w == "help":
		l.help = true
		return nil
	}
	for _, c := range below {
		if c.HasName(w) {
			l.choose(c)
			return nil
		}
	}
	l.operands = append(l.operands, w) // so that an error is reported once
	err := usagef("unknown command %q", strings.TrimPrefix(l.name()+" "+w, " "))
	if near := nearest(w, names(below)); near != "" {
		return err.withHint("did you mean `ward %s`?", strings.TrimPrefix(l.name()+" "+near, " "))
	}
	return err.withHint("`ward --help` lists the commands")
}

// flag takes a flag, with the words behind it, and returns how many of them are
// part of it.
func (l *commandLine) flag(arg string, rest []string) (used int, err error) {
	name, value, set := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	level, f := l.find(name)
	early := f == nil
	if early {
		if f = flagBelow(l.commands(), name); f == nil {
			return 0, l.unknown(name)
		}
	}
	if takesValue(f) && !set {
		if len(rest) == 0 || strings.HasPrefix(rest[0], "--") {
			return 0, usagef("flag %s needs a value", dashed(name))
		}
		value, set, used = rest[0], true, 1
	}
	if !takesValue(f) && set {
		if _, err := strconv.ParseBool(value); err != nil {
			return used, usagef("flag %s is on or off: %q is neither true nor false", dashed(name), value)
		}
	}
	canonical := f.Names()[0]
	if early {
		l.early = append(l.early, given{name: canonical, value: value, set: set})
		return used, nil
	}
	if level == 0 && (!set || isTrue(value)) {
		l.help = l.help || canonical == "help"
		l.version = l.version || canonical == "version"
	}
	l.flags[level] = append(l.flags[level], given{name: canonical, value: value, set: set})
	return used, nil
}

func (l *commandLine) unknown(name string) error {
	err := usagef("unknown flag %s", dashed(name))
	if near := nearest(name, l.flagNames()); near != "" {
		return err.withHint("did you mean %s?", dashed(near))
	}
	return err.withHint("`ward %s` lists the flags", strings.TrimPrefix(l.name()+" --help", " "))
}

// flagBelow returns a flag with a name of any of the commands or of those below them.
func flagBelow(commands []*urfave.Command, name string) urfave.Flag {
	for _, c := range commands {
		for _, f := range c.Flags {
			if slices.Contains(f.Names(), name) {
				return f
			}
		}
		if f := flagBelow(c.Subcommands, name); f != nil {
			return f
		}
	}
	return nil
}

// settle gives flags that stood before their command to it.
func (l *commandLine) settle() error {
	var first error
	for _, g := range l.early {
		level, f := l.find(g.name)
		if f == nil || takesValue(f) && !g.set {
			if first == nil && !l.help {
				first = l.unknown(g.name)
			}
			continue
		}
		l.flags[level] = append(l.flags[level], g)
	}
	l.early = nil
	return first
}

// find returns the flag with a name and the level that defines it. The innermost
// command wins.
func (l *commandLine) find(name string) (level int, f urfave.Flag) {
	for level := len(l.path); level >= 0; level-- {
		for _, f := range l.flagsAt(level) {
			if slices.Contains(f.Names(), name) {
				return level, f
			}
		}
	}
	return 0, nil
}

func (l *commandLine) flagsAt(level int) []urfave.Flag {
	if level == 0 {
		return l.app.Flags
	}
	return l.path[level-1].Flags
}

// flagNames returns the names of all flags that could stand here.
func (l *commandLine) flagNames() []string {
	var all []string
	for level := len(l.path); level >= 0; level-- {
		for _, f := range l.flagsAt(level) {
			all = append(all, f.Names()...)
		}
	}
	return all
}

// commands returns the commands that could come next.
func (l *commandLine) commands() []*urfave.Command {
	if len(l.path) == 0 {
		return l.app.Commands
	}
	return l.path[len(l.path)-1].Subcommands
}

func (l *commandLine) choose(c *urfave.Command) {
	l.path = append(l.path, c)
	l.flags = append(l.flags, nil)
}

// name returns the command as it is typed, without the program: "grant create".
func (l *commandLine) name() string { return strings.Join(names(l.path), " ") }

// global returns the value of a global flag: the last on the command line, or
// that of its variable.
func (l *commandLine) global(name, variable string) string {
	for _, g := range slices.Backward(l.flags[0]) {
		if g.name == name {
			if !g.set {
				return "true"
			}
			return g.value
		}
	}
	return os.Getenv(variable)
}

// own returns the value of a flag of the command itself: the last on the command
// line, or that of its variable.
func (l *commandLine) own(name string) string {
	level := len(l.path)
	for _, g := range slices.Backward(l.flags[level]) {
		if g.name == name {
			if !g.set {
				return "true"
			}
			return g.value
		}
	}
	for _, f := range l.flagsAt(level) {
		if f.Names()[0] == name {
			return variable(f)
		}
	}
	return ""
}

// checkValue returns an error for a value that a flag does not take.
func checkValue(f urfave.Flag, value string) error {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	if err := f.Apply(set); err != nil {
		return err
	}
	return set.Set(f.Names()[0], value)
}

// checkVariables returns an error for a variable of a flag of the command whose
// value is not one that the flag takes.
func (l *commandLine) checkVariables() error {
	for level := range l.flags {
		for _, f := range l.flagsAt(level) {
			if err := f.Apply(flag.NewFlagSet("", flag.ContinueOnError)); err != nil {
				return usagef("%s", err.Error())
			}
		}
	}
	return nil
}

// arguments returns the line in the order that urfave/cli reads.
func (l *commandLine) arguments() []string {
	out := []string{l.app.Name}
	for level := range l.flags {
		if level > 0 {
			out = append(out, l.path[level-1].Name)
		}
		for _, g := range l.flags[level] {
			if g.set {
				out = append(out, "--"+g.name+"="+g.value)
			} else {
				out = append(out, "--"+g.name)
			}
		}
	}
	if len(l.operands) > 0 {
		out = append(append(out, "--"), l.operands...)
	}
	return out
}

func takesValue(f urfave.Flag) bool {
	d, ok := f.(urfave.DocGenerationFlag)
	return ok && d.TakesValue()
}

func names(commands []*urfave.Command) []string {
	all := make([]string, len(commands))
	for i, c := range commands {
		all[i] = c.Name
	}
	return all
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// isTrue reports whether the value of a flag or a variable switches something on.
func isTrue(value string) bool {
	on, err := strconv.ParseBool(value)
	return err == nil && on
}
