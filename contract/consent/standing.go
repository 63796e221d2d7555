package consent

import (
	"errors"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// Status returns the status at a block time in Unix milliseconds. It does not
// know of StatusStale and StatusLost, nor of shares that a ceremony moved to
// members that did not accept them before; Standing does.
func (g *Grant) Status(time int64) Status {
	return g.status(time, len(g.Accepted) >= int(g.Needed))
}

func (g *Grant) status(time int64, held bool) Status {
	switch {
	case g.Ended != 0:
		return StatusRevoked
	case g.expired(time):
		return StatusExpired
	case g.usedUp():
		return StatusUsedUp
	case !held:
		return StatusPending
	case time < g.Conditions.NotBefore:
		return StatusEarly
	}
	return StatusActive
}

func (g *Grant) expired(time int64) bool {
	return g.Conditions.NotAfter != 0 && time > g.Conditions.NotAfter
}

func (g *Grant) usedUp() bool { return g.Conditions.MaxUses != 0 && g.Uses >= g.Conditions.MaxUses }

// InForce returns the sharing that serves the grant now, as it was dealt or as a
// ceremony moved it, and the members that hold a share of it. The error is
// ErrLost if nobody can serve it any more. keysState reads the namespace of
// package keys; g is from Lookup.
func (g *Grant) InForce(keysState ledger.Reader) (*pre.Sharing, []uint8, error) {
	raw, holders, err := g.moved(keysState)
	if err != nil {
		return nil, nil, err
	}
	if raw != nil {
		s, err := pre.ParseSharing(raw)
		return s, holders, err
	}
	dealt, err := pre.ParseGrant(g.Raw)
	if err != nil {
		return nil, nil, err
	}
	return dealt.Sharing(), g.Accepted, nil
}

// moved returns the sharing that a ceremony made for the grant with its
// holders, nil if it is as it was dealt, or ErrLost.
func (g *Grant) moved(keysState ledger.Reader) (sharing []byte, holders []uint8, err error) {
	sharing, holders, lost, err := keys.MovedBytes(keysState, string(g.ID))
	if err != nil || sharing != nil {
		return sharing, holders, err
	}
	a, err := keys.Current(keysState)
	if err != nil {
		return nil, nil, err
	}
	if lost || a == nil || a.Generation != g.Generation {
		return nil, nil, ErrLost // a ceremony came between and did not take it along
	}
	return nil, nil, nil
}

// held reports whether enough members hold a share, or returns ErrLost.
func (g *Grant) held(keysState ledger.Reader) (bool, error) {
	raw, holders, err := g.moved(keysState)
	if err != nil {
		return false, err
	}
	if raw == nil {
		return len(g.Accepted) >= int(g.Needed), nil
	}
	if !g.Conditions.Emergency {
		return true, nil // a ceremony is in force only when enough members confirmed
	}
	s, err := pre.ParseSharing(raw)
	if err != nil {
		return false, err
	}
	return len(holders) >= s.Threshold()+(s.Members()-1)/3, nil
}

// Standing returns the grant's status at a block time with everything that
// bears on it; the readers are of the namespaces of the packages.
func Standing(g *Grant, identities, keysState ledger.Reader, time int64) (Status, error) {
	held, err := g.held(keysState)
	lost := errors.Is(err, ErrLost)
	if err != nil && !lost {
		return "", err
	}
	s := g.status(time, held)
	if lost && s == StatusPending {
		return StatusLost, nil
	}
	if s != StatusActive {
		return s, nil
	}
	owner, err := identity.Lookup(identities, g.Owner)
	if err != nil {
		return "", err
	}
	if owner.Version != g.Version || owner.Epoch != g.Epoch {
		return StatusStale, nil
	}
	return s, nil
}

// usable returns why a grant may not be used at a block time, or nil.
func (g *Grant) usable(keysState ledger.Reader, time int64) error {
	held, err := g.held(keysState)
	if err != nil && !errors.Is(err, ErrLost) {
		return err
	}
	switch g.status(time, held) {
	case StatusRevoked:
		return ErrRevoked
	case StatusExpired:
		return ErrExpired
	case StatusUsedUp:
		return ErrUsedUp
	case StatusPending:
		if err != nil {
			return err
		}
		return ErrPending
	case StatusEarly:
		return ErrEarly
	}
	return nil
}

// Serveable returns nil if members may answer the access at this block time:
// it is within its window, and what the rules asked when it was committed still
// holds: the grant did not end and can be served, no record was erased, the key
// that signed is still the reader's, an emergency was not found to be abuse, and
// who broke the glass without a grant is still an emergency clinician of a member
// of k, the consortium file in force. of gives the namespaces of the contracts.
func Serveable(k *chain.Consortium, of func(contract string) ledger.Reader, a *Access, time int64) error {
	if time < a.Time {
		return ErrEarly
	}
	if time-a.Time > AnswerWindow.Milliseconds() {
		return ErrExpired
	}
	reader, err := identity.Lookup(of(identity.Contract), a.Reader)
	if errors.Is(err, identity.ErrUnknown) {
		return ErrDenied
	}
	if err != nil {
		return err
	}
	if reader.Key != a.Key { // it was replaced since, perhaps because others had it
		return ErrDenied
	}
	now, err := LookupAccess(of(Contract), a.Index)
	if err != nil {
		return err
	}
	if now.ID != a.ID {
		return ErrUnknown
	}
	if now.Outcome == OutcomeAbuse {
		return ErrDenied
	}
	if now.Grant == "" && !reader.Vouched(k, identity.Emergency, "", time) {
		return ErrDenied
	}
	if err := stillCovered(of, now, time); err != nil {
		return err
	}
	for _, id := range now.Records {
		r, err := record.Lookup(of(record.Contract), id)
		if errors.Is(err, record.ErrUnknown) {
			return ErrRecord
		}
		if err != nil {
			return err
		}
		if r.Erased != 0 {
			return ErrErased
		}
	}
	return nil
}

// stillCovered checks what the access rests on: its grant, or the rule for
// emergencies.
func stillCovered(of func(contract string) ledger.Reader, a *Access, time int64) error {
	if a.Grant == "" {
		owner, err := identity.Lookup(of(identity.Contract), a.Owner)
		if err != nil {
			return err
		}
		if owner.Version != 0 {
			return ErrCustody
		}
		return nil
	}
	g, err := lean(of(Contract), a.Grant)
	if err != nil {
		return err
	}
	keysState := of(keys.Contract)
	switch err := g.usable(keysState, time); err {
	case ErrUsedUp: // this access is one of its uses
		held, err := g.held(keysState)
		if err == nil && !held {
			err = ErrPending
		}
		return err
	default:
		return err
	}
}

// Live is what keys.New needs: every grant that a ceremony must move.
func Live(r ledger.Reader, time int64, after string, fn func(keys.LiveGrant) bool) error {
	for {
		var ids []string
		err := r.Scan([]byte(keyLive), []byte(keyLive+after+"\x00"), func(key, _ []byte) bool {
			ids = append(ids, string(key[len(keyLive):]))
			return len(ids) < page
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			g, err := lean(r, GrantID(id))
			if err != nil {
				return err
			}
			if g.Ended != 0 || g.expired(time) || g.usedUp() && time-g.Used > AnswerWindow.Milliseconds() {
				continue
			}
			b, err := load[body](r, []byte(keyBody+id))
			if err != nil {
				return err
			}
			if !fn(keys.LiveGrant{ID: id, Sharing: b.Sharing, Holders: g.Accepted}) {
				return nil
			}
		}
		if len(ids) < page {
			return nil
		}
		after = ids[len(ids)-1]
	}
}
