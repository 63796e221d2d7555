package wallet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/internal/durable"
)

func TestFolderHoldsManyWallets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "held")
	f, err := createFolder(dir, testChain, pass, quick)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := createFolder(dir, testChain, pass, quick); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second folder in one place: %v", err)
	}
	var want []identity.Name
	keys := make(map[identity.Name]any)
	for i := range 20 {
		name := identity.Name(fmt.Sprintf("p-%d@north", i))
		w, err := f.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
		keys[name] = w.Public()
	}
	if _, err := f.Create(want[0]); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second wallet of one name: %v", err)
	}
	if _, err := f.Open("nobody@north"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such wallet: %v", err)
	}
	for _, bad := range []identity.Name{"../../etc@north", "", "x", "a/b@north"} {
		if _, err := f.Create(bad); err == nil {
			t.Errorf("%q was taken for a name", bad)
		}
	}
	if _, err := OpenFolder(dir, []byte("wrong")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	again, err := OpenFolder(dir, pass)
	if err != nil {
		t.Fatal(err)
	}
	if again.Chain() != testChain {
		t.Errorf("chain is %q", again.Chain())
	}
	var got []identity.Name
	for name, err := range again.List() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
		w, err := again.Open(name)
		if err != nil || w.Public() != keys[name] || w.Name() != name {
			t.Errorf("%s: another wallet, %v", name, err)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("listed %v", got)
	}
}

// TestCustodialWalletsCannotBeSwapped puts one patient's file in another's place.
func TestCustodialWalletsCannotBeSwapped(t *testing.T) {
	f, err := createFolder(t.TempDir(), testChain, pass, quick)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Create("a@north"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Create("b@north"); err != nil {
		t.Fatal(err)
	}
	a, _ := f.f.file("a@north")
	b, _ := f.f.file("b@north")
	raw, err := os.ReadFile(a.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open("b@north"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
	// Not even whoever holds the folder's key puts one body in another's file.
	w, err := f.Open("a@north")
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = b.seal(w.get()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open("b@north"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("body of another: %v", err)
	}
	if err := os.Chmod(a.path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open("a@north"); !errors.Is(err, durable.ErrExposed) {
		t.Errorf("readable by the group: %v", err)
	}
}

func TestReleaseWaitsForThePatientsKey(t *testing.T) {
	f, err := createFolder(t.TempDir(), testChain, pass, quick)
	if err != nil {
		t.Fatal(err)
	}
	w, err := f.Create(patient)
	if err != nil {
		t.Fatal(err)
	}
	next, _, err := w.Replace(identity.MethodHandOver)
	if err != nil {
		t.Fatal(err)
	}
	theirs := generate(t, patient).Public()
	for _, tt := range []struct {
		name string
		now  identity.Identity
	}{
		{"organisation controls it", identity.Identity{Name: patient, Key: theirs, Controller: "north"}},
		{"key of the wallet signs", identity.Identity{Name: patient, Key: w.Public()}},
		{"next key of the wallet signs", identity.Identity{Name: patient, Key: next}},
	} {
		if err := f.Release(&tt.now); !errors.Is(err, ErrHeld) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	var b bytes.Buffer
	open, err := f.Open(patient)
	if err != nil {
		t.Fatal(err)
	}
	if err := backup(open.get(), &b, []byte("hers"), quick); err != nil {
		t.Fatal(err)
	}
	if err := f.Release(&identity.Identity{Name: patient, Key: theirs}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(patient); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the wallet is still there: %v", err)
	}
	if err := w.Remember(keyFor(t, patient, "lab", false)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an open wallet wrote itself back: %v", err)
	}
	hers, err := Restore(&b, []byte("hers"))
	if err != nil || hers.Public() != w.Public() {
		t.Errorf("what was exported does not open: %v", err)
	}
}
