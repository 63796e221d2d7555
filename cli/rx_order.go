package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/fhir"
	"github.com/ward-health/ward/prescription"
)

// orders reads what is prescribed: from a file, or from the flags.
func orders(c *urfave.Context, patient identity.Name, path string) ([]prescription.Order, error) {
	var all []prescription.Order
	if path != "" {
		for _, flag := range []string{"drug", "code", "dosage", "quantity", "unit", "schedule"} {
			if c.String(flag) != "" {
				return nil, usagef("flag %s does not go with a file", "--"+flag)
			}
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		doc, err := io.ReadAll(io.LimitReader(f, fhir.MaxDocument+1))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if all, err = prescription.Orders(patient, doc); err != nil {
			return nil, failf("prescription", exitFailure, "%s: %s", path, err)
		}
	} else {
		all = []prescription.Order{{Patient: patient, Medication: fhir.Medication{Schedule: fhir.Uncontrolled}}}
	}
	for i := range all {
		if err := setOrder(c, &all[i], path == ""); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// setOrder changes an order as the command line says.
func setOrder(c *urfave.Context, o *prescription.Order, made bool) error {
	if !made {
		if n := c.Uint("days"); n > 0 {
			o.Days = int(min(n, 1<<20))
		}
		return nil
	}
	system, code, found := strings.Cut(c.String("code"), "|")
	if c.String("code") != "" && (!found || system == "" || code == "") {
		return usagef("flag %s: %q is not SYSTEM|CODE", "--code", c.String("code"))
	}
	o.Drug = fhir.Coding{System: system, Code: code, Display: c.String("drug")}
	o.Dosage, o.Unit = c.String("dosage"), c.String("unit")
	o.Repeats, o.Interval, o.Days = int(min(c.Uint("repeats"), 1<<20)), int(min(c.Uint("interval"), 1<<20)), int(min(c.Uint("days"), 1<<20))
	o.Substitution = c.Bool("substitution")
	if v := c.String("schedule"); v != "" {
		if o.Schedule = fhir.Schedule(v); !o.Schedule.Valid() {
			return usagef("flag %s: %q is no schedule", "--schedule", v).withHint("write none, psychotropic-2, psychotropic-1 or narcotic")
		}
	}
	var err error
	if o.Quantity, err = fhir.ParseQuantity(c.String("quantity")); err != nil || o.Quantity == 0 {
		return usagef("flag %s: %q is no quantity", "--quantity", c.String("quantity"))
	}
	if o.Drug.Display == "" {
		return usagef("flag %s needs a value", "--drug").withHint("give a FHIR document, or say what is prescribed")
	}
	return nil
}

// An issuedData is what programs get of prescriptions that were issued.
type issuedData struct {
	Prescriptions []issuedItem `json:"prescriptions"`
}

type issuedItem struct {
	ID       workflow.ID   `json:"id"`
	Patient  identity.Name `json:"patient"`
	Drug     fhir.Coding   `json:"drug"`
	Quantity string        `json:"quantity"`
	Unit     string        `json:"unit,omitempty"`
	Schedule fhir.Schedule `json:"schedule"`
}

func rxIssue(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.String("patient") == "" {
		return nil, usagef("flag %s needs a value", "--patient").withHint("names look like dr.lee@east: lower case, then @ and the hospital")
	}
	patient, err := parseName(c.String("patient"))
	if err != nil {
		return nil, err
	}
	all, err := orders(c, patient, c.Args().First())
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	data := issuedData{Prescriptions: []issuedItem{}}
	for _, o := range all {
		id, err := prescription.Issue(ctx, u.Client, o)
		if id != "" {
			data.Prescriptions = append(data.Prescriptions, issuedItem{id, o.Patient, o.Drug, fhir.FormatQuantity(o.Quantity), o.Unit, o.Schedule})
		}
		if err != nil {
			return data, err
		}
		if s.quiet {
			s.say("%s", string(id))
		} else {
			s.say("prescription %s: %s %s, %s", id, fhir.FormatQuantity(o.Quantity), o.Unit, o.Drug.Display)
		}
	}
	s.next(s.tr("the patient lets a pharmacist review it: `ward rx allow ID --to NAME`"))
	return data, nil
}

func rxAmend(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	return s.rxStep(ctx, c, func(u *user, id workflow.ID) error {
		i, err := u.Flow(ctx, id)
		if err != nil {
			return err
		}
		all, err := orders(c, i.Owner, c.Args().Get(1))
		if err != nil {
			return err
		}
		if len(all) != 1 {
			return failf("prescription", exitFailure, "the document has %d items, the prescription is one", len(all))
		}
		return prescription.Amend(ctx, u.Client, id, all[0])
	})
}

// prescriptionID reads the id that is the argument.
func prescriptionID(c *urfave.Context) (workflow.ID, error) {
	if c.NArg() == 0 {
		return "", usagef("which prescription?").withHint("ids look like w-abc…; `ward flow list` shows them")
	}
	return flowID(c.Args().First())
}

// rxStep takes a step of a prescription and says where it stands then.
func (s *session) rxStep(ctx context.Context, c *urfave.Context, do func(u *user, id workflow.ID) error) (any, error) {
	id, err := prescriptionID(c)
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if err := do(u, id); err != nil {
		return map[string]any{"id": id}, err
	}
	return s.nowAt(ctx, u, id)
}

// oneOf returns the flag that is given of several, "" if none is.
func oneOf(c *urfave.Context, flags ...string) (string, error) {
	found := ""
	for _, f := range flags {
		if !c.Bool(f) && c.String(f) == "" || c.String(f) == "false" {
			continue
		}
		if found != "" {
			return "", usagef("flags %s and %s do not go together", "--"+found, "--"+f)
		}
		found = f
	}
	return found, nil
}
