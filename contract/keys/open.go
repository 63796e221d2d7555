package keys

import (
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/dkg/threshold"
)

// Limits of a ceremony. Part of the rules.
const (
	MaxMessage     = 4 << 20            // bytes of a posted message
	MaxPart        = 40960              // bytes of a part of one
	maxDescription = 4 << 20            // bytes of all listed grants
	maxWindow      = 7 * 24 * 3_600_000 // milliseconds of a phase
	maxPositions   = 1 << 32            // leaves of a phase
	listChunk      = 16 << 10           // bytes of a list of grants to move, about
	movedChunk     = 4 << 10            // bytes of a list of moved grants, about: every look-up reads one
	writesPerTx    = 208 << 10          // bytes of such lists that one transaction writes
)

// liveContract keeps the grants that move.
const liveContract = "consent"

// open begins a ceremony, or goes on listing its grants.
func (c *contract) open(call *ledger.Call, raw []byte) ([]byte, error) {
	var args OpenArgs
	if err := parse(raw, &args); err != nil {
		return nil, err
	}
	for _, w := range args.Windows {
		// Every phase ends by time: while one lasts there are no grants and no
		// other ceremony, and whoever opened it may keep silent for ever.
		if w.Milliseconds == 0 || w.Milliseconds > maxWindow || w.Positions > maxPositions {
			return nil, ErrMalformed
		}
	}
	if _, err := member(call, MethodOpen); err != nil {
		return nil, err
	}
	last, err := Latest(call.State)
	if err != nil {
		return nil, err
	}
	var cer *Ceremony
	var h *header
	if last != nil && last.State == Preparing {
		if h, err = load[header](call.State, key(keyHeader, last.Number)); err != nil {
			return nil, err
		}
		if args.Number != last.Number || args.Windows != h.Windows {
			return nil, ErrRunning
		}
		cer = last
	} else if cer, h, err = c.begin(call, &args, last); err != nil {
		return nil, err
	}
	done, err := c.list(call, cer, h)
	if err != nil {
		return nil, err
	}
	if done {
		if err := start(call, cer, h); err != nil {
			return nil, err
		}
	}
	return record(call, EventOpened, cer, h)
}

// begin checks that a new ceremony may be opened, and prepares it.
func (c *contract) begin(call *ledger.Call, args *OpenArgs, last *Ceremony) (*Ceremony, *header, error) {
	next := uint64(1)
	if last != nil {
		next = last.Number + 1
		free, err := over(call, last)
		if err != nil {
			return nil, nil, err
		}
		if !free {
			return nil, nil, ErrRunning
		}
	}
	if args.Number != next {
		return nil, nil, ErrNumber
	}
	k := call.Consortium
	h := &header{
		Chain: call.Chain, Windows: args.Windows, Keys: uint8(k.KeyThreshold), Certify: uint8(k.CheckpointThreshold), Phase: uint8(dkg.PhaseJoin),
	}
	for _, m := range k.Members {
		h.Members, h.Nodes = append(h.Members, m.Name), append(h.Nodes, m.NodeKey)
	}
	old, err := Current(call.State)
	if err != nil {
		return nil, nil, err
	}
	cer := &Ceremony{Number: next, ID: ceremonyID(call.Chain, next), State: Preparing, Roster: h.Members}
	if old == nil {
		if len(k.ExtractionKey) > 0 { // keys that no ceremony of this chain made
			return nil, nil, ErrNoKey
		}
		return cer, h, store(call.State, []byte(keyLatest), next)
	}
	if len(k.ExtractionKey) > 0 {
		if _, _, err := InForce(call.State, k); err != nil {
			return nil, nil, err
		}
	}
	h.Old, h.OldNodes, h.Identity, h.Certified, h.Holders = old.Members, slices.Clone(old.Nodes), old.Identity, old.Checkpoint, old.Holders
	for i, name := range old.Members {
		if m := k.Member(name); m != nil {
			h.OldNodes[i] = m.NodeKey // a member whose node has a new key still holds its shares
		}
	}
	if err := c.measure(call, old); err != nil {
		return nil, nil, err
	}
	return cer, h, store(call.State, []byte(keyLatest), next)
}

// over reports whether another ceremony may follow: the last one ended, or its
// result is in force and those that are late had their time.
func over(call *ledger.Call, last *Ceremony) (bool, error) {
	switch last.State {
	case Completed, Aborted:
		return true, nil
	case Active:
		h, err := load[header](call.State, key(keyHeader, last.Number))
		if err != nil {
			return false, err
		}
		return h.Windows[3].closed(h.Confirm, at(call)), nil
	}
	return false, nil
}

// measure returns ErrTooLarge if more grants are live than a ceremony can move:
// those that deal could not post what they deal.
func (c *contract) measure(call *ledger.Call, old *Authority) error {
	n, t := len(call.Consortium.Members), call.Consortium.KeyThreshold
	total, dealt := 0, 0
	err := c.live(call.Of(liveContract), call.Time, "", func(g LiveGrant) bool {
		total += listedSize(&listed{ID: g.ID, Sharing: g.Sharing, Holders: g.Holders})
		dealt += 48*t + 32*n
		return true
	})
	if err != nil {
		return err
	}
	if total > maxDescription || dealt > MaxMessage-8<<10 {
		return ErrTooLarge
	}
	return nil
}

// list stores the grants that move, from the cursor on, as many as one
// transaction can. It reports whether these were all.
func (c *contract) list(call *ledger.Call, cer *Ceremony, h *header) (done bool, err error) {
	if len(h.Old) == 0 {
		return true, nil
	}
	a, err := Current(call.State)
	if err != nil {
		return false, err
	}
	var found []listed
	size := 0
	var bad error
	done = true
	err = c.live(call.Of(liveContract), call.Time, h.Cursor, func(g LiveGrant) bool {
		var entry listed
		if entry, bad = inForce(call, a, g); bad != nil {
			return false
		}
		if size += listedSize(&entry); size > c.writes {
			done = false
			return false
		}
		found = append(found, entry)
		if len(entry.Sharing) > 0 {
			cer.Grants++
		}
		return true
	})
	if err != nil {
		return false, err
	}
	if bad != nil {
		return false, bad
	}
	if len(found) > 0 {
		h.Cursor = found[len(found)-1].ID
	}
	return done, storeLists(call.State, keyListed, cer.Number, listChunk, found, func(g *listed) (string, int) {
		return g.ID, listedSize(g)
	})
}

// listedSize returns the largest encoding that a listed grant can have.
func listedSize(g *listed) int { return 10 + len(g.ID) + len(g.Sharing) + len(g.Holders) }

// inForce returns how a live grant is shared now, with an empty sharing if it
// cannot be moved.
func inForce(call *ledger.Call, a *Authority, g LiveGrant) (listed, error) {
	sharing, holders, lost, err := MovedBytes(call.State, g.ID)
	if err != nil || lost {
		return listed{ID: g.ID}, err
	}
	if sharing == nil {
		sharing, holders = g.Sharing, g.Holders
	}
	s, err := threshold.ParseSharing(sharing)
	if err != nil {
		return listed{}, err
	}
	if len(holders) < s.Threshold() || s.Generation() != a.Generation || s.Members() != len(a.Members) {
		return listed{ID: g.ID}, nil
	}
	return listed{ID: g.ID, Sharing: sharing, Holders: holders}, nil
}

// start lets the ceremony run from this transaction on.
func start(call *ledger.Call, cer *Ceremony, h *header) error {
	h.Opened, h.Cursor = at(call), ""
	cer.State, cer.Opened = Running, call.Index
	d, err := describe(call.State, cer.Number, h)
	if err != nil {
		return err
	}
	m, err := dkg.New(d, nil, nil, nil)
	if err != nil {
		return ErrThresholds // nothing else of it can be wrong
	}
	h.Hash = m.ID()
	return nil
}

// record stores a ceremony, tells subscribers, and returns it as the result.
func record(call *ledger.Call, event string, cer *Ceremony, h *header) ([]byte, error) {
	if err := store(call.State, key(keyHeader, cer.Number), h); err != nil {
		return nil, err
	}
	b, err := chain.Marshal(cer)
	if err != nil {
		return nil, err
	}
	call.Emit(event, b)
	return b, call.State.Set(key(keyCeremony, cer.Number), b)
}

// storeLists stores elements in lists of about the given size, each under the
// id of its last element.
func storeLists[T any](v *ledger.View, prefix string, number uint64, chunk int, all []T, measure func(*T) (id string, size int)) error {
	for len(all) > 0 {
		n, size := 0, 0
		var id string
		for n < len(all) && size < chunk {
			var s int
			id, s = measure(&all[n])
			size += s
			n++
		}
		if err := store(v, key(prefix, number, []byte(id)...), slices.Clone(all[:n])); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}
