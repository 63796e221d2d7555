//go:build !linux

package fs

import (
	"testing"

	"github.com/ward-health/ward/store"
)

func failWrites(t *testing.T, _ int64) (store.Store, func()) {
	t.Skip("small disks are only made on Linux")
	return nil, nil
}
