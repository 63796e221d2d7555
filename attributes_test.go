package ward

import (
	"bytes"
	"testing"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
)

func TestOnlyWhatTheCatalogueDeclaresIsIssued(t *testing.T) {
	catalogue, err := abe.ParseCatalogue("contractor flag\ngrade number 0 to 7\nrole one of (nurse, physician)")
	if err != nil {
		t.Fatal(err)
	}
	id := &identity.Identity{Name: "dr-kim@north", Attributes: []identity.Attribute{
		{Name: "author"}, {Name: "contractor", Until: 1000}, {Name: "grade", Value: "3"},
		{Name: "role", Value: "physician"}, {Name: "role", Value: "surgeon"},
	}}
	for at, want := range map[int64]string{1000: "contractor, grade = 3, role = physician", 1001: "grade = 3, role = physician"} {
		if got, err := declared(id, catalogue, at); err != nil || got.String() != want {
			t.Errorf("at %d: %q, %v, want %q", at, got, err, want)
		}
	}
	// Two values of an attribute that has one are no key, rather than one of them.
	id.Attributes = []identity.Attribute{{Name: "role", Value: "nurse"}, {Name: "role", Value: "physician"}}
	if got, err := declared(id, catalogue, 0); err == nil {
		t.Errorf("two roles: %q", got)
	}
}

func FuzzAttributeKey(f *testing.F) {
	b, err := chain.Marshal(sealedAttributeKey{Name: nameAttributeKey, Authority: "north", Epoch: 1, Issuer: "office@north", Holder: []byte{1}, Envelope: []byte{2}, Index: []byte{3}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseAttributeKey(b)
		if err != nil {
			return
		}
		if again, err := chain.Marshal(s); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x is read, and written as %x", b, again)
		}
	})
}
