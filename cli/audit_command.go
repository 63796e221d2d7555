package cli

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

func (s *session) auditList() *urfave.Command {
	return &urfave.Command{
		Name: "list", Usage: s.tr("list what happened to a patient's records and grants"),
		Description: s.tr(`Oldest first. Every line with a number is proved by a receipt of the chain.

Examples:
  ward audit list
  ward audit list --owner p-7f3a@north --as auditor@north --ndjson`),
		Flags:  s.userFlags(s.listFlag(), s.historyOwnerFlag()),
		Action: s.act(0, auditList),
	}
}

func (s *session) auditExport() *urfave.Command {
	return &urfave.Command{
		Name: "export", Usage: s.tr("write the audit trail to a file"),
		Description: s.tr(`The chain itself, for ward audit verify, or what happened to one patient's records
as CSV or JSON lines, for other programs.

Examples:
  ward audit export -o chain.export && ward audit verify chain.export
  ward audit export --format csv --owner p-7f3a@north -o trail.csv`),
		Flags: s.userFlags(s.outputFlag(""), s.forceFlag(), s.historyOwnerFlag(),
			&urfave.StringFlag{Name: "format", EnvVars: []string{"WARD_FORMAT"}, Value: "chain", Usage: s.tr("chain, csv or ndjson")}),
		Action: s.act(0, auditExport),
	}
}

func (s *session) historyOwnerFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "owner", EnvVars: []string{"WARD_OWNER"}, Usage: s.tr("whose records; else yours")}
}

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

// An eventData is what programs get of a line of the trail.
type eventData struct {
	Index   uint64          `json:"index,omitempty"`
	Time    *time.Time      `json:"time,omitempty"`
	Kind    string          `json:"kind"`
	By      identity.Name   `json:"by"`
	Purpose consent.Purpose `json:"purpose,omitempty"`
	Records []record.ID     `json:"records,omitempty"`
	Grant   consent.GrantID `json:"grant,omitempty"`
}

func eventOf(e *ward.Event) eventData {
	return eventData{Index: e.Index, Time: pointer(e.Time), Kind: e.Kind, By: e.By, Purpose: e.Purpose, Records: e.Records, Grant: e.Grant}
}

// kindText is what happened, as people read it.
func (s *session) kindText(kind string) string {
	switch kind {
	case "put":
		return s.tr("record put")
	case "erase":
		return s.tr("record erased")
	case "grant":
		return s.tr("grant made")
	case "revoke":
		return s.tr("grant ended")
	case "access":
		return s.tr("read")
	case "emergency":
		return s.tr("emergency read")
	case "review":
		return s.tr("emergency reviewed")
	case "request":
		return s.tr("asked for a grant")
	}
	return kind
}

// historyOf opens the session and says whose trail it is.
func (s *session) historyOf(ctx context.Context, c *urfave.Context) (*user, identity.Name, error) {
	owner := identity.Name("")
	if v := c.String("owner"); v != "" {
		var err error
		if owner, err = parseName(v); err != nil {
			return nil, "", err
		}
	}
	u, err := s.open(ctx, c)
	if err == nil && owner == "" {
		owner = u.Name()
	}
	return u, owner, err
}

// trail yields what happened, oldest first: all of it to the owner, the accesses
// alone to somebody who may see no more.
func (s *session) trail(ctx context.Context, u *user, owner identity.Name) iter.Seq2[eventData, error] {
	return func(yield func(eventData, error) bool) {
		denied := false
		for e, err := range u.History(ctx, owner) {
			if denied = owner != u.Name() && errors.Is(err, record.ErrDenied); denied {
				break
			}
			if err != nil {
				yield(eventData{}, err)
				return
			}
			if !yield(eventOf(e), nil) {
				return
			}
		}
		if !denied {
			return
		}
		s.next(s.tr("you may see the accesses only"))
		for a, err := range u.Accesses(ctx, consent.Accesses{Owner: owner}) {
			if err != nil {
				yield(eventData{}, err)
				return
			}
			e := eventData{Index: a.Index, Time: pointer(atMillis(a.Time)), Kind: "access", By: a.Reader, Purpose: a.Purpose, Records: a.Records, Grant: a.Grant}
			if a.Emergency {
				e.Kind = "emergency"
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func auditList(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	l := newListing[eventData](s, c, columns([]string{"NUMBER", "TIME", "WHAT", "BY", "PURPOSE", "RECORDS", "GRANT"}))
	u, owner, err := s.historyOf(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	for e, err := range s.trail(ctx, u, owner) {
		if err != nil {
			return l.end(err, "")
		}
		number, records := "", ""
		if e.Index != 0 {
			number = fmt.Sprint(e.Index)
		}
		switch n := len(e.Records); n {
		case 0:
		case 1:
			records = string(e.Records[0])
		default:
			records = fmt.Sprint(n)
		}
		at := ""
		if e.Time != nil {
			at = clockTime(*e.Time)
		}
		l.add(e, number, at, s.kindText(e.Kind), string(e.By), string(e.Purpose), records, string(e.Grant))
	}
	return l.end(nil, s.tr("nothing happened yet"))
}

func auditExport(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	format := c.String("format")
	if format == "chain" {
		if c.String("owner") != "" {
			return nil, usagef("the chain is everybody's").withHint("--format csv or ndjson exports one patient's trail")
		}
		return chainExport(ctx, s, c)
	}
	if format != "csv" && format != "ndjson" {
		return nil, usagef("flag %s does not take %q", "--format", format).withHint("choose chain, csv or ndjson")
	}
	out, err := s.exportTo(c)
	if err != nil {
		return nil, err
	}
	u, owner, err := s.historyOf(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	lines := 0
	err = s.saveOrPrint(out, c.Bool("force"), func(w io.Writer) error {
		write, flush := jsonLines(w)
		if format == "csv" {
			write, flush = csvLines(w)
		}
		for e, err := range s.trail(ctx, u, owner) {
			if err != nil {
				return err
			}
			if err := write(e); err != nil {
				return err
			}
			lines++
		}
		return flush()
	})
	if err != nil {
		return nil, err
	}
	if out != "-" {
		s.say("%s: %d lines", out, lines)
	}
	return map[string]any{"path": out, "lines": lines}, nil
}

// jsonLines and csvLines return what writes a line, and what ends the file.
func jsonLines(w io.Writer) (write func(eventData) error, flush func() error) {
	enc := json.NewEncoder(w)
	return func(e eventData) error { return enc.Encode(e) }, func() error { return nil }
}

func csvLines(w io.Writer) (write func(eventData) error, flush func() error) {
	sheet := csv.NewWriter(w)
	_ = sheet.Write([]string{"index", "time", "kind", "by", "purpose", "records", "grant"}) // flush says
	return func(e eventData) error { return sheet.Write(csvRow(e)) }, func() error {
		sheet.Flush()
		return sheet.Error()
	}
}

// csvRow returns a line for spreadsheets. No cell can begin a formula: ids, names
// and codes begin with letters or digits.
func csvRow(e eventData) []string {
	number, at := "", ""
	if e.Index != 0 {
		number = fmt.Sprint(e.Index)
	}
	if e.Time != nil {
		at = e.Time.Format(time.RFC3339Nano)
	}
	var ids []string
	for _, id := range e.Records {
		ids = append(ids, string(id))
	}
	return []string{number, at, e.Kind, string(e.By), string(e.Purpose), strings.Join(ids, " "), string(e.Grant)}
}

// exportTo returns where the command line wants a file.
func (s *session) exportTo(c *urfave.Context) (string, error) {
	out := c.String("output")
	if out == "" {
		return "", usagef("where to?").withHint("--output FILE, or - for stdout")
	}
	if out == "-" && s.json {
		return "", usagef("stdout cannot hold a file and JSON both").withHint("name a file with --output, or leave out --json")
	}
	return out, nil
}

func (s *session) saveOrPrint(out string, force bool, fill func(io.Writer) error) error {
	if out == "-" {
		return fill(s.stdout)
	}
	return s.saveFile(out, force, fill)
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
			v, err = exportChecked(ctx, u.Consortium(), n.Export, counted)
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

// exportChecked copies an export, and checks it as it passes.
func exportChecked(ctx context.Context, k *chain.Consortium, export func(context.Context, io.Writer) error, w io.Writer) (*verification, error) {
	r, pipe := io.Pipe()
	exported := make(chan error, 1)
	go func() {
		err := export(ctx, io.MultiWriter(w, pipe))
		pipe.CloseWithError(err) // nil ends the stream
		exported <- err
	}()
	v, err := verifyExport(r, k, false)
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
