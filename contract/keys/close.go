package keys

import (
	"slices"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/dkg/threshold"
)

// closePhase runs the ceremony anew with this transaction as a tick and records
// what became of it.
func (c *contract) closePhase(call *ledger.Call, raw []byte) ([]byte, error) {
	var args CloseArgs
	if err := parse(raw, &args); err != nil {
		return nil, err
	}
	by, err := member(call, MethodClose)
	if err != nil {
		return nil, err
	}
	cer, h, err := open(call.State, args.Number)
	if err != nil {
		return nil, err
	}
	c.replay.mu.Lock()
	defer c.replay.mu.Unlock()
	if err := c.replay.forward(call.State, cer.Number, h); err != nil {
		return nil, err
	}
	if err := c.replay.tick(call.State, cer.Number, h, at(call)); err != nil {
		return nil, err
	}
	m := c.replay.machine
	a, err := Current(call.State)
	if err != nil {
		return nil, err
	}
	p, err := load[part](call.State, key(keyOfPart, cer.Number))
	if err != nil {
		return nil, err
	}
	confirmed := 0
	switch {
	case cer.Runs():
	case p != nil && !p.Keys:
		confirmed = len(p.Holders)
	default:
		confirmed = len(a.Holders)
	}
	late := m.Phase() >= dkg.PhaseActive && m.Phase() != dkg.PhaseAborted && len(m.Confirmed()) > confirmed
	if m.Phase() == dkg.Phase(h.Phase) && !late {
		return nil, ErrRunning
	}
	c.replay.keep(at(call)) // even if this transaction fails yet: then the log lacks it, and the machine begins anew
	if err := add(call, cer, message{At: at(call), Sender: by.Name}); err != nil {
		return nil, err
	}
	h.Confirm = c.replay.confirm
	switch m.Phase() {
	case dkg.PhaseAborted:
		cer.State, cer.Ended = Aborted, call.Index
	case dkg.PhaseActive, dkg.PhaseComplete:
		if cer.Runs() {
			if done, err := c.settle(call, cer, h, p, m); err != nil {
				return nil, err
			} else if !done {
				return record(call, EventClosed, cer, h)
			}
		}
		if err := conclude(call, cer, h, p, m); err != nil {
			return nil, err
		}
	}
	h.Phase = uint8(m.Phase())
	return record(call, EventClosed, cer, h)
}

// settle stores the sharings of the grants that the ceremony moved, as many as
// one transaction can, and reports whether that was all.
func (c *contract) settle(call *ledger.Call, cer *Ceremony, h *header, p *part, m *dkg.Machine) (done bool, err error) {
	result, err := m.Result()
	if err != nil {
		return false, err
	}
	made := make(map[string]*threshold.Sharing)
	for k, label := range c.replay.labels {
		made[label] = result.Sharings[k]
	}
	if p != nil && !p.Keys {
		return c.hand(call, cer, h, p, made)
	}
	found, done, err := nextListed(c, call, cer, h, func(g *listed) (moved, int) {
		entry := moved{ID: g.ID}
		if s := made[g.ID]; s != nil && len(g.Sharing) > 0 {
			entry.Sharing = s.Bytes()
		}
		return entry, movedSize(&entry)
	})
	if err != nil {
		return false, err
	}
	return done, storeLists(call.State, keyMoved, cer.Number, movedChunk, found, func(g *moved) (string, int) { return g.ID, movedSize(g) })
}

// nextListed returns what entry makes of the listed grants behind the cursor, as many
// as one transaction can write by the sizes that entry gives, and moves the cursor to
// the last of them. done means that these were all.
func nextListed[T any](c *contract, call *ledger.Call, cer *Ceremony, h *header, entry func(*listed) (T, int)) (found []T, done bool, err error) {
	size, last := 0, h.Cursor
	done = true
	err = each(call.State, keyListed, cer.Number, h.Cursor, func(g *listed) bool {
		if g.ID <= h.Cursor {
			return true
		}
		e, n := entry(g)
		if size += n; size > c.limits.Writes {
			done = false
			return false
		}
		found, last = append(found, e), g.ID
		return true
	})
	if err != nil {
		return nil, false, err
	}
	h.Cursor = last
	return found, done, nil
}

// movedSize returns the largest encoding that a moved grant can have.
func movedSize(g *moved) int { return 8 + len(g.ID) + len(g.Sharing) }

// conclude records the result of a ceremony, or who has confirmed it since.
func conclude(call *ledger.Call, cer *Ceremony, h *header, p *part, m *dkg.Machine) (err error) {
	switch {
	case p == nil:
		return putInForce(call, cer, h, m, false)
	case !p.Keys:
		err = finish(call, cer, p, m)
	case cer.Runs():
		var pending *Handover
		if pending, err = Pending(call.State); err != nil {
			return err
		}
		p.Short = pending != nil && pending.Short > 0
		if err = call.State.Delete([]byte(keyHandover)); err != nil {
			return err
		}
		fallthrough
	default:
		err = putInForce(call, cer, h, m, p.Short)
	}
	if err != nil {
		return err
	}
	return store(call.State, key(keyOfPart, cer.Number), p)
}

// putInForce makes the ceremony's result the authority, or notes who has
// confirmed it since. short says that older shares are needed whoever confirms
// this part.
func putInForce(call *ledger.Call, cer *Ceremony, h *header, m *dkg.Machine, short bool) error {
	result, err := m.Result()
	if err != nil {
		return err
	}
	if cer.State == Running {
		old, err := call.State.Get([]byte(keyAuthority))
		if err != nil {
			return err
		}
		if old != nil {
			if err := call.State.Set([]byte(keyPrevious), old); err != nil {
				return err
			}
		}
		cer.Ended = call.Index
	}
	cer.State = Active
	if m.Phase() == dkg.PhaseComplete {
		cer.State = Completed
	}
	return store(call.State, []byte(keyAuthority), &Authority{
		Generation: result.Generation, Ceremony: cer.Number, Members: slices.Clone(h.Members), Nodes: slices.Clone(h.Nodes),
		Checkpoint: result.Sharings[0].Bytes(), Identity: result.Sharings[1].Bytes(),
		Holders: m.Confirmed(), Complete: m.Phase() == dkg.PhaseComplete && !short,
	})
}
