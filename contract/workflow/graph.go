package workflow

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// Mermaid returns the definition as a state diagram of mermaid.js, with titles in
// a language, "en" or "zh". Whatever titles hold is escaped.
func (d *Definition) Mermaid(language string) string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	id := make(map[string]string)
	for n := range d.States {
		s := &d.States[n]
		id[s.Name] = fmt.Sprintf("s%d", n)
		fmt.Fprintf(&b, "    state \"%s\" as s%d\n", mermaidText(label(s.Title, s.Name, language)), n)
	}
	id[Start] = "[*]"
	for n := range d.Transitions {
		t := &d.Transitions[n]
		for _, from := range t.From {
			fmt.Fprintf(&b, "    %s --> %s: %s\n", id[from], id[t.To], mermaidText(d.caption(t, language)))
		}
	}
	for n := range d.States {
		if d.States[n].Final {
			fmt.Fprintf(&b, "    s%d --> [*]\n", n)
		}
	}
	return b.String()
}

func label(t Title, name, language string) string {
	if s := t.In(language); s != "" {
		return s
	}
	return name
}

// caption is what is written at a transition: what it is and who takes it.
func (d *Definition) caption(t *Transition, language string) string {
	by := make([]string, len(t.By))
	for n, name := range t.By {
		by[n] = name
		if r := d.Role(name); r != nil {
			by[n] = label(r.Title, name, language)
		}
	}
	return label(t.Title, t.Name, language) + " (" + strings.Join(by, ", ") + ")"
}

// mermaidText escapes everything that could mean something to mermaid.js.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= 0x80, r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" -.,()", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

// Measures of the picture, in pixels.
const (
	boxWidth, boxHeight = 190, 40
	gapX, gapY          = 130, 96
	margin              = 40
	side                = 46 // between the lines that go beside the boxes
)

// A box is a state in the picture; the first is the start.
type box struct {
	name, text string
	final      bool
	x, y       int // of its middle
	layer      int
}

// SVG returns the definition as a picture, with titles in a language, "en" or
// "zh". It holds no scripts and refers to nothing; whatever titles hold is escaped.
func (d *Definition) SVG(language string) []byte {
	boxes, width, height := d.layout(language)
	edges := d.edges(language)
	sides := 0
	var lines, texts bytes.Buffer
	for _, e := range edges {
		from, to := boxes[e.from], boxes[e.to]
		var path string
		var x, y int
		switch {
		case e.from == e.to:
			right := from.x + boxWidth/2
			path = fmt.Sprintf("M%d %d C%d %d %d %d %d %d", right, from.y-10, right+44, from.y-30, right+44, from.y+30, right, from.y+10)
			x, y = right+36, from.y
		case to.layer == from.layer+1:
			y1, y2 := from.y+boxHeight/2, to.y-boxHeight/2
			path = fmt.Sprintf("M%d %d C%d %d %d %d %d %d", from.x, y1, from.x, y1+40, to.x, y2-40, to.x, y2)
			x, y = (2*from.x+3*to.x)/5, (2*y1+3*y2)/5
		default: // beside the boxes
			sides++
			right := width + sides*side
			path = fmt.Sprintf("M%d %d C%d %d %d %d %d %d", from.x+boxWidth/2, from.y+6, right, from.y+6, right, to.y-6, to.x+boxWidth/2, to.y-6)
			x, y = (from.x+to.x+boxWidth+6*right)/8, (from.y+to.y)/2
		}
		fmt.Fprintf(&lines, "<path d=\"%s\" marker-end=\"url(#a)\"/>\n", path)
		for n, text := range e.texts {
			fmt.Fprintf(&texts, "<text x=\"%d\" y=\"%d\">%s</text>\n", x, y+14*n-7*(len(e.texts)-1), escape(text))
		}
	}
	width += sides*side + margin + 60
	var b bytes.Buffer
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", escape(label(d.Title, d.Name, language)))
	b.WriteString("<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" fill=\"#5a6b7b\"/></marker></defs>\n")
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n<g fill=\"none\" stroke=\"#5a6b7b\" stroke-width=\"1.3\">\n%s</g>\n", width, height, lines.Bytes())
	for _, s := range boxes {
		if s.name == Start {
			fmt.Fprintf(&b, "<circle cx=\"%d\" cy=\"%d\" r=\"9\" fill=\"#1f2d3a\"/>\n", s.x, s.y+boxHeight/2-9)
			continue
		}
		fill, stroke := "#eaf2fb", 1
		if s.final {
			fill, stroke = "#eef0f2", 3
		}
		fmt.Fprintf(&b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"8\" fill=\"%s\" stroke=\"#1f2d3a\" stroke-width=\"%d\"/>\n", s.x-boxWidth/2, s.y-boxHeight/2, boxWidth, boxHeight, fill, stroke)
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", s.x, s.y+5, escape(s.text))
	}
	fmt.Fprintf(&b, "<g font-size=\"11\" fill=\"#24435f\" text-anchor=\"middle\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\">\n%s</g>\n</svg>\n", texts.Bytes())
	return b.Bytes()
}

// layout places the states in layers, by how many steps they are from the start.
func (d *Definition) layout(language string) (boxes []box, width, height int) {
	boxes = append(boxes, box{name: Start})
	for n := range d.States {
		s := &d.States[n]
		boxes = append(boxes, box{name: s.Name, text: label(s.Title, s.Name, language), final: s.Final, layer: -1})
	}
	for n := 0; n < len(boxes); n++ { // every round reaches one layer more
		for i := range boxes {
			if boxes[i].layer != n || i > 0 && n == 0 {
				continue
			}
			for _, t := range d.From(boxes[i].name) {
				if to := &boxes[d.box(t.To)]; to.layer < 0 {
					to.layer = n + 1
				}
			}
		}
	}
	wide := make(map[int]int)
	for _, s := range boxes {
		wide[s.layer]++
	}
	most := 0
	for _, n := range wide {
		most = max(most, n)
	}
	width = 2*margin + most*boxWidth + (most-1)*gapX
	placed := make(map[int]int)
	for i := range boxes {
		s := &boxes[i]
		row := wide[s.layer]*boxWidth + (wide[s.layer]-1)*gapX
		s.x = (width-row)/2 + boxWidth/2 + placed[s.layer]*(boxWidth+gapX)
		s.y = margin + s.layer*(boxHeight+gapY)
		placed[s.layer]++
		height = max(height, s.y+boxHeight/2+margin)
	}
	return boxes, width, height
}

// box returns the place of a state in the list that layout makes.
func (d *Definition) box(state string) int {
	return slices.IndexFunc(d.States, func(s State) bool { return s.Name == state }) + 1
}

// An edge is all transitions from one state to another.
type edge struct {
	from, to int
	texts    []string
}

func (d *Definition) edges(language string) (out []edge) {
	for n := range d.Transitions {
		t := &d.Transitions[n]
		for _, from := range t.From {
			e := edge{from: d.box(from), to: d.box(t.To)}
			at := slices.IndexFunc(out, func(o edge) bool { return o.from == e.from && o.to == e.to })
			if at < 0 {
				at, out = len(out), append(out, e)
			}
			out[at].texts = append(out[at].texts, d.caption(t, language))
		}
	}
	return out
}

func escape(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return "" // it writes to memory
	}
	return b.String()
}
