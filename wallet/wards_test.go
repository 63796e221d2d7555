package wallet

import (
	"errors"
	"testing"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

const kid = identity.Name("p-kid@north")

// Keys of others are kept apart from the holder's own: neither is ever found
// where the other belongs.
func TestKeysOfWardsAreKeptApart(t *testing.T) {
	w := generate(t, patient)
	hers, own := keyFor(t, kid, "lab", false), keyFor(t, patient, "lab", false)
	wide := keyFor(t, kid, "", false)
	if err := w.Remember(hers); !errors.Is(err, ErrKey) {
		t.Errorf("a ward's key among one's own: %v", err)
	}
	if err := w.RememberWard(own); !errors.Is(err, ErrKey) {
		t.Errorf("one's own key among the wards': %v", err)
	}
	for _, k := range []*pre.PrivateKey{hers, hers, wide} {
		if err := w.RememberWard(k); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Remember(own); err != nil {
		t.Fatal(err)
	}
	if k := w.WardKey(hers.Identity(), "lab/cbc"); k == nil || k.Type() != "lab" {
		t.Errorf("found %v", k)
	}
	if w.WardKey(hers.Identity(), "imaging") != nil {
		t.Error("a key opens what it does not cover")
	}
	if w.Key(hers.Identity(), "lab") != nil || w.WardKey(own.Identity(), "lab") != nil {
		t.Error("a key is found in the other place")
	}
	if k := w.Key(own.Identity(), "lab"); k == nil || k.Identity().Name != string(patient) {
		t.Errorf("own key is %v", k)
	}
	if n := len(w.get().Wards); n != 2 {
		t.Errorf("%d keys are kept", n)
	}
	copied := generate(t, patient)
	if err := copied.Adopt(w); err != nil || copied.WardKey(hers.Identity(), "lab") == nil {
		t.Errorf("not adopted: %v", err)
	}
	if err := w.ForgetWard(kid); err != nil {
		t.Fatal(err)
	}
	if w.WardKey(hers.Identity(), "lab") != nil || w.WardKey(wide.Identity(), "lab") != nil || w.Key(own.Identity(), "lab") == nil {
		t.Error("too little or too much was forgotten")
	}
}

func TestWardsGiveNoInboxKeys(t *testing.T) {
	w := generate(t, patient)
	if err := w.RememberWard(keyFor(t, kid, "", true)); !errors.Is(err, ErrKey) {
		t.Errorf("error is %v", err)
	}
	k := keyFor(t, kid, "lab", false)
	elsewhere, err := Generate("other.example", patient)
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.RememberWard(k); !errors.Is(err, ErrKey) {
		t.Errorf("a key of another chain: %v", err)
	}
	k.Erase()
	if err := w.RememberWard(k); err == nil {
		t.Error("an erased key was kept")
	}
}

func TestKeysOfWardsHaveALimit(t *testing.T) {
	w := generate(t, patient)
	b, err := w.get().clone()
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxWards {
		b.Wards = append(b.Wards, remembered{Identity: []byte{byte(i >> 8), byte(i)}, Type: "lab"})
	}
	if err := b.check(); err != nil {
		t.Fatal(err)
	}
	w.s.body = b
	if err := w.RememberWard(keyFor(t, kid, "lab", false)); !errors.Is(err, ErrFull) {
		t.Errorf("error is %v", err)
	}
	for name, spoil := range map[string]func(b *body){
		"one too many": func(b *body) { b.Wards = append(b.Wards, remembered{Identity: []byte{9, 9}, Type: "lab"}) },
		"twice":        func(b *body) { b.Wards[1] = b.Wards[0] },
		"an inbox key": func(b *body) { b.Wards[0].Type = inbox },
	} {
		bad, err := b.clone()
		if err != nil {
			t.Fatal(err)
		}
		spoil(bad)
		if bad.check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
