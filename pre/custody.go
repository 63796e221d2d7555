package pre

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const (
	custodyKeyName   = "ward/custody-key/v1"
	custodyProofName = "ward/custody-proof/v1"
)

// CustodyKey is the secret x of an identity in self-custody. What is sealed to
// P' = P + x·g1 opens only with it and t members together.
type CustodyKey struct{ x *pairing.Secret }

// GenerateCustodyKey returns a fresh key.
func GenerateCustodyKey() (*CustodyKey, error) {
	x, err := pairing.GenerateSecret(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &CustodyKey{x}, nil
}

// ParseCustodyKey reads what [CustodyKey.Bytes] wrote.
func ParseCustodyKey(b []byte) (*CustodyKey, error) {
	r := wire.NewReader(custodyKeyName, b)
	raw := r.Raw(pairing.ScalarSize)
	if err := finish("custody key", r); err != nil {
		return nil, err
	}
	x, err := pairing.ParseSecret(raw)
	if err != nil {
		return nil, malformed("custody key", err)
	}
	return &CustodyKey{x}, nil
}

// Bytes returns the encoding, 32 secret bytes behind its name.
func (c *CustodyKey) Bytes() []byte {
	w := wire.NewWriter(custodyKeyName)
	b := c.x.Reveal()
	w.Raw(b[:])
	clear(b[:])
	return w.Sum()
}

// Erase overwrites the secret. Later uses return [ErrErased].
func (c *CustodyKey) Erase() { c.x.Erase() }

// Format prints what it is, never the secret.
func (c CustodyKey) Format(f fmt.State, _ rune) { io.WriteString(f, "custody key") }

// Prove returns X = x·g1 with a proof of possession bound to the chain, the name
// and the key version it is to be registered as. Version is at least 1.
func (c *CustodyKey) Prove(chain, name string, version uint32) ([]byte, error) {
	return c.prove(rand.Reader, chain, name, version)
}

func (c *CustodyKey) prove(random io.Reader, chain, name string, version uint32) ([]byte, error) {
	if err := checkName("chain id", chain); err != nil {
		return nil, err
	}
	if err := checkName("identity", name); err != nil {
		return nil, err
	}
	if version == 0 {
		return nil, &FormatError{"custody proof", "field"}
	}
	if c.x.IsZero() {
		return nil, ErrErased
	}
	g1 := pairing.GeneratorG1ConstantTime()
	x := g1.Mul(c.x)
	statement := custodyStatement(chain, name, version, x)
	k, err := hedgedNonce(random, pairing.DSTCustodyNonce, c.x, statement)
	if err != nil {
		return nil, err
	}
	defer k.Erase()
	challenge := custodyChallenge(statement, g1.Mul(k))
	z := k.Add(c.x.Mul(pairing.SecretFrom(challenge))).Publish()
	w := wire.NewWriter(custodyProofName)
	pairing.WriteG1(w, x)
	writeScalar(w, challenge)
	writeScalar(w, z)
	return w.Sum(), nil
}

// SelfCustody checks a proof by [CustodyKey.Prove] and returns the identity's
// key P' = P + X, where k is the authority's P. It returns [ErrProof] for a proof
// made for anything else, and a [FormatError] for X = −P.
func (k PublicKey) SelfCustody(chain, name string, version uint32, proof []byte) (PublicKey, error) {
	r := wire.NewReader(custodyProofName, proof)
	x, challenge, z := pairing.ReadG1(r), readScalar(r), readScalar(r)
	if err := finish("custody proof", r); err != nil {
		return PublicKey{}, err
	}
	if version == 0 || k.g.IsIdentity() {
		return PublicKey{}, &FormatError{"custody proof", "field"}
	}
	commitment := pairing.MulGenerator(z).Sub(x.Mul(challenge))
	if !custodyChallenge(custodyStatement(chain, name, version, x), commitment).Equal(challenge) {
		return PublicKey{}, ErrProof
	}
	sum := k.g.Add(x)
	if sum.IsIdentity() {
		return PublicKey{}, &FormatError{"custody proof", "identity"}
	}
	return PublicKey{sum}, nil
}

func custodyStatement(chain, name string, version uint32, x pairing.G1) []byte {
	var w wire.Writer
	w.String(chain)
	w.String(name)
	w.Uint32(version)
	pairing.WriteG1(&w, x)
	return w.Sum()
}

func custodyChallenge(statement []byte, commitment pairing.G1) pairing.Scalar {
	w := new(wire.Writer)
	w.Bytes(statement)
	pairing.WriteG1(w, commitment)
	return pairing.HashToScalar(pairing.DSTCustodyProof, w.Sum())
}

// Complete turns the authority's key D for an identity into D' = D + x·Q, the
// key of that identity in self-custody under id.Key. It returns [ErrProof] if x
// is not the secret behind id.Key, and [ErrNotCovered] if d is another's key.
func (c *CustodyKey) Complete(d *PrivateKey, id Identity) (*PrivateKey, error) {
	if d.id.Chain != id.Chain || d.id.Name != id.Name || d.id.Epoch != id.Epoch || d.id.SelfCustody() || !id.SelfCustody() {
		return nil, ErrNotCovered
	}
	if c.x.IsZero() || d.d.IsIdentity() {
		return nil, ErrErased
	}
	k := &PrivateKey{id, d.t, d.d.Add(c.x.MulG2(id.typed(d.t).point()))}
	if err := k.check(); err != nil {
		return nil, err
	}
	return k, nil
}

// hedgedNonce derives a nonce from the secret it will mask, the statement and
// 32 random bytes: a broken generator repeats no nonce for another statement, a
// good one makes every nonce fresh.
func hedgedNonce(random io.Reader, tag pairing.DST, secret *pairing.Secret, statement []byte) (*pairing.Secret, error) {
	var fresh [32]byte
	if _, err := io.ReadFull(random, fresh[:]); err != nil {
		return nil, err
	}
	b := secret.Reveal()
	defer clear(b[:])
	// Of full size at once: a buffer that grows leaves the secret behind.
	input := make([]byte, 0, len(b)+len(fresh)+4+len(statement))
	defer clear(input[:cap(input)])
	input = append(append(input, b[:]...), fresh[:]...)
	input = append(binary.BigEndian.AppendUint32(input, uint32(len(statement))), statement...)
	return pairing.HashToSecret(tag, input), nil
}

func writeScalar(w *wire.Writer, s pairing.Scalar) {
	b := s.Bytes()
	w.Raw(b[:])
}
