package ledger_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

func TestWritesOfOneTransactionAreSeenByTheNext(t *testing.T) {
	c := newChain(t)
	r := c.Run(
		c.Tx("alice", "store", "put", put("k", "v")),
		c.Tx("bob", "store", "new", put("k", "w")),
		c.Tx("bob", "store", "new", put("l", "w")),
	)
	code(t, r, 0, "")
	code(t, r, 1, errTaken)
	code(t, r, 2, "")
	if !errors.Is(r[1].Err(), errTaken) || r[0].Err() != nil {
		t.Fatal("Err does not give the code back")
	}
	got, _ := c.State.Get([]byte("store\x00k"))
	if string(got) != "v" {
		t.Fatalf("state holds %q", got)
	}
	if len(r[0].Events) != 1 || r[0].Events[0].Kind != "store.put" {
		t.Fatalf("events %v", r[0].Events)
	}
}

func TestFailedTransactionLeavesNothing(t *testing.T) {
	for _, method := range []string{"put-then-fail", "put-then-panic", "plain-error", "big-result", "bad-event", "flood"} {
		t.Run(method, func(t *testing.T) {
			c := newChain(t)
			r := c.Run(c.Tx("alice", "store", method, put("k", "v")))
			if r[0].Code == "" || len(r[0].Events) != 0 || len(r[0].Value) != 0 {
				t.Fatalf("result %+v", r[0])
			}
			c.State.Scan([]byte("store\x00"), nil, func(k, _ []byte) bool {
				t.Errorf("key %q was left behind", k)
				return true
			})
			if r[0].Code == "text with a name in it" || bytes.Contains(mustBytes(t, c.Blocks[0]), []byte("name in it")) {
				t.Error("text of an error is on the chain")
			}
		})
	}
}

func TestContractCannotHideABrokenLimit(t *testing.T) {
	c := newChain(t)
	r := c.Run(c.Tx("alice", "store", "huge", storeArgs{Key: "k"}),
		c.Tx("alice", "store", "ignore-error", storeArgs{Key: "k"}),
		c.Tx("alice", "store", "ignore-error", storeArgs{Key: string(make([]byte, ledger.MaxKey+1)), Value: []byte{1}}))
	for i := range r {
		code(t, r, i, chain.ErrFault)
	}
}

func TestContractMustNotWriteDuringAScan(t *testing.T) {
	c := newChain(t)
	c.Run(c.Tx("alice", "store", "put", put("k", "v")), c.Tx("alice", "store", "put", put("l", "v")))
	code(t, c.Run(c.Tx("alice", "store", "write-in-scan", put("m", ""))), 0, chain.ErrFault)
	if got, _ := c.State.Get([]byte("store\x00m")); got != nil {
		t.Error("the write was made")
	}
}

func TestRetriedTransactionHasOneEffect(t *testing.T) {
	c := newChain(t)
	tx := c.Tx("alice", "store", "put", put("k", "1"))
	r := c.Run(tx, tx, c.Tx("alice", "store", "put", put("k", "2")))
	code(t, r, 0, "")
	code(t, r, 1, chain.ErrDuplicate)
	c.Now = c.Now.Add(30 * time.Second)
	code(t, c.Run(tx), 0, chain.ErrDuplicate)
	if v, _ := c.State.Get([]byte("store\x00k")); string(v) != "2" {
		t.Fatalf("retry had an effect: %q", v)
	}
	if i, ok := c.Executor.Lookup(tx.ID()); !ok || i != 0 {
		t.Fatalf("Lookup = %d, %v", i, ok)
	}
	// A signer that signs the same words again makes the same transaction.
	again, err := chain.ParseTx(slices.Clone(tx.Bytes()))
	if err != nil || again.ID() != tx.ID() {
		t.Fatal("id is not that of the signed bytes")
	}
	// After its time it is refused as expired, and forgotten.
	c.Now = c.Now.Add(2 * time.Minute)
	code(t, c.Run(tx), 0, chain.ErrExpired)
	c.Run(c.Tx("alice", "store", "put", put("k", "3")))
	if _, ok := c.Executor.Lookup(tx.ID()); ok {
		t.Fatal("expired transaction is still remembered")
	}
}

// A transaction is remembered up to the last moment at which it could run.
func TestReplayWindowReachesToNotAfter(t *testing.T) {
	c := newChain(t)
	start := c.Now
	tx := c.Tx("alice", "store", "put", put("k", "1")) // valid for 60 seconds
	c.Run(tx)
	for _, after := range []time.Duration{30, 59, 60, 60} {
		c.Now = start.Add(after * time.Second)
		c.Run(c.Tx("bob", "store", "put", put("l", "1")))
		code(t, c.Run(tx), 0, chain.ErrDuplicate)
	}
	c.Now = start.Add(60*time.Second + time.Millisecond)
	for range 3 {
		code(t, c.Run(tx), 0, chain.ErrExpired)
	}
}

func TestFailedTransactionIsNotExecutedAgain(t *testing.T) {
	c := newChain(t)
	c.Run(c.Tx("alice", "store", "put", put("k", "1")))
	tx := c.Tx("bob", "store", "new", put("k", "2"))
	code(t, c.Run(tx), 0, errTaken)
	c.Run(c.Tx("alice", "store", "delete", put("k", "")))
	code(t, c.Run(tx), 0, chain.ErrDuplicate)
}

func TestReplayWindowSurvivesRestart(t *testing.T) {
	c := newChain(t)
	tx := c.Tx("alice", "store", "put", put("k", "1"))
	c.Run(tx)
	c.Run(c.Tx("alice", "store", "put", put("l", "1")))
	fresh, err := ledger.NewExecutor(map[string]ledger.Contract{"store": store{}})
	if err != nil {
		t.Fatal(err)
	}
	c.Executor = fresh
	code(t, c.Run(tx), 0, chain.ErrDuplicate)
}

func TestRejections(t *testing.T) {
	c := newChain(t)
	good := c.Tx("alice", "store", "put", put("k", "1"))
	forged := slices.Clone(good.Bytes())
	forged[len(forged)-1] ^= 1
	bad, err := chain.ParseTx(forged)
	if err != nil {
		t.Fatal(err)
	}
	now := c.Now.UnixMilli()
	r := c.Run(
		bad,
		c.TxWith("alice", chain.TxBody{Chain: "other.example", Contract: "store", Method: "put", Args: []byte{0x80}}),
		c.TxWith("alice", chain.TxBody{Contract: "store", Method: "put", NotAfter: now - 1}),
		c.TxWith("alice", chain.TxBody{Contract: "store", Method: "put", NotAfter: now + chain.MaxLifetime.Milliseconds() + 1}),
		c.TxWith("alice", chain.TxBody{Contract: "nothing", Method: "put"}),
		c.TxWith("alice", chain.TxBody{Contract: "store", Method: "put", Sidecar: sidecar(t, []byte("x"))}),
		good,
		c.TxWith("alice", chain.TxBody{Contract: "store", Method: "count", Args: must(chain.Marshal(put("k", ""))), NotAfter: now}),
		c.TxWith("alice", chain.TxBody{Contract: "store", Method: "count", Args: must(chain.Marshal(put("k", ""))), NotAfter: now + chain.MaxLifetime.Milliseconds()}),
	)
	for i, want := range []chain.Code{
		chain.ErrSignature, chain.ErrChain, chain.ErrExpired, chain.ErrLifetime, chain.ErrContract, chain.ErrSidecar, "", "", "",
	} {
		code(t, r, i, want)
	}
}

// A forged copy that comes first must not use up the real one.
func TestForgedCopyDoesNotBlockTheTransaction(t *testing.T) {
	c := newChain(t)
	good := c.Tx("alice", "store", "put", put("k", "1"))
	forged := slices.Clone(good.Bytes())
	forged[len(forged)-1] ^= 1
	bad, err := chain.ParseTx(forged)
	if err != nil {
		t.Fatal(err)
	}
	if bad.ID() != good.ID() {
		t.Fatal("the attack needs equal ids")
	}
	r := c.Run(bad, good)
	code(t, r, 0, chain.ErrSignature)
	code(t, r, 1, "")
}

func TestMalformedTransactionIsARecordedRejection(t *testing.T) {
	c := newChain(t)
	e := rawEntry(t, c, []byte("not a transaction"), nil, make([]byte, 64))
	r := c.Apply(e).Block.Results
	for i := range 3 {
		code(t, r, i, chain.ErrMalformed)
	}
}

func TestBlockTimeNeverRunsBackwards(t *testing.T) {
	c := newChain(t)
	c.Run(c.Tx("alice", "store", "put", put("k", "1")))
	first := c.Head.Header.Time
	c.Now = c.Now.Add(-time.Minute)
	c.Run(c.TxWith("alice", chain.TxBody{Contract: "store", Method: "put", NotAfter: first}))
	if c.Head.Header.Time != first {
		t.Fatalf("time went from %d to %d", first, c.Head.Header.Time)
	}
}

func TestVoidEntries(t *testing.T) {
	c := newChain(t)
	for range 40 {
		c.Run(c.Tx("alice", "store", "put", put("k", "1")))
	}
	tx := []*chain.Tx{c.Tx("alice", "store", "put", put("k", "1"))}
	h := c.Head.Header
	sign := func(id string, height uint64, parent chain.Hash, key string) *chain.Entry {
		e, err := chain.SignEntry(id, height, parent, c.Now.UnixMilli(), tx, nil, ledgertest.Key(key))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	badSignature := sign(h.Chain, h.Height, h.Hash(), "east")
	badSignature.Time++
	for name, e := range map[string]*chain.Entry{
		"another chain":      sign("other.example", h.Height, h.Hash(), "east"),
		"proposer no member": sign(h.Chain, h.Height, h.Hash(), "mallory"),
		"future parent":      sign(h.Chain, h.Height+1, h.Hash(), "east"),
		"old parent":         sign(h.Chain, h.Height-chain.MaxParentAge, c.Blocks[h.Height-chain.MaxParentAge-1].Header.Hash(), "east"),
		"signature":          badSignature,
	} {
		var void *ledger.VoidError
		if _, err := c.Executor.Apply(c.Head, &c.State, e); !errors.As(err, &void) {
			t.Errorf("%s: %v, want VoidError", name, err)
		}
	}
	// The oldest parent allowed, and a parent of another history.
	old := h.Height - chain.MaxParentAge + 1
	if _, err := c.Executor.Apply(c.Head, &c.State, sign(h.Chain, old, c.Blocks[old-1].Header.Hash(), "east")); err != nil {
		t.Errorf("oldest parent allowed: %v", err)
	}
	for _, height := range []uint64{h.Height, h.Height - 3} {
		var void *ledger.VoidError
		if _, err := c.Executor.Apply(c.Head, &c.State, sign(h.Chain, height, chain.Hash{1}, "east")); !errors.As(err, &void) {
			t.Errorf("parent of another history at %d: %v, want VoidError", height, err)
		}
	}
	code(t, c.Run(tx...), 0, "")
}

func TestEntryThatWasNotParsedIsRefused(t *testing.T) {
	c := newChain(t)
	good := c.Entry([]*chain.Tx{c.Tx("alice", "store", "put", put("k", "v"))}, nil)
	for _, e := range []*chain.Entry{{}, {Proposal: good.Proposal}, {Proposal: good.Proposal, Sidecars: good.Sidecars}} {
		if _, err := c.Executor.Apply(c.Head, &c.State, e); err == nil {
			t.Error("an entry made by hand is executed")
		}
	}
}

func TestStateFaultStopsTheReplica(t *testing.T) {
	c := newChain(t)
	disk := errors.New("bit rot")
	for _, method := range []string{"ignore-error", "new", "count", "peek", "put"} {
		e := c.Entry([]*chain.Tx{c.Tx("alice", "store", method, put("k", "v"))}, nil)
		bad := faulty{&c.State, disk, "k"}
		if _, err := c.Executor.Apply(c.Head, bad, e); !errors.Is(err, disk) {
			t.Errorf("%s: %v, want the error of the state", method, err)
		}
	}
	code(t, c.Run(c.Tx("alice", "store", "put", put("k", "v"))), 0, "")
}

// A state that does not know the parent of an entry is this replica's own trouble: were
// the entry void, the others would make a block of it.
func TestForgottenParentStopsTheReplica(t *testing.T) {
	c := newChain(t)
	for range 4 {
		c.Run(c.Tx("alice", "store", "put", put("k", "1")))
	}
	h := c.Blocks[1].Header
	e, err := chain.SignEntry(h.Chain, h.Height, h.Hash(), c.Now.UnixMilli(), []*chain.Tx{c.Tx("alice", "store", "put", put("k", "2"))}, nil, ledgertest.Key("east"))
	if err != nil {
		t.Fatal(err)
	}
	key := "\x00h\x02"
	good, _ := c.State.Get([]byte(key))
	next, _ := c.State.Get([]byte("\x00h\x03"))
	if len(good) != 40 || len(next) != 40 {
		t.Fatalf("hashes of headers are %x and %x", good, next)
	}
	for name, value := range map[string][]byte{"missing": nil, "cut": good[:39], "longer": append(bytes.Clone(good), 0), "of another height": next} {
		var void *ledger.VoidError
		if _, err := c.Executor.Apply(c.Head, forgetful{&c.State, key, value}, e); err == nil || errors.As(err, &void) {
			t.Errorf("%s: %v, want an error that stops the replica", name, err)
		}
	}
	code(t, c.Apply(e).Block.Results, 0, "")
}

// forgetful has another value at one key.
type forgetful struct {
	ledger.Reader
	key   string
	value []byte
}

func (f forgetful) Get(key []byte) ([]byte, error) {
	if string(key) == f.key {
		return f.value, nil
	}
	return f.Reader.Get(key)
}

// faulty fails to read keys that end with bad.
type faulty struct {
	ledger.Reader
	err error
	bad string
}

func (f faulty) Get(key []byte) ([]byte, error) {
	if bytes.HasSuffix(key, []byte(f.bad)) {
		return nil, f.err
	}
	return f.Reader.Get(key)
}

func (f faulty) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	if bytes.HasSuffix(prefix, []byte(f.bad)) {
		return f.err
	}
	return f.Reader.Scan(prefix, start, fn)
}

// panickingReader panics from its nth read on, as a database may on a broken file.
type panickingReader struct {
	ledger.Reader
	after int
}

func (p *panickingReader) Get(key []byte) ([]byte, error) {
	if p.after--; p.after < 0 {
		panic("broken table")
	}
	return p.Reader.Get(key)
}

func (p *panickingReader) Scan(prefix, start []byte, fn func(k, v []byte) bool) error {
	if p.after--; p.after < 0 {
		panic("broken table")
	}
	return p.Reader.Scan(prefix, start, fn)
}

// A panic of the database under a contract is no panic of the contract: one
// replica must not record what the others do not.
func TestPanicOfTheReaderIsNoVerdict(t *testing.T) {
	for _, method := range []string{"new", "count"} {
		c := newChain(t)
		c.Run(c.Tx("alice", "store", "put", put("k", "v")))
		e := c.Entry([]*chain.Tx{c.Tx("alice", "store", method, put("x", "v"))}, nil)
		if _, err := c.Executor.Apply(c.Head, &c.State, e); err != nil { // fills the window
			t.Fatal(err)
		}
		if _, err := c.Executor.Apply(c.Head, &panickingReader{&c.State, 1}, e); err == nil {
			t.Errorf("%s: a block was made", method)
		}
		code(t, c.Apply(e).Block.Results, 0, "")
	}
	c := newChain(t)
	c.Run(c.Tx("alice", "store", "put", put("k", "v")))
	code(t, c.Run(c.Tx("alice", "store", "panic-in-scan", put("", ""))), 0, chain.ErrFault)
}

// What only the executor may say would mislead auditors and replays.
func TestContractCannotSpeakForTheChain(t *testing.T) {
	c := newChain(t)
	for _, own := range []chain.Code{chain.ErrMalformed, chain.ErrSignature, chain.ErrChain, chain.ErrExpired,
		chain.ErrSidecar, chain.ErrDuplicate, chain.ErrBusy, chain.ErrFault, chain.ErrContract, "made-up"} {
		code(t, c.Run(c.Tx("alice", "store", "chain-code", put(string(own), ""))), 0, chain.ErrFailed)
	}
	code(t, c.Run(c.Tx("alice", "store", "chain-code", put("store/own", ""))), 0, "store/own")
	replay(t, c)
	if _, err := audit.Verify(bytes.NewReader(c.Export()), c.Consortium, audit.Visitor{}); err != nil {
		t.Error(err)
	}
}

func TestContractCannotChangeWhatItRead(t *testing.T) {
	c := newChain(t)
	c.Run(c.Tx("alice", "store", "put", put("k", "v")))
	c.Run(c.Tx("alice", "store", "scribble", storeArgs{Key: "k", Value: []byte{0}}))
	if v, err := c.State.Get([]byte("store\x00k")); err != nil || !bytes.Equal(v, []byte{0}) {
		t.Errorf("%x, %v: the write was lost", v, err)
	}
	if c.State.Digest().Sum() != c.Head.Header.State {
		t.Error("state hash is not that of the state")
	}
}

// Purges are writes, and bounded like them: a block must fit one batch of the
// database.
func TestPurgesCountAsWrites(t *testing.T) {
	c := newChain(t)
	code(t, c.Run(c.Tx("alice", "store", "purge-all", storeArgs{Value: make([]byte, 1000)})), 0, "")
	code(t, c.Run(c.Tx("alice", "store", "purge-all", storeArgs{Value: make([]byte, 2000)})), 0, chain.ErrFault)
	var txs []*chain.Tx
	for range 60 {
		txs = append(txs, c.Tx("alice", "store", "purge-all", storeArgs{Value: make([]byte, 1800)}))
	}
	r := c.Run(txs...)
	code(t, r, 0, "")
	code(t, r, len(r)-1, chain.ErrBusy)
}

func TestContractsSeeEachOtherButWriteTheirOwn(t *testing.T) {
	c := newChain(t)
	r := c.Run(c.Tx("alice", "other", "put", put("k", "theirs")), c.Tx("alice", "store", "peek", put("k", "")),
		c.Tx("alice", "store", "count", put("", "")))
	if string(r[1].Value) != "theirs" || r[2].Value[0] != 0 {
		t.Fatalf("peek %q, count %v", r[1].Value, r[2].Value)
	}
}

func TestSidecarsAreKeptAndPurged(t *testing.T) {
	c := newChain(t)
	data := []byte("sealed index")
	with := func(contract, method string) *chain.Tx {
		return c.TxWith("alice", chain.TxBody{Contract: contract, Method: method, Args: must(chain.Marshal(put("k", "v"))), Sidecar: sidecar(t, data)})
	}
	txs := []*chain.Tx{with("store", "put"), with("store", "put-then-fail"), with("store", "put"), with("other", "put")}
	out := c.Apply(c.Entry(txs, [][]byte{data, data, []byte("another"), data}))
	r := out.Block.Results
	code(t, r, 0, "")
	code(t, r, 1, errTaken)
	code(t, r, 2, chain.ErrSidecar)
	code(t, r, 3, "")
	if len(c.Sidecars) != 2 || !bytes.Equal(c.Sidecars[0], data) || !bytes.Equal(c.Sidecars[3], data) {
		t.Fatalf("kept %v", c.Sidecars)
	}
	purge := func(i byte) *chain.Tx { return c.Tx("alice", "store", "purge", storeArgs{Value: []byte{i}}) }
	c.Run(purge(3), purge(1), purge(0), purge(0), purge(9))
	if len(c.Sidecars) != 1 || c.Sidecars[3] == nil {
		t.Fatalf("a contract may purge its own sidecars, once; left are %v", c.Sidecars)
	}
	// The purged chain still replays and still verifies.
	replay(t, c)
	if _, err := audit.Verify(bytes.NewReader(c.Export()), c.Consortium, audit.Visitor{}); err != nil {
		t.Fatal(err)
	}
}

func TestSidecarPurgedInItsOwnBlockIsNeverKept(t *testing.T) {
	c := newChain(t)
	data := []byte("sealed")
	tx := c.TxWith("alice", chain.TxBody{Contract: "store", Method: "put", Args: must(chain.Marshal(put("k", "v"))), Sidecar: sidecar(t, data)})
	out := c.Apply(c.Entry([]*chain.Tx{tx, c.Tx("alice", "store", "purge", storeArgs{Value: []byte{0}})}, [][]byte{data, nil}))
	if len(out.Sidecars) != 0 || len(out.Purge) != 0 {
		t.Fatalf("kept %v, purged %v", out.Sidecars, out.Purge)
	}
}

func TestFullBlockIsBusy(t *testing.T) {
	c := newChain(t)
	var txs []*chain.Tx
	for i := range 150 {
		txs = append(txs, c.Tx("alice", "store", "put", storeArgs{Key: string(rune('a' + i)), Value: make([]byte, 40<<10)}))
	}
	r := c.Run(txs...)
	busy := 0
	for i := range r {
		if r[i].Code == chain.ErrBusy {
			busy++
		} else {
			code(t, r, i, "")
		}
	}
	if busy == 0 {
		t.Fatal("a block may write without limit")
	}
	// Busy is no verdict: the same transaction goes through in the next block.
	code(t, c.Run(txs[len(txs)-1]), 0, "")
}

func mustBytes(t *testing.T, b *chain.Block) []byte {
	t.Helper()
	data, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func sidecar(t *testing.T, data []byte) chain.Sidecar {
	t.Helper()
	s, err := chain.NewSidecar(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A block is remembered until its longest-lived transaction has expired.
func TestShortLivedNeighbourDoesNotEndTheMemory(t *testing.T) {
	c := newChain(t)
	long := c.TxWith("alice", chain.TxBody{Contract: "store", Method: "put", Args: must(chain.Marshal(put("k", "v"))), NotAfter: c.Now.Add(50 * time.Minute).UnixMilli()})
	c.Run(long, c.Tx("alice", "store", "put", put("short", "v")))
	c.Now = c.Now.Add(2 * time.Minute)
	c.Run(c.Tx("alice", "store", "put", put("later", "v"))) // forgets what has expired
	code(t, c.Run(long), 0, chain.ErrDuplicate)
}

func TestSystemContractHasOneMethod(t *testing.T) {
	c := newChain(t)
	next := *c.Consortium
	founding, err := next.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next.Epoch, next.Founding, next.KeyThreshold = 1, founding, 2
	var es []chain.Endorsement
	for _, m := range []string{"east", "north", "south"} {
		e, err := chain.Endorse(&next, m, ledgertest.Key(m))
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
	}
	args := must(chain.NextConsortium(&next, es))
	code(t, c.Run(c.Tx("alice", chain.SystemContract, "anything", args)), 0, chain.ErrConsortium)
	code(t, c.Run(c.Tx("alice", chain.SystemContract, chain.ConsortiumMethod, args)), 0, "")
}
