package wallet

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// Part of the format.
const (
	nameBody = "ward/v1/wallet"

	maxBody    = 8 << 20 // bytes
	maxKeys    = 2048    // remembered keys
	maxCustody = 256     // custody keys
)

// inbox is the type of an inbox key.
const inbox = "#inbox"

// A body is what a wallet holds, in the clear.
type body struct {
	_        struct{} `cbor:",toarray"`
	Name     string   // "ward/v1/wallet"
	Chain    string
	Identity identity.Name
	Seed     []byte       // RFC 8032, of the key in force, 32 bytes
	Next     []byte       // of the key that Replace made; empty if there is none
	Custody  []custody    // ascending by version
	Keys     []remembered // ascending by identity and type

	Attributes []attributeKey // ascending by authority, epoch and id
	Master     []byte         // abe.MasterKey of the organisation; empty if the holder runs no authority

	Wards []remembered // of those for whom the holder is guardian; ascending by identity and type
}

type custody struct {
	_       struct{} `cbor:",toarray"`
	Version uint32
	Key     []byte // pre.CustodyKey
}

// A remembered key is found without parsing it, which takes a pairing.
type remembered struct {
	_        struct{} `cbor:",toarray"`
	Identity []byte   // pre.Identity.Description
	Type     string   // pre.Type or "#inbox"
	Key      []byte   // pre.PrivateKey
}

// parse returns the key, or nil if there is none or it is not what the wallet
// took it for.
func (r *remembered) parse() *pre.PrivateKey {
	if r == nil {
		return nil
	}
	k, err := pre.ParsePrivateKey(r.Key)
	if err != nil || string(k.Type()) != r.Type || !bytes.Equal(k.Identity().Description(), r.Identity) {
		return nil
	}
	return k
}

func compare(a, b remembered) int {
	if c := bytes.Compare(a.Identity, b.Identity); c != 0 {
		return c
	}
	return bytes.Compare([]byte(a.Type), []byte(b.Type))
}

// parseBody reads what body.bytes wrote.
func parseBody(raw []byte) (*body, error) {
	if len(raw) > maxBody {
		return nil, fmt.Errorf("%d bytes, limit %d", len(raw), maxBody)
	}
	b := new(body)
	if err := chain.Unmarshal(raw, b); err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *body) bytes() ([]byte, error) {
	raw, err := chain.Marshal(b)
	if err != nil {
		return nil, err
	}
	if len(raw) > maxBody {
		return nil, ErrFull
	}
	return raw, nil
}

func (b *body) clone() (*body, error) {
	raw, err := b.bytes()
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	return parseBody(raw)
}

// check validates the form. It does not parse keys.
func (b *body) check() error {
	if b.Name != nameBody {
		return errors.New("it is of another version")
	}
	if _, err := identity.ParseName(string(b.Identity)); err != nil {
		return err
	}
	switch {
	case b.Chain == "" || len(b.Chain) > 255:
		return errors.New("chain id is malformed")
	case len(b.Seed) != ed25519.SeedSize || len(b.Next) != 0 && len(b.Next) != ed25519.SeedSize:
		return errors.New("seed is malformed")
	case len(b.Custody) > maxCustody || len(b.Keys) > maxKeys:
		return ErrFull
	}
	for i, c := range b.Custody {
		if c.Version == 0 || i > 0 && c.Version <= b.Custody[i-1].Version {
			return errors.New("custody keys are out of order")
		}
	}
	for i, k := range b.Keys {
		if i > 0 && compare(k, b.Keys[i-1]) <= 0 {
			return errors.New("keys are out of order")
		}
	}
	return errors.Join(b.checkAttributes(), b.checkWards())
}

func (b *body) possession(use string, seed []byte) []byte {
	key := ed25519.NewKeyFromSeed(seed)
	return ed25519.Sign(key, identity.PossessionStatement(b.Chain, use, b.Identity, public(seed)))
}

// keysOf returns the keys of one version and epoch.
func keysOf(list []remembered, id pre.Identity) []*remembered {
	var out []*remembered
	for i := range list {
		if bytes.Equal(list[i].Identity, id.Description()) {
			out = append(out, &list[i])
		}
	}
	return out
}

// narrowest returns the key with the longest type that covers t, or nil.
func narrowest(list []*remembered, t pre.Type) *remembered {
	var best *remembered
	for _, k := range list {
		if k.Type != inbox && pre.Type(k.Type).Covers(t) && (best == nil || len(k.Type) > len(best.Type)) {
			best = k
		}
	}
	return best
}

func (b *body) remember(k remembered) (err error) {
	b.Keys, err = insert(b.Keys, k, maxKeys)
	return err
}

// insert puts a key in its place, or instead of the same one.
func insert(list []remembered, k remembered, limit int) ([]remembered, error) {
	at, found := slices.BinarySearchFunc(list, k, compare)
	switch {
	case found:
		list[at] = k
		return list, nil
	case len(list) >= limit:
		return list, ErrFull
	}
	return slices.Insert(list, at, k), nil
}
