package ledger_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// hasty is a contract that fails after it has written, emitted and purged, and one
// that succeeds if it finds nothing of that.
type hasty struct{}

func (hasty) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	keys := int(args[0])
	switch method {
	case "fail":
		for i := range keys {
			if err := call.State.Set(fmt.Append(nil, "key ", i), []byte{1}); err != nil {
				return nil, err
			}
		}
		call.Emit("hasty.failed", nil)
		call.Purge(0)
		return []byte{1}, chain.Code("hasty/failed")
	case "panic":
		call.Purge(0)
		call.Of("hasty").Scan(nil, nil, func(_, _ []byte) bool { panic("contract bug") }) //nolint:errcheck // it panics
	case "look":
		for i := range keys {
			if v, err := call.State.Get(fmt.Append(nil, "key ", i)); err != nil || v != nil {
				return nil, chain.Code("hasty/found")
			}
		}
		n := 0
		if err := call.State.Scan([]byte("key"), nil, func(_, _ []byte) bool { n++; return true }); err != nil || n > 0 {
			return nil, chain.Code("hasty/scanned")
		}
	case "mark":
		return nil, call.State.Set([]byte("mark"), []byte{1})
	}
	return nil, nil
}

// Transactions run one after the other in the same memory: nothing of one that
// failed may be found by the next, or become its own.
func TestFailedTransactionLeavesNothingToTheNext(t *testing.T) {
	for _, keys := range []int{1, 8, 9, 40} {
		t.Run(fmt.Sprint(keys, " keys"), func(t *testing.T) {
			c := ledgertest.New(t, map[string]ledger.Contract{"hasty": hasty{}})
			s, err := chain.NewSidecar([]byte("sealed"))
			if err != nil {
				t.Fatal(err)
			}
			kept := c.TxWith("alice", chain.TxBody{Contract: "hasty", Method: "mark", Args: []byte{0}, Sidecar: s})
			c.Apply(c.Entry([]*chain.Tx{kept}, [][]byte{[]byte("sealed")}))

			var txs []*chain.Tx
			for _, method := range []string{"fail", "look", "panic", "look", "fail", "mark", "look"} {
				txs = append(txs, c.Tx("alice", "hasty", method, []byte{byte(keys)}))
			}
			out := c.Apply(c.Entry(txs, nil))
			for i, want := range []chain.Code{"hasty/failed", "", chain.ErrFault, "", "hasty/failed", "", ""} {
				code(t, out.Block.Results, i, want)
				if len(out.Block.Results[i].Events) > 0 || len(out.Block.Results[i].Value) > 0 {
					t.Errorf("transaction %d: has events or a value of another", i)
				}
			}
			for _, w := range out.Writes {
				if bytes.HasPrefix(w.Key, []byte("hasty")) {
					t.Errorf("the block writes %q", w.Key)
				}
			}
			if len(out.Purge) > 0 {
				t.Errorf("the block purges %v", out.Purge)
			}
		})
	}
}
