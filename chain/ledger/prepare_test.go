package ledger_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// prepared is store with a Prepare that records its calls.
type prepared struct {
	store
	calls *[]preparation
	then  func(ledger.Snapshot)
}

type preparation struct {
	seed chain.Hash
	ids  []chain.Hash
}

func (p prepared) Prepare(seed chain.Hash, state ledger.Snapshot, txs []*chain.Tx) {
	var ids []chain.Hash
	for _, tx := range txs {
		ids = append(ids, tx.ID())
	}
	*p.calls = append(*p.calls, preparation{seed, ids})
	if p.then != nil {
		p.then(state)
	}
}

func preparedChain(t *testing.T, then func(ledger.Snapshot)) (*ledgertest.Chain, *[]preparation) {
	calls := new([]preparation)
	return ledgertest.New(t, map[string]ledger.Contract{"store": prepared{calls: calls, then: then}, "other": store{}}), calls
}

func TestPrepareSeesOnceABlockWhatIsAdmitted(t *testing.T) {
	c, calls := preparedChain(t, nil)
	old := c.Tx("alice", "store", "put", put("old", "1"))
	c.Run(old)
	c.Now = c.Now.Add(time.Second)
	*calls = nil

	forged := c.Tx("alice", "store", "put", put("forged", "1")).Bytes()
	forged = slices.Clone(forged)
	forged[len(forged)-1] ^= 1
	bad, err := chain.ParseTx(forged)
	if err != nil {
		t.Fatal(err)
	}
	sidecar, err := chain.NewSidecar([]byte("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	body := chain.TxBody{Contract: "store", Method: "put", Sidecar: sidecar}
	if body.Args, err = chain.Marshal(put("s", "1")); err != nil {
		t.Fatal(err)
	}
	first := c.Tx("alice", "store", "put", put("a", "1"))
	second := c.Tx("bob", "store", "new", put("a", "1"))
	with, without := c.TxWith("alice", body), c.TxWith("bob", body)
	late := c.TxWith("alice", chain.TxBody{Contract: "store", Method: "put", NotAfter: c.Now.Add(-time.Second).UnixMilli()})
	txs := []*chain.Tx{first, old, bad, c.Tx("alice", "other", "put", put("a", "1")), first, with, without, late, second}
	sidecars := make([][]byte, len(txs))
	sidecars[5] = []byte("sealed")

	before, state := c.Head, c.State
	entry := c.Entry(txs, sidecars)
	out, err := c.Executor.Apply(before, &state, entry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Executor.Replay(before, &state, out.Block); err != nil {
		t.Fatal(err)
	}
	if len(*calls) != 2 {
		t.Fatalf("Prepare was called %d times by Apply and Replay", len(*calls))
	}
	want := []chain.Hash{first.ID(), with.ID(), second.ID()}
	for _, call := range *calls {
		if !slices.Equal(call.ids, want) {
			t.Errorf("prepared %v, want %v", call.ids, want)
		}
	}
	applied := (*calls)[0].seed
	if applied != (*calls)[1].seed || applied.IsZero() || applied == out.Block.Header.Proposal {
		t.Errorf("seeds %v and %v", applied, (*calls)[1].seed)
	}
	c.Commit(out)
	c.Run(c.Tx("alice", "other", "put", put("b", "1")))
	if len(*calls) != 2 {
		t.Error("Prepare was called for a block without a transaction for the contract")
	}
	c.Run(c.Tx("alice", "store", "put", put("b", "1")))
	if last := (*calls)[len(*calls)-1]; last.seed == applied {
		t.Error("two blocks have one seed")
	}
}

func TestPrepareReadsTheStateBeforeTheBlock(t *testing.T) {
	var got []string
	c, _ := preparedChain(t, func(s ledger.Snapshot) {
		for _, name := range []string{"store", "other"} {
			v, err := s.Of(name).Get([]byte("k"))
			got = append(got, name+"="+string(v))
			clear(v) // a copy: nobody else sees it
			err = errors.Join(err, s.Of(name).Scan(nil, []byte("a"), func(k, v []byte) bool {
				got = append(got, name+" "+string(k)+"="+string(v))
				return true
			}))
			if err != nil {
				t.Error(err)
			}
		}
	})
	c.Run(c.Tx("alice", "other", "put", put("k", "theirs")))
	c.Run(c.Tx("alice", "store", "put", put("k", "mine")))
	got = nil
	code(t, c.Run(c.Tx("alice", "store", "put", put("k", "new")), c.Tx("bob", "store", "peek", put("k", ""))), 1, "")
	want := []string{"store=mine", "store k=mine", "other=theirs", "other k=theirs"}
	if !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	if v := c.Blocks[2].Results[1].Value; string(v) != "theirs" {
		t.Errorf("Apply read %q after Prepare wrote to what it had read", v)
	}
}

func TestPanicInPrepareChangesNothing(t *testing.T) {
	c, calls := preparedChain(t, func(ledger.Snapshot) { panic("contract bug") })
	plain := newChain(t)
	for _, c := range []*ledgertest.Chain{c, plain} {
		code(t, c.Run(c.Tx("alice", "store", "put", put("k", "v")), c.Tx("bob", "store", "new", put("k", "w"))), 0, "")
	}
	if len(*calls) != 1 {
		t.Fatal("Prepare was not called")
	}
	if !bytes.Equal(mustBytes(t, c.Blocks[0]), mustBytes(t, plain.Blocks[0])) {
		t.Error("the block differs from one without Prepare")
	}
}

func TestPrepareCannotHideAFailureToRead(t *testing.T) {
	broken := errors.New("disk")
	for name, then := range map[string]func(ledger.Snapshot){
		"get":   func(s ledger.Snapshot) { _, _ = s.Of("other").Get([]byte("far")) },
		"scan":  func(s ledger.Snapshot) { _ = s.Of("other").Scan(nil, nil, func(_, _ []byte) bool { return true }) },
		"panic": func(s ledger.Snapshot) { _, _ = s.Of("other").Get([]byte("panic")) },
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := preparedChain(t, then)
			r := failing{&c.State, broken}
			if _, err := c.Executor.Apply(c.Head, r, c.Entry([]*chain.Tx{c.Tx("alice", "store", "put", put("k", "v"))}, nil)); err == nil {
				t.Error("the block was executed")
			}
		})
	}
}

// failing fails to read the namespace "other".
type failing struct {
	ledger.Reader
	err error
}

func (f failing) Get(key []byte) ([]byte, error) {
	switch {
	case bytes.Equal(key, []byte("other\x00panic")):
		panic("reader bug")
	case bytes.HasPrefix(key, []byte("other\x00")):
		return nil, f.err
	}
	return f.Reader.Get(key)
}

func (f failing) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	if bytes.HasPrefix(prefix, []byte("other\x00")) {
		return f.err
	}
	return f.Reader.Scan(prefix, start, fn)
}
