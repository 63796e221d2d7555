package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/vault"
)

func (s *session) chainImport() *urfave.Command {
	return &urfave.Command{
		Name: "import", Usage: s.tr("restore the chain of a stopped node from an export"), ArgsUsage: s.tr("FILE"),
		Description: s.tr(`For a node whose chain is lost and that the others cannot give it, because they lost
theirs too: every transaction runs again under the rules of this version of Ward. The
directory gets the whole chain, or none. What came after the export is gone. Members
that restore are started together: each waits until half of the others answer.

Examples:
  ward chain import chain.export --dir /var/lib/ward
  ward chain import chain.export --dir ./north --consortium consortium.json`),
		Flags:  []urfave.Flag{s.dirFlag(), s.consortiumFlag(), s.foundingFlag()},
		Action: s.act(1, chainImport),
	}
}

// An importData is what programs get of an import.
type importData struct {
	Dir          string    `json:"dir"` // of the node
	Chain        string    `json:"chain"`
	Transactions uint64    `json:"transactions"`
	Height       uint64    `json:"height"`
	Time         time.Time `json:"time"` // of the last block
}

func chainImport(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	path := c.Args().First()
	if path == "" {
		return nil, usagef("which file?").withHint("give an exported chain, or - for stdin")
	}
	if isDir(path) {
		return nil, usagef("%s is a directory, and no exported chain", path).withHint("`ward chain export` makes the file")
	}
	dir, err := stoppedNode(c)
	if err != nil {
		return nil, err
	}
	founding, trusted, err := chainFiles(c, dir)
	if err != nil {
		return nil, err
	}
	file, size, err := input(ctx, path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := within(ctx, file)
	defer in.Close()
	bar := s.bar("importing", size)
	defer bar.done()
	head, err := node.ImportChain(dir, io.TeeReader(in, bar), trusted)
	if errors.Is(err, chain.ErrUncertified) {
		p := &problem{code: "integrity", exit: exitIntegrity, words: plain(err)}
		return nil, p.withHint("an export from before the newest consortium file needs the one of its time: --consortium FILE")
	}
	if err != nil {
		return nil, directoryProblem(err, dir)
	}
	// Only now: another consortium's file would keep the node from starting.
	if err := keepFile(filepath.Join(dir, foundingFile), founding); err != nil {
		return nil, err
	}
	at := time.UnixMilli(head.Time).UTC()
	s.sayChain(head, at)
	s.say("it was imported into %s", dir)
	s.next(s.tr("start all members that restore together, with `ward node run --dir %s`: each waits until half of the others answer", dir))
	return importData{dir, head.Chain, head.Size, head.Height, at}, nil
}

// A directoryData is what programs get of a check of a node's own chain.
type directoryData struct {
	Dir          string    `json:"dir"` // of the node
	Chain        string    `json:"chain"`
	Verified     bool      `json:"verified"` // all that is in the directory
	Transactions uint64    `json:"transactions"`
	Height       uint64    `json:"height"`
	Time         time.Time `json:"time"`      // of the last block
	Certified    uint64    `json:"certified"` // height of the newest checkpoint that counts; 0 for none
	Sidecars     uint64    `json:"sidecars"`
	Erased       uint64    `json:"erased"`  // sidecars
	Missing      uint64    `json:"missing"` // sidecars that no block erased
}

// verifyDirectory checks the chain of a node that does not run.
func verifyDirectory(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	dir, err := stoppedNode(c)
	if err != nil {
		return nil, err
	}
	founding, trusted, err := chainFiles(c, dir)
	if err != nil {
		return nil, err
	}
	var bar *bar
	rep, err := node.VerifyChain(ctx, dir, founding, trusted, func(checked, all int64) {
		if bar == nil {
			bar = s.bar("checking", all)
		}
		_ = bar.Set64(checked)
	})
	if bar != nil {
		bar.done()
	}
	if err != nil {
		return nil, directoryProblem(err, dir)
	}
	return s.sayVerified(dir, rep), nil
}

// sayVerified says what is in order in the directory of a node.
func (s *session) sayVerified(dir string, rep *replica.Report) directoryData {
	data := directoryData{
		Dir: dir, Chain: rep.Head.Chain, Verified: true, Transactions: rep.Head.Size, Height: rep.Head.Height,
		Time: time.UnixMilli(rep.Head.Time).UTC(), Sidecars: rep.Sidecars, Erased: rep.Purged, Missing: rep.Missing,
	}
	s.sayChain(&rep.Head, data.Time)
	s.say("every block, the state, every index and %d sidecars are in order", data.Sidecars)
	if data.Missing > 0 {
		s.say("%d sidecars are not here: the node asks the others for them while it runs", data.Missing)
	}
	if rep.Certified != nil {
		data.Certified = rep.Certified.Height
		s.say("the newest checkpoint on disk certifies block %d", data.Certified)
	} else {
		s.say("there is no checkpoint on disk that members of the consortium file certify")
	}
	return data
}

func (s *session) sayChain(head *chain.Header, at time.Time) {
	s.say("chain %s: %d transactions in %d blocks until %s", head.Chain, head.Size, head.Height, at.Format("2006-01-02 15:04:05 MST"))
}

func isDir(path string) bool {
	at, err := os.Stat(path)
	return err == nil && at.IsDir()
}

// stoppedNode returns the directory of the node that a command is about, if none runs
// there: that is the first thing to say.
func stoppedNode(c *urfave.Context) (string, error) {
	dir, err := nodeDir(c)
	if err != nil {
		return "", err
	}
	if !vault.Exists(filepath.Join(dir, "vault")) {
		return "", noNode(dir)
	}
	lock, err := durable.LockDir(dir)
	if err == nil {
		err = lock.Unlock()
	}
	return dir, directoryProblem(err, dir)
}

// chainFiles returns the founding file, and the one to trust: what the person named,
// else the newest one that the node has.
func chainFiles(c *urfave.Context, dir string) (founding, trusted *chain.Consortium, err error) {
	named := c.String("consortium")
	if founding, trusted, err = findConsortium(dir, c.String("founding"), named); err != nil || named == "" {
		return founding, trusted, err
	}
	trusted, err = readConsortium(named)
	return founding, trusted, err
}

// directoryProblem says what is wrong with a node's directory, or with what was to
// come into it.
func directoryProblem(err error, dir string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, durable.ErrLocked):
		return failf("in-use", exitFailure, "another process has the directory open").withHint("`ward node stop --dir %s` stops the node", dir)
	case errors.Is(err, replica.ErrImporting):
		return failf("importing", exitNotReady, "there is no chain in %s: an import was cut off", dir).withHint("begin it again: `ward chain import FILE --dir %s`", dir)
	case errors.Is(err, fs.ErrExist):
		return failf("exists", exitFailure, "there is a chain in %s already", dir).withHint("`ward chain verify --dir %s` checks it; to replace it all the same, move %s away first", dir, filepath.Join(dir, "chain"))
	case errors.Is(err, replica.ErrReadOnly):
		return failf("disk-full", exitFailure, "the disk has too little room").withHint("nothing was imported; make room, and import again")
	case errors.Is(err, audit.ErrConsortium):
		return failf("integrity", exitIntegrity, "the chain is of another consortium").withHint("this node was founded with %s", filepath.Join(dir, foundingFile))
	case errors.Is(err, fs.ErrNotExist) && (isDir(filepath.Join(dir, "chain", "state")) || isDir(filepath.Join(dir, "chain", "blocks"))):
		return damaged(err) // part of the chain is missing
	case errors.Is(err, fs.ErrNotExist):
		return failf("not-found", exitNotFound, "there is no chain in %s", dir).withHint("the others give it one when it runs; if they lost theirs too: `ward chain import FILE --dir %s`", dir)
	}
	return err
}
