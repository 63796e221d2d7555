package report

import (
	"fmt"
	"io"
	"slices"
)

// Bar is a goal that Ward sets itself, and what a run found.
type Bar struct {
	Suite    string
	Ratio    Ratio
	Measured bool // false if something that it needs was skipped
}

// verdict says in a word how it stands.
func (b Bar) verdict() string {
	switch {
	case !b.Measured:
		return "not measured"
	case b.Ratio.Met():
		return "yes"
	default:
		return "no"
	}
}

// Bars returns all bars of the run, in the order of the suites.
func (r *Report) Bars() (all []Bar) {
	for _, u := range r.Suites {
		for _, s := range u.Sections {
			for _, ratio := range s.Ratios {
				if ratio.Bar != 0 {
					all = append(all, Bar{u.Name, ratio, len(ratio.Samples) > 0})
				}
			}
		}
		for _, ratio := range u.Unmeasured {
			all = append(all, Bar{u.Name, ratio, false})
		}
	}
	return all
}

// BarTable returns them as a table, and says in a line how many are met.
func (r *Report) BarTable() (summary string, header []string, lines [][]string) {
	count := map[string]int{}
	for _, b := range r.Bars() {
		sign, value := "≤ ", ""
		if b.Ratio.Higher {
			sign = "≥ "
		}
		if b.Measured {
			value = digits(b.Ratio.Summary().Median)
		}
		count[b.verdict()]++
		lines = append(lines, []string{b.Suite, b.Ratio.Name, value, sign + digits(b.Ratio.Bar), b.verdict()})
	}
	summary = fmt.Sprintf("%d of %d bars are met, %d missed, %d not measured in this run.", count["yes"], len(lines), count["no"], count["not measured"])
	return summary, []string{"suite", "figure", "value", "bar", "met"}, lines
}

// WriteBars writes the bars for a terminal, if the run has any.
func (r *Report) WriteBars(w io.Writer) error {
	summary, header, lines := r.BarTable()
	if len(lines) == 0 {
		return nil
	}
	// What is missed comes first: there is little room on a terminal.
	slices.SortStableFunc(lines, func(a, b []string) int { return rank(a[4]) - rank(b[4]) })
	fmt.Fprintf(w, "\n== Bars ==\n%s\n\n", summary)
	return writeColumns(w, header, lines)
}

func rank(verdict string) int { return slices.Index([]string{"no", "not measured", "yes"}, verdict) }
