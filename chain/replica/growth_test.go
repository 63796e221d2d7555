package replica

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
)

var growTo = flag.Int("bench.txs", 100_000, "transactions that BenchmarkGrowth puts on the chain")

// BenchmarkGrowth prints how the cost of a transaction and the memory of a member
// develop as its chain grows, and how long it takes to open the chain again.
//
//	go test -run '^$' -bench Growth -benchtime 1x -bench.txs 1000000 ./chain/replica
func BenchmarkGrowth(b *testing.B) {
	for range b.N {
		dir := b.TempDir()
		r := growthMember(b, dir)
		leaderOf(b, []*Replica{r})
		keys := make([]ed25519.PrivateKey, 64)
		for i := range keys {
			keys[i] = testKey(fmt.Sprint("signer", i))
		}
		const batch = 1000
		var spent time.Duration
		from := 0
		for next := 1000; from < *growTo; next *= 10 {
			next = min(next, *growTo)
			begin := from
			for ; from < next; from += batch {
				txs := make([]*chain.Tx, batch)
				for i := range txs {
					txs[i] = benchTx(b, keys, from+i)
				}
				t := time.Now()
				submitBatch(b, r, txs)
				spent += time.Since(t)
			}
			b.Logf("transactions %7d to %7d: %6.1f µs each; resident %s", begin, from,
				float64(spent.Microseconds())/float64(from-begin), resident())
			spent = 0
		}
		b.Log("heap: ", heapInUse(b, os.Getenv("WARD_HEAP"), "h0"))
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		t := time.Now()
		r = growthMember(b, dir)
		b.Logf("opened a chain of %d transactions, its whole state checked, in %v; resident %s", r.book.Head().Header.Size, time.Since(t).Round(time.Millisecond), resident())
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func growthMember(b *testing.B, dir string) *Replica {
	b.Helper()
	k := testConsortium(b, 1, 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	network, err := ListenTLS(l, testKey("h0"), func() *chain.Consortium { return k }, nil)
	if err != nil {
		b.Fatal(err)
	}
	r, err := Open(context.Background(), Options{
		Dir: dir, Member: "h0", Key: testKey("h0"), Consortium: k, Contracts: testContracts(), Network: network, Bootstrap: true, ScrubEvery: -1,
	})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// heapInUse says what the garbage collector finds in use, and writes a profile of
// it to the file path, with the name of the member behind it, if there is one.
func heapInUse(t testing.TB, path, member string) string {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if path != "" {
		f, err := os.Create(path + "." + member)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(pprof.WriteHeapProfile(f), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("live %d MiB, from the system %d MiB, given back %d MiB", m.HeapAlloc>>20, m.HeapSys>>20, m.HeapReleased>>20)
}

// resident returns the resident memory of this process and its peak.
func resident() string {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	var out []string
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") || strings.HasPrefix(line, "RssAnon") {
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(out, ", ")
}
