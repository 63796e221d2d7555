package report

import (
	"math"
	"strconv"
)

type scale struct {
	factor float64
	name   string
}

var scales = map[string][]scale{
	"s":   {{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}, {1e-9, "ns"}},
	"B":   {{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1e5, ""}, {1, "B"}},
	"B/s": {{1e9, "GB/s"}, {1e6, "MB/s"}, {1e3, "kB/s"}, {1, "B/s"}},
	"1/s": {{1e3, "k/s"}, {1, "/s"}},
}

// FormatValue writes a value in its unit, with three digits that count. Sizes
// up to 100,000 bytes are exact.
func FormatValue(v float64, unit string) string {
	for _, s := range scales[unit] {
		if s.name == "" { // the limit between exact bytes and larger units
			if math.Abs(v) < s.factor {
				continue
			}
			return digits(v/(1<<10)) + " KiB"
		}
		if math.Abs(v) >= s.factor*0.9995 {
			if s.name == "B" {
				return strconv.FormatFloat(v, 'f', -1, 64) + " B"
			}
			return digits(v/s.factor) + " " + s.name
		}
	}
	if s := scales[unit]; len(s) > 0 {
		last := s[len(s)-1]
		return digits(v/last.factor) + " " + last.name
	}
	if unit == "" {
		return digits(v)
	}
	return digits(v) + " " + unit
}

// digits writes a number with three significant digits, without an exponent.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a == 0 || a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return trim(strconv.FormatFloat(v, 'f', 1, 64))
	case a >= 0.9995:
		return trim(strconv.FormatFloat(v, 'f', 2, 64))
	default:
		return trim(strconv.FormatFloat(v, 'f', min(12, 2-int(math.Floor(math.Log10(a)))), 64))
	}
}

func trim(s string) string {
	if v, err := strconv.ParseFloat(s, 64); err == nil && v == math.Trunc(v) && math.Abs(v) < 1e6 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return s
}
