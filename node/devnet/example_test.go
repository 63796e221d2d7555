package devnet_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/wallet"
)

func Example() {
	ctx := context.Background()
	hospitals, err := devnet.New(ctx, devnet.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hospitals.Close()

	w, err := wallet.Generate("devnet.ward", "dr.chen@east")
	if err != nil {
		fmt.Println(err)
		return
	}
	author, err := ward.New(ward.Options{Consortium: hospitals.Consortium(), Wallet: w, Nodes: hospitals.Nodes(0)})
	if err != nil {
		fmt.Println(err)
		return
	}
	east, err := hospitals.Key(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := author.Register(ctx, east, false, identity.Attribute{Name: identity.Author}); err != nil {
		fmt.Println(err)
		return
	}
	id, err := author.Put(ctx, ward.Record{Owner: "dr.chen@east", Type: "note", Title: "hello"}, strings.NewReader("hello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	var out strings.Builder
	if _, err := author.Get(ctx, id, ward.Purpose{}, &out); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out.String())
	// Output: hello
}
