package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/node/admin"
)

// handingOver is the state of a ceremony while grants move in parts.
const handingOver = "handing over"

func consortiumRefresh(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	client, dir, err := operate(c)
	if err != nil {
		return nil, err
	}
	within, complaints := c.Duration("within"), c.Duration("complaints")
	if min(within, complaints) < time.Second || max(within, complaints) > 7*24*time.Hour {
		return nil, usagef("a phase of a ceremony takes from a second to a week")
	}
	before, err := client.Ceremony(ctx)
	switch {
	case errors.Is(err, ward.ErrNotFound):
	case err != nil:
		return nil, notRunning(err, dir)
	case before.State == "running":
		s.showCeremony(before)
		return before, underWay(dir)
	}
	if err := s.confirm(ctx, "Propose a key ceremony to all hospitals?"); err != nil {
		return nil, err
	}
	ms := uint64(within.Milliseconds())
	cer, err := client.OpenCeremony(ctx, [4]uint64{ms, ms, uint64(complaints.Milliseconds()), ms})
	if errors.Is(err, keys.ErrRunning) {
		return nil, underWay(dir)
	}
	if err != nil {
		return nil, notRunning(err, dir)
	}
	s.showCeremony(cer)
	s.tell("Your node takes part. Each of the others accepts with: ward consortium accept %.8s", cer.Hash)
	return s.waitCeremony(ctx, client, cer, c.Duration("wait"))
}

func underWay(dir string) error {
	return failf(string(keys.ErrRunning), exitFailure, "a ceremony is under way").withHint("`ward consortium accept --dir %s` takes part in it", dir)
}

func consortiumAccept(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	client, dir, err := operate(c)
	if err != nil {
		return nil, err
	}
	cer, err := client.Ceremony(ctx)
	if errors.Is(err, ward.ErrNotFound) {
		return nil, failf("not-found", exitNotFound, "no key ceremony is proposed").withHint("`ward consortium refresh --dir %s` proposes one", dir)
	}
	if err != nil {
		return nil, notRunning(err, dir)
	}
	s.showCeremony(cer)
	if want := strings.ToLower(c.Args().First()); want != "" && (len(want) < 8 || !strings.HasPrefix(cer.Hash.String(), want)) {
		return cer, failf("other-ceremony", exitIntegrity, "this is not the ceremony %s", want).withHint("ask whoever proposed it for its hash")
	}
	if cer.State != "running" && cer.State != handingOver {
		return cer, failf("not-found", exitNotFound, "the newest ceremony is over").withHint("`ward consortium refresh --dir %s` proposes one", dir)
	}
	if c.Bool("dry-run") {
		return cer, nil
	}
	if !cer.Accepted {
		if err := s.confirm(ctx, "Let your node take part?"); err != nil {
			return nil, err
		}
		if err := client.AcceptCeremony(ctx, cer.Hash); err != nil {
			return nil, notRunning(err, dir)
		}
		cer.Accepted = true
	}
	s.say("your node takes part")
	return s.waitCeremony(ctx, client, cer, c.Duration("wait"))
}

// showCeremony prints a key ceremony as an operator judges it.
func (s *session) showCeremony(c *admin.Ceremony) {
	states := map[string]string{
		"preparing": s.tr("being prepared"), "running": s.tr("under way"), "active": s.tr("done; late hospitals may still confirm"),
		"completed": s.tr("done"), "aborted": s.tr("given up"), handingOver: s.tr("grants are handed over in parts"),
	}
	what := s.tr("makes the hospitals' first keys")
	if c.Refresh {
		what = s.tr("moves the keys, and %d grants, with fresh shares", c.Grants)
	}
	if c.State == handingOver {
		what = s.tr("part %d: moves %d grants with fresh shares; %d have moved before, the keys come last", c.Part, c.Grants, c.Moved)
	}
	part := s.tr("your node takes part")
	switch {
	case !c.Involved:
		part = s.tr("your node has no part in it")
	case !c.Accepted:
		part = s.tr("your node waits for your word")
	}
	var windows [4]time.Duration
	for i, ms := range c.Windows {
		windows[i] = time.Duration(ms) * time.Millisecond
	}
	s.facts([][]string{
		{s.tr("ceremony"), fmt.Sprintf("%d, %s", c.Number, states[c.State])},
		{s.tr("purpose"), what},
		{s.tr("who will hold shares"), strings.Join(c.Roster, ", ")},
		{s.tr("to open something"), s.tr("any %d of %d", c.KeyThreshold, len(c.Roster))},
		{s.tr("to sign what is final"), s.tr("any %d of %d", c.CheckpointThreshold, len(c.Roster))},
		{s.tr("times"), s.tr("accept within %s, complaints %s", windows[0], windows[2])},
		{s.tr("hash"), c.Hash.String()},
		{s.tr("here"), part},
	})
}

// waitCeremony waits until a ceremony is over and the node has what it made.
func (s *session) waitCeremony(ctx context.Context, client *admin.Client, cer *admin.Ceremony, wait time.Duration) (any, error) {
	if wait <= 0 {
		return cer, nil
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); {
		now, err := client.Ceremony(ctx)
		if err != nil {
			return cer, err
		}
		st, err := client.Status(ctx)
		if err != nil {
			return cer, err
		}
		switch {
		case now.State == "preparing", now.State == handingOver && now.Generation == cer.Generation:
			// the next part, or one that is tried again
		case now.Generation != cer.Generation, now.State == "aborted":
			return now, failf("aborted", exitFailure, "the ceremony was given up").withHint("the node's log says who was silent; propose another one")
		case (now.State == "active" || now.State == "completed") && st.State == admin.Ready:
			s.say("the ceremony is done")
			return now, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return cer, ctx.Err()
		}
	}
	return cer, failf("timeout", exitPartial, "the ceremony is not done yet").withHint("`ward consortium show` says how far it is")
}
