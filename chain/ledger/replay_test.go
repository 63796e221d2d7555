package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// rawEntry signs an entry whose transactions are any bytes, as only a
// dishonest leader would.
func rawEntry(t *testing.T, c *ledgertest.Chain, raw ...[]byte) *chain.Entry {
	t.Helper()
	h := c.Head.Header
	p := chain.Proposal{
		Name: "ward/v1/proposal", Chain: h.Chain, Proposer: ledgertest.Public("east"),
		Height: h.Height, Parent: h.Hash(), Time: c.Now.UnixMilli(), Txs: raw, Signature: make([]byte, 64),
	}
	if err := p.Sign(ledgertest.Key("east")); err != nil {
		t.Fatal(err)
	}
	data, err := (&chain.Entry{Proposal: p, Sidecars: make([][]byte, len(raw))}).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	e, err := chain.ParseEntry(data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// replay runs the blocks of c on an executor and a state of their own and
// compares the ends.
func replay(t *testing.T, c *ledgertest.Chain) {
	t.Helper()
	x, err := ledger.NewExecutor(map[string]ledger.Contract{"store": store{}, "other": store{}})
	if err != nil {
		t.Fatal(err)
	}
	head, writes, err := ledger.Genesis(c.Founding)
	if err != nil {
		t.Fatal(err)
	}
	var state ledgertest.State
	state.Apply(writes)
	for _, b := range c.Blocks {
		out, err := x.Replay(head, &state, b)
		if err != nil {
			t.Fatal(err)
		}
		state.Apply(out.Writes)
		head = out.Head
	}
	if head.Header != c.Head.Header {
		t.Fatal("replay ends elsewhere")
	}
	if state.Digest().Sum() != head.Header.State {
		t.Fatal("state hash is not that of the state")
	}
}

// randomTxs draws transactions on few keys, some of them bad or repeated.
func randomTxs(c *ledgertest.Chain, r *rand.Rand, seen []*chain.Tx) []*chain.Tx {
	methods := []string{"put", "put", "new", "delete", "put-then-fail", "put-then-panic", "count", "nothing"}
	txs := make([]*chain.Tx, 1+r.IntN(6))
	for i := range txs {
		if len(seen) > 0 && r.IntN(5) == 0 {
			txs[i] = seen[r.IntN(len(seen))]
			continue
		}
		contract := []string{"store", "other", "absent"}[r.IntN(3)]
		key := fmt.Sprintf("k%d", r.IntN(6))
		txs[i] = c.Tx(fmt.Sprintf("p%d", r.IntN(3)), contract, methods[r.IntN(len(methods))], put(key, fmt.Sprint(r.IntN(4)+1)))
	}
	return txs
}

func TestReplicasAgreeWhateverTheyCached(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newChain(t)
		var seen []*chain.Tx
		for range 1 + r.IntN(50) {
			txs := randomTxs(c, r, seen)
			seen = append(seen, txs...)
			e := c.Entry(txs, nil)
			data, err := e.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			other, err := chain.ParseEntry(data)
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := ledger.NewExecutor(map[string]ledger.Contract{"store": store{}, "other": store{}})
			if err != nil {
				t.Fatal(err)
			}
			want, err := fresh.Apply(c.Head, &c.State, other)
			if err != nil {
				t.Fatal(err)
			}
			if r.IntN(4) == 0 { // an outcome that is thrown away must leave no trace
				if _, err := c.Executor.Apply(c.Head, &c.State, c.Entry(randomTxs(c, r, nil), nil)); err != nil {
					t.Fatal(err)
				}
			}
			got := c.Apply(e)
			if got.Block.Header != want.Block.Header {
				t.Fatalf("seed %d: replicas differ at height %d", seed, got.Block.Header.Height)
			}
			if c.State.Digest().Sum() != got.Block.Header.State {
				t.Fatalf("seed %d: state hash at height %d is not that of the state", seed, got.Block.Header.Height)
			}
			c.Now = c.Now.Add(1e9 * (1 << r.IntN(6)))
		}
		replay(t, c)
	}
}

func TestReplayFindsAnyChange(t *testing.T) {
	c := newChain(t)
	c.Run(c.Tx("alice", "store", "put", put("k", "1")), c.Tx("alice", "store", "new", put("k", "1")))
	genesis, writes, err := ledger.Genesis(c.Founding)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*chain.Block){
		"state":  func(b *chain.Block) { b.Header.State[0] ^= 1 },
		"root":   func(b *chain.Block) { b.Header.Root[0] ^= 1 },
		"value":  func(b *chain.Block) { b.Results[0].Value = []byte{1} },
		"event":  func(b *chain.Block) { b.Results[0].Events = nil },
		"code":   func(b *chain.Block) { b.Results[1].Code = "" },
		"time":   func(b *chain.Block) { b.Header.Time++ },
		"prev":   func(b *chain.Block) { b.Header.Prev[0] ^= 1 },
		"height": func(b *chain.Block) { b.Header.Height++ },
		"leader": func(b *chain.Block) { b.Proposal.Time-- },
	} {
		b, err := chain.ParseBlock(mustBytes(t, c.Blocks[0]))
		if err != nil {
			t.Fatal(err)
		}
		change(b)
		x, err := ledger.NewExecutor(map[string]ledger.Contract{"store": store{}})
		if err != nil {
			t.Fatal(err)
		}
		var state ledgertest.State
		state.Apply(writes)
		var broken *chain.BrokenError
		if _, err := x.Replay(genesis, &state, b); !errors.As(err, &broken) {
			t.Errorf("%s: %v, want BrokenError", name, err)
		}
	}
}

func TestHeadRoundTripsAndRefusesForgeries(t *testing.T) {
	c := newChain(t)
	for range 7 {
		c.Run(c.Tx("alice", "store", "put", put("k", "1")), c.Tx("alice", "store", "put", put("l", "1")))
	}
	data := must(c.Head.Bytes())
	head, err := ledger.ParseHead(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(must(head.Bytes()), data) {
		t.Fatal("head does not round-trip")
	}
	out, err := c.Executor.Apply(head, &c.State, c.Entry([]*chain.Tx{c.Tx("alice", "store", "put", put("m", "1"))}, nil))
	if err != nil {
		t.Fatal(err)
	}
	c.Commit(out)
	headerBytes := must(head.Header.Bytes())
	at := bytes.Index(data, headerBytes)
	for i := range data {
		forged := bytes.Clone(data)
		forged[i] ^= 0x40
		h, err := ledger.ParseHead(forged)
		if err == nil && (i < at || i >= at+len(headerBytes) || h.Header == head.Header) {
			t.Fatalf("byte %d may be changed", i)
		}
	}
}

func TestConsortiumChange(t *testing.T) {
	c := newChain(t)
	next := *c.Consortium
	founding, err := next.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next.Epoch, next.Founding = 1, founding
	next.Members = append([]chain.Member{}, next.Members...)
	next.Members[3].NodeKey = ledgertest.Public("west-2")
	change := func(next chain.Consortium, members ...string) *chain.Tx {
		var es []chain.Endorsement
		for _, m := range members {
			e, err := chain.Endorse(&next, m, ledgertest.Key(m))
			if err != nil {
				t.Fatal(err)
			}
			es = append(es, e)
		}
		return c.Tx("anybody", chain.SystemContract, chain.ConsortiumMethod, must(chain.NextConsortium(&next, es)))
	}
	two, other, skip := next, next, next
	other.Chain = "other.example"
	skip.Epoch = 2
	weak := next
	weak.CheckpointKey, weak.ExtractionKey = nil, nil
	r := c.Run(
		change(two, "east", "north"),
		change(other, "east", "north", "south"),
		change(skip, "east", "north", "south"),
		change(weak, "east", "north", "south"),
		change(next, "east", "east", "north"),
		change(next, "north", "east", "south"),
		c.Tx("anybody", chain.SystemContract, "anything", []byte{0x80}),
		change(next, "east", "north", "south"),
		change(next, "east", "north", "south"), // another transaction, the same file
	)
	for i := range 7 {
		code(t, r, i, chain.ErrConsortium)
	}
	code(t, r, 7, "")
	code(t, r, 8, chain.ErrConsortium)
	if c.Consortium.Epoch != 1 || c.Consortium.MemberByKey(ledgertest.Public("west-2")) == nil {
		t.Fatal("new file is not in force")
	}
	c.Checkpoint()
	// The old key of the member that changed it proposes no more.
	h := c.Head.Header
	e, err := chain.SignEntry(h.Chain, h.Height, h.Hash(), c.Now.UnixMilli(), []*chain.Tx{c.Tx("a", "store", "put", put("k", "v"))}, nil, ledgertest.Key("west"))
	if err != nil {
		t.Fatal(err)
	}
	var void *ledger.VoidError
	if _, err := c.Executor.Apply(c.Head, &c.State, e); !errors.As(err, &void) {
		t.Fatalf("%v, want VoidError", err)
	}
	c.Run(c.Tx("alice", "store", "put", put("k", "1")))
	replay(t, c)
	for _, k := range []*chain.Consortium{c.Founding, c.Consortium} {
		if _, err := audit.Verify(bytes.NewReader(c.Export()), k, audit.Visitor{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDigestDependsOnTheSetOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.MapOf(rapid.StringN(1, 8, 16), rapid.SliceOfN(rapid.Byte(), 1, 20)).Draw(t, "pairs")
		var a, b ledger.Digest
		keys := make([]string, 0, len(pairs))
		for k, v := range pairs { // map order differs from that of keys
			a.Add([]byte(k), v)
			keys = append(keys, k)
		}
		for _, k := range rapid.Permutation(keys).Draw(t, "order") {
			b.Add([]byte("gone "+k), pairs[k])
			b.Add([]byte(k), pairs[k])
			b.Remove([]byte("gone "+k), pairs[k])
		}
		if a.Sum() != b.Sum() {
			t.Fatal("same set, other hash")
		}
		parts := make([]ledger.Digest, 3) // of which one may be empty
		for i, k := range keys {
			part := &parts[i*i%3]
			part.Add([]byte(k), pairs[k])
			part.Add([]byte("gone "+k), pairs[k])
			parts[2].Remove([]byte("gone "+k), pairs[k])
		}
		parts[0].Join(&parts[1])
		parts[0].Join(&parts[2])
		if a.Sum() != parts[0].Sum() {
			t.Fatal("same set in parts, other hash")
		}
		if len(keys) > 0 {
			b.Remove([]byte(keys[0]), pairs[keys[0]])
			b.Add([]byte(keys[0]), append(bytes.Clone(pairs[keys[0]]), 0))
			if a.Sum() == b.Sum() {
				t.Fatal("other set, same hash")
			}
		}
	})
}

// A key and a value must not run into each other.
func TestDigestSeparatesKeyAndValue(t *testing.T) {
	var a, b ledger.Digest
	a.Add([]byte("ab"), []byte("c"))
	b.Add([]byte("a"), []byte("bc"))
	if a.Sum() == b.Sum() {
		t.Fatal("two pairs have one hash")
	}
}

// Meaningful under the race detector.
func TestLookupRunsBesideApply(t *testing.T) {
	c := newChain(t)
	tx := c.Tx("alice", "store", "put", put("k", "v"))
	done := make(chan struct{})
	found := make(chan bool)
	go func() {
		seen := false
		for {
			select {
			case <-done:
				found <- seen
				return
			default:
				_, ok := c.Executor.Lookup(tx.ID())
				seen = seen || ok
			}
		}
	}()
	c.Run(tx)
	for range 20 {
		c.Run(c.Tx("alice", "store", "put", put("k", "w")))
	}
	close(done)
	<-found
	if i, ok := c.Executor.Lookup(tx.ID()); !ok || i != 0 {
		t.Fatal("executed transaction is not found")
	}
}
