package chain_test

import (
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

func ExampleReceipt_Verify() {
	// A consortium of four in memory stands for the real one.
	c := ledgertest.New(new(testing.T), map[string]ledger.Contract{"notes": ledgertest.Notes{}})
	c.Run(c.Tx("dr.lee", "notes", "add", "seen"), c.Tx("dr.lee", "notes", "add", "treated"))
	fromNode, err := c.Receipt(1, c.Checkpoint()).Bytes()
	if err != nil {
		fmt.Println(err)
		return
	}

	// A client needs these bytes and consortium.json.
	receipt, err := chain.ParseReceipt(fromNode)
	if err != nil {
		fmt.Println(err)
		return
	}
	tx, err := receipt.Verify(c.Founding)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tx.Contract, tx.Method, receipt.Result.Err(), "at height", receipt.Result.Height)
	// Output: notes add <nil> at height 1
}

func ExampleEvidence_Verify() {
	c := ledgertest.New(new(testing.T), map[string]ledger.Contract{"notes": ledgertest.Notes{}})
	c.Run(c.Tx("dr.lee", "notes", "add", "seen"))
	e := equivocation(new(testing.T), c, "east", "east")
	member, err := e.Verify(c.Consortium)
	fmt.Println(member, err)
	// Output: east <nil>
}
