package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
)

// A readData is what programs get of a reading.
type readData struct {
	Records     []recordData     `json:"records"`
	Obligations []obligationData `json:"obligations,omitempty"` // that the reader took on
}

// openRecords opens the records. A person at a terminal is asked whether to take
// on what the grant obliges to, if the command line did not say so.
func (s *session) openRecords(ctx context.Context, u *user, r *reading) ([]*ward.Opened, error) {
	opened, err := r.open(ctx, u)
	missing := (*ward.ObligationsError)(nil)
	if !errors.As(err, &missing) || len(r.purpose.Obligations) > 0 || s.json || !term.IsTerminal(int(os.Stdin.Fd())) {
		return opened, err
	}
	s.showObligations(s.tr("the grant obliges its reader:"), missing.Obligations)
	if err := s.confirm(ctx, "Take it on?"); err != nil {
		return nil, err
	}
	r.purpose.Obligations = missing.Obligations
	return r.open(ctx, u)
}

// tookOn shows on stderr what a reader has taken on, and returns it for programs.
func (s *session) tookOn(list []consent.Obligation) []obligationData {
	if !s.json {
		s.showObligations(s.tr("you have taken on:"), list)
	}
	return s.obligations(list)
}

// showObligations shows obligations in words on stderr, under a heading.
func (s *session) showObligations(heading string, list []consent.Obligation) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(s.stderr, heading)
	for _, o := range s.obligations(list) {
		fmt.Fprintf(s.stderr, "  %s: %s\n", o.Code, o.Words)
	}
}

// notTakenOn is the error of a reading without the obligations of its grant.
func notTakenOn(e *ward.ObligationsError) *problem {
	var words, codes []string
	for _, o := range e.Obligations {
		words, codes = append(words, fmt.Sprintf("%s (%s)", o, o.Words())), append(codes, string(o))
	}
	return failf(string(consent.ErrObligation), exitDenied, "the grant obliges its reader, and you have not taken it on: %s", strings.Join(words, ", ")).
		withHint("--accept %s takes it on", strings.Join(codes, ","))
}
