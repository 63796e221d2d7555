package cli

import (
	"os/exec"
	"testing"
)

// TestCompletionInEveryShell says which shells completions.txtar did not run in.
func TestCompletionInEveryShell(t *testing.T) {
	for shell := range completionScripts {
		if _, err := exec.LookPath(shell); err != nil {
			t.Skipf("%s is not here: its completion was not run", shell)
		}
	}
}
