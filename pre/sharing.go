package pre

import (
	"fmt"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const (
	sharingName = "ward/sharing/v1"
	shareName   = "ward/share/v1"
)

// Sharing is the public side of a secret that n members share with threshold t:
// Feldman commitments to a polynomial whose constant term is the secret. The
// authority's s is shared so, and every grant's w₀. A generation number counts
// the times the shares were dealt anew; shares of different generations do not
// mix.
type Sharing struct {
	generation  uint32
	commitments []pairing.G1 // t of them, none the identity
	members     []pairing.G1 // the public share of member i at i-1, none the identity
}

// ParseSharing reads what [Sharing.Bytes] wrote: at most 64 members. It refuses commitments at the
// identity and polynomials that give some member the share zero, which would
// make his honest answer look like a fault.
func ParseSharing(b []byte) (*Sharing, error) {
	r := wire.NewReader(sharingName, b)
	s := readSharing(r)
	if err := finish("sharing", r); err != nil {
		return nil, err
	}
	return s, nil
}

func readSharing(r *wire.Reader) *Sharing {
	generation, n, t := r.Uint32(), int(r.Uint8()), int(r.Uint8())
	if r.Err() == nil && (t == 0 || t > n || n > maxMembers) {
		r.Fail(&FormatError{"sharing", "field"})
		return nil
	}
	commitments := make([]pairing.G1, t)
	for k := range commitments {
		commitments[k] = pairing.ReadG1(r)
	}
	if r.Err() != nil {
		return nil
	}
	s, err := newSharing(generation, n, commitments)
	if err != nil {
		r.Fail(err)
	}
	return s
}

// newSharing computes the members' public shares and refuses zero ones.
func newSharing(generation uint32, n int, commitments []pairing.G1) (*Sharing, error) {
	if len(commitments) == 0 || n < len(commitments) || n > maxMembers {
		return nil, &FormatError{"sharing", "field"}
	}
	s := &Sharing{generation, commitments, make([]pairing.G1, n)}
	for i := range s.members {
		s.members[i] = pairing.Evaluate(commitments, uint8(i+1))
		if s.members[i].IsIdentity() {
			return nil, &FormatError{"sharing", "zero"}
		}
	}
	return s, nil
}

// Bytes returns the encoding: generation, n, t, and t points of 48 bytes.
func (s *Sharing) Bytes() []byte {
	w := wire.NewWriter(sharingName)
	s.write(w)
	return w.Sum()
}

func (s *Sharing) write(w *wire.Writer) {
	w.Uint32(s.generation)
	w.Uint8(uint8(len(s.members)))
	w.Uint8(uint8(len(s.commitments)))
	for _, c := range s.commitments {
		b := c.Bytes()
		w.Raw(b[:])
	}
}

// Key returns the public key of the shared secret: P, or a grant's A₀.
func (s *Sharing) Key() PublicKey { return PublicKey{s.commitments[0]} }

// Generation returns the generation number.
func (s *Sharing) Generation() uint32 { return s.generation }

// Members returns n, the number of members.
func (s *Sharing) Members() int { return len(s.members) }

// Threshold returns t, the number of shares that determine the secret.
func (s *Sharing) Threshold() int { return len(s.commitments) }

// member returns the public share of member i.
func (s *Sharing) member(i uint8) (pairing.G1, error) {
	if i == 0 || int(i) > len(s.members) {
		return pairing.G1{}, ErrShares
	}
	return s.members[i-1], nil
}

// Share is one member's secret share, of the authority's secret or of a
// grant's. Keep it in a vault, and [Share.Erase] it when its use ends.
type Share struct {
	generation uint32
	index      uint8
	secret     *pairing.Secret
}

// ParseShare reads what [Share.Bytes] wrote.
func ParseShare(b []byte) (*Share, error) {
	r := wire.NewReader(shareName, b)
	s := &Share{generation: r.Uint32(), index: r.Uint8()}
	if raw := r.Raw(pairing.ScalarSize); raw != nil {
		var err error
		if s.secret, err = pairing.ParseSecret(raw); err != nil {
			r.Fail(err)
		}
	}
	if r.Err() == nil && s.index == 0 {
		r.Fail(&FormatError{"share", "field"})
	}
	if err := finish("share", r); err != nil {
		return nil, err
	}
	return s, nil
}

// Bytes returns the encoding: generation, index, 32 secret bytes.
func (s *Share) Bytes() []byte {
	w := wire.NewWriter(shareName)
	w.Uint32(s.generation)
	w.Uint8(s.index)
	b := s.secret.Reveal()
	w.Raw(b[:])
	clear(b[:])
	return w.Sum()
}

// Index returns the member's number, 1 to n.
func (s *Share) Index() uint8 { return s.index }

// Generation returns the number of the generation the share belongs to.
func (s *Share) Generation() uint32 { return s.generation }

// Check returns nil if s is its member's share of the sharing: the test by
// which a member accepts a grant. [ErrShares] says it is of another generation
// or no member's, [ErrProof] that it does not match the commitments.
func (s *Share) Check(of *Sharing) error {
	public, err := of.member(s.index)
	if err != nil || s.generation != of.generation {
		return ErrShares
	}
	if s.secret.IsZero() {
		return ErrErased
	}
	if !pairing.GeneratorG1ConstantTime().Mul(s.secret).Equal(public) {
		return fmt.Errorf("share of member %d: %w", s.index, ErrProof)
	}
	return nil
}

// Erase overwrites the secret. Later uses return [ErrErased].
func (s *Share) Erase() { s.secret.Erase() }

// Format prints the share's index and generation, never the secret.
func (s Share) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "share %d of generation %d", s.index, s.generation)
}

// lagrange returns the coefficients for exactly t distinct members of one
// generation.
func (s *Sharing) lagrange(indices []uint8, generations []uint32) (*pairing.Lagrange, error) {
	if len(indices) != len(s.commitments) {
		return nil, ErrShares
	}
	for i, g := range generations {
		if g != s.generation || int(indices[i]) > len(s.members) {
			return nil, ErrShares
		}
	}
	l, err := pairing.NewLagrange(indices)
	if err != nil {
		return nil, ErrShares
	}
	return l, nil
}
