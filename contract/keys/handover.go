package keys

import (
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/dkg/threshold"
)

// A Handover is a reshare of more grants than one ceremony moves. Its parts are
// ceremonies that deal grants alone, one after the other. Meanwhile the
// authority before stays in force and everything is served with its shares;
// grants are made and revoked as ever. The last part is a ceremony that moves
// the keys and the grants that are left, and puts all of it in force at once.
type Handover struct {
	_          struct{} `cbor:",toarray"`
	Generation uint32   // of all shares that it makes
	Members    []string // who gets them, in the order of their indices
	Keys       uint8    // their threshold for the identity key and grants
	Certify    uint8    // and for the checkpoint key
	Windows    [4]Window
	Next       string // the search for grants goes on after this id, and from the last to the first
	Parts      uint32 // that have come to a result
	Moved      uint64 // grants in them
	Short      uint32 // parts in which too few confirmed to do without the shares before
	Rounds     uint32 // times that the search has come round
}

// A part says what a ceremony of a reshare moves, and what came of it.
type part struct {
	_          struct{} `cbor:",toarray"`
	Generation uint32
	Keys       bool    // the keys move, too: it is the only part or the last
	Start      string  // listing began after this id
	Around     bool    // it has come to the end and gone on from the beginning
	Last       string  // id at which it ended
	Listed     uint32  // bytes of the grants that move, as listed
	Dealt      uint32  // bytes that they cost a dealer
	Holders    []uint8 // members that confirmed; of grants alone
	Short      bool    // older shares are needed for want of confirmations here, or in an earlier part
}

// A handed grant is one that a part has moved.
type handed struct {
	_       struct{} `cbor:",toarray"`
	Number  uint64   // of the ceremony
	Sharing []byte   // empty if it is lost
}

// Pending returns the hand-over under way, or nil.
func Pending(r ledger.Reader) (*Handover, error) { return load[Handover](r, []byte(keyHandover)) }

// fits reports whether the hand-over is still what the consortium file asks for,
// by its members and their threshold, from which the other one follows. If not,
// the next ceremony forgets it: nothing of it was ever in force.
func (h *Handover) fits(k *chain.Consortium) bool {
	return int(h.Keys) == k.KeyThreshold &&
		slices.EqualFunc(h.Members, k.Members, func(name string, m chain.Member) bool { return name == m.Name })
}

// Terms returns an encoding of what a hand-over does, to whom and how fast,
// without its progress: the same for all of its parts, and unlike that of every
// other hand-over of the chain.
func (h *Handover) Terms() ([]byte, error) {
	terms := *h
	terms.Next, terms.Parts, terms.Moved, terms.Short, terms.Rounds = "", 0, 0, 0, 0
	return chain.Marshal(&terms)
}

// Has reports whether a ceremony is one of the hand-over's. There may be none.
func (h *Handover) Has(about *dkg.Ceremony) bool { return h != nil && h.Generation == about.Generation }

// Due returns what any member may send so that a ceremony goes on: opening the
// next part of a hand-over, or listing the grants of a ceremony that is
// Preparing; nil if nothing of that kind is due. It is due after so many
// milliseconds, 0 for now. The time may be a member's own, since no block tells
// that it passes; size is the number of leaves.
func Due(r ledger.Reader, k *chain.Consortium, time int64, size uint64) (args *OpenArgs, after int64, err error) {
	last, err := Latest(r)
	if err != nil || last == nil || last.Runs() {
		return nil, 0, err
	}
	h, err := load[header](r, key(keyHeader, last.Number))
	if err != nil {
		return nil, 0, err
	}
	if last.State == Preparing {
		return &OpenArgs{Number: last.Number, Windows: h.Windows}, 0, nil
	}
	pending, err := Pending(r)
	if err != nil || pending == nil {
		return nil, 0, err
	}
	if !pending.fits(k) {
		return nil, 0, nil
	}
	if !over(last, h, point{Position: size, Time: uint64(time)}) { // late members have their time
		after = max(int64(h.Confirm.Time+h.Windows[3].Milliseconds)-time, 1)
	}
	return &OpenArgs{Number: last.Number + 1, Windows: pending.Windows}, after, nil
}

// join returns the part that a new ceremony is: of the hand-over under way, or
// by itself as far as is known. The windows of a hand-over stay, unless a part
// aborted in them: else one member could make them too short for the others.
func join(call *ledger.Call, args *OpenArgs, last *Ceremony) (*part, error) {
	number := args.Number
	pending, err := Pending(call.State)
	if err != nil {
		return nil, err
	}
	if pending == nil {
		return &part{Generation: uint32(number)}, nil
	}
	if !pending.fits(call.Consortium) {
		return &part{Generation: uint32(number)}, call.State.Delete([]byte(keyHandover))
	}
	if last.State != Aborted && args.Windows != pending.Windows {
		return nil, ErrRunning
	}
	return &part{Generation: pending.Generation, Start: pending.Next}, nil
}

// A search goes through the live grants for one transaction.
type search struct {
	*contract
	call  *ledger.Call
	from  *Authority
	cer   *Ceremony
	h     *header
	p     *part
	cost  int // bytes that a grant costs a dealer
	found []listed
	looks int // grants looked at, with those that have ended
	size  int // bytes of found
	state searchState
	err   error
}

type searchState uint8

const (
	searching searchState = iota
	paused                // the transaction has done enough
	full                  // no more grants go into this part
	round                 // all grants were looked at
)

// list stores the grants that move, from the cursor on, as many as one
// transaction can. It reports whether these were all of the part: either it is
// full, or it holds every live grant that no earlier part has moved, and the
// keys move with it.
func (c *contract) list(call *ledger.Call, cer *Ceremony, h *header, p *part) (done bool, err error) {
	a, err := Current(call.State)
	if err != nil {
		return false, err
	}
	s := &search{contract: c, call: call, from: a, cer: cer, h: h, p: p, cost: pointSize*int(h.Keys) + scalarSize*len(h.Members)}
	for s.state == searching {
		if err := c.live(call.Of(liveContract), call.Time, h.Cursor, s.look); err != nil {
			return false, err
		}
		if s.err != nil {
			return false, s.err
		}
		if s.state != searching {
			break
		}
		if p.Around || p.Start == "" {
			s.state = round
			break
		}
		p.Around, h.Cursor = true, ""
	}
	if s.state != paused {
		p.Keys, p.Last = s.state == round, h.Cursor
	}
	// Lists ascend as a whole, so none may reach over the place where the search
	// began: later transactions find more on this side of it.
	behind := slices.IndexFunc(s.found, func(g listed) bool { return g.ID <= p.Start })
	if behind < 0 {
		behind = len(s.found)
	}
	for _, found := range [][]listed{s.found[:behind], s.found[behind:]} {
		if err := storeLists(call.State, keyListed, cer.Number, listChunk, found, func(g *listed) (string, int) {
			return g.ID, listedSize(g)
		}); err != nil {
			return false, err
		}
	}
	return s.state != paused, nil
}

// look takes the next live grant. It returns false when the search ends here.
func (s *search) look(g LiveGrant) bool {
	if s.p.Around && g.ID > s.p.Start {
		s.state = round
		return false
	}
	if s.looks++; s.looks > s.limits.Looks {
		s.state = paused
		return false
	}
	if !g.Ended {
		done, err := load[handed](s.call.State, handedKey(s.p.Generation, g.ID))
		if err != nil {
			s.err = err
			return false
		}
		if done == nil && !s.take(g) {
			return false
		}
	}
	s.h.Cursor = g.ID
	return true
}

// take lists a grant, if there is room.
func (s *search) take(g LiveGrant) bool {
	entry, err := inForce(s.call, s.from, g)
	if err != nil {
		s.err = err
		return false
	}
	size, moves := listedSize(&entry), len(entry.Sharing) > 0
	if moves && s.cer.Grants > 0 && max(int(s.p.Listed)+size, int(s.p.Dealt)+s.cost) > s.limits.Room {
		s.state = full
		return false
	}
	if s.size+size > s.limits.Writes {
		s.state = paused
		return false
	}
	s.size += size
	s.found = append(s.found, entry)
	if moves { // the others are no part of the description, and nobody deals them
		s.p.Listed += uint32(size)
		s.p.Dealt += uint32(s.cost)
		s.cer.Grants++
	}
	return true
}

// enter lets the ceremony run, as a part of a hand-over if it moves grants alone.
func (c *contract) enter(call *ledger.Call, cer *Ceremony, h *header, p *part) error {
	cer.State = Running
	pending, err := Pending(call.State)
	if err != nil || pending == nil && p.Keys {
		return err
	}
	if pending == nil {
		pending = &Handover{Generation: p.Generation, Members: h.Members, Keys: h.Keys, Certify: h.Certify}
	}
	pending.Windows = h.Windows
	if !p.Keys && int(pending.Rounds) < c.limits.Rounds {
		cer.State = Handing
	}
	return store(call.State, []byte(keyHandover), pending)
}

// hand stores what a part has made of its grants, as many as one transaction
// can, and reports whether that was all.
func (c *contract) hand(call *ledger.Call, cer *Ceremony, h *header, p *part, made map[string]*threshold.Sharing) (done bool, err error) {
	type result struct {
		id string
		handed
	}
	found, done, err := nextListed(c, call, cer, h, func(g *listed) (result, int) {
		entry := handed{Number: cer.Number}
		if s := made[g.ID]; s != nil {
			entry.Sharing = s.Bytes()
		}
		return result{g.ID, entry}, handedSize(g.ID, &entry)
	})
	if err != nil {
		return false, err
	}
	for i := range found {
		if err := store(call.State, handedKey(p.Generation, found[i].id), &found[i].handed); err != nil {
			return false, err
		}
	}
	return done, nil
}

// handedSize returns at most what a handed grant costs a transaction, with what
// the chain charges for a write.
func handedSize(id string, g *handed) int { return 192 + len(id) + len(g.Sharing) }

// finish records who has confirmed a part; with its first result the hand-over
// goes on behind it.
func finish(call *ledger.Call, cer *Ceremony, p *part, m *dkg.Machine) error {
	pending, err := Pending(call.State)
	if err != nil {
		return err
	}
	first := cer.Runs()
	short := m.Phase() != dkg.PhaseComplete
	if first {
		cer.Ended = call.Index
	}
	if pending != nil && pending.Generation == p.Generation {
		if first {
			pending.Parts++
			pending.Moved += uint64(cer.Grants)
			pending.Next = p.Last
			if p.Around {
				pending.Rounds++
			}
		}
		switch {
		case short && !p.Short:
			pending.Short++
		case !short && p.Short:
			pending.Short--
		}
		if err := store(call.State, []byte(keyHandover), pending); err != nil {
			return err
		}
	}
	p.Holders, p.Short = m.Confirmed(), short
	cer.State = Active
	if !short {
		cer.State = Completed
	}
	return nil
}

// handedBytes returns what a part of the hand-over that made the authority in
// force has made of a grant, with the members that confirmed it; no sharing if
// it is lost. ok is false if it was in none.
func handedBytes(r ledger.Reader, a *Authority, grant string) (sharing []byte, holders []uint8, ok bool, err error) {
	g, err := load[handed](r, handedKey(a.Generation, grant))
	if err != nil || g == nil {
		return nil, nil, false, err
	}
	if len(g.Sharing) == 0 {
		return nil, nil, true, nil
	}
	p, err := load[part](r, key(keyOfPart, g.Number))
	if err != nil || p == nil {
		return nil, nil, false, err
	}
	return g.Sharing, p.Holders, true, nil
}
