package api_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
)

// TestReaderDoesNotListTheAccessesToARecord: not even if all of them are his own,
// for by the refusal he would learn of others.
func TestReaderDoesNotListTheAccessesToARecord(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	h.Set(func(w *apitest.World) { w.Accesses = w.Accesses[:1] })
	if _, err := h.as(t, grantee).Ask(t.Context(), encode(t, query.Accesses{Record: "r-1"})); !errors.Is(err, consent.ErrDenied) {
		t.Errorf("the only reader: %v, want ErrDenied", err)
	}
}

// TestOnlyAGrantInForceShowsRecords: one whose owner has moved on, too, for the
// records of before.
func TestOnlyAGrantInForceShowsRecords(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	for status, shows := range map[consent.Status]bool{
		consent.StatusPending: false, consent.StatusActive: true, consent.StatusEarly: false, consent.StatusExpired: false,
		consent.StatusUsedUp: false, consent.StatusRevoked: false, consent.StatusStale: true, consent.StatusLost: false,
	} {
		h.Set(func(w *apitest.World) { w.Grants[0].Status = status })
		for _, q := range []query.Question{query.Record{ID: "r-1"}, query.Records{Owner: owner, Type: "clinical/exam"}, query.Records{Owner: owner, Grant: "g-1"}} {
			if _, err := h.as(t, grantee).Ask(t.Context(), encode(t, q)); shows && err != nil || !shows && !errors.Is(err, record.ErrDenied) {
				t.Errorf("%s under a grant that is %s: %v, shown: %v", q.Kind(), status, err, shows)
			}
		}
	}
}

// widening answers what a grant covers with all records of its owner, as members
// do for whom the grant is wider than for this one.
type widening struct{ *apitest.Node }

func (n *widening) Ask(ctx context.Context, question []byte) (*query.Answer, error) {
	q, err := query.Parse(question)
	if err != nil {
		return nil, err
	}
	if r, ok := q.(query.Records); ok {
		r.Grant = ""
		if question, err = query.Encode(r); err != nil {
			return nil, err
		}
	}
	return n.Node.Ask(ctx, question)
}

// TestWhatTheGrantDoesNotCoverIsNotListed, whatever the members answer.
func TestWhatTheGrantDoesNotCoverIsNotListed(t *testing.T) {
	h := open(t, api.Options{})
	h.url, h.stop = apitest.Serve(t, &widening{h.Node}, api.Options{})
	world(h)
	question := encode(t, query.Records{Owner: owner, Grant: "g-1"})
	if _, err := h.as(t, grantee).Ask(t.Context(), question); !errors.Is(err, record.ErrDenied) {
		t.Errorf("r-2 is listed: %v, want ErrDenied", err)
	}
	if a, err := h.as(t, owner).Ask(t.Context(), question); err != nil || len(a.Value) == 0 {
		t.Errorf("the owner: %v", err)
	}
}

// TestStepsAreToldToWhoMaySeeThem: those with a part in the workflow, and regulators.
func TestStepsAreToldToWhoMaySeeThem(t *testing.T) {
	h := open(t, api.Options{})
	flowWorld(h)
	event := &workflow.StepEvent{Definition: "rx", Owner: owner, Step: workflow.Step{Instance: "w-1", By: holder, Holder: holder}}
	var both []uint64
	for _, s := range []apitest.Script{
		apitest.Emit(t, workflow.EventStep, event), apitest.Emit(t, workflow.EventDefine, &workflow.Proposal{Definition: "rx"}), // which all may see
	} {
		r, err := h.Submit(t.Context(), h.Tx(holder, workflow.Contract, workflow.MethodStep, s, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, r.Index)
	}
	for _, who := range flowPeople {
		want := both
		if !may([]string{owner, starter, holder, once, invited, regulator}, who) {
			want = both[1:]
		}
		if got := follow(t, h, who, -1, len(want)); !slices.Equal(got, want) {
			t.Errorf("%s is told of %d, want %d", who, got, want)
		}
	}
}
