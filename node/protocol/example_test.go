package protocol_test

import (
	"fmt"
	"time"

	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/node/protocol"
)

func ExampleSignToken() {
	now := time.Now()
	text, err := protocol.SignToken("records.example", "east", now, ledgertest.Key("dr.lee@south"))
	if err != nil {
		fmt.Println(err)
		return
	}
	// The server:
	t, err := protocol.ParseToken(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Verify("records.example", "east", now.Add(time.Minute)))
	fmt.Println(t.Verify("records.example", "west", now.Add(time.Minute)))
	// Output:
	// <nil>
	// the token is for another member
}

func ExampleProblemOf() {
	p := protocol.ProblemOf(fmt.Errorf("access of p-7f3a@north: %w", consent.ErrRevoked))
	fmt.Println(p.Status, p.Code, p.Detail)
	fmt.Println(p.Err() == consent.ErrRevoked)
	// Output:
	// 409 consent/revoked the contract refuses
	// true
}
