package identity_test

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
)

// A hospital registers a doctor, who holds her own key.
func Example() {
	c := ledgertest.New(new(testing.T), map[string]ledger.Contract{identity.Contract: identity.New()})
	key := ledgertest.Key("dr.lee") // on her device

	name, err := identity.ParseName("dr.lee@south")
	if err != nil {
		fmt.Println(err)
		return
	}
	public := ledgertest.Public("dr.lee")
	args := identity.RegisterArgs{
		Name: name, Key: public,
		Possession: ed25519.Sign(key, identity.PossessionStatement("records.example", identity.MethodRegister, name, public)),
		Attributes: []identity.Attribute{{Name: identity.Author}, {Name: "role", Value: "physician"}},
	}
	fmt.Println(c.Run(c.Tx("north", identity.Contract, identity.MethodRegister, args))[0].Err())
	fmt.Println(c.Run(c.Tx("south", identity.Contract, identity.MethodRegister, args))[0].Err())
	// Output:
	// identity/denied
	// <nil>
}

func ExampleParseName() {
	name, err := identity.ParseName("p-7f3a@north")
	fmt.Println(name.Org(), err)
	_, err = identity.ParseName("Alice Meyer")
	fmt.Println(err)
	// Output:
	// north <nil>
	// identity/malformed
}

func ExampleIdentity_Has() {
	id := &identity.Identity{Attributes: []identity.Attribute{{Name: "emergency", Until: 1_800_000_000_000}}}
	fmt.Println(id.Has(identity.Emergency, "", 1_799_999_999_999), id.Has(identity.Emergency, "", 1_800_000_000_001))
	// Output: true false
}

func ExampleRules() {
	for _, r := range identity.Rules() {
		if r.Contract == "record" {
			fmt.Printf("%s/%s: %s; %s\n", r.Contract, r.Method, r.By, r.And)
		}
	}
	// Output:
	// record/erase: registered identity; is the owner of the record
	// record/put: author; if it replaces a record: is of its author's organisation, or the owner
}
