package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
)

func (s *session) chainExport() *urfave.Command {
	return &urfave.Command{
		Name: "export", Usage: s.tr("write the whole chain to a file"),
		Description: s.tr(`The chain is checked as it comes: links, trees, signatures, certificates. The file
appears whole and in order, or not at all.

Examples:
  ward chain export -o chain.export`),
		Flags:  s.userFlags(s.outputFlag(""), s.forceFlag()),
		Action: s.act(0, chainExport),
	}
}

func (s *session) chainCheckpoint() *urfave.Command {
	return &urfave.Command{
		Name: "checkpoint", Usage: s.tr("print the newest certified checkpoint"),
		Description: s.tr(`A signed note as transparency logs have it: keep one, and any later chain must
contain it.

Examples:
  ward chain checkpoint
  ward chain checkpoint -o today.checkpoint`),
		Flags:  s.userFlags(s.outputFlag("-"), s.forceFlag()),
		Action: s.act(0, chainCheckpoint),
	}
}

func chainExport(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	out, err := s.exportTo(c)
	if err != nil {
		return nil, err
	}
	if out == "-" && isTerminal(s.stdout) {
		return nil, binaryOnTerminal()
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if _, err := u.Checkpoint(ctx); err != nil { // follows changes of the consortium, too
		return nil, err
	}
	var v *verification
	var size int64
	for i, n := range u.nodes {
		err = s.saveOrPrint(out, c.Bool("force"), func(w io.Writer) error {
			bar := s.bar("fetching and checking", -1)
			defer bar.done()
			counted := &counter{w: io.MultiWriter(w, bar)}
			v, err = exportChecked(ctx, u.Consortium(), u.Seen(), n.Export, counted)
			size = counted.n
			return err
		})
		if err == nil || out == "-" && size > 0 || ctx.Err() != nil || i == len(u.nodes)-1 || explain(err).exit == exitUsage {
			break
		}
		s.debug("%v", err)
	}
	if errors.Is(err, identity.ErrDenied) {
		return nil, failf(string(identity.ErrDenied), exitDenied, "you may not see the whole chain").withHint("hospitals and their auditors may; `ward audit list` shows what is yours")
	}
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if out != "-" {
		s.say("%s: %d transactions in %d blocks until %s, %s", out, v.Transactions, v.Height, clockTime(v.Time), sizeText(size))
		s.next(s.tr("check it anywhere: `ward audit verify %s --consortium FILE`", out))
	}
	return map[string]any{"path": out, "bytes": size, "chain": v}, nil
}

// exportChecked copies an export, and checks it as it passes. What was seen of the
// chain before must be in it.
func exportChecked(ctx context.Context, k *chain.Consortium, seen chain.TreeHead, export func(context.Context, io.Writer) error, w io.Writer) (*verification, error) {
	r, pipe := io.Pipe()
	exported := make(chan error, 1)
	go func() {
		err := export(ctx, io.MultiWriter(w, pipe))
		pipe.CloseWithError(err) // nil ends the stream
		exported <- err
	}()
	v, err := verifySince(r, k, seen, false)
	r.CloseWithError(err) // what comes after a fault is not written
	if failed := <-exported; err == nil || failed != nil && ctx.Err() != nil {
		err = failed
	}
	return v, err
}

// A counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func chainCheckpoint(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	cp, err := u.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	b, err := cp.Bytes()
	if err != nil {
		return nil, err
	}
	if out := c.String("output"); out != "-" {
		if err := s.writeNew(out, b, 0o644, c.Bool("force")); err != nil {
			return nil, err
		}
		s.say("checkpoint of %d transactions in %d blocks: %s", cp.Size, cp.Height, out)
	} else {
		s.print(string(b))
	}
	return map[string]any{"chain": cp.Chain, "height": cp.Height, "transactions": cp.Size, "note": string(b)}, nil
}
