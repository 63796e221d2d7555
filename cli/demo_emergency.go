package cli

import (
	"context"
	"fmt"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
)

// breakGlass opens a record without a grant: two clinicians, a reason that only
// the patient reads, and a review that stays open until somebody closes it.
func (s *story) breakGlass(ctx context.Context) error {
	end := s.begin("emergency", "An emergency: two clinicians break the glass, and answer for it")
	ids := s.ids(allergies)
	purpose := ward.Purpose{Code: consent.BreakGlass, Reason: "unconscious, anaphylaxis suspected"}
	_, err := s.okafor.Emergency(ctx, s.patient.name, ids, purpose)
	if err := s.refused(s.okafor, "breaks the glass alone", err, consent.ErrApproval); err != nil {
		return err
	}

	draft, err := s.okafor.DraftEmergency(s.patient.name, ids)
	if err != nil {
		return fmt.Errorf("emergency: %w", err)
	}
	approval, err := s.lee.Approve(draft)
	if err != nil {
		return fmt.Errorf("emergency: %w", err)
	}
	purpose.Draft, purpose.Approvals = draft, []consent.Approval{approval}
	opened, err := s.okafor.Emergency(ctx, s.patient.name, ids, purpose)
	if err != nil {
		return fmt.Errorf("emergency: %w", err)
	}
	if err := s.compareAll(ctx, opened); err != nil {
		return err
	}
	s.note("%s opened: %s; co-signed by %s", s.okafor.name, opened[0].Title, s.lee.name)

	for access, err := range s.reviewer.Accesses(ctx, consent.Accesses{Open: true}) {
		if err != nil {
			return fmt.Errorf("review: %w", err)
		}
		reason, err := s.patient.Reason(ctx, access.Index)
		if err != nil {
			return fmt.Errorf("reason: %w", err)
		}
		if err := s.reviewer.Review(ctx, access.Index, consent.OutcomeJustified); err != nil {
			return fmt.Errorf("review: %w", err)
		}
		s.note("the patient reads why: %q", reason)
		s.note("the review was open until %s closed it: %s", s.reviewer.name, consent.OutcomeJustified)
	}
	end()
	return nil
}
