package dkg

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// Refusals that say nothing about the sender, who may have been delayed,
// repeated or impersonated. [threshold.ErrSignature] and
// [threshold.ErrDuplicate] are two more.
var (
	ErrCeremony = errors.New("message belongs to another ceremony")
	ErrOrder    = errors.New("point lies before one already passed")
	ErrPhase    = errors.New("message is not of the phase the ceremony is in")
	ErrSender   = errors.New("sender has no such part in the ceremony")
	ErrNoDeal   = errors.New("complaint is about a deal that does not count")
)

// FaultKind is what a participant can do wrong, and the error that says so.
// Numbers are those of SPEC.md, section 5.
type FaultKind uint8

// The faults that messages prove on their senders, or on a dealer.
//
// Part of the format: only add at the end.
const (
	errMalformed      FaultKind = iota // message does not parse
	errProof                           // proof of knowledge
	errReceivers                       // a deal for others than those who joined
	errCommitment                      // a deal that was not committed to
	errConstant                        // a deal of something else than the old share
	errBadShare                        // a share that does not match its commitments
	errFalseComplaint                  // a complaint about a good share
	errEquivocation                    // two messages where one is due
	errConfirmation                    // a partial signature that is wrong

	faultKinds // their number
)

func (k FaultKind) Error() string {
	texts := [faultKinds]string{
		"message does not parse",
		"proof of knowledge does not verify",
		"deal is for other receivers than those that joined",
		"deal is not the one committed to",
		"constant term is not the dealer's old share",
		"dealt share does not match the commitments",
		"complaint is about a good share",
		"two different messages where one is due",
		"confirmation does not verify",
	}
	if k >= faultKinds {
		return fmt.Sprintf("fault %d", uint8(k))
	}
	return texts[k]
}

// Fault says what a participant did wrong.
type Fault struct {
	Participant uint8             // number in the ceremony; see [Message.Sender]
	Key         ed25519.PublicKey // its node key
	Kind        FaultKind         // what it did
	Count       int               // how often; the evidence is of the first time
	Evidence    []byte            // for [VerifyEvidence]

	// Given is set by VerifyEvidence for the two kinds that are wrong only
	// beside other messages: a deal for other receivers, and a confirmation.
	// The fault is proven if, before the accused message, these are the
	// ceremony's messages that counted in the log, and all of them (for a
	// deal, all joins of receivers). Who has not compared them with the log
	// must not believe it: without one of them an honest member looks guilty.
	Given [][]byte
}

// record is a fault as the machine keeps it: the messages that prove it, the
// rest of the evidence being the ceremony's own messages.
type record struct {
	number   uint8
	kind     FaultKind
	count    uint32
	messages [][]byte
}

const (
	evidenceFormat   = "ward/dkg/evidence/v1"
	evidenceMessages = 4 * threshold.MaxMembers * threshold.MaxMembers
)

// evidence is what proves a fault to someone who has only the ceremony.
type evidence struct {
	kind      FaultKind
	accused   uint8
	receivers []receiver // of the deal among the messages
	messages  [][]byte
}

func (e *evidence) encode() []byte {
	w := wire.NewWriter(evidenceFormat)
	w.Uint8(uint8(e.kind))
	w.Uint8(e.accused)
	w.Uint8(uint8(len(e.receivers)))
	for _, r := range e.receivers {
		w.Uint8(r.index)
		pairing.WriteG1(w, r.key)
	}
	w.Uint32(uint32(len(e.messages)))
	for _, m := range e.messages {
		w.Bytes(m)
	}
	return w.Sum()
}

func parseEvidence(b []byte) (*evidence, error) {
	r := wire.NewReader(evidenceFormat, b)
	e := &evidence{kind: FaultKind(r.Uint8()), accused: r.Uint8()}
	for n := r.Uint8(); n > 0 && r.Err() == nil; n-- {
		e.receivers = append(e.receivers, receiver{r.Uint8(), pairing.ReadG1(r)})
	}
	n := r.Uint32()
	if n > evidenceMessages {
		r.Fail(wire.ErrTooLong)
	}
	for ; n > 0 && r.Err() == nil; n-- {
		e.messages = append(e.messages, r.Bytes(maxPayload+256))
	}
	if err := r.Done(); err != nil {
		return nil, err
	}
	if e.kind >= faultKinds {
		return nil, errMalformed
	}
	return e, nil
}

// ErrEvidence says that evidence does not prove what it claims.
var ErrEvidence = errors.New("evidence does not prove the fault")

// VerifyEvidence checks evidence of a fault in the ceremony c and returns the
// fault. It needs no log: the messages in the evidence are signed by those who
// sent them, and a deal names the receiving keys it is for. Two kinds need the
// log after all; then [Fault.Given] is not nil and the caller compares it.
func VerifyEvidence(c *Ceremony, b []byte) (*Fault, error) {
	p, err := newPlan(c)
	if err != nil {
		return nil, err
	}
	e, err := parseEvidence(b)
	if err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	if e.accused < 1 || int(e.accused) > len(p.participants) || !p.proves(e) {
		return nil, ErrEvidence
	}
	f := &Fault{Participant: e.accused, Key: p.participants[e.accused-1], Kind: e.kind, Count: 1, Evidence: b}
	if e.kind == errReceivers || e.kind == errConfirmation {
		f.Given = e.messages[:len(e.messages)-1]
	}
	return f, nil
}

// proves reports whether the messages of e make the accused guilty.
func (p *plan) proves(e *evidence) bool {
	messages := make([]*Message, len(e.messages))
	for i, raw := range e.messages {
		m, err := p.authentic(raw)
		if err != nil {
			return false
		}
		messages[i] = m
	}
	if len(messages) == 0 {
		return false
	}
	last := messages[len(messages)-1]
	switch kind := e.kind; kind {
	case errBadShare, errFalseComplaint:
		return len(messages) == 2 && p.provesVerdict(e, messages[0], messages[1])
	case errEquivocation:
		first := messages[0]
		return len(messages) == 2 && last.sender == e.accused && first.sender == e.accused &&
			first.phase == last.phase && first.phase != PhaseComplain && !bytes.Equal(first.payload, last.payload)
	case errReceivers:
		return last.sender == e.accused && last.phase == PhaseDeal && p.provesReceivers(messages[:len(messages)-1], last)
	case errConfirmation:
		return last.sender == e.accused && last.phase == PhaseConfirm && p.provesConfirmation(e.messages[:len(messages)-1], last)
	default:
		return last.sender == e.accused && p.provesInvalid(e, messages, kind)
	}
}

// provesInvalid covers the messages that are wrong in themselves.
func (p *plan) provesInvalid(e *evidence, messages []*Message, kind error) bool {
	last := messages[len(messages)-1]
	switch {
	case last.phase == PhaseJoin && len(messages) == 1:
		_, err := p.checkJoin(last.sender, last.payload)
		return errors.Is(err, kind)
	case last.phase == PhaseDeal && len(messages) == 2 && p.isDealer(last.sender):
		join := messages[0]
		if join.phase != PhaseJoin || join.sender != last.sender {
			return false
		}
		j, err := p.checkJoin(join.sender, join.payload)
		if err != nil {
			return false
		}
		// With other receivers than the dealer's own, the lengths would
		// differ and frame it; checkDeal compares their hash first.
		a := p.newAudience(e.receivers)
		_, err = p.checkDeal(last.sender, last.payload, &a, &j.commitment)
		return errors.Is(err, kind)
	case last.phase == PhaseComplain && len(messages) == 1:
		_, err := parseComplaint(last.payload)
		return errors.Is(err, kind)
	case last.phase == PhaseComplain && len(messages) == 2 && kind == errProof:
		_, err := p.judge(e, messages[0], last)
		return errors.Is(err, errProof)
	case last.phase == PhaseConfirm && len(messages) == 1:
		_, err := p.parseConfirmation(last.payload)
		return errors.Is(err, kind)
	}
	return false
}

func (p *plan) provesVerdict(e *evidence, dealt, complaint *Message) bool {
	bad, err := p.judge(e, dealt, complaint)
	if err != nil {
		return false
	}
	if e.kind == errBadShare {
		return bad && dealt.sender == e.accused
	}
	return !bad && complaint.sender == e.accused
}

// judge opens the share that a complaint reveals.
func (p *plan) judge(e *evidence, dealt, complaint *Message) (bad bool, err error) {
	if dealt.phase != PhaseDeal || complaint.phase != PhaseComplain || !p.isDealer(dealt.sender) {
		return false, ErrEvidence
	}
	a := p.newAudience(e.receivers)
	d, err := p.checkDeal(dealt.sender, dealt.payload, &a, nil)
	if err != nil {
		return false, ErrEvidence
	}
	c, err := parseComplaint(complaint.payload)
	if err != nil || c.dealer != dealt.sender || c.deal != d.hash {
		return false, ErrEvidence
	}
	return p.verdict(d, &a, complaint.sender, c)
}

// verdict decides a complaint: whether the share it is about is bad, or
// [errProof] if the key it reveals is not the right one.
func (p *plan) verdict(d *deal, a *audience, complainer uint8, c *complaintPayload) (bad bool, err error) {
	at := a.find(complainer)
	if at < 0 {
		return false, ErrSender
	}
	if !p.verifyKey(complainer, c, a.receivers[at].key, d.ephemeral) {
		return false, errProof
	}
	values, err := p.open(d, a, at, c.key)
	if err != nil {
		return true, nil
	}
	return !p.matches([]*deal{d}, [][]*pairing.Secret{values}, complainer), nil
}

// provesReceivers reports whether a deal is for others than those who joined.
func (p *plan) provesReceivers(joins []*Message, dealt *Message) bool {
	var receivers []receiver
	for _, m := range joins {
		j, err := p.checkJoin(m.sender, m.payload)
		if err != nil || m.phase != PhaseJoin {
			return false
		}
		if p.isReceiver(m.sender) {
			if n := len(receivers); n > 0 && receivers[n-1].index >= m.sender {
				return false
			}
			receivers = append(receivers, receiver{m.sender, j.receiving})
		}
	}
	a := p.newAudience(receivers)
	_, err := p.checkDeal(dealt.sender, dealt.payload, &a, nil)
	return errors.Is(err, errReceivers)
}

// provesConfirmation replays a ceremony up to its confirmations.
func (p *plan) provesConfirmation(log [][]byte, confirm *Message) bool {
	m := newMachine(p)
	for _, raw := range log {
		msg, err := p.authentic(raw)
		if err != nil || msg.phase < m.phase || msg.phase > PhaseComplain {
			return false
		}
		for m.phase < msg.phase {
			m.closePhase()
		}
		if m.phase != msg.phase {
			return false
		}
		if err := m.handle(msg, raw); err != nil && err != errFalseComplaint {
			return false
		}
	}
	for m.phase < PhaseConfirm {
		m.closePhase()
	}
	if m.phase != PhaseConfirm {
		return false
	}
	c, err := p.parseConfirmation(confirm.payload)
	if err != nil || m.audience.find(confirm.sender) < 0 {
		return false
	}
	c.number = confirm.sender
	return m.verifyConfirmations([]confirmation{c}) != nil
}
