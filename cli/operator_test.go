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

// othersFile writes a later consortium file, of which another is the only member:
// others FOUNDING CARD OUT.
func othersFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: others FOUNDING CARD OUT")
	}
	k, err := readConsortium(ts.MkAbs(args[0]))
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	card, err := node.ParseCard(b)
	ts.Check(err)
	k.Founding, err = k.FoundingHash()
	ts.Check(err)
	k.Epoch, k.Members[0].NodeKey = 9, card.NodeKey
	ts.Check(keepFile(ts.MkAbs(args[2]), k))
}

// TestOperator runs the scripts of testdata/operator: what the operator of a
// running node does. The nodes of a script serve all of it.
func TestOperator(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/operator",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "json": jsonField, "quick": quickNode, "others": othersFile, "flip": flip, "truncate": truncate},
		Setup: func(env *testscript.Env) error {
			for _, e := range os.Environ() {
				if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "WARD_") || strings.HasPrefix(name, "LC_") || name == "LANG" {
					env.Setenv(name, "")
				}
			}
			for _, name := range []string{"API", "PEER", "API2", "PEER2", "API3", "PEER3"} {
				env.Setenv(name, realserver.FreeAddresses(t, 1)[0])
			}
			return nil
		},
		RequireUniqueNames: true,
	})
}
