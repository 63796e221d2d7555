package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/node/admin"
)

func nodeStatus(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	goal := c.String("for")
	if !slices.Contains([]string{"running", "joined", "ready"}, goal) {
		return nil, usagef("%s does not take %q", "for", goal).withHint("choose running, joined or ready")
	}
	client, dir, err := operate(c)
	if err != nil {
		return nil, err
	}
	st, err := waitFor(ctx, client, c.Duration("wait"), func(st *admin.Status) bool { return reached(st, goal) })
	if err != nil {
		return nil, notRunning(err, dir)
	}
	s.showStatus(st)
	if reached(st, goal) {
		return st, nil
	}
	return st, notReached(st, dir)
}

// waitFor asks for the status until it is as wanted, at most so long, and returns
// the last one.
func waitFor(ctx context.Context, client *admin.Client, wait time.Duration, ok func(*admin.Status) bool) (*admin.Status, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(wait); ; {
		st, err := client.Status(ctx)
		if err == nil && ok(st) || !time.Now().Before(deadline) {
			return st, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func reached(st *admin.Status, goal string) bool {
	switch goal {
	case "ready":
		return st.State == admin.Ready
	case "joined":
		return st.State.Joined()
	}
	return true
}

// notReached says what a node lacks, and what would help.
func notReached(st *admin.Status, dir string) error {
	switch st.State {
	case admin.Sealed:
		return failf("sealed", exitNotReady, "the node is sealed").withHint("`ward node unlock --dir %s` opens it", dir)
	case admin.NoKeys:
		if st.Asks != nil {
			return failf("no-keys", exitNotReady, "a key ceremony waits for your word").withHint("`ward consortium accept --dir %s` shows it", dir)
		}
		return failf("no-keys", exitNotReady, "the hospitals have no key yet").withHint("`ward consortium refresh --dir %s` proposes the key ceremony", dir)
	case admin.NoQuorum:
		return failf("no-quorum", exitNoQuorum, "too few hospitals are reachable").withHint("`ward doctor --dir %s` says which", dir)
	case admin.ReadOnly:
		return failf("read-only", exitNoQuorum, "the node's disk is nearly full").withHint("make room; the node goes on by itself")
	case admin.Failed:
		return failf("integrity", exitIntegrity, "the node stopped itself: %s", st.Why).withHint("keep its directory and tell the consortium")
	}
	return failf("not-ready", exitNotReady, "the node is catching up").withHint("wait with --wait 1m")
}

// showStatus prints a node's status for people.
func (s *session) showStatus(st *admin.Status) {
	states := map[admin.State]string{
		admin.Sealed: s.tr("sealed"), admin.Starting: s.tr("catching up"), admin.NoQuorum: s.tr("alone: too few hospitals are reachable"),
		admin.NoKeys: s.tr("joined; the hospitals have no key yet"), admin.Ready: s.tr("ready"),
		admin.ReadOnly: s.tr("read-only: the disk is nearly full"), admin.Failed: s.tr("stopped itself"),
	}
	rows := [][]string{
		{s.tr("hospital"), st.Member},
		{s.tr("chain"), fmt.Sprintf("%s, %s", st.Chain, s.tr("consortium file %d, %d members", st.Epoch, st.Members))},
		{s.tr("state"), states[st.State]},
		{s.tr("process"), fmt.Sprintf("%d, %s", st.PID, s.tr("since %s", st.Started.Local().Format(time.DateTime)))},
	}
	if !st.Sealed {
		leader := st.Leader
		if leader == "" {
			leader = "-"
		}
		rows = append(rows,
			[]string{s.tr("leader"), leader},
			[]string{s.tr("blocks"), s.tr("%d, %d of them certified; %d transactions", st.Height, st.Certified, st.Size)},
			[]string{s.tr("keys"), s.keysLine(st)},
			[]string{s.tr("shares of grants"), fmt.Sprint(st.Shares)},
			[]string{s.tr("payloads"), s.tr("%d, %d bytes", st.Blobs, st.BlobBytes)})
	}
	s.facts(rows)
	if st.Asks != nil {
		s.tell("Key ceremony %d waits for your word: `ward consortium accept`", st.Asks.Number)
	}
}

func (s *session) keysLine(st *admin.Status) string {
	if st.Generation == 0 {
		return s.tr("none")
	}
	return s.tr("generation %d, any %d of %d holders", st.Generation, st.Threshold, len(st.Holders))
}

// facts prints names with their values.
func (s *session) facts(rows [][]string) {
	if s.json {
		return
	}
	width := 0
	for _, r := range rows {
		width = max(width, textWidth(r[0]))
	}
	for _, r := range rows {
		s.print("  " + pad(r[0], width) + "  " + printable(r[1]) + "\n")
	}
}
