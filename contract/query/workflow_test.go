package query_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/workflow"
)

const errand = `workflow: ward/v1
name: errand
version: 1
counters: {c: {scope: owner, window: 7d, limit: 5}}
fields: {n: {type: int}}
states: {open: {}, done: {final: true}}
transitions:
  begin: {from: [start], to: open, by: [anyone], fields: {n: required}, count: {c: {add: fields.n}}, holder: actor}
  end: {from: [open], to: done, by: [holder], holder: nobody}
`

const instance workflow.ID = "w-aaaaaaaaaaaaaaaaaaaaaaaaaa"

var workflowQuestions = []query.Question{
	query.Workflow{ID: instance},
	query.Workflows{Owner: "p-000@north"},
	query.Workflows{Holder: "p-000@north", After: 3, Limit: 4},
	query.Workflows{Participant: "p-000@north"},
	query.Workflows{Definition: "errand", State: "open"},
	query.WorkflowSteps{ID: instance, After: 1, Limit: 2},
	query.WorkflowDefinition{Name: "errand", Version: 1},
	query.WorkflowDefinitions{From: "e", Proposed: true, Limit: 1},
	query.WorkflowProposal{Name: "errand", Version: 1, Hash: [32]byte{1}},
	query.WorkflowSummary{Definition: "errand", Org: "north", Since: 1, Until: 2},
	query.WorkflowCounter{Definition: "errand", Counter: "c", Of: "p-000@north", Key: "k"},
}

func TestWorkflowQuestionsSurviveTheirEncoding(t *testing.T) {
	for _, q := range workflowQuestions {
		b, err := query.Encode(q)
		if err != nil {
			t.Fatalf("%s: %v", q.Kind(), err)
		}
		back, err := query.Parse(b)
		if err != nil || !reflect.DeepEqual(back, q) {
			t.Errorf("%+v became %+v, %v", q, back, err)
		}
	}
}

func TestMalformedWorkflowQuestionsAreRefused(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, q := range []query.Question{
		query.Workflow{}, query.Workflow{ID: workflow.ID(long)},
		query.Workflows{}, query.Workflows{Owner: "nobody"}, query.Workflows{Owner: "p-1@north", Holder: "p-1@north"}, query.Workflows{Owner: "p-1@north", State: "open"},
		query.Workflows{State: "open"}, query.Workflows{Definition: long}, query.Workflows{Definition: "errand", Limit: -1}, query.Workflows{Definition: "a\x00b"},
		query.WorkflowSteps{}, query.WorkflowSteps{ID: instance, Limit: query.MaxLimit + 1},
		query.WorkflowDefinition{}, query.WorkflowDefinitions{From: long}, query.WorkflowProposal{},
		query.WorkflowSummary{}, query.WorkflowSummary{Definition: "errand", Since: 2, Until: 1}, query.WorkflowSummary{Definition: "errand", Since: -1}, query.WorkflowSummary{Definition: "errand", Until: 367 * 24 * 60 * 60 * 1000}, query.WorkflowSummary{Definition: "errand", Org: long},
		query.WorkflowCounter{}, query.WorkflowCounter{Definition: "errand"}, query.WorkflowCounter{Definition: "errand", Counter: "c", Key: long}, query.WorkflowCounter{Definition: "errand", Counter: "c", Of: long},
	} {
		if _, err := query.Encode(q); !errors.Is(err, query.ErrQuestion) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestAnswersAboutWorkflows(t *testing.T) {
	c := state(t, 2)
	do := func(signer, method string, args any) {
		t.Helper()
		if r := c.Run(c.Tx(signer, workflow.Contract, method, args)); r[0].Code != "" {
			t.Fatal(r[0].Code)
		}
	}
	get := func(q query.Question, v any) error { t.Helper(); return run(t, c, q, v) }
	def, err := workflow.Compile([]byte(errand))
	if err != nil {
		t.Fatal(err)
	}
	do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: []byte(errand)})
	var list []workflow.Proposal
	if err := get(query.WorkflowDefinitions{Proposed: true}, &list); err != nil || len(list) != 1 || list[0].InForce != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	var version query.WorkflowVersion
	if err := get(query.WorkflowProposal{Name: "errand", Version: 1, Hash: def.Hash()}, &version); err != nil || string(version.YAML) != errand {
		t.Errorf("%+v, %v", version, err)
	}
	for _, m := range ledgertest.Members(4)[1:] {
		if v := new(query.WorkflowVersion); get(query.WorkflowDefinition{Name: "errand"}, v) != nil {
			do(m, workflow.MethodEndorse, workflow.VersionArgs{Definition: "errand", Version: 1, Hash: def.Hash()})
		}
	}
	for _, n := range []uint32{0, 1} {
		version = query.WorkflowVersion{}
		if err := get(query.WorkflowDefinition{Name: "errand", Version: n}, &version); err != nil || string(version.YAML) != errand || version.Proposal.InForce == 0 {
			t.Errorf("%+v, %v", version, err)
		}
	}
	do("p-000@north", workflow.MethodStart, workflow.StartArgs{
		ID: instance, Definition: "errand", Version: 1, Owner: "p-001@north", Transition: "begin", Fields: []workflow.Field{{Name: "n", Value: workflow.Int(3)}},
	})
	do("p-000@north", workflow.MethodStep, workflow.StepArgs{ID: instance, After: 1, Transition: "end"})
	var one workflow.Instance
	if err := get(query.Workflow{ID: instance}, &one); err != nil || one.State != "done" {
		t.Errorf("%+v, %v", one, err)
	}
	for q, want := range map[query.Workflows]int{{Owner: "p-001@north"}: 1, {Holder: "p-000@north"}: 0, {Participant: "p-000@north"}: 1, {Definition: "errand", State: "open"}: 0, {Definition: "errand"}: 1} {
		var list []workflow.Instance
		if err := get(q, &list); err != nil || len(list) != want {
			t.Errorf("%+v: %+v, %v", q, list, err)
		}
	}
	var steps []workflow.Step
	if err := get(query.WorkflowSteps{ID: instance, After: 1}, &steps); err != nil || len(steps) != 1 || steps[0].Transition != "end" {
		t.Errorf("%+v, %v", steps, err)
	}
	var counts query.WorkflowCounts
	since := c.Now.UnixMilli() - 1<<27
	if err := get(query.WorkflowSummary{Definition: "errand", Org: "north", Since: since, Until: since + 1<<34}, &counts); err != nil || len(counts.Flows) != 2 || fmt.Sprint(counts.States) != "[{{} north done 1}]" {
		t.Errorf("%+v, %v", counts, err)
	}
	counts = query.WorkflowCounts{}
	if err := get(query.WorkflowSummary{Definition: "errand", Org: "south", Since: since, Until: since + 1<<34}, &counts); err != nil || len(counts.Flows)+len(counts.States) != 0 {
		t.Errorf("%+v, %v", counts, err)
	}
	var tally workflow.Tally
	if err := get(query.WorkflowCounter{Definition: "errand", Counter: "c", Of: "p-001@north"}, &tally); err != nil || tally.Sum != 3 {
		t.Errorf("%+v, %v", tally, err)
	}
	for _, q := range []query.Question{query.Workflow{ID: "w-"}, query.WorkflowDefinition{Name: "x"}, query.WorkflowDefinition{Name: "errand", Version: 2}, query.WorkflowProposal{Name: "errand", Version: 1}} {
		if err := get(q, nil); !errors.Is(err, workflow.ErrUnknown) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
