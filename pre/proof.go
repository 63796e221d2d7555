package pre

import (
	"encoding/binary"
	"fmt"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/parallel"
	"github.com/ward-health/ward/internal/wire"
)

// The proof of a capsule is that of TDH1 (Shoup and Gennaro, section 5): its
// author knows r with U = r·g1 and Ubar = r·h, where h depends on U, R and the
// label. The second base lets the security proof answer for the author's
// capsules without rewinding him.

func capsuleBase(u, r pairing.G1, label [32]byte) pairing.G1 {
	var w wire.Writer
	pairing.WriteG1(&w, u)
	pairing.WriteG1(&w, r)
	w.Raw(label[:])
	return pairing.HashToG1(pairing.DSTCapsuleBase, w.Sum())
}

func (e *Envelope) challenge(label [32]byte) pairing.Scalar {
	var w wire.Writer
	w.Raw(label[:])
	for _, g := range []pairing.G1{e.u, e.r, e.ubar, e.rbar} {
		pairing.WriteG1(&w, g)
	}
	return pairing.HashToScalar(pairing.DSTCapsuleProof, w.Sum())
}

// prove fills in the proof for U = r·g1. The nonce is as short-lived as r.
func (e *Envelope) prove(r, k pairing.Scalar, label [32]byte) {
	e.r = pairing.MulGenerator(k)
	h := capsuleBase(e.u, e.r, label)
	e.ubar, e.rbar = h.Mul(r), h.Mul(k)
	e.z = k.Add(e.challenge(label).Mul(r))
}

// Verify checks the envelope against the header it came with: one wrap for each
// level of the type, and both equations of the capsule proof. The error is a
// [*FormatError] or wraps [ErrProof].
func (e *Envelope) Verify(h Header) (*Record, error) {
	rec, err := e.bind(h)
	if err != nil {
		return nil, err
	}
	label := e.label(rec.context)
	c := e.challenge(label).Neg()
	if !pairing.MulGenerator(e.z).Add(e.u.Mul(c)).Equal(e.r) ||
		!pairing.JointMul(capsuleBase(e.u, e.r, label), e.z, e.ubar, c).Equal(e.rbar) {
		return nil, fmt.Errorf("capsule: %w", ErrProof)
	}
	return rec, nil
}

// bind checks everything but the proof.
func (e *Envelope) bind(h Header) (*Record, error) {
	if e == nil {
		return nil, &FormatError{"envelope", "field"}
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	if len(e.wraps) != len(h.Type.Levels()) {
		return nil, &FormatError{"envelope", "field"}
	}
	return &Record{h, e, h.context()}, nil
}

// VerifyBatch checks many envelopes at once, envelopes[i] against headers[i], on
// all processors. A thousand together cost half of what they cost one by one:
// what remains is, in equal parts, the hash to the curve of each and the combined
// equation. It returns a record, or an error as [Envelope.Verify] does, for each.
//
// The weights of the combination are hashes of seed and of everything checked.
// Give it the block's hash: then every node of a chain decides alike, and a bad
// proof passes with probability 2^-128. When a batch does not hold, its
// envelopes are checked one by one.
func VerifyBatch(seed []byte, envelopes []*Envelope, headers []Header) ([]*Record, []error) {
	records, errs := make([]*Record, len(envelopes)), make([]error, len(envelopes))
	if len(headers) != len(envelopes) {
		for i := range errs {
			errs[i] = &FormatError{"batch", "length"}
		}
		return records, errs
	}
	terms := make([]batchTerm, len(envelopes))
	var checked wire.Writer
	for i, e := range envelopes {
		if records[i], errs[i] = e.bind(headers[i]); errs[i] == nil {
			terms[i].label = e.label(records[i].context)
			checked.Raw(terms[i].label[:])
			e.writeProof(&checked)
		}
	}
	root := batchRoot(seed, checked.Sum())
	parallel.For(len(envelopes), func(i int) {
		if errs[i] == nil {
			terms[i].weigh(envelopes[i], root, i)
		}
	})
	if batchHolds(envelopes, errs, terms) {
		return records, errs
	}
	parallel.For(len(envelopes), func(i int) {
		if errs[i] == nil {
			records[i], errs[i] = envelopes[i].Verify(headers[i])
		}
	})
	return records, errs
}

// batchRoot is the hash from which the weights of a batch are drawn.
func batchRoot(seed, checked []byte) [32]byte {
	return wire.Hash(string(pairing.DSTCapsuleBatch), seed, checked)
}

// writeProof appends the part of an envelope that its label does not cover.
func (e *Envelope) writeProof(w *wire.Writer) {
	for _, g := range []pairing.G1{e.ubar, e.r, e.rbar} {
		pairing.WriteG1(w, g)
	}
	writeScalar(w, e.z)
}

// batchTerm is one envelope's part of the combined equation
//
//	Σ aᵢ·(zᵢ·g1 − Rᵢ − cᵢ·Uᵢ) + bᵢ·(zᵢ·hᵢ − Rbarᵢ − cᵢ·Ubarᵢ) = 0
type batchTerm struct {
	label [32]byte
	a, b  pairing.Scalar // weights below 2^128
	c     pairing.Scalar
	h     pairing.G1
}

func (t *batchTerm) weigh(e *Envelope, root [32]byte, i int) {
	var position [8]byte
	binary.BigEndian.PutUint64(position[:], uint64(i))
	d := wire.Hash(string(pairing.DSTCapsuleWeight), root[:], position[:])
	t.a, t.b = pairing.ScalarFromUniform([16]byte(d[:16])), pairing.ScalarFromUniform([16]byte(d[16:]))
	t.c, t.h = e.challenge(t.label), capsuleBase(e.u, e.r, t.label)
}

// batchHolds reports whether the combined equation holds for the envelopes that
// have no error yet.
func batchHolds(envelopes []*Envelope, errs []error, terms []batchTerm) bool {
	points, scalars := make([]pairing.G1, 0, 5*len(terms)), make([]pairing.Scalar, 0, 5*len(terms))
	var z pairing.Scalar
	for i, e := range envelopes {
		if errs[i] != nil {
			continue
		}
		t := &terms[i]
		z = z.Add(t.a.Mul(e.z))
		points = append(points, e.r, e.rbar, e.u, e.ubar, t.h)
		scalars = append(scalars, t.a.Neg(), t.b.Neg(), t.a.Mul(t.c).Neg(), t.b.Mul(t.c).Neg(), t.b.Mul(e.z))
	}
	return pairing.MulGenerator(z).Add(pairing.MultiMul(points, scalars)).IsIdentity()
}
