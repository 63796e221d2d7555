// Package wallet keeps the keys of a person or an organisation, encrypted at
// rest: the key that signs transactions, the custody key of an owner in
// self-custody, the typed keys that the consortium extracted for its holder, the
// keys that attribute authorities issued to her, and the master key of the
// authority that she runs for her organisation, if she does.
//
// A wallet lives in a file of its own, under a passphrase. A hospital that
// holds the wallets of patients who have none yet keeps them in a Folder, under
// one passphrase for all; a patient takes hers over with what Folder.Export
// wrote, and once the chain has the patient's own key, Folder.Release deletes
// what the hospital held. SPEC.md gives the bytes.
//
// Several processes may use one file: every change is made to what is on disk
// at that moment, under a lock.
//
// Warning: whoever can replace the file by an older copy of it can hide keys
// that were added since. Nothing in the file can tell.
package wallet

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// Errors that callers branch on.
var (
	// ErrPassphrase says that the passphrase is wrong or empty.
	ErrPassphrase = errors.New("wrong passphrase")

	// ErrCorrupt says that a file is not a wallet, was altered, or is not the
	// one that belongs there.
	ErrCorrupt = errors.New("wallet is damaged")

	// ErrKey says that a key is none of the wallet's.
	ErrKey = errors.New("key is not in the wallet")

	// ErrFull says that a wallet holds as many keys as it can.
	ErrFull = errors.New("wallet is full")

	// ErrHeld says that the chain still lets the hospital's key sign for a name.
	ErrHeld = errors.New("name is still held by the organisation")
)

// A Wallet holds the keys of one identity. It is safe for concurrent use. It
// does not print, log or marshal what is secret.
type Wallet struct{ s *shared }

// shared is what the copies of a Wallet have in common.
type shared struct {
	mu   sync.Mutex
	body *body // guarded by mu; replaced, never changed
	file *file // guarded by mu; nil while the wallet is in memory only
}

// Generate returns a wallet with a fresh signing key for a name on a chain. It
// is in memory only until Create stores it.
func Generate(chainID string, name identity.Name) (*Wallet, error) {
	if _, err := identity.ParseName(string(name)); err != nil {
		return nil, fmt.Errorf("generate wallet: %w", err)
	}
	b := &body{Name: nameBody, Chain: chainID, Identity: name, Seed: newSeed()}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("generate wallet: %w", err)
	}
	return &Wallet{&shared{body: b}}, nil
}

// newSeed returns the seed of a fresh Ed25519 key.
func newSeed() []byte {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails
	return seed
}

func (w Wallet) get() *body {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.body
}

// update changes the wallet, in its file if it has one: fn is given what is
// there now. If fn or the file fails, nothing changes.
func (w Wallet) update(fn func(*body) error) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.s.file == nil {
		next, err := w.s.body.clone()
		if err != nil {
			return err
		}
		if err := fn(next); err != nil {
			return err
		}
		if err := next.check(); err != nil {
			return err
		}
		w.s.body = next
		return nil
	}
	next, err := w.s.file.update(fn)
	if err != nil {
		return err
	}
	w.s.body = next
	return nil
}

// Chain returns the id of the chain.
func (w *Wallet) Chain() string { return w.get().Chain }

// Name returns whose wallet it is.
func (w *Wallet) Name() identity.Name { return w.get().Identity }

// Public returns the key that signs in force.
func (w *Wallet) Public() chain.PublicKey { return public(w.get().Seed) }

// Signer signs transactions, with the key that is in force when it is called.
func (w *Wallet) Signer() crypto.Signer { return signer{ed25519.NewKeyFromSeed(w.get().Seed)} }

// Possession returns the proof that the wallet holds the key in force, for a
// method of the identity contract: register, or recover with a new wallet.
func (w *Wallet) Possession(use string) []byte {
	b := w.get()
	return b.possession(use, b.Seed)
}

// Replace generates the next signing key and returns it with its proof of
// possession for a method of the identity contract. It takes effect with
// Commit, once the chain has it; until then the wallet keeps both, so that a
// crash between the two loses neither. While there is a next key that was not
// committed, Replace returns that one again.
func (w *Wallet) Replace(use string) (key chain.PublicKey, possession []byte, err error) {
	err = w.update(func(b *body) error {
		if len(b.Next) == 0 {
			b.Next = newSeed()
		}
		key, possession = public(b.Next), b.possession(use, b.Next)
		return nil
	})
	if err != nil {
		return chain.PublicKey{}, nil, fmt.Errorf("replace key: %w", err)
	}
	return key, possession, nil
}

// Pending returns the key that Replace made and nothing committed, and false if
// there is none.
func (w *Wallet) Pending() (chain.PublicKey, bool) {
	b := w.get()
	if len(b.Next) == 0 {
		return chain.PublicKey{}, false
	}
	return public(b.Next), true
}

// Commit makes the key in force the one that the chain has, and forgets the one
// before. It does nothing if that is in force already, and returns ErrKey if
// the wallet does not hold it.
func (w *Wallet) Commit(key chain.PublicKey) error {
	err := w.update(func(b *body) error {
		switch {
		case key == public(b.Seed):
		case len(b.Next) > 0 && key == public(b.Next):
			b.Seed, b.Next = b.Next, nil
		default:
			return ErrKey
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit key: %w", err)
	}
	return nil
}

// Custody returns the custody key of a version, or nil.
func (w *Wallet) Custody(version uint32) *pre.CustodyKey {
	for _, c := range w.get().Custody {
		if c.Version == version {
			if k, err := pre.ParseCustodyKey(c.Key); err == nil {
				return k
			}
		}
	}
	return nil
}

// AddCustody generates the custody key of a version and stores it. If there is
// one already it returns that, so that an attempt that was interrupted goes on
// with the same key.
func (w *Wallet) AddCustody(version uint32) (*pre.CustodyKey, error) {
	if version == 0 {
		return nil, errors.New("add custody key: versions begin at 1")
	}
	err := w.update(func(b *body) error {
		at, found := slices.BinarySearchFunc(b.Custody, version, func(c custody, v uint32) int { return int(int64(c.Version) - int64(v)) })
		if found {
			return nil
		}
		k, err := pre.GenerateCustodyKey()
		if err != nil {
			return err
		}
		defer k.Erase()
		b.Custody = slices.Insert(b.Custody, at, custody{Version: version, Key: k.Bytes()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add custody key: %w", err)
	}
	return w.Custody(version), nil
}

// Key returns the remembered key that opens records of type t of the wallet's
// own identity, or nil. Of several it is the one of the narrowest type, so that
// the key of t itself is returned if it is there.
func (w *Wallet) Key(id pre.Identity, t pre.Type) *pre.PrivateKey {
	b := w.get()
	if id.Name != string(b.Identity) {
		return nil
	}
	return narrowest(keysOf(b.Keys, id), t).parse()
}

// Inbox returns the remembered inbox key, or nil.
func (w *Wallet) Inbox(id pre.Identity) *pre.PrivateKey {
	for _, k := range keysOf(w.get().Keys, id) {
		if k.Type == inbox {
			return k.parse()
		}
	}
	return nil
}

// Remember stores a key of the wallet's own identity. Storing it again changes
// nothing. It returns ErrKey for a key of another identity.
func (w *Wallet) Remember(key *pre.PrivateKey) error {
	raw := key.Bytes()
	if _, err := pre.ParsePrivateKey(raw); err != nil { // an erased key among them
		return fmt.Errorf("remember key: %w", err)
	}
	err := w.update(func(b *body) error {
		id := key.Identity()
		if id.Chain != b.Chain || id.Name != string(b.Identity) {
			return ErrKey
		}
		return b.remember(remembered{Identity: id.Description(), Type: string(key.Type()), Key: raw})
	})
	if err != nil {
		return fmt.Errorf("remember key: %w", err)
	}
	return nil
}

// Adopt takes over what another wallet of the same identity remembers: typed
// keys, the holder's and those of wards, and custody keys, attribute keys and the
// master key of an attribute authority that this one does not have. It does not
// take its signing keys.
func (w *Wallet) Adopt(from *Wallet) error {
	other := from.get()
	err := w.update(func(b *body) error {
		if other.Chain != b.Chain || other.Identity != b.Identity {
			return ErrKey
		}
		for _, k := range other.Keys {
			if err := b.remember(k); err != nil {
				return err
			}
		}
		for _, k := range other.Wards {
			var err error
			if b.Wards, err = insert(b.Wards, k, maxWards); err != nil {
				return err
			}
		}
		for _, c := range other.Custody {
			at, found := slices.BinarySearchFunc(b.Custody, c.Version, func(c custody, v uint32) int { return int(int64(c.Version) - int64(v)) })
			if !found {
				b.Custody = slices.Insert(b.Custody, at, c)
			}
		}
		return b.adoptAttributes(other)
	})
	if err != nil {
		return fmt.Errorf("adopt keys: %w", err)
	}
	return nil
}

// Backup writes the wallet, encrypted under a passphrase of its own. What it
// writes is an age file, which any age program decrypts.
func (w *Wallet) Backup(out io.Writer, passphrase []byte) error {
	return Options{}.Backup(w, out, passphrase)
}

// Backup is [Wallet.Backup] with options.
func (o Options) Backup(w *Wallet, out io.Writer, passphrase []byte) error {
	if err := backup(w.get(), out, passphrase, o.work()); err != nil {
		return fmt.Errorf("back up wallet: %w", err)
	}
	return nil
}

// Restore reads what Backup wrote. The wallet is in memory only until Create
// stores it.
func Restore(in io.Reader, passphrase []byte) (*Wallet, error) {
	b, err := restore(in, passphrase)
	if err != nil {
		return nil, fmt.Errorf("restore wallet: %w", err)
	}
	return &Wallet{&shared{body: b}}, nil
}

// Format prints whose wallet it is, for every verb, and nothing secret.
func (w Wallet) Format(f fmt.State, _ rune) {
	if w.s == nil {
		fmt.Fprint(f, "no wallet")
		return
	}
	fmt.Fprintf(f, "wallet of %s", w.get().Identity)
}

// LogValue logs a placeholder.
func (w Wallet) LogValue() slog.Value { return slog.StringValue("wallet") }

// A signer is an Ed25519 key that does not print itself.
type signer struct{ key ed25519.PrivateKey }

func (s signer) Public() crypto.PublicKey { return s.key.Public() }

func (s signer) Sign(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.key.Sign(r, msg, opts)
}

// Format prints the public key.
func (s signer) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "signing key of %x", []byte(s.key.Public().(ed25519.PublicKey)))
}

func public(seed []byte) chain.PublicKey {
	return chain.PublicKey(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
}
