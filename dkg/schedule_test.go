package dkg

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/dkg/threshold"
)

func TestMain(m *testing.M) {
	flag.Parse()
	checks := flag.Lookup("rapid.checks").Value.String()
	if checks == "100" { // unless somebody asks for more
		checks = "50"
	}
	if testing.Short() {
		checks = "10"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// actor is a participant under a random schedule: a machine, what its disk
// holds, and how far it has read the log.
type actor struct {
	m    *Machine // nil while it is down, or before it comes
	disk [][]byte // states, in the order they were written

	restored int  // states there were when hasNewShares last restored one
	renewed  bool // what it found

	lives   int
	amnesia bool
	absent  bool
	oldGone bool // it erased its old shares
}

// schedule runs a ceremony under faults.
type schedule struct {
	*run
	rt     *rapid.T
	actors []*actor
	deals  []map[string]bool // by participant: the commitments it ever sent
	wire   [][]byte          // sent, not yet in the log
}

func (s *schedule) save(a *actor) { a.disk = append(a.disk, a.m.Bytes()) }

// hasNewShares reports whether the newest state restores with new shares.
func (a *actor) hasNewShares() bool {
	if n := len(a.disk); n > a.restored {
		m, err := ParseMachine(a.disk[n-1])
		a.renewed, a.restored = err == nil && m.secrets.shares != nil, n
	}
	return a.renewed
}

// wake brings an actor up, from its newest state, an older one, or none.
func (s *schedule) wake(number int) {
	a := s.actors[number-1]
	if len(a.disk) == 0 || a.amnesia && s.flip("forget all") {
		a.m = s.start(uint8(number), fmt.Sprint("life ", a.lives))
	} else {
		at := len(a.disk) - 1
		if s.flip("old backup") {
			at = rapid.IntRange(0, at).Draw(s.rt, "backup")
		}
		var err error
		if a.m, err = ParseMachine(a.disk[at]); err != nil {
			s.rt.Fatalf("participant %d does not restore: %v", number, err)
		}
		if !bytes.Equal(a.m.Bytes(), a.disk[at]) {
			s.rt.Fatalf("participant %d restores to another state", number)
		}
	}
	a.lives++
	s.save(a)
}

func (s *schedule) flip(label string) bool { return rapid.IntRange(0, 2).Draw(s.rt, label) == 0 }

// read takes up to n entries of the log.
func (s *schedule) read(number, n int) {
	a := s.actors[number-1]
	for _, e := range s.log {
		if n == 0 {
			return
		}
		if e.at.Position <= a.m.at.Position {
			continue
		}
		n--
		if e.raw == nil {
			if err := a.m.Tick(e.at); err != nil {
				s.rt.Fatal(err)
			}
		} else if err := a.m.Step(e.at, e.raw); errors.Is(err, ErrOrder) {
			s.rt.Fatal(err)
		}
		s.save(a)
		if a.m.Phase() == PhaseComplete {
			a.oldGone = true
		}
	}
}

// speak sends what an actor owes, as its state on disk says.
func (s *schedule) speak(number int) {
	a := s.actors[number-1]
	for _, msg := range a.m.Pending() {
		if msg.phase == PhaseDeal {
			// Everything but the proof and what is sealed: E and commitments.
			d, err := s.p.checkDeal(uint8(number), msg.payload, &a.m.audience, nil)
			if err != nil {
				s.rt.Fatalf("participant %d owes a deal that does not verify: %v", number, err)
			}
			s.deals[number-1][string(d.commitment[:])] = true
		}
		s.wire = append(s.wire, msg.Sign(s.nodes[number-1].key))
	}
}

// commit moves one message into the log, out of order or twice as the network
// likes.
func (s *schedule) commit() {
	if len(s.wire) == 0 {
		return
	}
	at := rapid.IntRange(0, len(s.wire)-1).Draw(s.rt, "message")
	raw := s.wire[at]
	if !s.flip("twice") {
		s.wire = slices.Delete(s.wire, at, at+1)
	}
	s.append(raw)
}

func (s *schedule) step() {
	number := rapid.IntRange(1, len(s.actors)).Draw(s.rt, "participant")
	a := s.actors[number-1]
	switch rapid.SampledFrom([]string{"read", "read", "speak", "speak", "commit", "commit", "commit", "crash", "lose", "tick"}).Draw(s.rt, "action") {
	case "read":
		if a.m != nil {
			s.read(number, rapid.IntRange(1, 4).Draw(s.rt, "entries"))
		}
	case "speak":
		if a.m != nil {
			s.speak(number)
		}
	case "commit":
		s.commit()
	case "crash":
		a.m = nil
		if !a.absent && s.flip("restart") {
			s.wake(number)
		}
	case "lose":
		s.wire = nil
	case "tick":
		if s.flip("time passes") {
			s.skip()
		}
	}
	s.recoverable()
}

// recoverable checks that at this very moment the disks hold the keys: enough
// old shares, or enough new ones.
func (s *schedule) recoverable() {
	if !s.p.reshares() {
		return
	}
	old, renewed := 0, 0
	for i, a := range s.actors {
		if s.p.oldIndex[i] != 0 && !a.oldGone {
			old++
		}
		if s.p.isReceiver(uint8(i+1)) && a.hasNewShares() {
			renewed++
		}
	}
	for k := range s.p.Secrets {
		if old < s.p.Secrets[k].Old.Threshold() && renewed < s.p.Secrets[k].Threshold {
			s.rt.Fatalf("secret %d is lost: %d old shares and %d new ones are left", k, old, renewed)
		}
	}
}

// settleAll lets everybody who is not absent come back, catch up and finish.
func (s *schedule) settleAll() {
	for s.auditor.Phase() <= PhaseConfirm {
		before := s.auditor.Phase()
		for i, a := range s.actors {
			if a.m == nil && !a.absent {
				s.wake(i + 1)
			}
			if a.m != nil {
				s.read(i+1, -1)
				s.speak(i + 1)
			}
		}
		for len(s.wire) > 0 {
			s.append(s.wire[0])
			s.wire = s.wire[1:]
		}
		if s.auditor.Phase() == before {
			s.skip()
		}
	}
	for i, a := range s.actors {
		if a.m == nil && !a.absent {
			s.wake(i + 1)
		}
		if a.m != nil {
			s.read(i+1, -1)
			s.speak(i + 1)
		}
	}
	for _, raw := range s.wire {
		s.append(raw)
	}
	for i, a := range s.actors {
		if a.m != nil {
			s.read(i+1, -1)
			s.machines[i] = a.m
		}
	}
}

// verify checks what must hold whatever happened.
func (s *schedule) verify() {
	s.check()
	s.recoverable()
	for i, deals := range s.deals {
		if len(deals) > 1 {
			s.rt.Fatalf("participant %d sent %d different deals in one ceremony", i+1, len(deals))
		}
	}
	for _, f := range s.auditor.Faults() {
		if f.Kind != errEquivocation || !s.actors[f.Participant-1].amnesia {
			s.rt.Fatalf("honest participant %d is blamed: %v", f.Participant, f.Kind)
		}
	}
	if s.auditor.Abort() != nil {
		return
	}
	public := s.result()
	var holders []uint8
	for i, m := range s.machines {
		if m != nil && m.secrets.shares != nil {
			holders = append(holders, uint8(i+1))
		}
	}
	for k, secret := range s.p.Secrets {
		if len(holders) < secret.Threshold {
			s.rt.Fatalf("a key is in use that %d members hold, of %d needed", len(holders), secret.Threshold)
		}
		for _, set := range [][]uint8{holders[:secret.Threshold], holders[len(holders)-secret.Threshold:]} {
			if !recovers(s.t, public.Sharings[k], secretName(&secret), s.nodes, set) {
				s.rt.Fatalf("members %v do not make key %d", set, k)
			}
		}
	}
}

func runSchedule(t *testing.T, rt *rapid.T, c *Ceremony, nodes []*node) *schedule {
	r := newRun(t, c, nodes)
	clear(r.machines) // driven by the schedule instead
	s := &schedule{run: r, rt: rt}
	faulty := rapid.IntRange(1, len(r.machines)).Draw(rt, "faulty")
	for i := range r.machines {
		a := &actor{}
		if i+1 == faulty {
			switch rapid.IntRange(0, 3).Draw(rt, "fault") {
			case 0:
				a.absent = true
			case 1:
				a.amnesia = true
			}
		}
		s.actors, s.deals = append(s.actors, a), append(s.deals, map[string]bool{})
		if !a.absent && !s.flip("late") {
			s.wake(i + 1)
		}
	}
	for range rapid.IntRange(0, 60).Draw(rt, "steps") {
		s.step()
	}
	s.settleAll()
	s.verify()
	return s
}

func TestAnyScheduleOfAFreshCeremony(t *testing.T) {
	outcomes := map[Phase]int{}
	rapid.Check(t, func(rt *rapid.T) {
		nodes := newNodes(1, 4)
		s := runSchedule(t, rt, freshCeremony(nodes), nodes)
		outcomes[s.auditor.Phase()]++
	})
	t.Logf("outcomes: %v", outcomes)
}

func TestAnyScheduleOfAReshare(t *testing.T) {
	nodes := newNodes(1, 5)
	first := newRun(t, freshCeremony(nodes[:4]), nodes)
	first.finish()
	before := first.result()
	shares := make([]map[string]*threshold.Share, len(nodes))
	for i, n := range nodes {
		shares[i] = n.shares
	}
	outcomes := map[Phase]int{}
	rapid.Check(t, func(rt *rapid.T) {
		to := newNodes(1, 5)
		for i := range to {
			for name, share := range shares[i] {
				to[i].shares[name] = share
			}
		}
		c := reshareCeremony(first.c, before, nil, to[1:])
		s := runSchedule(t, rt, c, to)
		outcomes[s.auditor.Phase()]++
	})
	t.Logf("outcomes: %v", outcomes)
}
