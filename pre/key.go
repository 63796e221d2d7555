package pre

import (
	"fmt"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const (
	partialKeyName = "ward/partial-key/v1"
	privateKeyName = "ward/private-key/v1"
)

// PartialKey is one member's part of an identity's key: Dᵢ = sᵢ·Q. It is a
// secret of the requester's, to be sent to nobody else.
type PartialKey struct {
	generation uint32
	index      uint8
	d          pairing.G2
}

// Extract returns the member's part of the key for id and t. The type is a path,
// or "#inbox" through [Share.ExtractInbox].
func (s *Share) Extract(id Identity, t Type) (*PartialKey, error) {
	if _, err := ParseType(string(t)); err != nil {
		return nil, err
	}
	return s.extract(id, t)
}

// ExtractInbox returns the member's part of the key with which id opens the
// grants sealed to it.
func (s *Share) ExtractInbox(id Identity) (*PartialKey, error) { return s.extract(id, inbox) }

func (s *Share) extract(id Identity, t Type) (*PartialKey, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	if s.secret.IsZero() {
		return nil, ErrErased
	}
	return &PartialKey{s.generation, s.index, s.secret.MulG2(id.typed(t).point())}, nil
}

// ParsePartialKey reads what [PartialKey.Bytes] wrote.
func ParsePartialKey(b []byte) (*PartialKey, error) {
	r := wire.NewReader(partialKeyName, b)
	p := &PartialKey{r.Uint32(), r.Uint8(), readG2(r)}
	if r.Err() == nil && p.index == 0 {
		r.Fail(&FormatError{"partial key", "field"})
	}
	if err := finish("partial key", r); err != nil {
		return nil, err
	}
	return p, nil
}

// Bytes returns the encoding: generation, index, a secret point of 96 bytes.
func (p *PartialKey) Bytes() []byte {
	w := wire.NewWriter(partialKeyName)
	w.Uint32(p.generation)
	w.Uint8(p.index)
	b := p.d.Bytes()
	w.Raw(b[:])
	clear(b[:])
	return w.Sum()
}

// Format prints the part's index and generation, never the key.
func (p PartialKey) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "partial key %d of generation %d", p.index, p.generation)
}

// Index returns the number of the member whose part it is.
func (p *PartialKey) Index() uint8 { return p.index }

// CombineKey makes the private key of id for type t from exactly t partial keys,
// under the authority whose sharing s is. The result is the authority's key D;
// in self-custody [CustodyKey.Complete] makes it the identity's.
//
// [ErrShares] says that the parts cannot belong together, a [*BlameError] whose
// are wrong.
func (s *Sharing) CombineKey(id Identity, t Type, parts []*PartialKey) (*PrivateKey, error) {
	if _, err := ParseType(string(t)); err != nil {
		return nil, err
	}
	return s.combineKey(id, t, parts)
}

// CombineInboxKey makes the key with which id opens grants sealed to it.
func (s *Sharing) CombineInboxKey(id Identity, parts []*PartialKey) (*PrivateKey, error) {
	return s.combineKey(id, inbox, parts)
}

func (s *Sharing) combineKey(id Identity, t Type, parts []*PartialKey) (*PrivateKey, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	indices, generations, points := make([]uint8, len(parts)), make([]uint32, len(parts)), make([]pairing.G2, len(parts))
	for i, p := range parts {
		if p == nil {
			return nil, ErrShares
		}
		indices[i], generations[i], points[i] = p.index, p.generation, p.d
	}
	l, err := s.lagrange(indices, generations)
	if err != nil {
		return nil, err
	}
	id.Key, id.Version = s.Key(), 0
	k := &PrivateKey{id, t, l.CombineG2(points)}
	if k.check() == nil {
		return k, nil
	}
	var blame BlameError
	q := id.typed(t).point()
	for i, p := range parts {
		if !pairing.PairingsEqual(pairing.GeneratorG1(), points[i], s.members[p.index-1], q) {
			blame.Members = append(blame.Members, p.index)
		}
	}
	return nil, &blame
}

// PrivateKey opens the records of one owner, type and epoch, and everything
// below the type; or, as an inbox key, the grants sealed to one reader.
type PrivateKey struct {
	id Identity // Key and Version are those the key opens for
	t  Type
	d  pairing.G2
}

// ParsePrivateKey reads what [PrivateKey.Bytes] wrote and checks that the key
// belongs to its identity.
func ParsePrivateKey(b []byte) (*PrivateKey, error) {
	r := wire.NewReader(privateKeyName, b)
	k := &PrivateKey{id: readIdentity(r), t: Type(r.String(maxType)), d: readG2(r)}
	if _, err := ParseType(string(k.t)); err != nil && k.t != inbox {
		r.Fail(err)
	}
	if err := finish("private key", r); err != nil {
		return nil, err
	}
	if err := k.check(); err != nil {
		return nil, err
	}
	return k, nil
}

// Bytes returns the encoding: identity, type, a secret point of 96 bytes.
func (k *PrivateKey) Bytes() []byte {
	w := wire.NewWriter(privateKeyName)
	k.id.write(w)
	w.String(string(k.t))
	b := k.d.Bytes()
	w.Raw(b[:])
	clear(b[:])
	return w.Sum()
}

// Identity returns whose records the key opens, with the key version and epoch
// it works for.
func (k *PrivateKey) Identity() Identity { return k.id }

// Type returns the type at whose root the key opens.
func (k *PrivateKey) Type() Type { return k.t }

// Erase overwrites the key. Later uses return [ErrErased].
func (k *PrivateKey) Erase() { k.d.Erase() }

// Format prints the key's identity and type, never the key.
func (k PrivateKey) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "private key of %s for %q", k.id.Name, string(k.t))
}

// check tests e(g1, D) = e(P', Q).
func (k *PrivateKey) check() error {
	q := k.id.typed(k.t).point()
	if !pairing.PairingsEqual(pairing.GeneratorG1(), k.d, k.id.Key.g, q) {
		return fmt.Errorf("private key: %w", ErrProof)
	}
	return nil
}
