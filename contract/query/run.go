package query

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
)

// MaxList is the size in bytes at which a list ends before its limit, so that
// an answer fits a response. A list that is shorter than its limit and than
// this is the last part. Part of the format.
const MaxList = 1 << 20

// state is what a question is answered from.
type state struct {
	of    func(contract string) ledger.Reader
	chain string
	time  int64
}

// Run answers a question from the whole state; of gives the namespace of a
// contract, time is that of the state's block in Unix milliseconds. A thing
// that is not there is an error that is the contract's ErrUnknown. Every member
// comes to the same bytes from the same state: the answer is signed.
func Run(of func(contract string) ledger.Reader, chainID string, time int64, q Question) ([]byte, error) {
	if q == nil {
		return nil, fmt.Errorf("run: %w: nil", ErrQuestion)
	}
	if err := q.check(); err != nil {
		return nil, fmt.Errorf("run %s: %w", q.Kind(), err)
	}
	v, err := q.run(state{of: of, chain: chainID, time: time})
	if err != nil {
		return nil, err
	}
	b, err := chain.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", q.Kind(), err)
	}
	return b, nil
}

func (q Identity) run(s state) (any, error) {
	return identity.Lookup(s.of(identity.Contract), q.Name)
}

func (q Identities) run(s state) (any, error) {
	p := newPage[identity.Identity](q.Limit)
	err := identity.Each(s.of(identity.Contract), q.Org, q.After, p.add)
	return p.list(err)
}

func (q Record) run(s state) (any, error) {
	return record.Lookup(s.of(record.Contract), q.ID)
}

func (q Records) run(s state) (any, error) {
	p := newPage[record.Record](q.Limit)
	f := record.Filter{Type: q.Type, Since: q.Since, Until: q.Until, Author: q.Author, Erased: q.Erased}
	add := p.add
	if q.Grant != "" {
		g, err := consent.Lookup(s.of(consent.Contract), q.Grant)
		if err != nil {
			return nil, err
		}
		if g.Owner != q.Owner {
			return nil, consent.ErrUnknown
		}
		add = func(r *record.Record) bool { return !g.Covers(r) || p.add(r) }
	}
	err := record.Each(s.of(record.Contract), q.Owner, q.After, f, add)
	return p.list(err)
}

func (q Grant) run(s state) (any, error) {
	g, err := consent.Lookup(s.of(consent.Contract), q.ID)
	if err != nil {
		return nil, err
	}
	return s.grant(g)
}

func (q Grants) run(s state) (any, error) {
	p := newPage[consent.Grant](q.Limit)
	r := s.of(consent.Contract)
	var err error
	switch {
	case q.Reader != "":
		err = q.usable(s, p)
	case q.Owner != "":
		err = consent.EachByOwner(r, q.Owner, q.After, p.add)
	case q.Authority != "":
		err = consent.EachByAuthority(r, q.Authority, q.After, nil, p.add)
	default:
		err = consent.EachByRecipient(r, q.Recipient, q.After, p.add)
	}
	grants, err := p.list(err)
	if err != nil {
		return nil, err
	}
	out := make([]GrantState, 0, len(grants))
	for i := range grants {
		g, err := s.grant(&grants[i])
		if err != nil {
			return nil, err
		}
		out = append(out, *g)
	}
	return out, nil
}

// usable lists what a reader may use. It does not ask whether the reader's
// organisation is a member still: the contract does.
func (q Grants) usable(s state, p *page[consent.Grant]) error {
	reader, err := identity.Lookup(s.of(identity.Contract), q.Reader)
	if err != nil {
		return err
	}
	attributes, err := reader.Certified(s.time)
	if err != nil {
		attributes = abe.Attributes{}
	}
	satisfied := func(policy string) bool {
		parsed, perr := abe.ParsePolicy(policy)
		if perr != nil || err != nil {
			return false
		}
		part, perr := parsed.Part(q.Reader.Org())
		return perr == nil && part != nil && part.Evaluate(attributes)
	}
	r := s.of(consent.Contract)
	if q.Authority != "" {
		return consent.EachByAuthority(r, q.Authority, q.After, satisfied, p.add)
	}
	return consent.EachByOwner(r, q.Owner, q.After, func(g *consent.Grant) bool {
		if g.Recipient != q.Reader && (g.Policy == "" || !satisfied(g.Policy)) {
			return true
		}
		return p.add(g)
	})
}

func (q AttributeAuthority) run(s state) (any, error) {
	return identity.LookupAuthority(s.of(identity.Contract), q.Name, q.Epoch)
}

func (q Defaults) run(s state) (any, error) {
	return consent.LookupDefaults(s.of(consent.Contract), q.Org)
}

func (q Requests) run(s state) (any, error) {
	p := newPage[consent.Request](q.Limit)
	err := consent.EachRequest(s.of(consent.Contract), q.Owner, q.From, q.After, p.add)
	return p.list(err)
}

func (q Accesses) run(s state) (any, error) {
	p := newPage[consent.Access](q.Limit)
	sel := consent.Accesses{Owner: q.Owner, Reader: q.Reader, Record: q.Record, Open: q.Open}
	err := consent.EachAccess(s.of(consent.Contract), sel, q.After, p.add)
	return p.list(err)
}

func (Authority) run(s state) (any, error) {
	r := s.of(keys.Contract)
	a, err := keys.Current(r)
	if err != nil {
		return nil, err
	}
	last, err := keys.Latest(r)
	if err != nil {
		return nil, err
	}
	out := &AuthorityState{Moving: last != nil && last.Moving()}
	if a == nil {
		return out, nil
	}
	out.Ready, out.Generation, out.Members = true, a.Generation, a.Members
	out.Identity, out.Checkpoint = a.Identity, a.Checkpoint
	for _, m := range a.Members {
		t, err := keys.Transport(r, m)
		if err != nil {
			return nil, err
		}
		out.Transport = append(out.Transport, t)
	}
	return out, nil
}

// grant adds to a grant what depends on the owner and on the ceremonies since.
func (s state) grant(g *consent.Grant) (*GrantState, error) {
	keysState := s.of(keys.Contract)
	status, err := consent.Standing(g, s.of(identity.Contract), keysState, s.time)
	if err != nil {
		return nil, err
	}
	out := &GrantState{Grant: *g, Status: status}
	sharing, holders, err := g.InForce(keysState)
	switch {
	case errors.Is(err, consent.ErrLost):
		out.Lost = true
	case err != nil:
		return nil, err
	default:
		out.Sharing, out.Holders = sharing.Bytes(), holders
	}
	return out, nil
}

// A page collects the entries of a list.
type page[T any] struct {
	limit int
	size  int
	out   []T
	err   error
}

func newPage[T any](limit int) *page[T] {
	if limit == 0 {
		limit = DefaultLimit
	}
	return &page[T]{limit: limit, out: []T{}}
}

// add takes an entry and reports whether there is room for another.
func (p *page[T]) add(v *T) bool {
	b, err := chain.Marshal(v)
	if err != nil {
		p.err = err
		return false
	}
	p.size += len(b)
	p.out = append(p.out, *v)
	return len(p.out) < p.limit && p.size < MaxList
}

func (p *page[T]) list(err error) ([]T, error) {
	if err = errors.Join(err, p.err); err != nil {
		return nil, err
	}
	return p.out, nil
}
