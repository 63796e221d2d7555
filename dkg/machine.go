package dkg

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"slices"

	"github.com/ward-health/ward/internal/pairing"
)

// Machine is one member's view of a ceremony, or an auditor's. It changes only
// through [Machine.Step], [Machine.Tick] and [Machine.Erase]; two machines that
// took the same log agree on everything but their members' secrets.
//
// The owner writes [Machine.Bytes] to its vault before it sends what
// [Machine.Pending] returns, and after every step. A machine restored from an
// older state catches up by taking the log again from there; a machine whose
// secrets the log contradicts stays silent, see [Machine.Lost].
//
// A Machine is not safe for concurrent use.
type Machine struct {
	plan  *plan
	self  uint8 // participant's number; 0 for an auditor
	phase Phase
	at    Point // of the last step
	since Point // where the phase began
	lost  bool

	secrets   secrets
	joining   *joinPayload // the own join, unless the machine was restored
	committed *committed   // what the own deal will hold, as long as the seed
	outbox    []outgoing

	joins         []*joined   // by participant; nil before its join counts
	audience      audience    // from the end of the join phase
	deals         []*dealt    // by participant
	opened        bool        // whether the own shares in deals were opened
	ownKey        *pairing.G1 // key of the own deal for oneself, if it is at hand
	complaints    []complaint
	qualified     []uint8     // from the end of the complaint phase
	sharings      []*Sharing  // by secret; nil where it could not be moved
	transcript    [32]byte    // what members confirm
	hash          *pairing.G2 // of the statement about it, once computed
	confirmations []confirmation
	aborted       *AbortError
	faults        []record
}

// secrets is everything in a machine that nobody else may see.
type secrets struct {
	hedge   [32]byte          // of nonces
	seed    *[32]byte         // of the polynomials, until the log holds the own deal
	old     []*pairing.Secret // shares to deal, as long as the seed
	receive *pairing.Secret   // d, until the shares are computed
	shares  []*pairing.Secret // the result, by secret; nil where there is none
}

type outgoing struct {
	phase   Phase
	payload []byte
}

type joined struct {
	raw []byte
	*joinPayload
}

type dealt struct {
	raw []byte
	*deal
	guilty bool              // a complaint proved a bad share
	shares []*pairing.Secret // the own shares, once opened; nil if they are bad
}

type complaint struct {
	raw                []byte
	complainer, dealer uint8
}

// New starts a ceremony. The machine is that of the participant with the node
// key self, or an auditor's if self is nil. old holds the participant's shares
// of the secrets it deals in a reshare, in their order, and is nil otherwise;
// it may be erased afterwards. Randomness is drawn here and nowhere else, 112
// bytes from random, or from the operating system if random is nil.
//
// It returns [ErrDescription] or [ErrThreshold] for a description that no member
// should take part in, [ErrSender] if self takes no part, and [ErrShare],
// [ErrIndex] or [ErrGeneration] if a share is not the one that the description
// speaks of.
func New(c *Ceremony, self ed25519.PublicKey, old []*Share, random io.Reader) (*Machine, error) {
	p, err := newPlan(c)
	if err != nil {
		return nil, fmt.Errorf("start ceremony: %w", err)
	}
	m := newMachine(p)
	if self == nil {
		return m, nil
	}
	at := slices.IndexFunc(p.participants, func(key ed25519.PublicKey) bool { return self.Equal(key) })
	m.self = uint8(at + 1)
	if !p.hasPart(m.self) {
		return nil, fmt.Errorf("start ceremony: %w", ErrSender)
	}
	if random == nil {
		random = rand.Reader
	}
	if err := m.prepare(old, random); err != nil {
		m.secrets.erase()
		return nil, fmt.Errorf("start ceremony: %w", err)
	}
	m.send(PhaseJoin, m.ownJoin())
	return m, nil
}

func newMachine(p *plan) *Machine {
	return &Machine{
		plan: p, phase: PhaseJoin, at: p.Opened, since: p.Opened,
		joins: make([]*joined, len(p.participants)),
		deals: make([]*dealt, len(p.participants)),
	}
}

// prepare draws the secrets and checks the old shares.
func (m *Machine) prepare(old []*Share, random io.Reader) error {
	var err error
	if _, err = io.ReadFull(random, m.secrets.hedge[:]); err != nil {
		return err
	}
	if m.plan.isReceiver(m.self) {
		if m.secrets.receive, err = pairing.GenerateSecret(random); err != nil {
			return err
		}
	}
	if !m.plan.isDealer(m.self) {
		return nil
	}
	m.secrets.seed = new([32]byte)
	if _, err = io.ReadFull(random, m.secrets.seed[:]); err != nil {
		return err
	}
	if !m.plan.reshares() {
		return nil
	}
	held := m.plan.holdings[m.self-1]
	if len(old) != len(held) {
		return ErrShare
	}
	public := make([]pairing.G1, len(held))
	for h, k := range held {
		if old[h] == nil {
			return ErrShare
		}
		if old[h].index != m.plan.oldIndex[m.self-1] {
			return ErrIndex
		}
		if old[h].generation != m.plan.Secrets[k].Old.generation {
			return ErrGeneration
		}
		public[h] = m.plan.oldShare(m.self, k)
		m.secrets.old = append(m.secrets.old, copySecret(old[h].value))
	}
	if !m.plan.holds(m.secrets.old, public, m.secrets.hedge) {
		return ErrShare
	}
	return nil
}

// ownJoin computes the first message.
func (m *Machine) ownJoin() []byte {
	j := new(joinPayload)
	if d := m.secrets.receive; d != nil {
		j.receiving = pairing.GeneratorG1ConstantTime().Mul(d)
		j.possession = m.plan.provePossession(m.self, d, j.receiving, m.secrets.hedge)
	}
	if m.secrets.seed != nil {
		d := m.plan.draw(m.self, m.secrets.seed, m.secrets.old)
		defer d.erase()
		m.committed = m.plan.commit(m.self, d)
		j.commitment = m.plan.commitmentHash(m.self, m.committed.ephemeral, m.committed.commitments)
	}
	m.joining = j
	return m.plan.encodeJoin(m.self, j)
}

// Step takes a message of the log that stands at the given point. It returns
// nil if the message counts, and otherwise why it does not: one of the refusals
// ([ErrOrder], [ErrCeremony], [ErrSignature], [ErrSender], [ErrPhase],
// [ErrNoDeal], [ErrDuplicate], or an error of [ParseMessage]), or one of the
// faults, which then stands in [Machine.Faults]. Refused or not, the point
// passes, and phases end that were to end before it; only after [ErrOrder]
// nothing has changed.
func (m *Machine) Step(at Point, raw []byte) error {
	if at.Position <= m.at.Position || at.Time < m.at.Time {
		return ErrOrder
	}
	m.pass(at)
	msg, err := m.plan.authentic(raw)
	if err != nil {
		return err
	}
	return m.handle(msg, bytes.Clone(raw))
}

// Tick passes a point of the log without a message for this ceremony, so that
// phases can end by time. It returns [ErrOrder] for a point before the last.
func (m *Machine) Tick(at Point) error {
	if at.Position < m.at.Position || at.Time < m.at.Time {
		return ErrOrder
	}
	m.pass(at)
	return nil
}

// pass ends the phase if its time is over. The next begins at the point where
// that was found, not in between: members learn of it there, and have the whole
// window to speak.
func (m *Machine) pass(at Point) {
	m.at = at
	windows := [...]Window{m.plan.Join, m.plan.Deal, m.plan.Complain, m.plan.Confirm}
	if m.phase <= PhaseConfirm && windows[m.phase-1].closed(m.since, at) {
		m.closePhase()
	}
}

// handle takes an authentic message.
func (m *Machine) handle(msg *Message, raw []byte) error {
	switch {
	case m.phase == PhaseJoin && msg.phase == PhaseJoin:
		return m.onJoin(msg, raw)
	case m.phase == PhaseDeal && msg.phase == PhaseDeal:
		return m.onDeal(msg, raw)
	case m.phase == PhaseComplain && msg.phase == PhaseComplain:
		return m.onComplaint(msg, raw)
	case m.phase >= PhaseConfirm && m.phase <= PhaseComplete && msg.phase == PhaseConfirm:
		return m.onConfirm(msg, raw)
	}
	return ErrPhase
}

func (m *Machine) onJoin(msg *Message, raw []byte) error {
	if !m.plan.hasPart(msg.sender) {
		return ErrSender
	}
	if first := m.joins[msg.sender-1]; first != nil {
		return m.again(msg, first.raw, raw)
	}
	j := m.joining
	if msg.sender != m.self || j == nil || m.owes(msg) < 0 { // no need to verify what we made
		var err error
		if j, err = m.plan.checkJoin(msg.sender, msg.payload); err != nil {
			return m.blame(msg.sender, err, raw)
		}
	}
	m.joins[msg.sender-1] = &joined{raw, j}
	if msg.sender == m.self && !m.arrived(msg) {
		// The log holds a join of ours with other secrets: this state was
		// restored from before it, or started anew. Speaking on would deal
		// a second polynomial.
		m.lost = true
		m.secrets.erase()
		m.outbox, m.committed = nil, nil
	}
	for i, other := range m.joins {
		if other == nil && m.plan.hasPart(uint8(i+1)) {
			return nil
		}
	}
	m.closePhase()
	return nil
}

func (m *Machine) onDeal(msg *Message, raw []byte) error {
	join := m.joins[msg.sender-1]
	if join == nil || !m.plan.isDealer(msg.sender) {
		return ErrSender
	}
	if first := m.deals[msg.sender-1]; first != nil {
		return m.again(msg, first.raw, raw)
	}
	d, err := m.verifyDeal(msg, join)
	if err == ErrReceivers {
		return m.blame(msg.sender, err, raw)
	}
	if err != nil {
		return m.blame(msg.sender, err, join.raw, raw)
	}
	m.deals[msg.sender-1] = &dealt{raw: raw, deal: d}
	if msg.sender == m.self {
		if m.arrived(msg) && m.committed != nil {
			m.ownKey = m.committed.own
		}
		m.forgetPolynomials()
	}
	for i, j := range m.joins {
		if j != nil && m.plan.isDealer(uint8(i+1)) && m.deals[i] == nil {
			return nil
		}
	}
	m.closePhase()
	return nil
}

// verifyDeal checks a deal, or recognises the own one.
func (m *Machine) verifyDeal(msg *Message, join *joined) (*deal, error) {
	if msg.sender == m.self && m.committed != nil && m.committed.rows != nil && m.owes(msg) >= 0 {
		return m.plan.ownDeal(m.self, msg.payload, &m.audience, m.committed)
	}
	return m.plan.checkDeal(msg.sender, msg.payload, &m.audience, &join.commitment)
}

func (m *Machine) onComplaint(msg *Message, raw []byte) error {
	c, err := parseComplaint(msg.payload)
	if err != nil {
		return m.blame(msg.sender, err, raw)
	}
	if m.audience.find(msg.sender) < 0 {
		return ErrSender
	}
	if c.dealer < 1 || int(c.dealer) > len(m.deals) || m.deals[c.dealer-1] == nil || m.deals[c.dealer-1].hash != c.deal {
		return ErrNoDeal
	}
	if slices.ContainsFunc(m.complaints, func(k complaint) bool { return k.complainer == msg.sender && k.dealer == c.dealer }) {
		return ErrDuplicate
	}
	d := m.deals[c.dealer-1]
	bad, err := m.plan.verdict(d.deal, &m.audience, msg.sender, c)
	if err != nil {
		return m.blame(msg.sender, err, d.raw, raw)
	}
	m.complaints = append(m.complaints, complaint{raw, msg.sender, c.dealer})
	if msg.sender == m.self {
		m.arrived(msg)
	}
	if !bad {
		return m.blame(msg.sender, ErrFalseComplaint, d.raw, raw)
	}
	d.guilty = true
	m.blame(c.dealer, ErrBadShare, d.raw, raw)
	m.dropComplaints(c.dealer)
	return nil
}

// again judges a second message of a kind that is due once.
func (m *Machine) again(msg *Message, first, raw []byte) error {
	if old, err := ParseMessage(first); err != nil || bytes.Equal(old.payload, msg.payload) {
		return ErrDuplicate
	}
	return m.blame(msg.sender, ErrEquivocation, first, raw)
}

// blame puts a fault on record, with the messages that prove it, and returns
// it. Of repeated faults the first is kept, so that nobody can fill the state.
func (m *Machine) blame(number uint8, err error, messages ...[]byte) error {
	kind, ok := faultKind(err)
	if !ok {
		return err
	}
	for i := range m.faults {
		if f := &m.faults[i]; f.number == number && f.kind == kind {
			f.count++
			return err
		}
	}
	m.faults = append(m.faults, record{number, kind, 1, messages})
	return err
}

// send adds a message of our own to those the log lacks.
func (m *Machine) send(phase Phase, payload []byte) {
	m.outbox = append(m.outbox, outgoing{phase, payload})
}

// arrived removes a message of our own that the log holds, and reports whether
// it was one that this machine sends.
func (m *Machine) arrived(msg *Message) bool {
	at := m.owes(msg)
	if at < 0 {
		return false
	}
	m.outbox = slices.Delete(m.outbox, at, at+1)
	return true
}

// owes returns the place of a message among those the log lacks, or -1.
func (m *Machine) owes(msg *Message) int {
	return slices.IndexFunc(m.outbox, func(o outgoing) bool {
		return o.phase == msg.phase && bytes.Equal(o.payload, msg.payload)
	})
}

// dropComplaints forgets a complaint about a dealer that is out already: a key
// is revealed only when it must be.
func (m *Machine) dropComplaints(dealer uint8) {
	m.outbox = slices.DeleteFunc(m.outbox, func(o outgoing) bool {
		c, err := parseComplaint(o.payload)
		return o.phase == PhaseComplain && err == nil && c.dealer == dealer
	})
}

// forgetPolynomials erases what the deal was made of.
func (m *Machine) forgetPolynomials() {
	if m.secrets.seed != nil {
		clear(m.secrets.seed[:])
	}
	eraseAll(m.secrets.old)
	m.secrets.seed, m.secrets.old, m.committed = nil, nil, nil
}

func (s *secrets) erase() {
	if s.seed != nil {
		clear(s.seed[:])
	}
	if s.receive != nil {
		s.receive.Erase()
	}
	eraseAll(s.old)
	eraseAll(s.shares)
	*s = secrets{}
}

func eraseAll(list []*pairing.Secret) {
	for _, s := range list {
		if s != nil {
			s.Erase()
		}
	}
}

func copySecret(s *pairing.Secret) *pairing.Secret { return new(pairing.Secret).Add(s) }
