package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
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
	labels  []string   // of the secrets
	taken   [][32]byte // digests of what the machine has taken
	at      point      // last point that the machine has passed
	confirm point      // where the confirm phase began
}

// forward brings the machine to the end of the log.
func (p *replayer) forward(r ledger.Reader, number uint64, h *header) error {
	log, err := Messages(r, number, 0)
	if err != nil {
		return err
	}
	digests := make([][32]byte, len(log))
	for i, x := range log {
		digests[i] = digest(&x)
	}
	if p.machine == nil || p.hash != h.Hash || len(p.taken) > len(digests) || !slices.Equal(p.taken, digests[:len(p.taken)]) {
		if err := p.restart(r, number, h); err != nil {
			return err
		}
	}
	for i := len(p.taken); i < len(log); i++ {
		if err := p.take(&log[i]); err != nil {
			p.machine = nil
			return err
		}
		p.taken = append(p.taken, digests[i])
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

// take passes a point of the log.
func (p *replayer) take(x *Message) error {
	before := p.machine.Phase()
	if x.Raw == nil {
		if err := p.machine.Tick(x.At); err != nil {
			return err
		}
	} else {
		_ = p.machine.Step(x.At, x.Raw) // a message that does not count is a point all the same
	}
	p.at = point{Position: x.At.Position, Time: x.At.Time}
	if before < dkg.PhaseConfirm && p.machine.Phase() >= dkg.PhaseConfirm {
		p.confirm = p.at
	}
	return nil
}

// tick passes a point that is not in the log, or not yet. A machine that is
// beyond it already begins anew.
func (p *replayer) tick(r ledger.Reader, number uint64, h *header, now point) error {
	if p.at.Position >= now.Position || p.at.Time > now.Time {
		p.machine = nil
		if err := p.forward(r, number, h); err != nil {
			return err
		}
	}
	return p.take(&Message{At: now.dkg()})
}

// keep notes that the log has the tick.
func (p *replayer) keep(now point) { p.taken = append(p.taken, digest(&Message{At: now.dkg()})) }

func digest(x *Message) [32]byte {
	var b bytes.Buffer
	b.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, x.At.Position), x.At.Time))
	b.Write(x.Raw)
	return sha256.Sum256(b.Bytes())
}
