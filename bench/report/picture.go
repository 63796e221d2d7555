package report

import (
	"slices"

	"github.com/ward-health/ward/bench/plot"
)

// Picture returns the section as SVG, or "" if it has none.
func (s *Section) Picture() string {
	quantity := s.Chart.Quantity
	if quantity == "" && len(s.Rows) > 0 {
		quantity = s.Rows[0].Quantity
	}
	unit := ""
	for _, r := range s.Rows {
		if r.Quantity == quantity {
			unit = r.Unit
			break
		}
	}
	axes := plot.Axes{
		Title: s.Title, X: s.Param, Y: quantity, LogX: s.Chart.LogX, LogY: s.Chart.LogY,
		Format: func(v float64) string { return FormatValue(v, unit) },
	}
	switch s.Chart.Kind {
	case "lines":
		return plot.Lines(s.lines(quantity), axes)
	case "dots":
		return plot.Dots(s.groups(quantity), s.Systems(), axes)
	case "stack":
		return plot.Stack(s.bars(quantity), s.Operations(), axes)
	}
	return ""
}

func point(r Row) plot.Point {
	m := r.Summary()
	return plot.Point{X: r.At, Y: m.Median, Low: m.Q1, High: m.Q3}
}

// lines makes a series of each system and operation: the system is the colour
// and the operation the dash, unless there is only one system.
func (s *Section) lines(quantity string) (all []plot.Series) {
	systems, operations := s.Systems(), s.Operations()
	at := map[string]int{}
	for _, r := range s.Rows {
		if r.Quantity != quantity {
			continue
		}
		name := r.System + ": " + r.Operation
		if len(operations) == 1 {
			name = r.System
		}
		i, ok := at[name]
		if !ok {
			i = len(all)
			at[name] = i
			line := plot.Series{Name: name, Colour: slices.Index(systems, r.System), Dash: slices.Index(operations, r.Operation)}
			if len(systems) == 1 {
				line.Colour, line.Dash = line.Dash, 0
			}
			all = append(all, line)
		}
		all[i].Points = append(all[i].Points, point(r))
	}
	return all
}

// groups makes a group of each operation and value of the parameter.
func (s *Section) groups(quantity string) (all []plot.Group) {
	at := map[string]int{}
	for _, r := range s.Rows {
		if r.Quantity != quantity {
			continue
		}
		name := r.Operation
		if s.Param != "" {
			name += ", " + count(r.At) + " " + s.Param
		}
		i, ok := at[name]
		if !ok {
			i = len(all)
			at[name] = i
			all = append(all, plot.Group{Name: name, Points: map[string]plot.Point{}})
		}
		all[i].Points[r.System] = point(r)
	}
	return all
}

func (s *Section) bars(quantity string) (all []plot.Bar) {
	for _, system := range s.Systems() {
		b := plot.Bar{Name: system}
		for _, operation := range s.Operations() {
			var v float64
			for _, r := range s.Rows {
				if r.System == system && r.Operation == operation && r.Quantity == quantity {
					v += r.Summary().Median
				}
			}
			b.Parts = append(b.Parts, v)
		}
		all = append(all, b)
	}
	return all
}
