package keys

import (
	"fmt"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/pre"
)

// Current returns the authority in force, or nil before the first ceremony is
// done. r reads the contract's namespace, here and below.
func Current(r ledger.Reader) (*Authority, error) { return load[Authority](r, []byte(keyAuthority)) }

// Previous returns the authority that was in force before the current one, or
// nil. Until the current one is Complete, its shares still serve.
func Previous(r ledger.Reader) (*Authority, error) { return load[Authority](r, []byte(keyPrevious)) }

// Latest returns the newest ceremony, or nil.
func Latest(r ledger.Reader) (*Ceremony, error) {
	number, err := load[uint64](r, []byte(keyLatest))
	if err != nil || number == nil {
		return nil, err
	}
	return load[Ceremony](r, key(keyCeremony, *number))
}

// Description returns what the members run for a ceremony, or ErrUnknown if
// there is no such ceremony or it is still Preparing.
func Description(r ledger.Reader, number uint64) (*dkg.Ceremony, error) {
	h, err := load[header](r, key(keyHeader, number))
	if err != nil {
		return nil, err
	}
	if h == nil || h.Opened == (point{}) {
		return nil, ErrUnknown
	}
	return describe(r, number, h)
}

// Messages returns the messages and ticks of a ceremony from the one with this
// number, 0 for the first, in the order of the log. Members' machines agree
// with the contract if they take exactly these: Step for a message, Tick for a
// tick, and nothing for any other transaction or block.
func Messages(r ledger.Reader, number, from uint64) ([]Message, error) {
	list, err := messages(r, number, from)
	if err != nil {
		return nil, err
	}
	out := make([]Message, len(list))
	for i, m := range list {
		out[i] = Message{At: m.At.dkg(), Sender: m.Sender}
		if out[i].Raw, err = assemble(r, number, m.Slot, m.Parts); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// messages returns what is kept of messages besides their parts.
func messages(r ledger.Reader, number, from uint64) (list []message, err error) {
	var bad error
	err = r.Scan(key(keyMessage, number), messageKey(number, from), func(_, value []byte) bool {
		var m message
		if bad = decode(value, &m); bad != nil {
			return false
		}
		list = append(list, m)
		return true
	})
	if err != nil {
		return nil, err
	}
	return list, bad
}

// assemble puts the parts of a message together; those of a tick are none.
func assemble(r ledger.Reader, number uint64, slot []byte, parts uint32) (whole []byte, err error) {
	for part := range parts {
		data, err := r.Get(partKey(number, slot, part))
		if err != nil {
			return nil, err
		}
		if data == nil {
			return nil, fmt.Errorf("a message of ceremony %d lacks part %d", number, part)
		}
		whole = append(whole, data...)
	}
	return whole, nil
}

// Moved returns the sharing of a grant in force if a ceremony moved it, with
// the members that confirmed; nil if it is still as it was dealt. lost says
// that a ceremony had to leave it behind: nobody can serve it any more.
func Moved(r ledger.Reader, grant string) (sharing *pre.Sharing, holders []uint8, lost bool, err error) {
	raw, holders, lost, err := MovedBytes(r, grant)
	if err != nil || raw == nil {
		return nil, nil, lost, err
	}
	sharing, err = pre.ParseSharing(raw)
	return sharing, holders, false, err
}

// MovedBytes is Moved for callers that need no more than the encoding of the
// sharing.
func MovedBytes(r ledger.Reader, grant string) (sharing []byte, holders []uint8, lost bool, err error) {
	a, err := Current(r)
	if err != nil || a == nil {
		return nil, nil, false, err
	}
	// Every reshare takes all live grants along, so the last one knows best.
	sharing, holders, ok, err := handedBytes(r, a, grant)
	if err != nil || ok {
		return sharing, holders, ok && sharing == nil, err
	}
	err = each(r, keyMoved, a.Ceremony, grant, func(m *moved) bool {
		if m.ID == grant {
			sharing, lost = m.Sharing, len(m.Sharing) == 0
		}
		return m.ID < grant
	})
	if err != nil || len(sharing) == 0 {
		return nil, nil, lost, err
	}
	return sharing, a.Holders, false, nil
}

// Confirmed returns the indices of the members that have confirmed the result of
// a ceremony, as far as the state has it: none while the ceremony runs, and for
// an earlier one that moved the keys.
func Confirmed(r ledger.Reader, number uint64) ([]uint8, error) {
	p, err := load[part](r, key(keyOfPart, number))
	if err != nil || p != nil && !p.Keys {
		return holdersOf(p), err
	}
	a, err := Current(r)
	if err != nil || a == nil || a.Ceremony != number {
		return nil, err
	}
	return a.Holders, nil
}

func holdersOf(p *part) []uint8 {
	if p == nil {
		return nil
	}
	return p.Holders
}

// Transport returns the key to which shares are sealed for a member, or nil.
func Transport(r ledger.Reader, member string) ([]byte, error) {
	return r.Get([]byte(keyTransport + member))
}
