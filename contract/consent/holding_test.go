package consent_test

import (
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
)

// holding is a contract that knows nothing of workflows but who holds which.
type holding struct{}

// workflows is its name on the chain.
const workflows = "workflow"

// Apply hands the instance that the method names to whom the arguments name.
func (holding) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	return nil, call.State.Set([]byte(method), args)
}

func holds(of func(contract string) ledger.Reader, instance string, reader identity.Name, _ int64) (bool, error) {
	holder, err := of(workflows).Get([]byte(instance))
	return err == nil && string(holder) == string(reader), err
}

// hand hands a workflow to somebody.
func (w *world) hand(instance string, to identity.Name) {
	w.Helper()
	w.must(w.run("east", workflows, instance, []byte(to), nil))
}
