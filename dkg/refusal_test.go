package dkg

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/dkg/threshold"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

func TestStrangersHaveNoSay(t *testing.T) {
	first := freshRun(t, 4)
	first.finish()
	// Member 4 leaves, and receives nothing: it neither complains nor confirms.
	r := newRun(t, reshareCeremony(first.c, first.result(), nil, first.nodes[:3]), first.nodes)
	f := joinedBy(t, r, 1)
	if err := r.forge(1, PhaseDeal, f.deal()); err != nil {
		t.Fatal(err)
	}
	r.to(PhaseComplain)
	if err := r.forge(4, PhaseComplain, f.complaint(1).encode()); !errors.Is(err, ErrSender) {
		t.Errorf("a leaver complains: %v", err)
	}
	r.to(PhaseConfirm)
	if err := r.forge(4, PhaseConfirm, r.pending(2, PhaseConfirm)); !errors.Is(err, ErrSender) {
		t.Errorf("a leaver confirms: %v", err)
	}
	r.clean()
}

func TestConfirmingTwiceCountsOnce(t *testing.T) {
	r := reshared(freshRun(t, 4))
	r.to(PhaseConfirm)
	raw := r.sign(1, PhaseConfirm, r.pending(1, PhaseConfirm))
	if err := r.append(raw); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := r.append(raw); !errors.Is(err, threshold.ErrDuplicate) {
			t.Fatalf("the same confirmation again: %v", err)
		}
	}
	if r.auditor.Phase() != PhaseConfirm {
		t.Errorf("one member brings the ceremony to phase %v", r.auditor.Phase())
	}
	if err := r.forge(1, PhaseConfirm, r.pending(2, PhaseConfirm)); !errors.Is(err, errEquivocation) {
		t.Errorf("another confirmation: %v", err)
	}
	r.blames(1, errEquivocation)
}

func TestTooFewReceiversAbortAtOnce(t *testing.T) {
	r := freshRun(t, 4, 2)
	r.deliver()
	r.skip()
	r.clean()
	if a := r.auditor.Abort(); a == nil || a.Phase != PhaseJoin || fmt.Sprint(a.Missing) != "[2]" || a.Have != 3 || a.Need != 4 {
		t.Errorf("abort is %+v", a)
	}
}

func TestTooFewDealersAreLeft(t *testing.T) {
	r := reshared(freshRun(t, 4))
	f, g := r.forger(2), r.forger(3)
	for _, x := range []*forger{f, g} {
		if err := r.forge(x.number, PhaseJoin, x.join()); err != nil {
			t.Fatal(err)
		}
	}
	r.to(PhaseDeal)
	for _, x := range []*forger{f, g} {
		if err := r.forge(x.number, PhaseDeal, x.cheat(x.deal(), 4)); err != nil {
			t.Fatal(err)
		}
	}
	r.finish()
	r.check()
	if a := r.auditor.Abort(); a == nil || a.Phase != PhaseComplain || fmt.Sprint(a.Missing) != "[2 3]" {
		t.Errorf("abort is %+v", a)
	}
	if _, err := r.auditor.Result(); !errors.As(err, new(*AbortError)) {
		t.Errorf("an aborted ceremony's result: %v", err)
	}
}

func TestLateMachineForgets(t *testing.T) {
	// The log never gets member 1's deal: its polynomials end with the phase.
	r := reshared(freshRun(t, 4))
	m := r.machines[0]
	secrets := [][]byte{bytes.Clone(m.secrets.seed[:])}
	for _, s := range m.secrets.old {
		b := s.Reveal()
		secrets = append(secrets, b[:])
	}
	r.to(PhaseDeal)
	r.deliver(1)
	if len(m.Pending()) != 1 {
		t.Fatal("member 1 owes nothing")
	}
	r.skip()
	if len(m.Pending()) != 0 || r.auditor.Phase() != PhaseComplain {
		t.Errorf("in phase %v member 1 still owes %d messages", r.auditor.Phase(), len(m.Pending()))
	}
	for i, s := range secrets {
		if bytes.Contains(m.Bytes(), s) {
			t.Errorf("secret %d outlives the deal phase", i)
		}
	}
	r.finish()
	r.clean()
	r.result()
}

func TestInputBuffersMayBeReused(t *testing.T) {
	r := freshRun(t, 4)
	r.to(PhaseDeal)
	for i, m := range r.machines {
		raw := r.sign(uint8(i+1), PhaseDeal, m.Pending()[0].payload)
		r.log = append(r.log, entry{Point{Position: r.at.Position + 1}, bytes.Clone(raw)})
		r.at.Position++
		for _, reader := range r.all() {
			if err := reader.Step(r.at, raw); err != nil {
				t.Fatal(err)
			}
		}
		clear(raw)
	}
	if _, err := ParseMachine(r.auditor.Bytes()); err != nil {
		t.Errorf("the state follows the caller's buffer: %v", err)
	}
	r.finish()
	r.clean()
	r.result()
}

func TestResultsAreCopies(t *testing.T) {
	r := freshRun(t, 4)
	r.finish()
	a, err := r.machines[0].Result()
	if err != nil {
		t.Fatal(err)
	}
	a.Shares[0].Erase()
	b, err := r.machines[0].Result()
	if err != nil || b.Shares[0].Check(b.Sharings[0]) != nil {
		t.Errorf("erasing one result's share erases the next one's: %v", err)
	}
	r.machines[0].Erase()
	if c, err := r.machines[0].Result(); err != nil || c.Shares != nil || b.Shares[0].Check(b.Sharings[0]) != nil {
		t.Errorf("after Erase: %v, %v", c, err)
	}
}

func TestMachinesDoNotPrintSecrets(t *testing.T) {
	m := freshRun(t, 4).machines[0]
	d := m.secrets.receive.Reveal()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		out := fmt.Sprintf(verb, m)
		for _, secret := range [][]byte{m.secrets.hedge[:4], m.secrets.seed[:4], d[:4]} {
			if strings.Contains(out, fmt.Sprintf("%x", secret)) || strings.Contains(out, fmt.Sprintf("%d", secret)) || len(out) > 100 {
				t.Errorf("%s prints %s", verb, out)
			}
		}
	}
}

func TestLossIsRemembered(t *testing.T) {
	r := freshRun(t, 4)
	r.deliver()
	m := r.start(1, "another life")
	for _, e := range r.log {
		m.Step(e.at, e.raw)
	}
	again, err := ParseMachine(m.Bytes())
	if err != nil || !again.Lost() {
		t.Errorf("a restored machine forgot that it lost its secrets: %v", err)
	}
}

func TestEvidenceNeedsTheFault(t *testing.T) {
	// A dealer signs two deals, a bad one that counts and a good one that does
	// not; member 3 complains about the first. Member 4 complains falsely.
	r := reshared(freshRun(t, 4))
	f, g := r.forger(2), r.forger(4)
	for _, x := range []*forger{f, g} {
		if err := r.forge(x.number, PhaseJoin, x.join()); err != nil {
			t.Fatal(err)
		}
	}
	r.to(PhaseDeal)
	good := r.sign(2, PhaseDeal, f.deal())
	bad := r.sign(2, PhaseDeal, f.cheat(f.deal(), 3))
	if err := r.append(bad); err != nil {
		t.Fatal(err)
	}
	if err := r.forge(4, PhaseDeal, g.deal()); err != nil {
		t.Fatal(err)
	}
	r.to(PhaseComplain)
	honest := r.sign(3, PhaseComplain, r.pending(3, PhaseComplain))
	lie := r.sign(4, PhaseComplain, g.complaint(1).encode())
	receivers := r.auditor.audience.receivers
	first := r.auditor.deals[0].raw
	join1, join2 := r.auditor.joins[0].raw, r.auditor.joins[1].raw
	for name, test := range map[string]struct {
		e      evidence
		proves bool
	}{
		"a bad share":                     {evidence{errBadShare, 2, receivers, [][]byte{bad, honest}}, true},
		"a false complaint":               {evidence{errFalseComplaint, 4, receivers, [][]byte{first, lie}}, true},
		"two deals":                       {evidence{errEquivocation, 2, nil, [][]byte{bad, good}}, true},
		"complaint about the other deal":  {evidence{errFalseComplaint, 3, receivers, [][]byte{good, honest}}, false},
		"a false complaint by another":    {evidence{errFalseComplaint, 1, receivers, [][]byte{first, lie}}, false},
		"bad share by a false complaint":  {evidence{errBadShare, 1, receivers, [][]byte{first, lie}}, false},
		"false complaint by a true one":   {evidence{errFalseComplaint, 3, receivers, [][]byte{bad, honest}}, false},
		"one deal twice":                  {evidence{errEquivocation, 2, nil, [][]byte{bad, bad}}, false},
		"a join and a deal":               {evidence{errEquivocation, 2, nil, [][]byte{join2, bad}}, false},
		"two members' joins":              {evidence{errEquivocation, 2, nil, [][]byte{join1, join2}}, false},
		"two members' joins, the other":   {evidence{errEquivocation, 1, nil, [][]byte{join1, join2}}, false},
		"two complaints":                  {evidence{errEquivocation, 3, nil, [][]byte{honest, r.sign(3, PhaseComplain, g.complaint(2).encode())}}, false},
		"a good deal as malformed":        {evidence{errMalformed, 1, receivers, [][]byte{join1, first}}, false},
		"as malformed to fewer receivers": {evidence{errMalformed, 1, receivers[:3], [][]byte{join1, first}}, false},
		"a good deal as for others":       {evidence{errReceivers, 1, nil, append(r.auditor.rawJoins(true), first)}, false},
		"a good join":                     {evidence{errProof, 1, nil, [][]byte{join1}}, false},
		"a good complaint":                {evidence{errProof, 3, receivers, [][]byte{bad, honest}}, false},
		"a deal with another's join":      {evidence{errCommitment, 1, receivers, [][]byte{join2, first}}, false},
	} {
		_, err := VerifyEvidence(r.c, test.e.encode())
		if test.proves && err != nil || !test.proves && !errors.Is(err, ErrEvidence) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An honest deal looks wrong to who is not shown every join: the fault
	// says what it rests on.
	joins := r.auditor.rawJoins(true)[1:]
	frame := evidence{errReceivers, 1, nil, append(slices.Clone(joins), first)}
	f1, err := VerifyEvidence(r.c, frame.encode())
	if err != nil || !slices.EqualFunc(f1.Given, joins, bytes.Equal) {
		t.Errorf("a fault beside %d joins is given beside %v, %v", len(joins), f1, err)
	}
	slices.Reverse(joins)
	frame = evidence{errReceivers, 1, nil, append(slices.Clone(joins), first)}
	if _, err := VerifyEvidence(r.c, frame.encode()); !errors.Is(err, ErrEvidence) {
		t.Errorf("joins in another order frame a dealer: %v", err)
	}
	alone := evidence{errEquivocation, 2, nil, [][]byte{bad, good}}
	if f2, err := VerifyEvidence(r.c, alone.encode()); err != nil || f2.Given != nil {
		t.Errorf("two deals prove themselves, but are given beside others: %v, %v", f2, err)
	}
}

func TestInconsistentStatesAreRefused(t *testing.T) {
	states := map[Phase][]byte{}
	at := func(phase Phase) *Machine {
		if states[phase] == nil {
			r := reshared(freshRun(t, 4))
			r.to(phase)
			r.deliver(1)
			states[phase] = r.machines[0].Bytes()
		}
		m, err := ParseMachine(states[phase])
		if err != nil || !bytes.Equal(m.Bytes(), states[phase]) {
			t.Fatalf("a good state in phase %v: %v", phase, err)
		}
		return m
	}
	for name, test := range map[string]struct {
		phase  Phase
		change func(m *Machine)
	}{
		"no such participant":      {PhaseJoin, func(m *Machine) { m.self = 9 }},
		"no phase":                 {PhaseJoin, func(m *Machine) { m.phase = 0 }},
		"no such phase":            {PhaseJoin, func(m *Machine) { m.phase = 8 }},
		"aborted without a reason": {PhaseJoin, func(m *Machine) { m.phase = PhaseAborted }},
		"began in the future":      {PhaseJoin, func(m *Machine) { m.since.Position = m.at.Position + 1 }},
		"seed without deal":        {PhaseJoin, func(m *Machine) { m.committed = nil }},
		"old shares missing":       {PhaseJoin, func(m *Machine) { m.secrets.old = m.secrets.old[1:] }},
		"deal without seed":        {PhaseJoin, func(m *Machine) { m.secrets.seed = nil }},
		"new shares too early":     {PhaseJoin, func(m *Machine) { m.secrets.shares = slices.Clone(m.secrets.old) }},
		"owes another phase":       {PhaseJoin, func(m *Machine) { m.outbox[0].phase = PhaseConfirm }},
		"another's join":           {PhaseDeal, func(m *Machine) { m.joins[0], m.joins[1] = m.joins[1], m.joins[0] }},
		"deal without join":        {PhaseComplain, func(m *Machine) { m.joins[1] = nil }},
		"deals before their phase": {PhaseComplain, func(m *Machine) { m.phase, m.outbox = PhaseJoin, nil }},
		"receiving key too late":   {PhaseConfirm, func(m *Machine) { m.secrets.receive = m.secrets.shares[0] }},
		"a share too few":          {PhaseConfirm, func(m *Machine) { m.secrets.shares = m.secrets.shares[1:] }},
		"a share missing":          {PhaseConfirm, func(m *Machine) { m.secrets.shares[1] = nil }},
		"no such verdict":          {PhaseConfirm, func(m *Machine) { m.phase, m.confirmations[0].state = PhaseConfirm, 7 }},
		"active without quorum":    {PhaseConfirm, func(m *Machine) { m.confirmations = m.confirmations[:1] }},
		"a confirmation twice": {PhaseConfirm, func(m *Machine) {
			m.confirmations[1] = m.confirmations[0]
		}},
		"a verdict that is wrong": {PhaseConfirm, func(m *Machine) {
			c := &m.confirmations[0]
			other, _ := ParseMessage(m.confirmations[1].raw)
			copied := &Message{ceremony: m.plan.id, phase: PhaseConfirm, sender: c.number, payload: other.payload}
			c.raw = copied.Sign(newNode(fmt.Sprint(c.number)).key)
		}},
		"too few dealers": {PhaseConfirm, func(m *Machine) {
			m.deals[0], m.deals[1], m.deals[2], m.confirmations, m.secrets.shares = nil, nil, nil, nil, nil
			m.phase, m.outbox = PhaseConfirm, nil
		}},
		"fault of nobody":      {PhaseConfirm, func(m *Machine) { m.faults = []record{{0, 1, 1, nil}} }},
		"no such fault":        {PhaseConfirm, func(m *Machine) { m.faults = []record{{1, 99, 1, nil}} }},
		"fault that never was": {PhaseConfirm, func(m *Machine) { m.faults = []record{{1, 1, 0, nil}} }},
	} {
		m := at(test.phase)
		test.change(m)
		if _, err := ParseMachine(m.Bytes()); err == nil {
			t.Errorf("%s: a state is accepted", name)
		}
	}
}

func TestPointsDoNotGoBack(t *testing.T) {
	r := freshRun(t, 4)
	m := r.auditor
	if err := m.Tick(Point{Position: 2, Time: 9}); err != nil {
		t.Fatal(err)
	}
	before := m.Bytes()
	for _, at := range []Point{{Position: 3, Time: 8}, {Position: 2, Time: 9}, {Position: 1, Time: 9}} {
		if err := m.Step(at, nil); !errors.Is(err, ErrOrder) {
			t.Errorf("a message at %v after 2, 9: %v", at, err)
		}
	}
	for _, at := range []Point{{Position: 3, Time: 8}, {Position: 1, Time: 9}} {
		if err := m.Tick(at); !errors.Is(err, ErrOrder) {
			t.Errorf("a tick at %v after 2, 9: %v", at, err)
		}
	}
	if !bytes.Equal(m.Bytes(), before) {
		t.Error("a refused point changes the machine")
	}
}

func TestFreshKeyNeedsDealers(t *testing.T) {
	r := freshRun(t, 4)
	r.to(PhaseDeal)
	r.deliver(3, 4)
	r.skip()
	if a := r.auditor.Abort(); a == nil || a.Phase != PhaseDeal || a.Have != 2 || a.Need != 3 || !slices.Equal(a.Missing, []uint8{3, 4}) {
		t.Errorf("with two dealers of three: %v", a)
	}
}

// TestWrongConfirmationsDoNotCancel lets two members choose their signatures
// after weights that would not depend on them.
func TestWrongConfirmationsDoNotCancel(t *testing.T) {
	r := freshRun(t, 4)
	r.to(PhaseConfirm)
	m := r.auditor
	draw := weigher{seed: wire.Hash(string(pairing.DSTConfirmWeight), m.transcript[:], nil)}
	draw.weight() // the first is 1
	error2 := pairing.HashToG2(pairing.DSTIdentity, []byte("error"))
	error1 := error2.Mul(draw.weight()).Neg()
	var batch []confirmation
	for i, e := range []pairing.G2{error1, error2} {
		g := r.machines[i].secrets.shares[0].MulG2(m.statementHash()).Add(e)
		raw := g.Bytes()
		batch = append(batch, confirmation{raw: raw[:], number: uint8(i + 1), point: g})
	}
	if bad := m.verifyConfirmations(batch); !slices.Equal(bad, []int{0, 1}) {
		t.Errorf("of two wrong confirmations, %v are found", bad)
	}
}

func TestLeaverIsNotAccusedOfConfirming(t *testing.T) {
	first := freshRun(t, 4)
	first.finish()
	r := newRun(t, reshareCeremony(first.c, first.result(), nil, first.nodes[:3]), first.nodes)
	r.to(PhaseConfirm)
	w := wire.NewWriter(confirmFormat)
	raw := pairing.HashToG2(pairing.DSTIdentity, []byte("nonsense")).Bytes()
	w.Raw(raw[:])
	e := evidence{errConfirmation, 4, nil, append(r.auditor.messagesBefore(), r.sign(4, PhaseConfirm, w.Sum()))}
	if _, err := VerifyEvidence(r.c, e.encode()); !errors.Is(err, ErrEvidence) {
		t.Errorf("a member that leaves is accused of its confirmation: %v", err)
	}
	e.accused, e.messages[len(e.messages)-1] = 3, r.sign(3, PhaseConfirm, w.Sum())
	if _, err := VerifyEvidence(r.c, e.encode()); err != nil {
		t.Errorf("a wrong confirmation is not proven: %v", err)
	}
}
