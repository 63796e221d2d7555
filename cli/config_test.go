package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// TestEverySettingIsAFlag of some command, with a variable of the usual name.
func TestEverySettingIsAFlag(t *testing.T) {
	s := &session{ui: newUI(nil, nil), offer: (*session).commands}
	app := s.app()
	for _, one := range settings {
		f := findFlag(one.name, app.Flags, app.Commands)
		if f == nil {
			t.Errorf("no command has a flag --%s", one.name)
			continue
		}
		if d := describe(append(app.Flags[:0:0], f)); d[0].Variable != variableName(one.name) {
			t.Errorf("--%s has variable %s", one.name, d[0].Variable)
		}
	}
}

// FuzzSetLine: what comes out is TOML in which one value changed, and no line
// but one.
func FuzzSetLine(f *testing.F) {
	for _, text := range []string{"", "a = 1", "# x\nlang = \"en\"\n\n[contexts.a]\nlang = 'zh' # y\n[contexts.b]\n", "contexts.a.lang = \"x\"", "x = [\n1,\n]\n", "[ contexts . \"a\" ]\n"} {
		f.Add(text, "contexts.a", "lang", "v")
		f.Add(text, "", "lang", "\x00\"\n")
	}
	f.Fuzz(func(t *testing.T, text, table, key, value string) {
		if table != "" && (!validContext(strings.TrimPrefix(table, "contexts.")) || !strings.HasPrefix(table, "contexts.")) || settingNamed(key) == nil {
			return
		}
		out, err := setLine(text, table, key, value)
		if err != nil {
			return
		}
		var tree map[string]any
		if _, err := toml.Decode(out, &tree); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		for _, name := range strings.FieldsFunc(table, func(r rune) bool { return r == '.' }) {
			tree = tree[name].(map[string]any)
		}
		if got := tree[key]; fmt.Sprint(got) != value {
			t.Fatalf("%q has %q, want %q", out, got, value)
		}
		lost := 0
		for _, line := range strings.Split(text, "\n") {
			if strings.TrimSpace(line) != "" && !strings.Contains(out, line) {
				lost++
			}
		}
		if lost > 1 {
			t.Fatalf("%d lines of %q are not in %q", lost, text, out)
		}
	})
}

func FuzzConfiguration(f *testing.F) {
	f.Add("context = \"a\"\n[contexts.a]\ndir = \"x\"\nmetrics-from = [\"10.0.0.0/8\"]\n")
	f.Add("contexts = 1")
	f.Add("dir = [1]")
	f.Fuzz(func(t *testing.T, text string) {
		c := &configuration{path: "config.toml", text: text}
		chosen, err := c.parse()
		if err == nil {
			_ = c.choose(chosen)
			c.get("dir")
		}
	})
}
