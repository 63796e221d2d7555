package replica

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// Badger is killed when the file of a new memtable has no byte yet.
func TestMemtableWithoutAByte(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	db, err := openKV(dir, medium{simulated: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("k"), []byte("v")) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00042.mem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err = openKV(dir, medium{simulated: true}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.db.View(func(txn *badger.Txn) error {
		_, err := txn.Get([]byte("k"))
		return err
	}); err != nil {
		t.Error(err)
	}
}
