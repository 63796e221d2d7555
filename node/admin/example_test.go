package admin_test

import (
	"context"
	"fmt"

	"github.com/ward-health/ward/node/admin"
)

// An operator's tool asks the node of this machine how it is doing, and takes part
// in the key ceremony that another operator proposed.
func ExampleClient() {
	ctx := context.Background()
	operator := admin.NewClient("/var/lib/ward")
	status, err := operator.Status(ctx)
	if err != nil {
		fmt.Println("no node runs here:", err)
		return
	}
	if c := status.Asks; c != nil {
		fmt.Println("ceremony", c.Number, "for", c.Roster, "hash", c.Hash)
		err = operator.AcceptCeremony(ctx, c.Hash)
	}
	fmt.Println(status.State, err)
}
