package api

import (
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/node/protocol"
)

// What a caller may see of workflows. Definitions are for everybody. An instance
// with what was entered is for its owner, for whoever started it, took a step of
// it or held it, and for those with a grant in force that the owner made for it.
// Regulators see all instances without what was entered. Where an instance
// stands is for whoever knows its id, which nobody can guess.

// mayAskFlow is mayAsk for questions about workflows.
func (s *Server) mayAskFlow(c *call, q query.Question) (check, error) {
	regulator := c.has(workflow.Regulator)
	switch q := q.(type) {
	case query.WorkflowDefinition, query.WorkflowDefinitions, query.WorkflowProposal, query.WorkflowState:
		return allowed, nil
	case query.Workflow:
		return one(workflow.ErrDenied, func(i *workflow.Instance) (bool, error) { return s.seesFlow(c, i) }), nil
	case query.WorkflowSteps:
		return s.mayAskSteps(c, q.ID)
	case query.WorkflowCourse:
		if regulator {
			return allowed, nil
		}
		return s.mayAskSteps(c, q.ID)
	case query.Workflows:
		ok, err := c.partOf(q.Owner, q.Holder, q.Participant)
		return whenFlow(ok, err)
	case query.WorkflowStates, query.WorkflowSummary:
		return whenFlow(regulator, nil)
	case query.WorkflowCounter:
		own := c.who.Identity != nil && q.Of == c.who.Identity.Name.Org()
		if regulator || own {
			return allowed, nil
		}
		ok, err := c.partOf(identity.Name(q.Of))
		return whenFlow(ok, err)
	}
	return nil, protocol.ErrDenied // a question that this list does not know yet
}

// mayAskSteps decides on the history of an instance by the instance.
func (s *Server) mayAskSteps(c *call, id workflow.ID) (check, error) {
	i, code, err := lookUp[workflow.Instance](s, c, query.WorkflowState{ID: id})
	switch {
	case err != nil:
		return nil, err
	case code != "":
		return allowed, nil // there is none
	}
	ok, err := s.seesFlow(c, i)
	return whenFlow(ok, err)
}

// whenFlow allows what is ok.
func whenFlow(ok bool, err error) (check, error) {
	if err == nil && !ok {
		err = workflow.ErrDenied
	}
	return allowed, err
}

// seesFlow reports whether the caller may see an instance with what was entered.
func (s *Server) seesFlow(c *call, i *workflow.Instance) (bool, error) {
	if c.who.Member != nil {
		return true, nil
	}
	if part, err := c.partOf(i.Owner, i.Starter, i.Holder); err != nil || part {
		return part, err
	}
	if c.who.Identity == nil {
		return false, nil
	}
	took, err := s.tookPart(c, i)
	if err != nil || took {
		return took, err
	}
	return s.grantedFlow(c, i)
}

// tookPart reports whether the caller ever took a step or held the instance.
func (s *Server) tookPart(c *call, i *workflow.Instance) (bool, error) {
	q := query.Workflows{Participant: c.who.Identity.Name, Limit: 1}
	if i.Index > 0 {
		q.After = i.Index - 1
	}
	list, code, err := lookUp[[]workflow.Instance](s, c, q)
	if err != nil || code != "" {
		return false, err
	}
	return len(*list) == 1 && (*list)[0].ID == i.ID, nil
}

// grantedFlow reports whether the caller has a grant in force from the owner
// that is for as long as he holds this instance.
func (s *Server) grantedFlow(c *call, i *workflow.Instance) (bool, error) {
	q := query.Grants{Owner: i.Owner, Reader: c.who.Identity.Name, Limit: grantsAtOnce}
	for {
		list, code, err := lookUp[[]query.GrantState](s, c, q)
		if err != nil || code != "" {
			return false, err
		}
		for n := range *list {
			g := &(*list)[n]
			live := g.Status == consent.StatusActive || g.Status == consent.StatusStale
			if live && g.Grant.Conditions.Instance == string(i.ID) {
				return true, nil
			}
			q.After = g.Grant.Index
		}
		if len(*list) < grantsAtOnce {
			return false, nil
		}
	}
}

// lookUp answers a question from this member's own view: it decides for this
// member only.
func lookUp[T any](s *Server, c *call, q query.Question) (*T, chain.Code, error) {
	question, err := query.Encode(q)
	if err != nil {
		return nil, "", err
	}
	value, code, _, err := s.b.Attest(c.ctx, question)
	if err != nil || code != "" {
		return nil, code, err
	}
	v := new(T)
	return v, "", chain.Unmarshal(value, v)
}

// seesStep decides on the event of a step, which says nothing of what was
// entered.
func (s *Server) seesStep(c *call, e *workflow.StepEvent) (bool, error) {
	if c.has(workflow.Regulator) {
		return true, nil
	}
	return s.enteredStep(c, e)
}

// enteredStep decides on the transaction of a step, which says what was entered.
func (s *Server) enteredStep(c *call, e *workflow.StepEvent) (bool, error) {
	if part, err := c.partOf(e.Owner, e.Step.By, e.Step.Holder); err != nil || part {
		return part, err
	}
	i, code, err := lookUp[workflow.Instance](s, c, query.WorkflowState{ID: e.Step.Instance})
	if err != nil || code != "" {
		return false, err
	}
	return s.seesFlow(c, i)
}

// maySeeFlow is maySee for a transaction of the workflow contract.
func (s *Server) maySeeFlow(c *call, result *chain.Result) error {
	for _, e := range result.Events {
		ok := true
		var err error
		if e.Kind != workflow.EventDefine {
			ok, err = seen(e, func(e *workflow.StepEvent) (bool, error) { return s.enteredStep(c, e) })
		}
		if err != nil || !ok {
			return orDenied(err)
		}
	}
	if len(result.Events) == 0 {
		return protocol.ErrDenied
	}
	return nil
}
