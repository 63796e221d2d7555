package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ward-health/ward/internal/realserver"
)

// TestRunAConsortium runs the shell lines of docs/how-to/run-a-consortium.md, all
// of them and as they stand but for the ports: four hospitals as processes, with
// their own directories, keys made in a ceremony, a record read under a grant,
// kill -9 of one node, a fifth hospital.
func TestRunAConsortium(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("five real nodes")
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	script := shellOf(t, "../docs/how-to/run-a-consortium.md")
	ports := map[string]string{}
	script = regexp.MustCompile(`127\.0\.0\.1:7[12]0\d`).ReplaceAllStringFunc(script, func(addr string) string {
		if ports[addr] == "" {
			ports[addr] = realserver.FreeAddresses(t, 1)[0]
		}
		return ports[addr]
	})
	if len(ports) != 10 {
		t.Fatalf("the page has %d addresses, want 10", len(ports))
	}
	const stop = "for name in center south east north; do ward node stop --dir $name; done"
	if strings.Count(script, stop) != 1 {
		t.Fatal("the page does not stop its nodes as this test knows")
	}
	script = strings.Replace(script, stop, handOver+stop, 1)
	out, err := runShell(t, dir, script)
	if err != nil {
		for _, log := range []string{"north.log", "east.log", "south.log", "west.log", "center.log"} {
			b, _ := os.ReadFile(filepath.Join(dir, log))
			t.Logf("%s:\n%s", log, b)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"any 3 of 4 open something together",
		"one more that fails stops the chain",
		"problems: 0, warnings: 0",
		"any 3 of 5 open something together",
		"west leaves",
		"file 3: any 3 of 4 open something together",
		"the node in north has another passphrase now",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the lines never say %q", want)
		}
	}
	// What must not be in a log: names, and what is in records.
	for _, name := range []string{"north", "east", "south", "west", "center"} {
		b, err := os.ReadFile(filepath.Join(dir, name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"lee", "p-7f3a", "archive@", "Blood", "Hb 14.1", "follow-up", "clinical"} {
			if strings.Contains(string(b), secret) {
				t.Errorf("the log of %s has %q", name, secret)
			}
		}
		if !strings.Contains(string(b), "node stopped") {
			t.Errorf("%s did not stop in order", name)
		}
	}
}

// handOver ends the leader by SIGTERM, and starts it again: there is another one.
const handOver = `
field() { ward node status --dir $1 --json --for joined --wait 1m | sed 's/.*"'$2'":"\{0,1\}\([a-z0-9]*\).*/\1/'; }
leader=$(field north leader)
other=north; if [ $leader = north ]; then other=east; fi
pid=$(field $leader pid)
kill -TERM $pid
while kill -0 $pid 2>/dev/null; do sleep 0.1; done
if grep 'leadership not handed over' $leader.log; then exit 1; fi
next=$(field $other leader)
ward node run --dir $leader --passphrase-file $leader.pass 2>>$leader.log &
ward node status --dir $leader --wait 1m
echo "leader was $leader, is $next"
test $leader != $next
`

// shellOf returns the sh blocks of a page, one after the other.
func shellOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for i, block := range strings.Split("\n"+string(b), "\n```") {
		if rest, ok := strings.CutPrefix(block, "sh\n"); ok && i%2 == 1 {
			out.WriteString(rest + "\n")
		}
	}
	if out.Len() == 0 {
		t.Fatalf("%s has no shell lines", path)
	}
	return out.String()
}

// runShell runs a script that stops at its first error, in an environment
// without settings, and ends whatever it leaves running.
func runShell(t *testing.T, dir, script string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "set -x\n"+script)
	cmd.Dir = dir
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WARD_") && !strings.HasPrefix(e, "LC_") && !strings.HasPrefix(e, "LANG") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME="+dir)
	file, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }() // there may be none left
	err = cmd.Wait()
	out, readErr := os.ReadFile(file.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	if err != nil {
		err = fmt.Errorf("the shell stopped: %w", err)
	}
	return string(out), err
}
