package wallet_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/wallet"
)

func Example() {
	dir, err := os.MkdirTemp("", "wallet")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	w, err := wallet.Generate("records.example", "p-7f3a@north")
	if err != nil {
		log.Fatal(err)
	}
	path, passphrase := filepath.Join(dir, "patient.wallet"), []byte("correct horse battery staple")
	if err := wallet.Create(path, w, passphrase); err != nil {
		log.Fatal(err)
	}
	again, err := wallet.Open(path, passphrase)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Name(), again.Public() == w.Public())
	// Output: p-7f3a@north true
}

// A hospital holds the wallet of a patient who has none yet. Later she takes it
// over with a key of her own; once the chain has that key, the hospital deletes
// its copy.
func ExampleFolder() {
	dir, err := os.MkdirTemp("", "wallets")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	held, err := wallet.CreateFolder(filepath.Join(dir, "held"), "records.example", []byte("the hospital's passphrase"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := held.Create("p-7f3a@north"); err != nil {
		log.Fatal(err)
	}
	hers, err := wallet.Generate("records.example", "p-7f3a@north")
	if err != nil {
		log.Fatal(err)
	}
	onChain := identity.Identity{Name: "p-7f3a@north", Controller: "north"}
	fmt.Println(held.Release(&onChain))
	onChain = identity.Identity{Name: "p-7f3a@north", Key: hers.Public()} // after Client.HandOver
	fmt.Println(held.Release(&onChain))
	// Output:
	// release wallet: name is still held by the organisation
	// <nil>
}
