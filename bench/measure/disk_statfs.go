//go:build linux || darwin

package measure

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// FreeDisk returns how many bytes are free on the disk that holds dir.
func FreeDisk(dir string) (float64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free disk of %s: %w", dir, err)
	}
	return float64(s.Bavail) * float64(s.Bsize), nil
}
