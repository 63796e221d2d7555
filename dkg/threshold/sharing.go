package threshold

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// MaxMembers is the largest roster.
const MaxMembers = 64

// Names of the formats of this file, which package pre reads too.
const (
	sharingFormat = "ward/sharing/v1"
	shareFormat   = "ward/share/v1"
)

// Errors about shares and sharings.
var (
	ErrThreshold  = errors.New("threshold is outside its allowed range")
	ErrIndex      = errors.New("index is outside the roster")
	ErrIdentity   = pairing.ErrIdentity // of a key, commitment or public share
	ErrGeneration = errors.New("share is of another generation")
	ErrShare      = errors.New("share does not match its public share")
)

// Sharing is the public side of one shared key: the commitments to the
// polynomial whose value at i is member i's share. It is immutable.
type Sharing struct {
	generation  uint32
	commitments []pairing.G1 // t of them; the first is the public key
	public      []pairing.G1 // n public shares, that of member i at i−1
}

// NewSharing returns the sharing among n members that the t commitments
// describe. It refuses commitments that are the identity, and those that give
// some member the identity as public share.
func NewSharing(generation uint32, n int, commitments []pairing.G1) (*Sharing, error) {
	if n < 1 || n > MaxMembers || len(commitments) < 1 || len(commitments) > n {
		return nil, ErrThreshold
	}
	for _, c := range commitments {
		if c.IsIdentity() {
			return nil, ErrIdentity
		}
	}
	public := pairing.EvaluateRange(commitments, n)
	for _, p := range public {
		if p.IsIdentity() {
			return nil, ErrIdentity
		}
	}
	return &Sharing{generation, append([]pairing.G1(nil), commitments...), public}, nil
}

// ParseSharing reads what [Sharing.Bytes] wrote. It accepts what [NewSharing]
// accepts.
func ParseSharing(b []byte) (*Sharing, error) {
	r := wire.NewReader(sharingFormat, b)
	generation, n, t := r.Uint32(), int(r.Uint8()), int(r.Uint8())
	commitments := make([]pairing.G1, 0, t)
	for range t {
		commitments = append(commitments, pairing.ReadG1(r))
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("read sharing: %w", err)
	}
	s, err := NewSharing(generation, n, commitments)
	if err != nil {
		return nil, fmt.Errorf("read sharing: %w", err)
	}
	return s, nil
}

// Bytes returns the encoding: the format's name, the generation in four bytes,
// n and t in one byte each, and t compressed points.
func (s *Sharing) Bytes() []byte {
	w := wire.NewWriter(sharingFormat)
	w.Uint32(s.generation)
	w.Uint8(uint8(len(s.public)))
	w.Uint8(uint8(len(s.commitments)))
	for _, c := range s.commitments {
		pairing.WriteG1(w, c)
	}
	return w.Sum()
}

// Generation returns the number of the ceremony result that s belongs to.
func (s *Sharing) Generation() uint32 { return s.generation }

// Members returns n, the number of members.
func (s *Sharing) Members() int { return len(s.public) }

// Threshold returns t, the number of shares that make the key.
func (s *Sharing) Threshold() int { return len(s.commitments) }

// Commitments returns the t commitments; the first is the public key.
func (s *Sharing) Commitments() []pairing.G1 { return append([]pairing.G1(nil), s.commitments...) }

// Key returns the public key, which outlives refreshes and member changes.
func (s *Sharing) Key() PublicKey { return PublicKey{s.commitments[0]} }

// PublicShare returns share·g1 of member index, or [ErrIndex].
func (s *Sharing) PublicShare(index uint8) (pairing.G1, error) {
	if index < 1 || int(index) > len(s.public) {
		return pairing.G1{}, ErrIndex
	}
	return s.public[index-1], nil
}

// Share is one member's secret share of a key. It is safe for concurrent use
// until it is erased.
type Share struct {
	generation uint32
	index      uint8
	value      *pairing.Secret
}

// NewShare returns the share with the given secret value.
func NewShare(generation uint32, index uint8, value *pairing.Secret) (*Share, error) {
	if index < 1 || index > MaxMembers {
		return nil, ErrIndex
	}
	if value == nil || value.IsZero() {
		return nil, ErrIdentity
	}
	return &Share{generation, index, value}, nil
}

// ParseShare reads what [Share.Bytes] wrote.
func ParseShare(b []byte) (*Share, error) {
	r := wire.NewReader(shareFormat, b)
	generation, index, raw := r.Uint32(), r.Uint8(), r.Raw(pairing.ScalarSize)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("read share: %w", err)
	}
	value, err := pairing.ParseSecret(raw)
	if err != nil {
		return nil, fmt.Errorf("read share: %w", err)
	}
	return NewShare(generation, index, value)
}

// Bytes returns the encoding: the format's name, the generation in four bytes,
// the index in one and the secret value in 32. The caller erases it.
func (s *Share) Bytes() []byte {
	w := wire.NewWriter(shareFormat)
	w.Uint32(s.generation)
	w.Uint8(s.index)
	raw := s.value.Reveal()
	w.Raw(raw[:])
	clear(raw[:])
	return w.Sum()
}

// Generation returns the number of the ceremony result that s belongs to.
func (s *Share) Generation() uint32 { return s.generation }

// Index returns the member's number in its roster, from 1.
func (s *Share) Index() uint8 { return s.index }

// Secret returns the value. It is the share's own, not a copy: erasing one
// erases both.
func (s *Share) Secret() *pairing.Secret { return s.value }

// Check returns nil if s is its member's share of the key p describes, and
// otherwise [ErrGeneration], [ErrIndex] or [ErrShare].
func (s *Share) Check(p *Sharing) error {
	want, err := p.PublicShare(s.index)
	if err != nil {
		return err
	}
	if s.generation != p.generation {
		return ErrGeneration
	}
	if !pairing.GeneratorG1ConstantTime().Mul(s.value).Equal(want) {
		return ErrShare
	}
	return nil
}

// Erase overwrites the secret value.
func (s *Share) Erase() { s.value.Erase() }
