package pre

import (
	"fmt"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/parallel"
)

// Delegation is an opened and checked grant: with it and t members' answers the
// reader opens records.
type Delegation struct {
	grant *Grant
	half  *pairing.PreparedG2 // E
	q     *pairing.PreparedG2 // Q of the granted typed identity

	erased bool
}

// Grant returns the grant that was opened.
func (d *Delegation) Grant() *Grant { return d.grant }

// Erase overwrites the reader's half. Later uses return [ErrErased].
func (d *Delegation) Erase() {
	d.half.Erase()
	d.erased = true
}

// Format prints the grant's id, never the half.
func (d Delegation) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "delegation of grant %s", d.grant.id)
}

// Open combines exactly t answers to an access and returns the keys of its
// records, in their order. current is the sharing the answers belong to; take it
// from certified state, for honest answers do not fit a forged one.
//
// The records' own tags tell whether the answers were right, so no proof is
// checked unless a record does not open. Then a [*BlameError] names the members
// whose proof fails, and no key is returned. If all proofs hold, the author of
// a record is at fault: an [*AuthorError] names those records, whose keys are
// nil, and the keys of the others are returned with it. [ErrShares] and
// [ErrNotCovered] say that the parts do not belong together.
func (d *Delegation) Open(current *Sharing, a *Access, answers []*Answer) ([]*RecordKey, error) {
	if d.erased {
		return nil, ErrErased
	}
	st, err := grantStatement(d.grant, current, a)
	if err != nil {
		return nil, err
	}
	return combine(st, current, a, answers, func(r *Record, p pairing.G1) (pairing.GT, int) {
		level, _ := d.grant.covers(r) // checked in grantStatement
		return d.half.PairProduct(r.envelope.u, p, d.q), level
	})
}

// OpenDecapsulated combines exactly t answers to an access without a grant. It
// fails as [Delegation.Open] does.
func (a *Access) OpenDecapsulated(authority *Sharing, answers []*Answer) ([]*RecordKey, error) {
	st, err := decapsulationStatement(authority, a)
	if err != nil {
		return nil, err
	}
	return combine(st, authority, a, answers, func(r *Record, p pairing.G1) (pairing.GT, int) {
		return pairing.Pair(p, r.header.Owner.typed(r.header.Type).point()), 0
	})
}

// combine interpolates the answers and opens each record with the K, and at the
// level, that open makes of the record and its combined point.
func combine(st statement, sharing *Sharing, a *Access, answers []*Answer, open func(*Record, pairing.G1) (pairing.GT, int)) ([]*RecordKey, error) {
	indices, generations := make([]uint8, len(answers)), make([]uint32, len(answers))
	whole := true
	for i, ans := range answers {
		if ans == nil {
			return nil, ErrShares
		}
		indices[i], generations[i] = ans.index, ans.generation
		whole = whole && len(ans.points) == len(a.Records)
	}
	l, err := sharing.lagrange(indices, generations)
	if err != nil {
		return nil, err
	}
	keys := make([]*RecordKey, len(a.Records))
	if whole {
		parallel.For(len(keys), func(j int) {
			parts := make([]pairing.G1, len(answers))
			for i, ans := range answers {
				parts[i] = ans.points[j]
			}
			k, level := open(a.Records[j], l.CombineG1(parts))
			if key, err := a.Records[j].openWrap(k, level); err == nil {
				keys[j] = key
			}
		})
	}
	return keys, judge(st, sharing, a, answers, keys)
}

// judge finds out who is at fault for the keys that are missing.
func judge(st statement, sharing *Sharing, a *Access, answers []*Answer, keys []*RecordKey) error {
	var author AuthorError
	for j, k := range keys {
		if k == nil {
			author.Records = append(author.Records, j)
		}
	}
	if len(author.Records) == 0 {
		return nil
	}
	var blame BlameError
	for _, ans := range answers {
		if ans.verify(st, sharing, a) != nil {
			blame.Members = append(blame.Members, ans.index)
		}
	}
	if len(blame.Members) > 0 {
		clear(keys)
		return &blame
	}
	return &author
}
