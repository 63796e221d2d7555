// Package plot draws three kinds of pictures as SVG, to be set into a page or
// kept as a file: lines over a parameter, dots with their quartiles, and stacked
// bars. Whatever text it is given it escapes.
package plot

import (
	"fmt"
	"math"
	"strings"
)

// The picture's size and margins, in pixels.
const (
	width  = 760
	top    = 16
	bottom = 48
	right  = 24
)

// colours are told apart by people who do not see all of them (Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000"}

func colour(i int) string { return colours[i%len(colours)] }

// picture collects elements.
type picture struct {
	b      strings.Builder
	height float64
}

func (p *picture) add(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

func (p *picture) text(x, y float64, anchor, s string) {
	p.add(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, escape(s))
}

func (p *picture) line(x1, y1, x2, y2 float64, stroke string) {
	p.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x1, y1, x2, y2, stroke)
}

func (p *picture) String(title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%d" height="%.0f" role="img" font-family="sans-serif" font-size="12">
<title>%s</title>
<rect width="100%%" height="100%%" fill="#ffffff"/>
%s</svg>
`, width, p.height, width, p.height, escape(title), p.b.String())
}

// legend writes the names below each other and returns the height it took.
func (p *picture) legend(names []string, x, y float64) float64 {
	for i, name := range names {
		at := y + float64(i)*18
		p.add(`<rect x="%.1f" y="%.1f" width="12" height="12" fill="%s"/>`, x, at-10, colour(i))
		p.text(x+18, at, "start", name)
	}
	return float64(len(names)) * 18
}

// escape makes text safe inside an element and inside an attribute, and drops
// what XML cannot carry at all.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, s)
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(s)
}

// axis maps values to places.
type axis struct {
	low, high float64 // of values
	from, to  float64 // of places
	log       bool
}

// newAxis returns an axis over the values; a linear one begins at 0.
func newAxis(values []float64, log bool, from, to float64) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || log && v <= 0 {
			continue
		}
		low, high = min(low, v), max(high, v)
	}
	if math.IsInf(low, 0) {
		low, high = 1, 10
	}
	if log {
		low, high = math.Pow(10, math.Floor(math.Log10(low)+1e-9)), math.Pow(10, math.Ceil(math.Log10(high)-1e-9))
		if high <= low {
			high = low * 10
		}
	} else {
		low = min(0, low)
		if high <= low {
			high = low + 1
		}
		high = low + (high-low)*1.05
	}
	return axis{low, high, from, to, log}
}

func (a axis) place(v float64) float64 {
	share := (v - a.low) / (a.high - a.low)
	if a.log {
		share = (math.Log(max(v, a.low)) - math.Log(a.low)) / (math.Log(a.high) - math.Log(a.low))
	}
	return a.from + share*(a.to-a.from)
}

// ticks returns values at which to mark the axis: about five round ones, or
// powers of ten, with 2 and 5 times those if there are few.
func (a axis) ticks() (ticks []float64) {
	if a.log {
		decades := math.Round(math.Log10(a.high / a.low))
		step := math.Pow(10, math.Ceil(decades/8))
		for v := a.low; v <= a.high*1.0001 && len(ticks) < 20; v *= step {
			ticks = append(ticks, v)
			for _, m := range []float64{2, 5} {
				if decades <= 2 && m*v < a.high {
					ticks = append(ticks, m*v)
				}
			}
		}
		return ticks
	}
	step := math.Pow(10, math.Floor(math.Log10((a.high-a.low)/4)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (a.high-a.low)/(step*m) <= 6 {
			step *= m
			break
		}
	}
	for i := 0; i < 20; i++ {
		if v := a.low + float64(i)*step; v <= a.high*1.0001 {
			ticks = append(ticks, v)
		}
	}
	return ticks
}
