package apitest

import (
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/workflow"
)

// answerFlow answers the questions about workflows, and reports whether it was
// one.
func (w *World) answerFlow(q query.Question) (value []byte, code chain.Code, is bool, err error) {
	find := func(id workflow.ID) ([]byte, chain.Code, error) {
		return first(w.Instances, workflow.ErrUnknown, func(i workflow.Instance) bool { return i.ID == id })
	}
	switch q := q.(type) {
	case query.Workflow:
		value, code, err = find(q.ID)
	case query.WorkflowState:
		value, code, err = find(q.ID)
	case query.Workflows:
		value, code, err = all(w.Instances, func(i workflow.Instance) bool {
			took := i.Starter == q.Participant || slices.Contains(w.Took[i.ID], q.Participant)
			return (q.Owner == "" || i.Owner == q.Owner) && (q.Holder == "" || i.Holder == q.Holder) && (q.Participant == "" || took) && i.Index > q.After
		})
	case query.WorkflowSteps, query.WorkflowCourse, query.WorkflowStates, query.WorkflowDefinitions:
		value, err = chain.Marshal([]int{})
	case query.WorkflowDefinition, query.WorkflowProposal:
		value, err = chain.Marshal(query.WorkflowVersion{})
	case query.WorkflowSummary:
		value, err = chain.Marshal(query.WorkflowCounts{})
	case query.WorkflowCounter:
		value, err = chain.Marshal(workflow.Tally{})
	default:
		return nil, "", false, nil
	}
	return value, code, true, err
}
