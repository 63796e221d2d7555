package consent_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
)

// TestAReaderFindsTheGrantsItMayUse among an owner's, and among those to its
// hospital, by its name and by its attributes of now.
func TestAReaderFindsTheGrantsItMayUse(t *testing.T) {
	w := policyWorld(t)
	named := w.grant(patient, reader, "lab", terms{})
	w.grant(patient, stranger, "lab", terms{})
	team := w.grant(patient, "", "clinical", terms{to: w.policy(physicians)})
	nurses := w.grant(patient, "", "clinical", terms{to: w.policy("south:role = nurse")})
	hers := w.grant(other, "", "clinical", terms{to: w.policy("north:role = physician or " + physicians)})
	w.grant(other, "", "clinical", terms{to: w.policy("not north:contractor")})
	ask := func(q query.Grants) (out []consent.GrantID) {
		t.Helper()
		b, err := query.Run(w.of, w.c.Consortium.Chain, w.now(), q)
		if err != nil {
			t.Fatal(err)
		}
		var list []query.GrantState
		if err := chain.Unmarshal(b, &list); err != nil {
			t.Fatal(err)
		}
		for i := range list {
			out = append(out, list[i].Grant.ID)
		}
		return out
	}
	for _, c := range []struct {
		q    query.Grants
		want []consent.GrantID
	}{
		{query.Grants{Owner: patient, Reader: reader}, []consent.GrantID{named, team}},
		{query.Grants{Owner: patient, Reader: reader, After: w.lookup(named).Index}, []consent.GrantID{team}},
		{query.Grants{Owner: patient, Reader: reader, Limit: 1}, []consent.GrantID{named}},
		{query.Grants{Owner: patient, Reader: nurse}, []consent.GrantID{nurses}},
		{query.Grants{Owner: other, Reader: reader}, []consent.GrantID{hers}},
		{query.Grants{Authority: "south", Reader: reader}, []consent.GrantID{team, hers}},
		{query.Grants{Authority: "north", Reader: reader}, []consent.GrantID{hers}},
		{query.Grants{Authority: "south", Reader: nurse}, []consent.GrantID{nurses}},
		{query.Grants{Authority: "south"}, []consent.GrantID{team, nurses, hers}},
		{query.Grants{Owner: patient, Reader: author}, nil},
	} {
		if got := ask(c.q); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.q, got, c.want)
		}
	}
	w.attest(reader, "contractor", "role=physician")
	if got := ask(query.Grants{Owner: patient, Reader: reader}); !slices.Equal(got, []consent.GrantID{named}) {
		t.Errorf("a contractor finds %v", got)
	}
	w.grant(patient, "", "clinical", terms{to: w.policy("not south:emergency")})
	w.attest(reader, "role", "role=physician") // cannot be said whole
	if got := ask(query.Grants{Authority: "south", Reader: reader}); got != nil {
		t.Errorf("who is not understood finds %v", got)
	}
	if _, err := query.Run(w.of, w.c.Consortium.Chain, w.now(), query.Grants{Owner: patient, Reader: "nobody@south"}); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("nobody finds %v", err)
	}
}
