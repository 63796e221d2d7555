package vault_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node/vault"
)

var (
	passphrase = []byte("correct horse battery staple")
	quick      = vault.Options{WorkFactor: 2}
)

func create(t *testing.T) (string, *vault.Vault) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vault")
	v, err := vault.Create(dir, passphrase, quick)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return dir, v
}

func put(t *testing.T, v *vault.Vault, kind vault.Kind, name string, secret []byte) {
	t.Helper()
	if err := v.Put(kind, name, secret); err != nil {
		t.Fatal(err)
	}
}

func wantSecret(t *testing.T, v *vault.Vault, kind vault.Kind, name string, want []byte) {
	t.Helper()
	got, err := v.Get(kind, name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s %s: got %d other bytes", kind, name, len(got))
	}
}

// files returns the files of a vault below dir, the lock excepted.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.Contains(d.Name(), "lock") {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("no files")
	}
	return list
}

func TestSecretsSurviveReopening(t *testing.T) {
	dir, v := create(t)
	big := make([]byte, 3<<20)
	rand.Read(big)
	put(t, v, vault.Identity, "1", []byte("share"))
	put(t, v, vault.Grant, "g-abc.1", []byte("another"))
	put(t, v, vault.Ceremony, "1", big)
	put(t, v, vault.NodeKey, "empty", nil)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := vault.Open(dir, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	wantSecret(t, again, vault.Identity, "1", []byte("share"))
	wantSecret(t, again, vault.Grant, "g-abc.1", []byte("another"))
	wantSecret(t, again, vault.Ceremony, "1", big)
	wantSecret(t, again, vault.NodeKey, "empty", nil)
	if got := again.Names(vault.Grant); !slices.Equal(got, []string{"g-abc.1"}) || again.Count(vault.Grant) != 1 || !again.Has(vault.Grant, "g-abc.1") {
		t.Errorf("names of grants: %q", got)
	}
}

func TestErasedSecretIsGone(t *testing.T) {
	dir, v := create(t)
	put(t, v, vault.Grant, "g-abc.1", []byte("share"))
	put(t, v, vault.Grant, "g-def.1", []byte("share"))
	if err := v.Delete(vault.Grant, "g-abc.1"); err != nil {
		t.Fatal(err)
	}
	if err := v.Delete(vault.Grant, "g-abc.1"); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if _, err := v.Get(vault.Grant, "g-abc.1"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if v.Erased() != 1 || v.Count(vault.Grant) != 1 {
		t.Errorf("erased %d, %d left", v.Erased(), v.Count(vault.Grant))
	}
	for _, f := range files(t, dir) {
		if strings.Contains(f, "g-abc") {
			t.Errorf("%s is still there", f)
		}
	}
}

func TestSecretsAreWrittenOnceButCeremonies(t *testing.T) {
	_, v := create(t)
	put(t, v, vault.Identity, "1", []byte("share"))
	put(t, v, vault.Identity, "1", []byte("share"))
	if err := v.Put(vault.Identity, "1", []byte("other")); !errors.Is(err, vault.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	wantSecret(t, v, vault.Identity, "1", []byte("share"))
	put(t, v, vault.Ceremony, "1", []byte("before"))
	put(t, v, vault.Ceremony, "1", []byte("after"))
	wantSecret(t, v, vault.Ceremony, "1", []byte("after"))
}

func TestWrongPassphrase(t *testing.T) {
	dir, v := create(t)
	v.Close()
	for _, wrong := range []string{"", "correct horse battery stapl", "correct horse battery staple ", "Correct horse battery staple"} {
		if _, err := vault.Open(dir, []byte(wrong)); !errors.Is(err, vault.ErrPassphrase) {
			t.Errorf("%q: got %v, want ErrPassphrase", wrong, err)
		}
	}
	again, err := vault.Open(dir, passphrase)
	if err != nil {
		t.Fatalf("failed attempts must leave the vault as it was: %v", err)
	}
	again.Close()
}

func TestNoVaultWithoutPassphrase(t *testing.T) {
	if _, err := vault.Create(t.TempDir(), nil, quick); err == nil {
		t.Error("a vault was created without a passphrase")
	}
}

func TestChangedPassphrase(t *testing.T) {
	dir, v := create(t)
	put(t, v, vault.Identity, "1", []byte("share"))
	if err := v.Rekey([]byte("new"), quick); err != nil {
		t.Fatal(err)
	}
	wantSecret(t, v, vault.Identity, "1", []byte("share"))
	v.Close()
	if _, err := vault.Open(dir, passphrase); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("the old one: got %v, want ErrPassphrase", err)
	}
	again, err := vault.Open(dir, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	wantSecret(t, again, vault.Identity, "1", []byte("share"))
}

// TestEveryFlippedBitIsNoticed flips each bit of every file in turn.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	dir, v := create(t)
	put(t, v, vault.Identity, "1", []byte("a share of 32 bytes, more or less"))
	v.Close()
	for _, path := range files(t, dir) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			for _, bit := range []byte{1, 0x10, 0x80} {
				bad := bytes.Clone(data)
				bad[i] ^= bit
				if err := durable.WriteSecret(path, bad); err != nil {
					t.Fatal(err)
				}
				if secret, err := openAndGet(dir); err == nil {
					t.Fatalf("%s: bit %#x of byte %d flipped, and %q opens", filepath.Base(path), bit, i, secret)
				}
			}
		}
		for _, n := range []int{0, 1, len(data) / 2, len(data) - 1} {
			if err := durable.WriteSecret(path, data[:n]); err != nil {
				t.Fatal(err)
			}
			if _, err := openAndGet(dir); err == nil {
				t.Fatalf("%s cut to %d bytes opens", filepath.Base(path), n)
			}
		}
		if err := durable.WriteSecret(path, append(bytes.Clone(data), 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := openAndGet(dir); err == nil {
			t.Fatalf("%s with a byte more opens", filepath.Base(path))
		}
		if err := durable.WriteSecret(path, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openAndGet(dir); err != nil {
		t.Fatalf("restored: %v", err)
	}
}

func openAndGet(dir string) ([]byte, error) {
	v, err := vault.Open(dir, passphrase)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return v.Get(vault.Identity, "1")
}

func wantDamage(t *testing.T, err error) {
	t.Helper()
	var damage *vault.DamageError
	if !errors.As(err, &damage) {
		t.Errorf("got %v, want a DamageError", err)
	}
}

// TestSwappedFilesDoNotOpen exchanges the shares of two grants, of two kinds,
// and of two vaults.
func TestSwappedFilesDoNotOpen(t *testing.T) {
	dir, v := create(t)
	put(t, v, vault.Identity, "1", []byte("identity 1"))
	put(t, v, vault.Identity, "2", []byte("identity 2"))
	put(t, v, vault.Checkpoint, "1", []byte("checkpoint 1"))
	find := func(dir, kind, name string) string {
		for _, f := range files(t, dir) {
			if strings.Contains(f, string(filepath.Separator)+kind+string(filepath.Separator)) && filepath.Base(f) == name {
				return f
			}
		}
		t.Fatalf("no file for %s %s", kind, name)
		return ""
	}
	swap := func(a, b string) {
		x, err := os.ReadFile(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := durable.WriteSecret(b, x); err != nil {
			t.Fatal(err)
		}
	}
	original, _ := os.ReadFile(find(dir, "identity", "2"))
	swap(find(dir, "identity", "1"), find(dir, "identity", "2"))
	_, err := v.Get(vault.Identity, "2")
	wantDamage(t, err)
	swap(find(dir, "checkpoint", "1"), find(dir, "identity", "2"))
	_, err = v.Get(vault.Identity, "2")
	wantDamage(t, err)

	// The same name in another vault, under the same passphrase.
	other, w := create(t)
	put(t, w, vault.Identity, "2", []byte("identity 2 of another vault"))
	swap(find(other, "identity", "2"), find(dir, "identity", "2"))
	_, err = v.Get(vault.Identity, "2")
	wantDamage(t, err)

	if err := durable.WriteSecret(find(dir, "identity", "2"), original); err != nil {
		t.Fatal(err)
	}
	wantSecret(t, v, vault.Identity, "2", []byte("identity 2"))
}

// TestOldKeyFileOpensNothingOfANewVault puts back the key file of a vault that
// was made anew under the same passphrase.
func TestOldKeyFileOpensNothingOfANewVault(t *testing.T) {
	old, v := create(t)
	put(t, v, vault.Identity, "1", []byte("old"))
	v.Close()
	dir, w := create(t)
	put(t, w, vault.Identity, "1", []byte("new"))
	w.Close()
	key, err := os.ReadFile(filepath.Join(old, "key.age"))
	if err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteSecret(filepath.Join(dir, "key.age"), key); err != nil {
		t.Fatal(err)
	}
	_, err = openAndGet(dir)
	wantDamage(t, err)
}

// TestOldFileIsTheSecretItWas puts an erased share back. A vault cannot tell; it
// promises that what comes back is what was erased, and nothing else. Who may be
// answered with it is for the chain to say: see TestErasedShareThatComesBack in
// package node.
func TestOldFileIsTheSecretItWas(t *testing.T) {
	dir, v := create(t)
	put(t, v, vault.Identity, "1", []byte("share"))
	path := files(t, filepath.Join(dir, "identity"))[0]
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Delete(vault.Identity, "1"); err != nil {
		t.Fatal(err)
	}
	v.Close()
	if err := durable.WriteSecret(path, old); err != nil {
		t.Fatal(err)
	}
	if secret, err := openAndGet(dir); err != nil || string(secret) != "share" {
		t.Errorf("got %q, %v", secret, err)
	}
}

func TestDamagedSecretCanBeWrittenAgain(t *testing.T) {
	dir, v := create(t)
	put(t, v, vault.Identity, "1", []byte("share"))
	path := files(t, filepath.Join(dir, "identity"))[0]
	if err := durable.WriteSecret(path, []byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	_, err := v.Get(vault.Identity, "1")
	wantDamage(t, err)
	put(t, v, vault.Identity, "1", []byte("share"))
	wantSecret(t, v, vault.Identity, "1", []byte("share"))
}

func TestStrangersFilesAreRefused(t *testing.T) {
	dir, v := create(t)
	put(t, v, vault.Identity, "1", []byte("share"))
	v.Close()
	path := files(t, filepath.Join(dir, "identity"))[0]
	moved := filepath.Join(dir, "identity", "zz", "1")
	if err := os.MkdirAll(filepath.Dir(moved), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	_, err := vault.Open(dir, passphrase)
	wantDamage(t, err)
}

func TestExposedFilesAreRefused(t *testing.T) {
	for _, kind := range []string{"key.age", "identity"} {
		dir, v := create(t)
		put(t, v, vault.Identity, "1", []byte("share"))
		v.Close()
		path := files(t, filepath.Join(dir, kind))[0]
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := openAndGet(dir); !errors.Is(err, durable.ErrExposed) {
			t.Errorf("%s readable by the group: got %v, want ErrExposed", kind, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, path+"2"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path+"2", path); err != nil {
			t.Fatal(err)
		}
		if _, err := openAndGet(dir); err == nil {
			t.Errorf("%s as a symbolic link opens", kind)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir, v := create(t)
	if _, err := vault.Open(dir, passphrase); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := v.Get(vault.Identity, "1"); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := v.Put(vault.Identity, "1", nil); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if _, err := vault.Create(dir, passphrase, quick); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over another: %v", err)
	}
	if _, err := vault.Open(t.TempDir(), passphrase); !errors.Is(err, vault.ErrNoVault) {
		t.Errorf("got %v, want ErrNoVault", err)
	}
}

func TestNamesThatAreNoFileNames(t *testing.T) {
	_, v := create(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "A", "a b", "a\x00", ".x", strings.Repeat("a", 101)} {
		if err := v.Put(vault.Identity, name, nil); err == nil {
			t.Errorf("%q was stored", name)
		}
		if _, err := v.Get(vault.Identity, name); err == nil || errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%q was looked up: %v", name, err)
		}
	}
	if err := v.Put("other", "a", nil); err == nil {
		t.Error("a secret of no kind was stored")
	}
}

// TestNoSecretOnDiskInTheClear looks for what was stored in everything written.
func TestNoSecretOnDiskInTheClear(t *testing.T) {
	dir, v := create(t)
	canary := []byte("canary-7e1f0c")
	put(t, v, vault.NodeKey, "1", canary)
	put(t, v, vault.Ceremony, "1", bytes.Repeat(canary, 1000))
	for _, f := range files(t, dir) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, canary) || bytes.Contains(data, passphrase) {
			t.Errorf("%s holds a secret in the clear", f)
		}
		if info, _ := os.Stat(f); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f, info.Mode())
		}
	}
}
