// Command etcd-peer runs three etcd nodes on loopback, with directories of their
// own below the one it is given, and puts load on them when asked over JSON
// lines: what bench measures Ward's chain beside. Nodes and clients share the
// process, as Ward's do. Its first line gives the version; the end of its input
// stops it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

const nodes = 3

type request struct {
	N       int `json:"n"`       // entries
	Clients int `json:"clients"` // at once
	Batch   int `json:"batch"`   // entries in a transaction
	Seconds int `json:"seconds"` // how long; 0 means until N entries are there
}

type reply struct {
	Version string  `json:"version,omitempty"`
	Error   string  `json:"error,omitempty"`
	Work    int     `json:"work,omitempty"`
	CPU     float64 `json:"cpu,omitempty"` // seconds, like the rest
	Wall    float64 `json:"wall,omitempty"`
	P50     float64 `json:"p50,omitempty"`
	P99     float64 `json:"p99,omitempty"`
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		_ = json.NewEncoder(os.Stdout).Encode(reply{Error: err.Error()}) // there is nobody else to tell
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: etcd-peer DIRECTORY")
	}
	client, stop, err := start(args[0])
	if err != nil {
		return err
	}
	defer stop()
	answers := json.NewEncoder(out)
	if err := answers.Encode(reply{Version: "v" + version.Version}); err != nil {
		return err
	}
	var next atomic.Int64
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var q request
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		r, err := load(client, q, &next)
		if err != nil {
			r = reply{Error: err.Error()}
		}
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
	return lines.Err()
}

// start starts the nodes and returns a client of the leader.
func start(dir string) (client *clientv3.Client, stop func(), err error) {
	var peers, clients []url.URL
	var cluster []string
	for i := range nodes {
		for _, list := range []*[]url.URL{&peers, &clients} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, nil, err
			}
			*list = append(*list, url.URL{Scheme: "http", Host: l.Addr().String()})
			if err := l.Close(); err != nil {
				return nil, nil, err
			}
		}
		cluster = append(cluster, fmt.Sprintf("n%d=%s", i, peers[i].String()))
	}
	var running []*embed.Etcd
	stop = func() {
		if client != nil {
			client.Close()
		}
		for _, e := range running {
			e.Close()
		}
	}
	for i := range nodes {
		c := embed.NewConfig()
		c.Name, c.Dir = fmt.Sprintf("n%d", i), filepath.Join(dir, fmt.Sprintf("n%d", i))
		c.ListenPeerUrls, c.AdvertisePeerUrls = peers[i:i+1], peers[i:i+1]
		c.ListenClientUrls, c.AdvertiseClientUrls = clients[i:i+1], clients[i:i+1]
		c.InitialCluster = strings.Join(cluster, ",")
		c.MaxTxnOps, c.MaxRequestBytes, c.QuotaBackendBytes = 4096, 8<<20, 8<<30
		c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
		e, err := embed.StartEtcd(c)
		if err != nil {
			stop()
			return nil, nil, err
		}
		running = append(running, e)
	}
	for _, e := range running {
		select {
		case <-e.Server.ReadyNotify():
		case <-time.After(time.Minute):
			stop()
			return nil, nil, fmt.Errorf("the nodes do not become ready")
		}
	}
	leader := slices.IndexFunc(running, func(e *embed.Etcd) bool { return e.Server.MemberID() == e.Server.Leader() })
	client, err = clientv3.New(clientv3.Config{Endpoints: []string{clients[max(leader, 0)].Host}, DialTimeout: time.Minute, Logger: zap.NewNop()})
	if err != nil {
		stop()
		return nil, nil, err
	}
	return client, stop, nil
}

// load puts about n entries of 512 bytes, or those that it can in so many
// seconds.
func load(client *clientv3.Client, q request, next *atomic.Int64) (reply, error) {
	if q.N < 1 || q.Seconds < 0 || q.Seconds > 240 || q.Clients < 1 || q.Batch < 1 || q.Batch > 4096 {
		return reply{}, fmt.Errorf("cannot do %+v", q)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	calls, length := int64((q.N+q.Batch-1)/q.Batch), time.Duration(q.Seconds)*time.Second
	var made atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var all sync.WaitGroup
	// Values do not compress, as signed entries do not.
	noise := rand.NewChaCha8([32]byte{1})
	block := make([]byte, 1<<16)
	if _, err := noise.Read(block); err != nil {
		return reply{}, err
	}
	begun, cpu := time.Now(), used()
	for range q.Clients {
		all.Go(func() {
			for length > 0 && time.Since(begun) < length || length == 0 && made.Add(1) <= calls {
				var ops []clientv3.Op
				for range q.Batch {
					n := next.Add(1)
					from := n * 61 % (1<<16 - 512)
					ops = append(ops, clientv3.OpPut(fmt.Sprintf("record/%010d", n), string(block[from:from+495])))
				}
				t := time.Now()
				var err error
				if len(ops) == 1 {
					_, err = client.Do(ctx, ops[0])
				} else {
					_, err = client.Txn(ctx).Then(ops...).Commit()
				}
				d := time.Since(t)
				mu.Lock()
				took = append(took, d)
				if failed == nil {
					failed = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	r := reply{Work: len(took) * q.Batch, CPU: (used() - cpu).Seconds(), Wall: time.Since(begun).Seconds()}
	slices.Sort(took)
	r.P50, r.P99 = took[len(took)/2].Seconds(), took[len(took)*99/100].Seconds()
	return r, failed
}

// used returns the processor time of this process.
func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
