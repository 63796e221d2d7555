package ledger_test

import (
	"bytes"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

func FuzzParseHead(f *testing.F) {
	c := newChain(f)
	f.Add(must(c.Head.Bytes()))
	c.Run(c.Tx("alice", "store", "put", put("k", "v")), c.Tx("alice", "store", "put", put("l", "v")), c.Tx("alice", "store", "put", put("m", "v")))
	f.Add(must(c.Head.Bytes()))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ledger.ParseHead(data)
		if err != nil {
			return
		}
		if again, err := h.Bytes(); err != nil || !bytes.Equal(again, data) {
			t.Fatal("another encoding is accepted")
		}
	})
}

// FuzzApply feeds contract calls from outside: whatever the bytes, the block
// is made, and a second executor makes the same.
func FuzzApply(f *testing.F) {
	f.Add("put", must(chain.Marshal(put("k", "v"))), []byte("side"))
	f.Add("purge", must(chain.Marshal(put("k", "\x00"))), []byte{})
	f.Add("count", []byte{0xff}, []byte{})
	f.Fuzz(func(t *testing.T, method string, args, side []byte) {
		if !chain.ValidName(method) || len(args) > 1000 {
			return
		}
		c := newChain(t)
		s, err := chain.NewSidecar(side)
		if err != nil {
			return
		}
		tx := c.TxWith("alice", chain.TxBody{Contract: "store", Method: method, Args: args, Sidecar: s})
		c.Apply(c.Entry([]*chain.Tx{tx, tx}, [][]byte{side, nil}))
		c.Run(c.TxWith("bob", chain.TxBody{Contract: "other", Method: method, Args: args}))
		if c.State.Digest().Sum() != c.Head.Header.State {
			t.Fatal("state hash is not that of the state")
		}
	})
}
