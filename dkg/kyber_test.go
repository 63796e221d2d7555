package dkg

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// The tests of this file carry the numbers of the weaknesses found in the
// distributed key generation of kyber v3.1.0: each is an attack that succeeds
// there. Here the attack is refused, the right party is blamed, nothing panics,
// and all honest members end with the same outcome.

func freshRun(t testing.TB, n int, absent ...uint8) *run {
	t.Helper()
	nodes := newNodes(1, n)
	return newRun(t, freshCeremony(nodes), nodes, absent...)
}

// joinedBy starts a run in which one participant is a forger, up to the deals.
func joinedBy(t testing.TB, r *run, number uint8) *forger {
	t.Helper()
	f := r.forger(number)
	f.enter()
	return f
}

func (f *forger) enter() {
	f.r.t.Helper()
	if err := f.r.forge(f.number, PhaseJoin, f.join()); err != nil {
		f.r.t.Fatal(err)
	}
	f.r.to(PhaseDeal)
}

func TestK01LeaversNeverAnswerComplaints(t *testing.T) {
	first := freshRun(t, 4)
	first.finish()
	before := first.result()
	everybody := newNodes(1, 5)
	copy(everybody, first.nodes)
	// Members 3 and 4 leave; as participants of the reshare they are 4 and 5.
	r := newRun(t, reshareCeremony(first.c, before, nil, []*node{everybody[0], everybody[1], everybody[4]}), everybody)
	f := joinedBy(t, r, 1)
	r.to(PhaseComplain)
	for _, leaver := range []uint8{4, 5} {
		for from := uint8(1); from <= 3; from++ {
			c := f.complaint(leaver)
			m := &Message{ceremony: r.p.id, phase: PhaseComplain, sender: from, payload: c.encode(), signature: make([]byte, 64)}
			if err := r.append(m.Bytes()); !errors.Is(err, ErrSignature) {
				t.Fatalf("unsigned complaint: %v", err)
			}
		}
		if p := r.machines[leaver-1].Pending(); len(p) > 0 {
			t.Fatalf("leaver %d answers with %d messages", leaver, len(p))
		}
	}
	r.finish()
	r.clean()
	r.result()
}

func TestK02EveryMessageIsSigned(t *testing.T) {
	r := freshRun(t, 4)
	for r.auditor.Phase() <= PhaseConfirm {
		for i, m := range r.machines {
			for _, msg := range m.Pending() {
				raw := msg.Sign(r.nodes[i].key)
				other := msg.Sign(r.nodes[(i+1)%4].key)
				if err := r.append(other); !errors.Is(err, ErrSignature) {
					t.Fatalf("%v message signed by another: %v", msg.phase, err)
				}
				raw[len(raw)-1] ^= 1
				if err := r.append(raw); !errors.Is(err, ErrSignature) {
					t.Fatalf("%v message with a broken signature: %v", msg.phase, err)
				}
			}
		}
		before := r.auditor.Phase()
		if r.deliver(); r.auditor.Phase() == before {
			r.skip()
		}
	}
	r.clean()
	r.result()
}

func TestK03ComplaintForAnotherPair(t *testing.T) {
	r := freshRun(t, 4)
	f := joinedBy(t, r, 2)
	if err := r.forge(2, PhaseDeal, f.deal()); err != nil {
		t.Fatal(err)
	}
	r.to(PhaseComplain)
	// The key between member 2 and dealer 3, presented as that with dealer 1.
	c, other := f.complaint(1), f.complaint(3)
	c.key, c.proof = other.key, other.proof
	if err := r.forge(2, PhaseComplain, c.encode()); !errors.Is(err, ErrProof) {
		t.Fatalf("a key of another pair: %v", err)
	}
	r.finish()
	r.blames(2, ErrProof)
	if fmt.Sprint(r.auditor.Qualified()) != "[1 2 3 4]" {
		t.Errorf("qualified dealers are %v", r.auditor.Qualified())
	}
}

func TestK04BadShareNeverBecomesPartOfAKey(t *testing.T) {
	r := freshRun(t, 4)
	f := joinedBy(t, r, 2)
	if err := r.forge(2, PhaseDeal, f.cheat(f.deal(), 3)); err != nil {
		t.Fatal(err)
	}
	r.finish()
	r.check()
	// The dealer is out, and its own machine being silent the key has only
	// three of the four confirmations a first key needs: nothing is used.
	if fmt.Sprint(r.auditor.Qualified()) != "[1 3 4]" || r.auditor.Abort() == nil || fmt.Sprint(r.auditor.Abort().Missing) != "[2]" {
		t.Fatalf("qualified %v, abort %v", r.auditor.Qualified(), r.auditor.Abort())
	}
	r.blames(2, ErrBadShare)
	// In a reshare three are enough, and each of them holds a good share.
	r = reshared(freshRun(t, 4))
	f = joinedBy(t, r, 2)
	if err := r.forge(2, PhaseDeal, f.cheat(f.deal(), 3)); err != nil {
		t.Fatal(err)
	}
	r.finish()
	r.blames(2, ErrBadShare)
	public := r.result()
	for k, s := range r.p.Secrets {
		if !recovers(t, public.Sharings[k], secretName(&s), r.nodes, []uint8{1, 3, 4}) {
			t.Errorf("secret %d is lost", k)
		}
	}
}

// otherDegree replaces the forger's first polynomial by one of another degree.
func (f *forger) otherDegree(coefficients int) {
	for len(f.polynomials[0]) < coefficients {
		f.polynomials[0] = append(f.polynomials[0], generateSecret(f.r.t))
	}
	f.polynomials[0] = f.polynomials[0][:coefficients]
}

func testDegree(t *testing.T, r *run, coefficients int) {
	t.Helper()
	f := r.forger(2)
	f.otherDegree(coefficients)
	f.enter()
	if err := r.forge(2, PhaseDeal, f.deal()); !errors.Is(err, ErrMalformed) {
		t.Fatalf("%d commitments: %v", coefficients, err)
	}
	r.finish()
	r.blames(2, ErrMalformed)
	if slices.Contains(r.auditor.Qualified(), 2) {
		t.Fatal("the dealer qualifies")
	}
}

func TestK05DealerCannotLowerTheThreshold(t *testing.T) {
	testDegree(t, freshRun(t, 4), 2)
	testDegree(t, reshared(freshRun(t, 4)), 2)
}

func TestK06DealerCannotRaiseTheDegree(t *testing.T) {
	testDegree(t, freshRun(t, 4), 4)
	testDegree(t, reshared(freshRun(t, 4)), 4)
	testDegree(t, freshRun(t, 4), 100)
}

func TestK07ReshareWithoutCommitments(t *testing.T) {
	testDegree(t, reshared(freshRun(t, 4)), 1)
	r := reshared(freshRun(t, 4))
	f := joinedBy(t, r, 2)
	full := f.deal()
	for _, n := range []int{0, 1, len(dealFormat) + 1, len(dealFormat) + 33, len(full) / 2, len(full) - 1} {
		if err := r.forge(2, PhaseDeal, full[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("deal cut to %d bytes: %v", n, err)
		}
	}
	r.finish()
	r.blames(2, ErrMalformed)
	r.result()
}

func TestK08ReshareCannotReplaceTheKey(t *testing.T) {
	r := reshared(freshRun(t, 4))
	// A dealer claims another constant term: refused at once.
	f := r.forger(2)
	f.polynomials[1][0] = generateSecret(t)
	f.public = r.p.commit(2, f.dealing)
	at := r.p.Secrets[0].Threshold * pairing.G1Size
	wrong := f.polynomials[1][0].MulG1(pairing.GeneratorG1()).Bytes()
	copy(f.public.commitments[at:], wrong[:])
	f.enter()
	if err := r.forge(2, PhaseDeal, f.deal()); !errors.Is(err, ErrConstant) {
		t.Fatalf("another constant term: %v", err)
	}
	r.finish()
	r.blames(2, ErrConstant)
	r.result()
	// It commits to its old share and deals another: each receiver complains,
	// and one proof is enough.
	r = reshared(freshRun(t, 4))
	f = r.forger(2)
	f.commits()
	f.polynomials[1][0] = generateSecret(t)
	f.enter()
	if err := r.forge(2, PhaseDeal, f.deal()); err != nil {
		t.Fatal(err)
	}
	r.finish()
	r.blames(2, ErrBadShare)
	r.result() // checks that no key changed
}

func TestK09EquivocationHasOneOutcome(t *testing.T) {
	r := freshRun(t, 4)
	f := joinedBy(t, r, 2)
	a := f.deal()
	b := f.cheat(f.deal(), 3)
	if err := r.forge(2, PhaseDeal, a); err != nil {
		t.Fatal(err)
	}
	if err := r.forge(2, PhaseDeal, b); !errors.Is(err, ErrEquivocation) {
		t.Fatalf("a second deal: %v", err)
	}
	if err := r.forge(2, PhaseDeal, a); !errors.Is(err, ErrDuplicate) {
		t.Fatalf("the first deal again: %v", err)
	}
	r.finish()
	r.blames(2, ErrEquivocation)
}

func TestK10MessagesOfAnotherCeremony(t *testing.T) {
	nodes := newNodes(1, 4)
	old := newRun(t, freshCeremony(nodes), nodes)
	old.finish()
	for name, change := range map[string]func(c *Ceremony){
		"another id":       func(c *Ceremony) { c.ID[0] ^= 1 },
		"another chain":    func(c *Ceremony) { c.Chain = "other-chain" },
		"other thresholds": func(c *Ceremony) { c.Secrets[1].Threshold = 2 },
		"another roster":   func(c *Ceremony) { c.Members[0], c.Members[1] = c.Members[1], c.Members[0] },
	} {
		c := freshCeremony(nodes)
		change(c)
		r := newRun(t, c, nodes)
		for _, e := range old.log {
			if e.raw == nil {
				continue
			}
			if err := r.append(e.raw); !errors.Is(err, ErrCeremony) {
				t.Fatalf("%s: message of the old ceremony: %v", name, err)
			}
		}
		r.finish()
		r.clean()
		r.result()
	}
}

func TestK11NoByteOfAMessageIsUnsigned(t *testing.T) {
	r := freshRun(t, 4)
	for _, phase := range []Phase{PhaseJoin, PhaseDeal} {
		r.to(phase)
		raw := r.sign(1, phase, r.pending(1, phase))
		for i := range raw {
			raw[i] ^= 0x10
			if err := r.auditor.handleRaw(raw); err == nil {
				t.Fatalf("%v message with byte %d changed counts", phase, i)
			}
			raw[i] ^= 0x10
		}
		r.clean()
	}
}

// handleRaw takes a message without passing a point.
func (m *Machine) handleRaw(raw []byte) error {
	msg, err := m.plan.authentic(raw)
	if err != nil {
		return err
	}
	return m.handle(msg, raw)
}

func TestK12MissingFields(t *testing.T) {
	r := freshRun(t, 4)
	f := r.forger(2)
	cut := func(phase Phase, payload []byte) {
		t.Helper()
		for n := 0; n < len(payload); n += 1 + len(payload)/64 {
			if err := r.forge(2, phase, payload[:n]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v payload cut to %d bytes: %v", phase, n, err)
			}
		}
		if err := r.forge(2, phase, append(bytes.Clone(payload), 0)); !errors.Is(err, ErrMalformed) {
			t.Fatalf("%v payload with a byte too many: %v", phase, err)
		}
	}
	cut(PhaseJoin, f.join())
	f.enter()
	cut(PhaseDeal, f.deal())
	if err := r.forge(2, PhaseDeal, f.deal()); err != nil {
		t.Fatal(err)
	}
	r.to(PhaseComplain)
	cut(PhaseComplain, f.complaint(1).encode())
	r.skip()
	cut(PhaseConfirm, r.pending(1, PhaseConfirm))
	r.blames(2, ErrMalformed)
	if n := r.auditor.Faults()[0].Count; n < 100 {
		t.Errorf("%d malformed messages are counted", n)
	}
	for _, raw := range [][]byte{nil, {}, []byte(messageFormat), make([]byte, 1000)} {
		if err := r.append(raw); err == nil {
			t.Errorf("%d bytes count as a message", len(raw))
		}
	}
	r.blames(2, ErrMalformed)
}

func TestK13UndecryptableDealIsPubliclyOut(t *testing.T) {
	r := reshared(freshRun(t, 4))
	f := joinedBy(t, r, 2)
	if err := r.forge(2, PhaseDeal, f.garble(f.deal(), 3)); err != nil {
		t.Fatal(err)
	}
	r.finish()
	r.blames(2, ErrBadShare)
	if fmt.Sprint(r.auditor.Qualified()) != "[1 3 4]" {
		t.Errorf("qualified dealers are %v", r.auditor.Qualified())
	}
	r.result()
}

func TestK14LateMessagesDoNotCount(t *testing.T) {
	r := reshared(freshRun(t, 4))
	f := r.forger(2)
	late := r.sign(2, PhaseJoin, f.join())
	r.deliver(2)
	r.skip()
	if err := r.append(late); !errors.Is(err, ErrPhase) {
		t.Fatalf("a join after its phase: %v", err)
	}
	lateDeal := r.sign(3, PhaseDeal, r.pending(3, PhaseDeal))
	r.deliver(3)
	r.skip()
	if err := r.append(lateDeal); !errors.Is(err, ErrPhase) {
		t.Fatalf("a deal after its phase: %v", err)
	}
	r.finish()
	r.clean()
	// Two dealers are left where three are needed: all abort.
	if a := r.auditor.Abort(); a == nil || a.Phase != PhaseDeal || fmt.Sprint(a.Missing) != "[2 3]" {
		t.Errorf("abort is %v", a)
	}
}

func TestK15LeaverLearnsTheOutcomeFromTheLog(t *testing.T) {
	first := freshRun(t, 4)
	first.finish()
	before := first.result()
	r := newRun(t, reshareCeremony(first.c, before, nil, first.nodes[:3]), first.nodes)
	leaver := r.machines[3]
	r.to(PhaseConfirm)
	if _, err := leaver.Result(); !errors.Is(err, ErrPhase) {
		t.Fatalf("a result before confirmations: %v", err)
	}
	r.finish()
	r.clean()
	result, err := leaver.Result()
	if err != nil || result.Shares != nil || result.Index != 0 {
		t.Fatalf("the leaver's result is %v, %v", result, err)
	}
	if err := before.Sharings[0].Key().Verify(result.Statement(), result.Certificate); err != nil {
		t.Errorf("the leaver's certificate: %v", err)
	}
}

func TestK16OneQualifiedSetInAReshare(t *testing.T) {
	r := reshared(freshRun(t, 7))
	// Two dealers each cheat one half of the members.
	f, g := r.forger(2), r.forger(5)
	for _, x := range []*forger{f, g} {
		if err := r.forge(x.number, PhaseJoin, x.join()); err != nil {
			t.Fatal(err)
		}
	}
	r.to(PhaseDeal)
	a, b := f.deal(), g.deal()
	for _, to := range []uint8{1, 3} {
		f.cheat(a, to)
	}
	for _, to := range []uint8{4, 6, 7} {
		g.garble(b, to)
	}
	for number, payload := range map[uint8][]byte{2: a, 5: b} {
		if err := r.forge(number, PhaseDeal, payload); err != nil {
			t.Fatal(err)
		}
	}
	r.finish()
	r.check()
	if fmt.Sprint(r.auditor.Qualified()) != "[1 3 4 6 7]" || len(r.auditor.Faults()) != 2 {
		t.Fatalf("qualified %v, faults %v", r.auditor.Qualified(), r.auditor.Faults())
	}
	public := r.result()
	for k, s := range r.p.Secrets {
		for _, set := range subsets(7, s.Threshold) {
			if slices.Contains(set, 2) || slices.Contains(set, 5) {
				continue
			}
			if !recovers(t, public.Sharings[k], secretName(&s), r.nodes, set) {
				t.Errorf("secret %d: members %v do not make the key", k, set)
			}
		}
	}
}

func TestK17NoThresholdOfZero(t *testing.T) {
	for _, threshold := range []int{-1, 0, 1, 4, 300} {
		c := freshCeremony(newNodes(1, 4))
		c.Secrets[1].Threshold = threshold
		if _, err := New(c, nil, nil, nil); !errors.Is(err, ErrThreshold) {
			t.Errorf("identity threshold %d of 4: %v", threshold, err)
		}
	}
	for _, threshold := range []int{0, 2, 4} {
		c := freshCeremony(newNodes(1, 4))
		c.Secrets[0].Threshold = threshold
		if _, err := New(c, nil, nil, nil); !errors.Is(err, ErrThreshold) {
			t.Errorf("checkpoint threshold %d of 4: %v", threshold, err)
		}
	}
	// Nobody deals: the ceremony aborts, and there is no result to trip over.
	r := freshRun(t, 4)
	r.to(PhaseDeal)
	r.skip()
	r.clean()
	if _, err := r.auditor.Result(); err == nil || r.auditor.Abort() == nil {
		t.Error("a ceremony without deals has a result")
	}
}

func TestK18RostersAndReceivingKeys(t *testing.T) {
	for name, change := range map[string]func(c *Ceremony){
		"a member twice":       func(c *Ceremony) { c.Members[1] = c.Members[0] },
		"an old member twice":  func(c *Ceremony) { c.Old[1] = c.Old[0] },
		"the identity as key":  func(c *Ceremony) { c.Members[1] = append([]byte{1}, make([]byte, 31)...) },
		"a key of small order": func(c *Ceremony) { c.Members[1] = make([]byte, 32) },
		"a short key":          func(c *Ceremony) { c.Members[1] = c.Members[1][:31] },
		"nobody":               func(c *Ceremony) { c.Members = nil },
	} {
		first := freshRun(t, 4)
		first.finish()
		c := reshareCeremony(first.c, first.result(), nil, first.nodes)
		c.Members, c.Old = slices.Clone(c.Members), slices.Clone(c.Old)
		change(c)
		if _, err := New(c, nil, nil, nil); !errors.Is(err, ErrDescription) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := freshRun(t, 4)
	honest := r.pending(1, PhaseJoin)
	f := r.forger(2)
	at := len(joinFormat) + 1
	with := func(pk []byte) []byte {
		p := f.join()
		copy(p[at:], pk)
		return p
	}
	infinity := append([]byte{0xc0}, make([]byte, 47)...)
	if err := r.forge(2, PhaseJoin, with(infinity)); !errors.Is(err, ErrMalformed) {
		t.Errorf("the identity as receiving key: %v", err)
	}
	stolen := with(honest[at : at+48+64]) // another's key with its proof
	if err := r.forge(2, PhaseJoin, stolen); !errors.Is(err, ErrProof) {
		t.Errorf("another's receiving key: %v", err)
	}
	if f := r.auditor.Faults(); len(f) != 2 || f[0].Participant != 2 || f[1].Participant != 2 {
		t.Errorf("faults are %v", f)
	}
	r.check()
}

func TestK19RogueConstantTermNeedsKnowledge(t *testing.T) {
	r := freshRun(t, 4)
	// Without the commitment round and the proofs, a dealer who speaks last
	// could make the key what it likes: C_0 = X − Σ others' C_0.
	f := r.forger(2)
	f.public = r.p.commit(2, f.dealing)
	rogue := pairing.HashToG1(pairing.DSTCapsuleBase, []byte("a point with an unknown logarithm")).Bytes()
	copy(f.public.commitments, rogue[:])
	f.enter()
	if err := r.forge(2, PhaseDeal, f.deal()); !errors.Is(err, ErrProof) {
		t.Fatalf("a constant term nobody knows: %v", err)
	}
	r.finish()
	r.blames(2, ErrProof)
	if slices.Contains(r.auditor.Qualified(), 2) {
		t.Error("the dealer qualifies")
	}
}

func TestK20RushingDealerCannotChoose(t *testing.T) {
	r := freshRun(t, 4)
	f := joinedBy(t, r, 2)
	r.deliver(2) // the others' deals are open
	f.polynomials[0][0] = generateSecret(t)
	f.public = nil
	if err := r.forge(2, PhaseDeal, f.deal()); !errors.Is(err, ErrCommitment) {
		t.Fatalf("a polynomial chosen late: %v", err)
	}
	r.finish()
	r.blames(2, ErrCommitment)
}

func TestK21CorrectResendCounts(t *testing.T) {
	r := reshared(freshRun(t, 4))
	f := joinedBy(t, r, 2)
	good := f.deal()
	broken := bytes.Clone(good)
	broken[len(dealFormat)+1+32+48+40] ^= 1 // in the proof
	if err := r.forge(2, PhaseDeal, broken); !errors.Is(err, ErrProof) {
		t.Fatalf("a broken deal: %v", err)
	}
	if err := r.forge(2, PhaseDeal, good); err != nil {
		t.Fatalf("the correct deal after a broken one: %v", err)
	}
	r.finish()
	r.blames(2, ErrProof)
	if !slices.Contains(r.auditor.Qualified(), 2) {
		t.Error("the dealer does not qualify")
	}
	r.result()
}

func TestK22PolynomialsDoNotOutliveTheDeal(t *testing.T) {
	r := reshared(freshRun(t, 4))
	m := r.machines[0]
	seed := bytes.Clone(m.secrets.seed[:])
	drawn := r.p.draw(1, m.secrets.seed, m.secrets.old)
	secrets := [][]byte{seed}
	for _, row := range append(drawn.polynomials, []*pairing.Secret{drawn.ephemeral}) {
		for _, c := range row {
			b := c.Reveal()
			secrets = append(secrets, b[:])
		}
	}
	found := func() (n int) {
		state := m.Bytes()
		for _, s := range secrets {
			if bytes.Contains(state, s) {
				n++
			}
		}
		return n
	}
	if found() < 1+len(drawn.polynomials) { // the seed and the old shares
		t.Fatal("the scan does not find what must be there before the deal")
	}
	r.to(PhaseDeal)
	if err := r.append(r.sign(1, PhaseDeal, r.pending(1, PhaseDeal))); err != nil {
		t.Fatal(err)
	}
	if n := found(); n > 0 {
		t.Errorf("%d secrets of the deal are in the state after it", n)
	}
	r.finish()
	if n := found(); n > 0 {
		t.Errorf("%d secrets of the deal are in the final state", n)
	}
	r.result()
}

func TestK23HashesCoverIndices(t *testing.T) {
	r := freshRun(t, 4)
	p, g := r.p, pairing.GeneratorG1()
	if p.commitmentHash(1, nil, nil) == p.commitmentHash(2, nil, nil) {
		t.Error("two dealers' commitments hash alike")
	}
	if p.newAudience([]receiver{{1, g}}).hash == p.newAudience([]receiver{{2, g}}).hash {
		t.Error("two receivers' keys hash alike")
	}
	d := dealKey(t, 1, 4, 3, generateSecret(t))
	if a, b := d.sign(t, []byte("m"), 1)[0], d.sign(t, []byte("m"), 2)[0]; bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two members' signatures are alike")
	}
	// A share of another index is not accepted, whatever it claims.
	swapped, err := NewShare(1, 2, d.shares[0].value)
	if err != nil {
		t.Fatal(err)
	}
	if err := swapped.Check(d.sharing); !errors.Is(err, ErrShare) {
		t.Errorf("a share under another index: %v", err)
	}
}

func TestK24InputsAreNotTouchedOrKept(t *testing.T) {
	nodes := newNodes(1, 4)
	c := freshCeremony(nodes)
	before := c.Bytes()
	r := newRun(t, c, nodes)
	f := r.forger(4)
	raw := r.sign(4, PhaseJoin, f.join())
	kept := bytes.Clone(raw)
	if err := r.append(raw); err != nil || !bytes.Equal(raw, kept) {
		t.Fatalf("Step changes its input, or fails: %v", err)
	}
	clear(raw) // the caller reuses its buffer
	r.log[len(r.log)-1].raw = kept
	r.to(PhaseDeal)
	for _, m := range r.machines[:3] {
		if a, b := m.Pending(), m.Pending(); !bytes.Equal(a[0].payload, b[0].payload) || len(a) != 1 {
			t.Fatal("asking twice gives two deals")
		}
		clear(m.Pending()[0].payload)
	}
	if err := r.forge(4, PhaseDeal, f.deal()); err != nil {
		t.Fatal(err)
	}
	// Any order of the others' messages will do.
	for _, i := range []uint8{3, 1, 2} {
		if err := r.append(r.sign(i, PhaseDeal, r.pending(i, PhaseDeal))); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(c.Bytes(), before) {
		t.Error("the description changed")
	}
	r.check()
	if _, err := New(c, ed25519.PublicKey(make([]byte, 32)), nil, nil); !errors.Is(err, ErrSender) {
		t.Errorf("a stranger starts a ceremony: %v", err)
	}
}
