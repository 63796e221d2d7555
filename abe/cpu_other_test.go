//go:build !unix

package abe

import "time"

var start = time.Now()

// cpu returns the time since the start: here the machine must be idle.
func cpu() time.Duration { return time.Since(start) }
