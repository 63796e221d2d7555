// Package wallet keeps the keys of a person or an organisation, encrypted at
// rest: the key that signs transactions, the custody key of an owner in
// self-custody, and the typed keys that the consortium extracted for its holder.
package wallet

import (
	"crypto"
	"io"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// A Wallet holds the keys of one identity. It is safe for concurrent use.
type Wallet struct{}

// Generate returns a wallet with a fresh signing key for a name on a chain. It
// is in memory only until Create stores it.
func Generate(chainID string, name identity.Name) (*Wallet, error) { panic("skeleton") }

// Create stores a wallet in a new file, encrypted under a passphrase.
func Create(path string, w *Wallet, passphrase []byte) error { panic("skeleton") }

// Open opens a stored wallet. ErrPassphrase says that the passphrase is wrong.
func Open(path string, passphrase []byte) (*Wallet, error) { panic("skeleton") }

// Chain returns the id of the chain.
func (w *Wallet) Chain() string { panic("skeleton") }

// Name returns whose wallet it is.
func (w *Wallet) Name() identity.Name { panic("skeleton") }

// Public returns the key that signs in force.
func (w *Wallet) Public() chain.PublicKey { panic("skeleton") }

// Signer signs transactions.
func (w *Wallet) Signer() crypto.Signer { panic("skeleton") }

// Replace generates the next signing key and returns it with its proof of
// possession for a method of the identity contract. It takes effect with
// Commit, once the chain has it; until then the wallet keeps both, so that a
// crash between the two loses neither.
func (w *Wallet) Replace(use string) (key chain.PublicKey, possession []byte, err error) {
	panic("skeleton")
}

// Commit makes the key in force the one that the chain has.
func (w *Wallet) Commit(key chain.PublicKey) error { panic("skeleton") }

// Custody returns the custody key of a version, or nil.
func (w *Wallet) Custody(version uint32) *pre.CustodyKey { panic("skeleton") }

// AddCustody generates the custody key of a version and stores it.
func (w *Wallet) AddCustody(version uint32) (*pre.CustodyKey, error) { panic("skeleton") }

// Key returns the remembered key that opens records of type t of the wallet's
// own identity, or nil.
func (w *Wallet) Key(id pre.Identity, t pre.Type) *pre.PrivateKey { panic("skeleton") }

// Inbox returns the remembered inbox key, or nil.
func (w *Wallet) Inbox(id pre.Identity) *pre.PrivateKey { panic("skeleton") }

// Remember stores a key of the wallet's own identity.
func (w *Wallet) Remember(key *pre.PrivateKey) error { panic("skeleton") }

// Backup writes the wallet, encrypted under a passphrase of its own.
func (w *Wallet) Backup(out io.Writer, passphrase []byte) error { panic("skeleton") }

// Restore reads what Backup wrote.
func Restore(in io.Reader, passphrase []byte) (*Wallet, error) { panic("skeleton") }
