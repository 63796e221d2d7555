// Package report holds what a run of the benchmarks found and writes it down:
// as text, CSV, JSON, a page with pictures, and the chapter in docs. It also
// holds the guard, which compares two runs by their ratios.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ward-health/ward/bench/measure"
)

// Format names the encoding of a Report in JSON.
const Format = "ward/bench/v1"

// Report is everything that one run found.
type Report struct {
	Format   string          `json:"format"`
	Started  time.Time       `json:"started"`
	Seconds  float64         `json:"seconds"` // how long the run took
	Quick    bool            `json:"quick"`
	Seed     uint64          `json:"seed"`
	Machine  measure.Machine `json:"machine"`
	Versions []Version       `json:"versions"`
	Suites   []*Suite        `json:"suites"`
}

// Version says what was measured: Ward, or a peer.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Licence string `json:"licence"`
	Note    string `json:"note,omitempty"` // how it was run
}

// Suite is the part of a report about one subject.
type Suite struct {
	Name     string     `json:"name"`
	Title    string     `json:"title"`
	Text     string     `json:"text"` // what is compared, and what is not
	Seconds  float64    `json:"seconds"`
	Pinned   string     `json:"pinned"` // to which processor, or why to none
	Sections []*Section `json:"sections"`
	Skipped  []Skip     `json:"skipped,omitempty"`
	// Unmeasured are ratios with a bar and without samples: something that they
	// need was skipped.
	Unmeasured []Ratio `json:"unmeasured,omitempty"`
	Failed     string  `json:"failed,omitempty"` // the error that ended the suite, or parts of it
}

// Skip says that a system could not be measured.
type Skip struct {
	System string `json:"system"`
	Why    string `json:"why"`
}

// Section is one table, with its picture and its ratios.
type Section struct {
	Name   string  `json:"name"` // unique in the suite; part of links
	Title  string  `json:"title"`
	Text   string  `json:"text,omitempty"`
	Param  string  `json:"param,omitempty"` // what Row.At counts; "" if nothing grows
	Base   string  `json:"base,omitempty"`  // the system that others are divided by
	Chart  Chart   `json:"chart"`
	Rows   []Row   `json:"rows"`
	Ratios []Ratio `json:"ratios,omitempty"`
}

// Chart says how to draw a section.
type Chart struct {
	// Kind is "lines" (over Param), "dots" (one for each row), "stack" (one bar
	// for each system, its operations on top of each other) or "" for none.
	Kind     string `json:"kind,omitempty"`
	Quantity string `json:"quantity,omitempty"` // the rows' that is drawn
	LogX     bool   `json:"log_x,omitempty"`
	LogY     bool   `json:"log_y,omitempty"` // of lines
}

// Row is one quantity of one operation of one system, with a sample for each
// round.
type Row struct {
	Operation string    `json:"operation"`
	System    string    `json:"system"`
	At        float64   `json:"at,omitempty"` // the value of Section.Param
	Quantity  string    `json:"quantity"`     // such as "cpu", "wall", "size"
	Unit      string    `json:"unit"`         // "s", "B", "1/s", "B/s" or ""
	Samples   []float64 `json:"samples"`
}

// Summary returns the median and the spread of the row.
func (r Row) Summary() measure.Summary { return measure.Summarize(r.Samples) }

// Ratio is a result: two rows of one run, divided round by round.
type Ratio struct {
	Name    string    `json:"name"` // unique in the suite, such as "encrypt/ward/umbral"
	Text    string    `json:"text"` // what it says, for readers
	Samples []float64 `json:"samples"`
	// Higher is set if more is better. Otherwise less is: the ratio is of costs.
	Higher bool `json:"higher,omitempty"`
	// Bar, unless 0, is what Ward sets itself as a goal.
	Bar float64 `json:"bar,omitempty"`
	// Margin, unless 0, puts the ratio under the guard: how much worse, as a
	// part of the baseline's, it may be before the guard fails.
	Margin float64 `json:"margin,omitempty"`
}

// Summary returns the median and the spread of the ratio.
func (r Ratio) Summary() measure.Summary { return measure.Summarize(r.Samples) }

// Met reports whether the ratio reaches its bar, if it has one.
func (r Ratio) Met() bool {
	if r.Bar == 0 {
		return true
	}
	if r.Higher {
		return r.Summary().Median >= r.Bar
	}
	return r.Summary().Median <= r.Bar
}

// Find returns the row with these properties, or nil.
func (s *Section) Find(operation, system string, at float64, quantity string) *Row {
	for i := range s.Rows {
		r := &s.Rows[i]
		if r.Operation == operation && r.System == system && r.At == at && r.Quantity == quantity {
			return r
		}
	}
	return nil
}

// Systems returns the systems of the section, in the order of their first rows.
func (s *Section) Systems() []string {
	return s.distinct(func(r Row) string { return r.System })
}

// Quantities returns the quantities of the section, likewise.
func (s *Section) Quantities() []string {
	return s.distinct(func(r Row) string { return r.Quantity })
}

// Operations returns the operations of the section, likewise.
func (s *Section) Operations() []string {
	return s.distinct(func(r Row) string { return r.Operation })
}

func (s *Section) distinct(of func(Row) string) (all []string) {
	for _, r := range s.Rows {
		if v := of(r); !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// Parse reads what WriteJSON wrote.
func Parse(b []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("read report: format is %q, not %q", r.Format, Format)
	}
	for _, suite := range r.Suites {
		if suite == nil || slices.Contains(suite.Sections, nil) {
			return nil, errors.New("read report: an entry is missing")
		}
	}
	return &r, nil
}

// WriteJSON writes the whole report, every sample included.
func (r *Report) WriteJSON(w io.Writer) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
