package abe

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"

	"github.com/ward-health/ward/internal/wire"
)

const (
	authorityFormat = "ward/attribute-authority/v1"
	masterKeyFormat = "ward/attribute-master-key/v1"
	keyFormat       = "ward/attribute-key/v1"

	maxHolder = 128
	maxPublic = 1 << 12 // of tkn20's encodings
	maxSecret = 1 << 11
	maxKey    = 1 << 18

	// tagAuthority is pairing.DSTAttributeAuthority, written out because this package
	// imports no curve.
	tagAuthority = "WARD-V1-ABE-AUTHORITY"
)

// Authority is what an attribute authority publishes for one epoch: everything
// one needs to seal to a policy over its attributes.
//
// An authority begins a new epoch, under the same public key, whenever somebody
// leaves or loses an attribute, and issues new keys to everybody else. What is
// sealed from then on is sealed to the new epoch, and a key of an earlier one
// does not open it, whatever its attributes. Sealers must therefore take the
// Authority from where the consortium certifies the current one.
type Authority struct {
	name      string
	epoch     uint64
	catalogue Catalogue
	public    tkn20.PublicKey
	encoded   []byte
	id        [32]byte
}

// newAuthority takes checked parts. The public key is encoded already.
func newAuthority(name string, epoch uint64, c Catalogue, public tkn20.PublicKey, encoded []byte) *Authority {
	w := wire.NewWriter(authorityFormat)
	w.String(name)
	w.Uint64(epoch)
	w.String(c.String())
	w.Bytes(encoded)
	b := w.Sum()
	return &Authority{name, epoch, c, public, b, wire.Hash(tagAuthority, b)}
}

// ParseAuthority reads what [Authority.Bytes] wrote.
//
// CIRCL cannot tell every element of the target group from what is none. A
// public key that was made to contain the latter does not belong to a master
// key, and gives away what is sealed to it: to its maker, who could as well have
// given away his master key.
func ParseAuthority(b []byte) (*Authority, error) {
	r := wire.NewReader(authorityFormat, b)
	name := r.String(64)
	epoch := r.Uint64()
	text := r.String(maxCatalogue)
	encoded := r.Bytes(maxPublic)
	if err := finish("authority", r); err != nil {
		return nil, err
	}
	if !authorityPattern.MatchString(name) {
		return nil, &FormatError{"authority", "field"}
	}
	c, err := ParseCatalogue(text)
	if err != nil {
		return nil, &FormatError{"authority", "field"}
	}
	if c.String() != text {
		return nil, &FormatError{"authority", "canonical"}
	}
	public, err := parsePublic(encoded)
	if err != nil {
		return nil, malformed("authority", err)
	}
	return newAuthority(name, epoch, c, public, encoded), nil
}

// Bytes returns the encoding: name, epoch, catalogue, public key.
func (a *Authority) Bytes() []byte { return append([]byte(nil), a.encoded...) }

// Ref returns name, epoch and id, which stand for the authority where its
// encoding would be too long.
func (a *Authority) Ref() Ref { return Ref{a.name, a.epoch, a.id} }

// Catalogue returns the attributes that the authority certifies.
func (a *Authority) Catalogue() Catalogue { return a.catalogue }

// Check returns a [*SyntaxError] unless the policy, whose attributes name this
// authority or none, can be sealed to it: the attributes are in its catalogue
// and are compared with what they can be, and the policy is not too large for
// the scheme.
func (a *Authority) Check(p *Policy) error {
	_, err := NewRecipient(p, a)
	return err
}

// Ref names an authority in one epoch.
type Ref struct {
	Name  string
	Epoch uint64
	ID    [32]byte // hash of the authority's encoding, epoch and catalogue included
}

// MasterKey is the secret of an attribute authority. Whoever has it can open
// everything that was ever sealed to a policy over its attributes.
type MasterKey struct {
	name    string
	public  tkn20.PublicKey
	encoded []byte // the public key
	secret  *tkn20.SystemSecretKey
}

// GenerateMasterKey makes the secret of a new authority. Its name is its
// namespace in policies: at most 64 characters of a-z, 0-9, ".", "-".
func GenerateMasterKey(name string) (*MasterKey, error) { return generateMasterKey(rand.Reader, name) }

func generateMasterKey(random io.Reader, name string) (*MasterKey, error) {
	if !authorityPattern.MatchString(name) {
		return nil, &FormatError{"authority", "field"}
	}
	k := &MasterKey{name: name, secret: new(tkn20.SystemSecretKey)}
	err := guard(func() (err error) {
		if k.public, *k.secret, err = tkn20.Setup(random); err != nil {
			return err
		}
		k.encoded, err = k.public.MarshalBinary()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("generate master key: %w", err)
	}
	return k, nil
}

// ParseMasterKey reads what [MasterKey.Bytes] wrote and checks that the public
// key belongs to the secret, by issuing a key and opening with it.
func ParseMasterKey(b []byte) (*MasterKey, error) {
	r := wire.NewReader(masterKeyFormat, b)
	k := &MasterKey{name: r.String(64), encoded: append([]byte(nil), r.Bytes(maxPublic)...)}
	encoded := r.Bytes(maxSecret)
	if err := finish("master key", r); err != nil {
		return nil, err
	}
	if !authorityPattern.MatchString(k.name) {
		return nil, &FormatError{"master key", "field"}
	}
	secret, err := parseSecret(encoded)
	if err != nil {
		return nil, malformed("master key", err)
	}
	k.secret = &secret
	if k.public, err = parsePublic(k.encoded); err != nil {
		return nil, malformed("master key", err)
	}
	trial, err := k.keyGen(rand.Reader, map[string]string{"a": "1"})
	if err != nil || !opens(k.public, &trial, &gate{leaf: &leaf{"a", "1", false}}) {
		return nil, &FormatError{"master key", "pair"}
	}
	return k, nil
}

// opens reports whether the key opens what is sealed to the condition.
func opens(public tkn20.PublicKey, key *tkn20.AttributeKey, g *gate) bool {
	c, err := g.compile()
	if err != nil {
		return false
	}
	want, sealed, err := c.encapsulate(rand.Reader, public)
	if err != nil {
		return false
	}
	got, err := c.decapsulate(key, sealed)
	return err == nil && [kemSize]byte(got) == [kemSize]byte(want)
}

// Bytes returns the encoding, which is as secret as the key. It returns nil if
// the key was erased.
func (k *MasterKey) Bytes() []byte {
	if k.secret == nil {
		return nil
	}
	var secret []byte
	if err := guard(func() (err error) { secret, err = k.secret.MarshalBinary(); return }); err != nil {
		return nil
	}
	defer clear(secret)
	w := wire.NewWriter(masterKeyFormat)
	w.String(k.name)
	w.Bytes(k.encoded)
	w.Bytes(secret)
	return w.Sum()
}

// Erase forgets the secret. See the package's warning.
func (k *MasterKey) Erase() { k.secret = nil }

// Format prints whose key it is, never the key.
func (k MasterKey) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "attribute master key of %s", k.name) }

// Authority returns what is to be published for an epoch in which these
// attributes are certified.
func (k *MasterKey) Authority(epoch uint64, c Catalogue) (*Authority, error) {
	if len(c.list) == 0 {
		return nil, &FormatError{"catalogue", "field"}
	}
	return newAuthority(k.name, epoch, c, k.public, k.encoded), nil
}

// Issue makes the key of one person. The authority is this master key's, in the
// epoch that the key is to be for: the current one, or an earlier one if the
// person may read what was sealed then as well. The catalogue must admit the
// attributes; what they do not give, the key says the person lacks.
//
// It takes about 10 ms for each unit of the catalogue's size.
func (k *MasterKey) Issue(a *Authority, holder string, attributes Attributes) (*Key, error) {
	return k.issue(rand.Reader, a, holder, attributes)
}

func (k *MasterKey) issue(random io.Reader, a *Authority, holder string, attributes Attributes) (*Key, error) {
	if k.secret == nil {
		return nil, ErrErased
	}
	if a.name != k.name || !a.public.Equal(&k.public) {
		return nil, ErrOtherAuthority
	}
	if !holderPattern.MatchString(holder) {
		return nil, &FormatError{"holder", "field"}
	}
	if err := a.catalogue.Check(attributes); err != nil {
		return nil, err
	}
	key, err := k.keyGen(random, a.labels(attributes))
	if err != nil {
		return nil, fmt.Errorf("issue key: %w", err)
	}
	return &Key{a, holder, attributes, &key}, nil
}

func (k *MasterKey) keyGen(random io.Reader, labels map[string]string) (key tkn20.AttributeKey, err error) {
	err = guard(func() (err error) {
		var attributes tkn20.Attributes
		attributes.FromMap(labels)
		key, err = k.secret.KeyGen(random, attributes)
		return err
	})
	return key, err
}
