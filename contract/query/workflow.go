package query

import (
	"fmt"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
)

// The questions about workflows.
type (
	// Workflow asks for one instance. The answer is a workflow.Instance.
	Workflow struct {
		_  struct{} `cbor:",toarray"`
		ID workflow.ID
	}
	// Workflows asks for the instances of an owner, a holder, a participant or a
	// definition; see workflow.Selection. The answer is []workflow.Instance.
	Workflows struct {
		_           struct{} `cbor:",toarray"`
		Owner       identity.Name
		Holder      identity.Name
		Participant identity.Name
		Definition  string
		State       string
		After       uint64
		Limit       int
	}
	// WorkflowSteps asks for the history of an instance, after a number of a
	// step. The answer is []workflow.Step.
	WorkflowSteps struct {
		_     struct{} `cbor:",toarray"`
		ID    workflow.ID
		After uint32
		Limit int
	}
	// WorkflowDefinition asks for a version of a definition that is or was in
	// force, 0 for the newest. The answer is a WorkflowVersion.
	WorkflowDefinition struct {
		_       struct{} `cbor:",toarray"`
		Name    string
		Version uint32
	}
	// WorkflowDefinitions asks for the versions of definitions from a name on:
	// those in force, or those proposed. The answer is []workflow.Proposal.
	WorkflowDefinitions struct {
		_        struct{} `cbor:",toarray"`
		From     string
		Proposed bool
		Limit    int
	}
	// WorkflowProposal asks for a version that is proposed, with its text. The
	// answer is a WorkflowVersion.
	WorkflowProposal struct {
		_       struct{} `cbor:",toarray"`
		Name    string
		Version uint32
		Hash    [32]byte
	}
	// WorkflowSummary asks how many instances of a definition are in which state,
	// and how many steps were taken on which day. The answer is a
	// WorkflowCounts.
	WorkflowSummary struct {
		_            struct{} `cbor:",toarray"`
		Definition   string
		Org          string // "" for all
		Since, Until int64  // days, Unix milliseconds; of the steps; at most 366 days
	}
	// WorkflowCounter asks how much a counter has counted at the time of the
	// answer's block. The answer is a workflow.Tally.
	WorkflowCounter struct {
		_          struct{} `cbor:",toarray"`
		Definition string
		Counter    string
		Of         string // owner, organisation or instance, by the counter's scope; "" for the consortium
		Key        string
	}
)

// A WorkflowVersion is a version of a definition with its text.
type WorkflowVersion struct {
	_        struct{} `cbor:",toarray"`
	Proposal workflow.Proposal
	YAML     []byte
}

// WorkflowCounts is the answer to WorkflowSummary. Flows end at MaxLimit: the
// rest is after the last day.
type WorkflowCounts struct {
	_      struct{} `cbor:",toarray"`
	States []workflow.StateCount
	Flows  []workflow.Flow
}

// Kind implements Question.
func (Workflow) Kind() string { return "workflow" }

// Kind implements Question.
func (Workflows) Kind() string { return "workflows" }

// Kind implements Question.
func (WorkflowSteps) Kind() string { return "workflow-steps" }

// Kind implements Question.
func (WorkflowDefinition) Kind() string { return "workflow-definition" }

// Kind implements Question.
func (WorkflowDefinitions) Kind() string { return "workflow-definitions" }

// Kind implements Question.
func (WorkflowProposal) Kind() string { return "workflow-proposal" }

// Kind implements Question.
func (WorkflowSummary) Kind() string { return "workflow-summary" }

// Kind implements Question.
func (WorkflowCounter) Kind() string { return "workflow-counter" }

func (q Workflow) check() error { return checkID(string(q.ID)) }

func (q Workflows) check() error {
	for _, n := range [...]identity.Name{q.Owner, q.Holder, q.Participant} {
		if err := optional(n); err != nil {
			return err
		}
	}
	if s := q.selection(); len(q.Definition) > 64 || !s.Valid() {
		return fmt.Errorf("%w: it selects by none, or by more than one", ErrQuestion)
	}
	return checkPage(q.After, q.Limit)
}

func (q Workflows) selection() workflow.Selection {
	return workflow.Selection{Owner: q.Owner, Holder: q.Holder, Participant: q.Participant, Definition: q.Definition, State: q.State}
}

func (q WorkflowSteps) check() error {
	if err := checkID(string(q.ID)); err != nil {
		return err
	}
	return checkPage(uint64(q.After), q.Limit)
}

func (q WorkflowDefinition) check() error { return checkID(q.Name) }

func (q WorkflowDefinitions) check() error {
	if len(q.From) > 64 {
		return fmt.Errorf("%w: name of %d bytes", ErrQuestion, len(q.From))
	}
	return checkPage(0, q.Limit)
}

func (q WorkflowProposal) check() error { return checkID(q.Name) }

// maxPeriod is the longest time that a WorkflowSummary is about: 366 days.
const maxPeriod = 366 * 24 * 60 * 60 * 1000

func (q WorkflowSummary) check() error {
	if err := checkID(q.Definition); err != nil {
		return err
	}
	if len(q.Org) > 64 || q.Since < 0 || q.Until < q.Since || q.Until-q.Since > maxPeriod {
		return fmt.Errorf("%w: organisation of %d bytes, days from %d to %d", ErrQuestion, len(q.Org), q.Since, q.Until)
	}
	return nil
}

func (q WorkflowCounter) check() error {
	if err := checkID(q.Definition); err != nil {
		return err
	}
	if len(q.Of) > 128 || len(q.Key) > workflow.MaxKey {
		return fmt.Errorf("%w: counter for %d and %d bytes", ErrQuestion, len(q.Of), len(q.Key))
	}
	return checkID(q.Counter)
}

func (q Workflow) run(s state) (any, error) {
	return workflow.Lookup(s.of(workflow.Contract), q.ID)
}

func (q Workflows) run(s state) (any, error) {
	p := newPage[workflow.Instance](q.Limit)
	err := workflow.Each(s.of(workflow.Contract), q.selection(), q.After, p.add)
	return p.list(err)
}

func (q WorkflowSteps) run(s state) (any, error) {
	p := newPage[workflow.Step](q.Limit)
	err := workflow.EachStep(s.of(workflow.Contract), q.ID, q.After, p.add)
	return p.list(err)
}

func (q WorkflowDefinition) run(s state) (any, error) {
	r := s.of(workflow.Contract)
	if q.Version == 0 {
		p, err := workflow.Newest(r, q.Name)
		return s.version(p, err)
	}
	p, err := workflow.InForce(r, q.Name, q.Version)
	return s.version(p, err)
}

func (q WorkflowProposal) run(s state) (any, error) {
	p, err := workflow.LookupProposal(s.of(workflow.Contract), q.Name, q.Version, q.Hash)
	return s.version(p, err)
}

func (s state) version(p *workflow.Proposal, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	text, err := p.Text(s.of(workflow.Contract))
	if err != nil {
		return nil, err
	}
	return &WorkflowVersion{Proposal: *p, YAML: text}, nil
}

func (q WorkflowDefinitions) run(s state) (any, error) {
	p := newPage[workflow.Proposal](q.Limit)
	if q.Proposed {
		return p.list(workflow.EachProposal(s.of(workflow.Contract), q.From, p.add))
	}
	return p.list(workflow.EachVersion(s.of(workflow.Contract), q.From, p.add))
}

func (q WorkflowSummary) run(s state) (any, error) {
	r := s.of(workflow.Contract)
	states, err := workflow.Counts(r, q.Definition, q.Org)
	if err != nil {
		return nil, err
	}
	p := newPage[workflow.Flow](MaxLimit)
	flows, err := p.list(workflow.Flows(r, q.Definition, q.Since, q.Until, func(f *workflow.Flow) bool {
		return q.Org != "" && f.Org != q.Org || p.add(f)
	}))
	if err != nil {
		return nil, err
	}
	return &WorkflowCounts{States: states, Flows: flows}, nil
}

func (q WorkflowCounter) run(s state) (any, error) {
	return workflow.Counted(s.of(workflow.Contract), q.Definition, q.Counter, q.Of, q.Key, s.time)
}
