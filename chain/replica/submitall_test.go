package replica

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// SubmitAll gives each transaction the outcome that Submit would have given it,
// on the leader and elsewhere, also when the leader is gone half-way.
func TestSubmitAllIsSubmitForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, func(o *Options) { o.MaxBlockTxs = 7 })
		c.startAll()
		old := put(t, "alice", "old", []byte{1}, nil)
		first := mustSubmit(t, c.nodes["h0"], old, nil)
		for _, name := range []string{"h0", "h1", "h2"} {
			r := c.nodes[name]
			side := []byte("sealed")
			forged := slices.Clone(put(t, "alice", "k", []byte{9}, nil).Bytes())
			forged[len(forged)-1] ^= 1
			bad, err := chain.ParseTx(forged)
			if err != nil {
				t.Fatal(err)
			}
			other, err := chain.SignTx(chain.TxBody{Chain: "other.ward", Contract: "kv", Method: "put", NotAfter: 1}, testKey("alice"))
			if err != nil {
				t.Fatal(err)
			}
			txs := []*chain.Tx{old, bad, other, put(t, "alice", "s", []byte{1}, side), put(t, "alice", "s", []byte{1}, side), sign(t, "alice", "nothing", nil, nil)}
			sidecars := [][]byte{nil, nil, nil, side, nil, nil}
			for i := range 40 {
				txs, sidecars = append(txs, put(t, "bob", "k", []byte{byte(i)}, nil)), append(sidecars, nil)
			}
			out, err := r.SubmitAll(context.Background(), txs, sidecars)
			if err != nil {
				t.Fatal(err)
			}
			if out[0].Err != nil || out[0].Receipt.Index != first.Index {
				t.Errorf("%s: repeated: %+v", name, out[0])
			}
			for i, want := range []error{1: ErrSignature, 2: chain.ErrChain, 4: chain.ErrSidecar} {
				if want != nil && !errors.Is(out[i].Err, want) {
					t.Errorf("%s: transaction %d: %v, want %v", name, i, out[i].Err, want)
				}
			}
			if out[5].Err != nil || out[5].Receipt.Result.Code != "kv/method" {
				t.Errorf("%s: refused: %+v", name, out[5])
			}
			seen := map[uint64]bool{}
			for i, o := range out {
				if i != 3 && i < 6 {
					continue
				}
				if o.Err != nil || o.Receipt.Result.Code != "" || seen[o.Receipt.Index] {
					t.Fatalf("%s: transaction %d: %+v", name, i, o)
				}
				if tx, err := o.Receipt.Verify(c.consortium); err != nil || tx.ID() != txs[i].ID() {
					t.Fatalf("%s: receipt of transaction %d: %v", name, i, err)
				}
				seen[o.Receipt.Index] = true
			}
			if got, err := r.Sidecar(out[3].Receipt.Index); err != nil || !bytes.Equal(got, side) {
				t.Errorf("%s: sidecar %q, %v", name, got, err)
			}
		}
		if _, err := c.nodes["h0"].SubmitAll(context.Background(), []*chain.Tx{old}, make([][]byte, 2)); err == nil {
			t.Error("two sidecars for one transaction")
		}
		c.stopAll()
	})
}

func TestSubmitAllSurvivesTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, func(o *Options) { o.MaxBlockTxs = 5 })
		c.startAll()
		c.load(1)
		leader, _ := c.nodes["h0"].leader()
		from := c.nodes["h0"]
		if leader == "h0" {
			from = c.nodes["h1"]
		}
		var txs []*chain.Tx
		for i := range 300 {
			txs = append(txs, put(t, "bob", "k", []byte{byte(i)}, nil))
		}
		done := make(chan []Submission)
		go func() {
			out, _ := from.SubmitAll(within(t, 2*time.Minute), txs, nil)
			done <- out
		}()
		time.Sleep(30 * time.Millisecond)
		c.nodes[leader].crash()
		delete(c.nodes, leader)
		begin := time.Now()
		seen := map[uint64]bool{}
		for i, o := range <-done {
			if o.Err != nil || seen[o.Receipt.Index] {
				t.Fatalf("transaction %d: %+v", i, o)
			}
			seen[o.Receipt.Index] = true
		}
		if len(seen) != len(txs) || time.Since(begin) > time.Minute {
			t.Errorf("%d of %d after %v", len(seen), len(txs), time.Since(begin))
		}
		c.start(leader)
		if head := c.sameHead(); head.Size < uint64(len(txs))+1 { // and a rejection for each that was sent twice
			t.Errorf("%d transactions on the chain, want at least %d", head.Size, len(txs)+1)
		}
		c.stopAll()
	})
}

// The last block of a burst is certified when the members have executed it, and
// not only when Raft sends the next message.
func TestLastBlockIsCertifiedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, func(o *Options) { o.Heartbeat = 10 * time.Second }) // Raft waits half a second at least
		c.startAll()
		c.load(1)
		leader, _ := c.nodes["h0"].leader()
		for i := range 20 {
			begin := time.Now()
			mustSubmit(t, c.nodes[leader], put(t, "alice", "k", []byte{byte(i + 1)}, nil), nil)
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("block %d was certified after %v", i, took)
			}
		}
		c.stopAll()
	})
}
