package cli

import (
	"flag"
	"math"
	"runtime/debug"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

func TestParseMemory(t *testing.T) {
	for s, want := range map[string]int64{
		"320MiB": 320 << 20, "1GiB": 1 << 30, "1048575GiB": 1048575 << 30, "off": math.MaxInt64,
		"": 0, "320": 0, "320MB": 0, "0MiB": 0, "-1MiB": 0, "+1MiB": 0, "01MiB": 0, "1.5GiB": 0, "MiB": 0, "1048576GiB": 0, "1 GiB": 0,
	} {
		got, ok := parseMemory(s)
		if ok != (want != 0) || ok && got != want {
			t.Errorf("%q is %d, %v", s, got, ok)
		}
	}
}

func FuzzParseMemory(f *testing.F) {
	for _, s := range []string{"320MiB", "1GiB", "off", "", "99999999999999999999GiB", "1MiBGiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, ok := parseMemory(s); ok && n < 1<<20 {
			t.Errorf("%q is %d", s, n)
		}
	})
}

// TestMemoryLimit: the default holds unless the flag or, without the flag,
// GOMEMLIMIT says otherwise.
func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	for _, tt := range []struct {
		env, given string
		want       int64
	}{
		{"", "", 448 << 20},
		{"", "1GiB", 1 << 30},
		{"", "off", math.MaxInt64},
		{"900MiB", "", before},
		{"900MiB", "512MiB", 512 << 20},
	} {
		t.Setenv("GOMEMLIMIT", tt.env)
		set := flag.NewFlagSet("run", flag.ContinueOnError)
		set.String(memoryFlag, memoryDefault, "")
		var args []string
		if tt.given != "" {
			args = []string{"-" + memoryFlag, tt.given}
		}
		if err := set.Parse(args); err != nil {
			t.Fatal(err)
		}
		undo, err := limitMemory(urfave.NewContext(urfave.NewApp(), set, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := debug.SetMemoryLimit(-1); got != tt.want {
			t.Errorf("GOMEMLIMIT %q, flag %q: %d, want %d", tt.env, tt.given, got, tt.want)
		}
		undo()
		if got := debug.SetMemoryLimit(-1); got != before {
			t.Errorf("afterwards it is %d, want %d", got, before)
		}
	}
}
