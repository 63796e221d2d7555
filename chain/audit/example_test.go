package audit_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

func ExampleVerify() {
	c := ledgertest.New(new(testing.T), map[string]ledger.Contract{"notes": ledgertest.Notes{}})
	for range 3 {
		c.Run(c.Tx("dr.lee", "notes", "add", "seen"))
	}
	c.Blocks[1].Results[0].Code = "notes/denied" // somebody rewrites history
	_, err := audit.Verify(bytes.NewReader(c.Export()), c.Founding, audit.Visitor{})
	broken, ok := err.(*chain.BrokenError)
	if !ok {
		fmt.Println(err)
		return
	}
	fmt.Println("broken at height", broken.Height, "in the", broken.Link)
	// Output: broken at height 2 in the tree root
}
