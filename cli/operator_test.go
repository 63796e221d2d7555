package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestOperator runs the scripts of testdata/operator: what the operator of a
// running node does. One node serves a whole script.
func TestOperator(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/operator",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "json": jsonField},
		Setup: func(env *testscript.Env) error {
			for _, e := range os.Environ() {
				if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "WARD_") || strings.HasPrefix(name, "LC_") || name == "LANG" {
					env.Setenv(name, "")
				}
			}
			env.Setenv("API", freeAddress(t))
			env.Setenv("PEER", freeAddress(t))
			return nil
		},
		RequireUniqueNames: true,
	})
}
