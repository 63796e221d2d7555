package dkg

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
)

// randomStream returns bytes that depend on the seed only.
func randomStream(seed string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }

// node is a member of a consortium in a test.
type node struct {
	key    ed25519.PrivateKey
	shares map[string]*threshold.Share // the newest, by the name of the secret
}

func newNode(name string) *node {
	seed := sha256.Sum256([]byte("node " + name))
	return nodeFromSeed(seed[:])
}

func nodeFromSeed(seed []byte) *node {
	return &node{key: ed25519.NewKeyFromSeed(seed), shares: map[string]*threshold.Share{}}
}

func newNodes(from, to int) (list []*node) {
	for i := from; i <= to; i++ {
		list = append(list, newNode(fmt.Sprint(i)))
	}
	return list
}

func (n *node) public() ed25519.PublicKey { return n.key.Public().(ed25519.PublicKey) }

func roster(nodes []*node) (keys []ed25519.PublicKey) {
	for _, n := range nodes {
		keys = append(keys, n.public())
	}
	return keys
}

func secretName(s *Secret) string { return fmt.Sprint(s.Use, s.Label) }

// window is long enough for what a test does in a phase.
var window = Window{Positions: 1000}

// freshCeremony makes both keys among the nodes.
func freshCeremony(nodes []*node) *Ceremony {
	n := len(nodes)
	return &Ceremony{
		Chain: "test-chain", ID: sha256.Sum256([]byte("first ceremony")), Generation: 1,
		Join: window, Deal: window, Complain: window, Confirm: window,
		Members: roster(nodes),
		Secrets: []Secret{{Use: UseCheckpoint, Threshold: checkpointThreshold(n)}, {Use: UseIdentity, Threshold: DefaultThreshold(n)}},
	}
}

// reshareCeremony moves the secrets of a result to other nodes.
func reshareCeremony(before *Ceremony, r *Result, holders []uint8, to []*node) *Ceremony {
	c := &Ceremony{
		Chain: before.Chain, ID: sha256.Sum256(before.ID[:]), Generation: before.Generation + 1,
		Join: window, Deal: window, Complain: window, Confirm: window,
		Members: roster(to), Old: before.Members,
	}
	for k, s := range before.Secrets {
		if r.Sharings[k] == nil {
			continue
		}
		s.Old, s.Holders, s.Threshold = r.Sharings[k], holders, DefaultThreshold(len(to))
		if s.Use == UseCheckpoint {
			s.Threshold = checkpointThreshold(len(to))
		}
		c.Secrets = append(c.Secrets, s)
	}
	return c
}

// run is a ceremony in the making: participants' machines and the log.
type run struct {
	t        testing.TB
	c        *Ceremony
	p        *plan
	nodes    []*node    // by participant
	machines []*Machine // by participant; nil for those who are not there
	auditor  *Machine
	log      []entry
	at       Point
}

type entry struct {
	at  Point
	raw []byte // nil for a tick
}

// newRun starts the ceremony at all nodes except the absent ones.
func newRun(t testing.TB, c *Ceremony, nodes []*node, absent ...uint8) *run {
	t.Helper()
	p, err := newPlan(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, c: c, p: p, at: c.Opened, machines: make([]*Machine, len(p.participants))}
	for i, key := range p.participants {
		at := slices.IndexFunc(nodes, func(n *node) bool { return n.public().Equal(key) })
		r.nodes = append(r.nodes, nodes[at])
		number := uint8(i + 1)
		if slices.Contains(absent, number) || !p.hasPart(number) {
			continue
		}
		r.machines[i] = r.start(number, "")
	}
	if r.auditor, err = New(c, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// start makes a participant's machine with randomness that depends on the salt.
func (r *run) start(number uint8, salt string) *Machine {
	r.t.Helper()
	var old []*threshold.Share
	if r.p.reshares() {
		for _, k := range r.p.holdings[number-1] {
			old = append(old, r.nodes[number-1].shares[secretName(&r.p.Secrets[k])])
		}
	}
	m, err := New(r.c, r.nodes[number-1].public(), old, randomStream(fmt.Sprint(r.p.id, number, salt)))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *run) all() []*Machine { return append(slices.Clone(r.machines), r.auditor) }

// append puts a message into the log and hands it to everybody. It returns the
// answer, which is the same everywhere.
func (r *run) append(raw []byte) error {
	r.t.Helper()
	r.at.Position++
	r.log = append(r.log, entry{r.at, raw})
	err := r.auditor.Step(r.at, raw)
	for i, m := range r.machines {
		if m == nil {
			continue
		}
		if got := m.Step(r.at, raw); fmt.Sprint(got) != fmt.Sprint(err) {
			r.t.Fatalf("participant %d answers %v, the auditor %v", i+1, got, err)
		}
	}
	return err
}

// skip lets the phase's time pass.
func (r *run) skip() {
	r.at.Position += window.Positions
	r.log = append(r.log, entry{at: r.at})
	for _, m := range r.all() {
		if m != nil {
			if err := m.Tick(r.at); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// deliver submits what the participants owe, except the given ones.
func (r *run) deliver(except ...uint8) {
	r.t.Helper()
	for i, m := range r.machines {
		if m == nil || slices.Contains(except, uint8(i+1)) {
			continue
		}
		for _, msg := range m.Pending() {
			if err := r.append(msg.Sign(r.nodes[i].key)); err != nil && msg.Phase() == m.Phase() {
				r.t.Fatalf("participant %d's %v message: %v", i+1, msg.Phase(), err)
			}
		}
	}
}

// forge signs a payload as a participant and appends it.
func (r *run) forge(number uint8, phase Phase, payload []byte) error {
	r.t.Helper()
	return r.append(r.sign(number, phase, payload))
}

func (r *run) sign(number uint8, phase Phase, payload []byte) []byte {
	m := &Message{ceremony: r.p.id, phase: phase, sender: number, payload: payload}
	return m.Sign(r.nodes[number-1].key)
}

// pending returns the payload that a participant owes in a phase.
func (r *run) pending(number uint8, phase Phase) []byte {
	r.t.Helper()
	for _, m := range r.machines[number-1].Pending() {
		if m.phase == phase {
			return m.payload
		}
	}
	r.t.Fatalf("participant %d owes no %v message", number, phase)
	return nil
}

// finish plays the rest honestly: every phase delivers, then ends.
func (r *run) finish() {
	r.t.Helper()
	for r.auditor.Phase() <= PhaseConfirm {
		before := r.auditor.Phase()
		r.deliver()
		if r.auditor.Phase() == before {
			r.skip()
		}
	}
}

// to plays honestly until a phase begins.
func (r *run) to(phase Phase) {
	r.t.Helper()
	for r.auditor.Phase() < phase {
		before := r.auditor.Phase()
		r.deliver()
		if r.auditor.Phase() == before {
			r.skip()
		}
	}
	if r.auditor.Phase() != phase {
		r.t.Fatalf("ceremony is in phase %v (%v), want %v", r.auditor.Phase(), r.auditor.Abort(), phase)
	}
}

// check holds the run to what every run promises: all agree on phase, dealers,
// keys and faults, and every fault's evidence convinces a stranger.
func (r *run) check() {
	r.t.Helper()
	want := r.auditor
	for i, m := range r.machines {
		if m == nil {
			continue
		}
		if m.phase != want.phase || !slices.Equal(m.qualified, want.qualified) || m.transcript != want.transcript ||
			fmt.Sprint(m.aborted) != fmt.Sprint(want.aborted) || fmt.Sprint(m.confirmed()) != fmt.Sprint(want.confirmed()) {
			r.t.Fatalf("participant %d and the auditor disagree: %v %v %v, %v %v %v", i+1,
				m.phase, m.qualified, m.aborted, want.phase, want.qualified, want.aborted)
		}
		for k, s := range want.sharings {
			if (s == nil) != (m.sharings[k] == nil) || s != nil && !bytes.Equal(s.Bytes(), m.sharings[k].Bytes()) {
				r.t.Fatalf("participant %d has another secret %d", i+1, k)
			}
		}
		if fmt.Sprint(m.Faults()) != fmt.Sprint(want.Faults()) {
			r.t.Fatalf("participant %d blames others: %v, %v", i+1, m.Faults(), want.Faults())
		}
	}
	for _, f := range want.Faults() {
		proven, err := VerifyEvidence(r.c, f.Evidence)
		if err != nil || proven.Participant != f.Participant || proven.Kind != f.Kind || !proven.Key.Equal(r.nodes[f.Participant-1].public()) {
			r.t.Fatalf("evidence against %d for %q: %v", f.Participant, f.Kind, err)
		}
	}
}

// blames checks that exactly this participant is blamed, for exactly this.
func (r *run) blames(number uint8, want error) {
	r.t.Helper()
	r.check()
	faults := r.auditor.Faults()
	if len(faults) != 1 || faults[0].Participant != number || faults[0].Kind != want {
		r.t.Fatalf("faults are %v, want %v by %d", faults, want, number)
	}
}

// clean checks that nobody is blamed.
func (r *run) clean() {
	r.t.Helper()
	r.check()
	if f := r.auditor.Faults(); len(f) > 0 {
		r.t.Fatalf("faults %v in a clean run", f)
	}
}

// result checks a finished ceremony and gives the nodes their shares. It
// returns the result as the auditor sees it.
func (r *run) result() *Result {
	r.t.Helper()
	r.check()
	public, err := r.auditor.Result()
	if err != nil {
		r.t.Fatal(err)
	}
	if r.p.grantsOnly() {
		if public.Certificate != (threshold.Signature{}) {
			r.t.Fatal("a certificate without the checkpoint key")
		}
	} else if err := public.Sharings[0].Key().Verify(public.Statement(), public.Certificate); err != nil {
		r.t.Fatalf("certificate: %v", err)
	}
	for i, m := range r.machines {
		if m == nil {
			continue
		}
		own, err := m.Result()
		if err != nil {
			r.t.Fatal(err)
		}
		for k, share := range own.Shares {
			if share == nil {
				continue
			}
			if err := share.Check(own.Sharings[k]); err != nil {
				r.t.Fatalf("participant %d, secret %d: %v", i+1, k, err)
			}
			r.nodes[i].shares[secretName(&r.p.Secrets[k])] = share
		}
	}
	for k, s := range r.p.Secrets {
		if s.Old != nil && public.Sharings[k] != nil && public.Sharings[k].Key() != s.Old.Key() {
			r.t.Fatalf("the key of secret %d changed", k)
		}
	}
	return public
}

// recovers reports whether the nodes' newest shares of secret k interpolate to
// the key.
func recovers(t testing.TB, s *threshold.Sharing, name string, nodes []*node, members []uint8) bool {
	t.Helper()
	var x []uint8
	var values []*pairing.Secret
	for _, i := range members {
		share := nodes[i-1].shares[name]
		if share == nil || share.Index() != i {
			t.Fatalf("member %d has no share", i)
		}
		x, values = append(x, i), append(values, share.Secret())
	}
	l, err := pairing.NewLagrange(x)
	if err != nil {
		t.Fatal(err)
	}
	return l.CombineSecrets(values).MulG1(pairing.GeneratorG1()).Equal(s.Commitments()[0])
}

func TestFreshKeysAtEverySize(t *testing.T) {
	for n := 1; n <= 7; n++ {
		nodes := newNodes(1, n)
		r := newRun(t, freshCeremony(nodes), nodes)
		r.finish()
		r.clean()
		public := r.result()
		if r.auditor.Phase() != PhaseComplete {
			t.Fatalf("n = %d ends in phase %v", n, r.auditor.Phase())
		}
		for k, s := range r.p.Secrets {
			for _, set := range subsets(n, s.Threshold) {
				if !recovers(t, public.Sharings[k], secretName(&s), nodes, set) {
					t.Errorf("n = %d, secret %d: members %v do not make the key", n, k, set)
				}
			}
			for _, set := range subsets(n, s.Threshold-1) {
				if len(set) > 0 && recovers(t, public.Sharings[k], secretName(&s), nodes, set) {
					t.Errorf("n = %d, secret %d: members %v, fewer than %d, make the key", n, k, set, s.Threshold)
				}
			}
		}
	}
}

// TestBadDealerAtEverySizeAndThreshold lets a member cheat another at every
// allowed pair of size and identity threshold, in a fresh ceremony and in a
// refresh.
func TestBadDealerAtEverySizeAndThreshold(t *testing.T) {
	sizes := []int{3, 4, 5, 6, 7}
	if testing.Short() {
		sizes = []int{4, 5}
	}
	for _, n := range sizes {
		for threshold := Faults(n) + 1; threshold <= n-Faults(n); threshold++ {
			nodes := newNodes(1, n)
			c := freshCeremony(nodes)
			c.Secrets[1].Threshold = threshold
			first := newRun(t, c, nodes)
			first.finish()
			refresh := reshareCeremony(c, first.result(), nil, nodes)
			refresh.Secrets[1].Threshold = threshold
			for _, r := range []*run{newRun(t, c, nodes), newRun(t, refresh, nodes)} {
				f := joinedBy(t, r, 2)
				if err := r.forge(2, PhaseDeal, f.cheat(f.deal(), 3)); err != nil {
					t.Fatal(err)
				}
				r.finish()
				r.blames(2, errBadShare)
				if slices.Contains(r.auditor.Qualified(), 2) {
					t.Errorf("n = %d, t = %d: the dealer qualifies", n, threshold)
				}
				if r.auditor.Abort() == nil {
					r.result()
				}
			}
		}
	}
}

func TestReshareToAnotherRoster(t *testing.T) {
	nodes := newNodes(1, 4)
	first := newRun(t, freshCeremony(nodes), nodes)
	first.finish()
	before := first.result()
	everybody := newNodes(1, 7)
	copy(everybody, nodes)
	to := []*node{everybody[6], everybody[1], everybody[2], everybody[4], everybody[5]} // 1 and 4 leave
	second := newRun(t, reshareCeremony(first.c, before, nil, to), everybody)
	second.finish()
	second.clean()
	after := second.result()
	if second.auditor.Phase() != PhaseComplete {
		t.Fatalf("reshare ends in phase %v", second.auditor.Phase())
	}
	for k, s := range second.p.Secrets {
		for _, set := range subsets(5, s.Threshold) {
			if !recovers(t, after.Sharings[k], secretName(&s), to, set) {
				t.Errorf("secret %d: new members %v do not make the key", k, set)
			}
		}
	}
	if errors.Is(before.Sharings[0].Key().Verify(after.Statement(), after.Certificate), threshold.ErrSignature) {
		t.Error("the old key does not verify the new certificate")
	}
}

func generateSecret(t testing.TB) *pairing.Secret {
	t.Helper()
	s, err := pairing.GenerateSecret(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// subsets returns all subsets of {1, …, n} with size members.
func subsets(n, size int) [][]uint8 {
	var out [][]uint8
	for mask := range 1 << n {
		var s []uint8
		for i := range n {
			if mask>>i&1 == 1 {
				s = append(s, uint8(i+1))
			}
		}
		if len(s) == size {
			out = append(out, s)
		}
	}
	return out
}
