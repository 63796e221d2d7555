//go:build unix

package keys_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
)

// cpu returns the processor time that the process has used.
func cpu(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHandover measures what one grant of a hand-over costs the chain with
// four members: the processor time that every member's replica spends on its
// transactions, the bytes that they take, and the longest transaction of a part.
// A part of a thousand grants, and one as large as the rules allow.
func BenchmarkHandover(b *testing.B) {
	for _, grants := range []int{1000, keys.Rules.Room / 272} {
		b.Run(fmt.Sprintf("grants=%d", grants), func(b *testing.B) {
			live := new(book)
			limits := keys.Rules
			limits.Room = grants * 272
			contracts := func() map[string]ledger.Contract {
				return map[string]ledger.Contract{keys.Contract: keys.NewWithTestingLimits(live.live, limits), identity.Contract: identity.New()}
			}
			m := keystest.Found(b, ledgertest.NewFrom(b, keystest.Keyless(b, 4), contracts()))
			live.deal(b, grants+1) // one more than go into the first part
			m.Grants = live.shares
			founded := len(m.Chain.Blocks)
			r := m.Open()
			if r.Finish() != keys.Completed || len(r.Description.Secrets) != grants {
				b.Fatalf("the part moves %d grants", len(r.Description.Secrets))
			}
			for b.Loop() {
				x, err := ledger.NewExecutor(contracts())
				if err != nil {
					b.Fatal(err)
				}
				head, writes, err := ledger.Genesis(m.Chain.Founding)
				if err != nil {
					b.Fatal(err)
				}
				var state ledgertest.State
				state.Apply(writes)
				var total, longest time.Duration
				size, txs := 0, 0
				for i, block := range m.Chain.Blocks {
					begin := cpu(b)
					out, err := x.Replay(head, &state, block)
					if err != nil {
						b.Fatal(err)
					}
					state.Apply(out.Writes)
					head = out.Head
					if i < founded {
						continue
					}
					spent := cpu(b) - begin
					total, longest = total+spent, max(longest, spent)
					for _, tx := range block.Proposal.Txs {
						size += len(tx)
						txs++
					}
				}
				n := float64(grants)
				b.ReportMetric(float64(total.Microseconds())/n, "cpu-µs/grant")
				b.ReportMetric(float64(size)/n, "B/grant")
				b.ReportMetric(float64(longest.Milliseconds()), "longest-tx-ms")
				b.ReportMetric(float64(txs), "txs")
			}
		})
	}
}
