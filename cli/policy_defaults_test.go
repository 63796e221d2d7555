package cli

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/contract/consent"
)

const wholeDefault = `[night]
type = "clinical/exam"
policy = "role = nurse"
lasts = "90d"
purposes = ["TREAT", "HRESCH"]
except = ["clinical/exam/notes", "clinical/exam/hiv"]
obligations = ["NORDSCLCD", "delau"]
max-uses = 3
co-signers = "2=ward=icu"
co-signers-elsewhere = true
since = "2026-01-01"
through = "2026-12-31"
`

func TestDefaultsOfAFile(t *testing.T) {
	all, err := parseDefaults([]byte("[zeta]\ntype = \"a\"\npolicy = \"x\"\n" + wholeDefault))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Name != "night" || all[1].Name != "zeta" {
		t.Fatalf("%+v", all)
	}
	d := all[0]
	k := d.Conditions
	want := consent.CoSigners{Count: 2, Attribute: "ward", Value: "icu", Elsewhere: true}
	if d.Lasts != 90*day || k.CoSigners != want || k.MaxUses != 3 || k.Since == 0 || k.Until <= k.Since ||
		!slices.Equal(k.Obligations, []consent.Obligation{"DELAU", "NORDSCLCD"}) || k.Except[0] != "clinical/exam/hiv" || k.Purposes[0] != "HRESCH" {
		t.Errorf("%+v", d)
	}
}

func TestDefaultsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{`type = "clinical/exam"`, ``, "type needs a value"},
		{`"clinical/exam"`, `"Exam"`, "is no type of records"},
		{`policy = "role = nurse"`, ``, "policy needs a value"},
		{`"90d"`, `"long"`, "is no length of time"},
		{`"TREAT"`, `"SPYING"`, "is no purpose of use"},
		{`"HRESCH"`, `"TREAT"`, "out of range"},
		{`"clinical/exam/notes"`, `"labs"`, "is not below clinical/exam"},
		{`"delau"`, `"BENICE"`, "is no obligation"},
		{`max-uses = 3`, `max-uses = -1`, "line 8: "},
		{`co-signers = "2=ward=icu"`, ``, "co-signers needs a value"},
		{`"2=ward=icu"`, `"9"`, "is no number of co-signers"},
		{`"2026-01-01"`, `"new"`, "is no day"},
		{`"2026-12-31"`, `"2025-12-31"`, "out of range"},
		{`max-uses = 3`, `colour = "blue"`, `unknown setting "night.colour"`},
		{`[night]`, `[night`, "line 2: "},
	} {
		text := strings.Replace(wholeDefault, c.from, c.to, 1)
		if text == wholeDefault {
			t.Errorf("%s changes nothing", c.from)
			continue
		}
		if _, err := parseDefaults([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: %v, want %s", c.to, c.from, err, c.want)
		}
	}
	if _, err := parseDefaults([]byte("")); err != nil {
		t.Errorf("none at all: %v", err) // takes back all that was proposed
	}
	var many strings.Builder
	for i := range consent.MaxDefaults + 1 {
		many.WriteString("[d" + strings.Repeat("x", i) + "]\ntype = \"a\"\npolicy = \"x\"\n")
	}
	if _, err := parseDefaults([]byte(many.String())); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too many: %v", err)
	}
}

// FuzzDefaults: no text makes it panic, and what it takes the contract can encode.
func FuzzDefaults(f *testing.F) {
	page, err := os.ReadFile("../docs/how-to/care-teams.md")
	if err != nil {
		f.Fatal(err)
	}
	shown := regexp.MustCompile(`(?s)defaults\.toml <<'END'\n(.*?)END\n`).FindSubmatch(page)
	if shown == nil {
		f.Fatal("the page shows no file")
	}
	f.Add(shown[1])
	f.Add([]byte(wholeDefault))
	f.Add([]byte("[a]\nlasts = \"9999999y\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseDefaults(text)
		if err != nil {
			return
		}
		for i, d := range all {
			if _, err := d.Conditions.Bytes(); err != nil || d.Policy == "" || d.Type == "" || d.Lasts < 0 || i > 0 && all[i-1].Name >= d.Name {
				t.Errorf("%+v: %v", d, err)
			}
		}
	})
}
