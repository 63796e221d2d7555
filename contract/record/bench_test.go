package record_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// BenchmarkPut runs blocks of puts, from the bytes of the entry to its block,
// and in the same run what no implementation can avoid: reading the envelopes
// and verifying their proofs (together in a batch, and one by one) and the
// transactions' signatures. It reports the ratio of the one to the other.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("block=%d/batch", size), func(b *testing.B) { benchmarkPut(b, size, record.New(), true) })
		b.Run(fmt.Sprintf("block=%d/single", size), func(b *testing.B) { benchmarkPut(b, size, unprepared{record.New()}, false) })
	}
}

func benchmarkPut(b *testing.B, size int, contract ledger.Contract, batch bool) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // no processor helps the one or the other
	w := newWorldWith(b, ledgertest.Consortium(b, 4), contract)
	w.put(w.draft(alice, lab, "lab"))
	var floor, apply time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		n += size
		var txs []*chain.Tx
		var sidecars [][]byte
		var headers []pre.Header
		var raw [][]byte
		for range size {
			d := w.draft(alice, lab, "lab/hematology")
			txs, sidecars = append(txs, w.tx(d)), append(sidecars, d.sidecar)
			headers = append(headers, pre.Header{
				Record: string(d.ID), Owner: pre.Identity{Chain: "records.example", Name: string(alice), Key: w.authority()}, Type: d.Type, Author: string(lab),
			})
			raw = append(raw, d.Envelope)
		}
		data := must(w.Entry(txs, sidecars).Bytes())
		start := time.Now()
		primitives(b, txs, headers, raw, batch)
		floor += time.Since(start)
		b.StartTimer()

		start = time.Now()
		out := must(w.Executor.Apply(w.Head, &w.State, must(chain.ParseEntry(data))))
		apply += time.Since(start)
		b.StopTimer()
		for _, r := range out.Block.Results {
			if r.Code != "" {
				b.Fatal(r.Code)
			}
		}
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(apply.Microseconds())/float64(n), "µs/put")
	b.ReportMetric(float64(floor.Microseconds())/float64(n), "µs/primitives")
	b.ReportMetric(float64(apply)/float64(floor), "ratio")
}

func primitives(b *testing.B, txs []*chain.Tx, headers []pre.Header, raw [][]byte, batch bool) {
	parsed := make([]*chain.Tx, len(txs))
	envelopes := make([]*pre.Envelope, len(raw))
	for i := range txs {
		parsed[i] = must(chain.ParseTx(txs[i].Bytes()))
		envelopes[i] = must(pre.ParseEnvelope(raw[i]))
		if !batch {
			must(envelopes[i].Verify(headers[i]))
		}
	}
	chain.VerifyTxs(parsed)
	if !batch {
		return
	}
	_, errs := pre.VerifyBatch([]byte("seed"), envelopes, headers)
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
}
