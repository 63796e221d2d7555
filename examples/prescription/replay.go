package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/prescription"
)

// replay takes in every prescription in a folder and below it: each item goes all
// the way, and the pharmacy reads the document as it was, byte by byte.
func (s *story) replay(folder string) {
	s.say("\nPrescriptions of other countries, as they are.")
	files, items, refused, others := 0, 0, 0, 0
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if ext := filepath.Ext(path); err != nil || d.IsDir() || ext != ".json" && ext != ".xml" {
			return err
		}
		doc, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// A patient for each: the limits are theirs.
		patient, err := s.enrol(s.ctx, identity.Name(fmt.Sprintf("p-%d@north", files+others)))
		if err != nil {
			return err
		}
		orders, err := prescription.Orders(patient.Name(), doc)
		if err != nil {
			others++ // an invoice, a receipt, a cancellation: it prescribes nothing that could be counted
			return nil
		}
		files++
		p := *s.people
		p.patient = patient
		for _, o := range orders {
			o.Repeats, items = min(o.Repeats, 12), items+1
			id, err := p.claimed(s.ctx, p.lee, p.li, p.green, o)
			if code := chain.Code(""); errors.As(err, &code) && strings.HasPrefix(string(code), string(workflow.ErrRule)+"/") {
				refused++ // such as a narcotic that is valid for weeks
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", filepath.Base(path), err)
			}
			read, err := p.read(s.ctx, p.green, id)
			if err != nil {
				return err
			}
			if !bytes.Equal(read, doc) {
				return errors.New("the pharmacy reads something else")
			}
			if err := prescription.Dispense(s.ctx, p.green, id, prescription.Fill{}); err != nil {
				return fmt.Errorf("%s: %w", filepath.Base(path), err)
			}
			if err := prescription.Receive(s.ctx, patient, id); err != nil {
				return err
			}
		}
		return nil
	})
	if s.err == nil {
		s.err = err
	}
	s.say("  %d documents with %d items issued, reviewed, read unchanged, dispensed and received, but for %d that the rules here refuse; %d others prescribe nothing", files, items, refused, others)
}
