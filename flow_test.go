package ward_test

import (
	"errors"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/workflow"
)

// referral is a workflow that the people of these tests take part in.
const referral = `workflow: ward/v1
name: referral
version: 1
fields:
  urgency: {type: code, values: [soon, routine]}
  to: {type: identity}
states:
  referred: {timers: [{after: 1d, take: lapse}]}
  accepted: {final: true}
  lapsed: {final: true}
transitions:
  refer: {from: [start], to: referred, by: [owner], fields: {urgency: required, to: required}, holder: fields.to, event: referred}
  accept: {from: [referred], to: accepted, by: [holder]}
  lapse: {from: [referred], to: lapsed, by: [timer], holder: nobody}
`

// referred puts the definition in force and starts an instance, which the reader
// holds.
func referred(t *testing.T) (*people, workflow.ID) {
	p := meet(t)
	p.inForce(referral)
	id, err := workflow.GenerateID()
	if err != nil {
		t.Fatal(err)
	}
	err = p.patient.StartFlow(p.ctx, workflow.StartArgs{ID: id, Definition: "referral", Version: 1, Owner: patientName, Transition: "refer", Fields: []workflow.Field{
		{Name: "urgency", Value: workflow.Text("soon")}, {Name: "to", Value: workflow.Text(string(readerName))},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return p, id
}

func (p *people) inForce(text string) {
	p.t.Helper()
	d, err := workflow.Compile([]byte(text))
	if err != nil {
		p.t.Fatal(err)
	}
	v := workflow.VersionArgs{Definition: d.Name, Version: d.Version, Hash: d.Hash()}
	for i, m := range p.Members()[:p.Current().CheckpointThreshold] {
		if i == 0 {
			err = p.patient.DefineFlow(p.ctx, p.Key(m), []byte(text))
		} else {
			err = p.patient.EndorseFlow(p.ctx, p.Key(m), v)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if i == 0 {
			proposed, err := p.patient.FlowProposal(p.ctx, v)
			if err != nil || string(proposed.YAML) != text || proposed.InForce != 0 {
				p.t.Errorf("proposed: %+v, %v", proposed, err)
			}
		}
	}
}

func TestWorkflowOfAClient(t *testing.T) {
	p, id := referred(t)
	v, err := p.reader.FlowDefinition(p.ctx, "referral", 0)
	if err != nil || string(v.YAML) != referral || v.InForce == 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	var listed []string
	for d, err := range p.reader.FlowDefinitions(p.ctx, false) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, d.Definition)
	}
	if len(listed) != 1 || listed[0] != "referral" {
		t.Errorf("definitions %v", listed)
	}
	if err := p.reader.StepFlow(p.ctx, workflow.StepArgs{ID: id, Transition: "accept"}); err != nil {
		t.Fatal(err)
	}
	p.wants(p.reader.StepFlow(p.ctx, workflow.StepArgs{ID: id, Transition: "accept"}), workflow.ErrState)
	for i, err := range p.reader.Flows(p.ctx, workflow.Selection{Participant: readerName}) {
		if err != nil || i.ID != id || i.State != "accepted" {
			t.Errorf("%+v, %v", i, err)
		}
	}
	none, err := workflow.GenerateID()
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.reader.Flow(p.ctx, none)
	p.wants(err, ward.ErrNotFound)
	p.wants(err, workflow.ErrUnknown)
	p.wants(p.reader.StepFlow(p.ctx, workflow.StepArgs{ID: none, After: 1, Transition: "accept"}), ward.ErrNotFound)
	p.wants(p.reader.TickFlow(p.ctx, id), workflow.ErrEarly)
}

// TestProvenanceTakesNoFalseHistory: members that sign whatever they are given
// (all of them, so that the answer is vouched for) cannot make a client believe
// in a history that the transactions do not prove.
func TestProvenanceTakesNoFalseHistory(t *testing.T) {
	p, id := referred(t)
	if err := p.reader.StepFlow(p.ctx, workflow.StepArgs{ID: id, Transition: "accept"}); err != nil {
		t.Fatal(err)
	}
	if h, err := p.as(patientName).Provenance(p.ctx, id); err != nil || len(h.Steps) != 2 || len(h.Receipts) != 2 {
		t.Fatalf("%+v, %v", h, err)
	}
	for what, edit := range map[string]func(i *workflow.Instance, steps *[]workflow.Step){
		"another state":        func(i *workflow.Instance, s *[]workflow.Step) { i.State, (*s)[1].To = "lapsed", "lapsed" },
		"a state alone":        func(i *workflow.Instance, s *[]workflow.Step) { i.State = "lapsed" },
		"another signer":       func(i *workflow.Instance, s *[]workflow.Step) { (*s)[1].By = authorName },
		"another starter":      func(i *workflow.Instance, s *[]workflow.Step) { i.Starter, (*s)[0].By = authorName, authorName },
		"another owner":        func(i *workflow.Instance, s *[]workflow.Step) { i.Owner = authorName },
		"another version":      func(i *workflow.Instance, s *[]workflow.Step) { i.Version = 2 },
		"another holder":       func(i *workflow.Instance, s *[]workflow.Step) { i.Holder, (*s)[1].Holder = authorName, authorName },
		"a step left out":      func(i *workflow.Instance, s *[]workflow.Step) { *s = (*s)[:1] },
		"a step left out, too": func(i *workflow.Instance, s *[]workflow.Step) { i.Steps, *s = 1, (*s)[:1] },
		"a step twice":         func(i *workflow.Instance, s *[]workflow.Step) { *s = append(*s, (*s)[1]) },
		"another transition":   func(i *workflow.Instance, s *[]workflow.Step) { (*s)[1].Transition = "lapse" },
		"by time":              func(i *workflow.Instance, s *[]workflow.Step) { (*s)[1].By = "" },
		"other words":          func(i *workflow.Instance, s *[]workflow.Step) { (*s)[0].Fields[1].Value = workflow.Text("routine") },
		"words that were none": func(i *workflow.Instance, s *[]workflow.Step) { (*s)[1].Fields = (*s)[0].Fields },
		"no words":             func(i *workflow.Instance, s *[]workflow.Step) { (*s)[0].Fields = nil },
		"a document":           func(i *workflow.Instance, s *[]workflow.Step) { (*s)[1].Documents = []workflow.Document{{Name: "x"}} },
		"a document of no step": func(i *workflow.Instance, s *[]workflow.Step) {
			i.Documents = []workflow.Document{{Name: "letter", Record: "r-aaaaaaaaaaaaaaaaaaaaaaaaaa"}}
		},
		"another time":          func(i *workflow.Instance, s *[]workflow.Step) { i.Changed++; (*s)[1].Time++ },
		"another transaction":   func(i *workflow.Instance, s *[]workflow.Step) { i.Last--; (*s)[1].Index-- },
		"of another instance":   func(i *workflow.Instance, s *[]workflow.Step) { (*s)[1].Instance = "w-aaaaaaaaaaaaaaaaaaaaaaaaaa" },
		"a number out of order": func(i *workflow.Instance, s *[]workflow.Step) { (*s)[1].Number = 3 },
	} {
		l := &liar{Node: p.Node("north")}
		l.forge = func(question []byte, a *query.Answer) error { return p.forgeFlow(question, a, edit) }
		if h, err := p.as(patientName, l).Provenance(p.ctx, id); !errors.Is(err, ward.ErrIntegrity) || h != nil {
			t.Errorf("%s: %+v, %v", what, h, err)
		}
	}
}

// forgeFlow replaces the answers about an instance by edited ones, vouched for by
// every member.
func (p *people) forgeFlow(question []byte, a *query.Answer, edit func(*workflow.Instance, *[]workflow.Step)) error {
	q, err := query.Parse(question)
	if err != nil {
		return err
	}
	var value any
	switch q.(type) {
	case query.Workflow:
		var i workflow.Instance
		if err := chain.Unmarshal(a.Value, &i); err != nil {
			return err
		}
		edit(&i, &[]workflow.Step{{Fields: make([]workflow.Field, 2)}, {}})
		value = i
	case query.WorkflowSteps:
		var steps []workflow.Step
		if err := chain.Unmarshal(a.Value, &steps); err != nil {
			return err
		}
		edit(new(workflow.Instance), &steps)
		value = steps
	default:
		return nil
	}
	b, err := chain.Marshal(value)
	if err != nil {
		return err
	}
	a.Value = b
	return p.Vouch(question, a)
}

// TestForgedTextOfADefinition: what does not have the hash that the chain
// recorded is no definition.
func TestForgedTextOfADefinition(t *testing.T) {
	p, _ := referred(t)
	l := &liar{Node: p.Node("north")}
	l.forge = func(question []byte, a *query.Answer) error {
		var v query.WorkflowVersion
		if q, err := query.Parse(question); err != nil || q.Kind() != "workflow-definition" {
			return err
		}
		if err := chain.Unmarshal(a.Value, &v); err != nil {
			return err
		}
		v.YAML = append(v.YAML, '\n')
		var err error
		if a.Value, err = chain.Marshal(v); err != nil {
			return err
		}
		return p.Vouch(question, a)
	}
	_, err := p.as(patientName, l).FlowDefinition(p.ctx, "referral", 0)
	p.wants(err, ward.ErrIntegrity)
}
