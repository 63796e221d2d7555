//go:build !linux

package seglog

import "os"

// Datasync flushes the data of f and the metadata needed to read it back.
func Datasync(f *os.File) error { return f.Sync() }

// uncache does nothing: not every system takes the hint.
func uncache(*os.File, int64) {}
