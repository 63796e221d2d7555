package apitest

import (
	"slices"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
)

// answer answers a question from the world.
func (w *World) answer(q query.Question) ([]byte, chain.Code, error) {
	switch q := q.(type) {
	case query.Identity:
		return first(w.Identities, identity.ErrUnknown, func(i identity.Identity) bool { return i.Name == q.Name })
	case query.Identities:
		return all(w.Identities, func(i identity.Identity) bool { return i.Name.Org() == q.Org })
	case query.Record:
		return first(w.Records, record.ErrUnknown, func(r record.Record) bool { return r.ID == q.ID })
	case query.Records:
		g := slices.IndexFunc(w.Grants, func(g query.GrantState) bool { return g.Grant.ID == q.Grant && g.Grant.Owner == q.Owner })
		if q.Grant != "" && g < 0 {
			return nil, consent.ErrUnknown, nil
		}
		return all(w.Records, func(r record.Record) bool {
			if g >= 0 && !w.Grants[g].Grant.Covers(&r) {
				return false
			}
			return r.Owner == q.Owner && (q.Author == "" || r.Author == q.Author) && below(string(q.Type), string(r.Type)) && r.Index > q.After
		})
	case query.Grant:
		return first(w.Grants, consent.ErrUnknown, func(g query.GrantState) bool { return g.Grant.ID == q.ID })
	case query.Grants:
		n := 0
		return all(w.Grants, func(g query.GrantState) bool {
			asked := g.Grant.Owner == q.Owner || q.Recipient != "" && g.Grant.Recipient == q.Recipient ||
				q.Authority != "" && strings.HasPrefix(g.Grant.Policy, q.Authority+":")
			if !asked || g.Grant.Index <= q.After || q.Reader != "" && g.Grant.Recipient != q.Reader && g.Grant.Policy == "" {
				return false
			}
			n++
			return q.Limit == 0 || n <= q.Limit
		})
	case query.Requests:
		return all(w.Requests, func(r consent.Request) bool { return r.Owner == q.Owner || r.From == q.From })
	case query.Accesses:
		return all(w.Accesses, func(a consent.Access) bool {
			return (q.Owner == "" || a.Owner == q.Owner) && (q.Reader == "" || a.Reader == q.Reader) &&
				(q.Record == "" || slices.Contains(a.Records, q.Record)) && (!q.Open || a.Review == consent.Open)
		})
	}
	if value, code, is, err := w.answerFlow(q); is {
		return value, code, err
	}
	b, err := chain.Marshal(query.AuthorityState{})
	return b, "", err
}

// below reports whether a type is listed under another: by whole components.
func below(t, o string) bool {
	return t == "" || t == o || len(o) > len(t) && o[:len(t)] == t && o[len(t)] == '/'
}

func first[T any](list []T, unknown chain.Code, is func(T) bool) ([]byte, chain.Code, error) {
	i := slices.IndexFunc(list, is)
	if i < 0 {
		return nil, unknown, nil
	}
	b, err := chain.Marshal(list[i])
	return b, "", err
}

func all[T any](list []T, is func(T) bool) ([]byte, chain.Code, error) {
	some := []T{}
	for _, v := range list {
		if is(v) {
			some = append(some, v)
		}
	}
	b, err := chain.Marshal(some)
	return b, "", err
}
