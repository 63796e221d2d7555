package devnet_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/node/remote"
	"github.com/ward-health/ward/wallet"
)

// The benchmarks run four nodes in this process that speak TLS over loopback,
// each durable on the disk of the temporary directory. All of them share the
// processors with the client: what a consortium of four machines does is not
// slower than this by more than its network.

// clinic is a devnet with an author, a patient and a doctor.
type clinic struct {
	net                     *devnet.Devnet
	author, patient, doctor *ward.Client
}

func newClinic(b *testing.B, ctx context.Context) *clinic {
	b.Helper()
	net, err := devnet.New(ctx, devnet.Options{Dir: b.TempDir(), HTTP: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := net.Close(); err != nil {
			b.Error(err)
		}
	})
	c := &clinic{net: net}
	c.author = c.enrol(b, ctx, 0, "archive", identity.Attribute{Name: identity.Author})
	c.patient = c.enrol(b, ctx, 0, "p-7f3a")
	c.doctor = c.enrol(b, ctx, 1, "dr.lee")
	return c
}

func (c *clinic) enrol(b *testing.B, ctx context.Context, member int, handle string, attributes ...identity.Attribute) *ward.Client {
	b.Helper()
	k := c.net.Consortium()
	name := identity.Name(handle + "@" + c.net.Name(member))
	w, err := wallet.Generate(k.Chain, name)
	if err != nil {
		b.Fatal(err)
	}
	var nodes []ward.Node
	for i := range c.net.Len() {
		m := k.Member(c.net.Name((member + i) % c.net.Len()))
		n, err := remote.New(m.URL, remote.Options{Consortium: k, Member: m.Name, Signer: w.Signer()})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { n.Close() })
		nodes = append(nodes, n)
	}
	client, err := ward.New(ward.Options{Consortium: k, Wallet: w, Nodes: nodes})
	if err != nil {
		b.Fatal(err)
	}
	key, err := c.net.Key(member)
	if err != nil {
		b.Fatal(err)
	}
	if err := client.Register(ctx, key, false, attributes...); err != nil {
		b.Fatal(err)
	}
	return client
}

// put puts n records of 2 KiB with a number of callers at once and returns
// their ids.
func (c *clinic) put(b *testing.B, ctx context.Context, n, callers int) []record.ID {
	b.Helper()
	ids := make([]record.ID, n)
	var next atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				payload := bytes.Repeat([]byte(fmt.Sprintf("result %d\n", i)), 200)
				id, err := c.author.Put(ctx, ward.Record{Owner: c.patient.Name(), Type: "clinical/exam/lab", Title: "result"}, bytes.NewReader(payload))
				if err != nil {
					b.Error(err)
					return
				}
				ids[i] = id
			}
		})
	}
	all.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return ids
}

// BenchmarkAccess is a whole access: on the chain and certified, answered by
// three of four members, combined, indexes opened. It reports the median and
// the 99th percentile in milliseconds.
func BenchmarkAccess(b *testing.B) {
	ctx := context.Background()
	c := newClinic(b, ctx)
	ids := c.put(b, ctx, 500, 8)
	grant, err := c.patient.Grant(ctx, ward.Terms{To: c.doctor.Name(), Type: "clinical/exam"})
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 10, 100, 500} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				opened, err := c.doctor.Access(ctx, grant, ids[:n], ward.Purpose{Code: consent.Treatment})
				if err != nil {
					b.Fatal(err)
				}
				if len(opened) != n {
					b.Fatalf("%d records opened", len(opened))
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			milliseconds := func(q float64) float64 {
				return took[int(q*float64(len(took)-1))].Seconds() * 1e3
			}
			b.ReportMetric(milliseconds(0.5), "p50-ms")
			b.ReportMetric(milliseconds(0.99), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkImport puts records with several callers at once and reports how
// many are certified, with their payloads durable on two members, in a second.
func BenchmarkImport(b *testing.B) {
	ctx := context.Background()
	c := newClinic(b, ctx)
	for _, callers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			began := time.Now()
			c.put(b, ctx, b.N, callers)
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "records/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
