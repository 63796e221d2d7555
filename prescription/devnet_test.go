package prescription_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/contract/workflow/library"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/prescription"
	"github.com/ward-health/ward/wallet"
)

// races is how many prescriptions two pharmacies race for.
var races = flag.Int("races", 40, "how many prescriptions two pharmacies race for")

// town is four real nodes with people in them.
type town struct {
	*devnet.Devnet
	tb  testing.TB
	ctx context.Context
	dir string

	physician, pharmacist, green, blue *ward.Client
}

func build(tb testing.TB) *town {
	tb.Helper()
	dir := tb.TempDir()
	// Blobs are mended when the test says so, not before.
	net, err := devnet.New(tb.Context(), devnet.Options{Dir: dir, Node: func(c *node.Config) { c.ScrubEvery = -1 }})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := net.Close(); err != nil {
			tb.Error(err)
		}
	})
	t := &town{Devnet: net, tb: tb, ctx: tb.Context(), dir: dir}
	author := identity.Attribute{Name: identity.Author}
	t.physician = t.enrol("dr.lee@north", prescription.Attribute(prescription.Physician), author)
	t.pharmacist = t.enrol("li@north", prescription.Attribute(prescription.Pharmacist))
	t.green = t.enrol("green@south", prescription.Attribute(prescription.Pharmacy), author)
	t.blue = t.enrol("blue@west", prescription.Attribute(prescription.Pharmacy), author)
	text := library.Prescription()
	d, err := workflow.Compile(text)
	t.must(err)
	for i := range net.Consortium().CheckpointThreshold {
		key, err := net.Key(i)
		t.must(err)
		if i == 0 {
			t.must(t.physician.DefineFlow(t.ctx, key, text))
			continue
		}
		t.must(t.physician.EndorseFlow(t.ctx, key, workflow.VersionArgs{Definition: d.Name, Version: d.Version, Hash: d.Hash()}))
	}
	return t
}

func (t *town) must(err error) {
	t.tb.Helper()
	if err != nil {
		t.tb.Fatal(err)
	}
}

// enrol registers a name and returns a client of its own hospital's node.
func (t *town) enrol(name identity.Name, attributes ...identity.Attribute) *ward.Client {
	t.tb.Helper()
	w, err := wallet.Generate(t.Consortium().Chain, name)
	t.must(err)
	for i := range t.Len() {
		if t.Name(i) != name.Org() {
			continue
		}
		c, err := ward.New(ward.Options{Consortium: t.Consortium(), Wallet: w, Nodes: t.Nodes(i)})
		t.must(err)
		key, err := t.Key(i)
		t.must(err)
		t.must(c.Register(t.ctx, key, false, attributes...))
		return c
	}
	t.tb.Fatalf("no member %q", name.Org())
	return nil
}

// approved issues a prescription for a patient and has it reviewed.
func (t *town) approved(patient *ward.Client) (workflow.ID, error) {
	o := order()
	o.Patient = patient.Name()
	id, err := prescription.Issue(t.ctx, t.physician, o)
	if err != nil {
		return "", err
	}
	if _, err := prescription.Allow(t.ctx, patient, id, t.pharmacist.Name()); err != nil {
		return "", err
	}
	if err := prescription.Review(t.ctx, t.pharmacist, id); err != nil {
		return "", err
	}
	return id, prescription.Approve(t.ctx, t.pharmacist, id)
}

// workers is how many prescriptions are under way at a time.
const workers = 8

// TestRacingPharmaciesDispenseOnce: of two pharmacies that claim and dispense
// the same prescription at once, through different members' nodes, exactly one
// does. Every prescription goes all the way, and its history has one dispensing.
func TestRacingPharmaciesDispenseOnce(tt *testing.T) {
	t := build(tt)
	n := *races
	if testing.Short() {
		n = min(n, 12)
	}
	begin := time.Now()
	var mu sync.Mutex
	wins := map[identity.Name]int{}
	codes := map[chain.Code]int{}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var patient *ward.Client
			for k := w; k < n; k += workers {
				if k/workers%50 == 0 { // a patient has so many live grants at most
					patient = t.enrol(identity.Name(fmt.Sprintf("p-%d@north", k)))
				}
				winner, lost, err := t.race(patient)
				mu.Lock()
				if err != nil {
					tt.Error(err)
				}
				wins[winner]++
				if done := wins[t.green.Name()] + wins[t.blue.Name()]; done%100 == 0 {
					tt.Logf("%d in %v", done, time.Since(begin).Round(time.Second))
				}
				for _, c := range lost {
					codes[c]++
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	tt.Logf("%d prescriptions in %v; dispensed by %v; refused: %v", n, time.Since(begin).Round(time.Millisecond), wins, codes)
}

// race has both pharmacies try to claim and to dispense one prescription, and
// the one that did hand it over. It returns the refusals of the other.
func (t *town) race(patient *ward.Client) (winner identity.Name, lost []chain.Code, err error) {
	id, err := t.approved(patient)
	if err != nil {
		return "", nil, err
	}
	if err := prescription.Offer(t.ctx, patient, id, ""); err != nil {
		return "", nil, err
	}
	var mu sync.Mutex
	var dispensed []*ward.Client
	refuse := func(err error) {
		if code := chain.Code(""); errors.As(err, &code) {
			lost = append(lost, code)
		}
	}
	var wg sync.WaitGroup
	for _, pharmacy := range []*ward.Client{t.green, t.blue} {
		wg.Go(func() {
			claimed := prescription.Claim(t.ctx, pharmacy, id)
			// Whether it has claimed it or not.
			done := pharmacy.StepFlow(t.ctx, workflow.StepArgs{ID: id, Transition: "dispense", Fields: []workflow.Field{{Name: "substituted", Value: workflow.Text("no")}}})
			mu.Lock()
			defer mu.Unlock()
			refuse(claimed)
			refuse(done)
			if done == nil {
				dispensed = append(dispensed, pharmacy)
			}
		})
	}
	wg.Wait()
	if len(dispensed) != 1 {
		return "", lost, fmt.Errorf("%s was dispensed by %d pharmacies: %v", id, len(dispensed), lost)
	}
	winner = dispensed[0].Name()
	if err := prescription.Deliver(t.ctx, dispensed[0], id); err != nil {
		return winner, lost, err
	}
	h, err := patient.Provenance(t.ctx, id)
	if err != nil {
		return winner, lost, err
	}
	times := 0
	for _, s := range h.Steps {
		if s.Transition == "dispense" && s.By == winner {
			times++
		}
	}
	if times != 1 || len(h.Steps) != 7 || h.Instance.State != "delivered" {
		return winner, lost, fmt.Errorf("%s: %d dispensings in %d steps, %s", id, times, len(h.Steps), h.Instance.State)
	}
	return winner, lost, nil
}

// TestAlteredCopyIsDetectedAndRepaired: whoever alters a member's copy of a
// prescription changes nothing that anybody reads, and the member mends it.
func TestAlteredCopyIsDetectedAndRepaired(tt *testing.T) {
	t := build(tt)
	patient := t.enrol("p-1@north")
	o := order()
	o.Patient = patient.Name()
	o.Document = append([]byte(`{"resourceType":"MedicationRequest","note":"`), append(bytes.Repeat([]byte("x"), 4096), `"}`...)...)
	id, err := prescription.Issue(t.ctx, t.physician, o)
	t.must(err)
	read := func() {
		t.tb.Helper()
		var b bytes.Buffer
		_, err := prescription.Read(t.ctx, patient, id, ward.Purpose{}, &b)
		if err != nil || !bytes.Equal(b.Bytes(), o.Document) {
			t.tb.Errorf("the patient reads %d bytes, %v", b.Len(), err)
		}
	}
	read()
	altered := 0
	for i := range t.Len() {
		for _, path := range t.blobs(i) {
			whole, err := os.ReadFile(path)
			t.must(err)
			for _, at := range []int{0, len(whole) / 2, len(whole) - 1} {
				flipped := bytes.Clone(whole)
				flipped[at] ^= 1
				t.must(os.WriteFile(path, flipped, 0o600))
				read() // from a copy that is whole
				report, err := t.Node(i).Scrub(t.ctx)
				t.must(err)
				if len(report.Findings) != 1 || report.Unrepaired() != 0 {
					tt.Errorf("%s: %+v", t.Name(i), report)
				}
				if mended, err := os.ReadFile(path); err != nil || !bytes.Equal(mended, whole) {
					tt.Errorf("%s: the copy is not mended: %v", t.Name(i), err)
				}
			}
			altered++
		}
	}
	if altered < 2 {
		tt.Fatalf("found %d copies", altered)
	}
	// Altered everywhere, it is damaged, and nobody reads it as if it were whole.
	for i := range t.Len() {
		for _, path := range t.blobs(i) {
			b, err := os.ReadFile(path)
			t.must(err)
			b[len(b)/2] ^= 1
			t.must(os.WriteFile(path, b, 0o600))
		}
	}
	if _, err := prescription.Read(t.ctx, patient, id, ward.Purpose{}, io.Discard); !errors.Is(err, ward.ErrIntegrity) && !errors.Is(err, ward.ErrNotFound) {
		tt.Errorf("an altered prescription is read: %v", err)
	}
}

// blobs returns the files of a member's payloads.
func (t *town) blobs(i int) (paths []string) {
	t.tb.Helper()
	root := filepath.Join(t.dir, t.Name(i))
	t.must(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, "blobs") {
			if info, err := d.Info(); err == nil && info.Size() > 4096 {
				paths = append(paths, path)
			}
		}
		return err
	}))
	return paths
}

// BenchmarkSteps takes steps of prescriptions and puts records without payload in
// turn, each from eight clients at once, and gives their ratio.
func BenchmarkSteps(b *testing.B) {
	t := build(b)
	var patients []*ward.Client
	var ids []workflow.ID
	for w := range workers {
		patients = append(patients, t.enrol(identity.Name(fmt.Sprintf("p-%d@north", w))))
		id, err := t.approved(patients[w])
		t.must(err)
		ids = append(ids, id)
	}
	const each = 6
	took := map[string]time.Duration{}
	all := func(kind string, do func(w, k int) error) {
		begin := time.Now()
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for k := range each {
					if err := do(w, k); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		took[kind] += time.Since(begin)
	}
	after := make([]uint32, workers)
	for w := range after {
		after[w] = 3
	}
	b.ResetTimer()
	for b.Loop() {
		all("records", func(w, _ int) error {
			_, err := t.physician.Put(t.ctx, ward.Record{Owner: patients[w].Name(), Type: "clinical/note"}, nil)
			return err
		})
		all("steps", func(w, k int) error {
			args := workflow.StepArgs{ID: ids[w], After: after[w]}
			after[w]++
			switch k % 3 {
			case 0:
				args.Transition = "offer"
				return patients[w].StepFlow(t.ctx, args)
			case 1:
				args.Transition = "claim"
			case 2:
				args.Transition, args.Fields = "decline", []workflow.Field{{Name: "reason", Value: workflow.Text("stock")}}
			}
			return t.green.StepFlow(t.ctx, args)
		})
		all("looked up", func(w, k int) error {
			defer func() { after[w]++ }()
			switch k % 3 {
			case 0:
				return prescription.Offer(t.ctx, patients[w], ids[w], "")
			case 1:
				return prescription.Claim(t.ctx, t.green, ids[w])
			}
			return prescription.Decline(t.ctx, t.green, ids[w], "stock")
		})
	}
	n := float64(b.N * workers * each)
	rate := func(kind string) float64 { return n / took[kind].Seconds() }
	b.ReportMetric(rate("records"), "records/s")
	b.ReportMetric(rate("steps"), "steps/s")
	b.ReportMetric(rate("steps")/rate("records"), "ratio")
	b.ReportMetric(rate("looked up")/rate("records"), "ratio-looked-up")
}
