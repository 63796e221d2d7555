package workflow

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ward-health/ward/contract/identity"
)

const (
	dayMillis = 24 * 60 * 60 * 1000
	maxNumber = 1<<53 - 1                    // every number that programs in other languages hold exactly
	maxTime   = 253402300799999              // the end of the year 9999
	maxScale  = 9                            // digits after the point
	layout    = "2006-01-02T15:04:05.999Z07" // of times that people enter; dates are the first ten characters
)

// Int returns a number, or a list of numbers.
func Int(n ...int64) Value { return Value{Ints: n} }

// Text returns a code or a name, or a list of them.
func Text(s ...string) Value { return Value{Texts: s} }

// Bool returns a boolean.
func Bool(v bool) Value {
	if v {
		return Int(1)
	}
	return Int(0)
}

// Get returns the value of a field in a list, and whether it is there.
func Get(fields []Field, name string) (Value, bool) {
	i, ok := slices.BinarySearchFunc(fields, name, func(f Field, name string) int { return strings.Compare(f.Name, name) })
	if !ok {
		return Value{}, false
	}
	return fields[i].Value, true
}

// Sorted returns fields in the order in which transactions carry them. It leaves
// the list as it was.
func Sorted(fields []Field) []Field {
	out := slices.Clone(fields)
	slices.SortStableFunc(out, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (t Type) textual() bool { return t == TypeCode || t == TypeIdentity }

// Allows reports whether v can be entered: its form and bounds. That an identity
// is registered and has the role is for the chain to say.
func (f *FieldRule) Allows(v Value) bool {
	n := len(v.Ints) + len(v.Texts)
	if f.Type.textual() && len(v.Ints) > 0 || !f.Type.textual() && len(v.Texts) > 0 || n < 1 || n > MaxList || !f.Many && n != 1 {
		return false
	}
	for _, i := range v.Ints {
		if !f.Type.holdsInt(i) || f.Type != TypeBool && (i < f.Min || i > f.Max) {
			return false
		}
	}
	for _, s := range v.Texts {
		if !f.Type.holdsText(s) || f.Values != nil && !slices.Contains(f.Values, s) {
			return false
		}
	}
	return true
}

func (t Type) holdsInt(i int64) bool {
	switch t {
	case TypeInt, TypeDecimal:
		return -maxNumber <= i && i <= maxNumber
	case TypeBool:
		return i == 0 || i == 1
	case TypeTime:
		return 0 <= i && i <= maxTime
	case TypeDate:
		return 0 <= i && i <= maxTime && i%dayMillis == 0
	}
	return false
}

func (t Type) holdsText(s string) bool {
	switch t {
	case TypeCode:
		return len(s) > 0 && len(s) <= MaxCode && codeChars(s, "")
	case TypeIdentity:
		_, err := identity.ParseName(s)
		return err == nil
	}
	return false
}

// codeChars reports whether s has only what codes are made of, and extra.
func codeChars(s, extra string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.Contains("._:/+-"+extra, string(c)) {
			return false
		}
	}
	return true
}

// zero is what a field that was not given, or a variable without an initial
// value, is taken for.
func (t Type) zero() Value {
	if t.textual() {
		return Text("")
	}
	return Int(0)
}

// Parse reads what people write: numbers with a point, true or false, dates as
// 2026-11-30, times as RFC 3339, lists with commas. It reports whether s is a
// value that can be entered.
func (f *FieldRule) Parse(s string) (Value, bool) {
	parts := []string{s}
	if f.Many {
		parts = strings.Split(s, ",")
	}
	var v Value
	for _, p := range parts {
		p = strings.TrimSpace(p)
		if f.Type.textual() {
			v.Texts = append(v.Texts, p)
			continue
		}
		i, ok := f.Type.parse(p, f.Scale)
		if !ok {
			return Value{}, false
		}
		v.Ints = append(v.Ints, i)
	}
	return v, f.Allows(v)
}

// strictTime is the form of a time: time.Parse takes more than RFC 3339 has.
var strictTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func (t Type) parse(s string, scale int) (int64, bool) {
	switch t {
	case TypeBool:
		return map[string]int64{"true": 1}[s], s == "true" || s == "false"
	case TypeDate:
		d, err := time.Parse(time.DateOnly, s)
		return d.UnixMilli(), err == nil
	case TypeTime:
		d, err := time.Parse(time.RFC3339, s)
		return d.UnixMilli(), err == nil && strictTime.MatchString(s)
	}
	return parseDecimal(s, scale)
}

// Format is the reverse of Parse.
func (f *FieldRule) Format(v Value) string { return f.Type.format(v, f.Scale) }

// Format shows the variable's value as FieldRule.Format does; "" for one that
// was never set.
func (v *Variable) Format(value Value) string { return v.Type.format(value, v.Scale) }

func (t Type) format(v Value, scale int) string {
	out := slices.Clone(v.Texts)
	for _, i := range v.Ints {
		switch t {
		case TypeBool:
			out = append(out, strconv.FormatBool(i != 0))
		case TypeDate:
			out = append(out, time.UnixMilli(i).UTC().Format(time.DateOnly))
		case TypeTime:
			out = append(out, time.UnixMilli(i).UTC().Format(layout))
		default:
			out = append(out, formatDecimal(i, scale))
		}
	}
	return strings.Join(out, ",")
}

// parseDecimal reads a number with at most scale digits after the point and
// returns it in units of its last digit.
func parseDecimal(s string, scale int) (int64, bool) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, part, point := strings.Cut(digits, ".")
	if whole == "" || point && part == "" || len(part) > scale || len(whole) > 1 && whole[0] == '0' || len(whole)+scale > 18 {
		return 0, false
	}
	v := int64(0)
	for _, c := range []byte(whole + part + strings.Repeat("0", scale-len(part))) {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if negative {
		v = -v
	}
	return v, v != math.MinInt64 && (v != 0 || !negative)
}

// formatDecimal writes a number of units of its last digit, of scale, without
// zeros at its end.
func formatDecimal(v int64, scale int) string {
	if scale == 0 {
		return strconv.FormatInt(v, 10)
	}
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	s := strconv.FormatInt(v, 10)
	if len(s) <= scale {
		s = strings.Repeat("0", scale+1-len(s)) + s
	}
	whole, part := s[:len(s)-scale], strings.TrimRight(s[len(s)-scale:], "0")
	if part == "" {
		return sign + whole
	}
	return sign + whole + "." + part
}
