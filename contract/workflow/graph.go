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
	boxWidth, boxHeight = 180, 30
	rowHeight           = 44
	columnWidth         = 34
	margin              = 24
)

// SVG returns the definition as a picture, with titles in a language, "en" or
// "zh": a row for each state, a column for each transition, with dots where it
// leads from and an arrow to where it leads. It holds no scripts and refers to
// nothing; whatever titles hold is escaped.
func (d *Definition) SVG(language string) []byte {
	longest := 0
	for n := range d.Transitions {
		longest = max(longest, textWidth(d.caption(&d.Transitions[n], language)))
	}
	lean := longest * 7 / 10 // what a text of this length takes at 45 degrees, both ways
	top := margin + lean + rowHeight
	left := margin + boxWidth + columnWidth
	width, height := left+len(d.Transitions)*columnWidth+lean+margin, top+len(d.States)*rowHeight+margin
	y := func(state string) int {
		return top + rowHeight*slices.IndexFunc(d.States, func(s State) bool { return s.Name == state }) // the start is a row above
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", escape(label(d.Title, d.Name, language)), width, height)
	last := left + (len(d.Transitions)-1)*columnWidth + columnWidth/2
	fmt.Fprintf(&b, "<circle cx=\"%d\" cy=\"%d\" r=\"8\" fill=\"#1f2d3a\"/>\n", margin+boxWidth/2, y(Start))
	for n := range d.States {
		s := &d.States[n]
		fill, stroke := "#eaf2fb", 1
		if s.Final {
			fill, stroke = "#eef0f2", 3
		}
		fmt.Fprintf(&b, "<path d=\"M%d %d H%d\" stroke=\"#dfe5ea\"/>\n", margin+boxWidth, y(s.Name), last)
		fmt.Fprintf(&b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"7\" fill=\"%s\" stroke=\"#1f2d3a\" stroke-width=\"%d\"/>\n", margin, y(s.Name)-boxHeight/2, boxWidth, boxHeight, fill, stroke)
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", margin+boxWidth/2, y(s.Name)+5, escape(label(s.Title, s.Name, language)))
	}
	for n := range d.Transitions {
		d.column(&b, &d.Transitions[n], left+n*columnWidth, top-rowHeight-16, y, language)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// column draws a transition.
func (d *Definition) column(b *bytes.Buffer, t *Transition, x, head int, y func(string) int, language string) {
	const colour = "#24435f"
	low, high := y(t.To), y(t.To)
	for _, from := range t.From {
		low, high = min(low, y(from)), max(high, y(from))
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" font-size=\"12\" transform=\"rotate(-45 %d %d)\">%s</text>\n", x, head, x, head, escape(d.caption(t, language)))
	fmt.Fprintf(b, "<path d=\"M%d %d V%d\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", x, low, high, colour)
	to, tip := y(t.To), 7
	switch { // the arrow points the way that the transition leads
	case slices.Contains(t.From, t.To):
		fmt.Fprintf(b, "<circle cx=\"%d\" cy=\"%d\" r=\"8\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", x, to, colour)
		if low == high {
			break
		}
		fallthrough
	default:
		if to < high && to == low {
			tip = -7
		}
		fmt.Fprintf(b, "<path d=\"M%d %d L%d %d L%d %d z\" fill=\"%s\"/>\n", x, to+tip, x-6, to-tip, x+6, to-tip, colour)
	}
	for _, from := range t.From {
		fmt.Fprintf(b, "<circle cx=\"%d\" cy=\"%d\" r=\"4.5\" fill=\"%s\"/>\n", x, y(from), colour)
	}
}

// textWidth is about how wide a text is, in pixels.
func textWidth(s string) (w int) {
	for _, r := range s {
		if w += 7; r >= 0x1100 {
			w += 6
		}
	}
	return w
}

func escape(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return "" // it writes to memory
	}
	return b.String()
}
