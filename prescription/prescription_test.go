package prescription_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/fhir"
	"github.com/ward-health/ward/prescription"
)

var treatment = ward.Purpose{Code: consent.Treatment}

// TestFromIssueToDelivery, with a return, a transfer and a part.
func TestFromIssueToDelivery(t *testing.T) {
	w := open(t)
	id := w.issue(order())
	_, err := prescription.Allow(w.ctx, w.patient, id, w.pharmacist.Name())
	w.must(err)
	w.must(prescription.Review(w.ctx, w.pharmacist, id))
	w.must(prescription.Return(w.ctx, w.pharmacist, id, "dose"))
	better := order()
	better.Quantity, better.Substitution = 30_000, true
	w.must(prescription.Amend(w.ctx, w.physician, id, better))
	w.must(prescription.Review(w.ctx, w.pharmacist, id))
	var doc bytes.Buffer
	if _, err := prescription.Read(w.ctx, w.pharmacist, id, treatment, &doc); err != nil {
		t.Fatal(err)
	}
	if items, err := fhir.Medications(doc.Bytes()); err != nil || len(items) != 1 || items[0].Quantity != 30_000 {
		t.Errorf("the pharmacist reads %+v, %v", items, err)
	}
	w.must(prescription.Approve(w.ctx, w.pharmacist, id))
	w.claimed(id, w.green)
	w.must(prescription.Dispense(w.ctx, w.green, id, prescription.Fill{Quantity: 10_000, Packs: []string{"SN-1"}}))
	w.must(prescription.Transfer(w.ctx, w.patient, id, w.blue.Name()))
	w.must(prescription.Claim(w.ctx, w.blue, id))
	w.must(prescription.Dispense(w.ctx, w.blue, id, prescription.Fill{Substituted: "generic", Record: strings.NewReader("20 capsules of another maker")}))
	w.must(prescription.Send(w.ctx, w.blue, id, w.courier.Name()))
	w.must(prescription.Deliver(w.ctx, w.courier, id))

	h, err := w.patient.Provenance(w.ctx, id)
	w.must(err)
	var took []string
	for _, s := range h.Steps {
		took = append(took, s.Transition)
	}
	if want := []string{"issue", "review", "return", "amend", "review", "approve", "offer", "claim", "dispense-part", "transfer", "claim", "dispense", "send", "deliver"}; !slices.Equal(took, want) {
		t.Errorf("steps %v, want %v", took, want)
	}
	if h.Instance.State != "delivered" || len(h.Receipts) != len(h.Steps) {
		t.Errorf("%s with %d receipts of %d steps", h.Instance.State, len(h.Receipts), len(h.Steps))
	}
}

// TestOnlyTheHolderReads: the document opens to whoever holds the prescription,
// while he does.
func TestOnlyTheHolderReads(t *testing.T) {
	w := open(t)
	id := w.issue(order())
	reads := func(who *ward.Client) error {
		_, err := prescription.Read(w.ctx, who, id, treatment, io.Discard)
		return err
	}
	wants := func(who *ward.Client, want error) {
		t.Helper()
		if err := reads(who); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s reads: %v, want %v", who.Name(), err, want)
		}
	}
	_, err := prescription.Allow(w.ctx, w.patient, id, w.pharmacist.Name())
	w.must(err)
	wants(w.patient, nil)
	wants(w.pharmacist, consent.ErrHolder) // does not hold it yet
	w.must(prescription.Review(w.ctx, w.pharmacist, id))
	wants(w.pharmacist, nil)
	w.must(prescription.Approve(w.ctx, w.pharmacist, id))
	wants(w.pharmacist, consent.ErrHolder) // not any more
	w.must(prescription.Offer(w.ctx, w.patient, id, w.green.Name()))
	wants(w.green, nil)
	wants(w.blue, ward.ErrNoGrant)
	w.must(prescription.Transfer(w.ctx, w.patient, id, w.blue.Name()))
	wants(w.green, consent.ErrHolder)
	wants(w.blue, nil)
	// A grant on all medication opens none.
	_, err = w.patient.Grant(w.ctx, ward.Terms{To: w.other.Name(), Type: "medication", Purposes: []consent.Purpose{consent.Treatment}})
	w.must(err)
	wants(w.other, ward.ErrNoGrant)
	// A grant on it opens no other prescription.
	other := w.issue(order())
	id = other
	wants(w.blue, ward.ErrNoGrant)
}

// TestDoubleDispense: neither the pharmacy that dispensed nor another dispenses
// again, and no pack goes out twice.
func TestDoubleDispense(t *testing.T) {
	w := open(t)
	id := w.claimed(w.reviewed(w.issue(order())), w.green)
	w.must(prescription.Dispense(w.ctx, w.green, id, prescription.Fill{Packs: []string{"SN-1", "SN-2"}}))
	w.refused(prescription.Dispense(w.ctx, w.green, id, prescription.Fill{}), workflow.ErrState)
	w.refused(prescription.Claim(w.ctx, w.blue, id), workflow.ErrState)
	again := w.claimed(w.reviewed(w.issue(order())), w.blue)
	w.refused(prescription.Dispense(w.ctx, w.blue, again, prescription.Fill{Packs: []string{"SN-2"}}), workflow.ErrClaimed)
}

// TestForgedReview: nobody but the pharmacist who reviews approves, and nobody
// but a pharmacist of the hospital reviews.
func TestForgedReview(t *testing.T) {
	w := open(t)
	id := w.issue(order())
	approve := func(who *ward.Client) error { return prescription.Approve(w.ctx, who, id) }
	w.refused(approve(w.pharmacist), workflow.ErrState) // not taken up
	for _, who := range []*ward.Client{w.otherPharmacist, w.physician, w.green} {
		_, err := prescription.Allow(w.ctx, w.patient, id, who.Name())
		w.must(err)
		w.refused(prescription.Review(w.ctx, who, id), workflow.ErrParty)
	}
	_, err := prescription.Allow(w.ctx, w.patient, id, w.pharmacist.Name())
	w.must(err)
	w.must(prescription.Review(w.ctx, w.pharmacist, id))
	w.refused(approve(w.otherPharmacist), workflow.ErrHolder) // a pharmacist, but not the one
	for _, who := range []*ward.Client{w.physician, w.green, w.patient, w.stranger} {
		w.refused(approve(who), workflow.ErrParty)
	}
	w.must(approve(w.pharmacist))
}

// TestWrongPharmacy: what was offered to one no other claims, dispenses or gives
// back; what is open only a pharmacy claims.
func TestWrongPharmacy(t *testing.T) {
	w := open(t)
	id := w.reviewed(w.issue(order()))
	w.must(prescription.Offer(w.ctx, w.patient, id, w.green.Name()))
	w.refused(prescription.Claim(w.ctx, w.blue, id), workflow.ErrRule+"/wrong-pharmacy")
	w.must(prescription.Claim(w.ctx, w.green, id))
	w.refused(w.blue.StepFlow(w.ctx, workflow.StepArgs{ID: id, Transition: "dispense", Fields: []workflow.Field{{Name: "substituted", Value: workflow.Text("no")}}}), workflow.ErrHolder)
	w.refused(prescription.Decline(w.ctx, w.blue, id, "stock"), workflow.ErrHolder)
	open := w.reviewed(w.issue(order()))
	w.must(prescription.Offer(w.ctx, w.patient, open, ""))
	w.refused(prescription.Claim(w.ctx, w.stranger, open), workflow.ErrParty)
	w.must(prescription.Claim(w.ctx, w.blue, open))
	w.refused(prescription.Claim(w.ctx, w.green, open), workflow.ErrState)
}

// TestExpired: after its days nobody claims or dispenses.
func TestExpired(t *testing.T) {
	w := open(t)
	id := w.claimed(w.reviewed(w.issue(order())), w.green)
	w.Advance(29 * 24 * time.Hour)
	w.refused(prescription.Dispense(w.ctx, w.green, id, prescription.Fill{}), workflow.ErrExpired)
	reads := func(want error) {
		t.Helper()
		if _, err := prescription.Read(w.ctx, w.green, id, treatment, io.Discard); !errors.Is(err, want) {
			t.Errorf("the pharmacy reads an expired prescription: %v, want %v", err, want)
		}
	}
	reads(consent.ErrExpired) // its grant ended with it
	// A grant that lasts longer opens nothing: nobody holds what has expired.
	_, err := w.patient.Grant(w.ctx, ward.Terms{To: w.green.Name(), Type: prescription.Type(id), WhileHeld: string(id), Purposes: []consent.Purpose{consent.Treatment}})
	w.must(err)
	reads(consent.ErrHolder)
	w.must(w.stranger.TickFlow(w.ctx, id)) // anybody says that time has passed
	i, err := w.patient.Flow(w.ctx, id)
	w.must(err)
	if i.State != "expired" || i.Holder != "" {
		t.Errorf("%s, held by %q", i.State, i.Holder)
	}
	if _, err := w.patient.Provenance(w.ctx, id); err != nil {
		t.Error(err)
	}
}

// TestReplayed: a step that was taken is not taken again, by the same transaction
// or by a copy of it.
func TestReplayed(t *testing.T) {
	w := open(t)
	o := order()
	o.Repeats = 3
	id := w.claimed(w.reviewed(w.issue(o)), w.green)
	args := workflow.StepArgs{ID: id, After: 5, Transition: "dispense", Fields: []workflow.Field{{Name: "substituted", Value: workflow.Text("no")}}}
	w.must(w.green.StepFlow(w.ctx, args))
	w.must(prescription.Receive(w.ctx, w.patient, id))
	w.must(prescription.Repeat(w.ctx, w.patient, id))
	w.claimed(id, w.green)
	// It is claimed again: the old words, signed once more, do not dispense it.
	w.refused(w.green.StepFlow(w.ctx, args), workflow.ErrStale)
}

// TestOverTheLimit: of a narcotic, two hospitals together prescribe no more to a
// patient in seven days than one could.
func TestOverTheLimit(t *testing.T) {
	w := open(t)
	first := w.claimed(w.reviewed(w.issue(morphine(20_000))), w.green)
	second, err := prescription.Issue(w.ctx, w.other, morphine(20_000))
	w.must(err)
	_, err = prescription.Allow(w.ctx, w.patient, second, w.otherPharmacist.Name())
	w.must(err)
	w.must(prescription.Review(w.ctx, w.otherPharmacist, second))
	w.must(prescription.Approve(w.ctx, w.otherPharmacist, second))
	w.claimed(second, w.blue)

	w.must(prescription.Dispense(w.ctx, w.green, first, prescription.Fill{}))
	w.refused(prescription.Dispense(w.ctx, w.blue, second, prescription.Fill{}), workflow.ErrLimit)
	w.must(prescription.Dispense(w.ctx, w.blue, second, prescription.Fill{Quantity: 10_000}))
	tally, err := w.regulator.FlowCounter(w.ctx, prescription.Definition, "controlled", "p-1@north", "")
	w.must(err)
	if tally.Sum != 30_000 {
		t.Errorf("the counter has %d", tally.Sum)
	}
	// What was taken back does not count.
	w.must(prescription.Cancel(w.ctx, w.green, first, "patient"))
	w.must(prescription.Dispense(w.ctx, w.blue, second, prescription.Fill{}))
	// But what was handed out in part does, and the rest with it.
	w.must(prescription.Cancel(w.ctx, w.blue, second, "patient"))
	if tally, err = w.regulator.FlowCounter(w.ctx, prescription.Definition, "controlled", "p-1@north", ""); err != nil || tally.Sum != 20_000 {
		t.Errorf("the counter has %d, %v", tally.Sum, err)
	}
}

// TestRules: what the definition says of who and what, beyond the parties.
func TestRules(t *testing.T) {
	w := open(t)
	o := morphine(1_000)
	o.Days = 4
	_, err := prescription.Issue(w.ctx, w.physician, o)
	w.refused(err, workflow.ErrRule+"/narcotic-validity")
	o = order()
	o.Patient = w.physician.Name()
	_, err = prescription.Issue(w.ctx, w.physician, o)
	w.refused(err, workflow.ErrRule+"/self-prescribed")
	id := w.claimed(w.reviewed(w.issue(order())), w.green)
	w.refused(prescription.Dispense(w.ctx, w.green, id, prescription.Fill{Quantity: 21_000}), workflow.ErrRule+"/too-much")
	w.refused(prescription.Dispense(w.ctx, w.green, id, prescription.Fill{Substituted: "generic"}), workflow.ErrRule+"/substitution")
	_, err = prescription.Issue(w.ctx, w.pharmacist, order())
	if err == nil {
		t.Error("a pharmacist prescribes")
	}
}

func TestOrders(t *testing.T) {
	if _, err := prescription.Orders("p-1@north", []byte(`{"resourceType":"Bundle"}`)); err == nil {
		t.Error("an empty bundle is a prescription")
	}
	if _, err := prescription.Orders("p-1@north", []byte(`{"resourceType":"MedicationRequest","medicationCodeableConcept":{"text":"tea"}}`)); err == nil {
		t.Error("a prescription without a quantity is one")
	}
	doc := []byte(`{"resourceType":"MedicationRequest","medicationCodeableConcept":{"text":"tea"},"dispenseRequest":{"quantity":{"value":2}}}`)
	all, err := prescription.Orders("p-1@north", doc)
	if err != nil || len(all) != 1 || all[0].Quantity != 2000 || !bytes.Equal(all[0].Document, doc) {
		t.Errorf("%+v, %v", all, err)
	}
}
