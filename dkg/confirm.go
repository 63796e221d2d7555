package dkg

import (
	"slices"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// confirmation is a member's partial signature of the statement.
type confirmation struct {
	raw    []byte
	number uint8
	point  pairing.G2
	state  verdictState
	own    bool // made by this machine
}

type verdictState uint8

const (
	unverified verdictState = iota
	valid
	invalid
)

func parseConfirm(payload []byte) (pairing.G2, error) {
	r := wire.NewReader(confirmFormat, payload)
	raw := r.Raw(SignatureSize)
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
	point, err := parseConfirm(msg.payload)
	if err != nil {
		return m.blame(msg.sender, err, raw)
	}
	if m.audience.find(msg.sender) < 0 {
		return ErrSender
	}
	for _, c := range m.confirmations {
		if c.number == msg.sender {
			return m.again(msg, c.raw, raw)
		}
	}
	own := msg.sender == m.self && m.arrived(msg)
	m.confirmations = append(m.confirmations, confirmation{raw: raw, number: msg.sender, point: point, own: own})
	m.settle(false)
	if m.confirmations[len(m.confirmations)-1].state == invalid {
		return ErrConfirmation
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
				m.blame(m.confirmations[i].number, ErrConfirmation, m.confirmations[i].raw)
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
	hash, key := m.statementHash(), m.sharings[0]
	var all wire.Writer
	points, public := make([]pairing.G2, len(batch)), make([]pairing.G1, len(batch))
	for i, c := range batch {
		points[i], public[i] = c.point, key.public[c.number-1]
		all.Bytes(c.raw)
	}
	draw := weigher{seed: wire.Hash(string(pairing.DSTConfirmWeight), m.transcript[:], all.Sum())}
	weights := make([]pairing.Scalar, len(batch))
	for i := range weights {
		weights[i] = draw.weight()
	}
	sum := PublicKey{pairing.MultiMul(public, weights)}
	if sum.verify(hash, pairing.MultiMulG2(points, weights)) == nil {
		return nil
	}
	for i := range batch {
		if (PublicKey{public[i]}).verify(hash, points[i]) != nil {
			bad = append(bad, i)
		}
	}
	return bad
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
