package ward

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
)

// A FlowHistory is the provenance of an instance: all its steps, each proved by
// the transaction that took it.
type FlowHistory struct {
	Instance workflow.Instance
	Steps    []workflow.Step
	Receipts []*chain.Receipt // by step; several timers that one transaction took have the same
}

// Provenance returns the history of an instance as one chain of proofs: every
// step has a receipt that a threshold of members certified, of a transaction that
// says what the step says; the steps follow each other without a gap from the
// start to the state that the instance is in, and put the documents that it has.
// What does not hold is ErrIntegrity. What the variables hold follows from the
// steps by the definition; that it does is the word of a threshold of members, not
// proved here. It is shown to those who see the instance.
func (c *Client) Provenance(ctx context.Context, id workflow.ID) (*FlowHistory, error) {
	h, err := c.provenance(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("provenance of workflow %s: %w", id, err)
	}
	return h, nil
}

func (c *Client) provenance(ctx context.Context, id workflow.ID) (*FlowHistory, error) {
	// The instance may move on between the questions: then they are asked again.
	for try := 1; ; try++ {
		i, err := c.Flow(ctx, id)
		if err != nil {
			return nil, err
		}
		h := &FlowHistory{Instance: *i}
		for s, err := range c.flowSteps(ctx, id) {
			if err != nil {
				return nil, err
			}
			h.Steps = append(h.Steps, *s)
		}
		if len(h.Steps) > int(i.Steps) && try < rounds {
			continue
		}
		if err := h.follows(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrIntegrity, err)
		}
		return h, c.prove(ctx, h)
	}
}

func (c *Client) flowSteps(ctx context.Context, id workflow.ID) func(func(*workflow.Step, error) bool) {
	return pages(ctx, c, func(last *workflow.Step) query.Question {
		q := query.WorkflowSteps{ID: id}
		if last != nil {
			q.After = last.Number
		}
		return q
	})
}

// follows checks that the steps lead from the start to the instance as it is.
func (h *FlowHistory) follows() error {
	i := &h.Instance
	if len(h.Steps) == 0 || len(h.Steps) != int(i.Steps) {
		return fmt.Errorf("%d steps of %d", len(h.Steps), i.Steps)
	}
	state, index, at := workflow.Start, i.Index, i.Started
	put := make(map[string]record.ID)
	for n := range h.Steps {
		s := &h.Steps[n]
		switch {
		case s.Instance != i.ID, int(s.Number) != n+1, s.From != state, s.Index < index, s.Time < at:
			return fmt.Errorf("step %d does not follow the one before", n+1)
		case n == 0 && (s.By != i.Starter || s.Index != i.Index):
			return fmt.Errorf("it was started otherwise")
		case s.By == "" && (s.Due == 0 || s.Due > s.Time):
			return fmt.Errorf("step %d was taken by nobody", n+1)
		}
		state, index, at = s.To, s.Index, s.Time
		for _, d := range s.Documents {
			if d.Record != "" {
				put[d.Name] = d.Record
			}
		}
	}
	last := &h.Steps[len(h.Steps)-1]
	if state != i.State || last.Index != i.Last || last.Holder != i.Holder || last.Time != i.Changed {
		return fmt.Errorf("the steps lead to another state")
	}
	if len(i.Documents) != len(put) || slices.ContainsFunc(i.Documents, func(d workflow.Document) bool { return d.Record == "" || put[d.Name] != d.Record }) {
		return fmt.Errorf("the steps put other documents")
	}
	return nil
}

// prove fetches the receipt of every step and compares it with the step.
func (c *Client) prove(ctx context.Context, h *FlowHistory) error {
	var receipt *chain.Receipt
	var tx *chain.Tx
	var err error
	for n := range h.Steps {
		s := &h.Steps[n]
		if receipt == nil || receipt.Index != s.Index {
			if receipt, tx, err = c.Receipt(ctx, s.Index); err != nil {
				return err
			}
		}
		if err := proves(receipt, tx, &h.Instance, s); err != nil {
			return fmt.Errorf("%w: step %d: %w", ErrIntegrity, s.Number, err)
		}
		h.Receipts = append(h.Receipts, receipt)
	}
	return nil
}

// proves checks that a transaction took a step: that members recorded it, as an
// event of the transaction, and that the signer entered what the step says.
func proves(r *chain.Receipt, tx *chain.Tx, i *workflow.Instance, s *workflow.Step) error {
	if tx == nil || tx.Contract != workflow.Contract || r.Result.Code != "" || r.Result.Time != s.Time {
		return fmt.Errorf("transaction %d took no step", r.Index)
	}
	want := workflow.StepEvent{Definition: i.Definition, Version: i.Version, Owner: i.Owner, Step: *s}
	want.Step.Fields, want.Step.Documents = nil, nil
	recorded := slices.ContainsFunc(r.Result.Events, func(e chain.Event) bool {
		var got workflow.StepEvent
		if e.Kind != workflow.EventStep || chain.Unmarshal(e.Data, &got) != nil {
			return false
		}
		want.Event = got.Event // the definition's word for it
		return equalEncoding(want, got)
	})
	if !recorded {
		return fmt.Errorf("transaction %d did something else", r.Index)
	}
	if s.By == "" {
		return nil // a timer: nobody entered anything
	}
	var fields []workflow.Field
	var documents []workflow.Document
	var names bool
	switch tx.Method {
	case workflow.MethodStart:
		var args workflow.StartArgs
		if err := chain.Unmarshal(tx.Args, &args); err != nil {
			return err
		}
		names = args.ID == i.ID && args.Transition == s.Transition && args.Owner == i.Owner && args.Definition == i.Definition && args.Version == i.Version
		fields, documents = args.Fields, args.Documents
	case workflow.MethodStep:
		var args workflow.StepArgs
		if err := chain.Unmarshal(tx.Args, &args); err != nil {
			return err
		}
		names = args.ID == i.ID && args.Transition == s.Transition
		fields, documents = args.Fields, args.Documents
	}
	if !names || !equalLists(fields, s.Fields) || !equalLists(documents, s.Documents) {
		return fmt.Errorf("its signer entered something else")
	}
	return nil
}

// equalLists is equalEncoding for lists, of which an empty one may be nil.
func equalLists[T any](a, b []T) bool {
	return len(a) == 0 && len(b) == 0 || equalEncoding(a, b)
}

// equalEncoding compares two values by their bytes.
func equalEncoding(a, b any) bool {
	x, err := chain.Marshal(a)
	if err != nil {
		return false
	}
	y, err := chain.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}

// Time returns when a step was taken.
func (h *FlowHistory) Time(n int) time.Time { return time.UnixMilli(h.Steps[n].Time).UTC() }
