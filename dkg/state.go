package dkg

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const (
	stateFormat = "ward/dkg/state/v1"

	maxState = 1 << 30 // bytes of one field of a state
)

// ErrState says that bytes are no state of a machine.
var ErrState = errors.New("not a state of a ceremony")

// abortCauses numbers the causes of an abort other than silence.
//
// Part of the format: only add at the end.
var abortCauses = [...]error{nil, threshold.ErrIdentity, errConstant}

// Bytes returns the whole state, from which [ParseMachine] goes on. It contains
// secrets: it belongs in a sealed vault, written before anything of
// [Machine.Pending] is sent, and the caller erases it.
func (m *Machine) Bytes() []byte {
	w := wire.NewWriter(stateFormat)
	w.Bytes(m.plan.Bytes())
	w.Uint8(m.self)
	w.Uint8(uint8(m.phase))
	for _, p := range []Point{m.at, m.since} {
		w.Uint64(p.Position)
		w.Uint64(p.Time)
	}
	writeFlag(w, m.lost)
	m.secrets.write(w)
	writeFlag(w, m.committed != nil)
	if m.committed != nil {
		w.Raw(m.committed.ephemeral)
		w.Bytes(m.committed.commitments)
	}
	w.Uint32(uint32(len(m.outbox)))
	for _, o := range m.outbox {
		w.Uint8(uint8(o.phase))
		w.Bytes(o.payload)
	}
	m.writeLog(w)
	writeFlag(w, m.aborted != nil)
	if a := m.aborted; a != nil {
		w.Uint8(uint8(a.Phase))
		w.Uint8(uint8(a.Have))
		w.Uint8(uint8(a.Need))
		w.Bytes(a.Missing)
		w.Uint8(uint8(slices.Index(abortCauses[:], a.Err)))
	}
	w.Uint32(uint32(len(m.faults)))
	for _, f := range m.faults {
		w.Uint8(f.number)
		w.Uint8(uint8(f.kind))
		w.Uint32(f.count)
		w.Uint8(uint8(len(f.messages)))
		for _, raw := range f.messages {
			w.Bytes(raw)
		}
	}
	return w.Sum()
}

// writeLog appends the messages that count.
func (m *Machine) writeLog(w *wire.Writer) {
	for _, j := range m.joins {
		if writeFlag(w, j != nil); j != nil {
			w.Bytes(j.raw)
		}
	}
	for _, d := range m.deals {
		if writeFlag(w, d != nil); d != nil {
			w.Bytes(d.raw)
		}
	}
	w.Uint32(uint32(len(m.complaints)))
	for _, c := range m.complaints {
		w.Bytes(c.raw)
	}
	w.Uint32(uint32(len(m.confirmations)))
	for _, c := range m.confirmations {
		w.Bytes(c.raw)
		w.Uint8(uint8(c.state))
	}
}

func (s *secrets) write(w *wire.Writer) {
	w.Raw(s.hedge[:])
	if writeFlag(w, s.seed != nil); s.seed != nil {
		w.Raw(s.seed[:])
	}
	writeSecret(w, s.receive)
	for _, list := range [][]*pairing.Secret{s.old, s.shares} {
		w.Uint32(uint32(len(list)))
		for _, x := range list {
			writeSecret(w, x)
		}
	}
}

func readSecrets(r *wire.Reader) (s secrets) {
	copy(s.hedge[:], r.Raw(len(s.hedge)))
	if readFlag(r) {
		s.seed = new([32]byte)
		copy(s.seed[:], r.Raw(len(s.seed)))
	}
	s.receive = readSecret(r)
	for _, list := range []*[]*pairing.Secret{&s.old, &s.shares} {
		n := r.Uint32()
		if n > maxSecrets {
			r.Fail(wire.ErrTooLong)
		}
		for ; n > 0 && r.Err() == nil; n-- {
			*list = append(*list, readSecret(r))
		}
	}
	return s
}

func writeFlag(w *wire.Writer, b bool) {
	if b {
		w.Uint8(1)
		return
	}
	w.Uint8(0)
}

func readFlag(r *wire.Reader) bool {
	v := r.Uint8()
	if v > 1 {
		r.Fail(ErrState)
	}
	return v == 1
}

func writeSecret(w *wire.Writer, s *pairing.Secret) {
	if writeFlag(w, s != nil); s != nil {
		raw := s.Reveal()
		w.Raw(raw[:])
		clear(raw[:])
	}
}

func readSecret(r *wire.Reader) *pairing.Secret {
	if !readFlag(r) {
		return nil
	}
	raw := r.Raw(pairing.ScalarSize)
	if r.Err() != nil {
		return nil
	}
	s, err := pairing.ParseSecret(raw)
	if err != nil {
		r.Fail(err)
	}
	return s
}

// ParseMachine restores a machine. The state comes from the owner's vault; yet
// messages are verified again and results computed anew, which takes about as
// long as the ceremony took so far. Taken as they stand are the secrets, the
// last point, the phase, and the list of faults, whose evidence proves itself.
func ParseMachine(b []byte) (*Machine, error) {
	r := wire.NewReader(stateFormat, b)
	m, err := readMachine(r)
	if err != nil {
		r.Fail(err)
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("read ceremony state: %w", err)
	}
	return m, nil
}

func readMachine(r *wire.Reader) (*Machine, error) {
	c, err := ParseCeremony(r.Bytes(maxState))
	if r.Err() != nil || err != nil {
		return nil, err
	}
	p, err := newPlan(c)
	if err != nil {
		return nil, err
	}
	m := newMachine(p)
	m.self, m.phase = r.Uint8(), Phase(r.Uint8())
	m.at, m.since = Point{r.Uint64(), r.Uint64()}, Point{r.Uint64(), r.Uint64()}
	m.lost = readFlag(r)
	m.secrets = readSecrets(r)
	if readFlag(r) {
		m.committed = &committed{ephemeral: slices.Clone(r.Raw(pairing.G1Size)), commitments: slices.Clone(r.Bytes(maxState))}
	}
	for n := r.Uint32(); n > 0 && r.Err() == nil; n-- {
		m.outbox = append(m.outbox, outgoing{Phase(r.Uint8()), slices.Clone(r.Bytes(maxPayload))})
	}
	raw := m.readLog(r)
	if readFlag(r) {
		a := &AbortError{Phase: Phase(r.Uint8()), Have: int(r.Uint8()), Need: int(r.Uint8()), Missing: slices.Clone(r.Bytes(255))}
		if cause := int(r.Uint8()); cause < len(abortCauses) {
			a.Err = abortCauses[cause]
		} else {
			r.Fail(ErrState)
		}
		if len(a.Missing) == 0 {
			a.Missing = nil
		}
		m.aborted = a
	}
	m.readFaults(r)
	if r.Err() != nil {
		return nil, nil
	}
	if !m.consistent() {
		return nil, ErrState
	}
	return m, m.relive(raw)
}

// rawLog is a state's messages before they are verified.
type rawLog struct {
	joins, deals, complaints, confirmations [][]byte
	states                                  []verdictState
}

func (m *Machine) readLog(r *wire.Reader) (log rawLog) {
	for _, list := range []*[][]byte{&log.joins, &log.deals} {
		for range m.plan.participants {
			var raw []byte
			if readFlag(r) {
				raw = slices.Clone(r.Bytes(maxPayload + 256))
			}
			*list = append(*list, raw)
		}
	}
	for n := r.Uint32(); n > 0 && r.Err() == nil; n-- {
		log.complaints = append(log.complaints, slices.Clone(r.Bytes(maxPayload)))
	}
	for n := r.Uint32(); n > 0 && r.Err() == nil; n-- {
		log.confirmations = append(log.confirmations, slices.Clone(r.Bytes(maxPayload)))
		log.states = append(log.states, verdictState(r.Uint8()))
	}
	return log
}

func (m *Machine) readFaults(r *wire.Reader) {
	for n := r.Uint32(); n > 0 && r.Err() == nil; n-- {
		f := record{number: r.Uint8(), kind: FaultKind(r.Uint8()), count: r.Uint32()}
		if f.number < 1 || int(f.number) > len(m.plan.participants) || f.kind >= faultKinds || f.count == 0 {
			r.Fail(ErrState)
		}
		for k := r.Uint8(); k > 0 && r.Err() == nil; k-- {
			f.messages = append(f.messages, slices.Clone(r.Bytes(maxPayload+256)))
		}
		m.faults = append(m.faults, f)
	}
}

// consistent checks the fields against each other.
func (m *Machine) consistent() bool {
	s := &m.secrets
	switch {
	case int(m.self) > len(m.plan.participants), m.phase < PhaseJoin, m.phase > PhaseAborted,
		(m.phase == PhaseAborted) != (m.aborted != nil),
		m.aborted != nil && (m.aborted.Phase < PhaseJoin || m.aborted.Phase > PhaseConfirm),
		m.since.Position > m.at.Position, m.since.Time > m.at.Time,
		s.seed != nil && (!m.plan.isDealer(m.self) || m.phase > PhaseDeal || m.committed == nil),
		s.seed == nil && (m.committed != nil || s.old != nil),
		s.receive != nil && (!m.plan.isReceiver(m.self) || m.phase > PhaseComplain),
		s.shares != nil && (len(s.shares) != len(m.plan.Secrets) || m.phase < PhaseConfirm):
		return false
	}
	for _, o := range m.outbox {
		if o.phase != min(m.phase, PhaseConfirm) || m.self == 0 {
			return false
		}
	}
	if s.seed != nil {
		want := 0
		if m.plan.reshares() {
			want = len(m.plan.holdings[m.self-1])
		}
		return len(s.old) == want && !slices.Contains(s.old, nil)
	}
	return true
}

// reached returns the last of the first four phases that was entered.
func (m *Machine) reached() Phase {
	if m.aborted != nil {
		return m.aborted.Phase
	}
	return min(m.phase, PhaseConfirm)
}

// relive verifies the messages again and computes what follows from them.
func (m *Machine) relive(log rawLog) error {
	if err := m.reliveJoins(log.joins); err != nil {
		return err
	}
	if err := m.reliveDeals(log.deals); err != nil {
		return err
	}
	for _, raw := range log.complaints {
		if err := m.reliveComplaint(raw); err != nil {
			return err
		}
	}
	if m.reached() == PhaseConfirm {
		m.listQualified()
		if err := m.combine(); err != nil {
			return ErrState
		}
		for k := range m.plan.Secrets {
			if m.plan.Secrets[k].Use != UseGrant && len(m.contributors(k)) < m.plan.dealersNeeded(k) {
				return ErrState // with so few, the ceremony had aborted
			}
		}
		if m.plan.grantsOnly() && !m.enoughForGrants(PhaseComplain, func(i int) bool { return slices.Contains(m.qualified, uint8(i+1)) }) {
			return ErrState
		}
		for k, s := range m.secrets.shares {
			if (s == nil) != (m.sharings[k] == nil) {
				return ErrState
			}
		}
	} else if len(log.confirmations) > 0 {
		return ErrState
	}
	if err := m.reliveConfirmations(log); err != nil {
		return err
	}
	if m.phase >= PhaseActive && m.aborted == nil && len(m.confirmed()) < m.plan.serve {
		return ErrState
	}
	return nil
}

func (m *Machine) reliveConfirmations(log rawLog) error {
	var counted []confirmation
	for i, raw := range log.confirmations {
		msg, err := m.plan.authentic(raw)
		if err != nil || msg.phase != PhaseConfirm || m.audience.find(msg.sender) < 0 || log.states[i] > invalid ||
			slices.ContainsFunc(m.confirmations, func(c confirmation) bool { return c.number == msg.sender }) {
			return ErrState
		}
		c, err := m.plan.parseConfirmation(msg.payload)
		if err != nil {
			return err
		}
		c.raw, c.number, c.state = raw, msg.sender, log.states[i]
		m.confirmations = append(m.confirmations, c)
		if c.state == valid {
			counted = append(counted, c)
		}
	}
	if len(m.verifyConfirmations(counted)) > 0 {
		return ErrState
	}
	return nil
}

func (m *Machine) reliveJoins(list [][]byte) error {
	var receivers []receiver
	for i, raw := range list {
		if raw == nil {
			continue
		}
		msg, err := m.plan.authentic(raw)
		if err != nil || msg.phase != PhaseJoin || int(msg.sender) != i+1 {
			return ErrState
		}
		j, err := m.plan.checkJoin(msg.sender, msg.payload)
		if err != nil {
			return err
		}
		m.joins[i] = &joined{raw, j}
		if m.plan.isReceiver(msg.sender) {
			receivers = append(receivers, receiver{msg.sender, j.receiving})
		}
	}
	if m.reached() > PhaseJoin {
		m.audience = m.plan.newAudience(receivers)
	}
	return nil
}

func (m *Machine) reliveDeals(list [][]byte) error {
	for i, raw := range list {
		if raw == nil {
			continue
		}
		msg, err := m.plan.authentic(raw)
		if err != nil || msg.phase != PhaseDeal || int(msg.sender) != i+1 || m.joins[i] == nil ||
			!m.plan.isDealer(msg.sender) || m.reached() < PhaseDeal {
			return ErrState
		}
		d, err := m.plan.checkDeal(msg.sender, msg.payload, &m.audience, &m.joins[i].commitment)
		if err != nil {
			return err
		}
		m.deals[i] = &dealt{raw: raw, deal: d}
	}
	return nil
}

func (m *Machine) reliveComplaint(raw []byte) error {
	msg, err := m.plan.authentic(raw)
	if err != nil || msg.phase != PhaseComplain || m.reached() < PhaseComplain {
		return ErrState
	}
	c, err := parseComplaint(msg.payload)
	if err != nil {
		return err
	}
	if c.dealer < 1 || int(c.dealer) > len(m.deals) || m.deals[c.dealer-1] == nil || m.deals[c.dealer-1].hash != c.deal {
		return ErrState
	}
	if m.complained(msg.sender, c.dealer) {
		return ErrState
	}
	d := m.deals[c.dealer-1]
	bad, err := m.plan.verdict(d.deal, &m.audience, msg.sender, c)
	if err != nil {
		return err
	}
	d.guilty = d.guilty || bad
	m.complaints = append(m.complaints, complaint{raw, msg.sender, c.dealer})
	return nil
}
