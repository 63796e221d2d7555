package pre

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const (
	transportKeyName = "ward/transport-key/v1"
	transportKeySize = 32
)

// TransportKey receives what is sealed on its way through the consortium:
// partial keys, shares of grants, answers to an access. It is an HPKE key (RFC
// 9180) in the suite DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305.
// A reader makes a fresh one for every access and erases it afterwards.
type TransportKey struct{ secret [transportKeySize]byte }

// GenerateTransportKey returns a fresh key.
func GenerateTransportKey() (*TransportKey, error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	b := k.Bytes()
	defer clear(b)
	return &TransportKey{[transportKeySize]byte(b)}, nil
}

// ParseTransportKey reads what [TransportKey.Bytes] wrote.
func ParseTransportKey(b []byte) (*TransportKey, error) {
	r := wire.NewReader(transportKeyName, b)
	raw := r.Raw(transportKeySize)
	if err := finish("transport key", r); err != nil {
		return nil, err
	}
	k := &TransportKey{[transportKeySize]byte(raw)}
	if k.erased() {
		return nil, &FormatError{"transport key", "zero"}
	}
	return k, nil
}

// Bytes returns the encoding, 32 secret bytes behind its name.
func (k *TransportKey) Bytes() []byte {
	w := wire.NewWriter(transportKeyName)
	w.Raw(k.secret[:])
	return w.Sum()
}

// Erase overwrites the secret. Later uses return [ErrErased].
func (k *TransportKey) Erase() { clear(k.secret[:]) }

func (k *TransportKey) erased() bool { return k.secret == [transportKeySize]byte{} }

// Format prints what it is, never the secret.
func (k TransportKey) Format(f fmt.State, _ rune) { io.WriteString(f, "transport key") }

// Public returns the 32 bytes to which others seal, or nil once erased.
func (k *TransportKey) Public() []byte {
	key, err := ecdh.X25519().NewPrivateKey(k.secret[:])
	if err != nil || k.erased() {
		return nil
	}
	return key.PublicKey().Bytes()
}

// Seal seals the answer to the requester that the access names, bound to the
// access, the member and the generation.
func (ans *Answer) Seal(a *Access) ([]byte, error) {
	return sealTo(a.Requester, pairing.DSTFragmentSeal, partData(a.ID, ans.index, ans.generation), ans.Bytes())
}

// OpenAnswer opens what a member sealed for the access; from and generation are
// the member's number and the generation it answers for.
func (k *TransportKey) OpenAnswer(sealed []byte, a *Access, from uint8, generation uint32) (*Answer, error) {
	b, err := k.open(pairing.DSTFragmentSeal, partData(a.ID, from, generation), sealed)
	if err != nil {
		return nil, err
	}
	ans, err := ParseAnswer(b)
	if err != nil || ans.index != from || ans.generation != generation {
		return nil, ErrDecrypt
	}
	return ans, nil
}

// partData binds a member's part to the request it answers. Nothing in it
// proves who sealed: the node that carries a part signs for it.
func partData(request [32]byte, index uint8, generation uint32) []byte {
	return binary.BigEndian.AppendUint32(append(request[:], index), generation)
}

// Seal seals a member's share of the grant to the member's public transport key.
func (s *Share) Seal(to []byte, g *Grant) ([]byte, error) {
	if s.secret.IsZero() {
		return nil, ErrErased
	}
	b := s.Bytes()
	defer clear(b)
	return sealTo(to, pairing.DSTGrantShare, shareData(g, s.index), b)
}

// OpenShare opens member's share of the grant and checks it against the grant's
// commitments. It returns [ErrDecrypt], or [ErrProof] if the share is wrong.
func (k *TransportKey) OpenShare(sealed []byte, g *Grant, member uint8) (*Share, error) {
	b, err := k.open(pairing.DSTGrantShare, shareData(g, member), sealed)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	s, err := ParseShare(b)
	if err != nil || s.index != member || s.generation != g.sharing.generation {
		return nil, ErrDecrypt
	}
	if err := s.Check(g.sharing); err != nil {
		return nil, err
	}
	return s, nil
}

func shareData(g *Grant, index uint8) []byte {
	return append(g.context[:len(g.context):len(g.context)], index)
}

// Seal seals a partial key to the transport key of a committed request, bound to
// the request's id, the member and the generation.
func (p *PartialKey) Seal(to []byte, request [32]byte) ([]byte, error) {
	b := p.Bytes()
	defer clear(b)
	return sealTo(to, pairing.DSTPartialKey, partData(request, p.index, p.generation), b)
}

// OpenPartialKey opens a partial key sealed for the request; from and generation
// are the member's number and the generation it answers for.
func (k *TransportKey) OpenPartialKey(sealed []byte, request [32]byte, from uint8, generation uint32) (*PartialKey, error) {
	b, err := k.open(pairing.DSTPartialKey, partData(request, from, generation), sealed)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	p, err := ParsePartialKey(b)
	if err != nil || p.index != from || p.generation != generation {
		return nil, ErrDecrypt
	}
	return p, nil
}

// sealTo returns the encapsulated key, 32 bytes, and the ciphertext.
func sealTo(to []byte, info pairing.DST, data, plaintext []byte) ([]byte, error) {
	pub, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(to)
	if err != nil {
		return nil, &FormatError{"transport key", "field"}
	}
	enc, s, err := hpke.NewSender(pub, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(info))
	if err != nil {
		return nil, &FormatError{"transport key", "field"}
	}
	ct, err := s.Seal(data, plaintext)
	if err != nil {
		return nil, err
	}
	return append(enc, ct...), nil
}

func (k *TransportKey) open(info pairing.DST, data, sealed []byte) ([]byte, error) {
	if k.erased() {
		return nil, ErrErased
	}
	if len(sealed) < transportKeySize {
		return nil, ErrDecrypt
	}
	key, err := ecdh.X25519().NewPrivateKey(k.secret[:])
	if err != nil {
		return nil, ErrDecrypt
	}
	priv, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, ErrDecrypt
	}
	r, err := hpke.NewRecipient(sealed[:transportKeySize], priv, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(info))
	if err != nil {
		return nil, ErrDecrypt
	}
	b, err := r.Open(data, sealed[transportKeySize:])
	if err != nil {
		return nil, ErrDecrypt
	}
	return b, nil
}
