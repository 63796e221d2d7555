package replica

import (
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica/seglog"
)

var benchFor = flag.Duration("bench.for", 3*time.Second, "how long each figure of the speed benchmark is measured")

const benchMembers = 3

// tlsCluster runs members in this process that talk over TLS on loopback and
// write to a real disk, synced.
func tlsCluster(tb testing.TB, dir string, n int, tune func(*Options)) ([]*Replica, *chain.Consortium) {
	tb.Helper()
	k := testConsortium(tb, n, 0)
	listeners := make([]net.Listener, n)
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		listeners[i] = l
		k.Members[i].Peer = l.Addr().String()
	}
	nodes := make([]*Replica, n)
	var wg sync.WaitGroup
	for i := range n {
		name := k.Members[i].Name
		network, err := ListenTLS(listeners[i], testKey(name), func() *chain.Consortium { return k }, nil)
		if err != nil {
			tb.Fatal(err)
		}
		o := Options{
			Dir: filepath.Join(dir, name), Member: name, Key: testKey(name), Consortium: k,
			Contracts: testContracts(), Network: network, Bootstrap: true, ScrubEvery: -1,
		}
		if tune != nil {
			tune(&o)
		}
		wg.Go(func() {
			if nodes[i], err = Open(context.Background(), o); err != nil {
				tb.Error(err)
			}
		})
	}
	wg.Wait()
	if tb.Failed() {
		tb.FailNow()
	}
	tb.Cleanup(func() {
		for _, r := range nodes {
			if err := r.Close(); err != nil {
				tb.Error(err)
			}
		}
	})
	return nodes, k
}

// leaderOf waits for a leader.
func leaderOf(tb testing.TB, nodes []*Replica) *Replica {
	tb.Helper()
	for range 1000 {
		for _, r := range nodes {
			if _, self := r.leader(); self {
				return r
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatal("no leader")
	return nil
}

// txPool signs transactions of about 512 bytes ahead of time, by 64 signers.
func txPool(tb testing.TB, n int) []*chain.Tx {
	tb.Helper()
	txs := make([]*chain.Tx, n)
	keys := make([]ed25519.PrivateKey, 64)
	for i := range keys {
		keys[i] = testKey(fmt.Sprint("signer", i))
	}
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := w; i < n; i += 2 {
				txs[i] = benchTx(tb, keys, i)
			}
		})
	}
	wg.Wait()
	return txs
}

func benchTx(tb testing.TB, keys []ed25519.PrivateKey, i int) *chain.Tx {
	key := keys[i%64]
	args, err := chain.Marshal(putArgs{Key: fmt.Sprintf("record/%08d", i), Value: make([]byte, 260)})
	if err != nil {
		tb.Error(err)
	}
	tx, err := chain.SignTx(chain.TxBody{
		Chain: testChain, Contract: "kv", Method: "put", Args: args, NotAfter: time.Now().Add(10 * time.Minute).UnixMilli(),
	}, key)
	if err != nil {
		tb.Error(err)
	}
	return tx
}

type figure struct {
	perSecond float64
	p50, p99  time.Duration
	count     int
	cpu       float64 // microseconds of this process for each transaction, 0 if unknown
	perBlock  float64 // transactions
}

func (f figure) String() string {
	return fmt.Sprintf("%8.0f/s  p50 %6.2f ms  p99 %6.2f ms  CPU %5.1f µs", f.perSecond, ms(f.p50), ms(f.p99), f.cpu)
}

// cpuSeconds returns the processor time this process has used, all of it: the
// members and the load.
func cpuSeconds() float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measure runs clients for a while. Each calls op again and again; op does size
// transactions.
func measure(clients, size int, d time.Duration, op func(client, round int) bool) figure {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []time.Duration
	begin, cpu := time.Now(), cpuSeconds()
	for c := range clients {
		wg.Go(func() {
			var mine []time.Duration
			for round := 0; time.Since(begin) < d; round++ {
				t := time.Now()
				if !op(c, round) {
					break
				}
				mine = append(mine, time.Since(t))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	took := time.Since(begin)
	slices.Sort(all)
	if len(all) == 0 {
		return figure{}
	}
	n := len(all) * size
	return figure{
		perSecond: float64(n) / took.Seconds(), p50: all[len(all)/2], p99: all[len(all)*99/100], count: n,
		cpu: (cpuSeconds() - cpu) * 1e6 / float64(n),
	}
}

// BenchmarkSpeed prints, for three members on this machine, durable and certified
// commits per second and their latency, beside a bare hashicorp/raft on the same
// log store and network and the bound that signature verification sets. The ratio
// to the bound is printed twice: of what the clock shows, which is lower when
// other processes use the machine, and of processor time, which is much less so.
//
//	go test -run '^$' -bench Speed -benchtime 1x ./chain/replica
func BenchmarkSpeed(b *testing.B) {
	for _, c := range []struct{ clients, batch int }{{1, 1}, {64, 1}, {32, 10}, {8, 100}, {4, 1000}} {
		b.Run(fmt.Sprintf("%dx%d", c.clients, c.batch), func(b *testing.B) {
			for range b.N {
				before := signatureCost(b)
				ours := benchReplica(b, c.clients, c.batch)
				cost := (before + signatureCost(b)) / 2
				bare := benchBareRaft(b, c.clients, c.batch)
				bound := float64(runtime.NumCPU()) * 1e6 / (cost * benchMembers)
				b.Logf("%3d clients × %4d: %v, %.0f a block | bare raft %v | signatures on %d members, batched: %.0f/s, CPU %.1f µs | ratio to bare %.2f, to signatures %.2f by the clock, %.2f by CPU",
					c.clients, c.batch, ours, ours.perBlock, bare, benchMembers, bound, cost*benchMembers,
					ours.perSecond/bare.perSecond, ours.perSecond/bound, cost*benchMembers/ours.cpu)
			}
		})
	}
}

// signatureCost returns the processor time that verifying one signature takes in
// batches of 1,000, in microseconds.
func signatureCost(b *testing.B) float64 {
	txs := txPool(b, 4000)
	begin, n := cpuSeconds(), 0
	for cpuSeconds()-begin < 0.7 {
		fresh := make([]*chain.Tx, len(txs))
		for i := range txs {
			fresh[i] = new(chain.Tx)
			*fresh[i] = *txs[i] // not verified yet
		}
		for i := 0; i < len(fresh); i += 1000 {
			if slices.Contains(chain.VerifyTxs(fresh[i:i+1000]), false) {
				b.Fatal("bad signature")
			}
		}
		n += len(fresh)
	}
	return (cpuSeconds() - begin) * 1e6 / float64(n)
}

func benchReplica(b *testing.B, clients, batch int) figure {
	nodes, _ := tlsCluster(b, b.TempDir(), benchMembers, func(o *Options) { o.MaxBlockTxs = max(batch, 64) })
	leader := leaderOf(b, nodes)
	need := int(20_000*benchFor.Seconds()) * 2
	if batch == 1 {
		need = int(16_000 * benchFor.Seconds())
	}
	txs := txPool(b, need)
	var next atomic.Int64
	runtime.GC() // what was left by making them
	f := measure(clients, batch, *benchFor, func(int, int) bool {
		from := int(next.Add(int64(batch))) - batch
		if from+batch > len(txs) {
			return false
		}
		return submitBatch(b, leader, txs[from:from+batch])
	})
	f.perBlock = float64(f.count) / float64(leader.book.Head().Header.Height)
	for _, r := range nodes {
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	}
	return f
}

// submitBatch reports whether all transactions were accepted.
func submitBatch(b *testing.B, r *Replica, txs []*chain.Tx) bool {
	if len(txs) == 1 {
		rc, err := r.Submit(context.Background(), txs[0], nil)
		if err != nil || rc.Result.Code != "" {
			b.Errorf("submit: %v", err)
			return false
		}
		return true
	}
	out, err := r.SubmitAll(context.Background(), txs, nil)
	if err != nil {
		b.Error(err)
		return false
	}
	for _, o := range out {
		if o.Err != nil || o.Receipt.Result.Code != "" {
			b.Errorf("submit: %v", o.Err)
			return false
		}
	}
	return true
}

// noop is the cheapest state machine.
type noop struct{}

func (noop) Apply(*raft.Log) any                 { return nil }
func (noop) Snapshot() (raft.FSMSnapshot, error) { return nil, raft.ErrNothingNewToSnapshot }
func (noop) Restore(io.ReadCloser) error         { return nil }
func (noop) ApplyBatch(logs []*raft.Log) []any   { return make([]any, len(logs)) }

func benchBareRaft(b *testing.B, clients, batch int) figure {
	dir := b.TempDir()
	k := testConsortium(b, benchMembers, 0)
	rafts := make([]*raft.Raft, benchMembers)
	listeners := make([]net.Listener, benchMembers)
	for i := range benchMembers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		listeners[i] = l
		k.Members[i].Peer = l.Addr().String()
	}
	for i := range benchMembers {
		rafts[i] = bareRaft(b, filepath.Join(dir, memberName(i)), k, k.Members[i].Name, listeners[i])
	}
	var leader *raft.Raft
	for leader == nil {
		for _, r := range rafts {
			if r.State() == raft.Leader {
				leader = r
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	data := make([]byte, 512*batch)
	return measure(clients, batch, *benchFor, func(int, int) bool {
		if err := leader.Apply(data, 0).Error(); err != nil {
			b.Errorf("apply: %v", err)
			return false
		}
		return true
	})
}

func bareRaft(b *testing.B, dir string, k *chain.Consortium, name string, l net.Listener) *raft.Raft {
	b.Helper()
	network, err := ListenTLS(l, testKey(name), func() *chain.Consortium { return k }, nil)
	if err != nil {
		b.Fatal(err)
	}
	log, err := seglog.Open(filepath.Join(dir, "raft"), seglog.Options{})
	if err != nil {
		b.Fatal(err)
	}
	stable, _, err := openStable(filepath.Join(dir, "vote"), medium{})
	if err != nil {
		b.Fatal(err)
	}
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(name)
	config.Logger = raftLogger(discardLog())
	config.BatchApplyCh = true
	config.NoLegacyTelemetry = true
	transport := newRaftTransport(name, network, 10*time.Second, config.Logger)
	go func() {
		for {
			conn, from, _, err := network.Accept()
			if err != nil {
				return
			}
			go transport.serve(conn, from)
		}
	}()
	var servers []raft.Server
	for _, m := range k.Members {
		servers = append(servers, raft.Server{ID: raft.ServerID(m.Name), Address: raft.ServerAddress(m.Name)})
	}
	logs, snaps := newRaftLog(log, 64<<20), raft.NewInmemSnapshotStore()
	if err := raft.BootstrapCluster(config, logs, stable, snaps, transport, raft.Configuration{Servers: servers}); err != nil {
		b.Fatal(err)
	}
	r, err := raft.NewRaft(config, noop{}, logs, stable, snaps, transport)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		down := r.Shutdown()
		transport.Close()
		if err := down.Error(); err != nil {
			b.Error(err)
		}
		network.Close()
		log.Close()
	})
	return r
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
