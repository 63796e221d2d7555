// Package prescription takes electronic prescriptions through their workflow:
// issue, review, circulation, dispensing, delivery, and their supervision. It is
// what the software of a hospital, of a pharmacy and of a patient needs besides
// package ward; the rules are those of the definition in
// contract/workflow/library, which every member enforces.
//
// What is prescribed is an encrypted record of the patient's, of a type of its
// own: Type. A grant on exactly that type, for as long as its recipient holds the
// prescription, opens it to the reviewing pharmacist and to the pharmacy in turn,
// and to nobody else: its type is sealed, so that grants on all medication or on
// everything do not reach it. An emergency does, and leaves its trace. The chain shows how much of it there is, on which schedule
// it is controlled, how often and until when; see SECURITY.md.
//
// Refusals are recorded on the chain and have codes of their own: an error
// matches workflow.ErrClaimed, ErrLimit, ErrExpired, ErrStale and so on.
package prescription

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/fhir"
	"github.com/ward-health/ward/pre"
)

// Definition is the name of the workflow.
const Definition = "prescription"

// Roles, as attributes: what an organisation attests of those who take part.
// Whoever writes for patients has the attribute author besides.
const (
	Role       = "role"
	Physician  = "physician"
	Pharmacist = "pharmacist" // reviews
	Pharmacy   = "pharmacy"   // dispenses
	Courier    = "courier"
)

// Attribute returns a role as an organisation attests it.
func Attribute(role string) identity.Attribute { return identity.Attribute{Name: Role, Value: role} }

const (
	document   = "prescription" // place of the record in the workflow
	dispensing = "dispensing"

	recordType   pre.Type = "medication/sealed:prescription"
	dispenseType pre.Type = "medication/dispense"
)

// Days of validity if neither the order nor its document says.
const (
	usualDays    = 30
	narcoticDays = 3
)

// Type returns the type of the record of a prescription: no other record has it.
func Type(id workflow.ID) pre.Type { return recordType + "/" + pre.Type(id) }

// An Order is what a physician prescribes: one medication.
type Order struct {
	Patient identity.Name
	fhir.Medication
	// Document is the prescription as it is kept; nil for one that is made of the
	// medication. It is passed on byte by byte.
	Document []byte
	Title    string // sealed; "" for the name of the drug
}

// Orders returns one order for each item of a FHIR document, JSON or XML, of
// whatever country. The error says which item has nothing that can be counted.
func Orders(patient identity.Name, doc []byte) ([]Order, error) {
	items, err := fhir.Medications(doc)
	if err != nil {
		return nil, err
	}
	var out []Order
	for i, m := range items {
		if m.Quantity == 0 {
			return nil, fmt.Errorf("item %d of the prescription says no quantity", i+1)
		}
		out = append(out, Order{Patient: patient, Medication: m, Document: doc})
	}
	if len(out) == 0 {
		return nil, errors.New("document prescribes nothing")
	}
	return out, nil
}

// Issue writes the prescription for the patient and starts its workflow. The
// caller is a physician. If the error matches ward.ErrUnknown the id is returned
// with it: the prescription may have been issued.
func Issue(ctx context.Context, physician *ward.Client, o Order) (workflow.ID, error) {
	id, err := workflow.GenerateID()
	if err != nil {
		return "", err
	}
	if o.Days == 0 {
		if o.Days = usualDays; o.Schedule == fhir.Narcotic {
			o.Days = narcoticDays
		}
	}
	version, err := physician.FlowDefinition(ctx, Definition, 0)
	if err != nil {
		return "", fmt.Errorf("issue prescription: %w", err)
	}
	record, err := write(ctx, physician, id, o)
	if err != nil {
		return "", fmt.Errorf("issue prescription: %w", err)
	}
	fields := []workflow.Field{
		number("quantity", o.Quantity), number("repeats", int64(o.Repeats)), number("days", int64(o.Days)),
		code("schedule", string(o.Schedule)), code("substitution", substitution(o.Substitution)),
	}
	if o.Interval > 0 {
		fields = append(fields, number("interval", int64(o.Interval)))
	}
	err = physician.StartFlow(ctx, workflow.StartArgs{
		ID: id, Definition: Definition, Version: version.Version, Owner: o.Patient, Transition: "issue",
		Fields: fields, Documents: []workflow.Document{{Name: document, Record: record}},
	})
	if err != nil {
		if !errors.Is(err, ward.ErrUnknown) {
			id = ""
		}
		return id, fmt.Errorf("issue prescription: %w", err)
	}
	return id, nil
}

// write puts the record of a prescription.
func write(ctx context.Context, physician *ward.Client, id workflow.ID, o Order) (recordID, error) {
	doc := o.Document
	if doc == nil {
		p := fhir.Prescription{
			Medication: o.Medication, ID: string(id), Patient: string(o.Patient), Prescriber: string(physician.Name()), Authored: time.Now(),
		}
		var err error
		if doc, err = p.Bundle(); err != nil {
			return "", err
		}
	}
	title := o.Title
	if title == "" {
		title = o.Drug.Display
	}
	media := fhir.MediaType(doc)
	return physician.Put(ctx, ward.Record{
		Owner: o.Patient, Type: Type(id), Title: title, MediaType: media, Filename: "prescription." + media[len("application/fhir+"):],
	}, bytes.NewReader(doc))
}

// Amend replaces a prescription that was returned by one that is better. The
// caller is the physician who issued it. Only what is prescribed, its quantity and
// whether it may be substituted can change.
func Amend(ctx context.Context, physician *ward.Client, id workflow.ID, o Order) error {
	record, err := write(ctx, physician, id, o)
	if err != nil {
		return fmt.Errorf("amend prescription: %w", err)
	}
	return step(ctx, physician, id, "amend", []workflow.Document{{Name: document, Record: record}},
		number("quantity", o.Quantity), code("substitution", substitution(o.Substitution)))
}

// Allow lets somebody read the prescription for as long as he holds it, and until
// it expires: the pharmacist who is to review it. The caller is the patient, or
// acts for her.
func Allow(ctx context.Context, patient *ward.Client, id workflow.ID, to identity.Name) (consent.GrantID, error) {
	i, err := patient.Flow(ctx, id)
	if err != nil {
		return "", fmt.Errorf("let %s read a prescription: %w", to, err)
	}
	terms := ward.Terms{To: to, Type: Type(id), WhileHeld: string(id), Purposes: []consent.Purpose{consent.Treatment}}
	if v, ok := workflow.Get(i.Variables, "expires"); ok && len(v.Ints) == 1 && v.Ints[0] != 0 {
		terms.NotAfter = time.UnixMilli(v.Ints[0])
	}
	grant, err := patient.Grant(ctx, terms)
	if err != nil {
		return "", fmt.Errorf("let %s read prescription %s: %w", to, id, err)
	}
	return grant, nil
}

func substitution(allowed bool) string {
	if allowed {
		return "allowed"
	}
	return "not-allowed"
}

func number(name string, n int64) workflow.Field {
	return workflow.Field{Name: name, Value: workflow.Int(n)}
}

func code(name, value string) workflow.Field {
	return workflow.Field{Name: name, Value: workflow.Text(value)}
}
