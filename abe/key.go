package abe

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"

	"github.com/ward-health/ward/internal/wire"
)

var holderPattern = regexp.MustCompile(`^[!-~]{1,128}$`)

// Key is one person's attributes at one authority in one epoch. It opens what
// was sealed to policies that the attributes satisfy, and is that person's
// secret.
type Key struct {
	authority  *Authority
	holder     string
	attributes Attributes
	secret     *tkn20.AttributeKey
}

// ParseKey reads what [Key.Bytes] wrote. It checks every length, label and
// point; that the key works is for [Key.Check].
func ParseKey(b []byte) (*Key, error) {
	const what = "attribute key"
	r := wire.NewReader(keyFormat, b)
	authority := r.Bytes(maxCatalogue + 2*maxPublic)
	holder := r.String(maxHolder)
	text := r.String(maxText)
	encoded := r.Bytes(maxKey)
	if err := finish(what, r); err != nil {
		return nil, err
	}
	if !holderPattern.MatchString(holder) {
		return nil, &FormatError{what, "field"}
	}
	attributes, err := ParseAttributes(text)
	if err != nil {
		return nil, &FormatError{what, "field"}
	}
	if attributes.String() != text {
		return nil, &FormatError{what, "canonical"}
	}
	a, err := ParseAuthority(authority)
	if err != nil {
		return nil, malformed(what, err)
	}
	if a.catalogue.Check(attributes) != nil {
		return nil, &FormatError{what, "field"}
	}
	secret, err := parseAttributeKey(encoded, a.labels(attributes))
	if err != nil {
		return nil, err
	}
	return &Key{a, holder, attributes, &secret}, nil
}

// Bytes returns the encoding, which is as secret as the key: authority, holder,
// attributes, tkn20's key. It returns nil if the key was erased.
func (k *Key) Bytes() []byte {
	if k.secret == nil {
		return nil
	}
	var secret []byte
	if err := guard(func() (err error) { secret, err = k.secret.MarshalBinary(); return }); err != nil {
		return nil
	}
	defer clear(secret)
	w := wire.NewWriter(keyFormat)
	w.Bytes(k.authority.encoded)
	w.String(k.holder)
	w.String(k.attributes.String())
	w.Bytes(secret)
	return w.Sum()
}

// Check returns a [*FormatError] unless the key has every attribute that it says
// it has: it seals something to all of them and opens it. Who is issued a key
// does well to check it once; that takes about 5 ms for each unit of the
// catalogue's size.
func (k *Key) Check() error {
	if k.secret == nil {
		return ErrErased
	}
	labels := k.authority.labels(k.attributes)
	for some := range slices.Chunk(slices.Sorted(maps.Keys(labels)), 64) {
		var all []*gate
		for _, l := range some {
			all = append(all, &gate{leaf: &leaf{l, labels[l], false}})
		}
		if !opens(k.authority.public, k.secret, allOf(all)) {
			return &FormatError{"attribute key", "pair"}
		}
	}
	return nil
}

// Erase forgets the secret. See the package's warning.
func (k *Key) Erase() { k.secret = nil }

// Format prints whose key it is, never the key.
func (k Key) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "attribute key of %s at %s, epoch %d", k.holder, k.authority.name, k.authority.epoch)
}

// Authority returns the authority that issued the key, in the key's epoch.
func (k *Key) Authority() *Authority { return k.authority }

// Holder returns whom the key was issued to.
func (k *Key) Holder() string { return k.holder }

// Attributes returns what the key says of its holder.
func (k *Key) Attributes() Attributes { return k.attributes }

// OpenHalf opens what [Recipient.SealHalf] sealed with this context to the
// recipient of this description. The 96 bytes are for pre's Grant.Accept.
//
// A policy that is not for this key is refused by what everyone can see:
// [ErrOtherAuthority], [*EpochError], [ErrNotSatisfied]. All else is
// [ErrDecrypt].
func (k *Key) OpenHalf(description, sealed []byte, context [32]byte) ([]byte, error) {
	if k.secret == nil {
		return nil, ErrErased
	}
	audience, err := ParseAudience(description)
	if err != nil {
		return nil, err
	}
	position := slices.IndexFunc(audience.refs, func(r Ref) bool { return r.Name == k.authority.name })
	if position < 0 {
		return nil, ErrOtherAuthority
	}
	ref := audience.refs[position]
	if ref.Epoch != k.authority.epoch {
		return nil, &EpochError{ref.Name, k.authority.epoch, ref.Epoch}
	}
	if ref.ID != k.authority.id {
		return nil, ErrOtherAuthority
	}
	part := audience.parts[ref.Name]
	if !part.evaluate(k.attributes.in(ref.Name)) {
		return nil, ErrNotSatisfied
	}
	seals, err := parseSealed(sealed, len(audience.refs))
	if err != nil {
		return nil, ErrDecrypt
	}
	c, err := k.authority.compile(part)
	if err != nil {
		return nil, ErrDecrypt
	}
	return c.open(k.secret, seals[position], ref.ID, context)
}
