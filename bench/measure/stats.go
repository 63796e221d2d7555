package measure

import (
	"math"
	"slices"
)

// Summary is what a row shows of its samples: the median and the spread around
// it. Medians, because a machine that does something else for a moment only
// ever adds time.
type Summary struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	MAD    float64 `json:"mad"` // median of the distances from the median
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Summarize returns the summary of samples, which it leaves as they are. Of no
// samples it is the zero Summary.
func Summarize(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	s := slices.Clone(samples)
	slices.Sort(s)
	median := quantile(s, 0.5)
	distances := make([]float64, len(s))
	for i, x := range s {
		distances[i] = math.Abs(x - median)
	}
	slices.Sort(distances)
	return Summary{
		N: len(s), Median: median, MAD: quantile(distances, 0.5),
		Q1: quantile(s, 0.25), Q3: quantile(s, 0.75), Min: s[0], Max: s[len(s)-1],
	}
}

// Quantile returns the q-quantile of samples, 0 ≤ q ≤ 1, linear between
// neighbours; of no samples it is NaN.
func Quantile(samples []float64, q float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Clone(samples)
	slices.Sort(s)
	return quantile(s, q)
}

func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// Divide returns the quotients of two runs of samples, round by round. What
// disturbed a round disturbed both sides of it, so the quotients spread less
// than the samples. It returns nil if the two were not measured in the same
// rounds, or if something took nothing.
func Divide(a, b []float64) []float64 {
	if len(a) != len(b) {
		return nil
	}
	quotients := make([]float64, len(a))
	for i := range a {
		if b[i] <= 0 {
			return nil
		}
		quotients[i] = a[i] / b[i]
	}
	return quotients
}
