package ward

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/workflow"
)

// DefineFlow proposes a version of a definition of a workflow on the word of a
// member, who signs and endorses with it. It is in force when enough members
// have endorsed it. See [workflow.Compile], which the caller may run first: a
// definition that does not compile is workflow.ErrDefinition.
func (c *Client) DefineFlow(ctx context.Context, by crypto.Signer, yaml []byte) error {
	args := workflow.DefineArgs{YAML: yaml}
	if _, err := c.submit(ctx, workflow.Contract, workflow.MethodDefine, args, nil, by); err != nil {
		return fmt.Errorf("define workflow: %w", err)
	}
	return nil
}

// EndorseFlow endorses a proposed version on the word of a member, who signs.
func (c *Client) EndorseFlow(ctx context.Context, by crypto.Signer, v workflow.VersionArgs) error {
	if _, err := c.submit(ctx, workflow.Contract, workflow.MethodEndorse, v, nil, by); err != nil {
		return fmt.Errorf("endorse workflow %s, version %d: %w", v.Definition, v.Version, err)
	}
	return nil
}

// A FlowVersion is a version of a definition with its text.
type FlowVersion struct {
	workflow.Proposal
	YAML []byte
}

// FlowDefinition returns a version of a definition that is or was in force, 0
// for the newest.
func (c *Client) FlowDefinition(ctx context.Context, name string, version uint32) (*FlowVersion, error) {
	v, err := c.flowVersion(ctx, query.WorkflowDefinition{Name: name, Version: version})
	if err == nil && (v.Definition != name || version != 0 && v.Version != version || v.InForce == 0) {
		err = fmt.Errorf("%w: members vouch for another", ErrIntegrity)
	}
	if err != nil {
		return nil, fmt.Errorf("definition %s: %w", name, err)
	}
	return v, nil
}

// FlowProposal returns a version of a definition that is proposed.
func (c *Client) FlowProposal(ctx context.Context, v workflow.VersionArgs) (*FlowVersion, error) {
	out, err := c.flowVersion(ctx, query.WorkflowProposal{Name: v.Definition, Version: v.Version, Hash: v.Hash})
	if err == nil && (out.Definition != v.Definition || out.Version != v.Version || out.Hash != v.Hash) {
		err = fmt.Errorf("%w: members vouch for another", ErrIntegrity)
	}
	if err != nil {
		return nil, fmt.Errorf("proposed definition %s: %w", v.Definition, err)
	}
	return out, nil
}

func (c *Client) flowVersion(ctx context.Context, q query.Question) (*FlowVersion, error) {
	v, _, err := ask[query.WorkflowVersion](ctx, c, q)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(v.YAML) != v.Proposal.Hash {
		return nil, fmt.Errorf("%w: text of another definition", ErrIntegrity)
	}
	return &FlowVersion{Proposal: v.Proposal, YAML: v.YAML}, nil
}

// FlowDefinitions yields the versions that are or were in force, or those that
// are proposed, by name and version. It ends after the first error.
func (c *Client) FlowDefinitions(ctx context.Context, proposed bool) iter.Seq2[*workflow.Proposal, error] {
	return func(yield func(*workflow.Proposal, error) bool) {
		seen := make(map[workflow.VersionArgs]bool)
		from := ""
		for {
			list, size, err := ask[[]workflow.Proposal](ctx, c, query.WorkflowDefinitions{From: from, Proposed: proposed, Limit: query.MaxLimit})
			if err != nil {
				yield(nil, fmt.Errorf("definitions: %w", err))
				return
			}
			fresh := false
			for i := range *list {
				p := &(*list)[i]
				key := workflow.VersionArgs{Definition: p.Definition, Version: p.Version, Hash: p.Hash}
				if seen[key] {
					continue // the list begins with the name that the last one ended with
				}
				seen[key], fresh, from = true, true, p.Definition
				if !yield(p, nil) {
					return
				}
			}
			if !fresh || len(*list) < query.MaxLimit && size < query.MaxList {
				return
			}
		}
	}
}

// StartFlow starts an instance with a fresh id of [workflow.GenerateID]. If the
// error matches ErrUnknown it may have started.
func (c *Client) StartFlow(ctx context.Context, args workflow.StartArgs) error {
	args.Fields = workflow.Sorted(args.Fields)
	if _, err := c.submit(ctx, workflow.Contract, workflow.MethodStart, args, nil, c.wallet.Signer()); err != nil {
		return fmt.Errorf("start workflow %s: %w", args.ID, flowError(err))
	}
	return nil
}

// StepFlow takes a transition of an instance. The transaction has an effect only
// if the instance has not moved on since args.After, its number of steps as the
// caller saw it: otherwise the error is workflow.ErrStale, or the code that says
// why the transition cannot be taken any more. If args.After is 0 it is looked up.
func (c *Client) StepFlow(ctx context.Context, args workflow.StepArgs) error {
	err := c.stepFlow(ctx, &args)
	if err != nil {
		return fmt.Errorf("%s of workflow %s: %w", args.Transition, args.ID, flowError(err))
	}
	return nil
}

func (c *Client) stepFlow(ctx context.Context, args *workflow.StepArgs) error {
	if args.After == 0 {
		i, err := c.FlowState(ctx, args.ID)
		if err != nil {
			return err
		}
		args.After = i.Steps
	}
	args.Fields = workflow.Sorted(args.Fields)
	_, err := c.submit(ctx, workflow.Contract, workflow.MethodStep, args, nil, c.wallet.Signer())
	return err
}

// TickFlow takes the timers of an instance that are due. Without one the error
// is workflow.ErrEarly.
func (c *Client) TickFlow(ctx context.Context, id workflow.ID) error {
	_, err := c.submit(ctx, workflow.Contract, workflow.MethodTick, workflow.TickArgs{ID: id}, nil, c.wallet.Signer())
	if err != nil {
		return fmt.Errorf("timers of workflow %s: %w", id, flowError(err))
	}
	return nil
}

// Flow returns an instance with its variables and documents. It is shown to its
// owner, to whoever took part in it or was granted a document of it, and to
// members.
func (c *Client) Flow(ctx context.Context, id workflow.ID) (*workflow.Instance, error) {
	return c.instance(ctx, id, query.Workflow{ID: id})
}

// FlowState returns an instance without its variables and documents. Whoever
// knows the id may see it.
func (c *Client) FlowState(ctx context.Context, id workflow.ID) (*workflow.Instance, error) {
	return c.instance(ctx, id, query.WorkflowState{ID: id})
}

func (c *Client) instance(ctx context.Context, id workflow.ID, q query.Question) (*workflow.Instance, error) {
	i, _, err := ask[workflow.Instance](ctx, c, q)
	if err == nil && i.ID != id {
		err = fmt.Errorf("%w: members vouch for another", ErrIntegrity)
	}
	if err != nil {
		return nil, fmt.Errorf("workflow %s: %w", id, flowError(err))
	}
	return i, nil
}

// Flows yields the instances selected, oldest first. An owner, a holder or a
// participant may list his own. It ends after the first error.
func (c *Client) Flows(ctx context.Context, sel workflow.Selection) iter.Seq2[*workflow.Instance, error] {
	return pages(ctx, c, func(last *workflow.Instance) query.Question {
		q := query.Workflows{Owner: sel.Owner, Holder: sel.Holder, Participant: sel.Participant, Definition: sel.Definition, State: sel.State}
		if last != nil {
			q.After = last.Index
		}
		return q
	})
}

// Supervise yields the instances of a definition in a state, or in all if it is
// "", without what was entered and without documents, oldest first: for
// identities with the attribute [workflow.Regulator], on the word of a member. It
// ends after the first error.
func (c *Client) Supervise(ctx context.Context, definition, state string) iter.Seq2[*workflow.Instance, error] {
	return pages(ctx, c, func(last *workflow.Instance) query.Question {
		q := query.WorkflowStates{Definition: definition, State: state}
		if last != nil {
			q.After = last.Index
		}
		return q
	})
}

// FlowCourse yields the steps of an instance without what was entered and
// without documents, as a regulator sees them. It ends after the first error.
func (c *Client) FlowCourse(ctx context.Context, id workflow.ID) iter.Seq2[*workflow.Step, error] {
	return pages(ctx, c, func(last *workflow.Step) query.Question {
		q := query.WorkflowCourse{ID: id}
		if last != nil {
			q.After = last.Number
		}
		return q
	})
}

// FlowCounts returns how many instances of a definition are in which state, and
// how often which transition was taken on the days from since to until, by
// organisation, or for one of them. It is for regulators and members.
func (c *Client) FlowCounts(ctx context.Context, definition, org string, since, until time.Time) (*query.WorkflowCounts, error) {
	q := query.WorkflowSummary{Definition: definition, Org: org, Since: day(millis(since)), Until: day(millis(until))}
	out, _, err := ask[query.WorkflowCounts](ctx, c, q)
	if err != nil {
		return nil, fmt.Errorf("counts of %s: %w", definition, err)
	}
	return out, nil
}

// FlowCounter returns what a counter of a definition has counted for an owner,
// an organisation or an instance, by its scope, or for the consortium if of is
// "". Owners and organisations' people see their own; regulators and members all.
func (c *Client) FlowCounter(ctx context.Context, definition, counter, of, key string) (*workflow.Tally, error) {
	t, _, err := ask[workflow.Tally](ctx, c, query.WorkflowCounter{Definition: definition, Counter: counter, Of: of, Key: key})
	if err != nil {
		return nil, fmt.Errorf("counter %s of %s: %w", counter, definition, err)
	}
	return t, nil
}

// flowError makes the error of what is not there match ErrNotFound.
func flowError(err error) error {
	if errors.Is(err, workflow.ErrUnknown) && !errors.Is(err, ErrNotFound) {
		return also{err, ErrNotFound}
	}
	return err
}
