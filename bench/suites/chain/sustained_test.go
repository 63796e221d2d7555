package chain

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/bench/peer"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
)

// repository is where tools/peers.sh has put the peers, if it ran.
const repository = "../../.."

func TestDriveForEndsInTime(t *testing.T) {
	if l, err := driveFor(time.Nanosecond, 100, 1, 10, func(int, int) error { return nil }); err == nil {
		t.Errorf("a load that could not begin is %+v", l)
	}
	synctest.Test(t, func(t *testing.T) {
		work := func(int, int) error { <-time.After(20 * time.Millisecond); return nil }
		for length, want := range map[time.Duration]int{10 * time.Millisecond: 10, 50 * time.Millisecond: 30, time.Hour: 100, 0: 100} {
			if l, err := driveFor(length, 100, 1, 10, work); err != nil || l.Work != want {
				t.Errorf("for %s: %+v, %v, want %d entries", length, l, err, want)
			}
		}
	})
}

func TestStockKeepsSignedEntries(t *testing.T) {
	s, err := newSigner().stock(filepath.Join(t.TempDir(), "entries"), 10)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	seen := map[string]bool{}
	for _, part := range [][2]int{{0, 4}, {4, 10}} {
		txs, err := s.take(part[0], part[1])
		if err != nil || len(txs) != part[1]-part[0] {
			t.Fatalf("%v: %d entries, %v", part, len(txs), err)
		}
		for _, tx := range txs {
			if !tx.Verify() {
				t.Error("an entry has a bad signature")
			}
			seen[tx.ID().String()] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d different entries of 10", len(seen))
	}
	if _, err := s.take(9, 11); err == nil {
		t.Error("an entry that was not made was taken")
	}
}

func TestLengthOfTheSustainedLoad(t *testing.T) {
	for text, want := range map[string]time.Duration{"": time.Minute, "5": 5 * time.Second} {
		t.Setenv(secondsVariable, text)
		if got, err := sustainedFor(); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "0", "-1", "201"} {
		t.Setenv(secondsVariable, text)
		if got, err := sustainedFor(); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestSustainedIsFiled loads what is there for a second in each round.
func TestSustainedIsFiled(t *testing.T) {
	if testing.Short() {
		t.Skip("loads the machine for seconds")
	}
	t.Setenv(secondsVariable, "1")
	u := &suite.Suite{Name: "chain", Run: func(ctx context.Context, r *suite.Run) error { return sustained(ctx, r, t.TempDir()) }}
	got, err := u.Do(t.Context(), &suite.Run{Root: repository, Log: io.Discard}, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Sections) == 0 {
		t.Skip(got.Skipped[0].Why)
	}
	s := got.Sections[0]
	for _, quantity := range []string{"rate", "p50", "p99", "lasted", "cpu"} {
		if row := s.Find(commit, nameWard, longBatch, quantity); row == nil || len(row.Samples) != 2 || row.Samples[0] <= 0 {
			t.Errorf("%s: %+v", quantity, row)
		}
	}
	if len(got.Skipped) == 0 && len(s.Ratios) != 3 {
		t.Errorf("%d ratios beside etcd, want 3", len(s.Ratios))
	}
}

// TestSustainedIsNotOfQuickRuns looks for its bars, which are not measured then.
func TestSustainedIsNotOfQuickRuns(t *testing.T) {
	u := &suite.Suite{Name: "chain", Run: func(ctx context.Context, r *suite.Run) error { return sustained(ctx, r, t.TempDir()) }}
	got, err := u.Do(t.Context(), &suite.Run{Quick: true, Log: io.Discard}, false)
	if err != nil || len(got.Sections) != 0 || len(got.Skipped) != 1 || len(got.Unmeasured) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestServicesTakeEntries starts each peer that is installed and gives it
// batches.
func TestServicesTakeEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters of other systems")
	}
	for _, p := range services() {
		t.Run(p.name, func(t *testing.T) {
			if _, err := peer.Program(repository, p.program); err != nil {
				t.Skip(err)
			}
			c, err := p.run(t.Context(), repository, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			for _, sh := range []shape{{2, 10, 40}, {2, 1000, 2000}} {
				l, err := c.load(sh.entries, sh.clients, sh.batch)
				if err != nil || l.Work != sh.entries || l.P99 < l.P50 || l.P50 <= 0 {
					t.Errorf("%+v: %+v, %v", sh, l, err)
				}
			}
		})
	}
}

func TestServiceThatIsNotInstalledSaysHowToGetIt(t *testing.T) {
	_, err := service{name: "x", program: "ward-bench-no-such-program", addresses: 1}.run(t.Context(), t.TempDir(), t.TempDir())
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// TestPeerThatFailsIsLeftOut lets one of three systems fail, and then Ward.
func TestPeerThatFailsIsLeftOut(t *testing.T) {
	boom := errors.New("boom")
	u := &suite.Suite{Name: "chain", Run: func(_ context.Context, r *suite.Run) error {
		s := r.Section(report.Section{Name: "s"})
		for _, name := range []string{nameWard, nameRqlite, nameEtcd} {
			s.Add(report.Row{Operation: commit, System: name, Quantity: "cpu", Samples: []float64{1}})
		}
		f := failures{}
		if err := f.note(nameRqlite, boom); err != nil {
			t.Errorf("a peer that failed ended the suite: %v", err)
		}
		f.leaveOut(r, s)
		return f.note(nameWard, boom)
	}}
	got, err := u.Do(t.Context(), &suite.Run{Log: io.Discard}, false)
	if !errors.Is(err, boom) {
		t.Errorf("Ward failed, and the suite says %v", err)
	}
	if names := got.Sections[0].Systems(); !slices.Equal(names, []string{nameWard, nameEtcd}) || len(got.Skipped) != 1 || got.Skipped[0].System != nameRqlite {
		t.Errorf("%v are left, %+v were skipped", names, got.Skipped)
	}
}
