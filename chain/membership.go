package chain

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
)

// SystemContract and ConsortiumMethod address the transaction that replaces
// the consortium file. Its arguments are those of NextConsortium.
const (
	SystemContract   = "chain"
	ConsortiumMethod = "consortium"
)

// ErrConsortium is recorded when a change of the consortium is refused.
const ErrConsortium Code = "chain/consortium"

// An Endorsement is a member's consent to the next consortium file.
type Endorsement struct {
	_         struct{} `cbor:",toarray"`
	Member    string
	Signature []byte // Ed25519 by the node key, 64 bytes
}

type consortiumArgs struct {
	_            struct{} `cbor:",toarray"`
	File         []byte
	Endorsements []Endorsement // sorted by member
}

// Endorse returns a member's consent to replace the consortium file by next.
func Endorse(next *Consortium, member string, key crypto.Signer) (Endorsement, error) {
	file, err := next.Bytes()
	if err != nil {
		return Endorsement{}, err
	}
	sig, err := key.Sign(rand.Reader, endorsed(file), crypto.Hash(0))
	if err != nil {
		return Endorsement{}, fmt.Errorf("endorse consortium: %w", err)
	}
	return Endorsement{Member: member, Signature: sig}, nil
}

// NextConsortium returns the arguments of the transaction that replaces the
// consortium file by next. The endorsements, by members of the file in force,
// must be sorted by member.
func NextConsortium(next *Consortium, endorsements []Endorsement) ([]byte, error) {
	file, err := next.Bytes()
	if err != nil {
		return nil, err
	}
	return Marshal(consortiumArgs{File: file, Endorsements: endorsements})
}

// Next returns the consortium that args, as made by NextConsortium, put in
// force after k: the next epoch of the same chain, with the same group keys if
// k has them, endorsed by CheckpointThreshold members of k.
func (k *Consortium) Next(args []byte) (*Consortium, error) {
	var a consortiumArgs
	if err := unmarshalNamed("consortium change", MaxTx, args, &a); err != nil {
		return nil, err
	}
	// First what a stranger cannot pass: the rest costs more.
	if err := k.checkEndorsements(&a); err != nil {
		return nil, err
	}
	next, err := ParseConsortium(a.File)
	if err != nil {
		return nil, err
	}
	founding, err := k.FoundingHash()
	if err != nil {
		return nil, err
	}
	switch {
	case next.Epoch != k.Epoch+1:
		return nil, errors.New("consortium change: not the next epoch")
	case next.Chain != k.Chain || next.Founding != founding || !next.Created.Equal(k.Created):
		return nil, errors.New("consortium change: for another chain")
	case len(k.CheckpointKey) > 0 && (!bytes.Equal(next.CheckpointKey, k.CheckpointKey) || !bytes.Equal(next.ExtractionKey, k.ExtractionKey)):
		return nil, errors.New("consortium change: group keys never change")
	}
	return next, nil
}

func (k *Consortium) checkEndorsements(a *consortiumArgs) error {
	if n := len(a.Endorsements); n < k.CheckpointThreshold {
		return fmt.Errorf("consortium change: %d endorsements, want %d", n, k.CheckpointThreshold)
	}
	msg := endorsed(a.File)
	for i, e := range a.Endorsements {
		if i > 0 && a.Endorsements[i-1].Member >= e.Member {
			return errors.New("consortium change: endorsements are not sorted by member")
		}
		if m := k.Member(e.Member); m == nil || !m.NodeKey.Verify(msg, e.Signature) {
			return errors.New("consortium change: endorsement does not verify")
		}
	}
	return nil
}

func endorsed(file []byte) []byte { return append([]byte("WARD-V1-CONSORTIUM\n"), file...) }
