package plot

import (
	"fmt"
	"strings"
)

// Point is a value with its quartiles, at a place.
type Point struct{ X, Y, Low, High float64 }

// Series is a named run of points. Those of one colour belong together and are
// told apart by their dashes.
type Series struct {
	Name         string
	Points       []Point
	Colour, Dash int // counted from 0
}

// dashes are told apart in print, too. The first is a whole line.
var dashes = []string{"", "7 4", "2 3", "9 3 2 3", "1 5"}

func (s Series) stroke() string {
	return fmt.Sprintf(`stroke="%s" stroke-dasharray="%s" stroke-width="1.5"`, colour(s.Colour), dashes[s.Dash%len(dashes)])
}

// Axes say what a picture shows. Format writes values of Y; nil is plain.
type Axes struct {
	Title, X, Y string
	LogX, LogY  bool
	Format      func(float64) string
}

func (a Axes) format(v float64) string {
	if v == 0 {
		return "0"
	}
	if a.Format != nil {
		return a.Format(v)
	}
	return fmt.Sprintf("%.4g", v)
}

// Lines draws each series as a line over X, with bars from quartile to quartile.
func Lines(series []Series, a Axes) string {
	const left, plotHeight = 90, 300
	p := &picture{height: top + plotHeight + bottom + 18*float64(len(series))}
	var xs, ys []float64
	for _, s := range series {
		for _, q := range s.Points {
			xs, ys = append(xs, q.X), append(ys, q.Low, q.Y, q.High)
		}
	}
	x, y := newAxis(xs, a.LogX, left, width-right), newAxis(ys, a.LogY, top+plotHeight, top)
	for _, v := range y.ticks() {
		p.line(left, y.place(v), width-right, y.place(v), "#e0e0e0")
		p.text(left-6, y.place(v)+4, "end", a.format(v))
	}
	for _, v := range x.ticks() {
		p.line(x.place(v), top+plotHeight, x.place(v), top+plotHeight+4, "#000000")
		p.text(x.place(v), top+plotHeight+18, "middle", fmt.Sprintf("%.6g", v))
	}
	p.text((left+width-right)/2, top+plotHeight+36, "middle", a.X)
	p.add(`<text x="14" y="%.1f" text-anchor="middle" transform="rotate(-90 14 %.1f)">%s</text>`, float64(top+plotHeight/2), float64(top+plotHeight/2), escape(a.Y))
	p.line(left, top+plotHeight, width-right, top+plotHeight, "#000000")
	for i, s := range series {
		var path []string
		for _, q := range s.Points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", x.place(q.X), y.place(q.Y)))
			p.line(x.place(q.X), y.place(q.Low), x.place(q.X), y.place(q.High), colour(s.Colour))
			p.add(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, x.place(q.X), y.place(q.Y), colour(s.Colour))
		}
		p.add(`<polyline points="%s" fill="none" %s/>`, strings.Join(path, " "), s.stroke())
		at := float64(top + plotHeight + bottom + 8 + 18*i)
		p.add(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" %s/>`, left, at-4, left+30, at-4, s.stroke())
		p.text(left+38, at, "start", s.Name)
	}
	return p.String(a.Title)
}

// Group is a line of dots, one for each system that has a value.
type Group struct {
	Name   string
	Points map[string]Point // by system; X is not used
}

// Dots draws one line for each group and on it a dot for each system, with a bar
// from quartile to quartile, over a logarithmic axis: what matters is how many
// times one is away from another.
func Dots(groups []Group, systems []string, a Axes) string {
	const step = 26
	left := 40.0
	for _, g := range groups {
		left = max(left, 12+6.6*float64(len([]rune(g.Name))))
	}
	left = min(left, 330)
	end := top + step*float64(len(groups))
	p := &picture{height: end + bottom + 18*float64(len(systems))}
	var values []float64
	for _, g := range groups {
		for _, q := range g.Points {
			values = append(values, q.Low, q.Y, q.High)
		}
	}
	x := newAxis(values, true, left, width-right)
	for _, v := range x.ticks() {
		p.line(x.place(v), top, x.place(v), end, "#e0e0e0")
		p.text(x.place(v), end+18, "middle", a.format(v))
	}
	p.text((left+width-right)/2, end+36, "middle", a.Y)
	for i, g := range groups {
		y := top + step*(float64(i)+0.5)
		p.line(left, y, width-right, y, "#eeeeee")
		p.text(left-6, y+4, "end", g.Name)
		for j, system := range systems {
			q, ok := g.Points[system]
			if !ok {
				continue
			}
			p.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>`, x.place(q.Low), y, x.place(q.High), y, colour(j))
			p.add(`<circle cx="%.1f" cy="%.1f" r="5" fill="%s"><title>%s: %s</title></circle>`, x.place(q.Y), y, colour(j), escape(system), escape(a.format(q.Y)))
		}
	}
	p.legend(systems, left, end+bottom+8)
	return p.String(a.Title)
}

// Bar is a bar of parts on top of each other.
type Bar struct {
	Name  string
	Parts []float64 // in the order of the parts' names; 0 for none
}

// Stack draws horizontal bars whose lengths add up their parts.
func Stack(bars []Bar, parts []string, a Axes) string {
	const step = 34
	left := 40.0
	var totals []float64
	for _, b := range bars {
		left = max(left, 12+6.6*float64(len([]rune(b.Name))))
		sum := 0.0
		for _, v := range b.Parts {
			sum += v
		}
		totals = append(totals, sum)
	}
	left = min(left, 330)
	end := top + step*float64(len(bars))
	p := &picture{height: end + bottom + 18*float64(len(parts))}
	x := newAxis(totals, false, left, width-right-70)
	for _, v := range x.ticks() {
		p.line(x.place(v), top, x.place(v), end, "#e0e0e0")
		p.text(x.place(v), end+18, "middle", a.format(v))
	}
	p.text((left+width-right)/2, end+36, "middle", a.Y)
	for i, b := range bars {
		y := top + step*float64(i) + 6
		p.text(left-6, y+15, "end", b.Name)
		at := 0.0
		for j, v := range b.Parts {
			if v <= 0 || j >= len(parts) {
				continue
			}
			p.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="22" fill="%s"><title>%s: %s</title></rect>`,
				x.place(at), y, x.place(at+v)-x.place(at), colour(j), escape(parts[j]), escape(a.format(v)))
			at += v
		}
		p.text(x.place(at)+6, y+15, "start", a.format(totals[i]))
	}
	p.legend(parts, left, end+bottom+8)
	return p.String(a.Title)
}
