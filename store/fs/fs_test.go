package fs

import (
	"errors"
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

func TestZeroRefNamesNoDirectory(t *testing.T) {
	s := open(t)
	if err := s.makeShard(0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), store.Ref{}); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Stat: %v, want ErrNotFound", err)
	}
	if _, err := s.Open(t.Context(), store.Ref{}); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Open: %v, want ErrNotFound", err)
	}
	if err := s.Delete(t.Context(), store.Ref{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.shardDir(0)); err != nil {
		t.Fatalf("Delete of nothing removed a directory: %v", err)
	}
}
