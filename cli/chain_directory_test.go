package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
