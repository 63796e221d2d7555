package fs

import (
	"os"
	"testing"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/storetest"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func damage(t *testing.T, s store.Store, ref store.Ref, edit func([]byte) []byte) {
	t.Helper()
	path := s.(*Store).path(ref)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	storetest.Test(t, storetest.Harness{
		Open:       func(t *testing.T) store.Store { return open(t) },
		Damage:     damage,
		FailWrites: failWrites,
	})
}
