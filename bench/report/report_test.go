package report

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/bench/measure"
)

const hostile = `<script>alert("1")</script>|&'` + "\x01"

// example is a report with everything in it.
func example() *Report {
	section := func(kind string) *Section {
		return &Section{
			Name: "s-" + kind, Title: "Section " + hostile, Text: hostile, Param: "records", Base: "Ward",
			Chart: Chart{Kind: kind, Quantity: "cpu", LogX: true, LogY: true},
			Rows: []Row{
				{"open", "Ward", 1, "cpu", "s", []float64{1e-3, 2e-3, 3e-3}},
				{"open", "Ward", 1, "size", "B", []float64{1234}},
				{"open", hostile, 1, "cpu", "s", []float64{4e-3, 4e-3, 3e-3}},
				{"open", "Ward", 10, "cpu", "s", []float64{1e-2, 1e-2, 1e-2}},
			},
			Ratios: []Ratio{{Name: "r", Text: hostile, Samples: []float64{0.25, 0.5, 1}, Bar: 0.6, Margin: 0.2}},
		}
	}
	return &Report{
		Format: Format, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 61, Seed: 7, Machine: measure.Machine{OS: "linux", Arch: "amd64", CPU: hostile, CPUs: 2},
		Versions: []Version{{"Ward", "v1", "Apache-2.0", hostile}},
		Suites: []*Suite{{
			Name: "x", Title: "Suite " + hostile, Text: hostile, Pinned: "no", Failed: hostile, Unmeasured: []Ratio{{Name: hostile, Bar: 1}}, Skipped: []Skip{{hostile, hostile}},
			Sections: []*Section{section("lines"), section("dots"), section("stack"), section("")},
		}},
	}
}

func TestJSONRoundTrip(t *testing.T) {
	var b bytes.Buffer
	if err := example().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if want := example(); !reflect.DeepEqual(got, want) {
		t.Errorf("read back\n%+v, want\n%+v", got, want)
	}
}

func TestParseRefusesOtherFormats(t *testing.T) {
	for _, s := range []string{``, `{}`, `{"format":"ward/bench/v2"}`, `{"format":"ward/bench/v1","suites":[null]}`, `{"format":"ward/bench/v1","suites":[{"sections":[null]}]}`} {
		if _, err := Parse([]byte(s)); err == nil {
			t.Errorf("Parse(%q) succeeded", s)
		}
	}
}

func FuzzParse(f *testing.F) {
	var b bytes.Buffer
	if err := example().WriteJSON(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if r.WriteJSON(&first) != nil {
			return
		}
		again, err := Parse(first.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := again.WriteJSON(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("written twice, a report differs: %v", err)
		}
		for _, u := range r.Suites {
			if err := u.WriteText(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
		r.Markdown("x") // does not panic
	})
}

// TestPicturesAndPageEscape puts markup and a control character wherever text
// goes, and reads the result back with a strict parser.
func TestPicturesAndPageEscape(t *testing.T) {
	r := example()
	for _, s := range r.Suites[0].Sections[:3] {
		picture := s.Picture()
		wellFormed(t, picture)
		if strings.Contains(picture, "<script") {
			t.Errorf("%s: text became an element", s.Name)
		}
	}
	if s := r.Suites[0].Sections[3].Picture(); s != "" {
		t.Error("a section without a picture has one")
	}
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<script") {
		t.Error("text became an element of the page")
	}
	for _, outside := range []string{"src=", "<link", "@import", "url("} {
		if strings.Contains(page.String(), outside) {
			t.Errorf("the page refers to something outside: %s", outside)
		}
	}
	if n := strings.Count(page.String(), "<svg "); n != 3 {
		t.Errorf("the page has %d pictures, want 3", n)
	}
	chapter, files := r.Markdown("benchmarks")
	if strings.Contains(string(chapter), "<script") {
		t.Error("text became an element of the chapter")
	}
	if len(files) != 3 || !strings.Contains(string(chapter), "(benchmarks/x-s-lines.svg)") {
		t.Errorf("the chapter has %d pictures, or does not show them", len(files))
	}
	if !strings.Contains(string(chapter), `<a id="x-s-lines"></a>`) {
		t.Error("the chapter cannot be linked to")
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("picture is no XML: %v\n%s", err, text)
		}
	}
}

func TestTable(t *testing.T) {
	header, lines := example().Suites[0].Sections[0].Table()
	if want := []string{"operation", "records", "system", "cpu", "size", "÷ Ward"}; !reflect.DeepEqual(header, want) {
		t.Errorf("header is %q, want %q", header, want)
	}
	want := [][]string{
		{"open", "1", "Ward", "2 ms ± 50 %", "1234 B", ""},
		{"open", "1", hostile, "4 ms", "", "2"}, // of 4, 2 and 1: each round divided by itself
		{"open", "10", "Ward", "10 ms", "", ""},
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("lines are %q, want %q", lines, want)
	}
}

func TestCSVHasEveryRowAndRatio(t *testing.T) {
	var b bytes.Buffer
	if err := example().WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 1+4*(4+1)+11 {
		t.Errorf("%d lines, want a header, five for each of four sections, and eleven of the run", len(records))
	}
	said := map[string]string{}
	for _, l := range records {
		if l[0] == "run" {
			said[l[1]+" "+l[2]] = l[3]
		}
	}
	for name, want := range map[string]string{"run seed": "7", "machine cpu": hostile, "version Ward": "v1", "run started": "2026-01-02T03:04:05Z"} {
		if said[name] != want {
			t.Errorf("%s is %q, want %q", name, said[name], want)
		}
	}
	if got := records[1][8]; got != "0.002" {
		t.Errorf("median is %q, want 0.002", got)
	}
}

func TestFormatValue(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "s", "0 ns"}, {1.5e-9, "s", "1.50 ns"}, {999.7e-6, "s", "1 ms"}, {12.345e-3, "s", "12.3 ms"}, {123.4, "s", "123 s"},
		{274, "B", "274 B"}, {99999, "B", "99999 B"}, {1 << 17, "B", "128 KiB"}, {3 << 20, "B", "3 MiB"}, {1 << 30, "B", "1 GiB"},
		{6.2e9, "B/s", "6.20 GB/s"}, {37000, "1/s", "37 k/s"}, {12, "1/s", "12 /s"}, {0.0123, "", "0.0123"}, {1.5, "MiB", "1.50 MiB"},
	} {
		if got := FormatValue(c.v, c.unit); got != c.want {
			t.Errorf("FormatValue(%v, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

// TestBarsAreStated has one bar that is met, one that is missed and one that was
// not measured.
func TestBarsAreStated(t *testing.T) {
	r := &Report{Suites: []*Suite{{Name: "chain", Title: "Chain", Sections: []*Section{{Name: "speed", Title: "Speed", Ratios: []Ratio{
		{Name: "fast", Samples: []float64{1, 2, 3}, Bar: 1.5, Higher: true}, {Name: "slow", Samples: []float64{1.2}, Bar: 1}, {Name: "no goal", Samples: []float64{1}},
	}}}, Unmeasured: []Ratio{{Name: "absent", Bar: 4, Higher: true}}}}}
	summary, _, lines := r.BarTable()
	want := [][]string{{"chain", "fast", "2", "≥ 1.50", "yes"}, {"chain", "slow", "1.20", "≤ 1", "no"}, {"chain", "absent", "", "≥ 4", "not measured"}}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("bars are %q, want %q", lines, want)
	}
	chapter, _ := r.Markdown("pictures")
	var page, terminal bytes.Buffer
	if err := errors.Join(r.WriteHTML(&page), r.WriteBars(&terminal)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"chapter": string(chapter), "page": page.String(), "terminal": terminal.String()} {
		if !strings.Contains(text, summary) || !strings.Contains(summary, "1 of 3 bars are met, 1 missed, 1 not measured") {
			t.Errorf("%s does not say how many bars are met: %s", name, summary)
		}
	}
	if !strings.Contains(string(chapter), "| chain | [fast](#chain-fast) | 2 | ≥ 1.50 | yes |") || !strings.Contains(string(chapter), "| chain | absent |  |") {
		t.Errorf("bars of the chapter have no links:\n%s", chapter)
	}
	if i, j := strings.Index(terminal.String(), "slow"), strings.Index(terminal.String(), "fast"); i < 0 || i > j {
		t.Error("what is missed does not come first on a terminal")
	}
}

// TestRatiosHaveAnchors looks for what documents link to.
func TestRatiosHaveAnchors(t *testing.T) {
	r := &Report{Suites: []*Suite{{Name: "chain", Title: "Chain", Sections: []*Section{{Name: "speed", Title: "Speed", Ratios: []Ratio{
		{Name: "batches of 1000: <x> | Ward / bare Raft, cpu", Samples: []float64{2}}, {Name: "é", Samples: []float64{1}},
	}}}}}}
	chapter, _ := r.Markdown("pictures")
	want := `| <a id="chain-batches-of-1000-x-ward-bare-raft-cpu"></a>batches of 1000: &lt;x> \| Ward / bare Raft, cpu |`
	if !bytes.Contains(chapter, []byte(want)) {
		t.Errorf("chapter lacks %q:\n%s", want, chapter)
	}
}
