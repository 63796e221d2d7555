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
	s, err := g.standing(keysState, time, false)
	if err != nil || s != StatusActive {
		return s, err
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

// Code returns with what the contract refuses an access under a grant of this
// status, "" if it does not: a stale grant still works for older records.
func (s Status) Code() chain.Code {
	switch s {
	case StatusActive, StatusStale:
		return ""
	case StatusPending:
		return ErrPending
	case StatusEarly:
		return ErrEarly
	case StatusExpired:
		return ErrExpired
	case StatusUsedUp:
		return ErrUsedUp
	case StatusLost:
		return ErrLost
	}
	return ErrRevoked
}

// standing is Standing without what the owner did since. For an access that was
// accepted, answering is true: it is one of the uses.
func (g *Grant) standing(keysState ledger.Reader, time int64, answering bool) (Status, error) {
	held, err := g.held(keysState)
	lost := errors.Is(err, ErrLost)
	if err != nil && !lost {
		return "", err
	}
	s := g.status(time, held)
	if answering && s == StatusUsedUp {
		if s = StatusActive; !held {
			s = StatusPending
		}
	}
	if lost && s == StatusPending {
		s = StatusLost
	}
	return s, nil
}

// Serveable returns nil if members may answer the access at this block time:
// it is within its window, and what the rules asked when it was committed still
// holds: the grant did not end and can be served, the reader satisfies its
// policy and holds its workflow, no record was erased, the key that signed is
// still the reader's, an emergency was not found to be abuse, and who broke the
// glass without a grant is still an emergency clinician of a member of k, the
// consortium file in force. of gives the namespaces of the contracts, holds is
// what New was given.
func Serveable(k *chain.Consortium, of func(contract string) ledger.Reader, a *Access, time int64, holds Holds) error {
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
	if now.Grant == "" {
		return stillAnEmergency(k, of, now, reader, time)
	}
	return stillCovered(k, of, now, reader, time, holds)
}

// stillAnEmergency checks what an emergency without a grant rests on.
func stillAnEmergency(k *chain.Consortium, of func(contract string) ledger.Reader, a *Access, reader *identity.Identity, time int64) error {
	if !reader.Vouched(k, identity.Emergency, "", time) {
		return ErrDenied
	}
	owner, err := identity.Lookup(of(identity.Contract), a.Owner)
	if err != nil {
		return err
	}
	if owner.Version != 0 {
		return ErrCustody
	}
	records, err := lookupRecords(of(record.Contract), a.Records)
	if err != nil {
		return err
	}
	return unerased(records)
}

// stillCovered checks an access against its grant again, but for what the
// reader asked and who signed.
func stillCovered(k *chain.Consortium, of func(contract string) ledger.Reader, a *Access, reader *identity.Identity, time int64, holds Holds) error {
	g, err := lean(of(Contract), a.Grant)
	if err != nil {
		return err
	}
	c := &Case{Grant: g, Consortium: k, Time: time, Reader: reader}
	if c.Status, err = g.standing(of(keys.Contract), time, true); err != nil {
		return err
	}
	if err := c.ask(of, holds); err != nil {
		return err
	}
	if err := c.first(ofReader); err != nil {
		return err
	}
	if c.Records, err = lookupRecords(of(record.Contract), a.Records); err != nil {
		return err
	}
	return c.first(ofRecords)
}

// ask finds out whether the reader holds the grant's workflow, if it is for one.
func (c *Case) ask(of func(contract string) ledger.Reader, holds Holds) (err error) {
	instance := c.Grant.Conditions.Instance
	if instance == "" {
		return nil
	}
	if holds == nil {
		return ErrTerms
	}
	c.Holder, err = holds(of, instance, c.Reader.Name, c.Time)
	return err
}

// lives reports whether members may still have to answer under the grant. One
// that lives no more never does again.
func (g *Grant) lives(time int64) bool {
	return g.Ended == 0 && !g.expired(time) && (!g.usedUp() || time-g.Used <= AnswerWindow.Milliseconds())
}

// Live is what keys.New needs: every grant that a ceremony must move, and among
// them those that ended by themselves.
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
			if !g.lives(time) {
				if !fn(keys.LiveGrant{ID: id, Ended: true}) {
					return nil
				}
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
