package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/ward-health/ward/internal/durable"
)

const (
	maxPassphrase = 4 << 10 // bytes
	minPassphrase = 8       // characters of a new one
)

// passphraseFlags say where a passphrase comes from. It never stands on the
// command line, which other users of the machine can read.
func (s *session) passphraseFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "passphrase-file", EnvVars: []string{"WARD_PASSPHRASE_FILE"}, Usage: s.tr("read the passphrase from the first line of this file, which is yours alone (mode 0600)")},
		&urfave.IntFlag{Name: "passphrase-fd", EnvVars: []string{"WARD_PASSPHRASE_FD"}, Usage: s.tr("read the passphrase from this file descriptor"), DefaultText: "-"},
		&urfave.StringFlag{Name: "passphrase-command", EnvVars: []string{"WARD_PASSPHRASE_COMMAND"}, Usage: s.tr("run this in a shell and take the first line that it prints")},
	}
}

// A passphraseSource says how a passphrase is read without asking a person.
type passphraseSource struct{ flag, value string }

// passphraseSource returns where the passphrase of a command comes from: "" if a
// person must be asked. Flags count before variables, variables before the
// configuration file.
func (s *session) passphraseSource() (passphraseSource, error) {
	flags := s.line.flagsAt(len(s.line.path))
	var typed, set, filled []passphraseSource
	for _, f := range flags {
		name := f.Names()[0]
		if !strings.HasPrefix(name, "passphrase-") {
			continue
		}
		for _, g := range s.line.flags[len(s.line.path)] {
			if g.name != name {
				continue
			}
			if g.filled {
				filled = append(filled, passphraseSource{name, g.value})
			} else {
				typed = append(typed, passphraseSource{name, g.value})
			}
		}
		if v := variable(f); v != "" {
			set = append(set, passphraseSource{name, v})
		}
	}
	for _, list := range [][]passphraseSource{typed, set, filled} {
		switch len(list) {
		case 0:
		case 1:
			return list[0], nil
		default:
			return passphraseSource{}, usagef("two places for one passphrase: --%s and --%s", list[0].flag, list[1].flag)
		}
	}
	return passphraseSource{}, nil
}

// passphrase returns the passphrase of what is there, from where the command
// line says, or from the person. The caller clears it.
func (s *session) passphrase(ctx context.Context) ([]byte, error) {
	from, err := s.passphraseSource()
	if err != nil {
		return nil, err
	}
	if from.flag != "" {
		return from.read(ctx, s.stderr)
	}
	return s.askSecret(ctx, "Passphrase: ")
}

// newPassphrase is passphrase for something new: a person types it twice.
func (s *session) newPassphrase(ctx context.Context) ([]byte, error) {
	from, err := s.passphraseSource()
	if err != nil {
		return nil, err
	}
	return s.newFrom(ctx, from)
}

// otherPassphrase is newPassphrase where the passphrase flags say what it was: a
// file says the new one, or a person.
func (s *session) otherPassphrase(ctx context.Context, file string) ([]byte, error) {
	if file == "" {
		return s.newFrom(ctx, passphraseSource{})
	}
	return s.newFrom(ctx, passphraseSource{"new-passphrase-file", file})
}

func (s *session) newFrom(ctx context.Context, from passphraseSource) (p []byte, err error) {
	if from.flag != "" {
		p, err = from.read(ctx, s.stderr)
	} else {
		p, err = s.askSecret(ctx, "New passphrase: ")
	}
	if err != nil {
		return nil, err
	}
	if len([]rune(string(p))) < minPassphrase {
		clear(p)
		return nil, failf("passphrase", exitUsage, "the passphrase is too short: %d characters at least", minPassphrase)
	}
	if from.flag != "" {
		return p, nil
	}
	again, err := s.askSecret(ctx, "Once more: ")
	defer clear(again)
	if err == nil && !bytes.Equal(p, again) {
		err = failf("passphrase", exitUsage, "the two passphrases differ")
	}
	if err != nil {
		clear(p)
		return nil, err
	}
	return p, nil
}

// read reads the first line of a source.
func (p passphraseSource) read(ctx context.Context, stderr io.Writer) ([]byte, error) {
	var b []byte
	var err error
	switch p.flag {
	case "passphrase-file", "backup-passphrase-file", "new-passphrase-file":
		b, err = durable.ReadSecretUpTo(p.value, maxPassphrase)
		if errors.Is(err, durable.ErrExposed) {
			return nil, failf("exposed", exitFailure, "others may read or replace the passphrase file %s", p.value).withHint("chmod 600 %s", p.value)
		}
	case "passphrase-fd":
		var fd int
		if _, err := fmt.Sscanf(p.value, "%d", &fd); err != nil || fd < 0 {
			return nil, usagef("%s does not take %q", "passphrase-fd", p.value)
		}
		f := os.NewFile(uintptr(fd), "passphrase")
		defer f.Close()
		b, err = io.ReadAll(io.LimitReader(f, maxPassphrase))
	case "passphrase-command":
		b, err = shellOutput(ctx, p.value, stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", p.flag, err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, failf("passphrase", exitUsage, "no passphrase came from --%s", p.flag)
	}
	return line, nil
}

// shellOutput runs a command of the person's own, which reads nothing, and
// returns what it prints.
func shellOutput(ctx context.Context, command string, stderr io.Writer) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stderr = stderr
	return cmd.Output()
}

// askSecret asks a person at a terminal, without showing what is typed.
func (s *session) askSecret(ctx context.Context, question string) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil, usagef("no passphrase, and no terminal to ask for it").withHint("--passphrase-file, --passphrase-fd or --passphrase-command says where it comes from")
	}
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	type answer struct {
		text []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		b, err := term.ReadPassword(fd)
		done <- answer{b, err}
	}()
	// What is typed must not show from the moment that a person is asked.
	hidden(fd, before)
	fmt.Fprint(s.stderr, s.tr(question))
	defer fmt.Fprintln(s.stderr)
	select {
	case a := <-done:
		if errors.Is(a.err, io.EOF) || a.err == nil && len(a.text) == 0 {
			return nil, failf("passphrase", exitUsage, "no passphrase was typed")
		}
		return a.text, a.err
	case <-ctx.Done():
		// The read cannot be ended; the process is about to. The terminal must
		// show again what is typed.
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}

// hidden waits until a terminal is no longer in a state, or a moment if it stays.
func hidden(fd int, before *term.State) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if now, err := term.GetState(fd); err != nil || !reflect.DeepEqual(now, before) {
			return
		}
		<-tick.C
	}
}

// confirm asks a person at a terminal whether to go on, unless --yes said so.
func (s *session) confirm(ctx context.Context, question string, args ...any) error {
	if isTrue(s.line.own("yes")) {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return usagef("nobody is at a terminal to confirm this").withHint("--yes confirms it")
	}
	fmt.Fprint(s.stderr, s.tr(question, args...), s.tr(" [y/N] "))
	typed := make(chan string, 1)
	go func() {
		var line []byte
		for b := make([]byte, 1); len(line) < 80; {
			if n, err := os.Stdin.Read(b); n == 0 || err != nil || b[0] == '\n' {
				break
			}
			line = append(line, b[0])
		}
		typed <- string(line)
	}()
	select {
	case t := <-typed:
		switch strings.ToLower(strings.TrimSpace(t)) {
		case "y", "yes", "是":
			return nil
		}
		return failf("declined", exitFailure, "nothing was done")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) yesFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "yes", Aliases: []string{"y"}, EnvVars: []string{"WARD_YES"}, Usage: s.tr("do not ask")}
}
