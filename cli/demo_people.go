package cli

import (
	"context"
	"fmt"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// A person of the story: somebody with a wallet and a client.
type person struct {
	name       identity.Name
	who        string // in English
	attributes []identity.Attribute
	custodial  bool // the hospital keeps the wallet
	nodes      []ward.Node
	close      []func() error
	*ward.Client
}

// The cast. Names and pseudonyms are made up.
type cast struct {
	patient, archive, lee, okafor, silva, reviewer *person
}

func newCast() *cast {
	has := func(names ...string) (out []identity.Attribute) {
		for _, n := range names {
			out = append(out, identity.Attribute{Name: n})
		}
		return out
	}
	return &cast{
		patient:  &person{name: "p-7f3a@north", who: "patient; the chain knows a pseudonym", custodial: true},
		archive:  &person{name: "archive@north", who: "record archive of the northern hospital", attributes: has(identity.Author)},
		lee:      &person{name: "dr.lee@east", who: "physician", attributes: has(identity.Author, identity.Emergency, "physician")},
		okafor:   &person{name: "dr.okafor@south", who: "emergency physician", attributes: has(identity.Emergency, "physician")},
		silva:    &person{name: "silva@west", who: "researcher", attributes: has("researcher")},
		reviewer: &person{name: "privacy@north", who: "privacy officer", attributes: has(identity.Auditor, identity.Reviewer)},
	}
}

func (c *cast) all() []*person {
	return []*person{c.patient, c.archive, c.lee, c.okafor, c.silva, c.reviewer}
}

// enrol gives everybody a wallet, and registers them on the word of their
// hospital.
func (d *demo) enrol(ctx context.Context, c *cast) error {
	end := d.begin("enrol", "Each hospital registers its people")
	rows := [][]string{}
	for _, p := range c.all() {
		if err := d.join(ctx, p); err != nil {
			return fmt.Errorf("register %s: %w", p.name, err)
		}
		attributes := ""
		for i, a := range p.attributes {
			if i > 0 {
				attributes += ", "
			}
			attributes += a.Name
		}
		rows = append(rows, []string{string(p.name), attributes, d.tr(p.who)})
	}
	d.table([]string{"NAME", "ATTRIBUTES", "WHO"}, rows)
	end()
	return nil
}

// What the story grants.
const (
	exams         pre.Type = "clinical/exam"
	labResults    pre.Type = "clinical/exam/lab"
	prescriptions pre.Type = "clinical/medication/prescription"
	allergies     pre.Type = "clinical/allergy"
)
