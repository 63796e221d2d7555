package keys

import (
	"encoding/binary"
	"errors"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// A KeyRequest is what the chain keeps of a guardian's request for a key of the
// ward's: from then on he can open what the key reaches.
type KeyRequest struct {
	_     struct{} `cbor:",toarray"`
	Index uint64   // leaf index
	Time  int64    // block time
	By    identity.Name
	Owner identity.Name
	Type  pre.Type
	Epoch uint64
}

// AttributeKeys is the type under which attribute keys are sealed to their
// holders: a sealed component, which no key and no grant on an ancestor reaches.
// No record on the chain need be of it, and guardians get no key of it. Part of
// the rules.
const AttributeKeys pre.Type = "sealed:attributes"

// EventRequest tells of a guardian's request; its data is the KeyRequest. What
// owners ask for themselves is nobody's business.
const EventRequest = "keys/request"

func request(call *ledger.Call, raw []byte) ([]byte, error) {
	var args RequestArgs
	if err := parse(raw, &args); err != nil {
		return nil, err
	}
	if _, err := pre.ParseType(string(args.Type)); err != nil || args.Inbox && args.Type != "" || !ValidTransport(args.Transport) {
		return nil, ErrMalformed
	}
	caller, err := authorize(call, MethodRequest)
	if err != nil {
		return nil, err
	}
	if caller.Identity == nil {
		return nil, ErrDenied
	}
	owner := caller.Identity
	guarded := args.Owner != "" && args.Owner != owner.Name
	if guarded {
		if owner, err = ward(call, owner.Name, &args); err != nil {
			return nil, err
		}
	}
	_, s, err := InForce(call.State, call.Consortium)
	if err != nil {
		return nil, err
	}
	id, err := owner.Recipient(call.Chain, s.Key())
	if err != nil {
		return nil, err
	}
	if args.Epoch > id.Epoch {
		return nil, ErrEpoch
	}
	id.Epoch = args.Epoch
	if guarded {
		q := &KeyRequest{Index: call.Index, Time: call.Time, By: caller.Identity.Name, Owner: owner.Name, Type: args.Type, Epoch: args.Epoch}
		if err := logRequest(call, q); err != nil {
			return nil, err
		}
	}
	return chain.Marshal(RequestResult{Identity: id.Description()})
}

// ward returns the owner for whom a guardian asks.
func ward(call *ledger.Call, guardian identity.Name, args *RequestArgs) (*identity.Identity, error) {
	owner, err := identity.Lookup(call.Of(identity.Contract), args.Owner)
	switch {
	case errors.Is(err, identity.ErrUnknown):
		return nil, ErrDenied
	case err != nil:
		return nil, err
	case args.Inbox || AttributeKeys.Covers(args.Type): // what others granted to the ward they granted to nobody else
		return nil, ErrDenied
	case !owner.ActedForBy(guardian, call.Time, call.Consortium):
		return nil, ErrDenied
	case owner.Version != 0: // it would be of no use to him, and is half of a key
		return nil, ErrCustody
	}
	return owner, nil
}

func requestKey(owner identity.Name, index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(keyRequests+string(owner)+"\x00"), index)
}

func logRequest(call *ledger.Call, q *KeyRequest) error {
	value, err := chain.Marshal(q)
	if err != nil {
		return err
	}
	call.Emit(EventRequest, value)
	return call.State.Set(requestKey(q.Owner, q.Index), value)
}

// EachRequest calls fn with the requests of guardians for keys of an owner, in
// ascending order of leaf indices, beginning after one, until fn returns false.
// After 0 stands for the beginning.
func EachRequest(r ledger.Reader, owner identity.Name, after uint64, fn func(*KeyRequest) bool) error {
	prefix := []byte(keyRequests + string(owner) + "\x00")
	var start []byte
	if after != 0 {
		start = requestKey(owner, after+1)
	}
	var bad error
	err := r.Scan(prefix, start, func(_, value []byte) bool {
		q := new(KeyRequest)
		if bad = decode(value, q); bad != nil {
			return false
		}
		return fn(q)
	})
	if err != nil {
		return err
	}
	return bad
}
