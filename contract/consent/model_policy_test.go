package consent_test

import (
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
)

// modelPolicies are those that are granted to, with the oracle's reading of
// them for the reader. The stranger is of west, and in none.
var modelPolicies = map[string]func(*oracle) bool{
	"south:role = physician":                          func(o *oracle) bool { return o.physician },
	"not south:contractor":                            func(o *oracle) bool { return !o.contractor },
	"south:role = physician and not south:contractor": func(o *oracle) bool { return o.physician && !o.contractor },
	"north:contractor or south:contractor":            func(o *oracle) bool { return o.contractor },
	"not north:role = nurse":                          func(*oracle) bool { return false },
}

// may says whether somebody is whom the grant is to, now.
func (o *oracle) may(g *modelGrant, who identity.Name) bool {
	if g.cond.Instance != "" && o.holder != who {
		return false
	}
	if g.policy == "" {
		return who == g.to
	}
	return who == reader && modelPolicies[g.policy](o)
}

// satisfied returns a policy that the reader satisfies now.
func (o *oracle) satisfied() string {
	switch {
	case o.physician:
		return "south:role = physician"
	case o.contractor:
		return "north:contractor or south:contractor"
	}
	return "not south:contractor"
}

// instance is the workflow of the history.
func (h *history) instance() string { return "w-" + strings.ReplaceAll(string(h.owner), "@", ".") }

func (h *history) attestReader(rt *rapid.T) {
	h.o.physician = rapid.SampledFrom([]bool{true, true, true, false}).Draw(rt, "physician")
	h.o.contractor = rapid.SampledFrom([]bool{false, false, false, true}).Draw(rt, "contractor")
	list := []string{"emergency"}
	if h.o.contractor {
		list = append(list, "contractor")
	}
	if h.o.physician {
		list = append(list, "role=physician")
	}
	h.attest(reader, list...)
}

func (h *history) handOn(rt *rapid.T) {
	h.o.holder = rapid.SampledFrom([]identity.Name{reader, reader, stranger}).Draw(rt, "holder")
	h.hand(h.instance(), h.o.holder)
}

// sensible returns a grant under which some records may be read for treatment,
// with these records, if there is one. Or histories are of refusals.
func (h *history) sensible(other *modelGrant) (*modelGrant, []*modelRecord) {
	for _, g := range slices.Backward(h.o.grants) {
		who := g.to
		if who == "" {
			who = reader
		}
		var list []*modelRecord
		for _, r := range h.o.records {
			if h.o.allows(g, who, h.now(), consent.Treatment, len(g.cond.Obligations) > 0, []*modelRecord{r}) {
				list = append(list, r)
			}
		}
		if list != nil {
			return g, list
		}
	}
	return other, h.o.records
}
