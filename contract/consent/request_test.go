package consent_test

import (
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
)

// request sends a request and returns its id.
func (w *world) request(from identity.Name, args consent.RequestArgs) string {
	w.Helper()
	w.must(w.do(from, consent.MethodRequest, args))
	var id string
	err := consent.EachRequest(w.of(consent.Contract), args.Owner, from, w.last()-1, func(q *consent.Request) bool { id = q.ID; return true })
	if err != nil || id == "" {
		w.Fatalf("request %q, %v", id, err)
	}
	return id
}

func (w *world) requested(id string) *consent.Request {
	w.Helper()
	q, err := consent.LookupRequest(w.of(consent.Contract), id)
	if err != nil {
		w.Fatal(err)
	}
	return q
}

func TestRequestIsAnsweredByAGrant(t *testing.T) {
	w := newWorld(t)
	args := consent.RequestArgs{Owner: patient, Type: "clinical/exam", Purpose: consent.Treatment, NotAfter: w.now() + day.Milliseconds()}
	id := w.request(reader, args)
	q := w.requested(id)
	if q.State != consent.RequestOpen || q.From != reader || q.Owner != patient || q.Type != "clinical/exam" || q.Index != w.last() || q.Time != w.now() {
		t.Errorf("request is %+v", q)
	}
	try := func(owner, to identity.Name, typ string) chain.Result {
		o := w.offer(owner, to, "clinical", terms{})
		if typ != "clinical" {
			o = w.offer(owner, to, "clinical/exam/lab", terms{})
		}
		o.args.Answers = id
		return o.send()
	}
	w.refused(try(other, reader, "clinical"), consent.ErrDenied)
	w.refused(try(patient, stranger, "clinical"), consent.ErrRecipient)
	w.refused(try(patient, reader, "less"), consent.ErrType)
	w.must(try(patient, reader, "clinical"))
	if q := w.requested(id); q.State != consent.RequestGranted || q.Grant == "" {
		t.Errorf("request is %+v", q)
	}
	w.refused(try(patient, reader, "clinical"), consent.ErrReviewed)
	w.request(reader, args) // again, since the first is closed
}

func TestRequestIsDeniedOrWithdrawn(t *testing.T) {
	w := newWorld(t)
	args := consent.RequestArgs{Owner: patient, Purpose: consent.Research}
	for _, c := range []struct {
		by   identity.Name
		want string
	}{{patient, consent.RequestDenied}, {reader, consent.RequestWithdrawn}} {
		id := w.request(reader, args)
		deny := consent.DenyArgs{Request: id}
		w.refused(w.do(stranger, consent.MethodDeny, deny), consent.ErrDenied)
		w.refused(w.do("north", consent.MethodDeny, deny), consent.ErrDenied)
		w.refused(w.do(reader, consent.MethodRequest, args), consent.ErrTaken) // one at a time
		w.must(w.do(c.by, consent.MethodDeny, deny))
		if q := w.requested(id); q.State != c.want || q.Grant != "" {
			t.Errorf("request is %+v", q)
		}
		w.refused(w.do(c.by, consent.MethodDeny, deny), consent.ErrReviewed)
	}
	w.refused(w.do(patient, consent.MethodDeny, consent.DenyArgs{Request: "nothing"}), consent.ErrUnknown)
	w.refused(w.do(patient, consent.MethodDeny, []byte{1}), consent.ErrMalformed)
}

func TestRequestIsRefused(t *testing.T) {
	w := newWorld(t)
	good := consent.RequestArgs{Owner: patient, Type: "clinical", Purpose: consent.Treatment}
	for what, c := range map[string]struct {
		want chain.Code
		edit func(*consent.RequestArgs)
	}{
		"of nobody":      {consent.ErrUnknown, func(a *consent.RequestArgs) { a.Owner = "nobody@north" }},
		"of oneself":     {consent.ErrDenied, func(a *consent.RequestArgs) { a.Owner = reader }},
		"of no type":     {consent.ErrMalformed, func(a *consent.RequestArgs) { a.Type = "Clinical" }},
		"of the inbox":   {consent.ErrMalformed, func(a *consent.RequestArgs) { a.Type = "#inbox" }},
		"for no purpose": {consent.ErrMalformed, func(a *consent.RequestArgs) { a.Purpose = "" }},
		"of the past":    {consent.ErrExpired, func(a *consent.RequestArgs) { a.NotAfter = w.now() }},
		"before time":    {consent.ErrMalformed, func(a *consent.RequestArgs) { a.NotAfter = -1 }},
	} {
		args := good
		c.edit(&args)
		if got := w.do(reader, consent.MethodRequest, args).Code; got != c.want {
			t.Errorf("%s: code is %q, want %q", what, got, c.want)
		}
	}
	w.refused(w.do("north", consent.MethodRequest, good), consent.ErrDenied)
	w.refused(w.do(reader, consent.MethodRequest, []byte{1}), consent.ErrMalformed)
}

func TestListingsOfRequests(t *testing.T) {
	w := newWorld(t)
	a := w.request(reader, consent.RequestArgs{Owner: patient, Type: "clinical", Purpose: consent.Treatment})
	b := w.request(reader, consent.RequestArgs{Owner: other, Type: "clinical", Purpose: consent.Treatment})
	c := w.request(stranger, consent.RequestArgs{Owner: patient, Type: "clinical", Purpose: consent.Treatment})
	for _, x := range []struct {
		owner, from identity.Name
		after       uint64
		want        []string
	}{
		{patient, "", 0, []string{a, c}},
		{"", reader, 0, []string{a, b}},
		{patient, stranger, 0, []string{c}},
		{patient, "", w.requested(a).Index, []string{c}},
		{reader, "", 0, nil},
	} {
		var got []string
		err := consent.EachRequest(w.of(consent.Contract), x.owner, x.from, x.after, func(q *consent.Request) bool { got = append(got, q.ID); return true })
		if err != nil || !slices.Equal(got, x.want) {
			t.Errorf("to %q from %q after %d: %v, want %v (%v)", x.owner, x.from, x.after, got, x.want, err)
		}
	}
}
