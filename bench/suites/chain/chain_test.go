package chain

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/bench/peer"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// TestMain lets the tests start members, which are this program again.
func TestMain(m *testing.M) {
	if asked, err := Member(os.Args[1:]); asked {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestEntriesAreOf512Bytes(t *testing.T) {
	txs, err := newSigner().sign(3)
	if err != nil {
		t.Fatal(err)
	}
	more, err := new(wardChain).stateless().signer.sign(1)
	if err != nil {
		t.Fatal(err)
	}
	txs = append(txs, more...)
	seen := map[string]bool{}
	for _, tx := range txs {
		if n := len(tx.Bytes()); n != 512 {
			t.Errorf("an entry has %d bytes", n)
		}
		if !tx.Verify() {
			t.Error("an entry has a bad signature")
		}
		seen[tx.ID().String()] = true
	}
	if len(seen) != 4 {
		t.Error("entries are equal")
	}
}

// TestTargetsTakeWhatTheyAreGiven counts what is on the chain, and in Raft's log,
// after loads of every shape.
func TestTargetsTakeWhatTheyAreGiven(t *testing.T) {
	w, err := startWard(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	b, err := startBareRaft(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	before, log, term := w.leader.Status().Size, b.leader.LastIndex(), b.leader.Stats()["term"]
	for _, c := range []struct{ n, clients, batch int }{{20, 4, 1}, {200, 2, 100}} {
		for name, target := range map[string]target{nameWard: w, nameChain: w.stateless(), nameRaft: b} {
			l, err := target.load(c.n, c.clients, c.batch)
			if err != nil || l.Work != c.n || l.CPU <= 0 || l.P99 < l.P50 || l.P50 <= 0 {
				t.Errorf("%s: %+v: %+v, %v", name, c, l, err)
			}
		}
	}
	if n := w.leader.Status().Size - before; n != 440 {
		t.Errorf("%d entries are on the chain, want 440", n)
	}
	// A node that takes the lead puts an entry of its own there.
	if n := b.lead().LastIndex() - log; n < 22 || n != 22 && b.lead().Stats()["term"] == term {
		t.Errorf("%d entries are in the log, want 22", n)
	}
	l, err := bound{newSigner()}.load(1000, 0, 0)
	if err != nil || l.Work != 1000*members {
		t.Errorf("signatures alone: %+v, %v", l, err)
	}
}

func TestMembersInProcessesOfTheirOwn(t *testing.T) {
	f, err := startFleet(t.Context(), os.Args[0], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	cpu, wall, err := f.load(200, 2, 100)
	if err != nil || cpu <= 0 || wall <= 0 {
		t.Errorf("load: %v, %v, %v", cpu, wall, err)
	}
	if resident, anonymous := f.memory(); len(resident) == members {
		for i := range resident {
			if anonymous[i] < 1<<20 || resident[i] < anonymous[i] {
				t.Errorf("member %d has %.0f bytes resident, %.0f anonymous", i, resident[i], anonymous[i])
			}
		}
	}
	if _, err := f.peers[0].Load("nonsense", 1, peer.Params{}); err == nil {
		t.Error("a member did nonsense")
	}
}

// TestDriveFailsWithAnOperation makes one of many calls fail.
func TestDriveFailsWithAnOperation(t *testing.T) {
	_, err := drive(100, 4, 1, func(from, _ int) error {
		if from == 50 {
			return context.Canceled
		}
		return nil
	})
	if err != context.Canceled {
		t.Errorf("error is %v", err)
	}
}

// FuzzGetLog reads any record of the disk as an entry of Raft.
func FuzzGetLog(f *testing.F) {
	f.Add([]byte("12345678x and data"))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, record []byte) {
		if len(record) == 0 {
			return
		}
		l, err := seglog.Open(t.TempDir(), seglog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Append(1, record); err != nil {
			t.Fatal(err)
		}
		var out raft.Log
		if err := (logStore{l}).GetLog(1, &out); (err == nil) != (len(record) >= 9) {
			t.Errorf("%x: %+v, %v", record, out, err)
		}
	})
}

func TestMarksOfTheGrowth(t *testing.T) {
	usual := []int{1, 2}
	for text, want := range map[string][]int{"": usual, "1000000": {1_000, 10_000, 100_000, 1_000_000}, "30000": {1_000, 10_000, 30_000}} {
		t.Setenv(entriesVariable, text)
		if got, err := marksOf(usual); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "0", "9999", "100000001"} {
		t.Setenv(entriesVariable, text)
		if got, err := marksOf(usual); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
