package ledger_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// tickets hands out numbers, one to a signer.
type tickets struct{}

const errHasTicket chain.Code = "tickets/has-one"

func (tickets) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	if method != "draw" || len(args) != 0 {
		return nil, chain.Code("tickets/method")
	}
	mine, err := call.State.Get(call.Signer[:])
	if err != nil {
		return nil, err
	}
	if mine != nil {
		return nil, errHasTicket
	}
	last, err := call.State.Get([]byte("last"))
	if err != nil {
		return nil, err
	}
	number := []byte{0, 0, 0, 1}
	if last != nil {
		binary.BigEndian.PutUint32(number, binary.BigEndian.Uint32(last)+1)
	}
	if err := call.State.Set([]byte("last"), number); err != nil {
		return nil, err
	}
	return number, call.State.Set(call.Signer[:], number)
}

func ExampleContract() {
	c := ledgertest.New(new(testing.T), map[string]ledger.Contract{"tickets": tickets{}})
	for _, r := range c.Run(
		c.Tx("alice", "tickets", "draw", []byte{}),
		c.Tx("bob", "tickets", "draw", []byte{}),
		c.Tx("alice", "tickets", "draw", []byte{}),
	) {
		fmt.Println(r.Value, r.Err())
	}
	// Output:
	// [0 0 0 1] <nil>
	// [0 0 0 2] <nil>
	// [] tickets/has-one
}
