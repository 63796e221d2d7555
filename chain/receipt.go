package chain

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/mod/sumdb/tlog"
)

const maxReceipt = MaxTx + MaxResult + 64*len(Hash{}) + maxCheckpoint

// A Receipt proves, with nothing but the consortium file, that a transaction
// is on the chain and what came of it.
type Receipt struct {
	Tx         []byte // as sent
	Result     Result
	Index      uint64 // of the leaf
	Proof      []Hash // RFC 6962 inclusion proof, from the leaf up
	Checkpoint *Checkpoint
}

type receiptWire struct {
	_          struct{} `cbor:",toarray"`
	Name       string   // "ward/v1/receipt"
	Tx         []byte
	Result     []byte
	Index      uint64
	Proof      []byte // hashes, concatenated
	Checkpoint []byte // signed note
}

// NewReceipt returns the receipt for the transaction at index under the
// checkpoint c, whose tree must include it. Hashes are read from r, numbered
// as by [tlog.StoredHashIndex].
func NewReceipt(tx []byte, result *Result, index uint64, c *Checkpoint, r tlog.HashReader) (*Receipt, error) {
	if c.Size > math.MaxInt64 || index >= c.Size {
		return nil, fmt.Errorf("receipt: leaf %d is not in a tree of %d", index, c.Size)
	}
	p, err := tlog.ProveRecord(int64(c.Size), int64(index), r)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	proof := make([]Hash, len(p))
	for i := range p {
		proof[i] = Hash(p[i])
	}
	return &Receipt{Tx: tx, Result: *result, Index: index, Proof: proof, Checkpoint: c}, nil
}

// ParseReceipt parses the bytes of a receipt. It verifies nothing.
func ParseReceipt(data []byte) (*Receipt, error) {
	var w receiptWire
	if err := unmarshalNamed("receipt", maxReceipt, data, &w); err != nil {
		return nil, err
	}
	if w.Name != nameReceipt {
		return nil, fmt.Errorf("receipt: name is not %q", nameReceipt)
	}
	if len(w.Tx) > MaxTx {
		return nil, errors.New("receipt: transaction is too long")
	}
	result, err := parseResult(w.Result)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	c, err := ParseCheckpoint(w.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	const size = len(Hash{})
	if len(w.Proof)%size != 0 || len(w.Proof) > 64*size {
		return nil, errors.New("receipt: malformed proof")
	}
	proof := make([]Hash, len(w.Proof)/size)
	for i := range proof {
		proof[i] = Hash(w.Proof[i*size:])
	}
	return &Receipt{Tx: w.Tx, Result: *result, Index: w.Index, Proof: proof, Checkpoint: c}, nil
}

// Bytes returns the bytes that ParseReceipt accepts.
func (r *Receipt) Bytes() ([]byte, error) {
	result, err := r.Result.Bytes()
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	c, err := r.Checkpoint.Bytes()
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	proof := make([]byte, 0, len(r.Proof)*len(Hash{}))
	for _, h := range r.Proof {
		proof = append(proof, h[:]...)
	}
	return Marshal(receiptWire{Name: nameReceipt, Tx: r.Tx, Result: result, Index: r.Index, Proof: proof, Checkpoint: c})
}

// Verify checks the receipt against the consortium: the checkpoint is
// certified, the leaf is in its tree, and the transaction is of this chain and
// signed. It returns the transaction; whether that had an effect is for
// Result.Err to say. A receipt for bytes that were rejected
// as ErrMalformed, ErrSignature or ErrChain verifies with a nil transaction:
// it proves the rejection and nothing about a signer.
func (r *Receipt) Verify(k *Consortium) (*Tx, error) {
	if err := k.Verify(r.Checkpoint); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	if r.Checkpoint.Size > math.MaxInt64 || r.Index >= r.Checkpoint.Size || r.Result.Height > r.Checkpoint.Height {
		return nil, errors.New("receipt: leaf is not under the checkpoint")
	}
	result, err := r.Result.Bytes()
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	entry, err := Leaf(r.Tx, result)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	proof := make(tlog.RecordProof, len(r.Proof))
	for i, h := range r.Proof {
		proof[i] = tlog.Hash(h)
	}
	err = tlog.CheckRecord(proof, int64(r.Checkpoint.Size), tlog.Hash(r.Checkpoint.Root), int64(r.Index), tlog.Hash(leafHash(entry)))
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	switch r.Result.Code {
	case ErrMalformed, ErrSignature, ErrChain:
		return nil, nil
	}
	tx, err := ParseTx(r.Tx)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	if tx.Chain != k.Chain || !tx.Verify() {
		return nil, errors.New("receipt: transaction is not signed for this chain")
	}
	return tx, nil
}
