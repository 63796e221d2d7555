package dkg

import (
	"slices"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// qualify computes the result from the dealers that are left.
func (m *Machine) qualify() {
	m.listQualified()
	if err := m.combine(); err != nil {
		m.qualified, m.sharings = nil, nil
		m.abort(&AbortError{Phase: PhaseComplain, Err: err})
		return
	}
	m.openShares()
	m.combineShares()
	m.forgetShares()
	if m.secrets.receive != nil {
		m.secrets.receive.Erase()
		m.secrets.receive = nil
	}
	switch {
	case m.secrets.shares == nil:
	case m.plan.grantsOnly():
		m.send(PhaseConfirm, encodeOutcome(m.transcript))
	default:
		w := wire.NewWriter(confirmFormat)
		sig := m.secrets.shares[0].MulG2(m.statementHash()).Bytes()
		w.Raw(sig[:])
		m.send(PhaseConfirm, w.Sum())
	}
}

func (m *Machine) listQualified() {
	for i, d := range m.deals {
		if d != nil && !d.guilty {
			m.qualified = append(m.qualified, uint8(i+1))
		}
	}
}

// contributors returns the dealers whose polynomials make secret k, or none if
// they are too few: all that qualify for a new key, and for an old one as many
// as its threshold asks, with the lowest indices.
func (m *Machine) contributors(k int) []uint8 {
	var list []uint8
	for _, number := range m.qualified {
		if _, ok := slices.BinarySearch(m.plan.holdings[number-1], k); ok {
			list = append(list, number)
		}
	}
	if m.plan.Secrets[k].Old == nil {
		return list
	}
	need := m.plan.dealersNeeded(k)
	if len(list) < need {
		return nil
	}
	slices.SortFunc(list, func(a, b uint8) int { return int(m.plan.oldIndex[a-1]) - int(m.plan.oldIndex[b-1]) })
	return list[:need]
}

// lagrange returns the coefficients that recombine old shares of contributors.
func (m *Machine) lagrange(contributors []uint8) (*pairing.Lagrange, error) {
	x := make([]uint8, len(contributors))
	for i, number := range contributors {
		x[i] = m.plan.oldIndex[number-1]
	}
	return pairing.NewLagrange(x)
}

// combine computes the public side of the result and its transcript.
func (m *Machine) combine() error {
	m.sharings = make([]*threshold.Sharing, len(m.plan.Secrets))
	for k := range m.sharings {
		s, contributors := &m.plan.Secrets[k], m.contributors(k)
		if len(contributors) == 0 {
			continue
		}
		rows := make([][]pairing.G1, len(contributors))
		for i, number := range contributors {
			h, _ := slices.BinarySearch(m.plan.holdings[number-1], k)
			rows[i] = m.deals[number-1].commitments[h]
		}
		var sum []pairing.G1
		if s.Old == nil {
			sum = pairing.SumRows(rows)
		} else {
			l, err := m.lagrange(contributors)
			if err != nil {
				return err
			}
			sum = l.CombineRows(rows)
		}
		var err error
		if m.sharings[k], err = threshold.NewSharing(m.plan.Generation, len(m.plan.Members), sum); err != nil {
			return err
		}
		if s.Old != nil && !m.sharings[k].Key().Equal(s.Old.Key()) {
			return errConstant
		}
	}
	var w wire.Writer
	for _, number := range m.qualified {
		w.Uint8(number)
		w.Raw(m.deals[number-1].hash[:])
	}
	var r wire.Writer
	for _, s := range m.sharings {
		if s == nil {
			r.Bytes(nil)
			continue
		}
		r.Bytes(s.Bytes())
	}
	m.transcript = wire.Hash(string(pairing.DSTTranscript), m.plan.id[:], m.audience.hash[:], w.Sum(), r.Sum())
	return nil
}

// combineShares computes the own shares and checks them against the result. A
// member that lacks a dealer's good share, because its complaint was not heard,
// ends without.
func (m *Machine) combineShares() {
	if m.secrets.receive == nil || m.audience.find(m.self) < 0 {
		return
	}
	shares := make([]*pairing.Secret, len(m.sharings))
	defer func() {
		if m.secrets.shares == nil {
			eraseAll(shares)
		}
	}()
	var values []*pairing.Secret
	var public []pairing.G1
	for k, sharing := range m.sharings {
		if sharing == nil {
			continue
		}
		if shares[k] = m.own(k); shares[k] == nil {
			return
		}
		values, public = append(values, shares[k]), append(public, publicShare(sharing, m.self))
	}
	if m.plan.holds(values, public, m.transcript) {
		m.secrets.shares = shares
	}
}

// own computes this member's share of secret k, or nil if a part is missing.
func (m *Machine) own(k int) *pairing.Secret {
	contributors := m.contributors(k)
	parts := make([]*pairing.Secret, len(contributors))
	for i, number := range contributors {
		h, _ := slices.BinarySearch(m.plan.holdings[number-1], k)
		d := m.deals[number-1]
		if d.shares == nil {
			return nil
		}
		parts[i] = d.shares[h]
	}
	if m.plan.Secrets[k].Old != nil {
		l, err := m.lagrange(contributors)
		if err != nil {
			return nil
		}
		return l.CombineSecrets(parts)
	}
	sum := new(pairing.Secret)
	for _, s := range parts {
		sum = sum.Add(s)
	}
	return sum
}

// holds reports whether the values are those behind the public shares, by one
// random combination.
func (p *plan) holds(values []*pairing.Secret, public []pairing.G1, seed [32]byte) bool {
	draw := weigher{seed: seed}
	weights := make([]pairing.Scalar, len(values))
	sum := new(pairing.Secret)
	defer sum.Erase()
	for i := range values {
		weights[i] = draw.weight()
		sum = sum.Add(pairing.SecretFrom(weights[i]).Mul(values[i]))
	}
	return pairing.GeneratorG1ConstantTime().Mul(sum).Equal(pairing.MultiMul(public, weights))
}
