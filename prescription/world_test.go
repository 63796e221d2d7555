package prescription_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/contract/workflow/library"
	"github.com/ward-health/ward/fhir"
	"github.com/ward-health/ward/internal/wardtest"
	"github.com/ward-health/ward/prescription"
	"github.com/ward-health/ward/wallet"
)

// world is a consortium in which prescriptions are in force, with everybody that
// takes part in them.
type world struct {
	*wardtest.World
	t       testing.TB
	ctx     context.Context
	wallets map[identity.Name]*wallet.Wallet

	patient, physician, pharmacist *ward.Client // of the north
	other, otherPharmacist         *ward.Client // of another hospital
	green, blue                    *ward.Client // pharmacies
	courier, regulator, stranger   *ward.Client
}

func open(t testing.TB) *world {
	t.Helper()
	w := &world{World: wardtest.New(t, 4), t: t, ctx: context.Background(), wallets: make(map[identity.Name]*wallet.Wallet)}
	w.define(library.Prescription())
	author := identity.Attribute{Name: identity.Author}
	w.patient = w.join("p-1@north")
	w.physician = w.join("dr.lee@north", prescription.Attribute(prescription.Physician), author)
	w.pharmacist = w.join("li@north", prescription.Attribute(prescription.Pharmacist))
	w.other = w.join("dr.okafor@east", prescription.Attribute(prescription.Physician), author)
	w.otherPharmacist = w.join("kim@east", prescription.Attribute(prescription.Pharmacist))
	w.green = w.join("green@south", prescription.Attribute(prescription.Pharmacy), author)
	w.blue = w.join("blue@west", prescription.Attribute(prescription.Pharmacy), author)
	w.courier = w.join("rider@south", prescription.Attribute(prescription.Courier))
	w.regulator = w.join("inspector@west", identity.Attribute{Name: workflow.Regulator})
	w.stranger = w.join("who@east")
	return w
}

// define puts a definition in force.
func (w *world) define(yaml []byte) {
	w.t.Helper()
	d, err := workflow.Compile(yaml)
	if err != nil {
		w.t.Fatal(err)
	}
	members := w.Members()
	w.Must(members[0], workflow.Contract, workflow.MethodDefine, workflow.DefineArgs{YAML: yaml})
	for _, m := range members[1:w.Current().CheckpointThreshold] {
		w.Must(m, workflow.Contract, workflow.MethodEndorse, workflow.VersionArgs{Definition: d.Name, Version: d.Version, Hash: d.Hash()})
	}
}

func (w *world) join(name identity.Name, attributes ...identity.Attribute) *ward.Client {
	w.t.Helper()
	wal, err := wallet.Generate(w.Founding().Chain, name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.wallets[name] = wal
	c := w.Client(wal)
	if err := c.Register(w.ctx, w.Key(name.Org()), false, attributes...); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused fails the test unless an error is a refusal with a code, and the chain
// has it.
func (w *world) refused(err error, want chain.Code) {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Errorf("error is %v, want %s", err, want)
		return
	}
	head, err := w.patient.Checkpoint(w.ctx)
	w.must(err)
	r, _, err := w.patient.Receipt(w.ctx, head.Size-1)
	w.must(err)
	if r.Result.Code != want {
		w.t.Errorf("the chain has %q, want %q", r.Result.Code, want)
	}
}

func order() prescription.Order {
	return prescription.Order{
		Patient: "p-1@north",
		Medication: fhir.Medication{
			Drug:     fhir.Coding{System: "http://www.whocc.no/atc", Code: "J01CA04", Display: "Amoxicillin 500 mg"},
			Quantity: 20_000, Unit: "capsule", Days: 28, Schedule: fhir.Uncontrolled,
		},
	}
}

func morphine(quantity int64) prescription.Order {
	o := order()
	o.Drug = fhir.Coding{System: "http://www.whocc.no/atc", Code: "N02AA01", Display: "Morphine 10 mg"}
	o.Schedule, o.Quantity, o.Days = fhir.Narcotic, quantity, 3
	return o
}

// issue issues an order, by the physician of the north.
func (w *world) issue(o prescription.Order) workflow.ID {
	w.t.Helper()
	id, err := prescription.Issue(w.ctx, w.physician, o)
	w.must(err)
	return id
}

// reviewed takes a prescription to the pharmacist, who approves it.
func (w *world) reviewed(id workflow.ID) workflow.ID {
	w.t.Helper()
	_, err := prescription.Allow(w.ctx, w.patient, id, w.pharmacist.Name())
	w.must(err)
	w.must(prescription.Review(w.ctx, w.pharmacist, id))
	w.must(prescription.Approve(w.ctx, w.pharmacist, id))
	return id
}

// claimed takes a prescription on to a pharmacy, which claims it.
func (w *world) claimed(id workflow.ID, pharmacy *ward.Client) workflow.ID {
	w.t.Helper()
	w.must(prescription.Offer(w.ctx, w.patient, id, pharmacy.Name()))
	w.must(prescription.Claim(w.ctx, pharmacy, id))
	return id
}
