package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// moment reads a point in time: a day such as 2026-12-31, a time such as
// 2026-12-31T18:00:00Z, or how far away it is, such as 12h, 30d, 6w or 1y. end
// says that a day means its end. "" is the zero time.
func moment(flag, s string, now time.Time, end bool) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		if end {
			t = t.AddDate(0, 0, 1).Add(-time.Millisecond)
		}
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if d, ok := span(s); ok {
		return now.Add(d), nil
	}
	return time.Time{}, usagef("flag %s: %q is no time", "--"+flag, s).withHint("write a day such as 2026-12-31, or how far away it is: 12h, 30d, 6w")
}

// span reads a length of time in hours, days, weeks or years.
func span(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
	if err != nil || n == 0 {
		return 0, false
	}
	units := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 'y': 365 * 24 * time.Hour}
	unit, ok := units[s[len(s)-1]]
	if !ok || n > 3650 && s[len(s)-1] != 'h' || n > 100 && s[len(s)-1] == 'y' {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// onDay reads a day as records are dated: in UTC. Relative ones count back.
func onDay(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil && t.Unix() >= 0 {
		return t, nil
	}
	if d, ok := span(s); ok {
		return now.Add(-d).UTC().Truncate(24 * time.Hour), nil
	}
	return time.Time{}, usagef("flag %s: %q is no day", "--"+flag, s).withHint("write a day such as 2026-12-31, or how long ago it was: 30d, 6w")
}

// parseType reads a type of records from the command line.
func parseType(flag, s string) (pre.Type, error) {
	t, err := pre.ParseType(s)
	if err != nil {
		return "", usagef("flag %s: %q is no type of records", "--"+flag, s).withHint("types look like clinical/exam/lab")
	}
	return t, nil
}

// parsePurpose reads a purpose of use.
func parsePurpose(flag, s string) (consent.Purpose, error) {
	p := consent.Purpose(strings.ToUpper(s))
	if !p.Valid() {
		return "", usagef("flag %s: %q is no purpose of use", "--"+flag, s).withHint("codes are those of HL7 v3 PurposeOfUse, such as TREAT, HRESCH or BTG")
	}
	return p, nil
}

// recordID reads the id of a record.
func recordID(s string) (record.ID, error) {
	id, err := record.ParseID(s)
	if err != nil {
		return "", usagef("%q is no id of a record", s).withHint("ids look like r-abc…; `ward record list` shows them")
	}
	return id, nil
}

// grantID reads the id of a grant.
func grantID(s string) (consent.GrantID, error) {
	id, err := consent.ParseID(s)
	if err != nil {
		return "", usagef("%q is no id of a grant", s).withHint("ids look like g-abc…; `ward grant list` shows them")
	}
	return id, nil
}

// clockTime is how people see a time: theirs, to the minute.
func clockTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

// atMillis returns a time as the contracts count it: the zero time for 0.
func atMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// pointer returns nil for the zero time, which JSON then leaves out.
func pointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
