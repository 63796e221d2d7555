package node

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/consent"
)

func FuzzParseCursor(f *testing.F) {
	good, err := chain.Marshal(cursor{Name: nameCursor, Chain: "a.ward", Height: 7, Changes: []uint64{1, 5}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		at, err := parseCursor(data)
		if err != nil {
			return
		}
		if again, err := chain.Marshal(*at); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x parses and becomes %x, %v", data, again, err)
		}
	})
}

func FuzzParseGrantName(f *testing.F) {
	for _, s := range []string{"g-abc.1", "g-abc.", ".1", "g-abc.01", "g-abc.1.2", "g-abc.4294967296"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, generation, err := parseGrantName(s)
		if err == nil && grantName(id, generation) != s {
			t.Errorf("%q parses as %q %d", s, id, generation)
		}
	})
}

func TestGrantNamesAreRead(t *testing.T) {
	id, err := consent.GenerateID()
	if err != nil {
		t.Fatal(err)
	}
	got, generation, err := parseGrantName(grantName(id, 12))
	if err != nil || got != id || generation != 12 {
		t.Errorf("%q %d, %v", got, generation, err)
	}
}

// TestSharesOfGrantsThatAreOverAreErased: a share that nobody will be answered
// with is only something to steal.
func TestSharesOfGrantsThatAreOverAreErased(t *testing.T) {
	const now = 1_000_000_000
	hour := consent.AnswerWindow.Milliseconds()
	for what, c := range map[string]struct {
		grant consent.Grant
		over  bool
	}{
		"active":                   {consent.Grant{}, false},
		"pending":                  {consent.Grant{Needed: 3}, false},
		"early":                    {consent.Grant{Conditions: consent.Conditions{NotBefore: now + 1}}, false},
		"ended":                    {consent.Grant{Ended: now}, true},
		"in its last moment":       {consent.Grant{Conditions: consent.Conditions{NotAfter: now}}, false},
		"expired":                  {consent.Grant{Conditions: consent.Conditions{NotAfter: now - 1}}, true},
		"used":                     {consent.Grant{Conditions: consent.Conditions{MaxUses: 2}, Uses: 1, Used: 1}, false},
		"used up, and still asked": {consent.Grant{Conditions: consent.Conditions{MaxUses: 1}, Uses: 1, Used: now - hour}, false},
		"used up":                  {consent.Grant{Conditions: consent.Conditions{MaxUses: 1}, Uses: 1, Used: now - hour - 1}, true},
	} {
		if got := over(&c.grant, now); got != c.over {
			t.Errorf("%s: over is %v", what, got)
		}
	}
}

// TestMissingSidecarIsNotErased: another node may have it.
func TestMissingSidecarIsNotErased(t *testing.T) {
	err := new(core).translate(fmt.Errorf("sidecar: %w", replica.ErrMissing))
	if !errors.Is(err, ward.ErrUnavailable) || errors.Is(err, ward.ErrErased) {
		t.Errorf("a client is told %v", err)
	}
}

// TestOneWhoLeftIsUnavailable: another node may serve, unless the transaction may be on
// the chain.
func TestOneWhoLeftIsUnavailable(t *testing.T) {
	if err := new(core).translate(fmt.Errorf("read: %w", replica.ErrNotMember)); !errors.Is(err, ward.ErrUnavailable) {
		t.Errorf("a client is told %v", err)
	}
	if err := new(core).translate(fmt.Errorf("submit: %w: %w", replica.ErrUnknown, replica.ErrNotMember)); !errors.Is(err, ward.ErrUnknown) || errors.Is(err, ward.ErrUnavailable) {
		t.Errorf("who submitted is told %v", err)
	}
}
