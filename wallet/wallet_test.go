package wallet

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/pre/insecuretrusteddealer"
)

const (
	testChain = "records.example"
	patient   = identity.Name("p-7f3a@north")
	quick     = 4 // work factor in tests
)

var pass = []byte("correct horse battery staple")

func generate(t testing.TB, name identity.Name) *Wallet {
	t.Helper()
	w, err := Generate(testChain, name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// stored returns a wallet in a file.
func stored(t testing.TB) (*Wallet, string) {
	t.Helper()
	w, path := generate(t, patient), filepath.Join(t.TempDir(), "wallet")
	if err := create(path, w, pass, quick); err != nil {
		t.Fatal(err)
	}
	return w, path
}

func reopen(t testing.TB, path string) *Wallet {
	t.Helper()
	w, err := Open(path, pass)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// keyFor returns a key as the consortium extracts it, and whose it is.
func keyFor(t testing.TB, name identity.Name, typ pre.Type, inbox bool) *pre.PrivateKey {
	t.Helper()
	sharing, shares, err := insecuretrusteddealer.Deal(4, 3)
	if err != nil {
		t.Fatal(err)
	}
	id := pre.Identity{Chain: testChain, Name: string(name), Key: sharing.Key()}
	var parts []*pre.PartialKey
	for _, s := range shares[:3] {
		extract := func() (*pre.PartialKey, error) { return s.Extract(id, typ) }
		if inbox {
			extract = func() (*pre.PartialKey, error) { return s.ExtractInbox(id) }
		}
		p, err := extract()
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	combine := func() (*pre.PrivateKey, error) { return sharing.CombineKey(id, typ, parts) }
	if inbox {
		combine = func() (*pre.PrivateKey, error) { return sharing.CombineInboxKey(id, parts) }
	}
	k, err := combine()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestStoredWalletOpensWithItsPassphraseOnly(t *testing.T) {
	w, path := stored(t)
	key := keyFor(t, patient, "lab", false)
	if err := w.Remember(key); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddCustody(1); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, path)
	if again.Chain() != testChain || again.Name() != patient || again.Public() != w.Public() ||
		again.Key(key.Identity(), "lab") == nil || !bytes.Equal(again.Custody(1).Bytes(), w.Custody(1).Bytes()) {
		t.Error("another wallet came back")
	}
	for _, wrong := range []string{"", "wrong", string(pass) + " ", strings.ToUpper(string(pass))} {
		if _, err := Open(path, []byte(wrong)); !errors.Is(err, ErrPassphrase) {
			t.Errorf("passphrase %q: %v", wrong, err)
		}
	}
	if err := create(filepath.Join(t.TempDir(), "w"), generate(t, patient), nil, quick); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wallet without passphrase: %v", err)
	}
}

func TestCreateLeavesAnExistingFileAlone(t *testing.T) {
	w, path := stored(t)
	if err := create(path, generate(t, patient), pass, quick); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error is %v", err)
	}
	if reopen(t, path).Public() != w.Public() {
		t.Error("the wallet was replaced")
	}
	if err := create(path+"2", w, pass, quick); err == nil {
		t.Error("a wallet has two files")
	}
}

// TestEveryBitFlipIsNoticed alters the file bit by bit, one in each byte.
func TestEveryBitFlipIsNoticed(t *testing.T) {
	_, path := stored(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, pass); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrPassphrase) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for _, n := range []int{0, 1, 15, 16, 100, len(raw) - 1} {
		if err := os.WriteFile(path, raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, pass); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if err := os.WriteFile(path, append(bytes.Clone(raw), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, pass); !errors.Is(err, ErrCorrupt) {
		t.Errorf("byte appended: %v", err)
	}
}

// TestBodyOfAnotherFileIsRefused puts the encrypted part of one wallet behind
// the header of another.
func TestBodyOfAnotherFileIsRefused(t *testing.T) {
	_, a := stored(t)
	_, b := stored(t)
	rawA, _ := os.ReadFile(a)
	rawB, _ := os.ReadFile(b)
	_, headerA, err := parseFile(rawA)
	if err != nil {
		t.Fatal(err)
	}
	_, headerB, err := parseFile(rawB)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a, append(bytes.Clone(headerA), rawB[len(headerB):]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(a, pass); !errors.Is(err, ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
}

func TestExposedFileIsRefused(t *testing.T) {
	w, path := stored(t)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, pass); !errors.Is(err, durable.ErrExposed) {
		t.Errorf("open: %v", err)
	}
	if _, _, err := w.Replace(identity.MethodRotate); !errors.Is(err, durable.ErrExposed) {
		t.Errorf("change: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	link := path + "-link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link, pass); !errors.Is(err, durable.ErrExposed) {
		t.Errorf("symbolic link: %v", err)
	}
}

// TestCrashBetweenReplaceAndCommitLosesNoKey opens the file again at every step
// of a rotation: whichever key the chain has, the wallet has it too.
func TestCrashBetweenReplaceAndCommitLosesNoKey(t *testing.T) {
	w, path := stored(t)
	old := w.Public()
	next, proof, err := w.Replace(identity.MethodRotate)
	if err != nil {
		t.Fatal(err)
	}
	if !next.Verify(identity.PossessionStatement(testChain, identity.MethodRotate, patient, next), proof) {
		t.Error("the new key does not prove its possession")
	}

	crashed := reopen(t, path)
	if crashed.Public() != old {
		t.Error("the new key is in force before the chain has it")
	}
	if p, ok := crashed.Pending(); !ok || p != next {
		t.Error("the new key is lost")
	}
	if again, _, err := crashed.Replace(identity.MethodRotate); err != nil || again != next {
		t.Errorf("another attempt takes another key: %v", err)
	}
	if err := crashed.Commit(old); err != nil { // the chain did not take it
		t.Error(err)
	}
	if p, ok := reopen(t, path).Pending(); !ok || p != next {
		t.Error("the new key was dropped while its transaction may be under way")
	}
	if err := crashed.Commit(next); err != nil {
		t.Fatal(err)
	}
	after := reopen(t, path)
	if _, ok := after.Pending(); ok || after.Public() != next {
		t.Error("the new key is not in force")
	}
	if err := after.Commit(old); !errors.Is(err, ErrKey) {
		t.Errorf("the old key was kept: %v", err)
	}
	sig, err := after.Signer().Sign(nil, []byte("x"), crypto.Hash(0))
	if err != nil || !ed25519.Verify(ed25519.PublicKey(next[:]), []byte("x"), sig) {
		t.Error("the signer signs with another key")
	}
}

// TestWritersDoNotUndoEachOther changes one file through two wallets that were
// opened before: the second must not write back what it knew.
func TestWritersDoNotUndoEachOther(t *testing.T) {
	_, path := stored(t)
	a, b := reopen(t, path), reopen(t, path)
	next, _, err := a.Replace(identity.MethodRotate)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Remember(keyFor(t, patient, "lab", false)); err != nil {
		t.Fatal(err)
	}
	if p, ok := reopen(t, path).Pending(); !ok || p != next {
		t.Error("the second writer lost the key of the first")
	}
	var wg sync.WaitGroup
	for i := range 8 {
		w := a
		if i%2 == 1 {
			w = b
		}
		wg.Go(func() {
			if _, err := w.AddCustody(uint32(i + 1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	end := reopen(t, path)
	for i := range 8 {
		if end.Custody(uint32(i+1)) == nil {
			t.Errorf("custody key %d is lost", i+1)
		}
	}
}

func TestFailedWriteChangesNothing(t *testing.T) {
	w, path := stored(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Replace(identity.MethodRotate); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
	if _, ok := w.Pending(); ok {
		t.Error("the wallet took a key that is not in its file")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a deleted wallet came back")
	}
}

func TestKeysAreFoundByIdentityAndType(t *testing.T) {
	w := generate(t, patient)
	lab := keyFor(t, patient, "lab", false)
	if err := errors.Join(w.Remember(lab), w.Remember(lab)); err != nil {
		t.Fatal(err)
	}
	if n := len(w.get().Keys); n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
	id := lab.Identity()
	other := id
	other.Epoch++
	for _, tt := range []struct {
		name string
		id   pre.Identity
		t    pre.Type
		want bool
	}{
		{"its type", id, "lab", true},
		{"below it", id, "lab/hematology", true},
		{"the root", id, "", false},
		{"a longer word", id, "laboratory", false},
		{"sealed below it", id, "lab/sealed:hiv", false},
		{"another epoch", other, "lab", false},
	} {
		if got := w.Key(tt.id, tt.t) != nil; got != tt.want {
			t.Errorf("%s: found is %v", tt.name, got)
		}
	}
	if w.Inbox(id) != nil {
		t.Error("a typed key was taken for the inbox key")
	}
	inbox := keyFor(t, patient, "", true)
	if err := w.Remember(inbox); err != nil {
		t.Fatal(err)
	}
	if w.Inbox(inbox.Identity()) == nil || w.Key(inbox.Identity(), "") != nil {
		t.Error("the inbox key is not found, or taken for a typed one")
	}
	if err := w.Remember(keyFor(t, "p-9@north", "lab", false)); !errors.Is(err, ErrKey) {
		t.Errorf("another's key: %v", err)
	}
	lab.Erase()
	if err := w.Remember(lab); err == nil {
		t.Error("an erased key was stored")
	}
}

// TestEntriesAreNotBelieved gives an entry a type that its key is not of.
func TestEntriesAreNotBelieved(t *testing.T) {
	w := generate(t, patient)
	key := keyFor(t, patient, "lab", false)
	if err := w.Remember(key); err != nil {
		t.Fatal(err)
	}
	wrong := remembered{Identity: key.Identity().Description(), Type: "lab/x", Key: key.Bytes()}
	if err := w.update(func(b *body) error { return b.remember(wrong) }); err != nil {
		t.Fatal(err)
	}
	if k := w.Key(key.Identity(), "lab/x"); k != nil {
		t.Errorf("key is %v", k)
	}
	if k := w.Key(key.Identity(), "lab/y"); k == nil || k.Type() != "lab" {
		t.Errorf("key is %v", k)
	}
}

func TestAdoptTakesWhatIsRemembered(t *testing.T) {
	held, mine := generate(t, patient), generate(t, patient)
	key := keyFor(t, patient, "", false)
	if err := held.Remember(key); err != nil {
		t.Fatal(err)
	}
	x, err := held.AddCustody(1)
	if err != nil {
		t.Fatal(err)
	}
	before := mine.Public()
	if err := mine.Adopt(held); err != nil {
		t.Fatal(err)
	}
	if mine.Public() != before || mine.Key(key.Identity(), "lab") == nil || !bytes.Equal(mine.Custody(1).Bytes(), x.Bytes()) {
		t.Error("not everything was taken over, or too much")
	}
	if err := mine.Adopt(generate(t, "p-9@north")); !errors.Is(err, ErrKey) {
		t.Errorf("another's wallet: %v", err)
	}
	second, err := mine.AddCustody(1)
	if err != nil || !bytes.Equal(second.Bytes(), x.Bytes()) {
		t.Error("a custody key was replaced")
	}
	if _, err := mine.AddCustody(0); err == nil {
		t.Error("version 0 was taken")
	}
}

func TestFullWalletSaysSo(t *testing.T) {
	w := generate(t, patient)
	err := w.update(func(b *body) error {
		for i := range maxKeys {
			if err := b.remember(remembered{Identity: []byte{byte(i >> 8), byte(i)}, Type: "x"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Remember(keyFor(t, patient, "lab", false)); !errors.Is(err, ErrFull) {
		t.Errorf("error is %v", err)
	}
}

func TestBackupIsRestored(t *testing.T) {
	w := generate(t, patient)
	var b bytes.Buffer
	if err := backup(w.get(), &b, []byte("other"), quick); err != nil {
		t.Fatal(err)
	}
	back, err := Restore(bytes.NewReader(b.Bytes()), []byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	if back.Public() != w.Public() {
		t.Error("another wallet came back")
	}
	if _, err := Restore(bytes.NewReader(b.Bytes()), pass); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	for i := range b.Len() {
		bad := bytes.Clone(b.Bytes())
		bad[i] ^= 1
		if _, err := Restore(bytes.NewReader(bad), []byte("other")); err == nil {
			t.Fatalf("byte %d was altered, and it was restored", i)
		}
	}
	for n := range b.Len() {
		if _, err := Restore(bytes.NewReader(b.Bytes()[:n]), []byte("other")); err == nil {
			t.Fatalf("it was cut to %d bytes, and was restored", n)
		}
	}
}

func TestReaderAndWriterOfABackupFail(t *testing.T) {
	w := generate(t, patient)
	var b bytes.Buffer
	if err := backup(w.get(), &b, pass, quick); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for _, n := range []int{0, 10, b.Len() / 2, b.Len() - 1} {
		if err := backup(w.get(), &failingWriter{n, broken}, pass, quick); !errors.Is(err, broken) {
			t.Errorf("writer fails at byte %d: %v", n, err)
		}
		r := io.MultiReader(bytes.NewReader(b.Bytes()[:n]), iotest.ErrReader(broken))
		if _, err := Restore(r, pass); !errors.Is(err, broken) {
			t.Errorf("reader fails at byte %d: %v", n, err)
		}
	}
}

type failingWriter struct {
	n   int
	err error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		k := w.n
		w.n = 0
		return k, w.err
	}
	w.n -= len(p)
	return len(p), nil
}

// TestNothingSecretIsPrinted looks for the seeds in everything that a careless
// program prints.
func TestNothingSecretIsPrinted(t *testing.T) {
	w, _ := stored(t)
	if _, _, err := w.Replace(identity.MethodRotate); err != nil {
		t.Fatal(err)
	}
	f, err := createFolder(t.TempDir(), testChain, pass, quick)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, v := range []any{w, *w, w.Signer(), f, *f, struct{ W *Wallet }{w}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	body := w.get()
	for _, secret := range [][]byte{body.Seed, body.Next, f.f.master[:], w.s.file.master[:]} {
		for _, s := range []string{string(secret), hex.EncodeToString(secret), fmt.Sprint(secret), fmt.Sprint(secret[:8])[1:20]} {
			if strings.Contains(out.String(), s) {
				t.Fatalf("a secret was printed: %s", out.String())
			}
		}
	}
}

// TestWorkFactorIsOurs makes sure that the default is the slow one, and that a
// file cannot ask for more work than we are ready for.
func TestWorkFactorIsOurs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second of scrypt")
	}
	path := filepath.Join(t.TempDir(), "wallet")
	if err := Create(path, generate(t, patient), pass); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := raw[bytes.Index(raw, []byte("-> scrypt ")):]
	line = line[:bytes.IndexByte(line, '\n')]
	if !bytes.HasSuffix(line, []byte(fmt.Sprint(" ", workFactor))) {
		t.Errorf("stanza is %q", line)
	}
	if _, err := Open(path, pass); err != nil {
		t.Error(err)
	}
	dear := bytes.Replace(raw, []byte(fmt.Sprint(" ", workFactor, "\n")), []byte(fmt.Sprint(" ", maxWorkFactor+1, "\n")), 1)
	if err := os.WriteFile(path, dear, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, pass); !errors.Is(err, ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
}
