package dkg

import (
	"slices"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// confirmation is a member's partial signature of the statement, or, where only
// grants move, the transcript that it found.
type confirmation struct {
	raw     []byte
	number  uint8
	point   pairing.G2
	outcome [32]byte
	state   verdictState
	own     bool // made by this machine
}

type verdictState uint8

const (
	unverified verdictState = iota
	valid
	invalid
)

// parseConfirmation reads what this ceremony's members confirm with.
func (p *plan) parseConfirmation(payload []byte) (c confirmation, err error) {
	if !p.grantsOnly() {
		c.point, err = parseConfirm(payload)
		return c, err
	}
	r := wire.NewReader(outcomeFormat, payload)
	copy(c.outcome[:], r.Raw(len(c.outcome)))
	if err := r.Done(); err != nil {
		return c, malformed(err)
	}
	return c, nil
}

// encodeOutcome returns the confirmation of a member that moved grants: the
// signature of the message says the rest.
func encodeOutcome(transcript [32]byte) []byte {
	w := wire.NewWriter(outcomeFormat)
	w.Raw(transcript[:])
	return w.Sum()
}

func parseConfirm(payload []byte) (pairing.G2, error) {
	r := wire.NewReader(confirmFormat, payload)
	raw := r.Raw(threshold.SignatureSize)
	if err := r.Done(); err != nil {
		return pairing.G2{}, malformed(err)
	}
	g, err := pairing.ParseG2(raw)
	if err != nil {
		return pairing.G2{}, malformed(err)
	}
	return g, nil
}

// statementHash returns what members multiply by their shares to confirm.
func (m *Machine) statementHash() pairing.G2 {
	if m.hash == nil {
		h := pairing.HashToG2(pairing.DSTSignature, statement(m.plan.Chain, m.transcript))
		m.hash = &h
	}
	return *m.hash
}

func (m *Machine) onConfirm(msg *Message, raw []byte) error {
	c, err := m.plan.parseConfirmation(msg.payload)
	if err != nil {
		return m.blame(msg.sender, err, raw)
	}
	if m.audience.find(msg.sender) < 0 {
		return ErrSender
	}
	for _, first := range m.confirmations {
		if first.number == msg.sender {
			return m.again(msg, first.raw, raw)
		}
	}
	c.raw, c.number = raw, msg.sender
	c.own = msg.sender == m.self && m.arrived(msg)
	m.confirmations = append(m.confirmations, c)
	m.settle(false)
	if m.confirmations[len(m.confirmations)-1].state == invalid {
		return errConfirmation
	}
	return nil
}

// settle verifies the confirmations that came in as soon as they could change
// the phase, all at once, and moves on. A wrong one may thus be named later
// than it came, but at the same point of the log by everybody.
func (m *Machine) settle(force bool) {
	good, open := 0, []int(nil)
	for i, c := range m.confirmations {
		switch c.state {
		case valid:
			good++
		case unverified:
			open = append(open, i)
		}
	}
	next := map[Phase]int{PhaseConfirm: m.plan.serve, PhaseActive: m.plan.complete}[m.phase]
	if len(open) > 0 && (force || good+len(open) >= next) {
		batch := make([]confirmation, len(open))
		for j, i := range open {
			batch[j] = m.confirmations[i]
		}
		bad := m.verifyConfirmations(batch)
		for j, i := range open {
			if slices.Contains(bad, j) {
				m.confirmations[i].state = invalid
				m.blame(m.confirmations[i].number, errConfirmation, m.confirmations[i].raw)
				continue
			}
			m.confirmations[i].state = valid
			good++
		}
	}
	if m.phase == PhaseConfirm && good >= m.plan.serve {
		m.phase, m.since = PhaseActive, m.at
	}
	if m.phase == PhaseActive && good >= m.plan.complete {
		m.phase = PhaseComplete
	}
}

// verifyConfirmations returns the places of the wrong ones.
func (m *Machine) verifyConfirmations(batch []confirmation) (bad []int) {
	if !slices.ContainsFunc(batch, func(c confirmation) bool { return !c.own }) {
		return nil
	}
	if m.plan.grantsOnly() {
		for i, c := range batch {
			if c.outcome != m.transcript {
				bad = append(bad, i)
			}
		}
		return bad
	}
	hash, key := m.statementHash(), m.sharings[0]
	var all wire.Writer
	points, public := make([]pairing.G2, len(batch)), make([]pairing.G1, len(batch))
	for i, c := range batch {
		points[i], public[i] = c.point, publicShare(key, c.number)
		all.Bytes(c.raw)
	}
	draw := weigher{seed: wire.Hash(string(pairing.DSTConfirmWeight), m.transcript[:], all.Sum())}
	weights := make([]pairing.Scalar, len(batch))
	for i := range weights {
		weights[i] = draw.weight()
	}
	if signs(pairing.MultiMul(public, weights), hash, pairing.MultiMulG2(points, weights)) {
		return nil
	}
	for i := range batch {
		if !signs(public[i], hash, points[i]) {
			bad = append(bad, i)
		}
	}
	return bad
}

func signs(public pairing.G1, hash, sig pairing.G2) bool {
	return !public.IsIdentity() && !sig.IsIdentity() && pairing.PairingsEqual(pairing.GeneratorG1(), sig, public, hash)
}

// confirmed returns the members whose confirmations are valid, as far as they
// are verified.
func (m *Machine) confirmed() (list []uint8) {
	for _, c := range m.confirmations {
		if c.state == valid {
			list = append(list, c.number)
		}
	}
	slices.Sort(list)
	return list
}

// silent returns the members that did not confirm.
func (m *Machine) silent() (list []uint8) {
	confirmed := m.confirmed()
	for i := range m.plan.Members {
		if !slices.Contains(confirmed, uint8(i+1)) {
			list = append(list, uint8(i+1))
		}
	}
	return list
}
