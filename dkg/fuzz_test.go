package dkg

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// Every parser has two properties: it does not panic, and what it accepts is
// the one encoding of what it returns.

// vectorMessages returns the messages of all vectors, and their ceremonies.
func vectorMessages(t testing.TB) (ceremonies, messages [][]byte) {
	t.Helper()
	for _, path := range vectorFiles(t, "*.txt") {
		v := readVector(t, path)
		ceremonies = append(ceremonies, v.bytes(t, "ceremony"))
		for _, m := range v.all("message") {
			_, raw, _ := strings.Cut(m, " ")
			messages = append(messages, unhex(t, raw))
		}
	}
	return ceremonies, messages
}

func seedPayloads(f *testing.F, phase Phase) {
	_, messages := vectorMessages(f)
	for _, raw := range messages {
		m, err := ParseMessage(raw)
		if err == nil && m.phase == phase {
			f.Add(m.payload)
		}
	}
}

func honestVector(t testing.TB) *vector { return readVector(t, filepath.Join(vectorDir, "fresh.txt")) }

// honestMachine returns the first participant's machine of a recorded ceremony
// in a phase of it.
func honestMachine(t testing.TB, phase Phase) *Machine {
	t.Helper()
	v := honestVector(t)
	c, err := ParseCeremony(v.bytes(t, "ceremony"))
	if err != nil {
		t.Fatal(err)
	}
	node := nodeFromSeed(unhex(t, v.all("node-seed")[0]))
	m, err := New(c, node.public(), nil, bytes.NewReader(unhex(t, v.all("random")[0])))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range v.fields {
		if m.Phase() >= phase {
			break
		}
		one := &vector{[][2]string{f}}
		if err := one.replay(t, m); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func FuzzParseMessage(f *testing.F) {
	_, messages := vectorMessages(f)
	for _, raw := range messages {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseMessage(b); err == nil && !bytes.Equal(m.Bytes(), b) {
			t.Error("a message has two encodings")
		}
	})
}

func FuzzParseCeremony(f *testing.F) {
	ceremonies, _ := vectorMessages(f)
	for _, raw := range ceremonies {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCeremony(b); err == nil && !bytes.Equal(c.Bytes(), b) {
			t.Error("a ceremony has two encodings")
		}
	})
}

func FuzzJoin(f *testing.F) {
	seedPayloads(f, PhaseJoin)
	p := honestMachine(f, PhaseJoin).plan
	f.Fuzz(func(t *testing.T, b []byte) {
		if j, err := p.checkJoin(1, b); err == nil && !bytes.Equal(p.encodeJoin(1, j), b) {
			t.Error("a join has two encodings")
		}
	})
}

func FuzzDeal(f *testing.F) {
	seedPayloads(f, PhaseDeal)
	m := honestMachine(f, PhaseComplain)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := m.plan.checkDeal(2, b, &m.audience, nil)
		if err != nil {
			return
		}
		// Lengths are fixed, so the parts give the whole back.
		w := wire.NewWriter(dealFormat)
		w.Raw(m.audience.hash[:])
		pairing.WriteG1(w, d.ephemeral)
		w.Raw(b[len(w.Sum()) : len(w.Sum())+64])
		for _, row := range d.commitments {
			for _, c := range row {
				pairing.WriteG1(w, c)
			}
		}
		for _, s := range d.sealed {
			w.Raw(s)
		}
		if !bytes.Equal(w.Sum(), b) {
			t.Error("a deal has two encodings")
		}
	})
}

func FuzzComplaint(f *testing.F) {
	seedPayloads(f, PhaseComplain)
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseComplaint(b); err == nil && !bytes.Equal(c.encode(), b) {
			t.Error("a complaint has two encodings")
		}
	})
}

func FuzzConfirm(f *testing.F) {
	seedPayloads(f, PhaseConfirm)
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := parseConfirm(b)
		if err != nil {
			return
		}
		w, raw := wire.NewWriter(confirmFormat), g.Bytes()
		if w.Raw(raw[:]); !bytes.Equal(w.Sum(), b) {
			t.Error("a confirmation has two encodings")
		}
	})
}

func FuzzConfirmGrants(f *testing.F) {
	f.Add(encodeOutcome([32]byte{1}))
	f.Add(encodeOutcome([32]byte{1})[:40])
	r, _ := grantsRun(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := r.p.parseConfirmation(b); err == nil && !bytes.Equal(encodeOutcome(c.outcome), b) {
			t.Error("a confirmation has two encodings")
		}
	})
}

// FuzzStep gives a machine, in every phase, payloads that a member signed.
func FuzzStep(f *testing.F) {
	_, messages := vectorMessages(f)
	for _, raw := range messages {
		if m, err := ParseMessage(raw); err == nil {
			f.Add(uint8(m.phase), m.payload)
		}
	}
	key := nodeFromSeed(unhex(f, honestVector(f).all("node-seed")[1])).key
	states := map[Phase][]byte{}
	for _, phase := range []Phase{PhaseJoin, PhaseDeal, PhaseComplain, PhaseConfirm} {
		states[phase] = honestMachine(f, phase).Bytes()
	}
	f.Fuzz(func(t *testing.T, phase uint8, payload []byte) {
		state, ok := states[Phase(phase)]
		if !ok {
			return
		}
		m, err := ParseMachine(state)
		if err != nil {
			t.Fatal(err)
		}
		msg := &Message{ceremony: m.plan.id, phase: Phase(phase), sender: 2, payload: payload}
		err = m.Step(Point{Position: m.at.Position + 1}, msg.Sign(key))
		for _, fault := range m.Faults() {
			if fault.Participant != 2 {
				t.Fatalf("member 2 makes %d look guilty of %v", fault.Participant, fault.Kind)
			}
			if _, bad := VerifyEvidence(&m.plan.Ceremony, fault.Evidence); bad != nil {
				t.Fatalf("fault %v (%v) without evidence: %v", fault.Kind, err, bad)
			}
		}
		again, err := ParseMachine(m.Bytes())
		if err != nil || !bytes.Equal(again.Bytes(), m.Bytes()) {
			t.Fatalf("the state does not restore: %v", err)
		}
	})
}

func FuzzParseMachine(f *testing.F) {
	for phase := PhaseJoin; phase <= PhaseComplete; phase++ {
		if phase != PhaseActive { // a first key is complete at once
			f.Add(honestMachine(f, phase).Bytes())
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseMachine(b); err == nil {
			if !bytes.Equal(m.Bytes(), b) {
				t.Error("a state has two encodings")
			}
			// Whatever it holds, it can be used.
			m.Pending()
			m.Faults()
			if err := m.Tick(Point{Position: 1 << 63, Time: 1 << 63}); err == nil {
				m.Bytes()
			}
		}
	})
}

func FuzzVerifyEvidence(f *testing.F) {
	var c *Ceremony
	for _, path := range vectorFiles(f, "refused-*.txt") {
		v := readVector(f, path)
		for _, e := range v.all("evidence") {
			f.Add(unhex(f, e))
		}
		if c == nil {
			var err error
			if c, err = ParseCeremony(v.bytes(f, "ceremony")); err != nil {
				f.Fatal(err)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseEvidence(b); err == nil && !bytes.Equal(e.encode(), b) {
			t.Error("evidence has two encodings")
		}
		if fault, err := VerifyEvidence(c, b); err == nil && fault.Participant == 0 {
			t.Error("evidence against nobody")
		}
	})
}
