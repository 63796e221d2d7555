//go:build unix

package replica

import "golang.org/x/sys/unix"

// freeBytes returns the space an ordinary user may still use on the disk of dir.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
