package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/devnet"
)

// TestRollbackOfTheChainBetweenTwoRuns: the hospitals restore last week's
// backups, on which a revoked grant still holds. Everything that they show is
// certified, and every command is a new process: it must not take it for current.
func TestRollbackOfTheChainBetweenTwoRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a consortium three times")
	}
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	net, backup, wallets := filepath.Join(dir, "net"), filepath.Join(dir, "backup"), filepath.Join(dir, "wallets")
	start := func() *hospitals {
		d, err := devnet.New(ctx, devnet.Options{Dir: net, HTTP: true, Chain: "test.ward"})
		if err != nil {
			t.Fatal(err)
		}
		return &hospitals{Devnet: d}
	}
	end := func(h *hospitals) {
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte(testPassphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ward := func(args ...string) (string, int) {
		var out, stderr bytes.Buffer
		code := run(ctx, append(args, "--config", os.DevNull, "--wallets", wallets, "--passphrase-file", pass, "--consortium", filepath.Join(net, "consortium.json")), &out, &stderr, quickly)
		return out.String() + stderr.String(), code
	}

	h := start()
	names, err := h.enrol(ctx, wallets, "back")
	if err != nil {
		t.Fatal(err)
	}
	as := []string{"--as", names["PATIENT"]}
	end(h)
	copyPrivately(t, backup, net)

	h = start()
	w, err := quickFolder(filepath.Join(dir, "others", custodialDir), "test.ward")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []identity.Name{"p-1@east", "p-2@east"} {
		p, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Register(ctx, 0, name, p.Signer(), false); err != nil {
			t.Fatal(err)
		}
	}
	if said, code := ward(append(as, "identity", "show", "p-2@east")...); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	end(h)

	if err := os.RemoveAll(net); err != nil {
		t.Fatal(err)
	}
	copyPrivately(t, net, backup)
	h = start()
	defer end(h)
	for _, args := range [][]string{{"identity", "show"}, {"record", "list"}, {"chain", "checkpoint"}, {"chain", "export", "-o", filepath.Join(dir, "export"), "--as", names["PRIVACY"]}} {
		if said, code := ward(append(as, args...)...); code != exitFailure || !bytes.Contains([]byte(said), []byte("was set back")) {
			t.Errorf("%v: exit code %d\n%s", args, code, said)
		}
	}
	// Without the memory they are believed: it is what refused them.
	if err := os.Remove(seenFile(wallets, "test.ward").path); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(ctx, append(as, "identity", "show", "--config", os.DevNull, "--wallets", wallets, "--passphrase-file", pass, "--consortium", filepath.Join(net, "consortium.json")), &out, io.Discard, quickly); code != 0 {
		t.Errorf("without the memory: exit code %d", code)
	}
}

// copyPrivately copies a folder, whose files are then its owner's alone.
func copyPrivately(t *testing.T, to, from string) {
	t.Helper()
	err := os.CopyFS(to, os.DirFS(from))
	if err == nil {
		err = filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
			mode := fs.FileMode(0o600)
			if err == nil && d.IsDir() {
				mode = 0o700
			}
			return errors.Join(err, os.Chmod(path, mode))
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}
