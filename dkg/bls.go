package dkg

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// Sizes of the encodings of BLS keys and signatures, in bytes.
const (
	PublicKeySize = pairing.G1Size
	SignatureSize = pairing.G2Size
)

const partialFormat = "ward/dkg/partial-signature/v1"

// Errors of signing and verification.
var (
	ErrSignature = errors.New("signature does not verify")
	ErrTooFew    = errors.New("fewer parts than the threshold")
	ErrDuplicate = errors.New("this member's is there already")
)

// BlameError names a member whose partial signature is wrong. It matches
// [ErrSignature].
type BlameError struct{ Index uint8 }

func (e *BlameError) Error() string {
	return fmt.Sprintf("partial signature of member %d does not verify", e.Index)
}

// Is reports whether target is [ErrSignature].
func (e *BlameError) Is(target error) bool { return target == ErrSignature }

// PublicKey is a BLS public key.
type PublicKey struct{ point pairing.G1 }

// ParsePublicKey reads a compressed point of 48 bytes. It refuses the identity
// and points outside the subgroup (KeyValidate of the draft).
func ParsePublicKey(b []byte) (PublicKey, error) {
	p, err := pairing.ParseG1(b)
	if err != nil {
		return PublicKey{}, fmt.Errorf("read public key: %w", err)
	}
	return PublicKey{p}, nil
}

// Bytes returns the 48-byte encoding.
func (k PublicKey) Bytes() []byte {
	b := k.point.Bytes()
	return b[:]
}

// Verify returns nil if sig signs msg under k, and [ErrSignature] if not. Any
// library of the ciphersuite gives the same answer.
func (k PublicKey) Verify(msg []byte, sig Signature) error {
	return k.verify(pairing.HashToG2(pairing.DSTSignature, msg), sig.point)
}

func (k PublicKey) verify(hash, sig pairing.G2) error {
	if k.point.IsIdentity() || sig.IsIdentity() ||
		!pairing.PairingsEqual(pairing.GeneratorG1(), sig, k.point, hash) {
		return ErrSignature
	}
	return nil
}

// Signature is a BLS signature.
type Signature struct{ point pairing.G2 }

// ParseSignature reads a compressed point of 96 bytes. It refuses the identity
// and points outside the subgroup.
func ParseSignature(b []byte) (Signature, error) {
	p, err := pairing.ParseG2(b)
	if err != nil {
		return Signature{}, fmt.Errorf("read signature: %w", err)
	}
	return Signature{p}, nil
}

// Bytes returns the 96-byte encoding.
func (s Signature) Bytes() []byte {
	b := s.point.Bytes()
	return b[:]
}

// SigningKey signs with one member's share of the checkpoint key. Sharing it
// out under its own type keeps the identity key from ever signing.
type SigningKey struct{ share *Share }

// NewSigningKey returns the signing key for a share that [Share.Check] accepts
// under p.
func NewSigningKey(share *Share, p *Sharing) (*SigningKey, error) {
	if err := share.Check(p); err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	return &SigningKey{share}, nil
}

// Sign returns the member's part of the signature of msg. The message begins
// with a typed prefix, which is the caller's business: nothing is added here,
// so that the whole signature is one of the standard ciphersuite.
func (k *SigningKey) Sign(msg []byte) *PartialSignature {
	hash := pairing.HashToG2(pairing.DSTSignature, msg)
	return &PartialSignature{k.share.generation, k.share.index, k.share.value.MulG2(hash)}
}

// PartialSignature is one member's part of a signature.
type PartialSignature struct {
	generation uint32
	index      uint8
	point      pairing.G2
}

// ParsePartialSignature reads what [PartialSignature.Bytes] wrote.
func ParsePartialSignature(b []byte) (*PartialSignature, error) {
	r := wire.NewReader(partialFormat, b)
	generation, index, raw := r.Uint32(), r.Uint8(), r.Raw(SignatureSize)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("read partial signature: %w", err)
	}
	if index < 1 || index > MaxMembers {
		return nil, fmt.Errorf("read partial signature: %w", ErrIndex)
	}
	point, err := pairing.ParseG2(raw)
	if err != nil {
		return nil, fmt.Errorf("read partial signature: %w", err)
	}
	return &PartialSignature{generation, index, point}, nil
}

// Bytes returns the encoding: the format's name, the generation in four bytes,
// the index in one and the point in 96.
func (p *PartialSignature) Bytes() []byte {
	w := wire.NewWriter(partialFormat)
	w.Uint32(p.generation)
	w.Uint8(p.index)
	b := p.point.Bytes()
	w.Raw(b[:])
	return w.Sum()
}

// Generation returns the generation of the share that signed.
func (p *PartialSignature) Generation() uint32 { return p.generation }

// Index returns the number of the member that signed.
func (p *PartialSignature) Index() uint8 { return p.index }

// VerifyPart returns nil if p is its member's part of the signature of msg. It
// returns [ErrGeneration] or [ErrIndex] if p is not for this sharing, and a
// [*BlameError] if it is wrong.
func (s *Sharing) VerifyPart(msg []byte, p *PartialSignature) error {
	return s.verifyPart(pairing.HashToG2(pairing.DSTSignature, msg), p)
}

func (s *Sharing) verifyPart(hash pairing.G2, p *PartialSignature) error {
	public, err := s.PublicShare(p.index)
	if err != nil {
		return err
	}
	if p.generation != s.generation {
		return ErrGeneration
	}
	if err := (PublicKey{public}).verify(hash, p.point); err != nil {
		return &BlameError{p.index}
	}
	return nil
}

// Combine makes the signature of msg out of at least t parts of distinct
// members and checks it. If it fails, the error joins one [*BlameError] for
// each wrong part; without these the others combine, if there are still
// enough. It returns [ErrTooFew], [ErrDuplicate], [ErrIndex] or
// [ErrGeneration] for parts that cannot be combined.
func (s *Sharing) Combine(msg []byte, parts []*PartialSignature) (Signature, error) {
	var seen [MaxMembers + 1]bool
	for _, p := range parts {
		if p == nil {
			return Signature{}, ErrIndex
		}
		if _, err := s.PublicShare(p.index); err != nil {
			return Signature{}, err
		}
		if p.generation != s.generation {
			return Signature{}, ErrGeneration
		}
		if seen[p.index] {
			return Signature{}, ErrDuplicate
		}
		seen[p.index] = true
	}
	if len(parts) < s.Threshold() {
		return Signature{}, ErrTooFew
	}
	// The lowest indices have the smallest Lagrange coefficients.
	chosen := slices.Clone(parts)
	slices.SortFunc(chosen, func(a, b *PartialSignature) int { return int(a.index) - int(b.index) })
	sig, err := interpolate(chosen[:s.Threshold()])
	if err != nil {
		return Signature{}, err
	}
	hash := pairing.HashToG2(pairing.DSTSignature, msg)
	if s.Key().verify(hash, sig.point) == nil {
		return sig, nil
	}
	var blame []error
	for _, p := range parts {
		if err := s.verifyPart(hash, p); err != nil {
			blame = append(blame, err)
		}
	}
	return Signature{}, errors.Join(blame...)
}

// interpolate returns the value at 0 of the polynomial in G2 that the parts
// are points of.
func interpolate(parts []*PartialSignature) (Signature, error) {
	x, points := make([]uint8, len(parts)), make([]pairing.G2, len(parts))
	for i, p := range parts {
		x[i], points[i] = p.index, p.point
	}
	l, err := pairing.NewLagrange(x)
	if err != nil {
		return Signature{}, err
	}
	return Signature{l.CombineG2(points)}, nil
}
