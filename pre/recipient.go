package pre

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// Recipient is whom a grant is made to: an [Identity], or a policy over
// attributes.
type Recipient interface {
	// Description names the recipient in at most 64 KiB, behind the name and
	// version of its format, as "ward/identity/v1" and a newline. It is bound
	// into the grant, and the chain tells by it whom the grant is for.
	Description() []byte

	// SelfCustody reports whether opening what SealHalf sealed takes a
	// secret that neither the members nor any other authority can compute.
	SelfCustody() bool

	// SealHalf seals the 96 secret bytes of the reader's half, bound to the
	// grant's context.
	SealHalf(half []byte, context [32]byte) ([]byte, error)
}

// Description returns the encoding of the identity: chain, name, version, epoch
// and key. [ParseIdentity] reads it.
func (id Identity) Description() []byte {
	w := wire.NewWriter(identityName)
	id.write(w)
	return w.Sum()
}

// SealHalf seals 96 bytes to the identity's inbox: Boneh–Franklin with the
// Fujisaki–Okamoto transform, 144 bytes. The scalar is a hash of the plaintext,
// so anyone who is shown the half can check what was sealed
// ([Identity.CheckHalf]).
func (id Identity) SealHalf(half []byte, context [32]byte) ([]byte, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	if len(half) != pairing.G2Size {
		return nil, &FormatError{"half", "length"}
	}
	rho := sealScalar(half, context)
	s := pairing.MulGenerator(rho)
	k := pairing.Pair(id.Key.g, id.typed(inbox).point()).Exp(rho)
	return sealedHalf(s, half, k, id, context)
}

// CheckHalf reports whether sealed is what SealHalf makes of half: the check of
// the evidence in a [DealerError].
func (id Identity) CheckHalf(sealed, half []byte, context [32]byte) bool {
	again, err := id.SealHalf(half, context)
	return err == nil && subtle.ConstantTimeCompare(sealed, again) == 1
}

func sealScalar(half []byte, context [32]byte) pairing.Scalar {
	input := make([]byte, 0, len(half)+len(context))
	defer clear(input[:cap(input)])
	return pairing.HashToScalar(pairing.DSTGrantSealScalar, append(append(input, half...), context[:]...))
}

// sealedHalf returns S ‖ (half ⊕ mask).
func sealedHalf(s pairing.G1, half []byte, k pairing.GT, id Identity, context [32]byte) ([]byte, error) {
	mask, err := sealMask(s, k, id, context)
	if err != nil {
		return nil, err
	}
	subtle.XORBytes(mask, mask, half)
	b := s.Bytes()
	return append(b[:], mask...), nil
}

func sealMask(s pairing.G1, k pairing.GT, id Identity, context [32]byte) ([]byte, error) {
	var w wire.Writer
	w.String(string(pairing.DSTGrantSeal))
	w.Bytes(id.typed(inbox).bytes())
	w.Raw(id.Key.Bytes())
	pairing.WriteG1(&w, s)
	w.Raw(context[:])
	secret := k.Bytes()
	defer clear(secret[:])
	return hkdf.Key(sha256.New, secret[:], nil, string(w.Sum()), pairing.G2Size)
}

// openHalf opens what SealHalf sealed to the key's identity.
func (k *PrivateKey) openHalf(sealed []byte, context [32]byte) ([]byte, error) {
	if k.d.IsIdentity() {
		return nil, ErrErased
	}
	if len(sealed) != pairing.G1Size+pairing.G2Size {
		return nil, ErrDecrypt
	}
	s, err := pairing.ParseG1(sealed[:pairing.G1Size])
	if err != nil {
		return nil, ErrDecrypt
	}
	mask, err := sealMask(s, pairing.Pair(s, k.d), k.id, context)
	if err != nil {
		return nil, ErrDecrypt
	}
	half := mask
	subtle.XORBytes(half, mask, sealed[pairing.G1Size:])
	if !pairing.MulGenerator(sealScalar(half, context)).Equal(s) {
		clear(half)
		return nil, ErrDecrypt
	}
	return half, nil
}
