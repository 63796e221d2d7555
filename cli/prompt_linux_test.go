package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A seat is a person at a terminal on which the program runs.
type seat struct {
	t      *testing.T
	screen *os.File
	tty    *os.File
	cmd    *exec.Cmd
	shown  bytes.Buffer
	seen   int // what was waited for already
}

// sit starts ward on a terminal of its own, as a shell would.
func sit(t *testing.T, dir string, args ...string) *seat {
	t.Helper()
	screen, tty := terminal(t, 80)
	s := &seat{t: t, screen: screen, tty: tty, cmd: exec.CommandContext(t.Context(), "ward", args...)}
	s.cmd.Dir, s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = dir, tty, tty, tty
	s.cmd.Env = append(os.Environ(), "WARD_LANG=en", "XDG_CONFIG_HOME="+dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// waits waits until the screen shows a text that it has not shown before.
func (s *seat) waits(text string) {
	s.t.Helper()
	if err := s.screen.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 1024)
	for !strings.Contains(s.shown.String()[s.seen:], text) {
		n, err := s.screen.Read(buf)
		s.shown.Write(buf[:n])
		if err != nil {
			s.t.Fatalf("the screen never shows %q: %v\n%s", text, err, s.shown.String())
		}
	}
	s.seen += strings.Index(s.shown.String()[s.seen:], text) + len(text)
}

// types types keys.
func (s *seat) types(keys string) {
	s.t.Helper()
	if _, err := s.screen.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// secretly waits until what is typed is not shown, and types.
func (s *seat) secretly(keys string) {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.echoes() {
		<-tick.C
	}
	s.types(keys)
}

func (s *seat) echoes() bool {
	s.t.Helper()
	state, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// ends waits for the program's end and checks its exit code, and that the
// terminal is as it was.
func (s *seat) ends(code int) {
	s.t.Helper()
	err := s.cmd.Wait()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d:\n%s", got, code, s.shown.String())
	}
	if !s.echoes() {
		s.t.Error("the terminal does not show what is typed any more")
	}
}

func TestPassphrasePrompt(t *testing.T) {
	dir := t.TempDir()
	create := func(name string) *seat {
		return sit(t, dir, "node", "init", "--dir", name, "--name", name, "--url", "https://"+name+".example")
	}
	s := create("north")
	s.waits("New passphrase: ")
	s.secretly("correct horse battery\n")
	s.waits("Once more: ")
	s.secretly("correct horse battery\n")
	s.waits("fingerprint: ")
	s.ends(exitOK)
	if strings.Contains(s.shown.String(), "horse") {
		t.Errorf("the screen shows the passphrase:\n%s", s.shown.String())
	}

	s = create("east")
	s.waits("New passphrase: ")
	s.secretly("correct horse battery\n")
	s.waits("Once more: ")
	s.secretly("correct horse battle\n")
	s.waits("the two passphrases differ")
	s.ends(exitUsage)

	s = create("east")
	s.waits("New passphrase: ")
	s.secretly("short\n")
	s.waits("too short")
	s.ends(exitUsage)

	s = create("east")
	s.waits("New passphrase: ")
	s.secretly("\n")
	s.waits("no passphrase was typed")
	s.ends(exitUsage)

	// Ctrl-C: nothing is left, and the terminal shows what is typed again.
	s = create("east")
	s.waits("New passphrase: ")
	s.secretly("corr\x03")
	s.waits("ward: node init: interrupted")
	s.ends(exitInterrupted)
	if _, err := os.Lstat(filepath.Join(dir, "east")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory is left: %v", err)
	}

	// The prompt is in the person's language.
	s = sit(t, dir, "node", "init", "--dir", "x", "--name", "x", "--url", "https://x.example", "--lang", "zh")
	s.waits("新口令：")
	s.secretly("\x03")
	s.waits("已中断")
	s.ends(exitInterrupted)
}

// TestConfirmation: nothing but yes is a yes.
func TestConfirmation(t *testing.T) {
	for typed, want := range map[string]bool{"y\n": true, "Yes\n": true, "是\n": true, "\n": false, "n\n": false, "yesterday\n": false, "\x04": false} {
		screen, tty := terminal(t, 80)
		// What confirm reads is the process's own stdin.
		stdin := os.Stdin
		os.Stdin = tty
		s := &session{ui: newUI(tty, tty), line: &commandLine{flags: make([][]given, 1)}}
		s.line.app = sample()
		if _, err := screen.WriteString(typed); err != nil {
			t.Fatal(err)
		}
		err := s.confirm(t.Context(), "Really?")
		os.Stdin = stdin
		if (err == nil) != want {
			t.Errorf("%q: %v", typed, err)
		}
		if !term.IsTerminal(int(tty.Fd())) {
			t.Error("no terminal")
		}
	}
}
