package abe

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/internal/wire"
)

const (
	audienceFormat = "ward/policy/v1"
	sealedFormat   = "ward/policy-seal/v1"

	halfSize  = 96
	bodySize  = halfSize + chacha20poly1305.Overhead
	maxSealed = 1 << 16 // what a grant takes

	// maxRefs is how many authorities a policy may name.
	maxRefs = 16

	// tagSeal is pairing.DSTAttributeSeal, written out because this package
	// imports no curve.
	tagSeal = "WARD-V1-ABE-SEAL"
)

// Audience is whom a grant to a policy is for: the policy and, for each
// authority that it names, the epoch and the id. Anyone can read it.
type Audience struct {
	policy *Policy
	refs   []Ref            // sorted by name: exactly those in the policy
	parts  map[string]*node // by authority
}

func newAudience(p *Policy, refs []Ref) (*Audience, error) {
	parts, err := p.split()
	if err != nil {
		return nil, err
	}
	names := p.Authorities()
	if len(names) != len(refs) || len(refs) > maxRefs {
		return nil, ErrOtherAuthority
	}
	for i, r := range refs {
		if r.Name != names[i] || r.Name == "" {
			return nil, ErrOtherAuthority
		}
	}
	return &Audience{p, refs, parts}, nil
}

// ParseAudience reads what [Recipient.Description] wrote.
func ParseAudience(b []byte) (*Audience, error) {
	const what = "policy"
	r := wire.NewReader(audienceFormat, b)
	text := r.String(maxText)
	refs := make([]Ref, min(r.Uint8(), maxRefs+1))
	for i := range refs {
		refs[i].Name = r.String(64)
		refs[i].Epoch = r.Uint64()
		copy(refs[i].ID[:], r.Raw(32))
	}
	if err := finish(what, r); err != nil {
		return nil, err
	}
	p, err := ParsePolicy(text)
	if err != nil {
		return nil, &FormatError{what, "field"}
	}
	if p.String() != text {
		return nil, &FormatError{what, "canonical"}
	}
	a, err := newAudience(p, refs)
	if err != nil {
		return nil, &FormatError{what, "field"}
	}
	return a, nil
}

// Bytes returns the encoding: the policy's canonical text, and name, epoch and
// id of each authority, sorted by name.
func (a *Audience) Bytes() []byte {
	w := wire.NewWriter(audienceFormat)
	w.String(a.policy.String())
	w.Uint8(uint8(len(a.refs)))
	for _, r := range a.refs {
		w.String(r.Name)
		w.Uint64(r.Epoch)
		w.Raw(r.ID[:])
	}
	return w.Sum()
}

// Policy returns the policy. Every attribute in it names its authority.
func (a *Audience) Policy() *Policy { return a.policy }

// Authorities returns the authorities that the policy names, sorted by name.
func (a *Audience) Authorities() []Ref { return slices.Clone(a.refs) }

// Recipient is an [Audience] that something can be sealed to. It is a Recipient
// of package pre.
type Recipient struct {
	audience *Audience
	seals    []target // in the order of the audience's authorities
}

// target is one authority with its part of the policy.
type target struct {
	authority *Authority
	condition *compiled
}

// NewRecipient makes a recipient of a policy over attributes of these
// authorities, each of which it must name. If there is only one authority, the
// policy's attributes need not name it.
//
// Attributes of several authorities may be joined only by "or", at the top or
// below other "or"s: each authority's part is sealed on its own. A
// [*SyntaxError] points at what cannot be; [ErrOtherAuthority] says that policy
// and authorities do not match.
func NewRecipient(p *Policy, authorities ...*Authority) (*Recipient, error) {
	if len(authorities) == 1 {
		// Columns in errors are those of the policy as it was given.
		p = &Policy{p.root.in(authorities[0].name)}
		if len(p.String()) > maxText {
			return nil, &SyntaxError{"policy", 1, fmt.Sprintf("longer than %d bytes with the authority's name", maxText)}
		}
	}
	sorted := slices.SortedFunc(slices.Values(authorities), func(a, b *Authority) int { return strings.Compare(a.name, b.name) })
	var refs []Ref
	for _, a := range sorted {
		refs = append(refs, a.Ref())
	}
	audience, err := newAudience(p, refs)
	if err != nil {
		return nil, err
	}
	r := &Recipient{audience: audience}
	size := len(sealedFormat) + 2
	for _, a := range sorted {
		c, err := a.compile(audience.parts[a.name])
		if err != nil {
			return nil, err
		}
		r.seals = append(r.seals, target{a, c})
		size += 4 + c.sizes().all + bodySize
	}
	if size > maxSealed {
		return nil, &SyntaxError{"policy", 1, fmt.Sprintf("compiles to %d bytes, the limit is %d", size, maxSealed)}
	}
	return r, nil
}

// Audience returns whom the recipient stands for.
func (r *Recipient) Audience() *Audience { return r.audience }

// Description returns the audience's encoding. [ParseAudience] reads it.
func (r *Recipient) Description() []byte { return r.audience.Bytes() }

// SelfCustody returns false: an authority can issue itself any key.
func (r *Recipient) SelfCustody() bool { return false }

// SealHalf seals 96 bytes, bound to a context, to whoever satisfies the policy.
// The size of what it returns follows from the policy.
func (r *Recipient) SealHalf(half []byte, context [32]byte) ([]byte, error) {
	return r.sealHalf(rand.Reader, half, context)
}

func (r *Recipient) sealHalf(random io.Reader, half []byte, context [32]byte) ([]byte, error) {
	if len(half) != halfSize {
		return nil, &FormatError{"half", "length"}
	}
	w := wire.NewWriter(sealedFormat)
	w.Uint8(uint8(len(r.seals)))
	for _, t := range r.seals {
		s, err := t.seal(random, half, context)
		if err != nil {
			return nil, fmt.Errorf("seal to policy: %w", err)
		}
		w.Bytes(s.kem)
		w.Raw(s.body)
	}
	return w.Sum(), nil
}

// seal is what is sealed to one authority's part of a policy.
type seal struct{ kem, body []byte }

func parseSealed(b []byte, count int) ([]seal, error) {
	r := wire.NewReader(sealedFormat, b)
	if n := int(r.Uint8()); n != count {
		r.Fail(&FormatError{"sealed half", "field"})
	}
	seals := make([]seal, count)
	for i := range seals {
		seals[i] = seal{r.Bytes(maxSealed), r.Raw(bodySize)}
	}
	return seals, finish("sealed half", r)
}

func (t target) seal(random io.Reader, half []byte, context [32]byte) (seal, error) {
	secret, kem, err := t.condition.encapsulate(random, t.authority.public)
	if err != nil {
		return seal{}, err
	}
	defer clear(secret)
	aead, err := bodyKey(secret, kem, t.authority.id, context)
	if err != nil {
		return seal{}, err
	}
	return seal{kem, aead.seal(half)}, nil
}

// open opens a seal with a key that satisfies its policy.
func (c *compiled) open(key *tkn20.AttributeKey, s seal, id, context [32]byte) ([]byte, error) {
	secret, err := c.decapsulate(key, s.kem)
	if err != nil {
		return nil, ErrDecrypt
	}
	defer clear(secret)
	aead, err := bodyKey(secret, s.kem, id, context)
	if err != nil {
		return nil, ErrDecrypt
	}
	return aead.open(s.body)
}

// encapsulate makes 32 random bytes and seals them to the condition.
func (c *compiled) encapsulate(random io.Reader, public tkn20.PublicKey) (secret, sealed []byte, err error) {
	secret = make([]byte, kemSize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, nil, err
	}
	err = guard(func() (err error) {
		sealed, err = public.Encrypt(random, c.policy, secret)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	// What we would not open we do not send.
	if err := c.checkCiphertext(sealed); err != nil {
		return nil, nil, err
	}
	return secret, sealed, nil
}

// decapsulate opens what encapsulate sealed to the same condition.
func (c *compiled) decapsulate(key *tkn20.AttributeKey, sealed []byte) (secret []byte, err error) {
	if err := c.checkCiphertext(sealed); err != nil {
		return nil, err
	}
	err = guard(func() (err error) {
		secret, err = key.Decrypt(sealed)
		return err
	})
	return secret, err // of kemSize bytes, as the envelope has the size for it
}

// body seals and opens once under a key of its own.
type body struct {
	key  []byte
	data []byte
}

// bodyKey derives the key. Its nonce is zero because the key is used once: it
// comes from 32 fresh random bytes.
func bodyKey(secret, kem []byte, id, context [32]byte) (*body, error) {
	sum := sha256.Sum256(kem)
	w := new(wire.Writer)
	w.String(tagSeal)
	w.Raw(context[:])
	w.Raw(id[:])
	w.Raw(sum[:])
	key, err := hkdf.Key(sha256.New, secret, nil, string(w.Sum()), chacha20poly1305.KeySize)
	return &body{key, slices.Concat(context[:], id[:])}, err
}

func (b *body) seal(plain []byte) []byte {
	defer clear(b.key)
	aead, err := chacha20poly1305.New(b.key)
	if err != nil {
		panic(err) // the key has the right size
	}
	return aead.Seal(nil, make([]byte, aead.NonceSize()), plain, b.data)
}

func (b *body) open(sealed []byte) ([]byte, error) {
	defer clear(b.key)
	aead, err := chacha20poly1305.New(b.key)
	if err != nil {
		return nil, ErrDecrypt
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), sealed, b.data)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plain, nil
}
