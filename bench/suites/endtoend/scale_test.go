package endtoend

import (
	"math"
	"testing"
)

// TestLeastSquaresFindsTheCosts gives it steps of known costs, one of them wrong.
func TestLeastSquaresFindsTheCosts(t *testing.T) {
	want := counts{3, 0.5, 7, 2}
	of := func(s step) float64 { return s.cpu }
	var steps []step
	for _, n := range []counts{{8, 0, 0, 0}, {0, 48, 0, 0}, {0, 0, 8, 0}, {0, 0, 0, 16}, {4, 24, 4, 8}, {2, 48, 2, 12}} {
		steps = append(steps, step{counts: n, cpu: apply([]counts{want}, n)[0]})
	}
	got, ok := leastSquares(steps, of)
	for i := range want {
		if !ok || math.Abs(got[i]-want[i]) > 1e-9 {
			t.Fatalf("costs are %v (%v), want %v", got, ok, want)
		}
	}
	steps[5].cpu *= 1.1
	got, _ = leastSquares(steps, of)
	for i := range want {
		if math.Abs(got[i]/want[i]-1) > 0.1 {
			t.Errorf("an error of a tenth in one step moved the costs to %v, want about %v", got, want)
		}
	}
	if got == want {
		t.Error("a step was not looked at")
	}
	if _, ok := leastSquares(steps[:3], of); ok {
		t.Error("three steps told four costs apart")
	}
}
