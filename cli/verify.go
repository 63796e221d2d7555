package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
)

func (s *session) chain() *urfave.Command {
	return &urfave.Command{
		Name:  "chain",
		Usage: s.tr("the log of the consortium"),
		Subcommands: []*urfave.Command{{
			Name:      "verify",
			Usage:     s.tr("check an exported chain, or a stopped node's own, offline: links, trees, signatures, certificates"),
			ArgsUsage: s.tr("FILE"),
			Description: s.tr(`Reads an exported chain from a file, or from stdin if FILE is "-", and names the
first broken link if there is one. Needs nothing but the consortium file.

Without FILE it checks the chain in the directory of a node that does not run, and
what is stored beside it: the state, the indexes, the sidecars. It repairs nothing.

Examples:
  ward chain verify chain.export --consortium consortium.json
  ward chain verify --dir /var/lib/ward`),
			Flags:  []urfave.Flag{s.consortiumFlag(), s.dirFlag(), s.foundingFlag()},
			Action: s.act(1, chainVerify),
		}, s.chainExport(), s.chainImport(), s.chainCheckpoint()},
	}
}

func (s *session) audit() *urfave.Command {
	return &urfave.Command{
		Name:  "audit",
		Usage: s.tr("who did what, and whether it was right"),
		Subcommands: []*urfave.Command{{
			Name:      "verify",
			Usage:     s.tr("check an exported chain offline, and that every result follows from the rules"),
			ArgsUsage: s.tr("FILE"),
			Description: s.tr(`Does what chain verify does, and runs every transaction again under the rules of
this version of Ward: so it finds a false result even if the members certified it
together.

Examples:
  ward audit verify chain.export --consortium consortium.json`),
			Flags:  []urfave.Flag{s.consortiumFlag()},
			Action: s.act(1, verifyAction(true)),
		}, s.auditList(), s.auditExport()},
	}
}

func (s *session) consortiumFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "consortium", EnvVars: []string{"WARD_CONSORTIUM"}, Usage: s.tr("the consortium file that you trust")}
}

func (s *session) foundingFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "founding", EnvVars: []string{"WARD_FOUNDING"}, Usage: s.tr("the founding consortium file, where --consortium is a later one")}
}

// chainVerify verifies an export, or the directory of a node.
func chainVerify(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	path := c.Args().First()
	switch {
	case path == "" && c.String("dir") != "":
		return verifyDirectory(ctx, s, c)
	case path == "":
		return nil, usagef("which file?").withHint("give an exported chain, or - for stdin; or with --dir the directory of a stopped node")
	case isDir(path):
		return nil, usagef("%s is a directory, and no exported chain", path).withHint("`ward chain verify --dir %s` checks a stopped node's", path)
	}
	return verifyAction(false)(ctx, s, c)
}

// verifyAction verifies an export, with the rules or without.
func verifyAction(rules bool) action {
	return func(ctx context.Context, s *session, c *urfave.Context) (any, error) {
		if c.Args().Len() == 0 {
			return nil, usagef("which file?").withHint("give an exported chain, or - for stdin")
		}
		trusted, err := readConsortium(c.String("consortium"))
		if err != nil {
			return nil, err
		}
		if isDir(c.Args().First()) {
			return nil, usagef("%s is a directory, and no exported chain", c.Args().First()).withHint("`ward chain export` makes the file")
		}
		file, size, err := input(ctx, c.Args().First())
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in := within(ctx, file)
		defer in.Close()
		bar := s.bar("checking", size)
		defer bar.done()
		v, err := verifyExport(io.TeeReader(in, bar), trusted, rules)
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		rows := [][]string{}
		for _, c := range v.Calls {
			rows = append(rows, []string{c.Method, fmt.Sprint(c.Done), fmt.Sprint(c.Refused)})
		}
		s.table([]string{"TRANSACTION", "DONE", "REFUSED"}, rows)
		s.say("chain %s: %d transactions in %d blocks until %s", v.Chain, v.Transactions, v.Height, v.Time.Format("2006-01-02 15:04:05 MST"))
		s.say("every signature, link, tree and certificate is in order")
		if rules {
			s.say("every result follows from the rules")
		}
		return v, nil
	}
}

// readConsortium reads the consortium file that somebody trusts.
func readConsortium(path string) (*chain.Consortium, error) {
	if path == "" {
		return nil, usagef("flag %s needs a value", "--consortium").withHint("WARD_CONSORTIUM names the file, too")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k, err := chain.ParseConsortium(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// input opens a file, or stdin for "-". size is −1 if it cannot be told. Opening
// a pipe that nobody writes to ends with ctx.
func input(ctx context.Context, path string) (in io.ReadCloser, size int64, err error) {
	if path == "-" {
		return io.NopCloser(os.Stdin), -1, nil
	}
	f, err := openWithin(ctx, path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}
