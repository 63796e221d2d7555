package cli

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// fit turns rows of strings into rows of a table that is at most width columns
// wide: what does not fit is cut from the last column, which ends in an
// ellipsis then. Control characters are made visible: a title comes from
// outside, and a terminal would obey them.
func fit(head table.Row, rows [][]string, width int) []table.Row {
	widths := make([]int, len(head))
	for i, h := range head {
		widths[i] = text.StringWidth(h.(string))
	}
	out := make([]table.Row, len(rows))
	for i, row := range rows {
		out[i] = make(table.Row, len(row))
		for j, cell := range row {
			cell = printable(cell)
			out[i][j] = cell
			widths[j] = max(widths[j], text.StringWidth(cell))
		}
	}
	last := len(head) - 1
	room := width - 2 // of the margin
	for _, w := range widths[:last] {
		room -= w + 2
	}
	if width == 0 || room >= widths[last] {
		return out
	}
	room = max(room, 8)
	for _, row := range out {
		row[last] = text.Snip(row[last].(string), room, "…")
	}
	return out
}

// alignment puts numbers to the right.
func alignment(columns int, rows [][]string) (out []table.ColumnConfig) {
	for j := range columns {
		numbers := len(rows) > 0
		for _, row := range rows {
			_, err := strconv.ParseInt(row[j], 10, 64)
			numbers = numbers && (err == nil || row[j] == "")
		}
		if numbers {
			out = append(out, table.ColumnConfig{Number: j + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	return out
}

// printable replaces what a terminal would obey instead of showing it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// pad returns s with spaces behind it up to a width in columns.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-text.StringWidth(s)))
}

func splitLines(s string) []string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// textWidth returns how many columns a text takes.
func textWidth(s string) int { return text.StringWidth(s) }
