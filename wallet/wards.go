package wallet

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// maxWards is how many keys a wallet holds for others. Part of the format.
const maxWards = 512

// checkWards validates the form of the keys for others. It does not parse keys.
func (b *body) checkWards() error {
	if len(b.Wards) > maxWards {
		return ErrFull
	}
	for i, k := range b.Wards {
		if i > 0 && compare(k, b.Wards[i-1]) <= 0 || k.Type == inbox {
			return errors.New("keys for others are out of order")
		}
	}
	return nil
}

// WardKey returns a remembered key of somebody for whom the wallet's holder is
// guardian that opens records of type t, or nil. It is Key for others: keys of
// the two kinds are never taken for one another.
func (w *Wallet) WardKey(id pre.Identity, t pre.Type) *pre.PrivateKey {
	b := w.get()
	if id.Name == string(b.Identity) {
		return nil
	}
	return narrowest(keysOf(b.Wards, id), t).parse()
}

// RememberWard stores a typed key of somebody for whom the wallet's holder is
// guardian. Storing it again changes nothing. It returns ErrKey for a key of the
// holder's own, one of another chain and an inbox key, and ErrFull if there are
// too many.
func (w *Wallet) RememberWard(key *pre.PrivateKey) error {
	raw := key.Bytes()
	if _, err := pre.ParsePrivateKey(raw); err != nil { // an erased key among them
		return fmt.Errorf("remember key of a ward: %w", err)
	}
	err := w.update(func(b *body) (err error) {
		id := key.Identity()
		if id.Chain != b.Chain || id.Name == string(b.Identity) || string(key.Type()) == inbox {
			return ErrKey
		}
		b.Wards, err = insert(b.Wards, remembered{Identity: id.Description(), Type: string(key.Type()), Key: raw}, maxWards)
		return err
	})
	if err != nil {
		return fmt.Errorf("remember key of a ward: %w", err)
	}
	return nil
}

// ForgetWard drops the keys of somebody for whom the wallet's holder is guardian
// no more.
func (w *Wallet) ForgetWard(name identity.Name) error {
	err := w.update(func(b *body) error {
		b.Wards = slices.DeleteFunc(b.Wards, func(k remembered) bool {
			id, err := pre.ParseIdentity(k.Identity)
			return err != nil || id.Name == string(name)
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget keys of a ward: %w", err)
	}
	return nil
}
