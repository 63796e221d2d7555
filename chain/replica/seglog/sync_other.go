//go:build !linux

package seglog

import "os"

// Datasync flushes the data of f and the metadata needed to read it back.
func Datasync(f *os.File) error { return f.Sync() }
