package identity_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
)

// BenchmarkRegister runs blocks of 100 registrations, from the bytes of the
// entry to its block, and in the same run what no implementation can avoid: one
// signature of the transaction and one of the new key. It reports the ratio.
func BenchmarkRegister(b *testing.B) {
	const size = 100
	w := newWorld(b)
	var floor, apply time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		txs, parsed := make([]*chain.Tx, size), make([]*chain.Tx, size)
		args := make([]identity.RegisterArgs, size)
		for i := range txs {
			n++
			args[i] = registration(identity.Name(fmt.Sprintf("p-%d@north", n)), "author")
			txs[i] = w.Tx("north", "identity", "register", args[i])
			parsed[i] = must(chain.ParseTx(txs[i].Bytes()))
		}
		data := must(w.Entry(txs, nil).Bytes())
		start := time.Now()
		chain.VerifyTxs(parsed)
		for _, a := range args {
			if !a.Key.Verify(identity.PossessionStatement("records.example", "register", a.Name, a.Key), a.Possession) {
				b.Fatal("no possession")
			}
		}
		floor += time.Since(start)
		b.StartTimer()

		start = time.Now()
		out := must(w.Executor.Apply(w.Head, &w.State, must(chain.ParseEntry(data))))
		apply += time.Since(start)
		b.StopTimer()
		if code := out.Block.Results[size-1].Code; code != "" {
			b.Fatal(code)
		}
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(apply.Microseconds())/float64(n), "µs/registration")
	b.ReportMetric(float64(floor.Microseconds())/float64(n), "µs/primitives")
	b.ReportMetric(float64(apply)/float64(floor), "ratio")
}
