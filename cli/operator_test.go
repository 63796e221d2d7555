package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ward-health/ward/internal/realserver"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/vault"
)

// quickNode makes a node whose passphrase, "correct horse battery", takes no
// second of work: quick DIR NAME URL PEER.
func quickNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: quick DIR NAME URL PEER")
	}
	dir := ts.MkAbs(args[0])
	card, err := node.Init(node.InitOptions{
		Dir: dir, Member: args[1], URL: args[2], Peer: args[3],
		Passphrase: []byte("correct horse battery"), Vault: vault.Options{WorkFactor: 4},
	})
	ts.Check(err)
	b, err := card.Bytes()
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, cardFile), b, 0o644))
}

// TestOperator runs the scripts of testdata/operator: what the operator of a
// running node does. One node serves a whole script.
func TestOperator(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/operator",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "json": jsonField, "quick": quickNode, "flip": flip, "truncate": truncate},
		Setup: func(env *testscript.Env) error {
			for _, e := range os.Environ() {
				if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "WARD_") || strings.HasPrefix(name, "LC_") || name == "LANG" {
					env.Setenv(name, "")
				}
			}
			env.Setenv("API", realserver.FreeAddresses(t, 1)[0])
			env.Setenv("PEER", realserver.FreeAddresses(t, 1)[0])
			return nil
		},
		RequireUniqueNames: true,
	})
}
