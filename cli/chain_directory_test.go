package cli

import (
	"bytes"
	"crypto/ed25519"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// TestDirectoryProblems: what the scripts do not bring about.
func TestDirectoryProblems(t *testing.T) {
	empty, full, stateless := t.TempDir(), t.TempDir(), t.TempDir()
	for _, part := range []string{filepath.Join(full, "chain", "state"), filepath.Join(stateless, "chain", "blocks")} {
		if err := os.MkdirAll(part, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		err         error
		dir         string
		code        string
		exit        int
		words, hint string
	}{
		{replica.ErrReadOnly, empty, "disk-full", exitFailure, "too little room", "make room"},
		{fs.ErrNotExist, empty, "not-found", exitNotFound, "there is no chain", "ward chain import"},
		{&chain.BrokenError{Height: 7, Link: "block is missing"}, full, "integrity", exitIntegrity, "height 7: block is missing", ""},
		// A part of the chain is missing: that is not "there is no chain".
		{fs.ErrNotExist, full, "integrity", exitIntegrity, "file does not exist", "repairs"},
		{fs.ErrNotExist, stateless, "integrity", exitIntegrity, "file does not exist", "repairs"},
		{&replica.DamageError{Path: "state", Reason: "checksum"}, full, "integrity", exitIntegrity, "state is damaged", "repairs"},
		{&seglog.CorruptError{Path: "1.seg", Index: 3}, full, "integrity", exitIntegrity, "record 3 is damaged", "repairs"},
	} {
		p := explain(directoryProblem(fmt.Errorf("verify: %w", c.err), c.dir))
		if p.code != c.code || p.exit != c.exit || !strings.Contains(p.words.in(english), c.words) || !strings.Contains(p.hint.in(english), c.hint) {
			t.Errorf("%v: %s, exit %d: %q, hint %q", c.err, p.code, p.exit, p.words.in(english), p.hint.in(english))
		}
	}
}

// TestOlderFileIsTrustedOnlyIfNamed: members who have left could have made up an export
// that ends before the newest file.
func TestOlderFileIsTrustedOnlyIfNamed(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	first := &chain.Consortium{
		Format: "ward/v1/consortium", Chain: "one.example", Created: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		KeyThreshold: 1, CheckpointThreshold: 1,
		Members: []chain.Member{{Name: "one", NodeKey: chain.PublicKey(ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)),
			URL: "https://one.example", Peer: "one.example:7200"}},
	}
	hash, err := first.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	newest, other := *first, *first
	newest.Epoch, newest.Founding, other.Chain = 1, hash, "other.example"
	old := filepath.Join(elsewhere, "old.json")
	others := filepath.Join(elsewhere, "others.json")
	for path, k := range map[string]*chain.Consortium{old: first, others: &other, filepath.Join(dir, currentFile): &newest} {
		if err := keepFile(path, k); err != nil {
			t.Fatal(err)
		}
	}
	files := func(founding, named string) (*chain.Consortium, *chain.Consortium, error) {
		set := flag.NewFlagSet("", flag.ContinueOnError)
		set.String("founding", founding, "")
		set.String("consortium", named, "")
		return chainFiles(urfave.NewContext(nil, set, nil), dir)
	}
	for named, epoch := range map[string]uint64{"": 1, old: 0} {
		founding, trusted, err := files(old, named)
		if err != nil || founding.Epoch != 0 || trusted.Epoch != epoch {
			t.Errorf("%q: trusts %+v, %v; want epoch %d", named, trusted, err, epoch)
		}
	}
	if _, _, err := files(old, others); err == nil || explain(err).exit != exitIntegrity {
		t.Errorf("another consortium's file: %v", err)
	}
	if _, _, err := files("", ""); err == nil || explain(err).exit != exitNotReady {
		t.Errorf("no founding file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, foundingFile)); err == nil {
		t.Error("the founding file was kept before anything was imported")
	}
}

// TestMissingSidecarsAreSaid: an export may withhold some; they are neither in order
// nor erased.
func TestMissingSidecarsAreSaid(t *testing.T) {
	rep := &replica.Report{Head: chain.Header{Chain: "one.example", Height: 4, Size: 5}, Sidecars: 2, Purged: 1}
	for _, missing := range []uint64{0, 3} {
		var out bytes.Buffer
		s := &session{ui: newUI(&out, io.Discard)}
		rep.Missing = missing
		data := s.sayVerified("node", rep)
		said := strings.Contains(out.String(), "3 sidecars are not here")
		if data.Sidecars != 2 || data.Erased != 1 || data.Missing != missing || said != (missing > 0) {
			t.Errorf("%d missing: %+v\n%s", missing, data, out.String())
		}
	}
}
