package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestPassphrasesAreDear: what Ward itself seals takes a second of work with
// every guess, in wallets, copies, folders and vaults. (The program of the other
// tests does without.)
func TestPassphrasesAreDear(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of scrypt")
	}
	t.Parallel()
	dir := t.TempDir()
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte(testPassphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, []byte("passphrase-file = \"pass\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	consortium := filepath.Join(dir, "consortium.json")
	for _, args := range [][]string{
		{"node", "init", "--dir", filepath.Join(dir, "node"), "--name", "north", "--url", "https://127.0.0.1:1"},
		{"consortium", "create", "--chain", "test.ward", "--out", consortium, filepath.Join(dir, "node", cardFile)},
		{"wallet", "new", "p@north", "--wallets", dir, "--consortium", consortium},
		{"wallet", "new", "q@north", "--wallets", dir, "--consortium", consortium, "--custodial"},
		{"wallet", "backup", "p@north", "--wallets", dir, "-o", filepath.Join(dir, "copy"), "--backup-passphrase-file", pass},
	} {
		var stderr bytes.Buffer
		if code := Run(context.Background(), append(args, "--config", config), io.Discard, &stderr); code != 0 {
			t.Fatalf("%v: exit code %d\n%s", args, code, stderr.String())
		}
	}
	for _, file := range []string{"node/vault/key.age", "p@north.wallet", "custodial/folder", "copy"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
			continue
		}
		_, rest, found := bytes.Cut(b, []byte("-> scrypt "))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if !found || !bytes.HasSuffix(line, []byte(" 18")) {
			t.Errorf("%s is sealed with %q", file, line)
		}
	}
}
