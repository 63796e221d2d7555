// Package contract puts the contracts of a Ward chain together: every member
// runs exactly these.
package contract

import (
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
)

// All returns the contracts by name.
func All() map[string]ledger.Contract {
	return map[string]ledger.Contract{
		identity.Contract: identity.New(),
		record.Contract:   record.New(),
		consent.Contract:  consent.New(workflow.Holds),
		keys.Contract:     keys.New(consent.Live),
		workflow.Contract: workflow.New(),
	}
}

// Serveable is consent.Serveable by the rules of All.
func Serveable(k *chain.Consortium, of func(contract string) ledger.Reader, a *consent.Access, time int64) error {
	return consent.Serveable(k, of, a, time, workflow.Holds)
}
