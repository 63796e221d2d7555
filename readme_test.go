package ward_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// around is what a program needs around the README's function: a consortium, and
// three people.
const around = `package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/wallet"
)

func main() {
	ctx := context.Background()
	net, err := devnet.New(ctx, devnet.Options{})
	check(err)
	enrol := func(hospital int, name identity.Name, attributes ...identity.Attribute) *ward.Client {
		w, err := wallet.Generate(net.Consortium().Chain, name)
		check(err)
		c, err := ward.New(ward.Options{Consortium: net.Consortium(), Wallet: w, Nodes: net.Nodes(hospital)})
		check(err)
		key, err := net.Key(hospital)
		check(err)
		check(c.Register(ctx, key, false, attributes...))
		return c
	}
	laboratory, patient := enrol(1, "lab@north", identity.Attribute{Name: identity.Author}), enrol(1, "p-7f3a@north")
	doctor := enrol(0, "dr.lee@east")
	check(share(ctx, laboratory, patient, doctor, strings.NewReader("hemoglobin 13.2 g/dL\n")))
	for e, err := range patient.Find(ctx, ward.Query{Owner: patient.Name()}) {
		check(err)
		_, err = doctor.Get(ctx, e.ID, ward.Purpose{Code: consent.Treatment}, os.Stdout)
		fmt.Println("refused:", errors.Is(err, ward.ErrNoGrant))
	}
	check(net.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
`

// TestReadmeProgram compiles the Go in the README and runs it, so that it stays
// true.
func TestReadmeProgram(t *testing.T) {
	shown := blocks(t, "README.md", "go")
	if len(shown) != 1 {
		t.Fatalf("the README shows %d pieces of Go, want one", len(shown))
	}
	if got := run(t, around+"\n"+shown[0]); got != "hemoglobin 13.2 g/dL\nrefused: true\n" {
		t.Errorf("the README's program says %q", got)
	}
}

// TestTutorialProgram runs the program of the tutorial and compares what it says.
func TestTutorialProgram(t *testing.T) {
	const tutorial = "docs/tutorial/first-shared-record.md"
	program, says := blocks(t, tutorial, "go"), blocks(t, tutorial, "text")
	if len(program) != 1 || len(says) != 1 {
		t.Fatalf("the tutorial shows %d programs and %d outputs, want one of each", len(program), len(says))
	}
	if got := run(t, program[0]); got != says[0] {
		t.Errorf("the tutorial's program says %q, want %q", got, says[0])
	}
}

// TestReadmeShell runs the shell lines of the README, but for the one that fetches
// what is here already.
func TestReadmeShell(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs programs")
	}
	lines := 0
	for _, block := range blocks(t, "README.md", "sh") {
		for line := range strings.Lines(block) {
			if lines++; strings.HasPrefix(line, "git clone") {
				continue
			}
			if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
	}
	if lines != 5 {
		t.Errorf("the README has %d shell lines, want 5", lines)
	}
}

// blocks returns the code blocks of a document in a language.
func blocks(t *testing.T, path, language string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(text, -1) {
		found = append(found, string(m[1]))
	}
	return found
}

// run runs a program and returns what it says. Run from here, it builds against
// this very tree.
func run(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", path).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return string(out)
}

// TestLinksLeadSomewhere follows the relative links of every document.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".tools" { // what others wrote
			return filepath.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), string(m[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
