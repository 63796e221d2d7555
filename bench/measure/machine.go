package measure

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Machine is where a run took place, as far as it matters to its figures.
type Machine struct {
	OS        string `json:"os"`
	Arch      string `json:"arch"`
	CPU       string `json:"cpu"`
	CPUs      int    `json:"cpus"`
	MemoryMiB int    `json:"memory_mib,omitempty"`
	Kernel    string `json:"kernel,omitempty"`
	Load      string `json:"load,omitempty"` // averages when the run began
	Go        string `json:"go"`
}

// ThisMachine describes the machine. What the system does not tell is left out.
func ThisMachine() Machine {
	return Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		CPU:       field("/proc/cpuinfo", "model name"),
		MemoryMiB: kib(field("/proc/meminfo", "MemTotal")) / 1024,
		Kernel:    firstWords("/proc/sys/kernel/osrelease", 1),
		Load:      firstWords("/proc/loadavg", 3),
	}
}

func field(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close() // only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kib(s string) (n int) {
	for _, c := range strings.TrimSuffix(s, " kB") {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	return n
}

func firstWords(file string, n int) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	words := strings.Fields(string(b))
	return strings.Join(words[:min(n, len(words))], " ")
}

// ModuleVersion returns the version of a Go module that is linked in, or "".
func ModuleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}
