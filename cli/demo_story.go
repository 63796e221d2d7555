package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/examples/records"
	"github.com/ward-health/ward/pre"
)

// A story is what happens in the demo, with what later steps need of earlier ones.
type story struct {
	*demo
	*cast
	records  []*item
	grant    consent.GrantID // of the exams to Dr Lee
	research consent.GrantID // of the laboratory results to the researcher

	mu sync.Mutex // guards report.Mismatches
}

// play plays the whole story.
func (d *demo) play(ctx context.Context) (err error) {
	if err := d.open(ctx); err != nil {
		return err
	}
	s := &story{demo: d, cast: newCast()}
	defer func() {
		for _, p := range s.all() {
			for _, close := range p.close {
				err = errors.Join(err, close())
			}
		}
		err = errors.Join(err, d.net.Close())
	}()
	if err := d.enrol(ctx, s.cast); err != nil {
		return err
	}
	steps := []func(context.Context) error{s.put, s.give, s.read, s.refuse, s.revoke, s.breakGlass}
	if d.data != "" {
		steps = append(steps, s.folder)
	}
	for _, step := range append(steps, s.trail) {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// put puts the records of the story, and lets their owner read all of them.
func (s *story) put(ctx context.Context) (err error) {
	end := s.begin("put", "The archive writes for the patient, encrypted; the patient reads it all")
	if s.records, _, err = items(records.Files()); err != nil {
		return err
	}
	if err := each(ctx, s.records, putters, func(ctx context.Context, it *item) error {
		return it.put(ctx, s.archive.Client, s.patient.name)
	}); err != nil {
		return err
	}
	rows := [][]string{}
	for _, it := range s.records {
		rows = append(rows, []string{string(it.Type), fmt.Sprint(it.size), it.Title})
		s.count(it)
	}
	s.table([]string{"TYPE", "BYTES", "TITLE"}, rows)
	err = each(ctx, s.records, 1, func(ctx context.Context, it *item) error {
		same, err := it.compare(func(w io.Writer) error {
			_, err := s.patient.Get(ctx, it.id, ward.Purpose{}, w)
			return err
		})
		if err == nil && !same {
			s.mismatch()
		}
		return err
	})
	end()
	return err
}

// putters is how many records are put at the same time.
const putters = 16

// mismatch counts a record that came back changed. It is safe for concurrent use.
func (s *story) mismatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Mismatches++
}

func (s *story) count(it *item) {
	s.report.Records++
	s.report.Bytes += it.size
	s.report.Types[string(it.Type)]++
}

// ids returns the records of the story of a type and below.
func (s *story) ids(t pre.Type) (ids []record.ID) {
	for _, it := range s.records {
		if t.Covers(it.Type) {
			ids = append(ids, it.id)
		}
	}
	return ids
}

// give grants.
func (s *story) give(ctx context.Context) (err error) {
	end := s.begin("grant", "The patient grants: exams to Dr Lee for treatment, laboratory results to research")
	until := time.Now().AddDate(0, 0, 30)
	s.grant, err = s.patient.Grant(ctx, ward.Terms{To: s.lee.name, Type: exams, NotAfter: until, Purposes: []consent.Purpose{consent.Treatment}})
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	s.research, err = s.patient.Grant(ctx, ward.Terms{To: s.silva.name, Type: labResults, NotAfter: until, Purposes: []consent.Purpose{consent.Research}})
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	s.table([]string{"TYPE", "TO", "PURPOSE", "UNTIL"}, [][]string{
		{string(exams), string(s.lee.name), string(consent.Treatment), until.Format(time.DateOnly)},
		{string(labResults), string(s.silva.name), string(consent.Research), until.Format(time.DateOnly)},
	})
	end()
	return nil
}

// read lets those who were granted something read it, and compares.
func (s *story) read(ctx context.Context) error {
	end := s.begin("read", "Dr Lee reads the exams, the researcher the laboratory results")
	for _, a := range []struct {
		by      *person
		grant   consent.GrantID
		t       pre.Type
		purpose consent.Purpose
	}{{s.lee, s.grant, exams, consent.Treatment}, {s.silva, s.research, labResults, consent.Research}} {
		start := time.Now()
		opened, err := a.by.Access(ctx, a.grant, s.ids(a.t), ward.Purpose{Code: a.purpose, Reason: "demo"})
		if err != nil {
			return fmt.Errorf("read as %s: %w", a.by.name, err)
		}
		if err := s.compareAll(ctx, opened); err != nil {
			return err
		}
		s.note("%s opened %d records in %.0f ms, on the chain before any hospital answered", a.by.name, len(opened), s.seconds(start)*1000)
	}
	end()
	return nil
}

// compareAll compares opened records of the story with what was put.
func (s *story) compareAll(ctx context.Context, opened []*ward.Opened) error {
	for _, o := range opened {
		for _, it := range s.records {
			if it.id != o.ID {
				continue
			}
			same, err := it.compareOpened(ctx, o)
			if err != nil {
				return err
			}
			if !same || o.Title != it.Title {
				s.mismatch()
			}
		}
	}
	return nil
}

func (it *item) compareOpened(ctx context.Context, o *ward.Opened) (bool, error) {
	return it.compare(func(w io.Writer) error {
		r, err := o.Open(ctx)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, r)
		return errors.Join(err, r.Close())
	})
}

// refuse shows what the grants do not allow.
func (s *story) refuse(ctx context.Context) error {
	end := s.begin("refusals", "And nothing else")
	_, err := s.lee.Access(ctx, s.grant, s.ids(prescriptions), ward.Purpose{Code: consent.Treatment, Reason: "demo"})
	if err := s.refused(s.lee, "reads a prescription", err, consent.ErrType); err != nil {
		return err
	}
	_, err = s.okafor.Access(ctx, s.grant, s.ids(exams), ward.Purpose{Code: consent.Treatment, Reason: "demo"})
	if err := s.refused(s.okafor, "reads with Dr Lee's grant", err, consent.ErrDenied); err != nil {
		return err
	}
	_, err = s.silva.Access(ctx, s.research, s.ids(labResults), ward.Purpose{Code: consent.Treatment, Reason: "demo"})
	if err := s.refused(s.silva, "reads for treatment", err, consent.ErrPurpose); err != nil {
		return err
	}
	end()
	return nil
}

// refused notes a refusal. That something was not refused, or for another reason,
// is an error.
func (s *story) refused(who *person, what string, err error, want chain.Code) error {
	switch {
	case err == nil:
		return &problem{code: "integrity", exit: exitIntegrity, words: message{"not refused: %s %s", []any{who.name, what}}}
	case !errors.Is(err, want):
		return fmt.Errorf("%s %s: %w", who.name, what, err)
	}
	s.report.Refusals++
	s.report.Refused = append(s.report.Refused, refusal{Who: string(who.name), What: what, Code: string(want)})
	s.note("%s %s: refused, %s (%s)", who.name, s.tr(what), explain(err).words.in(s.lang), want)
	return nil
}

// revoke ends the grant to Dr Lee.
func (s *story) revoke(ctx context.Context) error {
	end := s.begin("revoke", "The patient revokes")
	start := time.Now()
	if err := s.patient.Revoke(ctx, s.grant, ward.RevokeOptions{}); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	s.note("%.0f ms until no hospital answers for the grant any more", s.seconds(start)*1000)
	_, err := s.lee.Access(ctx, s.grant, s.ids(exams), ward.Purpose{Code: consent.Treatment, Reason: "demo"})
	if err := s.refused(s.lee, "reads an exam again", err, consent.ErrRevoked); err != nil {
		return err
	}
	end()
	return nil
}

// trail shows the patient what happened, and verifies the whole chain from an
// export, offline.
func (s *story) trail(ctx context.Context) error {
	end := s.begin("audit", "The audit trail, and the chain verified offline")
	rows := [][]string{}
	for e, err := range s.patient.History(ctx, s.patient.name) {
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		row := trailRow{Index: e.Index, Time: e.Time.UTC(), Kind: e.Kind, By: string(e.By), Purpose: string(e.Purpose), Records: len(e.Records)}
		s.report.Trail = append(s.report.Trail, row)
		if row.Kind != "put" {
			number := fmt.Sprint(row.Index)
			if row.Index == 0 {
				number = "" // the state does not say which
			}
			rows = append(rows, []string{number, e.Time.Format(time.TimeOnly), row.Kind, row.By, row.Purpose, fmt.Sprint(row.Records)})
		}
	}
	s.table([]string{"NUMBER", "TIME", "WHAT", "BY", "PURPOSE", "RECORDS"}, rows)
	if err := s.verifyOffline(ctx); err != nil {
		return err
	}
	a := s.report.Audit
	s.note("%d transactions in %d blocks: every signature, link, tree and certificate is in order,", a.Transactions, a.Height)
	s.note("and every result follows from the rules;")
	s.note("checked with nothing but consortium.json and the exported chain of %d bytes", a.Bytes)
	end()
	return nil
}

// verifyOffline exports the chain and checks the export with nothing but the
// consortium file.
func (s *story) verifyOffline(ctx context.Context) error {
	var exported bytes.Buffer
	if err := s.reviewer.nodes[0].Export(ctx, &exported); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if s.report.Kept != "" {
		if err := os.WriteFile(filepath.Join(s.dir, "chain.export"), exported.Bytes(), 0o600); err != nil {
			return err
		}
	}
	s.report.Audit.Bytes = int64(exported.Len())
	v, err := verifyExport(&exported, s.net.Consortium(), true)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	a := &s.report.Audit
	a.Verified, a.Transactions, a.Height = v.Verified && v.Rules, v.Transactions, v.Height
	return nil
}
