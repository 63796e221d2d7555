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
	MaxMessage   = 4 << 20            // bytes of a posted message
	MaxPart      = 40960              // bytes of a part of one
	maxWindow    = 7 * 24 * 3_600_000 // milliseconds of a phase
	maxPositions = 1 << 32            // leaves of a phase
	listChunk    = 16 << 10           // bytes of a list of grants to move, about
	movedChunk   = 4 << 10            // bytes of a list of moved grants, about: every look-up reads one
)

// Limits bound the work of one transaction, and with it that of one ceremony.
// They are part of the rules: members with different ones part ways.
type Limits struct {
	Writes int // bytes of grants that one transaction lists or stores
	Looks  int // live grants that one transaction looks at
	Room   int // bytes of the grants of one ceremony, as listed and as one member deals them

	// Rounds bounds how long new grants can put the end of a hand-over off. Each
	// round of the search finds those that were made in the one before, fewer
	// and fewer of them; whoever makes them as fast as they move is stopped
	// after so many.
	Rounds int
}

var rules = Limits{Writes: 208 << 10, Looks: 4096, Room: 1 << 20, Rounds: 8}

// Bytes of a commitment and of a share, of which a deal consists.
const (
	pointSize  = 48
	scalarSize = 32
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
	var p *part // nil if there is nothing to reshare
	if last != nil && last.State == Preparing {
		if h, err = load[header](call.State, key(keyHeader, last.Number)); err != nil {
			return nil, err
		}
		if args.Number != last.Number || args.Windows != h.Windows {
			return nil, ErrRunning
		}
		cer = last
		if p, err = load[part](call.State, key(keyOfPart, last.Number)); err != nil {
			return nil, err
		}
	} else if cer, h, p, err = c.begin(call, &args, last); err != nil {
		return nil, err
	}
	done := true
	if p != nil {
		if done, err = c.list(call, cer, h, p); err != nil {
			return nil, err
		}
		if err := store(call.State, key(keyOfPart, cer.Number), p); err != nil {
			return nil, err
		}
	}
	if done {
		if err := c.start(call, cer, h, p); err != nil {
			return nil, err
		}
	}
	return record(call, EventOpened, cer, h)
}

// begin checks that a new ceremony may be opened, and prepares it.
func (c *contract) begin(call *ledger.Call, args *OpenArgs, last *Ceremony) (*Ceremony, *header, *part, error) {
	next := uint64(1)
	if last != nil {
		next = last.Number + 1
		before, err := load[header](call.State, key(keyHeader, last.Number))
		if err != nil {
			return nil, nil, nil, err
		}
		if !over(last, before, at(call)) {
			return nil, nil, nil, ErrRunning
		}
	}
	if args.Number != next {
		return nil, nil, nil, ErrNumber
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
		return nil, nil, nil, err
	}
	cer := &Ceremony{Number: next, ID: ceremonyID(call.Chain, next), State: Preparing, Roster: h.Members}
	if old == nil {
		if len(k.ExtractionKey) > 0 { // keys that no ceremony of this chain made
			return nil, nil, nil, ErrNoKey
		}
		return cer, h, nil, store(call.State, []byte(keyLatest), next)
	}
	if len(k.ExtractionKey) > 0 {
		if _, _, err := InForce(call.State, k); err != nil {
			return nil, nil, nil, err
		}
	}
	h.Old, h.OldNodes, h.Identity, h.Certified, h.Holders = old.Members, slices.Clone(old.Nodes), old.Identity, old.Checkpoint, old.Holders
	for i, name := range old.Members {
		if m := k.Member(name); m != nil {
			h.OldNodes[i] = m.NodeKey // a member whose node has a new key still holds its shares
		}
	}
	p, err := join(call, args, last)
	if err != nil {
		return nil, nil, nil, err
	}
	h.Cursor = p.Start
	return cer, h, p, store(call.State, []byte(keyLatest), next)
}

// over reports whether another ceremony may follow: the last one ended, or its
// result is in force and those that are late had their time.
func over(last *Ceremony, h *header, now point) bool {
	switch last.State {
	case Completed, Aborted:
		return true
	case Active:
		return h.Windows[3].closed(h.Confirm, now)
	}
	return false
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
func (c *contract) start(call *ledger.Call, cer *Ceremony, h *header, p *part) error {
	h.Opened, h.Cursor = at(call), ""
	cer.State, cer.Opened = Running, call.Index
	if p != nil {
		if err := c.enter(call, cer, h, p); err != nil {
			return err
		}
	}
	d, err := describe(call.State, cer.Number, h)
	if err != nil {
		return err
	}
	m, err := dkg.New(d, nil, nil, nil)
	if err != nil {
		return ErrThresholds // nothing else of it can be wrong
	}
	h.Hash = m.ID()
	if p == nil || p.Keys {
		return nil
	}
	// What the last part will be must be possible, too.
	if d.Secrets, err = keySecrets(h); err != nil {
		return err
	}
	if _, err := dkg.New(d, nil, nil, nil); err != nil {
		return ErrThresholds
	}
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
