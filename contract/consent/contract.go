package consent

import (
	"errors"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/pre"
)

// Holds reports whether a reader is the present holder of a workflow instance
// at a block time in Unix milliseconds; of gives the namespaces of the contracts.
// An instance that is not there is held by nobody. It is a pure function of
// what it reads.
type Holds func(of func(contract string) ledger.Reader, instance string, reader identity.Name, time int64) (bool, error)

type contract struct{ holds Holds }

// New returns the contract. Without holds, grants for who holds a workflow are
// refused. It is safe for concurrent use by several executors.
func New(holds Holds) ledger.Contract { return contract{holds} }

// Apply implements ledger.Contract.
func (c contract) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	switch method {
	case MethodGrant:
		return nil, grant(call, args, c.holds)
	case MethodAccept:
		return nil, accept(call, args)
	case MethodRevoke:
		return nil, revoke(call, args)
	case MethodAccess:
		return access(call, args, c.holds)
	case MethodEmergency:
		return emergency(call, args)
	case MethodReview:
		return nil, review(call, args)
	case MethodRequest:
		return nil, request(call, args)
	case MethodDeny:
		return nil, deny(call, args)
	case MethodDefaults:
		return nil, setDefaults(call, args)
	}
	return nil, ErrDenied
}

// authorize returns who signed, or ErrDenied.
func authorize(call *ledger.Call, method string) (identity.Caller, error) {
	caller, err := identity.Authorize(call, Contract, method)
	if errors.Is(err, identity.ErrDenied) {
		return caller, ErrDenied
	}
	return caller, err
}

// person is authorize for methods that only identities call.
func person(call *ledger.Call, method string) (*identity.Identity, error) {
	caller, err := authorize(call, method)
	if err == nil && caller.Identity == nil {
		err = ErrDenied
	}
	return caller.Identity, err
}

// mayActFor returns ErrDenied unless who signed is the owner or a guardian of
// hers in force.
func mayActFor(call *ledger.Call, owner identity.Name, signer *identity.Identity) error {
	ok, err := identity.ActsFor(call.Of(identity.Contract), owner, signer.Name, call.Time, call.Consortium)
	if err == nil && !ok {
		err = ErrDenied
	}
	return err
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

// authority returns the authority in force and its sharing, or ErrNoKey.
func authority(call *ledger.Call) (*keys.Authority, *pre.Sharing, error) {
	a, s, err := keys.InForce(call.Of(keys.Contract), call.Consortium)
	if errors.Is(err, keys.ErrNoKey) {
		return nil, nil, ErrNoKey
	}
	return a, s, err
}
