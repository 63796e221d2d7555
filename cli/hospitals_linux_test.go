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
	"testing"
	"time"
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

// testHospitalDown: with one of four hospitals down clinicians break the glass,
// without a grant and with one for emergencies, and each time it is on the chain.
func testHospitalDown(t *testing.T, h *hospitals) {
	sh := h.shell(t, "down").quietly()
	patient, doctor := sh.names["PATIENT"], sh.names["LEE"]
	note := filepath.Join(sh.dir, "note.txt")
	if err := os.WriteFile(note, []byte("potassium 4.1 mmol/L\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := sh.run("-q", "record", "put", note, "--type", "clinical/note", "--as", patient)
	grant := sh.run("-q", "grant", "create", "--to", doctor, "--type", "clinical", "--emergency", "--as", patient)
	for i := range h.Len() {
		if h.Name(i) == "west" {
			if err := h.Stop(i); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, under := range [][]string{{"--emergency"}, {"--grant", grant, "--purpose", "BTG"}} {
		draft := filepath.Join(sh.dir, fmt.Sprintf("%d.draft", i))
		sh.run(append([]string{"record", "get", id, "--draft", draft, "--as", doctor}, under...)...)
		sh.run("access", "approve", draft+".public", "--yes", "-o", draft+".approval", "--as", sh.names["OKAFOR"])
		sh.run("record", "get", "--from", draft, "--approval", draft+".approval", "--reason", "unconscious", "-o", draft+".txt", "--as", doctor)
		if b, err := os.ReadFile(draft + ".txt"); err != nil || string(b) != "potassium 4.1 mmol/L\n" {
			t.Errorf("%s: %q, %v", under[0], b, err)
		}
	}
	if seen := sh.run("access", "list", "--as", patient, "--json"); strings.Count(seen, `"review":"open"`) != 2 {
		t.Errorf("on the chain is\n%s", seen)
	}
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
	case <-time.After(time.Minute):
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
