package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	urfave "github.com/urfave/cli/v2"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ward": func() { os.Exit(mainOf(quickly)) }})
}

// quickly is what the tests' program can do: all that Ward can, with passphrases
// that take no second of work. TestPassphrasesAreDear is about Ward's own.
func quickly(s *session) []*urfave.Command {
	s.work = 4
	return s.commands()
}

// TestScripts runs the scripts of testdata: each is one behaviour of the command
// line, as a person or a program meets it.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scripts("testdata"))
}

// scripts returns how the scripts of a folder are run.
func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"holds": holds,
			"flip":  flip, "truncate": truncate,
			"json":  jsonField,
			"quick": quickNode,
		},
		Condition: func(cond string) (bool, error) { return cond == "long" && !testing.Short(), nil },
		Setup: func(env *testscript.Env) error {
			for _, e := range os.Environ() {
				if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "WARD_") || strings.HasPrefix(name, "LC_") || name == "LANG" {
					env.Setenv(name, "")
				}
			}
			return nil
		},
		RequireUniqueNames: true,
	}
}

// exits runs a command and checks its exit code: exits 2 ward nonsense.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENTS]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// jsonField checks that stdout is one envelope, and what a field of it is: json
// error.code usage. With ! it checks that the field is not there.
func jsonField(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: json FIELD [VALUE]")
	}
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		ts.Fatalf("stdout is no JSON: %v", err)
	}
	if d.More() {
		ts.Fatalf("there is more on stdout than one envelope")
	}
	for _, key := range strings.Split(args[0], ".") {
		if list, ok := v.([]any); ok {
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(list) {
				v = nil
			} else {
				v = list[i]
			}
			continue
		}
		m, _ := v.(map[string]any)
		v = m[key]
	}
	if neg {
		if v != nil {
			ts.Fatalf("%s is %v, want none", args[0], v)
		}
		return
	}
	if v == nil {
		ts.Fatalf("there is no %s", args[0])
	}
	if len(args) > 1 {
		if got, want := fmt.Sprint(v), strings.Join(args[1:], " "); got != want {
			ts.Fatalf("%s is %s, want %s", args[0], got, want)
		}
	}
}

// flip changes one bit in the middle of a file: flip FILE.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	rewrite(ts, args, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
}

// truncate keeps the first half of a file: truncate FILE.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	rewrite(ts, args, func(b []byte) []byte { return b[:len(b)/2] })
}

// rewrite changes a file.
func rewrite(ts *testscript.TestScript, args []string, change func([]byte) []byte) {
	if len(args) != 1 {
		ts.Fatalf("usage: flip FILE, or truncate FILE")
	}
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), change(b), 0o600))
}

// holds searches all files below a folder for a text: ! holds FOLDER TEXT.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: holds FOLDER TEXT")
	}
	found := ""
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(args[1])) || strings.Contains(d.Name(), args[1]) {
			found = path
		}
		return err
	}))
	if (found == "") != neg {
		ts.Fatalf("%q in %s: %q", args[1], args[0], found)
	}
}
