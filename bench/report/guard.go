package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/ward-health/ward/bench/measure"
)

// BaselineFormat names the encoding of a Baseline.
const BaselineFormat = "ward/bench-baseline/v1"

// Baseline holds the ratios that later runs are compared with. Times are not
// compared: they belong to a machine.
type Baseline struct {
	Format  string          `json:"format"`
	Machine measure.Machine `json:"machine"`
	Quick   bool            `json:"quick"`
	Ratios  []Guarded       `json:"ratios"`
}

// Guarded is a ratio under the guard.
type Guarded struct {
	Suite  string  `json:"suite"`
	Name   string  `json:"name"`
	Median float64 `json:"median"`
	Higher bool    `json:"higher,omitempty"`
	Margin float64 `json:"margin"`
}

// limit returns the worst value that passes, with so many margins.
func (g Guarded) limit(margins float64) float64 {
	if g.Higher {
		return g.Median / (1 + margins*g.Margin)
	}
	return g.Median * (1 + margins*g.Margin)
}

// NewBaseline takes the ratios that have a margin from a report.
func NewBaseline(r *Report) *Baseline {
	b := &Baseline{Format: BaselineFormat, Machine: r.Machine, Quick: r.Quick}
	for _, u := range r.Suites {
		for _, s := range u.Sections {
			for _, ratio := range s.Ratios {
				if ratio.Margin > 0 {
					b.Ratios = append(b.Ratios, Guarded{u.Name, ratio.Name, ratio.Summary().Median, ratio.Higher, ratio.Margin})
				}
			}
		}
	}
	return b
}

// ParseBaseline reads what Baseline.WriteJSON wrote.
func ParseBaseline(b []byte) (*Baseline, error) {
	var base Baseline
	if err := json.Unmarshal(b, &base); err != nil {
		return nil, fmt.Errorf("read baseline: %w", err)
	}
	if base.Format != BaselineFormat {
		return nil, fmt.Errorf("read baseline: format is %q, not %q", base.Format, BaselineFormat)
	}
	for _, g := range base.Ratios {
		if g.Median <= 0 || g.Margin <= 0 {
			return nil, fmt.Errorf("read baseline: %s/%s has no median or no margin", g.Suite, g.Name)
		}
	}
	return &base, nil
}

// WriteJSON writes the baseline.
func (b *Baseline) WriteJSON(w io.Writer) error {
	text, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return fmt.Errorf("write baseline: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// Verdict is what the guard says of one ratio.
type Verdict struct {
	Guarded
	Now     float64 // 0 if Missing
	Limit   float64
	Missing bool // the run has no such ratio: that fails, for nothing else would show it
	New     bool // the baseline has no such ratio: that passes
}

// OK reports whether the ratio passes.
func (v Verdict) OK() bool {
	switch {
	case v.New:
		return true
	case v.Missing:
		return false
	case v.Higher:
		return v.Now >= v.Limit
	default:
		return v.Now <= v.Limit
	}
}

func (v Verdict) String() string {
	name := v.Suite + ": " + v.Name
	switch {
	case v.New:
		return fmt.Sprintf("new   %s: %s, not in the baseline", name, digits(v.Now))
	case v.Missing:
		return fmt.Sprintf("WORSE %s: not measured in this run", name)
	}
	word, sign := "ok   ", "≤"
	if !v.OK() {
		word = "WORSE"
	}
	if v.Higher {
		sign = "≥"
	}
	return fmt.Sprintf("%s %s: %s, was %s, must be %s %s", word, name, digits(v.Now), digits(v.Median), sign, digits(v.Limit))
}

// Compare holds a report against the baseline, over the suites that ran. It
// returns an error if the two cannot be compared: ratios between pieces of code
// are those of one architecture, and of one length of run. Two models of processor
// differ as well, by less: then each ratio has twice its margin.
func (b *Baseline) Compare(r *Report) ([]Verdict, error) {
	if b.Machine.Arch != r.Machine.Arch {
		return nil, fmt.Errorf("baseline is of %s, this run of %s: make one for it", b.Machine.Arch, r.Machine.Arch)
	}
	if b.Quick != r.Quick {
		return nil, fmt.Errorf("baseline has quick=%v, this run quick=%v", b.Quick, r.Quick)
	}
	margins := 1.0
	if b.Machine.CPU != r.Machine.CPU {
		margins = 2
	}
	now := NewBaseline(r).Ratios
	var verdicts []Verdict
	for _, g := range b.Ratios {
		if !slices.ContainsFunc(r.Suites, func(u *Suite) bool { return u.Name == g.Suite }) {
			continue
		}
		i := slices.IndexFunc(now, func(n Guarded) bool { return n.Suite == g.Suite && n.Name == g.Name })
		v := Verdict{Guarded: g, Limit: g.limit(margins), Missing: i < 0}
		if i >= 0 {
			v.Now = now[i].Median
		}
		verdicts = append(verdicts, v)
	}
	for _, n := range now {
		if !slices.ContainsFunc(b.Ratios, func(g Guarded) bool { return n.Suite == g.Suite && n.Name == g.Name }) {
			verdicts = append(verdicts, Verdict{Guarded: n, Now: n.Median, New: true})
		}
	}
	return verdicts, nil
}

// Merge puts the ratios of a newer baseline into b: those of suites that it
// has replace those of b, and the others stay.
func (b *Baseline) Merge(newer *Baseline) {
	b.Machine, b.Quick = newer.Machine, newer.Quick
	b.Ratios = slices.DeleteFunc(b.Ratios, func(g Guarded) bool {
		return slices.ContainsFunc(newer.Ratios, func(n Guarded) bool { return n.Suite == g.Suite })
	})
	b.Ratios = append(b.Ratios, newer.Ratios...)
}
