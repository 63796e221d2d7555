package chain_test

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// bigTree is a tree of n leaves of which one is real: it answers for the
// hashes on the way from that leaf up and invents the rest. It makes proofs of
// a million transactions without executing them.
type bigTree struct {
	size, index uint64
	leaf        []byte
}

func (b bigTree) node(level int, n uint64) tlog.Hash {
	if b.index>>level != n {
		return tlog.RecordHash(fmt.Appendf(nil, "%d %d", level, n))
	}
	if level == 0 {
		return tlog.RecordHash(b.leaf)
	}
	return tlog.NodeHash(b.node(level-1, 2*n), b.node(level-1, 2*n+1))
}

func (b bigTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		out[i] = b.node(level, uint64(n))
	}
	return out, nil
}

// millionth returns the receipt of a 512-byte transaction in a tree of a
// million, under a checkpoint of the kind asked for.
func millionth(tb testing.TB, condensed bool) (*chain.Receipt, *chain.Consortium) {
	tb.Helper()
	c := ledgertest.NewLog(tb, 1)
	body := chain.TxBody{Contract: "notes", Method: "add", Args: make([]byte, 311)}
	tx := c.TxWith("alice", body)
	if n := len(tx.Bytes()); n != 512 {
		tb.Fatalf("transaction has %d bytes", n)
	}
	out := c.Apply(c.Entry([]*chain.Tx{tx}, nil))
	leaves, err := out.Block.Leaves()
	if err != nil {
		tb.Fatal(err)
	}
	tree := bigTree{size: 1_000_000, index: 777_777, leaf: leaves[0]}
	root, err := tlog.TreeHash(int64(tree.size), tree)
	if err != nil {
		tb.Fatal(err)
	}
	c.Head.Header.Size, c.Head.Header.Root = tree.size, chain.Hash(root)
	cp := c.Checkpoint()
	if condensed {
		cp = c.Condensed()
	}
	r, err := chain.NewReceipt(tx.Bytes(), &out.Block.Results[0], tree.index, cp, tree)
	if err != nil {
		tb.Fatal(err)
	}
	return r, c.Consortium
}

func TestReceiptOfAMillionIsUnder2KB(t *testing.T) {
	for _, condensed := range []bool{false, true} {
		r, k := millionth(t, condensed)
		data := encoded(t, r)
		t.Logf("condensed %v: %d bytes, %d hashes, for a transaction of %d bytes", condensed, len(data), len(r.Proof), len(r.Tx))
		if len(data) > 2048 {
			t.Errorf("condensed %v: receipt has %d bytes", condensed, len(data))
		}
		if len(r.Proof) < 19 {
			t.Errorf("proof of %d hashes is not one of a million leaves", len(r.Proof))
		}
		parsed, err := chain.ParseReceipt(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsed.Verify(k); err != nil {
			t.Errorf("condensed %v: %v", condensed, err)
		}
	}
}

func BenchmarkReceiptVerify(b *testing.B) {
	for _, condensed := range []bool{false, true} {
		b.Run(fmt.Sprintf("condensed=%v", condensed), func(b *testing.B) {
			r, k := millionth(b, condensed)
			data := encoded(b, r)
			for b.Loop() {
				r, err := chain.ParseReceipt(data)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := r.Verify(k); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(data)), "bytes")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/receipt")
		})
	}
}

func TestReceiptVerifiesWithNothingButTheConsortiumFile(t *testing.T) {
	c := ledgertest.NewLog(t, 250)
	k, err := chain.ParseConsortium(encoded(t, c.Founding))
	if err != nil {
		t.Fatal(err)
	}
	for _, cp := range []*chain.Checkpoint{c.Checkpoint(), c.Condensed()} {
		for _, index := range []uint64{0, 1, 99, 100, 128, 249} {
			r, err := chain.ParseReceipt(encoded(t, c.Receipt(index, cp)))
			if err != nil {
				t.Fatal(err)
			}
			tx, err := r.Verify(k)
			if err != nil {
				t.Fatalf("leaf %d: %v", index, err)
			}
			if tx.Signer != ledgertest.Public("alice") || r.Result.Err() != nil || r.Result.Height != index/100+1 {
				t.Errorf("leaf %d: %+v", index, r.Result)
			}
		}
	}
}

func TestMutatedReceiptIsRefused(t *testing.T) {
	c := ledgertest.NewLog(t, 20)
	good := encoded(t, c.Receipt(5, c.Checkpoint()))
	verify := func(data []byte) error {
		r, err := chain.ParseReceipt(data)
		if err != nil {
			return err
		}
		_, err = r.Verify(c.Consortium)
		return err
	}
	if err := verify(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for _, bit := range []byte{1, 0x10, 0x80} {
			mutant := slices.Clone(good)
			mutant[i] ^= bit
			if verify(mutant) == nil {
				t.Fatalf("byte %d may be changed", i)
			}
		}
	}
	for name, change := range map[string]func(*chain.Receipt){
		"another result":      func(r *chain.Receipt) { r.Result.Code = "denied" },
		"another value":       func(r *chain.Receipt) { r.Result.Value = []byte{1} },
		"another index":       func(r *chain.Receipt) { r.Index++ },
		"index past the tree": func(r *chain.Receipt) { r.Index += 1 << 63 },
		"longer proof":        func(r *chain.Receipt) { r.Proof = append(r.Proof, r.Proof[0]) },
		"shorter proof":       func(r *chain.Receipt) { r.Proof = r.Proof[1:] },
		"no proof":            func(r *chain.Receipt) { r.Proof = nil },
		"another transaction": func(r *chain.Receipt) { r.Tx = c.Blocks[0].Proposal.Txs[6] },
		"height to come":      func(r *chain.Receipt) { r.Result.Height = 9 },
	} {
		r := c.Receipt(5, c.Checkpoint())
		change(r)
		if _, err := r.Verify(c.Consortium); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	other := *c.Consortium
	other.Chain = "other.example"
	if _, err := c.Receipt(5, c.Checkpoint()).Verify(&other); err == nil {
		t.Error("receipt verifies for another chain")
	}
}

// A receipt of a rejection must not pass for the signer's act.
func TestReceiptOfARejectionNamesNoSigner(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	forged := slices.Clone(c.Tx("alice", "notes", "add", "x").Bytes())
	forged[len(forged)-1] ^= 1
	tx, err := chain.ParseTx(forged)
	if err != nil {
		t.Fatal(err)
	}
	c.Run(tx)
	r := c.Receipt(1, c.Checkpoint())
	got, err := r.Verify(c.Consortium)
	if err != nil || got != nil || r.Result.Code != chain.ErrSignature {
		t.Fatalf("%v, %v, %q", got, err, r.Result.Code)
	}
}

// A transaction that came too late was its signer's act all the same.
func TestReceiptOfALateTransactionNamesItsSigner(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	c.Run(c.TxWith("alice", chain.TxBody{Contract: "notes", Method: "add", NotAfter: 1}))
	r := c.Receipt(1, c.Checkpoint())
	tx, err := r.Verify(c.Consortium)
	if err != nil || tx == nil || tx.Signer != ledgertest.Public("alice") || r.Result.Code != chain.ErrExpired {
		t.Fatalf("%v, %v, %q", tx, err, r.Result.Code)
	}
}

func TestReceiptProofIsBounded(t *testing.T) {
	c := ledgertest.NewLog(t, 5)
	r := c.Receipt(2, c.Checkpoint())
	for n, ok := range map[int]bool{64: true, 65: false} {
		r.Proof = make([]chain.Hash, n)
		if _, err := chain.ParseReceipt(encoded(t, r)); (err == nil) != ok {
			t.Errorf("proof of %d hashes: %v", n, err)
		}
	}
}

// Members that certify what breaks the rules are caught offline.
func TestReceiptChecksMoreThanTheCertificate(t *testing.T) {
	verify := func(change func(tx []byte, r *chain.Result) []byte) error {
		c := ledgertest.NewLog(t, 1)
		result := chain.NewResult(2, c.Now.UnixMilli(), "", nil, nil)
		tx := change(slices.Clone(c.Tx("alice", "notes", "add", "x").Bytes()), &result)
		raw, err := result.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := chain.Leaf(tx, raw)
		if err != nil {
			t.Fatal(err)
		}
		tree, hashes := c.Head.Tree.Append(leaf, nil)
		c.Hashes = append(c.Hashes, hashes...)
		c.Head.Header.Size, c.Head.Header.Root, c.Head.Header.Height = tree.Size(), tree.Root(), 2
		r, err := chain.NewReceipt(tx, &result, 1, c.Checkpoint(), c.Hashes)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Verify(c.Consortium)
		return err
	}
	if err := verify(func(tx []byte, _ *chain.Result) []byte { return tx }); err != nil {
		t.Fatalf("the receipt without a fault: %v", err)
	}
	for name, change := range map[string]func(tx []byte, r *chain.Result) []byte{
		"forged signature": func(tx []byte, _ *chain.Result) []byte { tx[len(tx)-1] ^= 1; return tx },
		"no transaction":   func([]byte, *chain.Result) []byte { return []byte("nothing") },
		"another chain": func([]byte, *chain.Result) []byte {
			tx, err := chain.SignTx(chain.TxBody{Chain: "other.example", Contract: "notes", Method: "add", NotAfter: 1 << 50}, ledgertest.Key("alice"))
			if err != nil {
				t.Fatal(err)
			}
			return tx.Bytes()
		},
		"forged and late": func(tx []byte, r *chain.Result) []byte { tx[len(tx)-1] ^= 1; r.Code = chain.ErrExpired; return tx },
		"height to come":  func(tx []byte, r *chain.Result) []byte { r.Height = 3; return tx },
	} {
		if verify(change) == nil {
			t.Errorf("%s verifies", name)
		}
	}
}
