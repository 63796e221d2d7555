package ledgertest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger"
)

// Notes is a contract that accepts everything and stores nothing.
type Notes struct{}

// Apply implements ledger.Contract.
func (Notes) Apply(*ledger.Call, string, []byte) ([]byte, error) { return nil, nil }

// NewLog returns a chain of notes, with this many leaves in blocks of up to 100.
func NewLog(tb testing.TB, size int) *Chain {
	tb.Helper()
	c := New(tb, map[string]ledger.Contract{"notes": Notes{}})
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

// Exported returns a chain of three blocks with a sidecar and two checkpoints, and
// its export.
func Exported(tb testing.TB) (*Chain, []byte) {
	tb.Helper()
	c := NewLog(tb, 2)
	s, err := chain.NewSidecar([]byte("sealed"))
	if err != nil {
		tb.Fatal(err)
	}
	tx := c.TxWith("bob", chain.TxBody{Contract: "notes", Method: "add", Sidecar: s})
	c.Apply(c.Entry([]*chain.Tx{tx}, [][]byte{[]byte("sealed")}))
	c.Checkpoint()
	c.Run(c.Tx("bob", "notes", "add", "z"))
	return c, c.Export()
}

// VerifyExport verifies an export under a trusted consortium file.
func VerifyExport(data []byte, trusted *chain.Consortium) error {
	_, err := audit.Verify(bytes.NewReader(data), trusted, audit.Visitor{})
	return err
}

// Endorsement returns the consent of a member to the next file, signed with the
// key of a name.
func Endorsement(tb testing.TB, next *chain.Consortium, member, key string) chain.Endorsement {
	tb.Helper()
	e, err := chain.Endorse(next, member, Key(key))
	if err != nil {
		tb.Fatal(err)
	}
	return e
}
