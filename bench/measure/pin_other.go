//go:build !linux

package measure

import "errors"

// Pin is possible only on Linux.
func Pin() (processor int, undo func() error, err error) {
	return 0, nil, errors.New("cannot tie a process to a processor on this system")
}
