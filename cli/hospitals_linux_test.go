package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
)

// stream is how many MiB go through the command line. 10 GiB, which is what it
// promises, is -stream 10240.
var stream = flag.Int64("stream", 0, "MiB of a record that is streamed; 0 for some hundred")

// A shell is a person's: a folder to work in, and an environment.
type shell struct {
	t     *testing.T
	dir   string
	env   []string
	names map[string]string
}

func (h *hospitals) shell(t *testing.T, test string) *shell {
	t.Helper()
	sh := &shell{t: t, dir: t.TempDir()}
	names, err := h.enrol(context.Background(), filepath.Join(sh.dir, "wallets"), test)
	if err != nil {
		t.Fatal(err)
	}
	sh.names = names
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); !strings.HasPrefix(name, "WARD_") && !strings.HasPrefix(name, "LC_") && name != "LANG" {
			sh.env = append(sh.env, e)
		}
	}
	sh.env = append(sh.env, "WARD_CONSORTIUM="+h.consortium, "WARD_WALLETS="+filepath.Join(sh.dir, "wallets"), "XDG_CONFIG_HOME="+sh.dir)
	return sh
}

// quietly makes the shell's commands take their passphrase from a file.
func (sh *shell) quietly() *shell {
	pass := filepath.Join(sh.dir, "pass")
	if err := os.WriteFile(pass, []byte(testPassphrase+"\n"), 0o600); err != nil {
		sh.t.Fatal(err)
	}
	sh.env = append(sh.env, "WARD_PASSPHRASE_FILE="+pass)
	return sh
}

func (sh *shell) command(args ...string) *exec.Cmd {
	cmd := exec.Command("ward", args...)
	cmd.Dir, cmd.Env = sh.dir, sh.env
	return cmd
}

// run runs a command that succeeds and returns what it prints.
func (sh *shell) run(args ...string) string {
	sh.t.Helper()
	cmd := sh.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		sh.t.Fatalf("ward %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func exitCode(err error) int {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// testStreams: a record far larger than memory goes in and out in constant
// memory, and an interrupt leaves nothing half-written.
func testStreams(t *testing.T, h *hospitals) {
	if testing.Short() {
		t.Skip("some hundred MiB")
	}
	sh := h.shell(t, "streams").quietly()
	size := *stream << 20
	if size == 0 {
		size = 384 << 20
	}
	const bound = 128 << 20
	patient := sh.names["PATIENT"]

	sum := sha256.New()
	put := sh.command("-q", "record", "put", "-", "--type", "clinical/archive", "--as", patient)
	put.Stdin = io.TeeReader(io.LimitReader(&noise{}, size), sum)
	var id, stderr bytes.Buffer
	put.Stdout, put.Stderr = &id, &stderr
	used, err := runMeasured(put)
	if err != nil {
		t.Fatalf("put: %v\n%s", err, stderr.String())
	}
	id.Truncate(id.Len() - 1) // the line's end
	t.Logf("put %d MiB with %d MiB of memory", size>>20, used>>20)
	if used == 0 || used > bound {
		t.Errorf("put took %d MiB of memory, want %d at most", used>>20, bound>>20)
	}

	got := sha256.New()
	get := sh.command("record", "get", id.String(), "-o", "-", "--as", patient)
	get.Stdout = got
	if used, err = runMeasured(get); err != nil {
		t.Fatalf("get: %v", err)
	}
	if used == 0 || used > bound {
		t.Errorf("get took %d MiB of memory, want %d at most", used>>20, bound>>20)
	}
	t.Logf("got it with %d MiB of memory", used>>20)
	if want := hex.EncodeToString(sum.Sum(nil)); hex.EncodeToString(got.Sum(nil)) != want {
		t.Error("what came out is not what went in")
	}

	t.Run("InterruptedGetLeavesNoFile", func(t *testing.T) {
		dir := filepath.Join(sh.dir, "out")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := sh.command("record", "get", id.String(), "-o", filepath.Join(dir, "file"), "--as", patient)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, func() bool { // it has begun to write
			entries, _ := os.ReadDir(dir)
			if len(entries) == 0 {
				return false
			}
			info, err := entries[0].Info()
			return err == nil && info.Size() > 1<<20
		})
		interrupted(t, cmd)
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("it left %s", entries[0].Name())
		}
	})

	t.Run("InterruptedPutLeavesNoRecord", func(t *testing.T) {
		before := sh.run("record", "list", "--as", patient, "--ndjson")
		cmd := sh.command("record", "put", "-", "--type", "clinical/archive", "--as", patient)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(in, io.LimitReader(&noise{}, 8<<20)); err != nil { // and then nothing
			t.Fatal(err)
		}
		interrupted(t, cmd)
		if after := sh.run("record", "list", "--as", patient, "--ndjson"); after != before {
			t.Errorf("there was\n%s\nand is\n%s", before, after)
		}
	})
}

// runMeasured runs a command and returns the most memory that it had, in bytes.
// (What the kernel says of a process that has ended counts its parent's in, from
// before it became another program.)
func runMeasured(cmd *exec.Cmd) (most int64, err error) {
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return most, err
		case <-tick.C:
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if _, rest, ok := strings.Cut(string(b), "VmHWM:"); ok {
				var kib int64
				if _, err := fmt.Sscan(rest, &kib); err == nil && strings.Contains(string(b), "Name:\tward") {
					most = max(most, kib<<10)
				}
			}
		}
	}
}

// interrupted interrupts a command and checks that it ends as it should.
func interrupted(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if exitCode(err) != exitInterrupted {
			t.Errorf("it ends with %v, want exit code %d", err, exitInterrupted)
		}
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		t.Error("it does not end")
	}
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it took too long")
		}
	}
}

// A screen is what a person at a terminal sees.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// talk runs a command at a terminal. answers are what is typed, each when the
// question before it has appeared once more.
func (sh *shell) talk(t *testing.T, cmd *exec.Cmd, answers ...[2]string) (seen string, exit int) {
	t.Helper()
	person, program := terminal(t, 100)
	cmd.Stdin, cmd.Stderr = program, program
	if cmd.Stdout == nil {
		cmd.Stdout = program
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	var s screen
	read := make(chan struct{})
	go func() {
		_, _ = io.Copy(&s, person) // ends with an error when the command does
		close(read)
	}()
	at := 0
	for _, a := range answers {
		waitUntil(t, func() bool { return strings.Contains(s.String()[at:], a[0]) })
		at = len(s.String())
		if _, err := fmt.Fprintln(person, a[1]); err != nil {
			t.Fatal(err)
		}
	}
	err := cmd.Wait()
	<-read
	return s.String(), exitCode(err)
}

// testTerminal: what a person at a terminal is asked and shown.
func testTerminal(t *testing.T, h *hospitals) {
	sh := h.shell(t, "terminal")
	patient := sh.names["PATIENT"]

	t.Run("PassphraseIsAskedForAndNotShown", func(t *testing.T) {
		seen, exit := sh.talk(t, sh.command("identity", "show", "--as", patient), [2]string{"Passphrase: ", testPassphrase})
		if exit != 0 || !strings.Contains(seen, patient) || strings.Contains(seen, testPassphrase) {
			t.Errorf("exit code %d, a person sees\n%s", exit, seen)
		}
		seen, exit = sh.talk(t, sh.command("identity", "show", "--as", patient, "--lang", "zh"), [2]string{"：", "wrong horse"})
		if exit != exitPassphrase || !strings.Contains(seen, "口令错误") {
			t.Errorf("exit code %d, a person sees\n%s", exit, seen)
		}
	})

	t.Run("NewPassphraseIsTypedTwice", func(t *testing.T) {
		seen, exit := sh.talk(t, sh.command("wallet", "new", "dr.typo@east"),
			[2]string{"New passphrase: ", "battery staple"}, [2]string{"Once more: ", "battery stable"})
		if exit != exitUsage || !strings.Contains(seen, "the two passphrases differ") {
			t.Errorf("exit code %d, a person sees\n%s", exit, seen)
		}
		if _, err := os.Stat(filepath.Join(sh.dir, "wallets", "dr.typo@east.wallet")); err == nil {
			t.Error("there is a wallet all the same")
		}
	})

	t.Run("InterruptedAtThePrompt", func(t *testing.T) {
		person, program := terminal(t, 100)
		cmd := sh.command("identity", "show", "--as", patient)
		cmd.Stdin, cmd.Stderr = program, program
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := program.Close(); err != nil {
			t.Fatal(err)
		}
		var s screen
		go func() { _, _ = io.Copy(&s, person) }() // ends when the test closes its end
		waitUntil(t, func() bool { return strings.Contains(s.String(), "Passphrase: ") })
		interrupted(t, cmd)
	})

	sh.quietly()

	t.Run("DraftThatSpeaksToTheTerminal", func(t *testing.T) {
		b, err := chain.Marshal([]any{"ward/v1/draft", "dr.lee@east\x1b[2Kp-good@north", "", "g-aaaaaaaaaaaaaaaaaaaaaaaaaa", []string{"r-aaaaaaaaaaaaaaaaaaaaaaaaaa"}, "TREAT", make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ward.ParseDraft(b); err != nil {
			t.Fatal(err) // it must come as far as that
		}
		draft := filepath.Join(sh.dir, "draft.public")
		if err := os.WriteFile(draft, b, 0o600); err != nil {
			t.Fatal(err)
		}
		seen, exit := sh.talk(t, sh.command("access", "approve", draft, "-o", "approval", "--yes", "--as", patient))
		if exit != exitUsage || strings.Contains(seen, "\x1b") {
			t.Errorf("exit code %d, a person sees\n%q", exit, seen)
		}
	})

	file := filepath.Join(sh.dir, "scan.bin")
	b, err := io.ReadAll(io.LimitReader(&noise{}, 24<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var id string

	t.Run("ProgressWithBytesAndTimeLeft", func(t *testing.T) {
		var stdout bytes.Buffer
		cmd := sh.command("-q=false", "record", "put", file, "--type", "clinical/exam/imaging", "--as", patient)
		cmd.Stdout = &stdout
		seen, exit := sh.talk(t, cmd)
		if exit != 0 || !strings.Contains(seen, "encrypting and storing") || !strings.Contains(seen, "/25 MB") {
			t.Errorf("exit code %d, a person sees\n%q", exit, seen)
		}
		_, rest, _ := strings.Cut(stdout.String(), "record ")
		id, _, _ = strings.Cut(rest, " ")
	})

	t.Run("NoBinaryOnATerminal", func(t *testing.T) {
		seen, exit := sh.talk(t, sh.command("record", "get", id, "--as", patient))
		if exit != exitUsage || !strings.Contains(seen, "this is binary, and stdout a terminal") || len(seen) > 4096 {
			t.Errorf("exit code %d, a person sees %d bytes\n%.300q", exit, len(seen), seen)
		}
		for _, args := range [][]string{
			{"chain", "export", "-o", "-", "--as", sh.names["PRIVACY"]},
			{"audit", "export", "-o", "-", "--as", sh.names["PRIVACY"]},
			{"wallet", "backup", patient, "-o", "-", "--backup-passphrase-file", "pass"},
		} {
			seen, exit := sh.talk(t, sh.command(args...))
			if exit != exitUsage || !strings.Contains(seen, "this is binary, and stdout a terminal") {
				t.Errorf("%v: exit code %d, a person sees\n%.300q", args, exit, seen)
			}
		}
	})

	t.Run("TextOnATerminal", func(t *testing.T) {
		note := filepath.Join(sh.dir, "note.txt")
		if err := os.WriteFile(note, []byte("血红蛋白 13.2 g/dL\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		id := sh.run("-q", "record", "put", note, "--type", "clinical/note", "--as", patient)
		seen, exit := sh.talk(t, sh.command("record", "get", id, "--as", patient))
		if exit != 0 || !strings.Contains(seen, "血红蛋白 13.2 g/dL") {
			t.Errorf("exit code %d, a person sees\n%s", exit, seen)
		}
	})

	t.Run("ErasingIsConfirmed", func(t *testing.T) {
		question := "for everybody and for ever?"
		seen, exit := sh.talk(t, sh.command("record", "erase", id, "--as", patient), [2]string{question, "n"})
		if exit == 0 || !strings.Contains(seen, "nothing was done") {
			t.Errorf("exit code %d, a person sees\n%s", exit, seen)
		}
		seen, exit = sh.talk(t, sh.command("record", "erase", id, "--as", patient), [2]string{question, "y"})
		if exit != 0 || !strings.Contains(seen, "is erased") {
			t.Errorf("exit code %d, a person sees\n%s", exit, seen)
		}
	})
}
