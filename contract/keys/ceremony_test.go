package keys_test

import (
	"testing"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
)

func noGrants(ledger.Reader, int64, string, func(keys.LiveGrant) bool) error { return nil }

func newChain(t *testing.T, n int) *ledgertest.Chain {
	return ledgertest.NewFrom(t, keystest.Keyless(t, n), map[string]ledger.Contract{keys.Contract: keys.New(noGrants)})
}

func TestFirstCeremonyMakesTheKeys(t *testing.T) {
	m := keystest.Found(t, newChain(t, 4))
	a, err := keys.Current(m.Keys())
	if err != nil {
		t.Fatal(err)
	}
	if a.Generation != 1 || !a.Complete || len(a.Holders) != 4 || a.Index("south") != 3 {
		t.Errorf("authority is %+v", a)
	}
}
