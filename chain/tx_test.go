package chain_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

func ExampleSignTx() {
	key := ledgertest.Key("dr.lee")
	tx, err := chain.SignTx(chain.TxBody{
		Chain:    "records.example",
		Contract: "consent",
		Method:   "grant",
		Args:     []byte{0x80}, // CBOR of an empty list
		NotAfter: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli(),
		Nonce:    [16]byte{1},
	}, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	received, err := chain.ParseTx(tx.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(received.Contract, received.Method, received.Verify(), received.ID() == tx.ID())
	// Output: consent grant true true
}

func TestTransactionIsSignedOverTheExactBytes(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	data := c.Tx("alice", "notes", "add", "x").Bytes()
	for i := range data {
		mutant := bytes.Clone(data)
		mutant[i] ^= 1
		if tx, err := chain.ParseTx(mutant); err == nil && tx.Verify() {
			t.Fatalf("byte %d may be changed", i)
		}
	}
}

func TestSignTxRefusesWhatDoesNotParse(t *testing.T) {
	key := ledgertest.Key("alice")
	good := chain.TxBody{Chain: "records.example", Contract: "notes", Method: "add", NotAfter: 1}
	if _, err := chain.SignTx(good, key); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*chain.TxBody){
		"no chain":              func(b *chain.TxBody) { b.Chain = "" },
		"contract":              func(b *chain.TxBody) { b.Contract = "Not A Name" },
		"method":                func(b *chain.TxBody) { b.Method = "" },
		"not-after zero":        func(b *chain.TxBody) { b.NotAfter = 0 },
		"not-after negative":    func(b *chain.TxBody) { b.NotAfter = -1 },
		"not-after overflowing": func(b *chain.TxBody) { b.NotAfter = 1<<63 - 1 },
		"sidecar without hash":  func(b *chain.TxBody) { b.Sidecar.Size = 1 },
		"sidecar without size":  func(b *chain.TxBody) { b.Sidecar.Hash[0] = 1 },
		"sidecar too large":     func(b *chain.TxBody) { b.Sidecar = chain.Sidecar{Size: chain.MaxSidecar + 1, Hash: chain.Hash{1}} },
		"too long":              func(b *chain.TxBody) { b.Args = make([]byte, chain.MaxTx) },
	} {
		b := good
		change(&b)
		if _, err := chain.SignTx(b, key); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.SignTx(good, other); err == nil {
		t.Error("a key of another kind signs")
	}
}

func TestTwoSignedRequestsAreTwoTransactions(t *testing.T) {
	body := chain.TxBody{Chain: "records.example", Contract: "notes", Method: "add", NotAfter: 1}
	a, err := chain.SignTx(body, ledgertest.Key("alice"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := chain.SignTx(body, ledgertest.Key("alice"))
	if err != nil {
		t.Fatal(err)
	}
	if a.ID() == b.ID() {
		t.Error("nonce is not random")
	}
}

func TestEveryByteOfASidecarsHashCounts(t *testing.T) {
	data := []byte("sealed")
	good, err := chain.NewSidecar(data)
	if err != nil || !good.Matches(data) {
		t.Fatal(err)
	}
	for i := range good.Hash {
		bad := good
		bad.Hash[i] ^= 1
		if bad.Matches(data) {
			t.Errorf("byte %d may be changed", i)
		}
	}
}

func TestEntryThatIsTooLongIsNotEncoded(t *testing.T) {
	c := ledgertest.NewLog(t, 0)
	data := make([]byte, chain.MaxSidecar)
	s, err := chain.NewSidecar(data)
	if err != nil {
		t.Fatal(err)
	}
	var txs []*chain.Tx
	var sidecars [][]byte
	for range 4 {
		txs = append(txs, c.TxWith("bob", chain.TxBody{Contract: "notes", Method: "add", Sidecar: s}))
		sidecars = append(sidecars, data)
	}
	if _, err := c.Entry(txs[:3], sidecars[:3]).Bytes(); err != nil {
		t.Error(err)
	}
	if _, err := c.Entry(txs, sidecars).Bytes(); err == nil {
		t.Error("an entry above MaxEntry is encoded, which no replica would read")
	}
}

func TestSidecarCommitment(t *testing.T) {
	s, err := chain.NewSidecar([]byte("sealed"))
	if err != nil || !s.Matches([]byte("sealed")) {
		t.Fatal(err)
	}
	if s.Matches([]byte("other!")) || s.Matches(nil) || (chain.Sidecar{}).Matches([]byte("sealed")) {
		t.Error("a sidecar matches what it does not commit to")
	}
	if none, err := chain.NewSidecar(nil); err != nil || none != (chain.Sidecar{}) || !none.Matches(nil) {
		t.Error("no data is no sidecar")
	}
	if _, err := chain.NewSidecar(make([]byte, chain.MaxSidecar+1)); err == nil {
		t.Error("too large a sidecar is accepted")
	}
}

// The same transaction may stand in a batch several times, marked good or not.
func TestVerifyTxsWithRepeatedAndForgedTransactions(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	good, other := c.Tx("alice", "notes", "add", "x"), c.Tx("bob", "notes", "add", "y")
	raw := slices.Clone(good.Bytes())
	raw[len(raw)-1] ^= 1
	forged, err := chain.ParseTx(raw)
	if err != nil {
		t.Fatal(err)
	}
	txs := []*chain.Tx{good, good, nil, forged, other, good, forged, other}
	want := []bool{true, true, false, false, true, true, false, true}
	for range 2 {
		if got := chain.VerifyTxs(txs); !slices.Equal(got, want) {
			t.Fatalf("verdicts %v, want %v", got, want)
		}
		e := c.Entry([]*chain.Tx{good, good, forged, other, good}, nil)
		proposer, verdicts, err := e.VerifySignatures()
		if err != nil || !proposer || !slices.Equal(verdicts, []bool{true, true, false, true, true}) {
			t.Fatalf("proposer %v, verdicts %v, %v", proposer, verdicts, err)
		}
		e.Signature[0] ^= 1
		e, err = chain.ParseEntry(encoded(t, e))
		if err != nil {
			t.Fatal(err)
		}
		if proposer, _, _ := e.VerifySignatures(); proposer {
			t.Fatal("forged proposal verifies")
		}
	}
}

func TestEntryForm(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	tx := c.Tx("alice", "notes", "add", "x")
	h := c.Head.Header
	many := slices.Repeat([]*chain.Tx{tx}, chain.MaxEntryTxs+1)
	for name, e := range map[string]struct {
		txs      []*chain.Tx
		sidecars [][]byte
	}{
		"no transaction":      {nil, nil},
		"too many":            {many, nil},
		"sidecars do not fit": {[]*chain.Tx{tx}, make([][]byte, 2)},
		"a sidecar too large": {[]*chain.Tx{tx}, [][]byte{make([]byte, chain.MaxSidecar+1)}},
	} {
		if _, err := chain.SignEntry(h.Chain, h.Height, h.Hash(), 1, e.txs, e.sidecars, ledgertest.Key("east")); err == nil {
			t.Errorf("%s: signed", name)
		}
		// What cannot be signed does not parse either.
		good := c.Entry([]*chain.Tx{tx}, nil)
		good.Txs, good.Sidecars = nil, e.sidecars
		for _, tx := range e.txs {
			good.Txs = append(good.Txs, tx.Bytes())
		}
		if e.sidecars == nil {
			good.Sidecars = make([][]byte, len(e.txs))
		}
		if data, err := good.Bytes(); err == nil {
			if _, err := chain.ParseEntry(data); err == nil {
				t.Errorf("%s: parses", name)
			}
		}
	}
	if _, err := chain.SignEntry(h.Chain, h.Height, h.Hash(), 1, many[1:], nil, ledgertest.Key("east")); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
}

func TestFailureHasNeitherValueNorEvents(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	for name, change := range map[string]func(*chain.Result){
		"value":     func(r *chain.Result) { r.Code, r.Value = "notes/denied", []byte{1} },
		"events":    func(r *chain.Result) { r.Code, r.Events = "notes/denied", []chain.Event{{Kind: "a", Data: []byte{1}}} },
		"bad code":  func(r *chain.Result) { r.Code = "Dr. Lee was denied" },
		"bad event": func(r *chain.Result) { r.Events = []chain.Event{{Kind: "Dr. Lee", Data: []byte{1}}} },
		"bad name":  func(r *chain.Result) { r.Name = "ward/v2/result" },
	} {
		b := *c.Blocks[0]
		b.Results = slices.Clone(b.Results)
		change(&b.Results[0])
		if _, err := chain.ParseBlock(encoded(t, &b)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// The proposer signs everything in the proposal; sidecars are bound by the
// transactions.
func TestProposalSignatureCoversEveryField(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	tx := []*chain.Tx{c.Tx("alice", "notes", "add", "x"), c.Tx("alice", "notes", "add", "y")}
	for name, change := range map[string]func(*chain.Proposal){
		"chain":    func(p *chain.Proposal) { p.Chain = "other.example" },
		"proposer": func(p *chain.Proposal) { p.Proposer = ledgertest.Public("north") },
		"height":   func(p *chain.Proposal) { p.Height++ },
		"parent":   func(p *chain.Proposal) { p.Parent[0] ^= 1 },
		"time":     func(p *chain.Proposal) { p.Time++ },
		"order":    func(p *chain.Proposal) { p.Txs[0], p.Txs[1] = p.Txs[1], p.Txs[0] },
		"fewer":    func(p *chain.Proposal) { p.Txs = p.Txs[:1] },
		"contents": func(p *chain.Proposal) { p.Txs[0] = append([]byte{}, p.Txs[1]...) },
		"another signature of a transaction": func(p *chain.Proposal) {
			p.Txs[0] = append([]byte{}, p.Txs[0]...)
			p.Txs[0][len(p.Txs[0])-1] ^= 1
		},
	} {
		e := c.Entry(tx, nil)
		change(&e.Proposal)
		e.Sidecars = make([][]byte, len(e.Txs))
		e, err := chain.ParseEntry(encoded(t, e))
		if err != nil {
			t.Fatal(err)
		}
		if proposer, _, _ := e.VerifySignatures(); proposer {
			t.Errorf("%s may be changed", name)
		}
	}
}

// What the proposer signs is the same whether the transactions are parsed, are none
// or are bytes only.
func TestProposalHashIsThatOfTheBytes(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	e := c.Entry([]*chain.Tx{c.Tx("alice", "notes", "add", "x"), c.Tx("bob", "notes", "add", make([]byte, 64))}, nil)
	e.Txs = append(e.Txs, nil, []byte("short"), make([]byte, 100), make([]byte, chain.MaxTx))
	e.Sidecars = make([][]byte, len(e.Txs))
	if err := e.Sign(ledgertest.Key("east")); err != nil {
		t.Fatal(err)
	}
	want, err := e.Proposal.Hash()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := chain.ParseEntry(encoded(t, e))
	if err != nil {
		t.Fatal(err)
	}
	if proposer, _, _ := parsed.VerifySignatures(); !proposer {
		t.Error("a proposal with malformed transactions does not verify")
	}
	if got, err := parsed.Hash(); err != nil || got != want {
		t.Errorf("hash of the parsed entry is %v (%v), want %v", got, err, want)
	}
}
