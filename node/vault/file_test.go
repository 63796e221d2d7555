package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestFileVector pins the bytes of SPEC.md: a file written by the first release
// opens for ever.
func TestFileVector(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "share.vault"))
	if err != nil {
		t.Fatal(err)
	}
	keyFile, err := os.ReadFile(filepath.Join("testdata", "key.age"))
	if err != nil {
		t.Fatal(err)
	}
	id, key, err := openKey(keyFile, []byte("vector"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := openFile(&key, id, Grant, "g-abc.7", data)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "the secret of the vector" {
		t.Errorf("got %q", got)
	}
}

// FuzzOpenFile takes its good file from disk: the workers of the fuzzer are
// processes of their own, and sealing anew gives each another nonce.
func FuzzOpenFile(f *testing.F) {
	good, err := os.ReadFile(filepath.Join("testdata", "share.vault"))
	if err != nil {
		f.Fatal(err)
	}
	keyFile, err := os.ReadFile(filepath.Join("testdata", "key.age"))
	if err != nil {
		f.Fatal(err)
	}
	id, key, err := openKey(keyFile, []byte("vector"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		secret, err := openFile(&key, id, Grant, "g-abc.7", data)
		if (err == nil) != bytes.Equal(data, good) {
			t.Errorf("%x opens to %q, %v", data, secret, err)
		}
	})
}

func FuzzOpenKey(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("testdata", "key.age"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:50])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxKeyFile || bytes.Contains(b, []byte("scrypt")) && !bytes.Equal(b, data) {
			return // scrypt of another cost would be the only thing that runs
		}
		if _, _, err := openKey(b, []byte("vector")); err == nil && !bytes.Equal(b, data) {
			t.Errorf("%x opens", b)
		}
	})
}
