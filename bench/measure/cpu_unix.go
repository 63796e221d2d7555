//go:build unix

package measure

import (
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time that this process has used so far, in user
// and in kernel mode, with all its threads. Processes that it started are not
// in it; see CPUOfChildren.
func CPU() time.Duration { return usage(unix.RUSAGE_SELF) }

// CPUOfChildren returns the processor time of the processes that this one
// started and that have ended and been waited for.
func CPUOfChildren() time.Duration { return usage(unix.RUSAGE_CHILDREN) }

func usage(who int) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		panic(err) // not possible with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
