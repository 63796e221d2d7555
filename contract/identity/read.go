package identity

import (
	"slices"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/pre"
)

// Lookup returns the identity with this name, or ErrUnknown. r reads the
// contract's namespace.
func Lookup(r ledger.Reader, name Name) (*Identity, error) {
	if _, err := ParseName(string(name)); err != nil {
		return nil, ErrUnknown
	}
	value, err := r.Get(nameKey(name))
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, ErrUnknown
	}
	return decode(value)
}

// ByKey returns the identity for which this key signs now, or ErrUnknown.
func ByKey(r ledger.Reader, key chain.PublicKey) (*Identity, error) {
	name, err := r.Get(keyKey(key))
	if err != nil {
		return nil, err
	}
	if name == nil {
		return nil, ErrUnknown
	}
	id, err := Lookup(r, Name(name))
	if err != nil {
		return nil, err
	}
	if id.Key != key {
		return nil, ErrUnknown // a key of the past, or of a recovery under way
	}
	return id, nil
}

// Each calls fn with the identities of an organisation in ascending order of
// their names, after a name, until fn returns false. An empty org means all, in
// ascending order of organisations and then of names.
func Each(r ledger.Reader, org string, after Name, fn func(*Identity) bool) error {
	prefix := []byte(prefixName)
	if org != "" {
		prefix = append(append(prefix, org...), 0)
	}
	var start []byte
	if after != "" {
		start = append(nameKey(after), 0) // the least key behind it
	}
	var failed error
	err := r.Scan(prefix, start, func(_, value []byte) bool {
		id, err := decode(value)
		if err != nil {
			failed = err
			return false
		}
		return fn(id)
	})
	if failed != nil {
		return failed
	}
	return err
}

const maxLocal = 48 // bytes of a name before the '@'

// ParseName checks s. The error is ErrMalformed.
func ParseName(s string) (Name, error) {
	local, org, _ := strings.Cut(s, "@")
	if len(local) == 0 || len(local) > maxLocal || !chain.ValidName(org) || strings.Contains(org, "/") {
		return "", ErrMalformed
	}
	for i := range len(local) {
		switch c := local[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return "", ErrMalformed
		}
	}
	return Name(s), nil
}

// Org returns the organisation of a well-formed name.
func (n Name) Org() string {
	_, org, _ := strings.Cut(string(n), "@")
	return org
}

// Has reports whether the attribute is attested and holds at a block time in
// Unix milliseconds. An empty value asks for the attribute with any value.
func (i *Identity) Has(name, value string, time int64) bool {
	return slices.ContainsFunc(i.Attributes, func(a Attribute) bool {
		return a.Name == name && (value == "" || a.Value == value) && (a.Until == 0 || time <= a.Until)
	})
}

// Vouched is Has for an attribute that counts before the whole consortium k, as
// all those do that contracts look at: the organisation that attests it must
// still be a member.
func (i *Identity) Vouched(k *chain.Consortium, name, value string, time int64) bool {
	return k.Member(i.Name.Org()) != nil && i.Has(name, value, time)
}

// Recipient returns the identity as package pre needs it, to write for it or
// to grant to it. authority is the consortium's extraction key.
func (i *Identity) Recipient(chainID string, authority pre.PublicKey) (pre.Identity, error) {
	id := pre.Identity{Chain: chainID, Name: string(i.Name), Version: i.Version, Epoch: i.Epoch, Key: authority}
	if i.Version > 0 {
		var err error
		if id.Key, err = pre.ParsePublicKey(i.Custody); err != nil {
			return pre.Identity{}, err
		}
	}
	return id, nil
}

// PossessionStatement returns what a new key signs to show that its holder
// wants it to sign for the name. use is the method it is for.
func PossessionStatement(chainID, use string, name Name, key chain.PublicKey) []byte {
	b := []byte("WARD-V1-POSSESSION")
	for _, s := range []string{chainID, use, string(name)} {
		b = append(append(b, byte(len(s))), s...) // none has more than 255 bytes
	}
	return append(b, key[:]...)
}

// What the keys of the contract's namespace begin with. Part of the format.
const (
	prefixName = "n/" // organisation, zero byte, name before the '@': Identity
	prefixKey  = "k/" // public key: the name it was ever proposed for
)

func nameKey(n Name) []byte {
	local, org, _ := strings.Cut(string(n), "@")
	return []byte(prefixName + org + "\x00" + local)
}

func keyKey(k chain.PublicKey) []byte { return append([]byte(prefixKey), k[:]...) }

func decode(value []byte) (*Identity, error) {
	id := new(Identity)
	if err := chain.Unmarshal(value, id); err != nil {
		return nil, err
	}
	return id, nil
}
