package consent

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/pre"
)

func grant(call *ledger.Call, raw []byte, holds Holds) error {
	var args GrantArgs
	if err := parse(raw, &args); err != nil {
		return err
	}
	dealt, err := pre.ParseGrant(args.Grant)
	if err != nil || !args.Conditions.valid() {
		return ErrMalformed
	}
	id, err := ParseID(dealt.ID())
	if err != nil {
		return ErrMalformed
	}
	var to *abe.Audience
	if args.Recipient == "" {
		if to, err = abe.ParseAudience(dealt.Recipient()); err != nil {
			return ErrMalformed
		}
	}
	signer, err := person(call, MethodGrant)
	if err != nil {
		return err
	}
	if known, err := call.State.Get([]byte(keyGrant + string(id))); err != nil {
		return err
	} else if known != nil {
		return ErrTaken
	}
	if err := checkTerms(&args, dealt, call, holds); err != nil {
		return err
	}
	a, err := checkParties(call, signer, &args, dealt, to)
	if err != nil {
		return err
	}
	g := newGrant(call, &args, dealt, a)
	g.ID, g.Owner, g.By = id, identity.Name(dealt.Owner().Name), signer.Name
	if to != nil {
		g.Policy = to.Policy().String()
	}
	if args.Renews != "" {
		if err := renew(call, g); err != nil {
			return err
		}
	}
	if err := room(call, g.Owner); err != nil {
		return err
	}
	if args.Answers != "" {
		if err := answer(call, args.Answers, g, to); err != nil {
			return err
		}
	}
	return put(call, g, dealt, to)
}

// checkTerms checks what the arguments alone say of the grant.
func checkTerms(args *GrantArgs, dealt *pre.Grant, call *ledger.Call, holds Holds) error {
	hash, err := args.Conditions.Hash()
	if err != nil {
		return ErrMalformed
	}
	switch {
	case hash != dealt.Conditions(), args.Everything != (dealt.Type() == ""),
		!below(args.Conditions.Except, dealt.Type()), args.Conditions.Instance != "" && holds == nil:
		return ErrTerms
	case args.Conditions.NotAfter != 0 && args.Conditions.NotAfter <= call.Time:
		return ErrExpired
	case call.Sidecar.Size == 0:
		return ErrShares
	}
	return nil
}

// checkParties checks that the grant is what owner, recipient and members make
// of each other now. It returns the authority that it is dealt to.
func checkParties(call *ledger.Call, signer *identity.Identity, args *GrantArgs, dealt *pre.Grant, to *abe.Audience) (*keys.Authority, error) {
	a, sharing, err := authority(call)
	if err != nil {
		return nil, err
	}
	last, err := keys.Latest(call.Of(keys.Contract))
	if err != nil {
		return nil, err
	}
	if last.Moving() {
		return nil, ErrMoving
	}
	owner, err := lookup(call, identity.Name(dealt.Owner().Name), ErrDenied)
	if err != nil {
		return nil, err
	}
	from, err := owner.Recipient(call.Chain, sharing.Key())
	if err != nil {
		return nil, err
	}
	if !owner.ActedForBy(signer.Name, call.Time, call.Consortium) || dealt.Owner().Chain != from.Chain {
		return nil, ErrDenied
	}
	if signer.Name != owner.Name {
		switch {
		case from.SelfCustody():
			return nil, ErrCustody // it takes a secret that only she has
		case args.Recipient == signer.Name:
			return nil, ErrRecipient // he opens as her guardian, and not for longer than he is
		}
	}
	if !bytes.Equal(dealt.Owner().Description(), from.Description()) || dealt.Sharing().Generation() != sharing.Generation() {
		return nil, ErrStale
	}
	if dealt.Check(sharing) != nil {
		return nil, ErrShares
	}
	if to != nil {
		return a, checkAudience(call, from, args, to)
	}
	return a, checkName(call, sharing.Key(), from, args, dealt)
}

// checkName checks that the grant is for the identity that the arguments name,
// as the chain has it now.
func checkName(call *ledger.Call, key pre.PublicKey, from pre.Identity, args *GrantArgs, dealt *pre.Grant) error {
	recipient, err := lookup(call, args.Recipient, ErrRecipient)
	if err != nil {
		return err
	}
	to, err := recipient.Recipient(call.Chain, key)
	if err != nil {
		return err
	}
	if recipient.Name == identity.Name(from.Name) || !bytes.Equal(dealt.Recipient(), to.Description()) {
		return ErrRecipient
	}
	if args.Expose != (from.SelfCustody() && !to.SelfCustody()) {
		return ErrTerms
	}
	return nil
}

// checkAudience checks that the grant is for attributes that members of the
// consortium certify, in the epoch in which they certify them now: somebody who
// left one of them has no key of it.
func checkAudience(call *ledger.Call, from pre.Identity, args *GrantArgs, to *abe.Audience) error {
	switch {
	case from.SelfCustody():
		return ErrCustody // an authority can issue itself any key
	case args.Expose:
		return ErrTerms
	}
	of := call.Of(identity.Contract)
	for _, ref := range to.Authorities() {
		if call.Consortium.Member(ref.Name) == nil {
			return ErrRecipient
		}
		now, err := identity.CurrentAuthority(of, ref.Name)
		if errors.Is(err, identity.ErrNoAuthority) {
			return ErrRecipient
		}
		if err != nil {
			return err
		}
		if now.Ref() != ref {
			return ErrStale
		}
	}
	return nil
}

func newGrant(call *ledger.Call, args *GrantArgs, dealt *pre.Grant, a *keys.Authority) *Grant {
	n, t := len(a.Members), dealt.Sharing().Threshold()
	g := &Grant{
		Recipient: args.Recipient, Type: dealt.Type(), Version: dealt.Owner().Version, Epoch: dealt.Owner().Epoch,
		Conditions: args.Conditions, Raw: args.Grant, Generation: a.Generation,
		Members: uint8(n), Needed: uint8(t), Robust: uint8(min(t+(n-1)/3, n)),
		Index: call.Index, Time: call.Time, Renews: args.Renews,
	}
	if g.Conditions.Emergency {
		g.Needed = g.Robust
	}
	return g
}

// put stores a new grant.
func put(call *ledger.Call, g *Grant, dealt *pre.Grant, to *abe.Audience) error {
	if err := saveGrant(call.State, g); err != nil {
		return err
	}
	if err := store(call.State, []byte(keyBody+string(g.ID)), &body{Raw: g.Raw, Sharing: dealt.Sharing().Bytes()}); err != nil {
		return err
	}
	if err := call.State.Set(indexed(keyByOwner, string(g.Owner), g.Index), []byte(g.ID)); err != nil {
		return err
	}
	if to == nil {
		if err := call.State.Set(indexed(keyByRecipient, string(g.Recipient), g.Index), []byte(g.ID)); err != nil {
			return err
		}
	} else if err := indexPolicy(call, g, to); err != nil {
		return err
	}
	if err := call.State.Set([]byte(keyLive+string(g.ID)), set); err != nil {
		return err
	}
	if err := call.State.Set(indexed(keyLiveOf, string(g.Owner), g.Index), []byte(g.ID)); err != nil {
		return err
	}
	return emit(call, EventGrant, g)
}

// room returns ErrTooMany if as many grants of the owner live as may. It forgets
// those that live no more, which never live again.
func room(call *ledger.Call, owner identity.Name) error {
	live := 0
	err := each(call.State, []byte(keyLiveOf+string(owner)+"\x00"), 0, func(index uint64, id []byte) (bool, error) {
		g, err := lean(call.State, GrantID(id))
		if err != nil {
			return false, err
		}
		if g.lives(call.Time) {
			live++
			return true, nil
		}
		return true, call.State.Delete(indexed(keyLiveOf, string(owner), index))
	})
	if err == nil && live >= MaxLive {
		err = ErrTooMany
	}
	return err
}

// indexPolicy lists a grant under each authority that its policy names.
func indexPolicy(call *ledger.Call, g *Grant, to *abe.Audience) error {
	hash := sha256.Sum256([]byte(g.Policy))
	for _, ref := range to.Authorities() {
		if err := call.State.Set(indexed(keyByAuthority, ref.Name, g.Index), append([]byte(g.ID), hash[:]...)); err != nil {
			return err
		}
	}
	return nil
}

// renew ends the grant that g replaces.
func renew(call *ledger.Call, g *Grant) error {
	old, err := Lookup(call.State, g.Renews)
	switch {
	case err != nil:
		return err
	case old.Owner != g.Owner:
		return ErrDenied
	case old.Recipient != g.Recipient || old.Policy != g.Policy:
		return ErrRecipient
	case old.Ended != 0:
		return ErrRevoked
	}
	return end(call, old, g.By)
}

// end ends a grant with this transaction, which somebody signed.
func end(call *ledger.Call, g *Grant, by identity.Name) error {
	g.Ended, g.EndedBy, g.Ender = call.Time, call.Index, by
	if err := saveGrant(call.State, g); err != nil {
		return err
	}
	if err := call.State.Delete([]byte(keyLive + string(g.ID))); err != nil {
		return err
	}
	if err := call.State.Delete(indexed(keyLiveOf, string(g.Owner), g.Index)); err != nil {
		return err
	}
	call.Purge(g.Index)
	return emit(call, EventRevoke, g)
}

func revoke(call *ledger.Call, raw []byte) error {
	var args RevokeArgs
	if err := parse(raw, &args); err != nil {
		return err
	}
	signer, err := person(call, MethodRevoke)
	if err != nil {
		return err
	}
	g, err := Lookup(call.State, args.Grant)
	if err != nil {
		return err
	}
	if err := mayActFor(call, g.Owner, signer); err != nil {
		return err
	}
	if g.Ended != 0 {
		return ErrRevoked
	}
	return end(call, g, signer.Name)
}

func accept(call *ledger.Call, raw []byte) error {
	var args AcceptArgs
	if err := parse(raw, &args); err != nil {
		return err
	}
	if len(args.Accepts) < 1 || len(args.Accepts) > MaxAccepts {
		return ErrMalformed
	}
	for i := range args.Accepts[1:] {
		if args.Accepts[i].Grant >= args.Accepts[i+1].Grant {
			return ErrMalformed
		}
	}
	caller, err := authorize(call, MethodAccept)
	if err != nil {
		return err
	}
	if caller.Member == nil {
		return ErrDenied
	}
	a, err := keys.Current(call.Of(keys.Contract))
	if err != nil {
		return err
	}
	var counted []Accept
	var refused error
	for _, x := range args.Accepts {
		err := acceptOne(call, caller.Member, a, x)
		switch code, ok := err.(chain.Code); {
		case err == nil:
			counted = append(counted, x)
		case !ok:
			return err
		case refused == nil:
			refused = code
		}
	}
	// A word on a grant that ended meanwhile does not void the others.
	if len(counted) == 0 {
		return refused
	}
	args.Accepts = counted
	return emit(call, EventAccept, args)
}

func acceptOne(call *ledger.Call, member *chain.Member, a *keys.Authority, x Accept) error {
	g, err := lean(call.State, x.Grant)
	switch {
	case err != nil:
		return err
	case g.Ended != 0:
		return ErrRevoked
	case g.expired(call.Time):
		return ErrExpired
	case a == nil || a.Generation != g.Generation:
		return ErrStale // a ceremony gave every member that takes part a new share
	}
	index := a.Index(member.Name)
	if index == 0 {
		return ErrDenied
	}
	if slices.Contains(g.Accepted, index) {
		return nil // said before: a share that was good stays good
	}
	if !x.OK {
		g.Refused = with(g.Refused, index)
		return saveGrant(call.State, g)
	}
	g.Accepted = with(g.Accepted, index)
	g.Refused = slices.DeleteFunc(g.Refused, func(i uint8) bool { return i == index })
	if len(g.Accepted) == int(g.Members) {
		call.Purge(g.Index) // everybody has opened its own
	}
	return saveGrant(call.State, g)
}

// with returns the list with an index in its place.
func with(list []uint8, index uint8) []uint8 {
	at, ok := slices.BinarySearch(list, index)
	if ok {
		return list
	}
	return slices.Insert(list, at, index)
}
