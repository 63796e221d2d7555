package endtoend

import (
	"context"
	"errors"
	"fmt"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

// The systems and the operations of the readers.
const (
	byName   = "grants by name"
	byPolicy = "one grant by policy"

	opOneMore = "let one more in"
)

// ofOwner is how many readers an owner has by name, at most: the chain lets 128
// grants of hers live at a time.
const ofOwner = 100

// readers measures what one more reader costs where there are many.
func readers(ctx context.Context, r *suite.Run, c *clinic) error {
	s := r.Section(report.Section{
		Name: "readers", Title: "One more reader, by how many there are", Param: "readers",
		Text: "Records are not touched, whoever reads them. By name: an owner makes a grant to each reader, of which an owner has at most 128 at a time; so up to 100 readers are of one owner, and 1,000 are of ten owners, 100 each. " +
			"By policy: one grant of one owner lets in whoever has an attribute; all readers are registered with it, and \"let one more in\" is what their hospital does, a key for one of them that he accepts; nobody else's key is touched or needed, and only those who are measured have one here. " +
			"Access is to one record, by one of the readers.",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogX: true},
	})
	n := &named{c: c}
	p, err := newTeam(ctx, c)
	if err != nil {
		return err
	}
	counts := suite.Pick(r, []int{1, 10, 40}, []int{1, 10, 100, 1000})
	for _, count := range counts {
		if err := errors.Join(n.grow(ctx, count), p.grow(ctx, count)); err != nil {
			return err
		}
		r.Progress("readers: %d", count)
		cases := []suite.Case{
			one(opOneMore, float64(count), n.oneMore(ctx)), one(opAccess, float64(count), n.access(ctx)),
			one(opOneMore, float64(count), p.oneMore(ctx)), one(opAccess, float64(count), p.access(ctx)),
		}
		for i := range cases {
			cases[i].System = []string{byName, byName, byPolicy, byPolicy}[i]
		}
		if err := s.MeasureFor(ctx, measure.Options{Rounds: suite.Pick(r, 3, 9)}, cases...); err != nil {
			return err
		}
	}
	most := float64(counts[len(counts)-1])
	for _, system := range []string{byName, byPolicy} {
		for _, op := range []string{opOneMore, opAccess} {
			err := s.Ratio("cpu", suite.Ref{Operation: op, System: system, At: most}, suite.Ref{Operation: op, System: system, At: 1}, report.Ratio{
				Name: fmt.Sprintf("%s, %s: with %.0f readers / with one", system, op, most), Text: "processor time; flat is 1",
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// owner is a patient with a record and a grant to somebody.
type owner struct {
	client *ward.Client
	record []record.ID
	grant  consent.GrantID
}

func newOwner(ctx context.Context, c *clinic, handle string, terms ward.Terms) (o owner, err error) {
	if o.client, err = c.enrol(ctx, 0, handle); err != nil {
		return o, err
	}
	if o.record, err = c.putOf(ctx, o.client.Name(), 1, 1, 2<<10); err != nil {
		return o, err
	}
	terms.Type = wide
	o.grant, err = o.client.Grant(ctx, terms)
	return o, err
}

// named are owners whose readers have a grant each. The first reader of each is
// the doctor.
type named struct {
	c      *clinic
	owners []owner
	have   int // readers
}

// grow brings the readers of all owners together to n.
func (n *named) grow(ctx context.Context, to int) error {
	for len(n.owners)*ofOwner < to {
		o, err := newOwner(ctx, n.c, fmt.Sprint("p-named-", len(n.owners)), ward.Terms{To: n.c.doctor.Name()})
		if err != nil {
			return err
		}
		n.owners = append(n.owners, o)
	}
	if err := n.c.names(ctx, 1, "reader", n.have, to); err != nil {
		return err
	}
	from := n.have
	n.have = to
	return atOnce(to-from, 8, func(i int) error {
		i += from
		if i%ofOwner == 0 {
			return nil // the doctor
		}
		return patiently(ctx, func() error {
			_, err := n.owners[i/ofOwner].client.Grant(ctx, ward.Terms{To: n.c.name(1, "reader", i), Type: wide})
			return err
		})
	})
}

// oneMore makes a grant, and takes it back, untimed.
func (n *named) oneMore(ctx context.Context) runner {
	return func(int) (measure.Spent, error) {
		o := n.owners[0].client
		begun := measure.Now()
		grant, err := o.Grant(ctx, ward.Terms{To: n.c.authors[0].Name(), Type: wide})
		if err != nil {
			return measure.Spent{}, err
		}
		spent := begun.Spent(1)
		return spent, o.Revoke(ctx, grant, ward.RevokeOptions{})
	}
}

func (n *named) access(ctx context.Context) runner {
	return measure.Timed(func() error { return accessBy(ctx, n.c.doctor, n.owners[0].grant, n.owners[0].record) })
}

// team is a hospital with an attribute authority, and an owner who has granted
// to its physicians.
type team struct {
	c         *clinic
	office    *ward.Client
	physician *ward.Client
	owner     owner
	have      int // physicians
}

var physician = identity.Attribute{Name: "role", Value: "physician"}

func newTeam(ctx context.Context, c *clinic) (t *team, err error) {
	t = &team{c: c, have: 1}
	if t.office, err = c.enrol(ctx, 0, "office"); err != nil {
		return nil, err
	}
	catalogue, err := abe.ParseCatalogue("role one of (nurse, physician)\n")
	if err != nil {
		return nil, err
	}
	authority, err := t.office.NextAuthority(ctx, catalogue)
	if err != nil {
		return nil, err
	}
	key, err := c.net.Key(0)
	if err != nil {
		return nil, err
	}
	if err := t.office.PublishAuthority(ctx, key, authority); err != nil {
		return nil, err
	}
	if t.physician, err = c.enrol(ctx, 0, "dr-kim", physician); err != nil {
		return nil, err
	}
	if err := t.issue(ctx); err != nil {
		return nil, err
	}
	t.owner, err = newOwner(ctx, c, "p-policy", ward.Terms{Policy: "role = physician"})
	return t, err
}

// grow brings the physicians to n.
func (t *team) grow(ctx context.Context, to int) error {
	from := t.have
	t.have = to
	return t.c.names(ctx, 0, "physician", from, to, physician)
}

// issue makes a key for the physician, who accepts it.
func (t *team) issue(ctx context.Context) error {
	sealed, err := t.office.IssueAttributeKey(ctx, t.physician.Name(), 0)
	if err != nil {
		return err
	}
	_, err = t.physician.AcceptAttributeKey(ctx, sealed)
	return err
}

func (t *team) oneMore(ctx context.Context) runner {
	return measure.Timed(func() error { return t.issue(ctx) })
}

func (t *team) access(ctx context.Context) runner {
	return measure.Timed(func() error { return accessBy(ctx, t.physician, t.owner.grant, t.owner.record) })
}
