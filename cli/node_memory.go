package cli

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// memoryFlag and memoryDefault say how much memory the node aims to need. A
// member with 10^6 transactions has a heap of less than that which is in use,
// and needs what the database maps of its files besides.
const (
	memoryFlag    = "memory-limit"
	memoryDefault = "448MiB"
)

// limitMemory tells the collector how much memory the node aims to need, until
// it is undone: nearer to that, it collects more often. It is no hard limit: what
// is in use stays. GOMEMLIMIT, as Go has it, counts unless the flag is given.
func limitMemory(c *urfave.Context) (undo func(), err error) {
	n, ok := parseMemory(c.String(memoryFlag))
	if !ok {
		return nil, usagef("%s does not take %q", memoryFlag, c.String(memoryFlag)).withHint("give a size such as 448MiB or 1GiB, or off")
	}
	if os.Getenv("GOMEMLIMIT") != "" && !c.IsSet(memoryFlag) {
		return func() {}, nil
	}
	before := debug.SetMemoryLimit(n)
	return func() { debug.SetMemoryLimit(before) }, nil
}

// parseMemory reads a size in MiB or GiB, or "off".
func parseMemory(s string) (int64, bool) {
	if s == "off" {
		return math.MaxInt64, true
	}
	for unit, bits := range map[string]int{"MiB": 20, "GiB": 30} {
		if digits, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.ParseUint(digits, 10, 20)
			return int64(n) << bits, err == nil && n > 0 && digits[0] != '0' && digits[0] != '+'
		}
	}
	return 0, false
}
