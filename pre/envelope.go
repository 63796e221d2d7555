package pre

import (
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const (
	envelopeName = "ward/envelope/v1"
	wrapSize     = 48 // a 32-byte record key and a 16-byte tag
)

// Header is what a record is bound to. The chain shows all of it.
type Header struct {
	Record string   // the record's id on the chain
	Owner  Identity // whose record it is, with the current key, version and epoch
	Type   Type
	Author string // the identity that writes and signs the transaction
}

func (h *Header) check() error {
	if err := h.Owner.check(); err != nil {
		return err
	}
	if err := checkName("record id", h.Record); err != nil {
		return err
	}
	if err := checkName("author", h.Author); err != nil {
		return err
	}
	_, err := ParseType(string(h.Type))
	return err
}

// context is the hash of everything a record's keys and proof depend on before
// anything is sealed.
func (h *Header) context() [32]byte {
	var w wire.Writer
	w.String(h.Owner.Chain)
	w.String(h.Record)
	w.String(h.Owner.Name)
	w.Uint32(h.Owner.Version)
	w.Raw(h.Owner.Key.Bytes())
	w.String(string(h.Type))
	w.Uint64(h.Owner.Epoch)
	w.String(h.Author)
	return wire.Hash(string(pairing.DSTRecordContext), w.Sum())
}

// Envelope is a record as the chain carries it: the capsule, a wrap of the
// record key for each level, and the hash of the sealed index. It is 274 bytes
// and 48 for each level.
//
// An Envelope from outside proves nothing yet; [Envelope.Verify] makes it a
// [Record].
type Envelope struct {
	u, ubar pairing.G1 // r·g1 and r·h
	r, rbar pairing.G1 // commitments k·g1 and k·h of the proof
	z       pairing.Scalar
	wraps   [][wrapSize]byte
	index   [32]byte // hash of the sealed index
}

// ParseEnvelope reads what [Envelope.Bytes] wrote. Every point is checked to lie
// in the subgroup, one by one: a batched check could be passed by points of
// small order that cancel.
func ParseEnvelope(b []byte) (*Envelope, error) {
	r := wire.NewReader(envelopeName, b)
	e := &Envelope{u: pairing.ReadG1(r), ubar: pairing.ReadG1(r), r: pairing.ReadG1(r), rbar: pairing.ReadG1(r), z: readScalar(r)}
	levels := int(r.Uint8())
	if r.Err() == nil && (levels == 0 || levels > maxLevels) {
		r.Fail(wire.ErrTooLong)
	}
	if r.Err() == nil {
		e.wraps = make([][wrapSize]byte, levels)
	}
	for j := range e.wraps {
		copy(e.wraps[j][:], r.Raw(wrapSize))
	}
	copy(e.index[:], r.Raw(len(e.index)))
	if err := finish("envelope", r); err != nil {
		return nil, err
	}
	return e, nil
}

// Bytes returns the encoding: the capsule of 224 bytes, the number of levels, 48
// bytes for each, and the hash of the sealed index.
func (e *Envelope) Bytes() []byte {
	w := wire.NewWriter(envelopeName)
	for _, g := range []pairing.G1{e.u, e.ubar, e.r, e.rbar} {
		pairing.WriteG1(w, g)
	}
	writeScalar(w, e.z)
	w.Uint8(uint8(len(e.wraps)))
	for j := range e.wraps {
		w.Raw(e.wraps[j][:])
	}
	w.Raw(e.index[:])
	return w.Sum()
}

// U returns the 48 bytes by which the chain recognises a capsule it has seen.
func (e *Envelope) U() []byte {
	b := e.u.Bytes()
	return b[:]
}

// IndexHash returns the hash that the sealed index must have.
func (e *Envelope) IndexHash() [32]byte { return e.index }

// label binds the proof to the record and all its parts.
func (e *Envelope) label(context [32]byte) [32]byte {
	var w wire.Writer
	w.Raw(context[:])
	pairing.WriteG1(&w, e.u)
	for j := range e.wraps {
		w.Raw(e.wraps[j][:])
	}
	w.Raw(e.index[:])
	return wire.Hash(string(pairing.DSTLabel), w.Sum())
}

// Record is an envelope whose proof was checked against its header. Only a
// Record is ever multiplied by a share: a member answers no capsule of which
// nobody has shown to know the exponent.
type Record struct {
	header   Header
	envelope *Envelope
	context  [32]byte
}

// Header returns what the record is bound to.
func (r *Record) Header() Header { return r.header }

// Envelope returns the record as the chain carries it.
func (r *Record) Envelope() *Envelope { return r.envelope }
