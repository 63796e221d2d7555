package dkg

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// AbortError says why a ceremony ended without a result.
type AbortError struct {
	Phase      Phase   // at whose end
	Have, Need int     // participants that were heard and count, and that were needed
	Missing    []uint8 // participants that were not heard, or are out
	Err        error   // [threshold.ErrIdentity] for a degenerate key; nil if too few were heard
}

func (e *AbortError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("ceremony aborted after phase %v: %v", e.Phase, e.Err)
	}
	return fmt.Sprintf("ceremony aborted after phase %v: %d of %d participants needed, without %v", e.Phase, e.Have, e.Need, e.Missing)
}

func (e *AbortError) Unwrap() error { return e.Err }

// Result is what a ceremony made.
type Result struct {
	Generation uint32
	Index      uint8                // the member's, 0 for leavers and auditors
	Sharings   []*threshold.Sharing // by secret; nil for a grant with too few dealers
	Shares     []*threshold.Share   // the member's own, likewise; nil if it has none
	// Transcript is the hash of the outcome that members confirmed, and
	// Certificate the signature of [Result.Statement] under the checkpoint key
	// that their confirmations make; the zero value where only grants moved.
	Transcript  [32]byte
	Certificate threshold.Signature
	chain       string
}

// Statement returns the message that [Result.Certificate] signs.
func (r *Result) Statement() []byte { return statement(r.chain, r.Transcript) }

func statement(chain string, transcript [32]byte) []byte {
	w := wire.NewWriter(string(pairing.DSTConfirmation))
	w.String(chain)
	w.Raw(transcript[:])
	return w.Sum()
}

// ID returns the hash of the ceremony's description, which its messages carry.
func (m *Machine) ID() [32]byte { return m.plan.id }

// Phase returns the phase that the ceremony is in.
func (m *Machine) Phase() Phase { return m.phase }

// Lost reports whether the log holds a join of this participant that the
// machine did not make: its secrets are of another run, so it stays silent and
// ends without a share.
func (m *Machine) Lost() bool { return m.lost }

// Abort returns why there is no result, or nil.
func (m *Machine) Abort() *AbortError { return m.aborted }

// Qualified returns the participants whose deals make the result, ascending,
// from the end of the complaint phase.
func (m *Machine) Qualified() []uint8 { return slices.Clone(m.qualified) }

// Confirmed returns the indices of the members whose confirmations verified,
// ascending: those that say they hold their shares, and so the holders of the
// next reshare.
func (m *Machine) Confirmed() []uint8 { return m.confirmed() }

// Pending returns the messages that this member owes to the log, unsigned. The
// owner signs and submits them until the log holds them or the phase ends.
func (m *Machine) Pending() []*Message {
	out := make([]*Message, len(m.outbox))
	for i, o := range m.outbox {
		out[i] = &Message{ceremony: m.plan.id, phase: o.phase, sender: m.self, payload: slices.Clone(o.payload)}
	}
	return out
}

// Result returns what the ceremony made, once it is in use: [ErrPhase] before,
// and the [*AbortError] of a ceremony without result. Its shares are copies.
// While the phase is [PhaseActive] the old shares are still needed and serve;
// from [PhaseComplete] on they are to be erased.
func (m *Machine) Result() (*Result, error) {
	if m.aborted != nil {
		return nil, m.aborted
	}
	if m.phase < PhaseActive {
		return nil, ErrPhase
	}
	r := &Result{Generation: m.plan.Generation, Sharings: slices.Clone(m.sharings), Transcript: m.transcript, chain: m.plan.Chain}
	if m.plan.isReceiver(m.self) {
		r.Index = m.self
	}
	if m.secrets.shares != nil {
		r.Shares = make([]*threshold.Share, len(m.secrets.shares))
		for k, s := range m.secrets.shares {
			if s == nil {
				continue
			}
			var err error
			if r.Shares[k], err = threshold.NewShare(m.plan.Generation, m.self, copySecret(s)); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if r.Certificate, err = m.certificate(); err != nil {
		return nil, err
	}
	return r, nil
}

// certificate combines confirmations, which were verified.
func (m *Machine) certificate() (threshold.Signature, error) {
	if m.plan.grantsOnly() {
		return threshold.Signature{}, nil
	}
	members := m.confirmed()[:m.sharings[0].Threshold()]
	points := make([]pairing.G2, len(members))
	for _, c := range m.confirmations {
		if i, ok := slices.BinarySearch(members, c.number); ok {
			points[i] = c.point
		}
	}
	l, err := pairing.NewLagrange(members)
	if err != nil {
		return threshold.Signature{}, err
	}
	sig := l.CombineG2(points).Bytes()
	return threshold.ParseSignature(sig[:])
}

// Format prints the ceremony's id and phase, never a secret.
func (m *Machine) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "ceremony %x in phase %v", m.plan.id[:8], m.phase)
}

// Erase overwrites the machine's secrets, for when its result is in the vault.
// The machine goes on as an auditor's.
func (m *Machine) Erase() {
	m.forgetShares()
	m.secrets.erase()
	m.outbox, m.committed = nil, nil
}

// Faults returns what participants did wrong, each with its evidence, in the
// order of the log.
func (m *Machine) Faults() []Fault {
	out := make([]Fault, len(m.faults))
	for i, f := range m.faults {
		e := &evidence{kind: f.kind, accused: f.number, messages: f.messages}
		switch f.kind {
		case errReceivers:
			e.messages = append(m.rawJoins(true), f.messages...)
		case errConfirmation:
			e.messages = append(m.messagesBefore(), f.messages...)
		default:
			if m.audience.receivers != nil {
				e.receivers = m.audience.receivers
			}
		}
		out[i] = Fault{
			Participant: f.number, Key: ed25519.PublicKey(slices.Clone(m.plan.participants[f.number-1])),
			Kind: f.kind, Count: int(f.count), Evidence: e.encode(),
		}
	}
	return out
}

// rawJoins returns the joins that count, in the order of participants: those of
// receivers only, or all.
func (m *Machine) rawJoins(receiversOnly bool) (list [][]byte) {
	for i, j := range m.joins {
		if j != nil && (!receiversOnly || m.plan.isReceiver(uint8(i+1))) {
			list = append(list, j.raw)
		}
	}
	return list
}

// messagesBefore returns the messages that count before the confirmations.
func (m *Machine) messagesBefore() [][]byte {
	list := m.rawJoins(false)
	for _, d := range m.deals {
		if d != nil {
			list = append(list, d.raw)
		}
	}
	for _, c := range m.complaints {
		list = append(list, c.raw)
	}
	return list
}
