package record

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/internal/parallel"
	"github.com/ward-health/ward/pre"
)

// Verified returns the record's envelope, checked against its header.
func (r *Record) Verified(chainID string) (*pre.Record, error) {
	header, err := r.Header(chainID)
	if err != nil {
		return nil, err
	}
	envelope, err := pre.ParseEnvelope(r.Envelope)
	if err != nil {
		return nil, err
	}
	return envelope.Verify(header)
}

// VerifyAll is Verified for many records at once, in their order, on all
// processors. seed is one that whoever made the records could not foresee, such
// as the id of a later transaction. The error names every record that does not
// hold.
func VerifyAll(chainID string, seed []byte, records []*Record) ([]*pre.Record, error) {
	envelopes, headers := make([]*pre.Envelope, len(records)), make([]pre.Header, len(records))
	malformed := make([]error, len(records))
	parallel.For(len(records), func(i int) {
		if headers[i], malformed[i] = records[i].Header(chainID); malformed[i] == nil {
			envelopes[i], malformed[i] = pre.ParseEnvelope(records[i].Envelope)
		}
	})
	if err := named(records, malformed); err != nil {
		return nil, err
	}
	verified, wrong := pre.VerifyBatch(seed, envelopes, headers)
	if err := named(records, wrong); err != nil {
		return nil, err
	}
	return verified, nil
}

// named joins the errors of records under their names.
func named(records []*Record, errs []error) error {
	var all error
	for i, err := range errs {
		if err != nil {
			all = errors.Join(all, fmt.Errorf("record %s: %w", records[i].ID, err))
		}
	}
	return all
}
