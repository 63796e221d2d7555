package consent_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// TestAListingUnderAGrantIsWhatItOpens: what is listed is what an access is
// accepted for, and nothing else: no sealed type below, nothing excepted, out of
// its range, of another epoch or of another owner.
func TestAListingUnderAGrantIsWhatItOpens(t *testing.T) {
	w := newWorld(t)
	old := w.put(patient, "clinical", 1)
	w.raiseEpoch(patient)
	var ids []record.ID
	for _, typ := range []pre.Type{"clinical", "clinical/lab", "clinical/psych", "clinical/sealed:hiv", "imaging"} {
		ids = append(ids, w.put(patient, typ, 1))
	}
	ids = append(ids, old, w.put(patient, "clinical", 90))
	hers := w.put(other, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{
		Except: []pre.Type{"clinical/psych"}, Since: w.now() - 30*86_400_000,
	}})

	list := func(q query.Records) (out []record.ID, err error) {
		b, err := query.Run(w.of, "", w.now(), q)
		if err != nil {
			return nil, err
		}
		var records []record.Record
		if err := chain.Unmarshal(b, &records); err != nil {
			t.Fatal(err)
		}
		for i := range records {
			out = append(out, records[i].ID)
		}
		return out, nil
	}
	got, err := list(query.Records{Owner: patient, Grant: g})
	if err != nil || !slices.Equal(got, ids[:2]) {
		t.Errorf("listed are %q, want %q; %v", got, ids[:2], err)
	}
	for _, id := range append(ids, hers) {
		if opens := w.access(w.ask(g, id)).Code == ""; opens != slices.Contains(got, id) {
			t.Errorf("record %s: an access is accepted: %v", id, opens)
		}
	}
	if got, err := list(query.Records{Owner: patient, Grant: g, Type: "clinical/lab"}); err != nil || !slices.Equal(got, ids[1:2]) {
		t.Errorf("of one type: %q, %v", got, err)
	}
	for _, q := range []query.Records{{Owner: other, Grant: g}, {Owner: patient, Grant: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa"}} {
		if got, err := list(q); !errors.Is(err, consent.ErrUnknown) {
			t.Errorf("%+v: %q, %v", q, got, err)
		}
	}
}
