package consent

import (
	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// States of a request.
const (
	RequestOpen      = "open"
	RequestGranted   = "granted"
	RequestDenied    = "denied"
	RequestWithdrawn = "withdrawn"
)

func request(call *ledger.Call, raw []byte) error {
	var args RequestArgs
	if err := parse(raw, &args); err != nil {
		return err
	}
	if _, err := pre.ParseType(string(args.Type)); err != nil || !args.Purpose.Valid() || args.NotAfter < 0 {
		return ErrMalformed
	}
	from, err := person(call, MethodRequest)
	if err != nil {
		return err
	}
	if args.NotAfter != 0 && args.NotAfter <= call.Time {
		return ErrExpired
	}
	owner, err := lookup(call, args.Owner, ErrUnknown)
	if err != nil {
		return err
	}
	if owner.Name == from.Name {
		return ErrDenied
	}
	q := &Request{
		ID: call.ID.String(), Index: call.Index, Time: call.Time, From: from.Name, Owner: owner.Name,
		Type: args.Type, Purpose: args.Purpose, NotAfter: args.NotAfter, State: RequestOpen,
	}
	if err := mayAsk(call, q); err != nil {
		return err
	}
	for _, k := range [][]byte{pendingKey(q), indexed(keyToOwner, string(q.Owner), q.Index), indexed(keyFrom, string(q.From), q.Index)} {
		if err := call.State.Set(k, []byte(q.ID)); err != nil {
			return err
		}
	}
	return saveRequest(call, q)
}

// mayAsk returns ErrTaken if the asker has a request to the owner open for the
// type, or MaxRequests for others: types are for askers to make up, and nobody
// shall flood an owner.
func mayAsk(call *ledger.Call, q *Request) error {
	if open, err := call.State.Get(pendingKey(q)); err != nil {
		return err
	} else if open != nil {
		return ErrTaken
	}
	open := 0
	err := call.State.Scan(pendingPrefix(q), nil, func([]byte, []byte) bool {
		open++
		return open < MaxRequests
	})
	if err == nil && open == MaxRequests {
		err = ErrTaken
	}
	return err
}

func saveRequest(call *ledger.Call, q *Request) error {
	if err := store(call.State, []byte(keyRequest+q.ID), q); err != nil {
		return err
	}
	return emit(call, EventRequest, q)
}

// settle closes an open request.
func settle(call *ledger.Call, q *Request, state string, by identity.Name) error {
	q.State, q.By = state, by
	if err := call.State.Delete(pendingKey(q)); err != nil {
		return err
	}
	return saveRequest(call, q)
}

func deny(call *ledger.Call, raw []byte) error {
	var args DenyArgs
	if err := parse(raw, &args); err != nil {
		return err
	}
	by, err := person(call, MethodDeny)
	if err != nil {
		return err
	}
	q, err := LookupRequest(call.State, args.Request)
	if err != nil {
		return err
	}
	state := RequestDenied
	if by.Name == q.From {
		state = RequestWithdrawn
	} else if err := mayActFor(call, q.Owner, by); err != nil {
		return err
	}
	if q.State != RequestOpen {
		return ErrReviewed
	}
	return settle(call, q, state, by.Name)
}

// answer closes the request that a grant answers.
func answer(call *ledger.Call, id string, g *Grant, to *abe.Audience) error {
	q, err := LookupRequest(call.State, id)
	switch {
	case err != nil:
		return err
	case q.Owner != g.Owner:
		return ErrDenied
	case to == nil && q.From != g.Recipient:
		return ErrRecipient
	case q.State != RequestOpen:
		return ErrReviewed
	case !g.Type.Covers(q.Type):
		return ErrType
	}
	if to != nil {
		from, err := lookup(call, q.From, ErrRecipient)
		if err != nil {
			return err
		}
		if !from.Satisfies(call.Consortium, to.Policy(), call.Time) {
			return ErrRecipient
		}
	}
	q.Grant = g.ID
	return settle(call, q, RequestGranted, g.By)
}
