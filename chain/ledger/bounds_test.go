package ledger_test

import (
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
)

// A contract cannot purge the sidecar of the transaction it runs for, so that what
// was accepted with a sidecar has one until a later transaction says otherwise.
func TestTransactionCannotPurgeItsOwnSidecar(t *testing.T) {
	c := newChain(t)
	data := []byte("sealed")
	tx := c.TxWith("alice", chain.TxBody{Contract: "store", Method: "purge", Args: must(chain.Marshal(storeArgs{Value: []byte{0}})), Sidecar: sidecar(t, data)})
	out := c.Apply(c.Entry([]*chain.Tx{tx}, [][]byte{data}))
	code(t, out.Block.Results, 0, "")
	if len(out.Sidecars) != 1 || len(out.Purge) != 0 {
		t.Errorf("kept %v, purged %v", out.Sidecars, out.Purge)
	}
	out = c.Apply(c.Entry([]*chain.Tx{c.Tx("alice", "store", "purge", storeArgs{Value: []byte{0}})}, nil))
	if len(out.Purge) != 1 || out.Purge[0] != 0 {
		t.Errorf("a later transaction purged %v", out.Purge)
	}
	replay(t, c)
}

// Subscribers see names they can parse: a contract that emits another has no effect.
func TestEventOfNoNameHasNoEffect(t *testing.T) {
	c := newChain(t)
	r := c.Run(c.Tx("alice", "store", "bad-event", put("k", "v")))
	if r[0].Code == "" || len(r[0].Events) > 0 {
		t.Errorf("code %q, events %v", r[0].Code, r[0].Events)
	}
	replay(t, c)
}

// A block forgets a bounded number of old blocks' ids, however many have expired:
// the rest is forgotten by the next.
func TestBlockForgetsABoundedNumberOfOldOnes(t *testing.T) {
	c := newChain(t)
	for i := range 150 {
		c.Run(c.Tx("alice", "store", "put", put("k", string(rune('a'+i%26)))))
	}
	c.Now = c.Now.Add(2 * time.Hour)
	deleted := func() (n int) {
		out := c.Apply(c.Entry([]*chain.Tx{c.Tx("alice", "store", "put", put("k", "v"))}, nil))
		for _, w := range out.Writes {
			if w.Value == nil {
				n++
			}
		}
		return n
	}
	for _, want := range []int{64, 64, 22, 0} {
		if n := deleted(); n != want {
			t.Errorf("a block forgets %d blocks, want %d", n, want)
		}
	}
	replay(t, c)
}
