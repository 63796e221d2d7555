package record_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// unprepared is the contract without its Prepare.
type unprepared struct{ ledger.Contract }

// Blocks in which owners change, capsules are bad, repeated or another's, come
// out the same whether the capsules were verified together or one by one.
func TestBatchesDecideAsSingleVerificationDoes(t *testing.T) {
	with, without := newWorld(t), newWorldWith(t, ledgertest.Consortium(t, 4), unprepared{record.New()})
	with.register("lab2@south", "author")
	with.put(with.draft(carol, lab, "lab"))
	for range 2 {
		with.mixedBlock()
	}
	for _, b := range with.Blocks[len(without.Blocks):] {
		out, err := without.Executor.Replay(without.Head, &without.State, b)
		if err != nil {
			t.Fatal(err)
		}
		without.Commit(out)
	}
	if with.Head.Header != without.Head.Header {
		t.Error("heads differ")
	}
	again := newWorld(t)
	for _, b := range with.Blocks[len(again.Blocks):] {
		out, err := again.Executor.Replay(again.Head, &again.State, b)
		if err != nil {
			t.Fatal(err)
		}
		again.Commit(out)
	}
}

// mixedBlock appends a block in which some of the puts are good, and checks
// its results.
func (w *world) mixedBlock() {
	w.t.Helper()
	epoch := must(identity.Lookup(w.space("identity"), carol)).Epoch
	good, another := w.draft(alice, lab, "lab"), w.draft(alice, lab, "lab/chemistry")
	bad, copied, early, late := w.draft(alice, lab, "lab"), w.draft(alice, lab, "lab"), w.draft(carol, lab, "lab"), w.draft(carol, lab, "lab")
	bad.Envelope = flip(bad.Envelope, len(bad.Envelope)-1)
	copied.Envelope = another.Envelope
	fresh := w.draft(carol, lab, "lab")
	fresh.Epoch++
	w.seal(fresh) // for the epoch that begins in this block
	denied := w.draft(alice, clerk, "lab")
	unread := w.draft(alice, lab, "lab")
	unread.Envelope = unread.Envelope[:100]

	// What differs in one thing only from a record that is put in the same block.
	othersEnvelope, othersName, othersOwner, othersID := *good, *good, *good, *good
	othersEnvelope.Envelope = flip(good.Envelope, len(good.Envelope)-1)
	othersName.signer = "lab2@south"
	othersID.ID = must(record.GenerateID())
	othersOwner.Owner, othersOwner.Epoch = carol, epoch

	drafts := []*draft{&othersEnvelope, &othersName, &othersOwner, &othersID, good, another, bad, copied, early, nil, late, fresh, denied, unread}
	var txs []*chain.Tx
	sidecars := make([][]byte, len(drafts))
	for i, d := range drafts {
		if d == nil {
			txs = append(txs, w.Tx(string(carol), "identity", "epoch", identity.EpochArgs{From: epoch}))
			continue
		}
		txs, sidecars[i] = append(txs, w.tx(d)), d.sidecar
	}
	var got []chain.Code
	for _, r := range w.Apply(w.Entry(txs, sidecars)).Block.Results {
		got = append(got, r.Code)
	}
	want := []chain.Code{record.ErrCapsule, record.ErrCapsule, record.ErrCapsule, record.ErrCapsule, "", "", record.ErrCapsule, record.ErrCapsule, "", "", record.ErrStale, "", record.ErrDenied, record.ErrCapsule}
	if !slices.Equal(got, want) {
		w.t.Fatalf("results %q, want %q", got, want)
	}
}

// spy counts what Prepare is called for.
type spy struct {
	ledger.Preparer
	txs *int
}

func (s spy) Prepare(seed chain.Hash, state ledger.Snapshot, txs []*chain.Tx) {
	*s.txs += len(txs)
	s.Preparer.Prepare(seed, state, txs)
}

func TestContractIsAPreparer(t *testing.T) {
	n := 0
	w := newWorldWith(t, ledgertest.Consortium(t, 4), spy{record.New().(ledger.Preparer), &n})
	w.block(w.draft(alice, lab, "lab"), w.draft(alice, lab, "lab"))
	if n != 2 {
		t.Errorf("prepared %d", n)
	}
}

// A verdict on one owner's key must not serve for another: in the block a record
// is written to the key that is in force before it, and in force no more when it
// is put.
func TestVerdictIsNotCarriedToAnotherKey(t *testing.T) {
	w := newWorld(t)
	w.put(w.draft(alice, lab, "lab")) // Prepare knows the extraction key from here on
	proof := must(must(pre.GenerateCustodyKey()).Prove("records.example", string(alice), 1))
	custody := w.Tx(string(alice), "identity", "custody", identity.CustodyArgs{Proof: proof})
	d := w.draft(alice, lab, "lab")
	d.Version = 1 // as if, but the envelope is for the key without custody
	r := w.Apply(w.Entry([]*chain.Tx{custody, w.tx(d)}, [][]byte{nil, d.sidecar})).Block.Results
	if r[0].Code != "" || r[1].Code != record.ErrCapsule {
		t.Errorf("custody %q, put %q", r[0].Code, r[1].Code)
	}
}

func TestReplicasThatShareAContractAgree(t *testing.T) {
	contract := record.New()
	k := ledgertest.Consortium(t, 4)
	first := newWorldWith(t, k, contract)
	second := newWorldWith(t, k, contract)
	for range 4 {
		first.put(first.draft(alice, lab, "lab"))
	}
	blocks := first.Blocks[len(second.Blocks):]
	done := make(chan error)
	go func() {
		head, state := second.Head, second.State
		for _, b := range blocks {
			out, err := second.Executor.Replay(head, &state, b)
			if err != nil {
				done <- err
				return
			}
			state.Apply(out.Writes)
			head = out.Head
		}
		done <- nil
	}()
	for range 4 {
		first.put(first.draft(alice, lab, "lab"))
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestTxIsNotChangedByPrepare(t *testing.T) {
	w := newWorld(t)
	w.put(w.draft(alice, lab, "lab"))
	d := w.draft(alice, lab, "lab")
	tx := w.tx(d)
	before := bytes.Clone(tx.Bytes())
	w.Apply(w.Entry([]*chain.Tx{tx}, [][]byte{d.sidecar}))
	if !bytes.Equal(tx.Bytes(), before) {
		t.Error("the transaction has changed")
	}
}
