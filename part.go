package ward

import (
	"crypto"
	"crypto/rand"
	"fmt"

	"github.com/ward-health/ward/chain"
)

// Limits on what a node hands out for one request. Part of the format.
const (
	maxParts  = 64       // members of a sharing
	maxSealed = 64 << 10 // bytes of one sealed part
)

// namePart begins the statement that a member signs about a part.
const namePart = "ward/v1/part"

// A Part is what one member gives for a committed request, sealed to the key
// that the request names.
type Part struct {
	_          struct{} `cbor:",toarray"`
	Member     string
	Index      uint8  // of the member in the sharing
	Generation uint32 // of the share behind it
	Sealed     []byte
	Signature  []byte // by the member's node key over PartStatement
}

// partStatement is what PartStatement encodes.
type partStatement struct {
	_          struct{} `cbor:",toarray"`
	Name       string   // "ward/v1/part"
	Chain      string
	Tx         [32]byte
	Member     string
	Index      uint8
	Generation uint32
	Sealed     []byte
}

// PartStatement returns what a member signs about a part that it gives for the
// transaction with this id: all of the part but the signature, bound to the
// chain and to the transaction. Its encoding cannot fail.
func PartStatement(chainID string, tx [32]byte, p Part) []byte {
	b, err := chain.Marshal(partStatement{
		Name: namePart, Chain: chainID, Tx: tx,
		Member: p.Member, Index: p.Index, Generation: p.Generation, Sealed: p.Sealed,
	})
	if err != nil {
		panic("ward: part does not encode: " + err.Error()) // only for types that CBOR does not have
	}
	return b
}

// Sign sets the part's signature to one by its member's node key, for the
// transaction with this id.
func (p *Part) Sign(chainID string, tx [32]byte, key crypto.Signer) error {
	sig, err := key.Sign(rand.Reader, PartStatement(chainID, tx, *p), crypto.Hash(0))
	if err != nil {
		return fmt.Errorf("sign part: %w", err)
	}
	p.Signature = sig
	return nil
}

// Verify reports whether the part is signed by this member of the consortium,
// for the transaction with this id.
func (p *Part) Verify(k *chain.Consortium, tx [32]byte) bool {
	m := k.Member(p.Member)
	return m != nil && len(p.Sealed) <= maxSealed && m.NodeKey.Verify(PartStatement(k.Chain, tx, *p), p.Signature)
}

// A demand is a committed request that members answer in parts.
type demand struct {
	tx         chain.Hash
	members    []string // names by index, from 1
	generation uint32
	threshold  int
}

// check returns an error if the part is not one that a member gave for the
// demand. That is the fault of the node that handed it out.
func (d *demand) check(k *chain.Consortium, p *Part) error {
	switch {
	case p.Index == 0 || int(p.Index) > len(d.members) || d.members[p.Index-1] != p.Member:
		return fmt.Errorf("%w: part of no member", ErrIntegrity)
	case !p.Verify(k, d.tx):
		return fmt.Errorf("%w: part is not signed by its member", ErrIntegrity)
	case p.Generation != d.generation:
		return fmt.Errorf("%w: part of generation %d, want %d", ErrShares, p.Generation, d.generation)
	}
	return nil
}
