package keys_test

import (
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/dkg"
)

// The members make the consortium's keys: a transaction opens the ceremony,
// their machines post what they owe, and others end its phases.
func Example() {
	t := new(testing.T)
	none := func(ledger.Reader, int64, string, func(keys.LiveGrant) bool) error { return nil } // no grants to move
	c := ledgertest.NewFrom(t, keystest.Keyless(t, 4), map[string]ledger.Contract{
		keys.Contract: keys.New(none), identity.Contract: identity.New(),
	})
	m := keystest.New(t, c)
	run := m.Open()
	run.Post() // everybody joins
	run.Post() // and deals
	c.Now = c.Now.Add(keystest.Window)
	fmt.Println("nobody complained:", run.Close() == "")
	run.Post() // everybody confirms
	fmt.Println("in force:", run.Close() == "")

	a, err := keys.Current(m.Keys())
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := a.Sharing()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Members, s.Threshold(), "of", s.Members(), a.Complete)
	// Output:
	// nobody complained: true
	// in force: true
	// [east north south west] 3 of 4 true
}

// An auditor works out from the log what the contract did.
func ExampleMessages() {
	m := keystest.Found(new(testing.T), newChain(new(testing.T), 4))
	d, err := keys.Description(m.Keys(), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	machine, err := dkg.New(d, nil, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	log, err := keys.Messages(m.Keys(), 1, 0)
	for _, x := range log {
		if x.Raw == nil {
			err = machine.Tick(x.At)
		} else {
			err = machine.Step(x.At, x.Raw)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(machine.Phase(), machine.Confirmed(), err)
	// Output: complete [1 2 3 4] <nil>
}

func ExampleValidTransport() {
	fmt.Println(keys.ValidTransport(transport(new(testing.T))), keys.ValidTransport(make([]byte, 32)))
	// Output: true false
}
