package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/node/vault"
)

// goOn opens the next part of a hand-over, or goes on listing the grants of a
// ceremony, when this member's turn has come. A member whose operator has not
// accepted the hand-over leaves it to those that have.
func (s *ceremonies) goOn(ctx context.Context, l *look) (time.Duration, error) {
	if l.pending != nil {
		if ok, err := s.agreedTo(l.pending); err != nil || !ok {
			return time.Minute, err
		}
	}
	if l.after > 0 {
		return l.after, nil
	}
	// Whoever began to list the grants of a ceremony goes on; the others take
	// over if he stops.
	what, rest := fmt.Sprintf("open %d", l.due.Number), time.Duration(0)
	if l.latest.State == keys.Preparing {
		what, rest = fmt.Sprintf("list %d", l.due.Number), s.cfg.Turn
	}
	wait, mine := s.turnAfter(l.consortium, what, s.cfg.Clock(), rest)
	if !mine {
		return wait, nil
	}
	_, err := s.openAll(ctx, *l.due)
	if errors.Is(err, keys.ErrRunning) || errors.Is(err, keys.ErrNumber) {
		err = nil // somebody else was first, or the log's time is behind
	}
	return s.cfg.Turn / 4, err
}

// openAll opens a ceremony and lists its grants, as many transactions as it
// takes, until its machines can run. Another member may be at it, too.
func (c *core) openAll(ctx context.Context, args keys.OpenArgs) (*keys.Ceremony, error) {
	for began := false; ; began = true {
		r, err := c.submit(ctx, keys.Contract, keys.MethodOpen, args)
		if began && errors.Is(err, keys.ErrRunning) {
			return c.running(ctx, args.Number)
		}
		if err != nil {
			return nil, err
		}
		if !c.reach(ctx, r.Result.Height) { // so that the operator finds it here, too
			return nil, context.Cause(ctx)
		}
		var cer keys.Ceremony
		if err := chain.Unmarshal(r.Result.Value, &cer); err != nil {
			return nil, err
		}
		if cer.State != keys.Preparing {
			return &cer, nil
		}
	}
}

// running returns the newest ceremony if it is the one with this number and its
// machines run, and otherwise keys.ErrRunning.
func (c *core) running(ctx context.Context, number uint64) (cer *keys.Ceremony, err error) {
	err = c.replica.Read(ctx, func(v *replica.View) (err error) {
		cer, err = keys.Latest(v.Of(keys.Contract))
		return err
	})
	if err != nil {
		return nil, c.translate(err)
	}
	if cer == nil || cer.Number != number || !cer.Runs() {
		return nil, keys.ErrRunning
	}
	return cer, nil
}

// endEarlier ends this member's part in ceremonies before the newest one. They
// have their result, or the next could not have been opened, but perhaps this
// node was away when the last of it came: what it had confirmed it must keep.
func (s *ceremonies) endEarlier(ctx context.Context, latest uint64) error {
	for _, name := range s.vault.Names(vault.Ceremony) {
		number, err := strconv.ParseUint(name, 10, 64)
		if err != nil || number >= latest {
			continue
		}
		if err := s.endOne(ctx, number, name); err != nil {
			return fmt.Errorf("end ceremony %d: %w", number, err)
		}
		if s.at != nil && s.at.number == number {
			s.at = nil
		}
	}
	return nil
}

func (s *ceremonies) endOne(ctx context.Context, number uint64, name string) error {
	var about *dkg.Ceremony
	var log []keys.Message
	var authority *keys.Authority
	var pending *keys.Handover
	err := s.replica.ReadLocal(ctx, func(v *replica.View) (err error) {
		r := v.Of(keys.Contract)
		if authority, err = keys.Current(r); err != nil {
			return err
		}
		if pending, err = keys.Pending(r); err != nil {
			return err
		}
		if about, err = keys.Description(r, number); err != nil {
			return err
		}
		log, err = keys.Messages(r, number, 0)
		return err
	})
	if err != nil {
		return err
	}
	if pending.Has(about) || authority != nil && authority.Generation == about.Generation {
		var damage *vault.DamageError
		switch err := s.catchUp(about, log, name); {
		case errors.As(err, &damage), errors.Is(err, errMachine):
			s.log.Error("shares of a key ceremony are lost", "ceremony", number, "error", err)
		case err != nil:
			return err
		}
	}
	return s.vault.Delete(vault.Ceremony, name)
}

var errMachine = errors.New("state of a ceremony")

// catchUp takes the rest of a ceremony's log and keeps the shares that come out.
func (s *ceremonies) catchUp(about *dkg.Ceremony, log []keys.Message, name string) error {
	state, err := s.vault.Get(vault.Ceremony, name)
	if err != nil {
		return err
	}
	defer clear(state)
	m, err := dkg.ParseMachine(state)
	if err != nil {
		return fmt.Errorf("%w: %w", errMachine, err)
	}
	defer m.Erase()
	for _, x := range log {
		if x.Raw == nil {
			err = m.Tick(x.At)
		} else {
			err = m.Step(x.At, x.Raw)
		}
		if err != nil && !errors.Is(err, dkg.ErrOrder) { // a restored machine has seen it
			s.log.Debug("message of a key ceremony does not count", "ceremony", name, "sender", x.Sender, "error", err)
		}
	}
	if m.Abort() != nil || m.Phase() < dkg.PhaseActive {
		return nil
	}
	return s.keepResult(m, about)
}
