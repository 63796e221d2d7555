package report

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/ward-health/ward/bench/measure"
)

// withRatio returns a report of one suite with one guarded ratio of cost and
// one of speed.
func withRatio(cost, speed float64) *Report {
	return &Report{Format: Format, Machine: measure.Machine{Arch: "amd64"}, Suites: []*Suite{{Name: "x", Sections: []*Section{{Ratios: []Ratio{
		{Name: "cost", Samples: []float64{cost}, Margin: 0.25},
		{Name: "speed", Samples: []float64{speed}, Margin: 0.25, Higher: true},
		{Name: "unguarded", Samples: []float64{1}},
	}}}}}}
}

func TestGuard(t *testing.T) {
	base := NewBaseline(withRatio(1, 4))
	for _, c := range []struct {
		name        string
		cost, speed float64
		ok          [2]bool
	}{
		{"the same", 1, 4, [2]bool{true, true}},
		{"better", 0.1, 40, [2]bool{true, true}},
		{"worse within the margin", 1.24, 3.21, [2]bool{true, true}},
		{"worse beyond the margin", 1.26, 3.19, [2]bool{false, false}},
		{"cost worse, speed better", 9, 40, [2]bool{false, true}},
	} {
		verdicts, err := base.Compare(withRatio(c.cost, c.speed))
		if err != nil {
			t.Fatal(err)
		}
		if len(verdicts) != 2 {
			t.Fatalf("%s: %d verdicts, want 2: %v", c.name, len(verdicts), verdicts)
		}
		if got := [2]bool{verdicts[0].OK(), verdicts[1].OK()}; got != c.ok {
			t.Errorf("%s: passes %v, want %v", c.name, got, c.ok)
		}
	}
}

func TestGuardFailsOnMissingRatio(t *testing.T) {
	base := NewBaseline(withRatio(1, 4))
	r := withRatio(1, 4)
	r.Suites[0].Sections[0].Ratios = r.Suites[0].Sections[0].Ratios[1:]
	verdicts, err := base.Compare(r)
	if err != nil {
		t.Fatal(err)
	}
	if verdicts[0].OK() || !verdicts[1].OK() {
		t.Errorf("verdicts are %v", verdicts)
	}
}

func TestGuardLeavesOutSuitesThatDidNotRun(t *testing.T) {
	base := NewBaseline(withRatio(1, 4))
	r := withRatio(9, 1)
	r.Suites[0].Name = "y"
	verdicts, err := base.Compare(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(verdicts) != 2 || !verdicts[0].New || !verdicts[0].OK() {
		t.Errorf("verdicts are %v, want two new ratios", verdicts)
	}
}

func TestGuardAllowsTwiceTheMarginOnAnotherProcessor(t *testing.T) {
	base := NewBaseline(withRatio(1, 4))
	limits := func(cpu string) (low, high float64) {
		r := withRatio(1, 4)
		r.Machine.CPU = cpu
		verdicts, err := base.Compare(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range verdicts {
			if v.Higher {
				low = v.Limit
			} else {
				high = v.Limit
			}
			if double := v.limit(2); (v.Limit == double) != (cpu != base.Machine.CPU) {
				t.Errorf("on %q the limit of %s is %v, with two margins %v", cpu, v.Name, v.Limit, double)
			}
		}
		return low, high
	}
	low, high := limits(base.Machine.CPU)
	if otherLow, otherHigh := limits("another"); otherLow >= low || otherHigh <= high {
		t.Errorf("limits are %v and %v, on another processor %v and %v", low, high, otherLow, otherHigh)
	}
}

func TestGuardRefusesOtherMachinesAndLengths(t *testing.T) {
	base := NewBaseline(withRatio(1, 4))
	r := withRatio(1, 4)
	r.Machine.Arch = "arm64"
	if _, err := base.Compare(r); err == nil {
		t.Error("ratios of two architectures were compared")
	}
	r = withRatio(1, 4)
	r.Quick = true
	if _, err := base.Compare(r); err == nil {
		t.Error("a quick run was compared with a full one")
	}
}

func TestBaselineRoundTripAndMerge(t *testing.T) {
	base := NewBaseline(withRatio(1, 4))
	var b bytes.Buffer
	if err := base.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	got, err := ParseBaseline(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, base) {
		t.Errorf("read back %v, want %v", got, base)
	}
	other := withRatio(2, 5)
	other.Suites[0].Name = "y"
	got.Merge(NewBaseline(other))
	got.Merge(NewBaseline(withRatio(3, 6)))
	var medians []float64
	for _, g := range got.Ratios {
		medians = append(medians, g.Median)
	}
	if want := []float64{2, 5, 3, 6}; !reflect.DeepEqual(medians, want) {
		t.Errorf("merged medians are %v, want %v", medians, want)
	}
}

func TestParseBaselineRefuses(t *testing.T) {
	for _, s := range []string{
		``, `{}`, `{"format":"ward/bench-baseline/v1","ratios":[{"suite":"x","name":"r","median":1,"margin":0}]}`,
		`{"format":"ward/bench-baseline/v1","ratios":[{"suite":"x","name":"r","median":0,"margin":1}]}`,
	} {
		if _, err := ParseBaseline([]byte(s)); err == nil {
			t.Errorf("ParseBaseline(%q) succeeded: a guard that cannot fail", s)
		}
	}
}

func FuzzParseBaseline(f *testing.F) {
	f.Add([]byte(`{"format":"ward/bench-baseline/v1","ratios":[{"suite":"x","name":"r","median":1,"margin":1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		base, err := ParseBaseline(b)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if base.WriteJSON(&out) != nil {
			return
		}
		again, err := ParseBaseline(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again, base) {
			t.Errorf("read back %v, want %v", again, base)
		}
	})
}
