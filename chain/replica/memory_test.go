package replica

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/internal/realserver"
)

// BenchmarkMemory prints the memory of members that run in processes of their own
// while -bench.txs transactions of 512 bytes go onto the chain in blocks of 1000,
// and after they were opened again. The load comes from this process, which has the
// place of a fourth member.
//
//	go test -run '^$' -bench Memory -benchtime 1x -bench.txs 1000000 ./chain/replica
func BenchmarkMemory(b *testing.B) {
	for range b.N {
		benchMemory(b)
	}
}

func benchMemory(b *testing.B) {
	const members, batch = 3, 1000
	dir, peers := b.TempDir(), realserver.FreeAddresses(b, members+1)
	start := func(heap string) []*child {
		var all []*child
		for i := range members {
			all = append(all, startChild(b, childConfig{
				Dir: filepath.Join(dir, memberName(i)), Member: memberName(i), Listen: peers[i], Peers: peers, MinFree: -1, Defaults: true, Heap: heap,
			}))
		}
		for _, ch := range all {
			<-ch.ready
		}
		return all
	}
	nodes := start(os.Getenv("WARD_HEAP"))
	load := loadClient(b, members, peers)
	keys := make([]ed25519.PrivateKey, 64)
	for i := range keys {
		keys[i] = testKey(fmt.Sprint("signer", i))
	}
	watch, stop := peakOf(nodes)
	done := 0
	for next := 1000; done < *growTo; next *= 10 {
		next = min(next, *growTo)
		begin, before := done, cpuOf(b, nodes)
		began := time.Now()
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				for from := begin + w*batch; from < next; from += 2 * batch {
					req := submitRequest{Sidecars: make([][]byte, batch)}
					for i := range batch {
						req.Txs = append(req.Txs, benchTx(b, keys, from+i).Bytes())
					}
					load.submit(b, req)
				}
			})
		}
		wg.Wait()
		done = next
		n := float64(done - begin)
		b.Logf("transactions %7d to %7d: CPU %5.1f µs each in all members, %6.0f/s; resident MiB %s", begin, done, (cpuOf(b, nodes)-before)*1e6/n, n/time.Since(began).Seconds(), memoryOf(nodes))
	}
	stop()
	b.Logf("peak of anonymous memory in MiB: %d", watch())
	for _, ch := range nodes {
		ch.stop(b)
		for _, line := range ch.errs {
			if strings.HasPrefix(line, "heap") {
				b.Log(line)
			}
		}
	}
	began := time.Now()
	nodes = start("")
	b.Logf("%d members opened again in %v; resident MiB %s", members, time.Since(began).Round(time.Millisecond), memoryOf(nodes))
	for _, ch := range nodes {
		ch.stop(b)
	}
}

// loader submits transactions in the place of a member that runs no replica.
type loader struct {
	peers   *peerNet
	members int
}

func loadClient(b *testing.B, members int, peers []string) *loader {
	b.Helper()
	k := testConsortium(b, len(peers), 0)
	for i, p := range peers {
		k.Members[i].Peer = p
	}
	l, err := net.Listen("tcp", peers[members])
	if err != nil {
		b.Fatal(err)
	}
	name := memberName(members)
	network, err := ListenTLS(l, testKey(name), func() *chain.Consortium { return k }, nil)
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for {
			conn, _, _, err := network.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	p := newPeerNet(network, func(context.Context, string, byte, []byte) (any, error) { return nil, errors.New("not a replica") }, discardLog())
	b.Cleanup(func() {
		p.close()
		network.Close()
	})
	return &loader{peers: p, members: members}
}

// submit returns when the leader has executed all transactions of req.
func (l *loader) submit(b *testing.B, req submitRequest) {
	for begin := time.Now(); time.Since(begin) < 5*time.Minute; time.Sleep(20 * time.Millisecond) {
		for i := range l.members {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			var codes []byte
			err := l.peers.call(ctx, memberName(i), rpcSubmit, req, &codes)
			cancel()
			if err != nil || len(codes) != len(req.Txs) {
				continue // another one leads, or will
			}
			var again submitRequest
			for i, code := range codes {
				if code != forwardOK {
					again.Txs, again.Sidecars = append(again.Txs, req.Txs[i]), append(again.Sidecars, nil)
				}
			}
			if req = again; len(req.Txs) == 0 {
				return
			}
		}
	}
	b.Errorf("%d transactions are not executed", len(req.Txs))
}

// memoryOf returns the resident memory of the members' processes: all of it, what
// of it is anonymous, and the peak. The rest are pages of the
// program, which the system takes back when it needs them.
func memoryOf(all []*child) string {
	var out []string
	for _, ch := range all {
		mib := procStatus(ch)
		out = append(out, fmt.Sprintf("%d (%d anonymous, peak %d)", mib["VmRSS"], mib["RssAnon"], mib["VmHWM"]))
	}
	return strings.Join(out, ", ")
}

// peakOf watches the anonymous memory of the members until stop is called, and
// returns its greatest values.
func peakOf(all []*child) (peaks func() []int, stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	most := make([]int, len(all))
	go func() {
		defer close(stopped)
		for {
			for i, ch := range all {
				most[i] = max(most[i], procStatus(ch)["RssAnon"])
			}
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() []int { <-stopped; return most }, func() { close(done) }
}

// procStatus returns what the system says of the memory of a process, in MiB.
func procStatus(ch *child) map[string]int {
	mib := map[string]int{}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", ch.cmd.Process.Pid))
	if err != nil {
		return mib
	}
	for line := range strings.Lines(string(raw)) {
		name, rest, _ := strings.Cut(line, ":")
		var kib int
		fmt.Sscan(rest, &kib)
		mib[name] = kib >> 10
	}
	return mib
}

// cpuOf returns the processor time that the processes have used, in seconds.
func cpuOf(b *testing.B, all []*child) float64 {
	b.Helper()
	ticks := 0.0
	for _, ch := range all {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", ch.cmd.Process.Pid))
		if err != nil {
			b.Fatal(err)
		}
		_, after, _ := strings.Cut(string(raw), ") ")
		f := strings.Fields(after)
		var user, system float64
		fmt.Sscan(f[11], &user)
		fmt.Sscan(f[12], &system)
		ticks += user + system
	}
	return ticks / 100 // USER_HZ
}
