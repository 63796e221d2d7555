package dkg

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
)

var update = flag.Bool("update", false, "write testdata/vectors/ceremony again")

const vectorDir = "testdata/vectors/ceremony"

// vector is one file: fields in their order, see SPEC.md, "Test vectors".
type vector struct{ fields [][2]string }

func (v *vector) add(name, format string, args ...any) {
	v.fields = append(v.fields, [2]string{name, fmt.Sprintf(format, args...)})
}

func (v *vector) all(name string) (values []string) {
	for _, f := range v.fields {
		if f[0] == name {
			values = append(values, f[1])
		}
	}
	return values
}

func (v *vector) bytes(t testing.TB, name string) []byte {
	t.Helper()
	values := v.all(name)
	if len(values) != 1 {
		t.Fatalf("%d fields %q", len(values), name)
	}
	return unhex(t, values[0])
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (v *vector) write(t testing.TB, name string) {
	t.Helper()
	var b strings.Builder
	for _, f := range v.fields {
		fmt.Fprintf(&b, "%s: %s\n", f[0], f[1])
	}
	if err := os.MkdirAll(vectorDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(vectorDir, name), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readVector(t testing.TB, path string) *vector {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, scanner := new(vector), bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<22)
	for scanner.Scan() {
		name, value, ok := strings.Cut(scanner.Text(), ": ")
		if !ok {
			t.Fatalf("%s: no field in %q", path, scanner.Text())
		}
		v.fields = append(v.fields, [2]string{name, value})
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return v
}

func vectorFiles(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorDir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors match %s: %v", pattern, err)
	}
	return files
}

// describe puts a run's ceremony, log and outcome into a vector.
func (r *run) describe(v *vector, entries []entry) {
	v.add("ceremony", "%x", r.c.Bytes())
	v.add("id", "%x", r.p.id)
	for _, e := range entries {
		if e.raw == nil {
			v.add("tick", "%d", e.at.Position)
			continue
		}
		v.add("message", "%d %x", e.at.Position, e.raw)
	}
}

// replay feeds a vector's log to a machine and returns the last answer.
func (v *vector) replay(t testing.TB, m *Machine) (last error) {
	t.Helper()
	for _, f := range v.fields {
		var position uint64
		var raw string
		switch f[0] {
		case "tick":
			if _, err := fmt.Sscanf(f[1], "%d", &position); err != nil {
				t.Fatal(err)
			}
			last = m.Tick(Point{Position: position})
		case "message":
			if _, err := fmt.Sscanf(f[1], "%d %s", &position, &raw); err != nil {
				t.Fatal(err)
			}
			last = m.Step(Point{Position: position}, unhex(t, raw))
		}
	}
	return last
}

// wholeVector records an honest run so that another implementation can repeat
// every byte: node keys, randomness, and old shares in a reshare.
func (r *run) wholeVector(t testing.TB, old []map[string]*threshold.Share) *vector {
	v := new(vector)
	for i, n := range r.nodes {
		random := make([]byte, 112)
		if _, err := randomStream(fmt.Sprint(r.p.id, uint8(i+1), "")).Read(random); err != nil {
			t.Fatal(err)
		}
		v.add("node-seed", "%x", n.key.Seed())
		v.add("random", "%x", random)
		var shares []string
		if r.p.reshares() {
			for _, k := range r.p.holdings[i] {
				shares = append(shares, hex.EncodeToString(old[i][secretName(&r.p.Secrets[k])].Bytes()))
			}
		}
		v.add("old-shares", "%s", strings.Join(shares, " "))
	}
	r.describe(v, r.log)
	result, err := r.auditor.Result()
	if err != nil {
		t.Fatal(err)
	}
	v.add("qualified", "%x", r.auditor.Qualified())
	v.add("transcript", "%x", result.Transcript)
	v.add("statement", "%x", result.Statement())
	if !r.p.grantsOnly() {
		v.add("certificate", "%x", result.Certificate.Bytes())
	}
	for _, s := range result.Sharings {
		v.add("sharing", "%x", s.Bytes())
	}
	for _, m := range r.machines {
		own, err := m.Result()
		if err != nil {
			t.Fatal(err)
		}
		var shares []string
		for _, s := range own.Shares {
			shares = append(shares, hex.EncodeToString(s.Bytes()))
		}
		v.add("shares", "%s", strings.Join(shares, " "))
	}
	return v
}

func snapshotShares(nodes []*node) (out []map[string]*threshold.Share) {
	for _, n := range nodes {
		shares := map[string]*threshold.Share{}
		for name, s := range n.shares {
			shares[name] = s
		}
		out = append(out, shares)
	}
	return out
}

func writeHonestVectors(t *testing.T) {
	nodes := newNodes(1, 5)
	first := newRun(t, freshCeremony(nodes[:4]), nodes)
	first.finish()
	before := first.result()
	first.wholeVector(t, nil).write(t, "fresh.txt")
	old := snapshotShares(nodes)
	second := newRun(t, reshareCeremony(first.c, before, nil, nodes[1:]), nodes)
	second.finish()
	byParticipant := make([]map[string]*threshold.Share, len(second.nodes))
	for i, n := range second.nodes {
		byParticipant[i] = old[slices.Index(nodes, n)]
	}
	second.result()
	second.wholeVector(t, byParticipant).write(t, "reshare.txt")
	if _, err := os.Stat(filepath.Join(vectorDir, "grants.txt")); errors.Is(err, os.ErrNotExist) {
		writeGrantsVector(t)
	}
}

// writeGrantsVector records grants that move alone.
func writeGrantsVector(t *testing.T) {
	r, old := grantsRun(t)
	r.finish()
	r.result()
	r.wholeVector(t, old).write(t, "grants.txt")
}

// failures are runs whose last message is refused, each for its own reason.
var failures = map[string]struct {
	want error
	play func(t *testing.T) *run
}{
	"ceremony": {ErrCeremony, func(t *testing.T) *run {
		r := freshRun(t, 4)
		m := &Message{phase: PhaseJoin, sender: 1, payload: r.pending(1, PhaseJoin)}
		r.append(m.Sign(r.nodes[0].key))
		return r
	}},
	"signature": {threshold.ErrSignature, func(t *testing.T) *run {
		r := freshRun(t, 4)
		r.append(r.machines[0].Pending()[0].Sign(r.nodes[1].key))
		return r
	}},
	"sender": {ErrSender, func(t *testing.T) *run {
		r := freshRun(t, 4)
		m := &Message{ceremony: r.p.id, phase: PhaseJoin, sender: 5, payload: r.pending(1, PhaseJoin)}
		r.append(m.Sign(r.nodes[0].key))
		return r
	}},
	"phase": {ErrPhase, func(t *testing.T) *run {
		r := freshRun(t, 4)
		r.to(PhaseDeal)
		r.append(r.log[0].raw)
		return r
	}},
	"duplicate": {threshold.ErrDuplicate, func(t *testing.T) *run {
		r := freshRun(t, 4)
		raw := r.sign(1, PhaseJoin, r.pending(1, PhaseJoin))
		r.append(raw)
		r.append(raw)
		return r
	}},
	"no-deal": {ErrNoDeal, func(t *testing.T) *run {
		r := freshRun(t, 4)
		f := joinedBy(t, r, 2)
		r.to(PhaseComplain)
		c := f.complaint(1)
		c.deal[0] ^= 1
		r.forge(2, PhaseComplain, c.encode())
		return r
	}},
	"malformed": {errMalformed, func(t *testing.T) *run {
		r := freshRun(t, 4)
		r.forge(1, PhaseJoin, append(r.pending(1, PhaseJoin), 0))
		return r
	}},
	"identity": {errMalformed, func(t *testing.T) *run {
		r := freshRun(t, 4)
		p := r.pending(1, PhaseJoin)
		copy(p[len(joinFormat)+1:], append([]byte{0xc0}, make([]byte, 47)...))
		r.forge(1, PhaseJoin, p)
		return r
	}},
	"degree": {errMalformed, func(t *testing.T) *run {
		r := freshRun(t, 4)
		f := r.forger(2)
		f.otherDegree(4)
		f.enter()
		r.forge(2, PhaseDeal, f.deal())
		return r
	}},
	"proof": {errProof, func(t *testing.T) *run {
		r := freshRun(t, 4)
		p := r.pending(1, PhaseJoin)
		p[len(joinFormat)+1+48+63] ^= 1
		r.forge(1, PhaseJoin, p)
		return r
	}},
	"receivers": {errReceivers, func(t *testing.T) *run {
		r := freshRun(t, 4)
		f := joinedBy(t, r, 2)
		p := f.deal()
		p[len(dealFormat)+1] ^= 1
		r.forge(2, PhaseDeal, p)
		return r
	}},
	"commitment": {errCommitment, func(t *testing.T) *run {
		r := freshRun(t, 4)
		f := joinedBy(t, r, 2)
		f.polynomials[0][1] = pairing.NewSecret(7)
		f.public = nil
		r.forge(2, PhaseDeal, f.deal())
		return r
	}},
	"constant": {errConstant, func(t *testing.T) *run {
		r := reshared(freshRun(t, 4))
		f := r.forger(2)
		f.commits()
		g := pairing.GeneratorG1().Bytes()
		copy(f.public.commitments, g[:])
		f.enter()
		r.forge(2, PhaseDeal, f.deal())
		return r
	}},
	"bad-share": {errBadShare, func(t *testing.T) *run {
		r := freshRun(t, 4)
		f := joinedBy(t, r, 2)
		r.forge(2, PhaseDeal, f.cheat(f.deal(), 3))
		r.to(PhaseComplain)
		r.append(r.sign(3, PhaseComplain, r.pending(3, PhaseComplain)))
		return r
	}},
	"false-complaint": {errFalseComplaint, func(t *testing.T) *run {
		r := freshRun(t, 4)
		f := joinedBy(t, r, 2)
		r.forge(2, PhaseDeal, f.deal())
		r.to(PhaseComplain)
		r.forge(2, PhaseComplain, f.complaint(1).encode())
		return r
	}},
	"equivocation": {errEquivocation, func(t *testing.T) *run {
		r := freshRun(t, 4)
		r.forge(2, PhaseJoin, r.forger(2).join())
		r.append(r.sign(2, PhaseJoin, r.start(2, "other").Pending()[0].payload))
		return r
	}},
	"confirmation": {errConfirmation, func(t *testing.T) *run {
		r := freshRun(t, 4)
		r.to(PhaseConfirm)
		wrong := r.pending(2, PhaseConfirm)
		for _, i := range []uint8{1, 2, 3} {
			r.append(r.sign(i, PhaseConfirm, r.pending(i, PhaseConfirm)))
		}
		r.forge(4, PhaseConfirm, wrong)
		return r
	}},
}

func writeFailures(t *testing.T) {
	for name, f := range failures {
		r := f.play(t)
		v := new(vector)
		v.add("kind", "%v", f.want)
		r.describe(v, r.log)
		for _, fault := range r.auditor.Faults() {
			v.add("blames", "%d", fault.Participant)
			v.add("evidence", "%x", fault.Evidence)
		}
		v.write(t, "refused-"+name+".txt")
	}
}

// TestUpdateVectors writes them again. Ceremonies of grants alone draw their
// sharings at random, so that only one whose file is not there is written.
func TestUpdateVectors(t *testing.T) {
	if !*update {
		t.Skip("run with -update to write the vectors again")
	}
	writeHonestVectors(t)
	writeFailures(t)
}

// TestHonestVectors repeats the recorded ceremonies byte for byte, as each of
// the participants.
func TestHonestVectors(t *testing.T) {
	for _, name := range []string{"fresh.txt", "reshare.txt", "grants.txt"} {
		v := readVector(t, filepath.Join(vectorDir, name))
		c, err := ParseCeremony(v.bytes(t, "ceremony"))
		if err != nil {
			t.Fatal(err)
		}
		seeds, random, old, shares := v.all("node-seed"), v.all("random"), v.all("old-shares"), v.all("shares")
		for i := range seeds {
			node := nodeFromSeed(unhex(t, seeds[i]))
			var held []*threshold.Share
			for field := range strings.FieldsSeq(old[i]) {
				s, err := threshold.ParseShare(unhex(t, field))
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, s)
			}
			m, err := New(c, node.public(), held, bytes.NewReader(unhex(t, random[i])))
			if err != nil {
				t.Fatal(err)
			}
			id := m.ID()
			if !bytes.Equal(id[:], v.bytes(t, "id")) {
				t.Fatalf("%s: another id", name)
			}
			v.repeats(t, m, node)
			result, err := m.Result()
			if err != nil {
				t.Fatal(err)
			}
			var own []string
			for _, s := range result.Shares {
				own = append(own, hex.EncodeToString(s.Bytes()))
			}
			if strings.Join(own, " ") != shares[i] || !bytes.Equal(result.Transcript[:], v.bytes(t, "transcript")) ||
				!bytes.Equal(certificateOf(result), certificateIn(t, v)) || !bytes.Equal(result.Statement(), v.bytes(t, "statement")) ||
				!bytes.Equal(m.Qualified(), v.bytes(t, "qualified")) {
				t.Errorf("%s: participant %d ends with another result", name, i+1)
			}
			for k, s := range v.all("sharing") {
				if hex.EncodeToString(result.Sharings[k].Bytes()) != s {
					t.Errorf("%s: participant %d has another sharing %d", name, i+1, k)
				}
			}
		}
	}
}

// certificateOf returns nil for grants that moved alone.
func certificateOf(r *Result) []byte {
	if r.Certificate == (threshold.Signature{}) {
		return nil
	}
	return r.Certificate.Bytes()
}

func certificateIn(t *testing.T, v *vector) []byte {
	if len(v.all("certificate")) == 0 {
		return nil
	}
	return v.bytes(t, "certificate")
}

// repeats replays the log and checks that it holds exactly what m would send.
func (v *vector) repeats(t *testing.T, m *Machine, node *node) {
	t.Helper()
	for _, f := range v.fields {
		if f[0] != "message" && f[0] != "tick" {
			continue
		}
		for _, msg := range m.Pending() {
			sent := hex.EncodeToString(msg.Sign(node.key))
			if !slices.ContainsFunc(v.all("message"), func(s string) bool { return strings.HasSuffix(s, " "+sent) }) {
				t.Fatalf("participant %d sends another %v message", msg.sender, msg.phase)
			}
		}
		one := &vector{[][2]string{f}}
		if err := one.replay(t, m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusedVectors(t *testing.T) {
	files := vectorFiles(t, "refused-*.txt")
	if len(files) != len(failures) {
		t.Errorf("%d files, %d kinds of failure", len(files), len(failures))
	}
	for _, path := range files {
		v := readVector(t, path)
		c, err := ParseCeremony(v.bytes(t, "ceremony"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := New(c, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		last := v.replay(t, m)
		want := failures[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "refused-"), ".txt")].want
		if want == nil || v.all("kind")[0] != want.Error() {
			t.Fatalf("%s is of kind %q, want %v", path, v.all("kind")[0], want)
		}
		// The one message that counts and still proves a fault, on another.
		if counts := want == errBadShare; counts && last != nil || !counts && !errors.Is(last, want) {
			t.Errorf("%s: %v, want %v", path, last, want)
		}
		blames, proofs := v.all("blames"), v.all("evidence")
		faults := m.Faults()
		if len(faults) != len(blames) {
			t.Fatalf("%s: faults %v, want %v", path, faults, blames)
		}
		for i, f := range faults {
			if fmt.Sprint(f.Participant) != blames[i] || f.Kind != want || hex.EncodeToString(f.Evidence) != proofs[i] {
				t.Errorf("%s: fault %v of %d, want of %s", path, f.Kind, f.Participant, blames[i])
			}
			if got, err := VerifyEvidence(c, unhex(t, proofs[i])); err != nil || got.Participant != f.Participant {
				t.Errorf("%s: evidence: %v", path, err)
			}
		}
	}
}
