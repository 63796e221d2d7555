package identity

import (
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/pre"
)

// Lookup returns the identity with this name, or ErrUnknown. r reads the
// contract's namespace.
func Lookup(r ledger.Reader, name Name) (*Identity, error) { panic("skeleton") }

// ByKey returns the identity for which this key signs now, or ErrUnknown.
func ByKey(r ledger.Reader, key chain.PublicKey) (*Identity, error) { panic("skeleton") }

// Each calls fn with the identities of an organisation in ascending order of
// their names, after a name, until fn returns false. An empty org means all.
func Each(r ledger.Reader, org string, after Name, fn func(*Identity) bool) error { panic("skeleton") }

// ParseName checks s.
func ParseName(s string) (Name, error) { panic("skeleton") }

// Org returns the organisation of a well-formed name.
func (n Name) Org() string { panic("skeleton") }

// Has reports whether the attribute is attested and holds at a block time in
// Unix milliseconds. An empty value asks for the attribute with any value.
func (i *Identity) Has(name, value string, time int64) bool { panic("skeleton") }

// Recipient returns the identity as package pre needs it, to write for it or
// to grant to it. authority is the consortium's extraction key.
func (i *Identity) Recipient(chainID string, authority pre.PublicKey) (pre.Identity, error) {
	panic("skeleton")
}

// PossessionStatement returns what a new key signs to show that its holder
// wants it to sign for the name. use is the method it is for.
func PossessionStatement(chainID, use string, name Name, key chain.PublicKey) []byte {
	panic("skeleton")
}

// New returns the contract.
func New() ledger.Contract { panic("skeleton") }
