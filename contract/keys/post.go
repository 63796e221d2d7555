package keys

import (
	"crypto/sha256"
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/dkg"
)

// post takes a part of a message from whoever takes part in the ceremony.
func (c *contract) post(call *ledger.Call, raw []byte) ([]byte, error) {
	var args PostArgs
	if err := parse(raw, &args); err != nil {
		return nil, err
	}
	phase := dkg.Phase(args.Phase)
	if phase < dkg.PhaseJoin || phase > dkg.PhaseConfirm || len(args.Data) < 1 || len(args.Data) > MaxPart ||
		args.Parts < 1 || args.Parts > MaxMessage/MaxPart+1 || args.Part >= args.Parts ||
		args.Parts > 1 && phase != dkg.PhaseDeal || (args.About != 0) != (phase == dkg.PhaseComplain) {
		return nil, ErrMalformed
	}
	if _, err := authorize(call, MethodPost); err != nil { // the ceremony says who
		return nil, err
	}
	cer, h, err := open(call.State, args.Number)
	if err != nil {
		return nil, err
	}
	keys, names := h.participants()
	sender := slices.Index(keys, call.Signer) + 1
	if sender == 0 {
		return nil, ErrDenied
	}
	if int(args.About) > len(keys) {
		return nil, ErrMalformed
	}
	slot := []byte{byte(sender), args.Phase, args.About}
	complete, err := take(call.State, &args, slot)
	if err != nil || !complete {
		return nil, err
	}
	whole, err := assemble(call.State, args.Number, slot, args.Parts)
	if err != nil {
		return nil, err
	}
	m, err := dkg.ParseMessage(whole)
	if err != nil || m.Ceremony() != h.Hash || m.Phase() != phase || int(m.Sender()) != sender || m.About() != args.About {
		return nil, ErrRefused
	}
	if err := add(call, cer, message{At: at(call), Sender: names[sender-1], Slot: slot, Parts: args.Parts, Hash: sha256.Sum256(whole)}); err != nil {
		return nil, err
	}
	if err := store(call.State, key(keyCeremony, cer.Number), cer); err != nil {
		return nil, err
	}
	// The machine takes the message now, so that closing need not wait for all.
	c.replay.mu.Lock()
	defer c.replay.mu.Unlock()
	if err := c.replay.forward(call.State, args.Number, h); err != nil {
		return nil, err
	}
	args.Data = nil
	b, err := chain.Marshal(args)
	if err != nil {
		return nil, err
	}
	call.Emit(EventPosted, b)
	return nil, nil
}

// open returns the newest ceremony if it has this number and still takes
// messages, and otherwise ErrUnknown.
func open(r ledger.Reader, number uint64) (*Ceremony, *header, error) {
	cer, err := Latest(r)
	if err != nil {
		return nil, nil, err
	}
	if cer == nil || cer.Number != number || !cer.Runs() && cer.State != Active && cer.State != Completed {
		return nil, nil, ErrUnknown
	}
	h, err := load[header](r, key(keyHeader, number))
	return cer, h, err
}

// take stores a part and reports whether it is the last. The parts of a message
// come in order; one that is complete takes no more.
func take(v *ledger.View, args *PostArgs, slot []byte) (complete bool, err error) {
	p, err := load[progress](v, key(keySlot, args.Number, slot...))
	if err != nil {
		return false, err
	}
	if p == nil || args.Part == 0 && p.Next < p.Parts {
		p = &progress{Parts: args.Parts}
	}
	if args.Part != p.Next || args.Parts != p.Parts {
		return false, ErrRefused
	}
	p.Next++
	if p.Size += uint32(len(args.Data)); p.Size > MaxMessage {
		return false, ErrRefused
	}
	if err := v.Set(partKey(args.Number, slot, args.Part), args.Data); err != nil {
		return false, err
	}
	return p.Next == p.Parts, store(v, key(keySlot, args.Number, slot...), p)
}

// add appends a message or a tick to the ceremony's log.
func add(call *ledger.Call, cer *Ceremony, m message) error {
	if err := store(call.State, messageKey(cer.Number, cer.Posts), m); err != nil {
		return err
	}
	cer.Posts++
	return nil
}
