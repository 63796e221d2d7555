package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// BenchmarkApply runs blocks of 512-byte transactions, each of which writes
// one new key, and reports the time per transaction and its ratio to batched
// signature verification of the same transactions in the same run.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("block=%d", size), func(b *testing.B) { benchmarkApply(b, size) })
	}
}

func benchmarkApply(b *testing.B, size int) {
	c := newChain(b)
	var verify, apply time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		txs := make([]*chain.Tx, size)
		for i := range txs {
			n++
			txs[i] = c.Tx(fmt.Sprintf("p%d", n%64), "store", "put", storeArgs{Key: fmt.Sprintf("key %10d", n), Value: make([]byte, 272)})
		}
		if len(txs[0].Bytes()) < 480 || len(txs[0].Bytes()) > 544 {
			b.Fatalf("transaction has %d bytes", len(txs[0].Bytes()))
		}
		data, err := c.Entry(txs, nil).Bytes()
		if err != nil {
			b.Fatal(err)
		}
		parsed := make([]*chain.Tx, size)
		for i := range txs {
			if parsed[i], err = chain.ParseTx(txs[i].Bytes()); err != nil {
				b.Fatal(err)
			}
		}
		start := time.Now()
		chain.VerifyTxs(parsed)
		verify += time.Since(start)
		b.StartTimer()

		start = time.Now()
		e, err := chain.ParseEntry(data)
		if err != nil {
			b.Fatal(err)
		}
		out, err := c.Executor.Apply(c.Head, &c.State, e)
		if err != nil {
			b.Fatal(err)
		}
		apply += time.Since(start)
		b.StopTimer()
		c.Commit(out)
		c.Now = c.Now.Add(time.Second)
		b.StartTimer()
	}
	b.ReportMetric(float64(apply.Nanoseconds())/float64(n), "ns/tx")
	b.ReportMetric(float64(apply)/float64(verify), "×verify")
}

// BenchmarkDigest reports what one key costs the state hash, and a scrub of
// the whole state per key.
func BenchmarkDigest(b *testing.B) {
	var d ledger.Digest
	key, value := []byte("store\x00key 1234567890"), make([]byte, 220)
	for b.Loop() {
		d.Add(key, value)
	}
}

// BenchmarkOverFullWindow shows that a block costs the same however many
// transactions are remembered.
func BenchmarkOverFullWindow(b *testing.B) {
	for _, blocks := range []int{1, 300} {
		b.Run(fmt.Sprintf("remembered=%d", blocks*1000), func(b *testing.B) {
			c := newChain(b)
			fill(b, c, blocks)
			txs := make([]*chain.Tx, 100)
			for i := range txs {
				txs[i] = c.Tx("alice", "store", "put", put(fmt.Sprint(i), "v"))
			}
			e := c.Entry(txs, nil)
			if _, _, err := e.VerifySignatures(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := c.Executor.Apply(c.Head, &c.State, e); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(txs)), "ns/tx")
		})
	}
}

// fill appends blocks of 1000 transactions that all replicas remember.
func fill(b *testing.B, c *ledgertest.Chain, blocks int) {
	for range blocks {
		txs := make([]*chain.Tx, 1000)
		for i := range txs {
			txs[i] = c.TxWith("alice", chain.TxBody{Contract: "store", Method: "nothing", NotAfter: c.Now.Add(50 * time.Minute).UnixMilli()})
		}
		c.Run(txs...)
	}
}
