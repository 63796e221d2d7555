// Command prescription follows electronic prescriptions among a patient, two
// hospitals, two pharmacies and a regulator: what is allowed, and what is refused.
// people.go is what the software of each of them needs of Ward; this file is the
// story.
//
// Everything runs in this process, on a consortium of four members for trying
// things out. With --data it also takes in the prescriptions of other countries
// that are in a folder, FHIR in JSON or XML.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/fhir"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/prescription"
)

func main() {
	data := flag.String("data", "", "a folder of FHIR prescriptions to take in as well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := tell(ctx, os.Stdout, *data); err != nil {
		log.Fatal(err)
	}
}

// A story is told by those who take part in it. The first error ends it.
type story struct {
	*people
	ctx context.Context
	out io.Writer
	err error
}

func tell(ctx context.Context, out io.Writer, data string) (err error) {
	net, err := devnet.New(ctx, devnet.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	p, err := meet(ctx, net)
	if err != nil {
		return err
	}
	s := &story{people: p, ctx: ctx, out: out}
	s.say("The members agree on what a prescription is, and register their people.")
	id := s.issueAndReview()
	s.circulate(id)
	s.dispense(id)
	s.limit()
	s.supervise(id)
	if data != "" {
		s.replay(data)
	}
	return s.err
}

func (s *story) say(format string, args ...any) {
	if s.err == nil {
		fmt.Fprintf(s.out, format+"\n", args...)
	}
}

// does tells of something that has to go well.
func (s *story) does(what string, do func() error) {
	if s.err != nil {
		return
	}
	if err := do(); err != nil {
		s.err = fmt.Errorf("%s: %w", what, err)
		return
	}
	s.say("  %s", what)
}

// refused tells of something that has to be refused, with the code of the refusal.
func (s *story) refused(what string, want error, do func() error) {
	if s.err != nil {
		return
	}
	switch err := do(); {
	case err == nil:
		s.err = fmt.Errorf("%s: it was allowed", what)
	case !errors.Is(err, want):
		s.err = fmt.Errorf("%s: %w", what, err)
	default:
		s.say("  %s: refused, %v", what, want)
	}
}

func amoxicillin() prescription.Order {
	return prescription.Order{Patient: patientName, Medication: fhir.Medication{
		Drug:   fhir.Coding{System: "http://www.whocc.no/atc", Code: "J01CA04", Display: "Amoxicillin 500 mg"},
		Dosage: "1-1-1", Quantity: 20_000, Unit: "capsule", Days: 28, Schedule: fhir.Uncontrolled,
	}}
}

func morphine() prescription.Order {
	o := amoxicillin()
	o.Drug = fhir.Coding{System: "http://www.whocc.no/atc", Code: "N02AA01", Display: "Morphine 10 mg"}
	o.Schedule, o.Days = fhir.Narcotic, 3
	return o
}

func (s *story) issueAndReview() (id workflow.ID) {
	s.say("\nA physician of the north prescribes for p-7f3a@north.")
	s.does("dr.lee@north issues 20 capsules of amoxicillin", func() (err error) {
		id, err = prescription.Issue(s.ctx, s.lee, amoxicillin())
		return err
	})
	s.refused("green@south prescribes", workflow.ErrParty, func() error {
		_, err := prescription.Issue(s.ctx, s.green, amoxicillin())
		return err
	})
	s.say("\nA pharmacist of the hospital reviews it.")
	s.does("p-7f3a@north lets li@north read it while she has it", func() error {
		_, err := prescription.Allow(s.ctx, s.patient, id, s.li.Name())
		return err
	})
	s.does("li@north takes it up", func() error { return prescription.Review(s.ctx, s.li, id) })
	s.does("li@north reads it", func() error {
		b, err := s.read(s.ctx, s.li, id)
		if err != nil {
			return err
		}
		items, err := fhir.Medications(b)
		if err == nil && (len(items) != 1 || items[0].Drug.Display != "Amoxicillin 500 mg") {
			err = errors.New("it says something else")
		}
		return err
	})
	s.refused("kim@east approves it, of another hospital", workflow.ErrHolder, func() error { return prescription.Approve(s.ctx, s.kim, id) })
	s.refused("dr.lee@north approves it himself", workflow.ErrParty, func() error { return prescription.Approve(s.ctx, s.lee, id) })
	s.does("li@north approves it", func() error { return prescription.Approve(s.ctx, s.li, id) })
	s.refused("li@north reads it again", consent.ErrHolder, func() error {
		_, err := s.read(s.ctx, s.li, id)
		return err
	})
	return id
}

func (s *story) circulate(id workflow.ID) {
	s.say("\nThe patient chooses a pharmacy.")
	s.does("p-7f3a@north offers it to green@south", func() error { return prescription.Offer(s.ctx, s.patient, id, s.green.Name()) })
	s.refused("blue@west claims it", workflow.ErrRule+"/wrong-pharmacy", func() error { return prescription.Claim(s.ctx, s.blue, id) })
	s.does("green@south claims it", func() error { return prescription.Claim(s.ctx, s.green, id) })
	s.does("green@south dispenses 8 of the 20", func() error {
		return prescription.Dispense(s.ctx, s.green, id, prescription.Fill{Quantity: 8_000, Packs: []string{"SN-0001"}})
	})
	s.does("p-7f3a@north takes the rest to blue@west", func() error { return prescription.Transfer(s.ctx, s.patient, id, s.blue.Name()) })
	s.refused("green@south reads it", consent.ErrHolder, func() error {
		_, err := s.read(s.ctx, s.green, id)
		return err
	})
	s.does("blue@west reads it", func() error {
		_, err := s.read(s.ctx, s.blue, id)
		return err
	})
}

func (s *story) dispense(id workflow.ID) {
	s.say("\nIt is dispensed, once, and delivered.")
	s.does("blue@west claims it", func() error { return prescription.Claim(s.ctx, s.blue, id) })
	s.refused("blue@west dispenses a pack that green@south has dispensed", workflow.ErrClaimed, func() error {
		return prescription.Dispense(s.ctx, s.blue, id, prescription.Fill{Packs: []string{"SN-0001"}})
	})
	s.refused("blue@west sends a dispensing that was signed for how it stood before", workflow.ErrStale, func() error {
		no := []workflow.Field{{Name: "substituted", Value: workflow.Text("no")}}
		return s.blue.StepFlow(s.ctx, workflow.StepArgs{ID: id, After: 5, Transition: "dispense", Fields: no})
	})
	s.refused("blue@west dispenses another product", workflow.ErrRule+"/substitution", func() error {
		return prescription.Dispense(s.ctx, s.blue, id, prescription.Fill{Substituted: "generic"})
	})
	s.does("blue@west dispenses the rest", func() error {
		return prescription.Dispense(s.ctx, s.blue, id, prescription.Fill{Packs: []string{"SN-0002"}})
	})
	s.refused("blue@west dispenses it again", workflow.ErrState, func() error {
		return prescription.Dispense(s.ctx, s.blue, id, prescription.Fill{})
	})
	s.does("blue@west hands it to rider@south", func() error { return prescription.Send(s.ctx, s.blue, id, s.rider.Name()) })
	s.does("rider@south delivers it", func() error { return prescription.Deliver(s.ctx, s.rider, id) })
}

// limit has two hospitals that do not know of each other prescribe a narcotic.
func (s *story) limit() {
	s.say("\nOf a narcotic a patient gets 30 doses in seven days, from all hospitals together.")
	var first, second workflow.ID
	s.does("dr.lee@north and dr.okafor@east issue 20 each, green@south and blue@west claim one each", func() (err error) {
		if first, err = s.claimed(s.ctx, s.lee, s.li, s.green, morphine()); err != nil {
			return err
		}
		second, err = s.claimed(s.ctx, s.okafor, s.kim, s.blue, morphine())
		return err
	})
	s.does("green@south dispenses 20", func() error { return prescription.Dispense(s.ctx, s.green, first, prescription.Fill{}) })
	s.refused("blue@west dispenses 20", workflow.ErrLimit, func() error { return prescription.Dispense(s.ctx, s.blue, second, prescription.Fill{}) })
	s.does("blue@west dispenses 10 of the 20", func() error {
		return prescription.Dispense(s.ctx, s.blue, second, prescription.Fill{Quantity: 10_000})
	})
}

func (s *story) supervise(id workflow.ID) {
	if s.err != nil {
		return
	}
	s.say("\nThe regulator sees states and counts, and nothing that is prescribed.")
	now := time.Now()
	counts, err := s.inspector.FlowCounts(s.ctx, prescription.Definition, "", now.AddDate(0, 0, -1), now)
	if err != nil {
		s.err = err
		return
	}
	for _, c := range counts.States {
		s.say("  %s: %d %s", c.Org, c.Count, c.State)
	}
	s.refused("inspector@west reads the prescription", ward.ErrNoGrant, func() error {
		_, err := s.read(s.ctx, s.inspector, id)
		return err
	})
	s.say("\nThe patient has the whole history, each step proved by its receipt.")
	h, err := s.patient.Provenance(s.ctx, id)
	if err != nil {
		s.err = err
		return
	}
	for _, step := range h.Steps {
		s.say("  %2d %s by %s", step.Number, step.Transition, step.By)
	}
	var own bytes.Buffer
	s.does("she reads what was prescribed to her", func() error {
		_, err := prescription.Read(s.ctx, s.patient, id, ward.Purpose{}, &own)
		return err
	})
}
