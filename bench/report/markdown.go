package report

import (
	"bytes"
	"fmt"
	"strings"
)

// Markdown returns the report as a chapter of the documentation, and its
// pictures by the names under which the chapter shows them, in the folder
// pictures beside it.
func (r *Report) Markdown(pictures string) (chapter []byte, files map[string][]byte) {
	files = map[string][]byte{}
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Benchmarks: Ward beside its peers\n")
	line("This chapter is generated from one full run and not edited. To repeat it, on a quiet machine with Go, and with Node.js for")
	line("the peers that are written in Rust, a C compiler for one of them:\n")
	line("```")
	line("tools/peers.sh                          # installs the peers that are run as programs; without them the rest is measured")
	line("tools/build.sh age                      # likewise")
	line("cd bench")
	line("go run . all --out ../report            # this run, half an hour on a quiet machine; --quick takes three minutes")
	line("go run . docs ../report/report.json     # this chapter")
	line("```\n")
	line("**The results are the ratios**: what is compared was measured in turn, in rounds of one run, and divided round by round. Absolute")
	line("times belong to the machine: %s, %d processors, %d MiB, %s/%s, %s; %s UTC, %.0f minutes, seed %d.",
		text(r.Machine.CPU), r.Machine.CPUs, r.Machine.MemoryMiB, text(r.Machine.OS), text(r.Machine.Arch), text(r.Machine.Go), r.Started.UTC().Format("2006-01-02 15:04"), r.Seconds/60, r.Seed)
	line("Figures are medians, ± the median deviation from them; \"cpu\" is time of the processor, \"wall\" time that passed. A bar is a goal")
	line("that Ward sets itself; bars that are missed are shown as such.\n")
	if r.Quick {
		line("This was a quick run: few rounds and small sizes.\n")
	}
	line("- [Bars](#bars)")
	for _, u := range r.Suites {
		line("- [%s](#%s)", text(u.Title), u.Name)
	}
	line("- [Versions](#versions)\n")
	r.writeMarkdownBars(&b)
	for _, u := range r.Suites {
		line("<a id=\"%s\"></a>\n## %s\n\n%s\n", u.Name, text(u.Title), text(u.Text))
		for _, s := range u.Sections {
			line("<a id=\"%s-%s\"></a>\n### %s\n", u.Name, s.Name, text(s.Title))
			if s.Text != "" {
				line("%s\n", text(s.Text))
			}
			if picture := s.Picture(); picture != "" {
				name := u.Name + "-" + s.Name + ".svg"
				files[name] = []byte(picture)
				line("![%s](%s/%s)\n", text(s.Title), pictures, name)
			}
			writeMarkdownTable(&b, grid2(s.Table()))
			if len(s.Ratios) > 0 {
				ratios := escaped(grid2(s.RatioTable()))
				for i, ratio := range s.Ratios {
					ratios.Lines[i][0] = fmt.Sprintf(`<a id="%s-%s"></a>%s`, u.Name, Anchor(ratio.Name), ratios.Lines[i][0])
				}
				writeRows(&b, ratios)
			}
		}
		for _, skip := range u.Skipped {
			line("Not measured in this run: %s: %s\n", text(skip.System), text(skip.Why))
		}
		if u.Failed != "" {
			line("The suite ended early: %s\n", text(u.Failed))
		}
		line("(%s; %.0f s.)\n", text(u.Pinned), u.Seconds)
	}
	line("<a id=\"versions\"></a>\n## Versions\n")
	versions := grid{Header: []string{"name", "version", "licence", "how it was run"}}
	for _, v := range r.Versions {
		versions.Lines = append(versions.Lines, []string{v.Name, v.Version, v.Licence, v.Note})
	}
	writeMarkdownTable(&b, versions)
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n'), files
}

// writeMarkdownBars writes the bars, each with a link to its ratio.
func (r *Report) writeMarkdownBars(b *bytes.Buffer) {
	summary, header, lines := r.BarTable()
	fmt.Fprintf(b, "<a id=\"bars\"></a>\n## Bars\n\nWhat Ward sets itself as a goal, and what this run found: the median of the ratio that the figure links to. %s\n\n", summary)
	table := escaped(grid{header, lines})
	for i, bar := range r.Bars() {
		if bar.Measured {
			table.Lines[i][1] = fmt.Sprintf("[%s](#%s-%s)", table.Lines[i][1], bar.Suite, Anchor(bar.Ratio.Name))
		}
	}
	writeRows(b, table)
}

// Anchor returns what a name is in links: its letters and digits, in lower case,
// with a hyphen for all that is between them. The link to a ratio is the name of
// its suite, a hyphen, and the anchor of its name.
func Anchor(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}

func grid2(header []string, lines [][]string) grid { return grid{header, lines} }

func writeMarkdownTable(b *bytes.Buffer, g grid) { writeRows(b, escaped(g)) }

// escaped returns the table with all cells as they are written.
func escaped(g grid) grid {
	out := grid{Header: make([]string, len(g.Header)), Lines: make([][]string, len(g.Lines))}
	for i, cell := range g.Header {
		out.Header[i] = text(cell)
	}
	for i, l := range g.Lines {
		for _, cell := range l {
			out.Lines[i] = append(out.Lines[i], text(cell))
		}
	}
	return out
}

// writeRows writes a table whose cells are escaped.
func writeRows(b *bytes.Buffer, g grid) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(g.Header, " | "), strings.Repeat("---|", len(g.Header)))
	for _, l := range g.Lines {
		fmt.Fprintf(b, "| %s |\n", strings.Join(l, " | "))
	}
	b.WriteByte('\n')
}

// text keeps text from being taken for a table's border or for markup.
func text(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s)
}
