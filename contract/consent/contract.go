package consent

import (
	"errors"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/pre"
)

type contract struct{}

// New returns the contract. It is safe for concurrent use by several executors.
func New() ledger.Contract { return contract{} }

// Apply implements ledger.Contract.
func (contract) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	caller, err := identity.Authorize(call, Contract, method)
	if errors.Is(err, identity.ErrDenied) {
		return nil, ErrDenied
	}
	if err != nil {
		return nil, err
	}
	switch method {
	case MethodGrant:
		return nil, grant(call, caller.Identity, args)
	case MethodAccept:
		return nil, accept(call, caller.Member, args)
	case MethodRevoke:
		return nil, revoke(call, caller.Identity, args)
	case MethodAccess:
		return access(call, caller.Identity, args)
	case MethodEmergency:
		return emergency(call, caller.Identity, args)
	case MethodReview:
		return nil, review(call, caller.Identity, args)
	case MethodRequest:
		return nil, request(call, caller.Identity, args)
	case MethodDeny:
		return nil, deny(call, caller.Identity, args)
	}
	return nil, ErrDenied
}

func parse(args []byte, v any) error {
	if chain.Unmarshal(args, v) != nil {
		return ErrMalformed
	}
	return nil
}

// lookup returns the identity with this name, or the code unknown.
func lookup(call *ledger.Call, name identity.Name, unknown chain.Code) (*identity.Identity, error) {
	id, err := identity.Lookup(call.Of(identity.Contract), name)
	if errors.Is(err, identity.ErrUnknown) {
		return nil, unknown
	}
	return id, err
}

// authority returns the consortium's extraction key with the authority that
// holds it, or ErrNoKey.
func authority(call *ledger.Call) (pre.PublicKey, *keys.Authority, error) {
	p, a, err := keys.InForce(call.Of(keys.Contract), call.Consortium)
	if errors.Is(err, keys.ErrNoKey) {
		return p, nil, ErrNoKey
	}
	return p, a, err
}
