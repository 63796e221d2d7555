//go:build unix

package abe

import (
	"syscall"
	"time"
)

// cpu returns the processor time of this process so far, so that what else runs
// on the machine does not count.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
