package dkg

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// TestGrantsFollowTheRoster moves two grants from four members to five and to
// three, without their owners.
func TestGrantsFollowTheRoster(t *testing.T) {
	everybody := newNodes(1, 6)
	first := newRun(t, freshCeremony(everybody[:4]), everybody)
	first.finish()
	before := first.result()
	c := reshareCeremony(first.c, before, nil, everybody[:5])
	for _, label := range []string{"grant-a", "grant-b"} {
		c.Secrets = append(c.Secrets, grantFor(t, everybody, c, label))
	}
	constants := []PublicKey{c.Secrets[2].Old.Key(), c.Secrets[3].Old.Key()}
	rosters := [][]*node{everybody[:5], {everybody[5], everybody[4], everybody[0]}}
	for i, to := range rosters {
		old := snapshotShares(everybody)
		r := newRun(t, c, everybody)
		r.finish()
		r.clean()
		public := r.result()
		for k := 2; k < 4; k++ {
			s := &r.p.Secrets[k]
			if public.Sharings[k].Key() != constants[k-2] {
				t.Fatalf("roster %d: the constant term of %s changed", i, s.Label)
			}
			for _, set := range subsets(len(to), s.Threshold) {
				if !recovers(t, public.Sharings[k], secretName(s), to, set) {
					t.Errorf("roster %d: members %v do not hold %s", i, set, s.Label)
				}
			}
			r.oldAndNewDoNotMix(old, public.Sharings[k], secretName(s), s.Threshold)
		}
		if i+1 < len(rosters) {
			c = reshareCeremony(c, public, r.auditor.Confirmed(), rosters[i+1])
		}
	}
}

// oldAndNewDoNotMix completes every set of one new share too few by an old one.
func (r *run) oldAndNewDoNotMix(old []map[string]*Share, s *Sharing, name string, threshold int) {
	r.t.Helper()
	for leaver := range old {
		share := old[leaver][name]
		if share == nil {
			continue
		}
		for _, set := range subsets(len(r.p.Members), threshold-1) {
			if slices.Contains(set, share.index) {
				continue
			}
			x, values := []uint8{share.index}, []*pairing.Secret{share.value}
			for _, i := range set {
				x, values = append(x, i), append(values, r.nodes[i-1].shares[name].value)
			}
			l, err := pairing.NewLagrange(x)
			if err != nil {
				r.t.Fatal(err)
			}
			if l.CombineSecrets(values).MulG1(pairing.GeneratorG1()).Equal(s.commitments[0]) {
				r.t.Fatalf("an old share of %d and new ones of %v make the key", share.index, set)
			}
		}
	}
}

func TestOldAndNewSharesOfKeysDoNotMix(t *testing.T) {
	first := freshRun(t, 5)
	first.finish()
	before := first.result()
	old := snapshotShares(first.nodes)
	r := newRun(t, reshareCeremony(first.c, before, nil, first.nodes), first.nodes)
	r.finish()
	public := r.result()
	for k, s := range r.p.Secrets {
		r.oldAndNewDoNotMix(old, public.Sharings[k], secretName(&s), s.Threshold)
	}
	key, err := NewSigningKey(old[0]["1"], before.Sharings[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := public.Sharings[0].VerifyPart([]byte("m"), key.Sign([]byte("m"))); !errors.Is(err, ErrGeneration) {
		t.Errorf("an old share signs in the new generation: %v", err)
	}
}

func TestGrantWithTooFewDealersStaysBehind(t *testing.T) {
	first := freshRun(t, 4)
	first.finish()
	before := first.result()
	c := reshareCeremony(first.c, before, nil, first.nodes)
	a, b := grantFor(t, first.nodes, c, "grant-a"), grantFor(t, first.nodes, c, "grant-b")
	a.Holders = []uint8{1, 2, 4} // member 3 never accepted
	b.Holders = []uint8{2, 3, 4}
	c.Secrets = append(c.Secrets, a, b)
	r := newRun(t, c, first.nodes, 1) // member 1 is away
	r.finish()
	r.clean()
	public := r.result()
	if public.Sharings[2] != nil {
		t.Error("a grant moved that two of three dealers dealt")
	}
	if public.Sharings[3] == nil || !recovers(t, public.Sharings[3], secretName(&b), r.nodes, []uint8{2, 3, 4}) {
		t.Error("the other grant did not move")
	}
	for i, m := range r.machines[1:] {
		own, err := m.Result()
		if err != nil || own.Shares[2] != nil || own.Shares[3] == nil {
			t.Errorf("member %d: %v, %v", i+2, own, err)
		}
	}
}

func TestNewChecksOldShares(t *testing.T) {
	first := freshRun(t, 4)
	first.finish()
	before := first.result()
	c := reshareCeremony(first.c, before, nil, first.nodes)
	self := first.nodes[0].public()
	v, s := first.nodes[0].shares["1"], first.nodes[0].shares["2"]
	other := first.nodes[1].shares["1"]
	late := &Share{9, v.index, v.value}
	wrong := &Share{v.generation, v.index, s.value}
	for name, test := range map[string]struct {
		old  []*Share
		want error
	}{
		"none":                 {nil, ErrShare},
		"too few":              {[]*Share{v}, ErrShare},
		"wrong order":          {[]*Share{s, v}, ErrShare},
		"another member's":     {[]*Share{other, s}, ErrIndex},
		"another generation's": {[]*Share{late, s}, ErrGeneration},
		"damaged":              {[]*Share{wrong, s}, ErrShare},
	} {
		if _, err := New(c, self, test.old, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := New(c, self, []*Share{v, s}, nil); err != nil {
		t.Error(err)
	}
	if _, err := New(freshCeremony(first.nodes), self, nil, bytes.NewReader(make([]byte, 100))); err == nil {
		t.Error("a short source of randomness goes unnoticed")
	}
}

func TestRestoredMachineNeverDealsTwice(t *testing.T) {
	// The node's disk goes back to before the ceremony, the log does not.
	r := freshRun(t, 4)
	r.to(PhaseDeal)
	r.deliver()
	r.to(PhaseComplain)
	again := r.start(1, "another life")
	for _, e := range r.log {
		again.Step(e.at, e.raw)
		for _, msg := range again.Pending() {
			if msg.phase == PhaseDeal {
				t.Fatal("a second polynomial is dealt")
			}
		}
	}
	if !again.Lost() || again.Phase() != r.auditor.Phase() {
		t.Errorf("lost: %v, phase %v", again.Lost(), again.Phase())
	}
	// A leaver posts no receiving key, and is held to its commitment alike.
	first := freshRun(t, 4)
	first.finish()
	r = newRun(t, reshareCeremony(first.c, first.result(), nil, first.nodes[:3]), first.nodes)
	r.to(PhaseDeal)
	again = r.start(4, "another life")
	for _, e := range r.log {
		again.Step(e.at, e.raw)
	}
	if !again.Lost() || len(again.Pending()) > 0 {
		t.Errorf("a leaver that lost its state owes %d messages", len(again.Pending()))
	}
}

func TestNonceHedgedUnderFrozenRNG(t *testing.T) {
	p, d := freshRun(t, 4).p, generateSecret(t)
	raw := d.Reveal()
	statement := p.statement(1, pairing.GeneratorG1())
	k := nonce(pairing.DSTPossession, raw[:], statement, [32]byte{})
	for name, other := range map[string]*pairing.Secret{
		"another statement":  nonce(pairing.DSTPossession, raw[:], p.statement(2, pairing.GeneratorG1()), [32]byte{}),
		"another proof":      nonce(pairing.DSTKnowledge, raw[:], statement, [32]byte{}),
		"another secret":     nonce(pairing.DSTPossession, raw[1:], statement, [32]byte{}),
		"another randomness": nonce(pairing.DSTPossession, raw[:], statement, [32]byte{1}),
	} {
		if other.Equal(k) {
			t.Errorf("%s gives the same nonce", name)
		}
	}
}

func TestPhasesEndByTime(t *testing.T) {
	nodes := newNodes(1, 4)
	c := freshCeremony(nodes)
	c.Opened = Point{Position: 5, Time: 1000}
	c.Join = Window{Milliseconds: 100}
	m, err := New(c, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []Point{{4, 1000}, {5, 999}} {
		if err := m.Tick(at); !errors.Is(err, ErrOrder) {
			t.Errorf("going back to %v: %v", at, err)
		}
		if err := m.Step(at, nil); !errors.Is(err, ErrOrder) {
			t.Errorf("going back to %v: %v", at, err)
		}
	}
	if err := m.Step(Point{5, 1000}, nil); !errors.Is(err, ErrOrder) {
		t.Errorf("a message at a position already passed: %v", err)
	}
	if err := m.Tick(Point{5, 1099}); err != nil || m.Phase() != PhaseJoin {
		t.Errorf("phase %v before its end, %v", m.Phase(), err)
	}
	if err := m.Tick(Point{6, 1100}); err != nil || m.Phase() != PhaseAborted {
		t.Errorf("phase %v after its end, %v", m.Phase(), err)
	}
}

func TestCeremonyDescriptionsRefused(t *testing.T) {
	first := freshRun(t, 4)
	first.finish()
	before := first.result()
	good := func() *Ceremony {
		c := reshareCeremony(first.c, before, nil, first.nodes)
		c.Secrets = append(c.Secrets, grantFor(t, first.nodes, c, "a"), grantFor(t, first.nodes, c, "b"))
		return c
	}
	if _, err := New(good(), nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *Ceremony){
		"no chain":               func(c *Ceremony) { c.Chain = "" },
		"endless phase":          func(c *Ceremony) { c.Complain = Window{} },
		"no secrets":             func(c *Ceremony) { c.Secrets = nil },
		"no checkpoint key":      func(c *Ceremony) { c.Secrets = c.Secrets[1:] },
		"two checkpoint keys":    func(c *Ceremony) { c.Secrets[1] = c.Secrets[0] },
		"unknown use":            func(c *Ceremony) { c.Secrets[2].Use = 9 },
		"labels out of order":    func(c *Ceremony) { c.Secrets[2].Label = "c" },
		"a label twice":          func(c *Ceremony) { c.Secrets[2].Label = "b" },
		"no label":               func(c *Ceremony) { c.Secrets[2].Label = "" },
		"no old sharing":         func(c *Ceremony) { c.Secrets[1].Old = nil },
		"a generation not newer": func(c *Ceremony) { c.Generation = 1 },
		"another old roster":     func(c *Ceremony) { c.Old = c.Old[:3] },
		"holders out of order":   func(c *Ceremony) { c.Secrets[2].Holders = []uint8{2, 1} },
		"an unknown holder":      func(c *Ceremony) { c.Secrets[2].Holders = []uint8{5} },
		"holder zero":            func(c *Ceremony) { c.Secrets[2].Holders = []uint8{0} },
	} {
		c := good()
		c.Old = slices.Clone(c.Old)
		change(c)
		if _, err := New(c, nil, nil, nil); !errors.Is(err, ErrDescription) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fresh := freshCeremony(first.nodes)
	fresh.Secrets = append(fresh.Secrets, Secret{Use: UseGrant, Label: "a", Threshold: 3})
	if _, err := New(fresh, nil, nil, nil); !errors.Is(err, ErrDescription) {
		t.Errorf("a grant made afresh: %v", err)
	}
	fresh = freshCeremony(first.nodes)
	fresh.Secrets[1].Holders = []uint8{1}
	if _, err := New(fresh, nil, nil, nil); !errors.Is(err, ErrDescription) {
		t.Errorf("holders of a fresh key: %v", err)
	}
}
