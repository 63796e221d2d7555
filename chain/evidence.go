package chain

import (
	"errors"
	"fmt"
)

// Evidence is two checkpoints of one size that say different things, each with
// a cosignature by the same member: proof that the member is dishonest.
type Evidence struct {
	First, Second *Checkpoint // one signature each
}

type evidenceWire struct {
	_      struct{} `cbor:",toarray"`
	Name   string   // "ward/v1/evidence"
	First  []byte   // signed note
	Second []byte
}

// ParseEvidence parses the bytes of evidence. It verifies nothing.
func ParseEvidence(data []byte) (*Evidence, error) {
	var w evidenceWire
	if err := unmarshalNamed("evidence", 3*maxCheckpoint, data, &w); err != nil {
		return nil, err
	}
	if w.Name != nameEvidence {
		return nil, fmt.Errorf("evidence: name is not %q", nameEvidence)
	}
	first, err := ParseCheckpoint(w.First)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	second, err := ParseCheckpoint(w.Second)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return &Evidence{First: first, Second: second}, nil
}

// Bytes returns the bytes that ParseEvidence accepts.
func (e *Evidence) Bytes() ([]byte, error) {
	first, err := e.First.Bytes()
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	second, err := e.Second.Bytes()
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return Marshal(evidenceWire{Name: nameEvidence, First: first, Second: second})
}

// Verify returns the member that the evidence convicts. Two cosignatures of
// one and the same tree head at different times are no evidence.
func (e *Evidence) Verify(k *Consortium) (member string, err error) {
	a, b := e.First, e.Second
	switch {
	case len(a.Signatures) != 1 || len(b.Signatures) != 1:
		return "", errors.New("evidence: want one signature on each side")
	case a.Size != b.Size:
		return "", errors.New("evidence: checkpoints of different sizes")
	case a.TreeHead == b.TreeHead:
		return "", errors.New("evidence: checkpoints say the same")
	}
	first, _, err := k.Cosigner(a.TreeHead, a.Signatures[0])
	if err != nil {
		return "", fmt.Errorf("evidence: %w", err)
	}
	second, _, err := k.Cosigner(b.TreeHead, b.Signatures[0])
	if err != nil {
		return "", fmt.Errorf("evidence: %w", err)
	}
	if first != second {
		return "", errors.New("evidence: cosignatures of two members")
	}
	return first, nil
}
