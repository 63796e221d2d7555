package report

import (
	"fmt"
	"html/template"
	"io"
)

// page needs nothing from elsewhere: no script, font or style sheet.
var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"svg": func(s *Section) template.HTML { return template.HTML(s.Picture()) }, // package plot escapes
	"table": func(s *Section) grid {
		h, l := s.Table()
		return grid{h, l}
	},
	"ratios": func(s *Section) grid {
		h, l := s.RatioTable()
		return grid{h, l}
	},
	"bars": func(r *Report) barGrid {
		summary, h, l := r.BarTable()
		return barGrid{summary, grid{h, l}}
	},
	"minutes": func(s float64) string { return fmt.Sprintf("%.1f min", s/60) },
}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ward: benchmarks</title>
<style>
body { font: 15px/1.45 sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #111; background: #fff }
table { border-collapse: collapse; margin: .8rem 0; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .6rem; text-align: left; border-bottom: 1px solid #ddd }
th { border-bottom: 2px solid #888 }
svg { max-width: 100%; height: auto; border: 1px solid #eee }
.skip { color: #8a3b00 }
</style>
</head>
<body>
<h1>Ward beside its peers</h1>
<p>Begun {{.Started.UTC.Format "2006-01-02 15:04"}} UTC, {{minutes .Seconds}}{{if .Quick}}, a quick run: few rounds, small sizes{{end}}. Seed {{.Seed}}.
The results are the <b>ratios</b>, taken round by round in one run. Absolute times belong to this machine:
{{.Machine.CPU}}, {{.Machine.CPUs}} processors, {{.Machine.MemoryMiB}} MiB, {{.Machine.OS}}/{{.Machine.Arch}} {{.Machine.Kernel}}, {{.Machine.Go}}, load at the start {{.Machine.Load}}.
Figures are medians ± the median deviation from them.</p>
<nav><ul><li><a href="#bars">Bars</a></li>{{range .Suites}}<li><a href="#{{.Name}}">{{.Title}}</a></li>{{end}}</ul></nav>
{{with bars .}}
<h2 id="bars">Bars</h2>
<p>{{.Summary}}</p>
{{template "grid" .Table}}
{{end}}
{{range $u := .Suites}}
<h2 id="{{.Name}}">{{.Title}}</h2>
<p>{{.Text}}</p>
<p><small>{{printf "%.1f" .Seconds}} s; {{.Pinned}}.</small></p>
{{range .Sections}}
<h3 id="{{$u.Name}}-{{.Name}}">{{.Title}}</h3>
{{if .Text}}<p>{{.Text}}</p>{{end}}
{{svg .}}
{{template "grid" table .}}
{{if .Ratios}}{{template "grid" ratios .}}{{end}}
{{end}}
{{range .Skipped}}<p class="skip">Not measured: {{.System}}: {{.Why}}</p>{{end}}
{{if .Failed}}<p class="skip">The suite ended early: {{.Failed}}</p>{{end}}
{{end}}
<h2 id="versions">Versions</h2>
<table><tr><th>name</th><th>version</th><th>licence</th><th>how it was run</th></tr>
{{range .Versions}}<tr><td>{{.Name}}</td><td>{{.Version}}</td><td>{{.Licence}}</td><td>{{.Note}}</td></tr>
{{end}}</table>
</body>
</html>
{{define "grid"}}<table><tr>{{range .Header}}<th>{{.}}</th>{{end}}</tr>
{{range .Lines}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table>{{end}}
`))

type barGrid struct {
	Summary string
	Table   grid
}

type grid struct {
	Header []string
	Lines  [][]string
}

// WriteHTML writes the report as one page with its pictures.
func (r *Report) WriteHTML(w io.Writer) error { return page.Execute(w, r) }
