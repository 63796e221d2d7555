package pre

import (
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const identityName = "ward/identity/v1"

// PublicKey is a key in G1: an authority's P, a custody key X, or an identity's
// P' = P + X. The zero value is not a key.
type PublicKey struct{ g pairing.G1 }

// ParsePublicKey reads 48 bytes: a compressed point of the subgroup, not the
// identity.
func ParsePublicKey(b []byte) (PublicKey, error) {
	g, err := pairing.ParseG1(b)
	if err != nil {
		return PublicKey{}, malformed("public key", err)
	}
	return PublicKey{g}, nil
}

// Bytes returns the 48-byte encoding.
func (k PublicKey) Bytes() []byte {
	b := k.g.Bytes()
	return b[:]
}

// Equal reports whether k and o are the same key.
func (k PublicKey) Equal(o PublicKey) bool { return k.g.Equal(o.g) }

// Identity is a party of a consortium as others need to know it: to write
// records for an owner, or to seal a grant to a reader.
type Identity struct {
	Chain string // the consortium's chain id
	Name  string // the handle, such as "p-7f3a@north"

	// Version is 0 while the consortium's authority alone extracts the
	// identity's keys, so that Key is the authority's; in self-custody it
	// counts the custody keys registered so far.
	Version uint32

	// Epoch is the identity's counter. Raising it puts later records out of
	// the reach of earlier keys and grants.
	Epoch uint64

	Key PublicKey
}

// SelfCustody reports whether opening what is sealed to id takes a secret that
// only its holder has.
func (id Identity) SelfCustody() bool { return id.Version > 0 }

// check returns a FormatError unless every field can occur.
func (id Identity) check() error {
	if err := checkName("chain id", id.Chain); err != nil {
		return err
	}
	if err := checkName("identity", id.Name); err != nil {
		return err
	}
	if id.Key.g.IsIdentity() {
		return &FormatError{"identity", "identity"}
	}
	return nil
}

func (id Identity) write(w *wire.Writer) {
	w.String(id.Chain)
	w.String(id.Name)
	w.Uint32(id.Version)
	w.Uint64(id.Epoch)
	w.Raw(id.Key.Bytes())
}

// ParseIdentity reads what [Identity.Description] wrote.
func ParseIdentity(b []byte) (Identity, error) {
	r := wire.NewReader(identityName, b)
	id := readIdentity(r)
	if err := finish("identity", r); err != nil {
		return Identity{}, err
	}
	return id, nil
}

func readIdentity(r *wire.Reader) Identity {
	id := Identity{Chain: r.String(maxName), Name: r.String(maxName), Version: r.Uint32(), Epoch: r.Uint64()}
	id.Key.g = pairing.ReadG1(r)
	if r.Err() == nil {
		if err := id.check(); err != nil {
			r.Fail(err)
		}
	}
	return id
}

// equal reports whether id and o agree in every field.
func (id Identity) equal(o Identity) bool {
	return id.Chain == o.Chain && id.Name == o.Name && id.Version == o.Version && id.Epoch == o.Epoch && id.Key.Equal(o.Key)
}

// typedID is what hashes to G2: an owner's type in one epoch of one chain.
type typedID struct {
	chain, owner string
	typ          Type
	epoch        uint64
}

func (id Identity) typed(t Type) typedID { return typedID{id.Chain, id.Name, t, id.Epoch} }

func (t typedID) bytes() []byte {
	var w wire.Writer
	w.String(t.chain)
	w.String(t.owner)
	w.String(string(t.typ))
	w.Uint64(t.epoch)
	return w.Sum()
}

// point returns Q, the hash of the typed identity.
func (t typedID) point() pairing.G2 { return pairing.HashToG2(pairing.DSTIdentity, t.bytes()) }

func readG2(r *wire.Reader) pairing.G2 {
	b := r.Raw(pairing.G2Size)
	if b == nil {
		return pairing.G2{}
	}
	g, err := pairing.ParseG2(b)
	if err != nil {
		r.Fail(err)
	}
	return g
}

func readScalar(r *wire.Reader) pairing.Scalar {
	b := r.Raw(pairing.ScalarSize)
	if b == nil {
		return pairing.Scalar{}
	}
	s, err := pairing.ParseScalar(b)
	if err != nil {
		r.Fail(err)
	}
	return s
}

// finish ends a parser: nil if everything was read and nothing is left.
func finish(what string, r *wire.Reader) error {
	err := r.Done()
	if err == nil {
		return nil
	}
	if f, ok := err.(*FormatError); ok {
		return f
	}
	return malformed(what, err)
}
