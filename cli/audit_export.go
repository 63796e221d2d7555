package cli

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/fhir/auditevent"
)

func (s *session) auditExport() *urfave.Command {
	return &urfave.Command{
		Name: "export", Usage: s.tr("write the audit trail to a file"),
		Description: s.tr(`The chain itself, for ward audit verify, or what happened to one patient's records
for other programs: as CSV, as JSON lines, or as AuditEvents of HL7 FHIR R4.

Examples:
  ward audit export -o chain.export && ward audit verify chain.export
  ward audit export --format csv --owner p-7f3a@north -o trail.csv
  ward audit export --format fhir --owner p-7f3a@north -o trail.json`),
		Flags: s.ownerFlags(s.outputFlag(""), s.forceFlag(), s.historyOwnerFlag(),
			&urfave.StringFlag{Name: "format", EnvVars: []string{"WARD_FORMAT"}, Value: "chain", Usage: s.tr("chain, csv, ndjson or fhir")}),
		Action: s.act(0, auditExport),
	}
}

func auditExport(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	format := c.String("format")
	if format == "chain" {
		if c.String("owner") != "" {
			return nil, usagef("the chain is everybody's").withHint("--format csv, ndjson or fhir exports one patient's trail")
		}
		return chainExport(ctx, s, c)
	}
	if !slices.Contains([]string{"csv", "ndjson", "fhir"}, format) {
		return nil, usagef("flag %s does not take %q", "--format", format).withHint("choose chain, csv, ndjson or fhir")
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
		switch format {
		case "csv":
			write, flush = csvLines(w)
		case "fhir":
			write, flush = fhirEvents(w, u.Consortium().Chain, owner)
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

// fhirEvents returns what writes a line as an AuditEvent, and what ends the Bundle.
func fhirEvents(w io.Writer, chainID string, owner identity.Name) (write func(eventData) error, flush func() error) {
	bundle := auditevent.NewWriter(w, time.Now())
	return func(e eventData) error {
		line := ward.Event{Index: e.Index, Kind: e.Kind, By: e.By, Purpose: e.Purpose, Records: e.Records, Grant: e.Grant}
		if e.Time != nil {
			line.Time = *e.Time
		}
		event, err := auditevent.New(chainID, owner, &line)
		if err != nil {
			return err
		}
		return bundle.Write(event)
	}, bundle.Close
}
