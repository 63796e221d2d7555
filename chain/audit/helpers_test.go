package audit_test

import (
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// notes is a contract that accepts everything and stores nothing.
type notes struct{}

func (notes) Apply(*ledger.Call, string, []byte) ([]byte, error) { return nil, nil }

// newLog returns a chain with this many leaves in blocks of up to 100.
func newLog(tb testing.TB, size int) *ledgertest.Chain {
	tb.Helper()
	c := ledgertest.New(tb, map[string]ledger.Contract{"notes": notes{}})
	for n := 0; n < size; {
		txs := make([]*chain.Tx, min(100, size-n))
		for i := range txs {
			txs[i] = c.Tx("alice", "notes", "add", fmt.Sprint("note ", n+i))
		}
		c.Run(txs...)
		n += len(txs)
	}
	return c
}

// encoded returns the bytes of b.
func encoded(tb testing.TB, b *chain.Block) []byte {
	tb.Helper()
	data, err := b.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// endorsement returns the consent of a member, signed with the key of a name.
func endorsement(t *testing.T, next *chain.Consortium, member, key string) chain.Endorsement {
	t.Helper()
	e, err := chain.Endorse(next, member, ledgertest.Key(key))
	if err != nil {
		t.Fatal(err)
	}
	return e
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
		es = append(es, endorsement(t, &next, m, m))
	}
	args, err := chain.NextConsortium(&next, es)
	if err != nil {
		t.Fatal(err)
	}
	return args
}
