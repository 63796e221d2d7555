package mem

import (
	"bytes"
	"testing"

	"go.uber.org/goleak"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	storetest.Test(t, storetest.Harness{
		Open: func(t *testing.T) store.Store { return New() },
		Damage: func(t *testing.T, s store.Store, ref store.Ref, edit func([]byte) []byte) {
			m := s.(*Store)
			m.mu.Lock()
			defer m.mu.Unlock()
			b := m.blobs[ref]
			b.data = edit(bytes.Clone(b.data))
			m.blobs[ref] = b
		},
	})
}
