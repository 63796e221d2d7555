package workflow_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/contract/workflow/library"
	"github.com/ward-health/ward/pre"
)

// BenchmarkCompile compiles the prescription, and the definition that is dearest
// to compile of all that the limits allow. It happens once for a definition, not
// for a step.
func BenchmarkCompile(b *testing.B) {
	for name, yaml := range map[string][]byte{"prescription": library.Prescription(), "largest": largest()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := workflow.Compile(yaml); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStepBesidePut runs blocks of a hundred steps and blocks of a hundred
// plain record.put in turn, from the bytes of the entry to its block, and reports
// how many times as fast steps are. A step is one of claiming, dispensing a part
// with a pack and a counter, dispensing the rest, and delivery.
func BenchmarkStepBesidePut(b *testing.B) {
	const block = 100
	c := contracts()
	c[record.Contract] = record.New()
	w := &world{b, ledgertest.New(b, c)}
	for name, attribute := range map[identity.Name]string{
		patient: "", physician: "role=physician", pharmacist: "role=pharmacist", pharmacy: "role=pharmacy", "lab@north": "author",
	} {
		w.register(name, attribute)
	}
	w.enact([]byte(withoutDocuments()))
	key, err := pre.ParsePublicKey(w.c.Consortium.ExtractionKey)
	if err != nil {
		b.Fatal(err)
	}
	var steps, puts time.Duration
	n := 0
	apply := func(took *time.Duration, txs []*chain.Tx, sidecars [][]byte) {
		data, err := w.c.Entry(txs, sidecars).Bytes()
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		e, err := chain.ParseEntry(data)
		if err != nil {
			b.Fatal(err)
		}
		out, err := w.c.Executor.Apply(w.c.Head, &w.c.State, e)
		*took += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range out.Block.Results {
			if r.Code != "" {
				b.Fatal(r.Code)
			}
		}
		w.c.Commit(out)
	}
	writer := new(pre.Encapsulator)
	for b.Loop() {
		var ids []workflow.ID
		for range block {
			ids = append(ids, w.simple())
		}
		for _, take := range []struct {
			name string
			f    func(int) fields
		}{
			{"claim", func(int) fields { return nil }},
			{"dispense-part", func(i int) fields {
				return fields{"quantity": workflow.Int(1), "substituted": workflow.Text("no"), "packs": workflow.Text(fmt.Sprintf("pack-%d-%d", n, i))}
			}},
			{"dispense", func(int) fields { return dispensed }},
			{"deliver", func(int) fields { return nil }},
		} {
			var txs, others []*chain.Tx
			var sidecars [][]byte
			for i, id := range ids {
				txs = append(txs, w.c.Tx(string(pharmacy), workflow.Contract, workflow.MethodStep, workflow.StepArgs{
					ID: id, After: w.instance(id).Steps, Transition: take.name, Fields: take.f(i).list(),
				}))
				tx, sidecar := w.realPut(writer, key)
				others, sidecars = append(others, tx), append(sidecars, sidecar)
			}
			apply(&steps, txs, nil)
			apply(&puts, others, sidecars)
			n += block
		}
	}
	b.ReportMetric(float64(puts)/float64(steps), "steps/put")
	b.ReportMetric(float64(n)/steps.Seconds(), "steps/s")
	b.ReportMetric(float64(n)/puts.Seconds(), "puts/s")
}

// withoutDocuments is the prescription without its documents, which this world
// has none of, and with everything on the narcotics' counter.
func withoutDocuments() string {
	var out []string
	for _, line := range strings.Split(string(library.Prescription()), "\n") {
		if !strings.HasPrefix(line, "    documents: {") {
			out = append(out, line)
		}
	}
	return strings.NewReplacer("limit: 30,", "limit: 1000000,", "vars.schedule == 'narcotic' ? ", "vars.schedule != 'narcotic' ? ").Replace(strings.Join(out, "\n"))
}

// simple is a prescription that a pharmacy can claim, in a world without records.
func (w *world) simple() workflow.ID {
	id, code := w.begin(physician, "prescription", patient, "issue", fields{
		"quantity": workflow.Int(10), "repeats": workflow.Int(1), "schedule": workflow.Text("none"), "days": workflow.Int(30), "substitution": workflow.Text("allowed"),
	})
	w.want(code, "")
	w.want(w.take(pharmacist, id, "review", nil), "")
	w.want(w.take(pharmacist, id, "approve", nil), "")
	w.want(w.take(patient, id, "offer", nil), "")
	return id
}

// realPut is a record.put as a hospital sends it.
func (w *world) realPut(writer *pre.Encapsulator, key pre.PublicKey) (*chain.Tx, []byte) {
	owner, err := identity.Lookup(w.of(identity.Contract), patient)
	if err != nil {
		w.Fatal(err)
	}
	to, err := owner.Recipient(w.c.Founding.Chain, key)
	if err != nil {
		w.Fatal(err)
	}
	id, err := record.GenerateID()
	if err != nil {
		w.Fatal(err)
	}
	envelope, sealed, err := writer.Encapsulate(pre.Header{Record: string(id), Owner: to, Type: "lab/hematology", Author: "lab@north"}, []byte("title"))
	if err != nil {
		w.Fatal(err)
	}
	sidecar, err := chain.NewSidecar(sealed)
	if err != nil {
		w.Fatal(err)
	}
	args, err := chain.Marshal(record.PutArgs{ID: id, Owner: patient, Type: "lab/hematology", Envelope: envelope.Bytes()})
	if err != nil {
		w.Fatal(err)
	}
	return w.c.TxWith("lab@north", chain.TxBody{Contract: record.Contract, Method: record.MethodPut, Args: args, Sidecar: sidecar}), sealed
}
