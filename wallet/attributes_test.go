package wallet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ward-health/ward/abe"
)

// issued returns keys for a holder, of two epochs of one authority.
func issued(t testing.TB, master *abe.MasterKey, holder string) (first, second *abe.Key) {
	t.Helper()
	catalogue, err := abe.ParseCatalogue("role one of (nurse, physician)")
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := abe.ParseAttributes("role = nurse")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(epoch uint64) *abe.Key {
		a, err := master.Authority(epoch, catalogue)
		if err != nil {
			t.Fatal(err)
		}
		k, err := master.Issue(a, holder, attributes)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return issue(1), issue(2)
}

func TestAttributeKeysSurviveTheFileAndABackup(t *testing.T) {
	w, path := stored(t)
	master, err := w.AddMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.AddMasterKey(); err != nil || !bytes.Equal(again.Bytes(), master.Bytes()) {
		t.Fatalf("a second master key took the place of the first: %v", err)
	}
	first, second := issued(t, master, string(patient))
	for _, k := range []*abe.Key{second, first, second} {
		if err := w.AddAttributeKey(k); err != nil {
			t.Fatal(err)
		}
	}
	refs := []abe.Ref{first.Authority().Ref(), second.Authority().Ref()}
	var backup bytes.Buffer
	if err := (Options{WorkFactor: quick}).Backup(w, &backup, pass); err != nil {
		t.Fatal(err)
	}
	restored, err := Restore(&backup, pass)
	if err != nil {
		t.Fatal(err)
	}
	adopted := generate(t, patient)
	if err := adopted.Adopt(w); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*Wallet{"file": reopen(t, path), "backup": restored, "adopted": adopted} {
		if got := w.AttributeKeys(); !slices.Equal(got, refs) {
			t.Errorf("%s: keys of %v, want %v", name, got, refs)
		}
		for i, k := range []*abe.Key{first, second} {
			if got := w.AttributeKey(refs[i]); got == nil || !bytes.Equal(got.Bytes(), k.Bytes()) {
				t.Errorf("%s: key %d is another", name, i)
			}
		}
		if got := w.MasterKey(); got == nil || !bytes.Equal(got.Bytes(), master.Bytes()) {
			t.Errorf("%s: master key is another", name)
		}
		other := refs[0]
		other.ID[0] ^= 1
		if w.AttributeKey(other) != nil {
			t.Errorf("%s: a key for an authority with another id", name)
		}
	}
}

func TestForgottenAttributeKeyMakesRoom(t *testing.T) {
	w, path := stored(t)
	master, err := w.AddMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	first, second := issued(t, master, string(patient))
	for _, k := range []*abe.Key{first, second} {
		if err := w.AddAttributeKey(k); err != nil {
			t.Fatal(err)
		}
	}
	gone := first.Authority().Ref()
	if err := w.ForgetAttributeKey(gone); err != nil {
		t.Fatal(err)
	}
	if err := w.ForgetAttributeKey(gone); !errors.Is(err, ErrKey) {
		t.Errorf("forgotten twice: %v", err)
	}
	if got, want := reopen(t, path).AttributeKeys(), []abe.Ref{second.Authority().Ref()}; !slices.Equal(got, want) {
		t.Errorf("keys of %v are left, want %v", got, want)
	}
}

func TestAttributeKeyOfAnotherIsRefused(t *testing.T) {
	w := generate(t, patient)
	master, err := w.AddMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	stolen, _ := issued(t, master, "dr.lee@north")
	if err := w.AddAttributeKey(stolen); !errors.Is(err, ErrKey) {
		t.Errorf("a key of another: %v", err)
	}
	own, _ := issued(t, master, string(patient))
	if err := w.AddAttributeKey(own); err != nil {
		t.Fatal(err)
	}
	// One that another program put there under a wrong name is not handed out.
	b, err := w.get().clone()
	if err != nil {
		t.Fatal(err)
	}
	b.Attributes[0].Epoch = 7
	w.s.body = b
	if w.AttributeKey(w.AttributeKeys()[0]) != nil {
		t.Error("a key that is not of its epoch was handed out")
	}
	b.Attributes[0] = attributeKey{Authority: "north", Epoch: 1, ID: b.Attributes[0].ID, Key: stolen.Bytes()}
	if w.AttributeKey(w.AttributeKeys()[0]) != nil {
		t.Error("a key of another was handed out")
	}
}

func TestAttributeKeysHaveALimitAndAnOrder(t *testing.T) {
	full := &body{Name: nameBody, Chain: testChain, Identity: patient, Seed: newSeed()}
	for i := range maxAttributeKeys {
		full.Attributes = append(full.Attributes, attributeKey{Authority: fmt.Sprintf("h%03d", i), ID: make([]byte, 32)})
	}
	if err := full.check(); err != nil {
		t.Fatal(err)
	}
	w := &Wallet{&shared{body: full}}
	master, err := abe.GenerateMasterKey("north")
	if err != nil {
		t.Fatal(err)
	}
	first, _ := issued(t, master, string(patient))
	if err := w.AddAttributeKey(first); !errors.Is(err, ErrFull) {
		t.Errorf("a key more than fits: %v", err)
	}
	over, err := full.clone()
	if err != nil {
		t.Fatal(err)
	}
	over.Attributes = append(over.Attributes, attributeKey{Authority: "z", ID: make([]byte, 32)})
	swapped, _ := full.clone()
	swapped.Attributes[0], swapped.Attributes[1] = swapped.Attributes[1], swapped.Attributes[0]
	short, _ := full.clone()
	short.Attributes[0].ID = make([]byte, 31)
	for name, b := range map[string]*body{"one more than the limit": over, "out of order": swapped, "a short id": short} {
		if b.check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
