//go:build linux || darwin

package fs

import (
	"fmt"
	"syscall"
)

// Free returns the free space in bytes on the disk of the store, or an error
// matching errors.ErrUnsupported where the system is not asked for it.
func (s *Store) Free() (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.root, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", s.root, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
