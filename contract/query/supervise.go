package query

import (
	"fmt"

	"github.com/ward-health/ward/contract/workflow"
)

// The questions about workflows that say nothing of what was entered: for those
// who supervise, and for whoever is about to take a step.
type (
	// WorkflowState asks for one instance. The answer is a workflow.Instance
	// without its variables, documents, charges and claims.
	WorkflowState struct {
		_  struct{} `cbor:",toarray"`
		ID workflow.ID
	}
	// WorkflowStates asks for the instances of a definition, in one state or in
	// all. The answer is []workflow.Instance as WorkflowState has them.
	WorkflowStates struct {
		_          struct{} `cbor:",toarray"`
		Definition string
		State      string // "" for all
		After      uint64
		Limit      int
	}
	// WorkflowCourse asks for the history of an instance, after a number of a
	// step. The answer is []workflow.Step without fields and documents.
	WorkflowCourse struct {
		_     struct{} `cbor:",toarray"`
		ID    workflow.ID
		After uint32
		Limit int
	}
)

// Kind implements Question.
func (WorkflowState) Kind() string { return "workflow-state" }

// Kind implements Question.
func (WorkflowStates) Kind() string { return "workflow-states" }

// Kind implements Question.
func (WorkflowCourse) Kind() string { return "workflow-course" }

func (q WorkflowState) check() error { return checkID(string(q.ID)) }

func (q WorkflowStates) check() error {
	if err := checkID(q.Definition); err != nil {
		return err
	}
	if len(q.State) > 64 {
		return fmt.Errorf("%w: state of %d bytes", ErrQuestion, len(q.State))
	}
	return checkPage(q.After, q.Limit)
}

func (q WorkflowCourse) check() error {
	if err := checkID(string(q.ID)); err != nil {
		return err
	}
	return checkPage(uint64(q.After), q.Limit)
}

func (q WorkflowState) run(s state) (any, error) {
	i, err := workflow.Lookup(s.of(workflow.Contract), q.ID)
	if err != nil {
		return nil, err
	}
	return bare(i), nil
}

func (q WorkflowStates) run(s state) (any, error) {
	p := newPage[workflow.Instance](q.Limit)
	sel := workflow.Selection{Definition: q.Definition, State: q.State}
	err := workflow.Each(s.of(workflow.Contract), sel, q.After, func(i *workflow.Instance) bool { return p.add(bare(i)) })
	return p.list(err)
}

func (q WorkflowCourse) run(s state) (any, error) {
	p := newPage[workflow.Step](q.Limit)
	err := workflow.EachStep(s.of(workflow.Contract), q.ID, q.After, func(step *workflow.Step) bool {
		step.Fields, step.Documents = nil, nil
		return p.add(step)
	})
	return p.list(err)
}

// bare takes from an instance what was entered.
func bare(i *workflow.Instance) *workflow.Instance {
	i.Variables, i.Documents, i.Charges, i.Claims = nil, nil, nil, nil
	return i
}
