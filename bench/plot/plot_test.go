package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestAxisPlacesValues(t *testing.T) {
	linear := newAxis([]float64{50, 100}, false, 0, 105)
	for v, want := range map[float64]float64{0: 0, 50: 50, 100: 100} {
		if got := linear.place(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("linear: %v stands at %v, want %v", v, got, want)
		}
	}
	log := newAxis([]float64{2, 600}, true, 0, 300)
	for v, want := range map[float64]float64{1: 0, 10: 100, 100: 200, 1000: 300} {
		if got := log.place(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("logarithmic: %v stands at %v, want %v", v, got, want)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		values []float64
		log    bool
		want   []float64
	}{
		{[]float64{100}, false, []float64{0, 20, 40, 60, 80, 100}},
		{[]float64{3}, false, []float64{0, 1, 2, 3}},
		{[]float64{1, 900}, true, []float64{1, 10, 100, 1000}},
		{[]float64{1, 9}, true, []float64{1, 2, 5, 10}},
	} {
		if got := newAxis(c.values, c.log, 0, 1).ticks(); !slices.Equal(got, c.want) {
			t.Errorf("ticks of %v are %v, want %v", c.values, got, c.want)
		}
	}
}

// FuzzCharts draws whatever it is given: always XML, never without end.
func FuzzCharts(f *testing.F) {
	f.Add("Ward", 1.0, 2.0, 3.0, true)
	f.Add(`"><script>`, 0.0, -1.0, math.Inf(1), true)
	f.Add("]]>&\x00\xff", math.NaN(), 1e-320, math.MaxFloat64, false)
	f.Fuzz(func(t *testing.T, name string, a, b, c float64, log bool) {
		axes := Axes{Title: name, X: name, Y: name, LogX: log, LogY: log}
		q := Point{a, b, min(b, c), max(b, c)}
		for _, picture := range []string{
			Lines([]Series{{Name: name, Points: []Point{q, {X: c, Y: a, Low: a, High: a}}, Colour: 9, Dash: 9}}, axes),
			Dots([]Group{{Name: name, Points: map[string]Point{name: q}}}, []string{name, "absent"}, axes),
			Stack([]Bar{{name, []float64{a, b, c}}}, []string{name, "x"}, axes),
			Lines(nil, axes), Dots(nil, nil, axes), Stack(nil, nil, axes),
		} {
			if strings.Contains(picture, "<script") {
				t.Fatal("text became an element")
			}
			d := xml.NewDecoder(strings.NewReader(picture))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("no XML: %v\n%s", err, picture)
				}
			}
		}
	})
}
