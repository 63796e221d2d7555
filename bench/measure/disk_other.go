//go:build !linux && !darwin

package measure

import "errors"

// FreeDisk returns how many bytes are free on the disk that holds dir.
func FreeDisk(string) (float64, error) {
	return 0, errors.New("free disk: not known on this system")
}
