package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ward-health/ward/bench/measure"
)

// Table returns the section as a table: one line for each operation, value of
// the parameter and system; one column for each quantity, as median and median
// deviation; and the first quantity divided by that of the base system.
func (s *Section) Table() (header []string, lines [][]string) {
	type key struct {
		operation string
		at        float64
		system    string
	}
	var keys []key
	seen := map[key]bool{}
	for _, r := range s.Rows {
		k := key{r.Operation, r.At, r.System}
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	quantities := s.Quantities()
	header = []string{"operation"}
	if s.Param != "" {
		header = append(header, s.Param)
	}
	header = append(append(header, "system"), quantities...)
	compared := s.Base != "" && len(s.Systems()) > 1 && len(quantities) > 0
	if compared {
		header = append(header, "÷ "+s.Base)
	}
	for _, k := range keys {
		line := []string{k.operation}
		if s.Param != "" {
			line = append(line, count(k.at))
		}
		line = append(line, k.system)
		for _, q := range quantities {
			line = append(line, cell(s.Find(k.operation, k.system, k.at, q)))
		}
		if compared {
			own, base := s.Find(k.operation, k.system, k.at, quantities[0]), s.Find(k.operation, s.Base, k.at, quantities[0])
			quotient := ""
			if own != nil && base != nil && k.system != s.Base {
				if d := measure.Divide(own.Samples, base.Samples); d != nil {
					quotient = digits(measure.Summarize(d).Median)
				}
			}
			line = append(line, quotient)
		}
		lines = append(lines, line)
	}
	return header, lines
}

// count writes a value of a parameter, which is whole more often than not.
func count(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func cell(r *Row) string {
	if r == nil {
		return ""
	}
	m := r.Summary()
	text := FormatValue(m.Median, r.Unit)
	if m.Median != 0 && m.N > 1 && m.MAD > 0 {
		places := 0
		if spread := 100 * m.MAD / m.Median; spread < 10 {
			places = 1
		}
		text += fmt.Sprintf(" ± %.*f %%", places, 100*m.MAD/m.Median)
	}
	return text
}

// RatioTable returns the section's ratios as a table.
func (s *Section) RatioTable() (header []string, lines [][]string) {
	header = []string{"ratio", "what it says", "median", "quartiles", "bar"}
	for _, r := range s.Ratios {
		m := r.Summary()
		bar := ""
		if r.Bar != 0 {
			sign, verdict := "≤", "met"
			if r.Higher {
				sign = "≥"
			}
			if !r.Met() {
				verdict = "missed"
			}
			bar = fmt.Sprintf("%s %s, %s", sign, digits(r.Bar), verdict)
		}
		lines = append(lines, []string{r.Name, r.Text, digits(m.Median), digits(m.Q1) + "–" + digits(m.Q3), bar})
	}
	return header, lines
}

// WriteText writes the suite for a terminal.
func (u *Suite) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "\n== %s ==\n%s\n", u.Title, u.Text)
	for _, s := range u.Sections {
		fmt.Fprintf(w, "\n-- %s\n", s.Title)
		if s.Text != "" {
			fmt.Fprintln(w, s.Text)
		}
		header, lines := s.Table()
		if err := writeColumns(w, header, lines); err != nil {
			return err
		}
		if len(s.Ratios) > 0 {
			fmt.Fprintln(w)
			header, lines := s.RatioTable()
			if err := writeColumns(w, header, lines); err != nil {
				return err
			}
		}
	}
	for _, skip := range u.Skipped {
		fmt.Fprintf(w, "\nnot measured: %s: %s\n", skip.System, skip.Why)
	}
	if u.Failed != "" {
		fmt.Fprintf(w, "\nthe suite ended early: %s\n", u.Failed)
	}
	_, err := fmt.Fprintf(w, "\n(%.1f s; %s)\n", u.Seconds, u.Pinned)
	return err
}

func writeColumns(w io.Writer, header []string, lines [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, line := range lines {
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	return t.Flush()
}

// WriteCSV writes one line for each row and each ratio, and then, as rows of a
// suite called "run", what else there is to say of it: its machine, its seed, and
// the versions of what was measured.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	line := func(fields ...string) { out.Write(fields) } // the error is Flush's
	line("suite", "section", "operation", "system", "parameter", "at", "quantity", "unit", "median", "mad", "q1", "q3", "min", "max", "rounds")
	figures := func(samples []float64) []string {
		m := measure.Summarize(samples)
		var out []string
		for _, v := range []float64{m.Median, m.MAD, m.Q1, m.Q3, m.Min, m.Max} {
			out = append(out, strconv.FormatFloat(v, 'g', -1, 64))
		}
		return append(out, strconv.Itoa(m.N))
	}
	for _, u := range r.Suites {
		for _, s := range u.Sections {
			for _, row := range s.Rows {
				at := ""
				if s.Param != "" {
					at = count(row.At)
				}
				line(append([]string{u.Name, s.Name, row.Operation, row.System, s.Param, at, row.Quantity, row.Unit}, figures(row.Samples)...)...)
			}
			for _, ratio := range s.Ratios {
				line(append([]string{u.Name, s.Name, ratio.Name, "", "", "", "ratio", ""}, figures(ratio.Samples)...)...)
			}
		}
	}
	said := func(section, name, value string) {
		line(append([]string{"run", section, name, value}, make([]string, 11)...)...)
	}
	m := r.Machine
	said("run", "started", r.Started.UTC().Format(time.RFC3339))
	said("run", "seconds", strconv.FormatFloat(r.Seconds, 'f', 0, 64))
	said("run", "quick", strconv.FormatBool(r.Quick))
	said("run", "seed", strconv.FormatUint(r.Seed, 10))
	said("machine", "cpu", m.CPU)
	said("machine", "cpus", strconv.Itoa(m.CPUs))
	said("machine", "memory_mib", strconv.Itoa(m.MemoryMiB))
	said("machine", "system", m.OS+"/"+m.Arch+" "+m.Kernel)
	said("machine", "load", m.Load)
	said("machine", "go", m.Go)
	for _, v := range r.Versions {
		said("version", v.Name, v.Version)
	}
	out.Flush()
	return out.Error()
}
