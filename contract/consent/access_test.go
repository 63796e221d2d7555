package consent_test

import (
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// open answers an access as t members do and opens its records as the reader
// does, with nothing but what is on the chain and everybody's own secrets.
func (w *world) open(args consent.AccessArgs, id chain.Hash, members ...string) []string {
	w.Helper()
	dealt, err := pre.ParseGrant(w.lookup(args.Grant).Raw)
	if err != nil {
		w.Fatal(err)
	}
	d, err := dealt.Open(w.key(reader, "", true))
	if err != nil {
		w.Fatal(err)
	}
	return w.openWith(d, args, id, members...)
}

// openWith is open for who has the reader's half in another way.
func (w *world) openWith(d *pre.Delegation, args consent.AccessArgs, id chain.Hash, members ...string) []string {
	w.Helper()
	g := w.lookup(args.Grant)
	dealt, err := pre.ParseGrant(g.Raw)
	if err != nil {
		w.Fatal(err)
	}
	sharing, _, err := g.InForce(w.of(keys.Contract))
	if err != nil {
		w.Fatal(err)
	}
	a := &pre.Access{ID: id, Requester: args.Transport}
	var sealed [][]byte
	for _, rid := range args.Records {
		r, err := record.Lookup(w.of(record.Contract), rid)
		if err != nil {
			w.Fatal(err)
		}
		v, err := r.Verified(w.c.Consortium.Chain)
		if err != nil {
			w.Fatal(err)
		}
		a.Records = append(a.Records, v)
		sealed = append(sealed, w.c.Sidecars[r.Index])
	}
	var answers []*pre.Answer
	for _, m := range members {
		ans, err := w.members.Grants[string(args.Grant)][m].Reencrypt(dealt, sharing, a)
		if err != nil {
			w.Fatalf("%s: %v", m, err)
		}
		answers = append(answers, ans)
	}
	opened, err := d.Open(sharing, a, answers)
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for i, k := range opened {
		b, err := k.OpenIndex(sealed[i])
		if err != nil {
			w.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

func TestGrantAccessOpenRevoke(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical/exam/lab", 3)
	g := w.grant(patient, reader, "clinical/exam", terms{})
	args := w.ask(g, id)
	r := w.must(w.do(reader, consent.MethodAccess, args))
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil {
		t.Fatal(err)
	}
	if got := w.open(args, a.ID, "east", "north", "west"); got[0] != "index of "+string(id) {
		t.Errorf("opened %q", got)
	}
	if err := w.serveable(a.Index, w.now()); err != nil {
		t.Errorf("members refuse: %v", err)
	}
	var result consent.AccessResult
	if err := chain.Unmarshal(r.Value, &result); err != nil {
		t.Fatal(err)
	}
	rec, err := record.Lookup(w.of(record.Contract), id)
	if err != nil {
		t.Fatal(err)
	}
	if hash, err := consent.RecordsHash([]*record.Record{rec}); err != nil || hash != result.Records {
		t.Errorf("the result names other records: %v", err)
	}
	w.revoke(g)
	w.refused(w.do(reader, consent.MethodAccess, w.ask(g, id)), consent.ErrRevoked)
	if err := w.serveable(a.Index, w.now()); err != consent.ErrRevoked {
		t.Errorf("members answer a revoked grant: %v", err)
	}
}
