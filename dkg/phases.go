package dkg

import (
	"slices"

	"github.com/ward-health/ward/internal/pairing"
)

// closePhase ends a phase and begins the next, or aborts.
func (m *Machine) closePhase() {
	m.outbox = nil
	m.since = m.at
	switch m.phase {
	case PhaseJoin:
		m.closeJoin()
	case PhaseDeal:
		m.forgetPolynomials()
		if m.enough(PhaseDeal, func(i int) bool { return m.deals[i] != nil }) {
			m.phase = PhaseComplain
			m.complain()
		}
	case PhaseComplain:
		if m.enough(PhaseComplain, func(i int) bool { return m.deals[i] != nil && !m.deals[i].guilty }) {
			m.phase = PhaseConfirm
			m.qualify()
		}
	case PhaseConfirm:
		m.settle(true)
		if m.phase == PhaseConfirm {
			m.abort(&AbortError{Phase: PhaseConfirm, Have: len(m.confirmed()), Need: m.plan.serve, Missing: m.silent()})
		}
	}
}

func (m *Machine) closeJoin() {
	var receivers []receiver
	var missing []uint8
	for i := range m.plan.Members {
		if j := m.joins[i]; j != nil {
			receivers = append(receivers, receiver{uint8(i + 1), j.receiving})
		} else {
			missing = append(missing, uint8(i+1))
		}
	}
	if len(receivers) < m.plan.serve {
		m.abort(&AbortError{Phase: PhaseJoin, Have: len(receivers), Need: m.plan.serve, Missing: missing})
		return
	}
	if !m.enough(PhaseJoin, func(i int) bool { return m.joins[i] != nil }) {
		return
	}
	m.audience = m.plan.newAudience(receivers)
	m.phase = PhaseDeal
	if m.self == 0 || m.joins[m.self-1] == nil {
		m.secrets.erase() // too late: the log has no join of ours
		m.committed = nil
	}
	if s := &m.secrets; s.seed != nil {
		d := m.plan.draw(m.self, s.seed, s.old)
		defer d.erase()
		m.send(PhaseDeal, m.plan.encodeDeal(m.self, d, m.committed, &m.audience, s.seed, s.hedge))
	}
}

// enough checks that the participants for which heard is true can deal every
// key, and aborts if not. A grant that too few can deal stays behind alone; but
// where there are grants only, as many old members must be heard as keys would
// take, so that an hour in which they are away costs a repetition, not grants.
func (m *Machine) enough(phase Phase, heard func(i int) bool) bool {
	if m.plan.grantsOnly() {
		return m.enoughForGrants(phase, heard)
	}
	for k := range m.plan.Secrets {
		if m.plan.Secrets[k].Use == UseGrant {
			break
		}
		have, missing := 0, []uint8(nil)
		for i, held := range m.plan.holdings {
			if !slices.Contains(held, k) {
				continue
			}
			if heard(i) {
				have++
			} else {
				missing = append(missing, uint8(i+1))
			}
		}
		if need := m.plan.dealersNeeded(k); have < need {
			m.abort(&AbortError{Phase: phase, Have: have, Need: need, Missing: missing})
			return false
		}
	}
	return true
}

// enoughForGrants counts an old member that holds none of the grants as heard
// if it joined.
func (m *Machine) enoughForGrants(phase Phase, heard func(i int) bool) bool {
	have, need, missing := 0, 0, []uint8(nil)
	for k := range m.plan.Secrets {
		need = max(need, m.plan.dealersNeeded(k))
	}
	for i, old := range m.plan.oldIndex {
		switch {
		case old == 0:
		case m.joins[i] != nil && (len(m.plan.holdings[i]) == 0 || heard(i)):
			have++
		default:
			missing = append(missing, uint8(i+1))
		}
	}
	if have < need {
		m.abort(&AbortError{Phase: phase, Have: have, Need: need, Missing: missing})
	}
	return have >= need
}

func (m *Machine) abort(e *AbortError) {
	m.phase, m.aborted, m.outbox, m.committed = PhaseAborted, e, nil, nil
	m.forgetShares()
	m.secrets.erase()
}

// complain opens the own shares and prepares a complaint for each bad one.
func (m *Machine) complain() {
	m.openShares()
	at := m.audience.find(m.self)
	if m.secrets.receive == nil || at < 0 {
		return
	}
	for _, d := range m.deals {
		if d == nil || d.shares != nil {
			continue
		}
		c := &complaintPayload{dealer: d.dealer, deal: d.hash, key: m.secrets.receive.MulG1(d.ephemeral)}
		c.proof = m.plan.proveKey(m.self, c, m.secrets.receive, m.audience.receivers[at].key, d.ephemeral, m.secrets.hedge)
		m.send(PhaseComplain, c.encode())
	}
}

// openShares decrypts and checks what the dealers sent to this member: all at
// once, and one by one if that fails.
func (m *Machine) openShares() {
	at := m.audience.find(m.self)
	if m.opened || m.secrets.receive == nil || at < 0 {
		return
	}
	m.opened = true
	var deals []*deal
	var values [][]*pairing.Secret
	for _, d := range m.deals {
		if d == nil {
			continue
		}
		shared := m.ownKey
		if d.dealer != m.self || shared == nil {
			g := m.secrets.receive.MulG1(d.ephemeral)
			shared = &g
		}
		var err error
		if d.shares, err = m.plan.open(d.deal, &m.audience, at, *shared); err == nil {
			deals, values = append(deals, d.deal), append(values, d.shares)
		}
	}
	if m.plan.matches(deals, values, m.self) {
		return
	}
	for _, d := range m.deals {
		if d != nil && d.shares != nil && !m.plan.matches([]*deal{d.deal}, [][]*pairing.Secret{d.shares}, m.self) {
			eraseAll(d.shares)
			d.shares = nil
		}
	}
}

func (m *Machine) forgetShares() {
	m.ownKey = nil
	for _, d := range m.deals {
		if d != nil {
			eraseAll(d.shares)
			d.shares = nil
		}
	}
}
