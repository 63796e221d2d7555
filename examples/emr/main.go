// Command emr shares a patient's records between hospitals, the way a hospital's
// own software would. hospital.go is what such software needs of Ward; this file
// is a day in its life.
//
// Everything runs in this process, on a consortium of four hospitals for trying
// things out. To use a real one, read its consortium.json and the wallets from
// disk instead.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/devnet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := day(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func day(ctx context.Context, out io.Writer) (err error) {
	net, err := devnet.New(ctx, devnet.Options{HTTP: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()

	// Every hospital enrols its own people. Patients get a pseudonym.
	var people people
	defer func() { err = errors.Join(err, people.disconnect()) }()
	enrol := func(name identity.Name, attributes ...string) *ward.Client {
		c, e := people.enrol(ctx, net, name, attributes...)
		err = errors.Join(err, e)
		return c
	}
	patient := enrol("p-7f3a@north")
	archive := enrol("archive@north", identity.Author)
	lee := enrol("dr.lee@east", identity.Emergency, "physician")
	okafor := enrol("dr.okafor@south", identity.Emergency, "physician")
	officer := enrol("privacy@north", identity.Auditor, identity.Reviewer)
	if err != nil {
		return err
	}

	// Records are written for the patient. Nobody but her can read them now.
	blood, err := file(ctx, archive, patient.Name(), "lab-blood-count.fhir.json", "clinical/exam/lab")
	if err != nil {
		return err
	}
	allergy, err := file(ctx, archive, patient.Name(), "allergy-penicillin.fhir.json", "clinical/allergy")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "archive@north wrote two records for p-7f3a@north")

	// She grants: all exams, to one doctor, for treatment, for a month.
	grant, err := patient.Grant(ctx, ward.Terms{
		To: lee.Name(), Type: "clinical/exam", Purposes: []consent.Purpose{consent.Treatment}, NotAfter: time.Now().AddDate(0, 1, 0),
	})
	if err != nil {
		return err
	}

	// He opens what he was granted.
	treatment := ward.Purpose{Code: consent.Treatment, Reason: "follow-up"}
	opened, err := everything(ctx, lee, patient.Name(), "clinical/exam", treatment)
	if err != nil {
		return err
	}
	for _, o := range opened {
		fmt.Fprintf(out, "dr.lee@east reads: %s, %s, %d bytes\n", o.Title, o.MediaType, o.Size)
	}

	// Nothing else, and nobody else.
	_, err = lee.Get(ctx, allergy, treatment, io.Discard)
	fmt.Fprintln(out, "dr.lee@east asks for the allergy:", why(err))
	_, err = okafor.Access(ctx, grant, ids(opened), treatment)
	fmt.Fprintln(out, "dr.okafor@south asks for the exam:", why(err))

	// She revokes. From then on no hospital answers.
	if err := patient.Revoke(ctx, grant, ward.RevokeOptions{}); err != nil {
		return err
	}
	_, err = lee.Access(ctx, grant, ids(opened), treatment)
	fmt.Fprintln(out, "dr.lee@east asks for the exam again:", why(err))

	// An emergency. Two clinicians answer for it, and it is reviewed.
	opened, err = breakGlass(ctx, okafor, lee, patient.Name(), allergy, "unconscious, anaphylaxis suspected")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "dr.okafor@south breaks the glass, with dr.lee@east: %s\n", opened[0].Title)
	if err := closeReviews(ctx, officer); err != nil {
		return err
	}

	// She sees who read what, and why.
	for e, err := range patient.History(ctx, patient.Name()) {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "history: %s by %s\n", e.Kind, e.By)
	}

	// She reads her own records without asking anybody for a grant.
	var content bytes.Buffer
	entry, err := patient.Get(ctx, blood, ward.Purpose{}, &content)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "p-7f3a@north reads: %s, as it was written: %v\n", entry.Title, bytes.Equal(content.Bytes(), mustRead("lab-blood-count.fhir.json")))

	// Anybody with the consortium file and an export checks the whole chain,
	// without a network.
	var export bytes.Buffer
	if err := people.node(officer).Export(ctx, &export); err != nil {
		return err
	}
	if _, err := audit.Verify(&export, net.Consortium(), audit.Visitor{}); err != nil {
		return err
	}
	fmt.Fprintln(out, "the chain verifies offline")
	return nil
}
