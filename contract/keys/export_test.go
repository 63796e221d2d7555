package keys

import "github.com/ward-health/ward/chain/ledger"

// NewLimited is New for a contract that writes no more than so many bytes of
// lists in one transaction.
func NewLimited(live Live, writes int) ledger.Contract { return &contract{live: live, writes: writes} }
