//go:build !linux && !darwin

package fs

import "errors"

// Free returns the free space in bytes on the disk of the store, or an error
// matching errors.ErrUnsupported where the system is not asked for it.
func (s *Store) Free() (int64, error) { return 0, errors.ErrUnsupported }
