package cli

import (
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// completionFlag is how shells ask what could come next, as urfave/cli's scripts
// do: `ward demo --generate-bash-completion`.
const completionFlag = "--generate-bash-completion"

// complete writes, one a line, what could follow the words typed so far. If the
// last one begins with a dash it is a flag half typed. It never fails: a shell
// that asks has nothing to do with an error. (urfave/cli's own panics on a flag
// half typed.)
func complete(words []string, w io.Writer, commands func(*session) []*urfave.Command) (exit int) {
	defer func() { _ = recover() }()
	s := &session{ui: newUI(io.Discard, io.Discard), offer: commands}
	app := s.app()
	partial := ""
	if n := len(words); n > 0 && strings.HasPrefix(words[n-1], "-") {
		words, partial = words[:n-1], words[n-1]
	}
	line, _ := arrange(app, words)
	if partial == "" && len(line.operands) == 0 {
		for _, c := range line.commands() {
			if !c.Hidden {
				fmt.Fprintln(w, c.Name)
			}
		}
	}
	if partial != "" || len(line.commands()) == 0 {
		for level := len(line.path); level >= 0; level-- {
			completeFlags(w, line.flagsAt(level), partial)
		}
	}
	return exitOK
}

func completeFlags(w io.Writer, flags []urfave.Flag, partial string) {
	for _, f := range flags {
		for _, n := range f.Names() {
			if d := dashed(n); len(n) > 1 && strings.HasPrefix(d, partial) {
				fmt.Fprintln(w, d)
			}
		}
	}
}
