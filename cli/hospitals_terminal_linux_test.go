package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
)

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
		for reader, obligations := range map[string][]string{"dr.lee@east\x1b[2Kp-good@north": {}, "dr.lee@east": {"DELAU\x1b[2K"}} {
			b, err := chain.Marshal([]any{"ward/v1/draft", reader, "", "g-aaaaaaaaaaaaaaaaaaaaaaaaaa", []string{"r-aaaaaaaaaaaaaaaaaaaaaaaaaa"}, "TREAT", make([]byte, 32), obligations})
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

	t.Run("ObligationsAreShownAndAsked", func(t *testing.T) {
		note := filepath.Join(sh.dir, "note.txt")
		id := sh.run("-q", "record", "put", note, "--type", "clinical/plan", "--as", patient)
		sh.run("grant", "create", "--to", sh.names["LEE"], "--type", "clinical/plan", "--obligation", "DELAU", "--as", patient)
		args := []string{"record", "get", id, "-o", filepath.Join(sh.dir, "plan.txt"), "--as", sh.names["LEE"]}
		seen, exit := sh.talk(t, sh.command(args...), [2]string{"Take it on?", "n"})
		if exit == 0 || !strings.Contains(seen, "DELAU: delete the information after use") || !strings.Contains(seen, "nothing was done") {
			t.Errorf("exit code %d, a person sees\n%s", exit, seen)
		}
		if seen := sh.run("access", "list", "--as", patient); strings.Contains(seen, id) || !strings.Contains(seen, "no accesses") {
			t.Errorf("it is logged all the same:\n%s", seen)
		}
		seen, exit = sh.talk(t, sh.command(args...), [2]string{"Take it on?", "y"})
		if exit != 0 || !strings.Contains(seen, "you have taken on:") {
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
