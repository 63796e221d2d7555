package record

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/store"
)

// New returns the contract. It is safe for concurrent use by several executors.
func New() ledger.Contract { return &contract{} }

type contract struct{ memo memo }

// Apply implements ledger.Contract. Results are empty.
func (c *contract) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	switch method {
	case MethodPut:
		a, err := parsePut(args)
		if err != nil {
			return nil, err
		}
		return nil, c.put(call, a)
	case MethodErase:
		var a EraseArgs
		if chain.Unmarshal(args, &a) != nil {
			return nil, ErrMalformed
		}
		if _, err := ParseID(string(a.ID)); err != nil {
			return nil, err
		}
		return nil, erase(call, a.ID)
	}
	return nil, ErrDenied
}

// parsePut checks all that can be checked of the arguments alone, but the
// envelope.
func parsePut(args []byte) (*PutArgs, error) {
	a := new(PutArgs)
	if chain.Unmarshal(args, a) != nil {
		return nil, ErrMalformed
	}
	_, err := ParseID(string(a.ID))
	if err == nil {
		_, err = identity.ParseName(string(a.Owner))
	}
	if err == nil {
		_, err = pre.ParseType(string(a.Type))
	}
	if err == nil && len(a.Payload) > 0 {
		_, err = store.ParseRefBytes(a.Payload)
	}
	if err == nil && a.Replaces != "" {
		_, err = ParseID(string(a.Replaces))
	}
	if err != nil || (len(a.Payload) > 0) != (a.Size > 0) || a.Size > math.MaxInt64 || a.Dated < 0 || a.Dated%Day != 0 {
		return nil, ErrMalformed
	}
	return a, nil
}

func (c *contract) put(call *ledger.Call, a *PutArgs) error {
	author, err := authorize(call, MethodPut)
	if err != nil {
		return err
	}
	if a.Dated > call.Time+MaxAhead {
		return ErrMalformed
	}
	if call.Sidecar.Size == 0 {
		return ErrSidecar
	}
	owner, err := identity.Lookup(call.Of(identity.Contract), a.Owner)
	if errors.Is(err, identity.ErrUnknown) {
		return ErrOwner
	} else if err != nil {
		return err
	}
	if author.Name != a.Owner && !author.Vouched(call.Consortium, identity.Author, "", call.Time) {
		return ErrDenied
	}
	authority, err := c.memo.authority(call.Consortium)
	if err != nil {
		return ErrNoKey
	}
	header, err := headerOf(call.Chain, authority, a, owner, author.Name)
	if err != nil {
		return err
	}
	rec := &Record{
		ID: a.ID, Owner: a.Owner, Author: author.Name, Type: a.Type, Version: a.Version, Epoch: a.Epoch,
		Key: header.Owner.Key.Bytes(), Envelope: a.Envelope, Payload: a.Payload, Size: a.Size, Dated: a.Dated,
		Index: call.Index, Time: call.Time, Replaces: a.Replaces,
	}
	if _, err := Lookup(call.State, a.ID); err == nil {
		return ErrTaken
	} else if !errors.Is(err, ErrUnknown) {
		return err
	}
	if err := supersede(call, rec, author); err != nil {
		return err
	}
	if err := c.spend(call, header, a.Envelope); err != nil {
		return err
	}
	if err := refer(call.State, rec); err != nil {
		return err
	}
	index := binary.BigEndian.AppendUint64(ownerPrefix(rec.Owner), rec.Index)
	if err := call.State.Set(index, []byte(rec.ID)); err != nil {
		return err
	}
	return save(call, EventPut, rec)
}

// headerOf returns what the envelope must be bound to, if the arguments name the
// owner's key version and epoch in force.
func headerOf(chainID string, authority pre.PublicKey, a *PutArgs, owner *identity.Identity, author identity.Name) (pre.Header, error) {
	if a.Version != owner.Version || a.Epoch != owner.Epoch {
		return pre.Header{}, ErrStale
	}
	id, err := owner.Recipient(chainID, authority)
	if err != nil {
		return pre.Header{}, err
	}
	return pre.Header{Record: string(a.ID), Owner: id, Type: a.Type, Author: string(author)}, nil
}

// spend checks the envelope and marks its capsule as used.
func (c *contract) spend(call *ledger.Call, header pre.Header, envelope []byte) error {
	v, err := c.memo.verdict(header, envelope)
	if err != nil {
		return err
	}
	if !v.holds {
		return ErrCapsule
	}
	key := capsuleKey(v.u[:])
	seen, err := call.State.Get(key)
	if err != nil {
		return err
	}
	if seen != nil {
		return ErrReused
	}
	return call.State.Set(key, []byte{1})
}

// supersede marks the record that rec replaces, if there is one.
func supersede(call *ledger.Call, rec *Record, by *identity.Identity) error {
	if rec.Replaces == "" {
		return nil
	}
	old, err := Lookup(call.State, rec.Replaces)
	switch {
	case err != nil:
		return err
	case old.Owner != rec.Owner, old.Replaced != "":
		return ErrReplaced
	case old.Erased != 0:
		return ErrErased
	case by.Name != rec.Owner && (old.Author == old.Owner || old.Author.Org() != by.Name.Org()):
		return ErrDenied // what an owner wrote herself, only she replaces
	}
	old.Replaced = rec.ID
	return set(call.State, recordKey(old.ID), old)
}

// refer counts the record's reference to its payload.
func refer(state *ledger.View, rec *Record) error {
	if len(rec.Payload) == 0 {
		return nil
	}
	p, err := lookupPayload(state, rec.Payload)
	if err != nil {
		return err
	}
	if p.Count > 0 && p.Owner != rec.Owner {
		return ErrPayload
	}
	p.Owner = rec.Owner
	p.Count++
	return set(state, payloadKey(rec.Payload), &p)
}

// release takes refer back.
func release(state *ledger.View, rec *Record) error {
	if len(rec.Payload) == 0 {
		return nil
	}
	p, err := lookupPayload(state, rec.Payload)
	if err != nil {
		return err
	}
	if p.Count <= 1 {
		return state.Delete(payloadKey(rec.Payload))
	}
	p.Count--
	return set(state, payloadKey(rec.Payload), &p)
}

func erase(call *ledger.Call, id ID) error {
	by, err := authorize(call, MethodErase)
	if err != nil {
		return err
	}
	rec, err := Lookup(call.State, id)
	if err != nil {
		return err
	}
	if by.Name != rec.Owner {
		return ErrDenied
	}
	if rec.Erased != 0 {
		return ErrErased
	}
	if err := release(call.State, rec); err != nil {
		return err
	}
	call.Purge(rec.Index)
	rec.Erased, rec.Envelope, rec.Key = call.Time, nil, nil
	return save(call, EventErase, rec)
}

// authorize returns the identity that signed, which every line of the table asks
// for here.
func authorize(call *ledger.Call, method string) (*identity.Identity, error) {
	by, err := identity.Authorize(call, Contract, method)
	if errors.Is(err, identity.ErrDenied) {
		return nil, ErrDenied
	}
	return by.Identity, err
}

// save stores the record and tells subscribers.
func save(call *ledger.Call, event string, rec *Record) error {
	if err := set(call.State, recordKey(rec.ID), rec); err != nil {
		return err
	}
	short := *rec
	short.Envelope = nil
	data, err := chain.Marshal(&short)
	if err != nil {
		return err
	}
	call.Emit(event, data)
	return nil
}

func set(state *ledger.View, key []byte, v any) error {
	value, err := chain.Marshal(v)
	if err != nil {
		return err
	}
	return state.Set(key, value)
}
