package audit_test

import (
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// encoded returns the bytes of b.
func encoded(tb testing.TB, b *chain.Block) []byte {
	tb.Helper()
	data, err := b.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// endorsedChange returns the arguments of a change that enough members endorse.
func endorsedChange(t *testing.T, c *ledgertest.Chain) []byte {
	t.Helper()
	next := *c.Consortium
	founding, err := next.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next.Epoch, next.Founding, next.KeyThreshold = 1, founding, 2
	var es []chain.Endorsement
	for _, m := range []string{"east", "north", "south"} {
		es = append(es, ledgertest.Endorsement(t, &next, m, m))
	}
	args, err := chain.NextConsortium(&next, es)
	if err != nil {
		t.Fatal(err)
	}
	return args
}
