package dkg

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// The tests of this file are the ones that the reviews of the scheme ask for,
// under their names there.

func TestFalseComplaintNamesComplainer(t *testing.T) {
	r := freshRun(t, 4)
	f := joinedBy(t, r, 2)
	if err := r.forge(2, PhaseDeal, f.deal()); err != nil {
		t.Fatal(err)
	}
	r.to(PhaseComplain)
	c := f.complaint(1).encode()
	if err := r.forge(2, PhaseComplain, c); !errors.Is(err, ErrFalseComplaint) {
		t.Fatalf("a complaint about a good share: %v", err)
	}
	if err := r.forge(2, PhaseComplain, c); !errors.Is(err, ErrDuplicate) {
		t.Fatalf("the same complaint again: %v", err)
	}
	r.finish()
	r.blames(2, ErrFalseComplaint)
	if fmt.Sprint(r.auditor.Qualified()) != "[1 2 3 4]" {
		t.Errorf("qualified dealers are %v", r.auditor.Qualified())
	}
}

func TestProvenComplaintRemovesDealer(t *testing.T) {
	r := reshared(freshRun(t, 4))
	f := joinedBy(t, r, 2)
	if err := r.forge(2, PhaseDeal, f.cheat(f.cheat(f.deal(), 3), 4)); err != nil {
		t.Fatal(err)
	}
	r.to(PhaseComplain)
	first := r.machines[2].Pending()[0].Sign(r.nodes[2].key)
	if err := r.append(first); err != nil {
		t.Fatal(err)
	}
	if p := r.machines[3].Pending(); len(p) > 0 {
		t.Error("member 4 would still reveal its key with a dealer that is out already")
	}
	r.finish()
	r.blames(2, ErrBadShare)
	if fmt.Sprint(r.auditor.Qualified()) != "[1 3 4]" {
		t.Errorf("qualified dealers are %v", r.auditor.Qualified())
	}
	r.result()
}

func TestCopiedEphemeralRefused(t *testing.T) {
	// With another dealer's E, one's own receivers would reveal, complaining,
	// the keys between them and that dealer.
	r := freshRun(t, 4)
	honest := r.machines[0].committed.ephemeral
	f := r.forger(2)
	f.public = r.p.commit(2, f.dealing)
	f.public.ephemeral = honest
	f.enter()
	if err := r.forge(2, PhaseDeal, f.deal()); !errors.Is(err, ErrProof) {
		t.Fatalf("a copied ephemeral key: %v", err)
	}
	r.finish()
	r.blames(2, ErrProof)
}

func TestHonestDealerNeverOpens(t *testing.T) {
	// Whatever members complain about, no honest participant ever owes a
	// message in which it opens a share it dealt.
	r := freshRun(t, 7)
	f, g := r.forger(2), r.forger(5)
	for _, x := range []*forger{f, g} {
		if err := r.forge(x.number, PhaseJoin, x.join()); err != nil {
			t.Fatal(err)
		}
	}
	r.to(PhaseDeal)
	for _, x := range []*forger{f, g} {
		if err := r.forge(x.number, PhaseDeal, x.deal()); err != nil {
			t.Fatal(err)
		}
	}
	r.to(PhaseComplain)
	for _, x := range []*forger{f, g} {
		if err := r.forge(x.number, PhaseComplain, x.complaint(1).encode()); !errors.Is(err, ErrFalseComplaint) {
			t.Fatal(err)
		}
	}
	for i, m := range r.machines {
		if p := m.Pending(); len(p) > 0 {
			t.Errorf("participant %d owes %d messages in answer to false complaints", i+1, len(p))
		}
	}
	// The revealed keys open the complainers' own shares and no others'.
	d := r.auditor.deals[0].deal
	for at, to := range r.auditor.audience.receivers {
		_, err := r.p.open(d, &r.auditor.audience, at, f.complaint(1).key)
		if (err == nil) != (to.index == 2) {
			t.Errorf("the key of member 2 and dealer 1 opens the share of %d: %v", to.index, err)
		}
	}
}

func TestCensoredMemberCannotFrame(t *testing.T) {
	// Dealer 2 cheats member 3, whose complaint the leader withholds.
	r := freshRun(t, 4)
	f := joinedBy(t, r, 2)
	if err := r.forge(2, PhaseDeal, f.cheat(f.deal(), 3)); err != nil {
		t.Fatal(err)
	}
	r.to(PhaseComplain)
	complaint := r.sign(3, PhaseComplain, r.pending(3, PhaseComplain))
	r.skip()
	if err := r.append(complaint); !errors.Is(err, ErrPhase) {
		t.Fatalf("a late complaint: %v", err)
	}
	r.finish()
	// Nobody is blamed, member 3 confirms nothing, and the key never lives.
	r.clean()
	if a := r.auditor.Abort(); a == nil || !slices.Contains(a.Missing, 3) {
		t.Errorf("abort is %v", a)
	}
}

func TestActivationNeedsTPlusF(t *testing.T) {
	for _, n := range []int{4, 5, 7} {
		need := checkpointThreshold(n) + Faults(n)
		r := freshRun(t, n)
		r.to(PhaseConfirm)
		for i := range n {
			if r.auditor.Phase() != PhaseConfirm {
				t.Fatalf("n = %d: the key is active with %d confirmations, before %d", n, i, need)
			}
			if err := r.append(r.sign(uint8(i+1), PhaseConfirm, r.pending(uint8(i+1), PhaseConfirm))); err != nil {
				t.Fatal(err)
			}
			if i+1 == need {
				break
			}
		}
		if r.auditor.Phase() != PhaseComplete {
			t.Errorf("n = %d: %d confirmations leave phase %v", n, need, r.auditor.Phase())
		}
		r.result()
		// One confirmation less, and the ceremony names who is silent.
		r = freshRun(t, n)
		r.to(PhaseConfirm)
		for i := range need - 1 {
			if err := r.append(r.sign(uint8(i+1), PhaseConfirm, r.pending(uint8(i+1), PhaseConfirm))); err != nil {
				t.Fatal(err)
			}
		}
		r.skip()
		r.clean()
		a := r.auditor.Abort()
		if a == nil || a.Have != need-1 || a.Need != need || !slices.Contains(a.Missing, uint8(need)) {
			t.Errorf("n = %d: abort is %+v", n, a)
		}
	}
}

func TestOfflineMemberAndGarbageShareNeverActivate(t *testing.T) {
	// Four members, threshold 3: member 3 is cut off after its join, dealer 4
	// seals garbage to it. 1, 2 and 4 confirm. Were the key to live, member 4
	// could withhold it for ever.
	r := freshRun(t, 4)
	f := joinedBy(t, r, 4)
	r.deliver(3)
	if err := r.forge(4, PhaseDeal, f.garble(f.deal(), 3)); err != nil {
		t.Fatal(err)
	}
	if r.auditor.Phase() == PhaseDeal {
		r.skip()
	}
	for r.auditor.Phase() <= PhaseConfirm {
		before := r.auditor.Phase()
		if r.deliver(3); r.auditor.Phase() == before {
			r.skip()
		}
	}
	r.check()
	if r.auditor.Abort() == nil {
		t.Error("the key is active")
	}
}

func TestOldSharesKeptUntilTPlusF(t *testing.T) {
	r := reshared(freshRun(t, 7))
	r.to(PhaseConfirm)
	serve, complete := 5, 7 // t_c, t_c + f
	for i := range complete {
		want := PhaseConfirm
		if i >= serve {
			want = PhaseActive
		}
		if r.auditor.Phase() != want {
			t.Fatalf("phase %v after %d confirmations, want %v", r.auditor.Phase(), i, want)
		}
		if i == serve {
			r.skip() // late confirmations count
			r.result()
		}
		if err := r.append(r.sign(uint8(i+1), PhaseConfirm, r.pendingConfirm(uint8(i+1)))); err != nil {
			t.Fatal(err)
		}
	}
	if r.auditor.Phase() != PhaseComplete {
		t.Errorf("phase %v in the end", r.auditor.Phase())
	}
	r.clean()
}

// pendingConfirm returns a confirmation even after its phase, when the machine
// still owes it.
func (r *run) pendingConfirm(number uint8) []byte { return r.pending(number, PhaseConfirm) }

func TestReceivingKeyErased(t *testing.T) {
	r := reshared(freshRun(t, 4))
	var secrets [][]byte
	for _, m := range r.machines {
		d := m.secrets.receive.Reveal()
		secrets = append(secrets, d[:])
		if !bytes.Contains(m.Bytes(), d[:]) {
			t.Fatal("the scan does not find the receiving key where it must be")
		}
	}
	r.to(PhaseConfirm)
	for i, m := range r.machines {
		if bytes.Contains(m.Bytes(), secrets[i]) {
			t.Errorf("participant %d keeps its receiving key after the complaints", i+1)
		}
	}
	r.finish()
	r.result()
	for i, m := range r.machines {
		own := m.secrets.shares[1].Reveal()
		if m.Erase(); bytes.Contains(m.Bytes(), own[:]) {
			t.Errorf("participant %d keeps its share after Erase", i+1)
		}
	}
}

func TestAbortErasesEverything(t *testing.T) {
	r := freshRun(t, 4)
	m := r.machines[0]
	secrets := [][]byte{bytes.Clone(m.secrets.seed[:]), bytes.Clone(m.secrets.hedge[:])}
	d := m.secrets.receive.Reveal()
	secrets = append(secrets, d[:])
	r.to(PhaseConfirm)
	for _, s := range m.secrets.shares {
		b := s.Reveal()
		secrets = append(secrets, b[:])
	}
	r.skip()
	if r.auditor.Abort() == nil {
		t.Fatal("no abort")
	}
	for i, s := range secrets {
		if bytes.Contains(m.Bytes(), s) {
			t.Errorf("secret %d outlives the abort", i)
		}
	}
	if len(m.Pending()) > 0 {
		t.Error("an aborted ceremony owes messages")
	}
}

func TestOldSealedShareUnopenableAfterRefresh(t *testing.T) {
	// An attacker takes everything that every node holds after a refresh, and
	// the log. The sealed shares in it stay shut.
	r := reshared(freshRun(t, 4))
	r.finish()
	r.result()
	a := &r.auditor.audience
	for i, m := range r.machines {
		state := m.Bytes()
		for at := 0; at+pairing.ScalarSize <= len(state); at++ {
			x, err := pairing.ParseSecret(state[at : at+pairing.ScalarSize])
			if err != nil {
				continue
			}
			// Any 32 bytes that are the receiving key would have this
			// public key; a multiplication per offset would be slow, so only
			// the secret part of the state is tried.
			if at > len(m.plan.Bytes())+600 {
				break
			}
			if at < len(m.plan.Bytes()) {
				continue
			}
			if pairing.MulGenerator(x.Publish()).Equal(a.receivers[i].key) {
				t.Fatalf("participant %d's state holds its receiving key at %d", i+1, at)
			}
		}
		if m.secrets.receive != nil || m.secrets.seed != nil || m.secrets.old != nil {
			t.Errorf("participant %d keeps secrets of the ceremony", i+1)
		}
	}
}

func TestReshareDealerSetFixedByLog(t *testing.T) {
	first := freshRun(t, 4)
	first.finish()
	before := first.result()
	// By the log, member 2 holds no share: whatever it sends, it deals nothing.
	c := reshareCeremony(first.c, before, []uint8{1, 3, 4}, first.nodes)
	r := newRun(t, c, first.nodes)
	if r.p.isDealer(2) {
		t.Fatal("member 2 deals without a share")
	}
	r.to(PhaseDeal)
	if err := r.forge(2, PhaseDeal, r.pending(1, PhaseDeal)); !errors.Is(err, ErrSender) {
		t.Errorf("a deal by a member without a share: %v", err)
	}
	r.finish()
	r.clean()
	r.result()
	// Of four dealers three make the key, the same three everywhere.
	for k := range r.p.Secrets {
		if got := fmt.Sprint(r.auditor.contributors(k)); got != "[1 3 4]" {
			t.Errorf("contributors to secret %d are %v", k, got)
		}
	}
}

func TestLeaverWithoutSharesHasNoPart(t *testing.T) {
	first := freshRun(t, 4)
	first.finish()
	c := reshareCeremony(first.c, first.result(), []uint8{1, 2, 3}, first.nodes[:3]) // 4 leaves, and holds nothing
	r := newRun(t, c, first.nodes)
	if _, err := New(c, first.nodes[3].public(), nil, nil); !errors.Is(err, ErrSender) {
		t.Errorf("it starts a machine: %v", err)
	}
	if err := r.forge(4, PhaseJoin, append([]byte(joinFormat), '\n')); !errors.Is(err, ErrSender) {
		t.Errorf("it joins: %v", err)
	}
	if r.deliver(); r.auditor.Phase() != PhaseDeal {
		t.Errorf("the others wait for it in phase %v", r.auditor.Phase())
	}
	r.finish()
	r.clean()
	r.result()
}

func TestReshareIndependentPolynomialsPerGrant(t *testing.T) {
	r := reshared(freshRun(t, 4))
	r.to(PhaseDeal)
	seen := map[string]bool{}
	for i, m := range r.machines {
		d := r.p.draw(uint8(i+1), m.secrets.seed, m.secrets.old)
		for _, row := range d.polynomials {
			for _, c := range row[1:] {
				b := c.Reveal()
				if seen[string(b[:])] {
					t.Fatal("two secrets, degrees or dealers share a coefficient")
				}
				seen[string(b[:])] = true
			}
		}
	}
	// Nor do the differences of two grants' old and new shares agree.
	r.finish()
	old := make([]*pairing.Secret, 0, 4)
	for _, n := range r.nodes {
		old = append(old, n.shares["3grant-a"].value, n.shares["3grant-b"].value)
	}
	r.result()
	for i, n := range r.nodes {
		a := n.shares["3grant-a"].value.Sub(old[2*i])
		if b := n.shares["3grant-b"].value.Sub(old[2*i+1]); a.Equal(b) || a.IsZero() {
			t.Errorf("member %d's shares of two grants moved alike", i+1)
		}
	}
}

func TestPiNeverIdentity(t *testing.T) {
	// All dealers together choose polynomials whose sum vanishes at member 3.
	r := freshRun(t, 4)
	var forgers []*forger
	sum := new(pairing.Secret)
	for i := uint8(1); i <= 4; i++ {
		f := r.forger(i)
		if i == 4 {
			f.polynomials[1][0] = new(pairing.Secret).Sub(sum).Sub(pairing.EvaluateSecret(
				append([]*pairing.Secret{new(pairing.Secret)}, f.polynomials[1][1:]...), 3))
		}
		sum = sum.Add(pairing.EvaluateSecret(f.polynomials[1], 3))
		forgers = append(forgers, f)
		if err := r.forge(i, PhaseJoin, f.join()); err != nil {
			t.Fatal(err)
		}
	}
	if !sum.IsZero() {
		t.Fatal("the test's polynomials do not cancel")
	}
	for _, f := range forgers {
		if err := r.forge(f.number, PhaseDeal, f.deal()); err != nil {
			t.Fatal(err)
		}
	}
	r.finish()
	r.check()
	if a := r.auditor.Abort(); a == nil || !errors.Is(a, ErrIdentity) {
		t.Errorf("a member's public share is the identity, and abort is %v", a)
	}
}

func TestTcMinusOneCannotSign(t *testing.T) {
	msg := []byte("WARD-V1-CHECKPOINT …")
	for _, n := range []int{4, 5, 7} {
		r := freshRun(t, n)
		r.finish()
		public := r.result()
		v := public.Sharings[0]
		parts := make([]*PartialSignature, n+1)
		for i, node := range r.nodes {
			key, err := NewSigningKey(node.shares["1"], v)
			if err != nil {
				t.Fatal(err)
			}
			parts[i+1] = key.Sign(msg)
		}
		for _, set := range subsets(n, v.Threshold()-1) {
			var chosen []*PartialSignature
			for _, i := range set {
				chosen = append(chosen, parts[i])
			}
			sig, err := interpolate(chosen)
			if err != nil {
				t.Fatal(err)
			}
			if v.Key().Verify(msg, sig) == nil {
				t.Errorf("n = %d: members %v, fewer than %d, sign", n, set, v.Threshold())
			}
		}
	}
}

func TestConflictingHeadsNeedTwoQuorums(t *testing.T) {
	// Any two sets that sign share more members than are faulty, so an honest
	// one would have to sign twice.
	for n := 4; n <= 31; n++ {
		tc, f := checkpointThreshold(n), Faults(n)
		if 2*tc-n <= f {
			t.Errorf("n = %d: two quorums of %d can meet in %d members, all faulty", n, tc, 2*tc-n)
		}
		if n-f < tc {
			t.Errorf("n = %d: the honest members alone are no quorum of %d", n, tc)
		}
	}
	// And the faulty with either half of the others are no quorum.
	for n, f := range map[int]int{5: 1, 7: 2} {
		d := dealKey(t, 1, n, checkpointThreshold(n), generateSecret(t))
		for start := range 2 {
			var set []uint8
			for i := 1; i <= n; i++ {
				if i <= f || i%2 == start {
					set = append(set, uint8(i))
				}
			}
			set = set[:min(len(set), d.sharing.Threshold()-1)]
			sig, err := interpolate(d.sign(t, []byte("head"), set...))
			if err != nil {
				t.Fatal(err)
			}
			if d.sharing.Key().Verify([]byte("head"), sig) == nil {
				t.Errorf("n = %d: members %v sign a head of their own", n, set)
			}
		}
	}
}

func TestTranscriptIsNotCheckpoint(t *testing.T) {
	r := freshRun(t, 4)
	r.finish()
	public := r.result()
	if !bytes.HasPrefix(public.Statement(), []byte("WARD-V1-CEREMONY\n")) {
		t.Errorf("the statement begins with %q", public.Statement()[:20])
	}
	if err := public.Sharings[0].Key().Verify([]byte("WARD-V1-CHECKPOINT"), public.Certificate); !errors.Is(err, ErrSignature) {
		t.Errorf("a ceremony's certificate signs a checkpoint: %v", err)
	}
}

func TestWrongConfirmationIsNamed(t *testing.T) {
	r := reshared(freshRun(t, 4))
	r.to(PhaseConfirm)
	good := r.pending(2, PhaseConfirm)
	if err := r.forge(3, PhaseConfirm, good); err != nil {
		t.Fatal(err) // found wrong as soon as it matters
	}
	r.deliver(3)
	r.check()
	if f := r.auditor.Faults(); len(f) != 1 || f[0].Err != ErrConfirmation || f[0].Participant != 3 {
		t.Fatalf("faults are %v", f)
	}
	r.blames(3, ErrConfirmation)
	if fmt.Sprint(r.auditor.Confirmed()) != "[1 2 4]" {
		t.Errorf("confirmed: %v", r.auditor.Confirmed())
	}
	// The evidence is no stick to beat another member with.
	e, err := parseEvidence(r.auditor.Faults()[0].Evidence)
	if err != nil {
		t.Fatal(err)
	}
	e.accused = 2
	e.messages[len(e.messages)-1] = r.sign(2, PhaseConfirm, good)
	if _, err := VerifyEvidence(r.c, e.encode()); !errors.Is(err, ErrEvidence) {
		t.Errorf("evidence against an honest member: %v", err)
	}
}

func TestEvidenceDoesNotFrame(t *testing.T) {
	r := reshared(freshRun(t, 4))
	f := joinedBy(t, r, 2)
	if err := r.forge(2, PhaseDeal, f.cheat(f.deal(), 3)); err != nil {
		t.Fatal(err)
	}
	r.to(PhaseComplain)
	r.finish()
	r.blames(2, ErrBadShare)
	good, err := parseEvidence(r.auditor.Faults()[0].Evidence)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(e *evidence){
		"another culprit":         func(e *evidence) { e.accused = 1 },
		"the complainer":          func(e *evidence) { e.accused, e.kind = 3, 6 },
		"nobody":                  func(e *evidence) { e.accused = 0 },
		"another fault":           func(e *evidence) { e.kind = 0 },
		"another deal":            func(e *evidence) { e.messages[0] = r.auditor.deals[0].raw },
		"no complaint":            func(e *evidence) { e.messages = e.messages[:1] },
		"no messages":             func(e *evidence) { e.messages = nil },
		"fewer receivers":         func(e *evidence) { e.receivers = e.receivers[1:] },
		"another receiving key":   func(e *evidence) { e.receivers[2].key = pairing.GeneratorG1() },
		"a broken signature":      func(e *evidence) { e.messages[1][len(e.messages[1])-1] ^= 1 },
		"messages in wrong order": func(e *evidence) { slices.Reverse(e.messages) },
	} {
		e := *good
		e.receivers, e.messages = slices.Clone(good.receivers), nil
		for _, m := range good.messages {
			e.messages = append(e.messages, bytes.Clone(m))
		}
		change(&e)
		if _, err := VerifyEvidence(r.c, e.encode()); !errors.Is(err, ErrEvidence) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := freshCeremony(newNodes(1, 4))
	if _, err := VerifyEvidence(other, r.auditor.Faults()[0].Evidence); !errors.Is(err, ErrEvidence) {
		t.Errorf("another ceremony: %v", err)
	}
}
