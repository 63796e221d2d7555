package dkg

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/ward-health/ward/dkg/threshold"
)

// grantsRun is the beginning of a ceremony that moves three grants, and no
// keys, from members 1 to 4 to members 2 to 6. It returns the old shares by
// participant.
func grantsRun(t testing.TB, absent ...uint8) (*run, []map[string]*threshold.Share) {
	t.Helper()
	nodes := newNodes(1, 6)
	c := freshCeremony(nodes[1:])
	c.Old, c.Generation, c.Secrets = roster(nodes[:4]), 2, nil
	for _, label := range []string{"grant-a", "grant-b", "grant-c"} {
		c.Secrets = append(c.Secrets, grantFor(t, nodes, c, label))
	}
	r := newRun(t, c, nodes, absent...)
	return r, snapshotShares(r.nodes)
}

// TestGrantsMoveWithoutKeys to another roster, and a machine that is stored and
// read between any two messages goes on as if nothing had been.
func TestGrantsMoveWithoutKeys(t *testing.T) {
	r, old := grantsRun(t)
	for r.auditor.Phase() <= PhaseConfirm {
		before := r.auditor.Phase()
		r.deliver()
		for i, m := range r.machines {
			again, err := ParseMachine(m.Bytes())
			if err != nil {
				t.Fatalf("participant %d in phase %v: %v", i+1, before, err)
			}
			r.machines[i] = again
		}
		if r.auditor.Phase() == before {
			r.skip()
		}
	}
	r.clean()
	if r.auditor.Phase() != PhaseComplete || len(r.auditor.Confirmed()) != 5 {
		t.Fatalf("ends in phase %v, confirmed by %v", r.auditor.Phase(), r.auditor.Confirmed())
	}
	public := r.result()
	for k := range r.p.Secrets {
		s := &r.p.Secrets[k]
		for _, set := range subsets(5, s.Threshold) {
			if !recovers(t, public.Sharings[k], secretName(s), r.nodes, set) {
				t.Errorf("members %v do not hold %s", set, s.Label)
			}
		}
		r.oldAndNewDoNotMix(old, public.Sharings[k], secretName(s), s.Threshold)
	}
}

// TestPartsOfAHandOverDoNotMix: a message of one part is none of another, and
// the same seed makes other polynomials there.
func TestPartsOfAHandOverDoNotMix(t *testing.T) {
	r, _ := grantsRun(t)
	other := *r.c
	other.ID[0] ^= 1
	p, err := newPlan(&other)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.machines {
		for _, msg := range m.Pending() {
			if err := newMachine(p).Step(Point{Position: 1}, msg.Sign(r.nodes[msg.sender-1].key)); !errors.Is(err, ErrCeremony) {
				t.Errorf("a join of another part: %v", err)
			}
		}
	}
	seed, held := new([32]byte), r.machines[0].secrets.old
	a, b := r.p.draw(1, seed, held), p.draw(1, seed, held)
	if a.ephemeral.Equal(b.ephemeral) || a.polynomials[0][1].Equal(b.polynomials[0][1]) {
		t.Error("two parts are dealt with one polynomial")
	}
	if a.polynomials[0][1].Equal(a.polynomials[1][1]) {
		t.Error("two grants are dealt with one polynomial")
	}
}

// TestSilentDealersCostARepetitionNotTheGrants: with fewer than t dealers in
// any phase the part aborts, and every grant stays where it is.
func TestSilentDealersCostARepetitionNotTheGrants(t *testing.T) {
	for phase, play := range map[Phase]func(r *run){
		PhaseDeal: func(r *run) {
			r.to(PhaseDeal)
			r.deliver(1, 2)
			r.skip()
		},
		PhaseComplain: func(r *run) {
			f, g := r.forger(1), r.forger(2)
			if err := r.forge(1, PhaseJoin, f.join()); err != nil {
				t.Fatal(err)
			}
			g.enter()
			r.forge(1, PhaseDeal, f.cheat(f.deal(), 4))
			r.forge(2, PhaseDeal, g.cheat(g.deal(), 4))
			r.to(PhaseComplain)
			r.deliver()
			r.skip()
		},
	} {
		r, _ := grantsRun(t)
		play(r)
		a := r.auditor.Abort()
		if a == nil || a.Phase != phase || a.Have != 2 || a.Need != 3 || !slices.Equal(a.Missing, []uint8{1, 2}) {
			t.Errorf("phase %v: %+v", phase, a)
		}
		r.check()
		if _, err := ParseMachine(r.machines[2].Bytes()); err != nil {
			t.Errorf("the state after an abort: %v", err)
		}
	}
	// Two of four leavers are away: as many receivers as need be, and too few dealers.
	nodes := newNodes(1, 8)
	c := freshCeremony(nodes[4:])
	c.Old, c.Generation, c.Secrets = roster(nodes[:4]), 2, nil
	c.Secrets = append(c.Secrets, grantFor(t, nodes, c, "grant-a"))
	r := newRun(t, c, nodes, 5, 6)
	r.deliver()
	r.skip()
	if a := r.auditor.Abort(); a == nil || a.Phase != PhaseJoin || a.Have != 2 || a.Need != 3 {
		t.Errorf("%+v", a)
	}
}

// TestGrantsWithoutDealersStayBehindAlone, be it all of a part.
func TestGrantsWithoutDealersStayBehindAlone(t *testing.T) {
	for behind := range 4 {
		nodes := newNodes(1, 8)
		c := freshCeremony(nodes[4:])
		c.Old, c.Generation, c.Secrets = roster(nodes[:4]), 2, nil
		for i, label := range []string{"grant-a", "grant-b", "grant-c"} {
			s := grantFor(t, nodes, c, label)
			if i < behind {
				s.Holders = []uint8{1, 2, 4} // of whom 1 is away
			}
			c.Secrets = append(c.Secrets, s)
		}
		r := newRun(t, c, nodes, 5) // member 7 holds none of the last three and is heard all the same
		r.finish()
		r.clean()
		public := r.result()
		for k, s := range public.Sharings {
			if (s == nil) != (k < behind) {
				t.Errorf("%d behind: grant %d moved: %v", behind, k, s != nil)
			}
		}
		if again, err := ParseMachine(r.machines[1].Bytes()); err != nil || again.Phase() != PhaseComplete {
			t.Errorf("%d behind: the state: %v", behind, err)
		}
	}
}

// TestAStateWithTooFewDealersOfGrantsIsRefused: that ceremony had aborted.
func TestAStateWithTooFewDealersOfGrantsIsRefused(t *testing.T) {
	r, _ := grantsRun(t)
	r.to(PhaseConfirm)
	m := r.machines[4] // a newcomer's
	if _, err := ParseMachine(m.Bytes()); err != nil {
		t.Fatal(err)
	}
	m.deals[0], m.deals[1], m.outbox, m.secrets.shares = nil, nil, nil, nil
	if _, err := ParseMachine(m.Bytes()); err == nil {
		t.Error("a state is accepted")
	}
}

// TestConfirmingAnotherOutcomeIsNamed, and does not count.
func TestConfirmingAnotherOutcomeIsNamed(t *testing.T) {
	r, _ := grantsRun(t)
	r.to(PhaseConfirm)
	if err := r.forge(1, PhaseConfirm, encodeOutcome([32]byte{1})); err != nil {
		t.Fatal(err) // judged when it could matter
	}
	r.deliver(1)
	r.blames(1, errConfirmation)
	if c := r.auditor.Confirmed(); !slices.Equal(c, []uint8{2, 3, 4, 5}) || r.auditor.Phase() != PhaseActive {
		t.Errorf("confirmed by %v, phase %v", c, r.auditor.Phase())
	}
}

// TestEachKindOfCeremonyHasItsConfirmation and takes no other.
func TestEachKindOfCeremonyHasItsConfirmation(t *testing.T) {
	keys := freshRun(t, 4)
	keys.to(PhaseConfirm)
	signed := keys.pending(1, PhaseConfirm)
	if err := keys.forge(1, PhaseConfirm, encodeOutcome(keys.auditor.transcript)); !errors.Is(err, errMalformed) {
		t.Errorf("keys confirmed with the outcome alone: %v", err)
	}
	keys.blames(1, errMalformed)
	grants, _ := grantsRun(t)
	grants.to(PhaseConfirm)
	if err := grants.forge(1, PhaseConfirm, signed); !errors.Is(err, errMalformed) {
		t.Errorf("grants confirmed with a share of the checkpoint key: %v", err)
	}
	grants.blames(1, errMalformed)
	twice := encodeOutcome(grants.auditor.transcript)
	if err := grants.forge(1, PhaseConfirm, append(twice, 0)); !errors.Is(err, errMalformed) {
		t.Errorf("trailing bytes: %v", err)
	}
}

// TestTwoDealsOfOnePartAreNamed: the first counts.
func TestTwoDealsOfOnePartAreNamed(t *testing.T) {
	r, _ := grantsRun(t)
	r.to(PhaseDeal)
	first := r.pending(1, PhaseDeal)
	if err := r.forge(1, PhaseDeal, first); err != nil {
		t.Fatal(err)
	}
	second := bytes.Clone(first)
	second[len(second)-1] ^= 1
	if err := r.forge(1, PhaseDeal, second); !errors.Is(err, errEquivocation) {
		t.Errorf("a second deal: %v", err)
	}
	r.finish()
	r.blames(1, errEquivocation)
	r.result()
}

// TestGrantsAloneNeedAsManyConfirmationsAsKeys: one fewer, and nothing is in
// use; a description cannot bring the number down by a small threshold.
func TestGrantsAloneNeedAsManyConfirmationsAsKeys(t *testing.T) {
	r, _ := grantsRun(t)
	if r.p.serve != checkpointThreshold(5) || r.p.complete != r.p.serve+1 {
		t.Fatalf("active at %d, complete at %d", r.p.serve, r.p.complete)
	}
	r.to(PhaseConfirm)
	r.deliver(1, 2)
	if r.auditor.Phase() != PhaseConfirm {
		t.Fatalf("three of five confirmed: phase %v", r.auditor.Phase())
	}
	r.skip()
	if a := r.auditor.Abort(); a == nil || a.Have != 3 || a.Need != 4 {
		t.Errorf("%+v", a)
	}
}

func TestDescriptionsOfGrantsAloneRefused(t *testing.T) {
	r, _ := grantsRun(t)
	for name, change := range map[string]func(c *Ceremony){
		"keys after grants": func(c *Ceremony) {
			c.Secrets = []Secret{c.Secrets[0], {Use: UseIdentity, Threshold: 3, Old: c.Secrets[0].Old}}
		},
		"made afresh":         func(c *Ceremony) { c.Old = nil; c.Secrets = []Secret{{Use: UseGrant, Label: "a", Threshold: 3}} },
		"labels out of order": func(c *Ceremony) { c.Secrets[0], c.Secrets[1] = c.Secrets[1], c.Secrets[0] },
		"no label":            func(c *Ceremony) { c.Secrets[0].Label = "" },
	} {
		c := *r.c
		c.Secrets = slices.Clone(c.Secrets)
		change(&c)
		if _, err := New(&c, nil, nil, nil); !errors.Is(err, ErrDescription) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := ParseCeremony(r.c.Bytes()); err != nil || !bytes.Equal(got.Bytes(), r.c.Bytes()) {
		t.Errorf("the description does not come back: %v", err)
	}
}
