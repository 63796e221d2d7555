package api_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
)

// The people of a workflow, besides those of the other tests.
const (
	starter   = "dr.rx@north"
	holder    = "green@south"
	once      = "blue@west"    // held it once
	invited   = "li@north"     // was granted the document, for as long as he holds it
	regulator = "inspect@east" // by attribute
)

var flowPeople = []string{owner, other, mother, lapsed, starter, holder, once, invited, regulator, auditor, medic, grantee, stranger, west}

// flowWorld adds an instance of the owner's to the world, and one of another
// patient's.
func flowWorld(h *house) {
	world(h)
	for _, name := range []string{starter, holder, once, invited} {
		h.Register(identity.Name(name))
	}
	h.Register(regulator, workflow.Regulator)
	h.Set(func(w *apitest.World) {
		w.Instances = []workflow.Instance{
			{ID: "w-1", Definition: "rx", Version: 1, Owner: owner, Starter: starter, Holder: holder, Index: 20, Steps: 2, Variables: []workflow.Field{{Name: "dose", Value: workflow.Int(3)}}},
			{ID: "w-2", Definition: "rx", Version: 1, Owner: other, Starter: other, Index: 21, Steps: 1},
		}
		w.Took = map[workflow.ID][]identity.Name{"w-1": {once}}
		w.Grants = append(w.Grants, query.GrantState{Status: consent.StatusActive, Grant: consent.Grant{
			ID: "g-9", Index: 30, Owner: owner, Recipient: invited, Type: "rx/w-1", Conditions: consent.Conditions{Instance: "w-1"},
		}}, query.GrantState{Status: consent.StatusRevoked, Grant: consent.Grant{
			ID: "g-10", Index: 31, Owner: owner, Recipient: stranger, Type: "rx/w-1", Conditions: consent.Conditions{Instance: "w-1"},
		}}, query.GrantState{Status: consent.StatusActive, Grant: consent.Grant{ // of another instance
			ID: "g-11", Index: 32, Owner: owner, Recipient: grantee, Type: "rx/w-9", Conditions: consent.Conditions{Instance: "w-9"},
		}})
	})
}

// TestWhoMayAskWhatOfWorkflows asks every question as everybody.
func TestWhoMayAskWhatOfWorkflows(t *testing.T) {
	h := open(t, api.Options{})
	flowWorld(h)
	part := []string{owner, starter, holder, once, invited}
	everybody := flowPeople
	for _, c := range []struct {
		what string
		q    query.Question
		may  []string
	}{
		{"an instance", query.Workflow{ID: "w-1"}, part},
		{"another patient's instance", query.Workflow{ID: "w-2"}, []string{other}},
		{"an instance that is not there", query.Workflow{ID: "w-3"}, everybody},
		{"its steps", query.WorkflowSteps{ID: "w-1"}, part},
		{"the steps of one that is not there", query.WorkflowSteps{ID: "w-3"}, everybody},
		{"where it stands", query.WorkflowState{ID: "w-1"}, everybody},
		{"its course", query.WorkflowCourse{ID: "w-1"}, append([]string{regulator}, part...)},
		{"another patient's course", query.WorkflowCourse{ID: "w-2"}, []string{other, regulator}},
		{"an owner's", query.Workflows{Owner: owner}, []string{owner}},
		{"a holder's", query.Workflows{Holder: holder}, []string{holder}},
		{"a participant's", query.Workflows{Participant: once}, []string{once}},
		{"all of a definition", query.Workflows{Definition: "rx"}, nil},
		{"where all of a definition stand", query.WorkflowStates{Definition: "rx"}, []string{regulator}},
		{"the counts", query.WorkflowSummary{Definition: "rx"}, []string{regulator}},
		{"an owner's counter", query.WorkflowCounter{Definition: "rx", Counter: "c", Of: owner}, []string{owner, regulator}},
		{"a hospital's counter", query.WorkflowCounter{Definition: "rx", Counter: "c", Of: "south"}, []string{regulator, holder, mother, lapsed}},
		{"the consortium's counter", query.WorkflowCounter{Definition: "rx", Counter: "c"}, []string{regulator}},
		{"a definition", query.WorkflowDefinition{Name: "rx"}, everybody},
		{"the definitions", query.WorkflowDefinitions{}, everybody},
		{"a proposal", query.WorkflowProposal{Name: "rx", Version: 1}, everybody},
	} {
		question := encode(t, c.q)
		for _, who := range everybody {
			_, err := h.as(t, who).Ask(t.Context(), question)
			denied := errors.Is(err, workflow.ErrDenied) || errors.Is(err, identity.ErrDenied)
			if may := may(c.may, who); may && err != nil || !may && !denied {
				t.Errorf("%s asks for %s: %v, allowed: %v", who, c.what, err, may)
			}
		}
	}
}

// TestWhoMaySeeASteps: what was entered is for those who see the instance. A
// regulator has the event, which says who did what, but not the transaction.
func TestWhoMaySeeASteps(t *testing.T) {
	h := open(t, api.Options{})
	flowWorld(h)
	event := &workflow.StepEvent{Definition: "rx", Owner: owner, Step: workflow.Step{Instance: "w-1", By: holder, Holder: holder}}
	put := func(method string, s apitest.Script) uint64 {
		r, err := h.Submit(t.Context(), h.Tx(holder, workflow.Contract, method, s, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Index
	}
	step := put(workflow.MethodStep, apitest.Emit(t, workflow.EventStep, event))
	define := put(workflow.MethodDefine, apitest.Emit(t, workflow.EventDefine, &workflow.Proposal{Definition: "rx"}))
	refused := put(workflow.MethodStep, apitest.Script{Code: workflow.ErrState})
	part := []string{owner, starter, holder, once, invited}
	for index, list := range map[uint64][]string{step: part, define: flowPeople, refused: {holder}} {
		for _, who := range flowPeople {
			_, err := h.as(t, who).Receipt(t.Context(), index)
			may := may(list, who) && !(index == refused && who == mother)
			if may && err != nil || !may && !errors.Is(err, identity.ErrDenied) {
				t.Errorf("%s, transaction %d: %v, allowed: %v", who, index, err, may)
			}
		}
	}
}

// TestRegulatorOfAFormerMemberSeesNothing.
func TestRegulatorOfAFormerMemberSeesNothing(t *testing.T) {
	h := open(t, api.Options{})
	flowWorld(h)
	question := encode(t, query.WorkflowSummary{Definition: "rx"})
	if _, err := h.as(t, regulator).Ask(t.Context(), question); err != nil {
		t.Fatal(err)
	}
	without := *h.k
	without.Members = slices.DeleteFunc(slices.Clone(h.k.Members), func(m chain.Member) bool { return m.Name == "east" })
	h.SetMembers(&without)
	if _, err := h.as(t, regulator).Ask(t.Context(), question); !errors.Is(err, workflow.ErrDenied) {
		t.Errorf("error %v", err)
	}
}
