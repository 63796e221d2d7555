package replica

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

const testChain = "test.ward"

// register is a contract with one value per key: put replaces it and returns the
// old one, purge orders the sidecar of a transaction to be erased.
type register struct{}

type putArgs struct {
	_     struct{} `cbor:",toarray"`
	Key   string
	Value []byte
}

func (register) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	switch method {
	case "put":
		var a putArgs
		if err := chain.Unmarshal(args, &a); err != nil {
			return nil, chain.Code("kv/malformed")
		}
		old, err := call.State.Get([]byte(a.Key))
		if err != nil {
			return nil, err
		}
		old = append([]byte(nil), old...)
		return old, call.State.Set([]byte(a.Key), a.Value)
	case "purge":
		if len(args) != 8 {
			return nil, chain.Code("kv/malformed")
		}
		call.Purge(binary.BigEndian.Uint64(args))
		return nil, nil
	}
	return nil, chain.Code("kv/method")
}

func testContracts() map[string]ledger.Contract {
	return map[string]ledger.Contract{"kv": register{}}
}

// testKey returns a key that depends on name only.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("key of " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func memberName(i int) string { return fmt.Sprintf("h%d", i) }

// testConsortium returns the founding file of n members; threshold 0 means the
// smallest that is safe.
func testConsortium(t testing.TB, n, threshold int) *chain.Consortium {
	t.Helper()
	k := &chain.Consortium{
		Format:       "ward/v1/consortium",
		Chain:        testChain,
		Created:      time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyThreshold: n/3 + 1, CheckpointThreshold: threshold,
	}
	if threshold == 0 {
		k.CheckpointThreshold = (n+(n-1)/3)/2 + 1
	}
	for i := range n {
		k.Members = append(k.Members, testMember(memberName(i)))
	}
	if _, err := k.Bytes(); err != nil {
		t.Fatal(err)
	}
	return k
}

func testMember(name string) chain.Member {
	return chain.Member{
		Name: name, NodeKey: chain.PublicKey(testKey(name).Public().(ed25519.PublicKey)),
		URL: "https://" + name + ".example", Peer: "127.0.0.1:1",
	}
}

func put(t testing.TB, client, key string, value []byte, sidecar []byte) *chain.Tx {
	t.Helper()
	args, err := chain.Marshal(putArgs{Key: key, Value: value})
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, client, "put", args, sidecar)
}

func sign(t testing.TB, client, method string, args, sidecar []byte) *chain.Tx {
	t.Helper()
	s, err := chain.NewSidecar(sidecar)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := chain.SignTx(chain.TxBody{
		Chain: testChain, Contract: "kv", Method: method, Args: args,
		NotAfter: time.Now().Add(50 * time.Minute).UnixMilli(), Sidecar: s,
	}, testKey(client))
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// cluster runs members in this process over a simulated network.
type cluster struct {
	t          testing.TB
	dir        string
	net        *simNet
	consortium *chain.Consortium
	nodes      map[string]*Replica
	tune       func(*Options)
}

func newCluster(t testing.TB, n int, tune func(*Options)) *cluster {
	t.Helper()
	return &cluster{
		t: t, dir: tempDir(t), net: newSimNet(time.Millisecond), consortium: testConsortium(t, n, 0),
		nodes: map[string]*Replica{}, tune: tune,
	}
}

// tempDir returns a directory in memory where there is one.
func tempDir(t testing.TB) string {
	t.Helper()
	base := ""
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "ward-replica-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (c *cluster) options(name string) Options {
	o := Options{
		Dir: filepath.Join(c.dir, name), Member: name, Key: testKey(name), Consortium: c.consortium,
		Contracts: testContracts(), Network: c.net.node(name), Bootstrap: true, MinFree: -1, ScrubEvery: -1,
		medium: medium{simulated: true},
	}
	if os.Getenv("WARD_TEST_LOG") != "" {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", name)
	}
	if c.tune != nil {
		c.tune(&o)
	}
	return o
}

func (c *cluster) start(name string) *Replica {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := Open(ctx, c.options(name))
	if err != nil {
		c.t.Fatalf("open %s: %v", name, err)
	}
	c.nodes[name] = r
	return r
}

func (c *cluster) startAll() {
	c.t.Helper()
	for i := range c.consortium.Members {
		c.start(c.consortium.Members[i].Name)
	}
}

func (c *cluster) stop(name string) {
	c.t.Helper()
	if r := c.nodes[name]; r != nil {
		if err := r.Close(); err != nil {
			c.t.Errorf("close %s: %v", name, err)
		}
		delete(c.nodes, name)
	}
}

// leads makes a member the leader.
func (c *cluster) leads(name string) {
	c.t.Helper()
	for other, r := range c.nodes {
		if _, self := r.leader(); self && other != name {
			_ = r.node().LeadershipTransferToServer(raft.ServerID(name), raft.ServerAddress(name)).Error() // seen below
		}
	}
	time.Sleep(5 * time.Second)
	if _, self := c.nodes[name].leader(); !self {
		c.t.Fatalf("%s does not lead", name)
	}
}

// compacts puts n transactions on the chain, after which there is time for snapshots,
// and a few that come behind them.
func (c *cluster) compacts(n int) {
	c.t.Helper()
	c.load(n)
	time.Sleep(10 * time.Second)
	c.load(3)
	c.sameHead()
}

// hasSidecar checks that a sidecar is on the disk of a member as it was.
func hasSidecar(t *testing.T, r *Replica, index uint64, want []byte) {
	t.Helper()
	if err := r.book.drain(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got, err := r.book.sidecar(index); err != nil || !bytes.Equal(got, want) {
		t.Errorf("sidecar %d: %q, %v", index, got, err)
	}
}

func (c *cluster) stopAll() {
	c.t.Helper()
	for name := range c.nodes {
		c.stop(name)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func mustSubmit(t testing.TB, r *Replica, tx *chain.Tx, sidecar []byte) *chain.Receipt {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rc, err := r.Submit(ctx, tx, sidecar)
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	if _, err := rc.Verify(r.Consortium()); err != nil {
		t.Fatalf("receipt: %v", err)
	}
	return rc
}
