package prescription

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
)

type recordID = record.ID

// step takes a transition of an instance as it stands now.
func step(ctx context.Context, c *ward.Client, id workflow.ID, transition string, documents []workflow.Document, fields ...workflow.Field) error {
	return c.StepFlow(ctx, workflow.StepArgs{ID: id, Transition: transition, Fields: fields, Documents: documents})
}

// Review takes up a prescription for review: the caller, a pharmacist of the
// hospital that issued it, holds it and may read it from then on. The patient has
// let her, with Allow.
func Review(ctx context.Context, pharmacist *ward.Client, id workflow.ID) error {
	i, err := pharmacist.Flow(ctx, id)
	if err != nil {
		return fmt.Errorf("review prescription: %w", err)
	}
	grant, err := granted(ctx, pharmacist, i)
	if err != nil {
		return fmt.Errorf("review prescription %s: %w", id, err)
	}
	return step(ctx, pharmacist, id, "review", []workflow.Document{{Name: document, Grant: grant}})
}

// granted returns the newest grant to the caller that is for as long as he holds
// an instance. Whether it is still good is for the chain to say.
func granted(ctx context.Context, c *ward.Client, i *workflow.Instance) (consent.GrantID, error) {
	var found consent.GrantID
	for g, err := range c.GrantsFor(ctx, i.Owner, c.Name()) {
		if err != nil {
			return "", err
		}
		if g.Grant.Conditions.Instance == string(i.ID) && g.Grant.Ended == 0 {
			found = g.Grant.ID
		}
	}
	if found == "" {
		return "", ward.ErrNoGrant
	}
	return found, nil
}

// Approve ends a review: the patient may choose a pharmacy.
func Approve(ctx context.Context, pharmacist *ward.Client, id workflow.ID) error {
	return step(ctx, pharmacist, id, "approve", nil)
}

// Return ends a review: the physician is to amend the prescription. The reason is
// one of the codes of the definition.
func Return(ctx context.Context, pharmacist *ward.Client, id workflow.ID, reason string) error {
	return step(ctx, pharmacist, id, "return", nil, code("reason", reason))
}

// Reject ends a review, and the prescription.
func Reject(ctx context.Context, pharmacist *ward.Client, id workflow.ID, reason string) error {
	return step(ctx, pharmacist, id, "reject", nil, code("reason", reason))
}

// Offer gives the prescription to a pharmacy, which may read it from when it is
// offered until it goes elsewhere. With an empty name it is open: any pharmacy may
// claim it, and reads it when the patient has let it, with Allow. The caller is the
// patient, or acts for her.
func Offer(ctx context.Context, patient *ward.Client, id workflow.ID, pharmacy identity.Name) error {
	return offer(ctx, patient, id, pharmacy, "offer")
}

// Transfer takes the prescription from the pharmacy that has it, dispensed in part
// or not, and gives it to another.
func Transfer(ctx context.Context, patient *ward.Client, id workflow.ID, pharmacy identity.Name) error {
	return offer(ctx, patient, id, pharmacy, "transfer")
}

func offer(ctx context.Context, patient *ward.Client, id workflow.ID, pharmacy identity.Name, transition string) error {
	if pharmacy == "" {
		return step(ctx, patient, id, transition, nil)
	}
	grant, err := Allow(ctx, patient, id, pharmacy)
	if err != nil {
		return err
	}
	err = step(ctx, patient, id, transition, []workflow.Document{{Name: document, Grant: grant}},
		workflow.Field{Name: "pharmacy", Value: workflow.Text(string(pharmacy))})
	if err != nil && !errors.Is(err, ward.ErrUnknown) {
		// The grant is worth nothing without the step; it is not left standing.
		err = errors.Join(err, patient.Revoke(ctx, grant, ward.RevokeOptions{}))
	}
	return err
}

// Claim takes an offered prescription: from then on no other pharmacy can.
func Claim(ctx context.Context, pharmacy *ward.Client, id workflow.ID) error {
	return step(ctx, pharmacy, id, "claim", nil)
}

// Decline gives a prescription back to the patient, who chooses another pharmacy.
func Decline(ctx context.Context, pharmacy *ward.Client, id workflow.ID, reason string) error {
	return step(ctx, pharmacy, id, "decline", nil, code("reason", reason))
}

// A Fill is what a pharmacy hands out.
type Fill struct {
	Quantity    int64    // in thousandths; 0 for all that is left
	Substituted string   // why another product, a code of the definition; "" if it is not
	Packs       []string // serial numbers, each of which is dispensed once in the consortium
	// Record describes what was dispensed, sealed; nil for none. The pharmacy has
	// the attribute author.
	Record    io.Reader
	MediaType string
}

// Dispense hands out what is prescribed, or a part of it. The caller is the
// pharmacy that has claimed it.
func Dispense(ctx context.Context, pharmacy *ward.Client, id workflow.ID, f Fill) error {
	i, err := pharmacy.Flow(ctx, id)
	if err != nil {
		return fmt.Errorf("dispense prescription: %w", err)
	}
	if f.Substituted == "" {
		f.Substituted = "no"
	}
	transition, fields := "dispense", []workflow.Field{code("substituted", f.Substituted)}
	if left, ok := workflow.Get(i.Variables, "remaining"); f.Quantity != 0 && !(ok && len(left.Ints) == 1 && left.Ints[0] == f.Quantity) {
		transition, fields = "dispense-part", append(fields, number("quantity", f.Quantity))
	}
	if len(f.Packs) > 0 {
		fields = append(fields, workflow.Field{Name: "packs", Value: workflow.Text(f.Packs...)})
	}
	var documents []workflow.Document
	if f.Record != nil {
		r := ward.Record{Owner: i.Owner, Type: dispenseType, Title: "dispensing of " + string(id), MediaType: f.MediaType}
		written, err := pharmacy.Put(ctx, r, f.Record)
		if err != nil {
			return fmt.Errorf("dispense prescription: %w", err)
		}
		documents = []workflow.Document{{Name: dispensing, Record: written}}
	}
	// The step is for the instance as it was read: were it dispensed meanwhile,
	// this would be refused.
	return pharmacy.StepFlow(ctx, workflow.StepArgs{ID: id, After: i.Steps, Transition: transition, Fields: fields, Documents: documents})
}

// Send hands what was dispensed to a courier.
func Send(ctx context.Context, pharmacy *ward.Client, id workflow.ID, courier identity.Name) error {
	return step(ctx, pharmacy, id, "send", nil, workflow.Field{Name: "courier", Value: workflow.Text(string(courier))})
}

// Deliver says that whoever has what was dispensed handed it over.
func Deliver(ctx context.Context, holder *ward.Client, id workflow.ID) error {
	return step(ctx, holder, id, "deliver", nil)
}

// Receive is Deliver on the patient's word.
func Receive(ctx context.Context, patient *ward.Client, id workflow.ID) error {
	return step(ctx, patient, id, "receive", nil)
}

// Repeat asks for the next fill of a prescription that has repeats left.
func Repeat(ctx context.Context, patient *ward.Client, id workflow.ID) error {
	return step(ctx, patient, id, "repeat", nil)
}

// Cancel ends a prescription before a pharmacy has claimed it, or again once none
// holds it: what was handed out in part before stays counted. The caller is the
// physician who issued it or the patient; of what was dispensed and not handed
// over, the pharmacy, which takes it back. If nothing was handed out before, its
// limits are given back with it.
func Cancel(ctx context.Context, c *ward.Client, id workflow.ID, reason string) error {
	i, err := c.FlowState(ctx, id)
	if err != nil {
		return fmt.Errorf("cancel prescription: %w", err)
	}
	transition := "cancel"
	if i.State == "dispensed" {
		if i, err = c.Flow(ctx, id); err != nil { // the pharmacy sees what was entered
			return fmt.Errorf("cancel prescription: %w", err)
		}
		transition = "recall"
		if v, ok := workflow.Get(i.Variables, "handed"); ok && len(v.Ints) == 1 && v.Ints[0] != 0 {
			transition = "take-back"
		}
	}
	return c.StepFlow(ctx, workflow.StepArgs{ID: id, After: i.Steps, Transition: transition, Fields: []workflow.Field{code("reason", reason)}})
}

// Read opens the document of a prescription and writes it to w: the patient's own,
// or that of whoever holds it. It is an access like any other, with a purpose and
// on the chain.
func Read(ctx context.Context, reader *ward.Client, id workflow.ID, p ward.Purpose, w io.Writer) (*ward.Entry, error) {
	i, err := reader.Flow(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read prescription: %w", err)
	}
	for _, d := range i.Documents {
		if d.Name == document {
			return reader.Get(ctx, d.Record, p, w)
		}
	}
	return nil, fmt.Errorf("read prescription %s: %w", id, ward.ErrNotFound)
}
