package keys

import (
	"sync"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/dkg"
)

// A replayer runs an auditor's machine over the log of a ceremony. What it
// comes to follows from the description and the log alone. It keeps the machine,
// so that the next call takes what is new instead of everything: verifying what
// members deal for a thousand grants takes seconds. If the log is not what the
// machine has taken, it begins anew.
type replayer struct {
	mu      sync.Mutex
	hash    [32]byte // of the description; guarded by mu, as is the rest
	machine *dkg.Machine
	labels  []string // of the secrets
	taken   []mark   // what the machine has taken
	at      point    // last point that the machine has passed
	confirm point    // where the confirm phase began
}

// A mark stands for a message or a tick.
type mark struct {
	at   point
	hash [32]byte
}

// forward brings the machine to the end of the log.
func (p *replayer) forward(r ledger.Reader, number uint64, h *header) error {
	log, err := messages(r, number, 0)
	if err != nil {
		return err
	}
	same := p.machine != nil && p.hash == h.Hash && len(p.taken) <= len(log)
	for i := 0; same && i < len(p.taken); i++ {
		same = p.taken[i] == mark{log[i].At, log[i].Hash}
	}
	if same && len(p.taken) < len(log) {
		same = p.before(log[len(p.taken)].At) // not beyond it by a tick that the log lacks
	}
	if !same {
		if err := p.restart(r, number, h); err != nil {
			return err
		}
	}
	for _, m := range log[len(p.taken):] {
		raw, err := assemble(r, number, m.Slot, m.Parts)
		if err == nil {
			err = p.take(m.At, raw)
		}
		if err != nil {
			p.machine = nil
			return err
		}
		p.taken = append(p.taken, mark{m.At, m.Hash})
	}
	return nil
}

func (p *replayer) restart(r ledger.Reader, number uint64, h *header) error {
	p.machine = nil
	d, err := describe(r, number, h)
	if err != nil {
		return err
	}
	if p.machine, err = dkg.New(d, nil, nil, nil); err != nil {
		return err
	}
	p.hash, p.labels, p.taken, p.at, p.confirm = h.Hash, nil, nil, h.Opened, point{}
	for _, s := range d.Secrets {
		p.labels = append(p.labels, s.Label)
	}
	return nil
}

// before reports whether the machine can pass a point.
func (p *replayer) before(at point) bool { return p.at.Position < at.Position && p.at.Time <= at.Time }

// take passes a point of the log, with a message or none.
func (p *replayer) take(at point, raw []byte) error {
	before := p.machine.Phase()
	if raw == nil {
		if err := p.machine.Tick(at.dkg()); err != nil {
			return err
		}
	} else {
		_ = p.machine.Step(at.dkg(), raw) // a message that does not count is a point all the same
	}
	p.at = at
	if before < dkg.PhaseConfirm && p.machine.Phase() >= dkg.PhaseConfirm {
		p.confirm = at
	}
	return nil
}

// tick passes a point that is not in the log, or not yet. A machine that is
// beyond it already begins anew.
func (p *replayer) tick(r ledger.Reader, number uint64, h *header, now point) error {
	if !p.before(now) {
		p.machine = nil
		if err := p.forward(r, number, h); err != nil {
			return err
		}
	}
	return p.take(now, nil)
}

// keep notes that the log has the tick.
func (p *replayer) keep(now point) { p.taken = append(p.taken, mark{at: now}) }
