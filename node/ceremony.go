package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/node/vault"
)

// A ceremonies takes part in the newest key ceremony: it runs this member's
// machine over what the chain has of it, posts what the machine owes, and closes
// phases when its turn has come. See package dkg for the machine, contract/keys
// for its log.
type ceremonies struct {
	*core
	wake *signal

	// Owned by run.
	at      *session
	waiting map[string]time.Time // since when something could be done by the first whose turn it is
	done    uint64               // number of the newest ceremony in which nothing is left to do
}

// A session is this member's part in one ceremony.
type session struct {
	number  uint64
	machine *dkg.Machine
	about   *dkg.Ceremony
	taken   uint64    // messages of the log so far
	since   dkg.Point // where the machine's phase began, as far as this process saw
	stored  bool      // shares are in the vault
	posted  map[string]bool
}

func newCeremonies(c *core) *ceremonies {
	return &ceremonies{core: c, wake: newSignal(), waiting: map[string]time.Time{}}
}

func (s *ceremonies) kick() { s.wake.fire() }

func (s *ceremonies) run(ctx context.Context) {
	for ctx.Err() == nil {
		woken := s.wake.wait()
		wait, err := s.step(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("key ceremony", "error", err)
			wait = time.Second
		}
		pause(ctx, wait, woken)
	}
}

// look is what the state says about ceremonies.
type look struct {
	consortium *chain.Consortium
	latest     *keys.Ceremony
	authority  *keys.Authority
	pending    *keys.Handover // nil if grants are not handed over in parts
	due        *keys.OpenArgs // what anybody may open to go on
	after      time.Duration  // in how long it is due
	about      *dkg.Ceremony
	messages   []keys.Message
	confirmed  int // members whose confirmation the chain has
}

func (s *ceremonies) look(ctx context.Context) (*look, error) {
	l := new(look)
	err := s.replica.ReadLocal(ctx, func(v *replica.View) (err error) {
		r := v.Of(keys.Contract)
		*l = look{consortium: s.replica.Consortium()}
		if l.latest, err = keys.Latest(r); err != nil || l.latest == nil {
			return err
		}
		if l.authority, err = keys.Current(r); err != nil {
			return err
		}
		if l.pending, err = keys.Pending(r); err != nil {
			return err
		}
		due, after, err := keys.Due(r, l.consortium, s.cfg.Clock().UnixMilli(), v.Header().Size)
		if err != nil {
			return err
		}
		l.due, l.after = due, time.Duration(after)*time.Millisecond
		if l.latest.State == keys.Preparing || l.latest.Number <= s.done {
			return nil
		}
		from := uint64(0)
		if s.at != nil && s.at.number == l.latest.Number {
			l.about, from = s.at.about, s.at.taken
		} else if l.about, err = keys.Description(r, l.latest.Number); err != nil {
			return err
		}
		if l.messages, err = keys.Messages(r, l.latest.Number, from); err != nil {
			return err
		}
		confirmed, err := keys.Confirmed(r, l.latest.Number)
		l.confirmed = len(confirmed)
		return err
	})
	return l, err
}

// step does what there is to do now and returns when to look again.
func (s *ceremonies) step(ctx context.Context) (time.Duration, error) {
	const idle = time.Minute
	l, err := s.look(ctx)
	if err != nil {
		return idle, err
	}
	if l.latest == nil {
		return idle, nil
	}
	if err := s.endEarlier(ctx, l.latest.Number); err != nil {
		return idle, err
	}
	wait := idle
	if l.about != nil {
		if s.at == nil || s.at.number != l.latest.Number {
			ok, err := s.agreed(l.latest, l.about, l.pending)
			if err != nil {
				return idle, err
			}
			s.at = nil // AcceptCeremony wakes this task
			if ok {
				err = s.begin(l)
			}
			if err != nil {
				return idle, err
			}
		}
		if s.at != nil {
			if wait, err = s.advance(ctx, l); err != nil {
				return idle, err
			}
		}
	}
	if l.due != nil {
		w, err := s.goOn(ctx, l)
		if err != nil {
			return idle, err
		}
		wait = min(wait, w)
	}
	if l.authority != nil && len(l.consortium.ExtractionKey) == 0 {
		w, err := s.publish(ctx, l)
		if err != nil {
			return idle, err
		}
		wait = min(wait, w)
	}
	return wait, nil
}

// begin loads this member's machine of a ceremony, or makes it.
func (s *ceremonies) begin(l *look) error {
	s.at = nil
	clear(s.waiting)
	name := strconv.FormatUint(l.latest.Number, 10)
	state, err := s.vault.Get(vault.Ceremony, name)
	var m *dkg.Machine
	switch {
	case err == nil:
		defer clear(state)
		if m, err = dkg.ParseMachine(state); err != nil {
			return fmt.Errorf("state of ceremony %s: %w", name, err)
		}
	case !errors.Is(err, vault.ErrNotFound):
		return err
	case !l.latest.Runs():
		s.done = l.latest.Number // it ended without this member, or is behind it
		return s.clean(l)
	default:
		if m, err = s.join(l.about); err != nil {
			return err
		}
	}
	s.at = &session{number: l.latest.Number, machine: m, about: l.about, posted: map[string]bool{}, since: l.about.Opened}
	return nil
}

// join starts a machine: the participant's, with the shares that it deals on, or
// an auditor's if this member takes no part.
func (s *ceremonies) join(about *dkg.Ceremony) (*dkg.Machine, error) {
	self := s.key.Public().(ed25519.PublicKey)
	if !hasKey(about.Members, self) && !hasKey(about.Old, self) {
		return dkg.New(about, nil, nil, nil)
	}
	old, err := s.oldShares(about)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, o := range old {
			o.Erase()
		}
	}()
	return dkg.New(about, self, old, nil)
}

func hasKey(list []ed25519.PublicKey, key ed25519.PublicKey) bool { return keyIndex(list, key) != 0 }

// keyIndex returns the place of a key in a roster, from 1, or 0.
func keyIndex(list []ed25519.PublicKey, key ed25519.PublicKey) uint8 {
	return uint8(slices.IndexFunc(list, func(k ed25519.PublicKey) bool { return k.Equal(key) }) + 1)
}

// advance takes what is new in the log and acts on it.
func (s *ceremonies) advance(ctx context.Context, l *look) (time.Duration, error) {
	a := s.at
	for _, m := range l.messages {
		before := a.machine.Phase()
		var err error
		if m.Raw == nil {
			err = a.machine.Tick(m.At)
		} else {
			err = a.machine.Step(m.At, m.Raw)
		}
		if err != nil && !errors.Is(err, dkg.ErrOrder) { // a restored machine has seen it
			s.log.Warn("message of a key ceremony does not count", "ceremony", a.number, "sender", m.Sender, "error", err)
		}
		if a.machine.Phase() != before {
			a.since = m.At
			clear(s.waiting)
			s.log.Info("key ceremony", "ceremony", a.number, "phase", a.machine.Phase().String())
		}
		a.taken++
	}
	// Before anything leaves: a machine that forgot what it said would say
	// something else, and convict its member.
	if err := s.keep(); err != nil {
		return 0, err
	}
	phase := a.machine.Phase()
	if phase == dkg.PhaseActive || phase == dkg.PhaseComplete {
		if err := s.store(); err != nil {
			return 0, err
		}
	}
	if err := s.post(ctx, l); err != nil {
		return 0, err
	}
	if s.settled(l, phase) {
		s.done = a.number
		if err := s.clean(l); err != nil {
			return 0, err
		}
		s.at = nil
		return time.Minute, nil
	}
	return s.close(ctx, l, phase)
}

// keep writes the machine to the vault.
func (s *ceremonies) keep() error {
	state := s.at.machine.Bytes()
	defer clear(state)
	return s.vault.Put(vault.Ceremony, strconv.FormatUint(s.at.number, 10), state)
}

// post puts the messages that the machine owes on the chain.
func (s *ceremonies) post(ctx context.Context, l *look) error {
	if l.latest.State == keys.Aborted {
		return nil
	}
	for _, m := range s.at.machine.Pending() {
		raw := m.Sign(s.key)
		if s.at.posted[string(raw)] {
			continue // on its way: it comes back from the log
		}
		about := uint8(0)
		if m.Phase() == dkg.PhaseComplain {
			about = m.About()
		}
		if err := s.postParts(ctx, uint8(m.Phase()), about, raw); err != nil {
			return err
		}
		s.at.posted[string(raw)] = true
	}
	return nil
}

func (s *ceremonies) postParts(ctx context.Context, phase, about uint8, raw []byte) error {
	parts := uint32((len(raw) + keys.MaxPart - 1) / keys.MaxPart)
	for i := range parts {
		data := raw[:min(len(raw), keys.MaxPart)]
		raw = raw[len(data):]
		_, err := s.submit(ctx, keys.Contract, keys.MethodPost, keys.PostArgs{
			Number: s.at.number, Phase: phase, About: about, Part: i, Parts: parts, Data: data,
		})
		if errors.Is(err, keys.ErrRefused) {
			return nil // the log has it already
		}
		if err != nil {
			return fmt.Errorf("post message of phase %d: %w", phase, err)
		}
	}
	return nil
}

// settled reports whether nothing is left to do: the result is complete and on
// the chain, and so is this member's word on it.
func (s *ceremonies) settled(l *look, phase dkg.Phase) bool {
	switch l.latest.State {
	case keys.Aborted:
		return true
	case keys.Completed:
		return phase == dkg.PhaseComplete && len(s.at.machine.Pending()) == 0 && l.confirmed == len(s.at.machine.Confirmed())
	}
	return false
}

// close brings the contract to where the machines are, or lets time pass in the
// log where a phase waits for it.
func (s *ceremonies) close(ctx context.Context, l *look, phase dkg.Phase) (time.Duration, error) {
	const look = time.Minute
	now := s.cfg.Clock()
	var why string
	switch state := l.latest.State; {
	case l.latest.Runs() && phase >= dkg.PhaseActive,
		state == keys.Active && phase == dkg.PhaseComplete:
		why = "result"
	case (state == keys.Active || state == keys.Completed) && len(s.at.machine.Confirmed()) > l.confirmed:
		why = "late"
	case l.latest.Runs():
		end, ok := s.phaseEnd(phase)
		if !ok {
			return look, nil
		}
		if now.Before(end) {
			return end.Sub(now), nil
		}
		why = "time"
	default:
		return look, nil
	}
	wait, mine := s.turn(l.consortium, why, now)
	if !mine {
		return wait, nil
	}
	_, err := s.submit(ctx, keys.Contract, keys.MethodClose, keys.CloseArgs{Number: s.at.number})
	if errors.Is(err, keys.ErrRunning) {
		return s.cfg.Turn / 4, nil // the log's time is behind this clock, or it is done
	}
	return s.cfg.Turn / 4, err
}

// phaseEnd returns when a phase ends by time.
func (s *ceremonies) phaseEnd(phase dkg.Phase) (time.Time, bool) {
	c := s.at.about
	windows := [...]dkg.Window{c.Join, c.Deal, c.Complain, c.Confirm}
	if phase < dkg.PhaseJoin || int(phase) > len(windows) {
		return time.Time{}, false
	}
	ms := windows[phase-1].Milliseconds
	if ms == 0 {
		return time.Time{}, false // it ends by what others put on the chain
	}
	return time.UnixMilli(int64(s.at.since.Time + ms)), true
}

// turn says whether it is this member's turn to do something that one of them
// must do, and otherwise when it will be.
func (c *ceremonies) turn(k *chain.Consortium, what string, now time.Time) (time.Duration, bool) {
	return c.turnAfter(k, what, now, 0)
}

// turnAfter is turn for something that nobody does before a rest.
func (c *ceremonies) turnAfter(k *chain.Consortium, what string, now time.Time, rest time.Duration) (time.Duration, bool) {
	place, ok := c.rank(k)
	if !ok {
		return time.Minute, false
	}
	since, ok := c.waiting[what]
	if !ok {
		since = now
		c.waiting[what] = now
	}
	if due := since.Add(rest + time.Duration(place)*c.cfg.Turn); now.Before(due) {
		return due.Sub(now), false
	}
	return 0, true
}
