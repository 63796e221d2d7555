package pre

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const grantName = "ward/grant/v1"

// Terms are what the owner decides about a grant besides its type, which is the
// type of the key she grants with.
type Terms struct {
	ID         string   // the grant's id on the chain
	Conditions [32]byte // hash of the conditions' canonical encoding

	// Generation, Members and Threshold are those of the authority's current
	// sharing: the same members hold the shares of the grant.
	Generation uint32
	Members    uint8
	Threshold  uint8

	// Everything must be set to grant the root type, and for no other.
	Everything bool

	// Expose lets an owner in self-custody grant to a recipient who is not.
	// From then on t members can read everything of that type and epoch.
	Expose bool
}

// Grant is the public part of a delegation: one owner, one type and all below
// it, one epoch, one recipient.
type Grant struct {
	owner     Identity
	t         Type
	id        string
	recipient []byte
	condition [32]byte
	sharing   *Sharing // of w₀, as first dealt
	sealed    []byte   // the reader's half
	context   [32]byte
}

// Grant splits the key between a recipient and the members: with a fresh w₀ the
// recipient gets E = D − w₀·Q sealed, the members get Shamir shares of w₀. It
// returns the grant for the chain and the shares for the members, to be sealed
// to each with [Share.Seal] and then erased.
//
// [ErrExposed] refuses a grant from self-custody to a recipient without it; a
// [*FormatError] names a term that cannot be.
func (k *PrivateKey) Grant(terms Terms, to Recipient) (*Grant, []*Share, error) {
	return k.grant(rand.Reader, terms, to)
}

func (k *PrivateKey) grant(random io.Reader, terms Terms, to Recipient) (*Grant, []*Share, error) {
	if err := k.checkTerms(terms, to); err != nil {
		return nil, nil, err
	}
	polynomial := make([]*pairing.Secret, terms.Threshold)
	commitments := make([]pairing.G1, terms.Threshold)
	g1 := pairing.GeneratorG1ConstantTime()
	for i := range polynomial {
		var err error
		if polynomial[i], err = pairing.GenerateSecret(random); err != nil {
			return nil, nil, err
		}
		defer polynomial[i].Erase()
		commitments[i] = g1.Mul(polynomial[i])
	}
	sharing, err := newSharing(terms.Generation, int(terms.Members), commitments)
	if err != nil {
		return nil, nil, err
	}
	g := &Grant{owner: k.id, t: k.t, id: terms.ID, recipient: bytes.Clone(to.Description()), condition: terms.Conditions, sharing: sharing}
	g.context = g.computeContext()

	q := k.id.typed(k.t).point()
	half := k.d.Sub(polynomial[0].MulG2(q)).Bytes()
	defer clear(half[:])
	if g.sealed, err = to.SealHalf(half[:], g.context); err != nil {
		return nil, nil, fmt.Errorf("seal grant: %w", err)
	}
	if len(g.sealed) > maxDescription {
		return nil, nil, &FormatError{"sealed half", "limit"}
	}
	shares := make([]*Share, terms.Members)
	for i := range shares {
		index := uint8(i + 1)
		shares[i] = &Share{terms.Generation, index, pairing.EvaluateSecret(polynomial, index)}
	}
	return g, shares, nil
}

func (k *PrivateKey) checkTerms(terms Terms, to Recipient) error {
	if k.d.IsIdentity() {
		return ErrErased
	}
	if to == nil || len(to.Description()) == 0 {
		return &FormatError{"recipient", "field"}
	}
	if len(to.Description()) > maxDescription {
		return &FormatError{"recipient", "limit"}
	}
	if err := checkName("grant id", terms.ID); err != nil {
		return err
	}
	if k.t == inbox || (k.t == "") != terms.Everything {
		return &FormatError{"grant type", "field"}
	}
	if k.id.SelfCustody() && !to.SelfCustody() && !terms.Expose {
		return ErrExposed
	}
	return nil
}

// computeContext hashes everything that stays fixed for the life of the grant,
// the first generation's commitments included. The grant's id, its recipient
// and its context survive every reshare.
func (g *Grant) computeContext() [32]byte {
	w := new(wire.Writer)
	g.writeTerms(w)
	return wire.Hash(string(pairing.DSTGrantContext), w.Sum())
}

func (g *Grant) writeTerms(w *wire.Writer) {
	g.owner.write(w)
	w.String(string(g.t))
	w.String(g.id)
	w.Bytes(g.recipient)
	w.Raw(g.condition[:])
	g.sharing.write(w)
}

// ParseGrant reads what [Grant.Bytes] wrote. It accepts exactly t commitments,
// none of them, and no member's public share, the identity.
func ParseGrant(b []byte) (*Grant, error) {
	r := wire.NewReader(grantName, b)
	g := &Grant{owner: readIdentity(r), t: Type(r.String(maxType)), id: r.String(maxName), recipient: bytes.Clone(r.Bytes(maxDescription))}
	copy(g.condition[:], r.Raw(len(g.condition)))
	g.sharing = readSharing(r)
	g.sealed = bytes.Clone(r.Bytes(maxDescription))
	if _, err := ParseType(string(g.t)); err != nil {
		r.Fail(err)
	}
	if err := checkName("grant id", g.id); err != nil {
		r.Fail(err)
	}
	if len(g.recipient) == 0 {
		r.Fail(&FormatError{"recipient", "field"})
	}
	if err := finish("grant", r); err != nil {
		return nil, err
	}
	g.context = g.computeContext()
	return g, nil
}

// Bytes returns the encoding: owner, type, id, recipient, conditions, sharing,
// sealed half.
func (g *Grant) Bytes() []byte {
	w := wire.NewWriter(grantName)
	g.writeTerms(w)
	w.Bytes(g.sealed)
	return w.Sum()
}

// Check returns [ErrShares] unless the grant was dealt to the members of the
// authority's sharing, with its threshold, in its generation. A chain checks it
// before it takes a grant: with fewer commitments every share would be w₀
// itself, with more the members could not combine.
func (g *Grant) Check(authority *Sharing) error {
	s := g.sharing
	if s.generation != authority.generation || len(s.members) != len(authority.members) || len(s.commitments) != len(authority.commitments) {
		return ErrShares
	}
	return nil
}

// ID returns the grant's id on the chain.
func (g *Grant) ID() string { return g.id }

// Owner returns whose records the grant opens, with the key version and epoch
// it is for.
func (g *Grant) Owner() Identity { return g.owner }

// Type returns the type at whose root the grant opens.
func (g *Grant) Type() Type { return g.t }

// Recipient returns the description of the recipient, as [Recipient] gave it.
func (g *Grant) Recipient() []byte { return bytes.Clone(g.recipient) }

// Conditions returns the hash of the conditions.
func (g *Grant) Conditions() [32]byte { return g.condition }

// Sharing returns the sharing of w₀ as the owner dealt it.
func (g *Grant) Sharing() *Sharing { return g.sharing }

// Sealed returns the reader's half as it was sealed to the recipient.
func (g *Grant) Sealed() []byte { return bytes.Clone(g.sealed) }

// Context returns the hash to which the sealed half, the sealed shares and every
// proof are bound. It stays the same for the life of the grant.
func (g *Grant) Context() [32]byte { return g.context }

// covers returns the level at which the grant opens the record.
func (g *Grant) covers(r *Record) (int, error) {
	level := g.t.level(r.header.Type)
	if level < 0 || !g.owner.equal(r.header.Owner) {
		return 0, ErrNotCovered
	}
	return level, nil
}

// current checks what can be checked here of a sharing that is said to be the
// grant's: that it is of the same secret, and the dealt one if it is of the first
// generation.
func (g *Grant) current(s *Sharing) error {
	if s == nil || !s.Key().Equal(g.sharing.Key()) {
		return ErrShares
	}
	if s.generation == g.sharing.generation && !bytes.Equal(s.Bytes(), g.sharing.Bytes()) {
		return ErrShares
	}
	return nil
}

// Open opens the reader's half with an inbox key and checks it. It returns
// [ErrDecrypt] if the grant was not sealed to this key, and a [*DealerError] if
// what was sealed does not match the grant.
func (g *Grant) Open(key *PrivateKey) (*Delegation, error) {
	half, err := key.openHalf(g.sealed, g.context)
	if err != nil {
		return nil, err
	}
	defer clear(half)
	return g.Accept(half)
}

// Accept checks a reader's half that was opened by other means, such as an
// attribute key: e(g1, E) = e(P' − A₀, Q). It returns a [*DealerError] with the
// half as evidence if it does not match.
func (g *Grant) Accept(half []byte) (*Delegation, error) {
	e, err := pairing.ParseG2(half)
	if err != nil {
		return nil, &DealerError{bytes.Clone(half)}
	}
	q := g.owner.typed(g.t).point()
	if !pairing.PairingsEqual(pairing.GeneratorG1(), e, g.owner.Key.g.Sub(g.sharing.commitments[0]), q) {
		return nil, &DealerError{bytes.Clone(half)}
	}
	return &Delegation{grant: g, half: e.Prepare(), q: q.Prepare()}, nil
}
