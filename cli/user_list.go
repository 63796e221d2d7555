package cli

import (
	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/contract/identity"
)

// listFlag makes a list a stream.
func (s *session) listFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "ndjson", EnvVars: []string{"WARD_NDJSON"}, Usage: s.tr("print one JSON envelope a line, as entries come; an error is the last one")}
}

// A listing shows the entries of a list: for people as rows of a table, for
// programs in one envelope or, with --ndjson, each in one of its own as it comes.
type listing[T any] struct {
	s        *session
	headings []string
	rows     [][]string
	all      []T
}

func newListing[T any](s *session, c *urfave.Context, headings []string) *listing[T] {
	if c.Bool("ndjson") {
		s.json, s.lines = true, true
	}
	return &listing[T]{s: s, headings: headings, all: []T{}}
}

// columns marks the headings of a listing, which are messages.
func columns(headings []string) []string { return headings }

// add adds an entry and its row.
func (l *listing[T]) add(v T, row ...string) {
	if l.s.lines {
		l.s.envelope(envelope{OK: true, Data: v})
		return
	}
	l.all, l.rows = append(l.all, v), append(l.rows, row)
}

// end shows the table, or says that there is nothing, and returns what programs
// get: what there was before an error, too.
func (l *listing[T]) end(err error, nothing string) (any, error) {
	switch {
	case l.s.lines:
		return nil, err
	case len(l.rows) > 0:
		l.s.grid(l.headings, l.rows)
	case err == nil && !l.s.json && !l.s.quiet:
		l.s.print(nothing + "\n")
	}
	return map[string][]T{"entries": l.all}, err
}

// attributeTexts returns attributes as people write them.
func attributeTexts(all []identity.Attribute) []string {
	out := []string{}
	for _, a := range all {
		text := a.Name
		if a.Value != "" {
			text += "=" + a.Value
		}
		if a.Until != 0 {
			text += " (" + atMillis(a.Until).Format("2006-01-02") + ")"
		}
		out = append(out, text)
	}
	return out
}
