package wallet

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ward-health/ward/abe"
)

// maxAttributeKeys is how many attribute keys a wallet holds. Part of the format.
const maxAttributeKeys = 256

// An attributeKey is found without parsing it, which takes a while.
type attributeKey struct {
	_         struct{} `cbor:",toarray"`
	Authority string
	Epoch     uint64
	ID        []byte // abe.Ref.ID, 32 bytes
	Key       []byte // abe.Key
}

func (k *attributeKey) ref() abe.Ref {
	return abe.Ref{Name: k.Authority, Epoch: k.Epoch, ID: [32]byte(k.ID)}
}

func compareRefs(a, b abe.Ref) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Epoch, b.Epoch), bytes.Compare(a.ID[:], b.ID[:]))
}

func compareAttributeKey(k attributeKey, ref abe.Ref) int { return compareRefs(k.ref(), ref) }

// checkAttributes validates the form of the attribute keys and of the master
// key. It parses neither.
func (b *body) checkAttributes() error {
	if len(b.Attributes) > maxAttributeKeys {
		return ErrFull
	}
	for i, k := range b.Attributes {
		if len(k.ID) != 32 {
			return errors.New("attribute key is malformed")
		}
		if i > 0 && compareRefs(b.Attributes[i-1].ref(), k.ref()) >= 0 {
			return errors.New("attribute keys are out of order")
		}
	}
	return nil
}

// AttributeKey returns the key that the holder got from an attribute authority
// for an epoch, or nil.
func (w *Wallet) AttributeKey(ref abe.Ref) *abe.Key {
	b := w.get()
	at, found := slices.BinarySearchFunc(b.Attributes, ref, compareAttributeKey)
	if !found {
		return nil
	}
	k, err := abe.ParseKey(b.Attributes[at].Key)
	if err != nil || k.Authority().Ref() != ref || k.Holder() != string(b.Identity) {
		return nil
	}
	return k
}

// AttributeKeys returns the authorities and epochs that the wallet holds
// attribute keys of, sorted by name and epoch.
func (w *Wallet) AttributeKeys() []abe.Ref {
	var out []abe.Ref
	for _, k := range w.get().Attributes {
		out = append(out, k.ref())
	}
	return out
}

// AddAttributeKey stores an attribute key. One of the same authority and epoch
// is replaced: the newer has the attributes of now. It returns ErrKey for a key
// that was issued to another.
func (w *Wallet) AddAttributeKey(key *abe.Key) error {
	raw := key.Bytes()
	if raw == nil {
		return fmt.Errorf("add attribute key: %w", abe.ErrErased)
	}
	ref := key.Authority().Ref()
	err := w.update(func(b *body) error {
		if key.Holder() != string(b.Identity) {
			return ErrKey
		}
		k := attributeKey{Authority: ref.Name, Epoch: ref.Epoch, ID: ref.ID[:], Key: raw}
		at, found := slices.BinarySearchFunc(b.Attributes, ref, compareAttributeKey)
		switch {
		case found:
			b.Attributes[at] = k
		case len(b.Attributes) >= maxAttributeKeys:
			return ErrFull
		default:
			b.Attributes = slices.Insert(b.Attributes, at, k)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("add attribute key: %w", err)
	}
	return nil
}

// ForgetAttributeKey removes the key of an authority and epoch, as of one so old
// that no grant of then is of use. It returns ErrKey if the wallet has none.
func (w *Wallet) ForgetAttributeKey(ref abe.Ref) error {
	err := w.update(func(b *body) error {
		at, found := slices.BinarySearchFunc(b.Attributes, ref, compareAttributeKey)
		if !found {
			return ErrKey
		}
		b.Attributes = slices.Delete(b.Attributes, at, at+1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget attribute key: %w", err)
	}
	return nil
}

// MasterKey returns the secret of the attribute authority that the wallet's
// holder runs for her organisation, or nil.
func (w *Wallet) MasterKey() *abe.MasterKey {
	b := w.get()
	if len(b.Master) == 0 {
		return nil
	}
	k, err := abe.ParseMasterKey(b.Master)
	if err != nil {
		return nil
	}
	return k
}

// AddMasterKey generates the secret of the attribute authority of the holder's
// organisation and stores it. If there is one already it returns that.
func (w *Wallet) AddMasterKey() (*abe.MasterKey, error) {
	err := w.update(func(b *body) error {
		if len(b.Master) > 0 {
			return nil
		}
		k, err := abe.GenerateMasterKey(b.Identity.Org())
		if err != nil {
			return err
		}
		defer k.Erase()
		b.Master = k.Bytes()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add master key: %w", err)
	}
	k := w.MasterKey()
	if k == nil {
		return nil, fmt.Errorf("add master key: %w", ErrCorrupt)
	}
	return k, nil
}

// adoptAttributes takes over attribute keys that are not there, and a master key
// if there is none.
func (b *body) adoptAttributes(other *body) error {
	if len(b.Master) == 0 {
		b.Master = other.Master
	}
	for _, k := range other.Attributes {
		at, found := slices.BinarySearchFunc(b.Attributes, k.ref(), compareAttributeKey)
		if found {
			continue
		}
		if len(b.Attributes) >= maxAttributeKeys {
			return ErrFull
		}
		b.Attributes = slices.Insert(b.Attributes, at, k)
	}
	return nil
}
