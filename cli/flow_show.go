package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
)

// A flowData is what programs get of a workflow.
type flowData struct {
	ID         workflow.ID          `json:"id"`
	Definition string               `json:"definition"`
	Version    uint32               `json:"version"`
	Owner      identity.Name        `json:"owner"`
	Starter    identity.Name        `json:"starter"`
	State      string               `json:"state"`
	Holder     identity.Name        `json:"holder,omitempty"`
	Steps      uint32               `json:"steps"`
	Started    time.Time            `json:"started"`
	Changed    time.Time            `json:"changed"`
	Due        *time.Time           `json:"due,omitempty"`
	DueTo      string               `json:"due_to,omitempty"`
	Variables  map[string]string    `json:"variables,omitempty"`
	Documents  map[string]record.ID `json:"documents,omitempty"`
	History    []stepData           `json:"history,omitempty"`
	Proved     bool                 `json:"proved"` // by the receipt of every step
}

type stepData struct {
	Number      uint32            `json:"number"`
	Transaction uint64            `json:"transaction"`
	Time        time.Time         `json:"time"`
	Transition  string            `json:"transition"`
	To          string            `json:"to"`
	By          identity.Name     `json:"by,omitempty"` // nobody: a timer
	Holder      identity.Name     `json:"holder,omitempty"`
	Fields      map[string]string `json:"fields,omitempty"`
}

func (s *session) flowOf(d *workflow.Definition, i *workflow.Instance) flowData {
	out := flowData{
		ID: i.ID, Definition: i.Definition, Version: i.Version, Owner: i.Owner, Starter: i.Starter, State: i.State, Holder: i.Holder,
		Steps: i.Steps, Started: atMillis(i.Started), Changed: atMillis(i.Changed), Due: pointer(atMillis(i.Due.At)), DueTo: i.Due.To,
	}
	for _, f := range i.Variables {
		if v := d.Variable(f.Name); v != nil {
			if out.Variables == nil {
				out.Variables = map[string]string{}
			}
			out.Variables[f.Name] = v.Format(f.Value)
		}
	}
	for _, doc := range i.Documents {
		if out.Documents == nil {
			out.Documents = map[string]record.ID{}
		}
		out.Documents[doc.Name] = doc.Record
	}
	return out
}

func stepOf(d *workflow.Definition, step *workflow.Step) stepData {
	out := stepData{
		Number: step.Number, Transaction: step.Index, Time: atMillis(step.Time), Transition: step.Transition, To: step.To, By: step.By, Holder: step.Holder,
	}
	for _, f := range step.Fields {
		if rule := d.Field(f.Name); rule != nil {
			if out.Fields == nil {
				out.Fields = map[string]string{}
			}
			out.Fields[f.Name] = rule.Format(f.Value)
		}
	}
	return out
}

func flowShow(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which workflow or definition?").withHint("ids look like w-abc…; `ward flow list` shows them")
	}
	name := c.Args().First()
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if !strings.HasPrefix(name, "w-") {
		d, text, err := u.definition(ctx, name, uint32(c.Uint("of-version")))
		if err != nil {
			return nil, err
		}
		s.print(string(text))
		data := s.definitionOf(d)
		data.InForce, data.Text = true, string(text)
		return data, nil
	}
	id, err := flowID(name)
	if err != nil {
		return nil, err
	}
	return s.showFlow(ctx, u, id)
}

// showFlow shows an instance with its history: proved to those who see all of it,
// without what was entered to a regulator.
func (s *session) showFlow(ctx context.Context, u *user, id workflow.ID) (any, error) {
	h, err := u.Provenance(ctx, id)
	if errors.Is(err, workflow.ErrDenied) {
		return s.showBare(ctx, u, id, err)
	}
	if err != nil {
		return nil, err
	}
	d, _, err := u.definition(ctx, h.Instance.Definition, h.Instance.Version)
	if err != nil {
		return nil, err
	}
	data := s.flowOf(d, &h.Instance)
	data.Proved = true
	for n := range h.Steps {
		data.History = append(data.History, stepOf(d, &h.Steps[n]))
	}
	s.showHead(d, &h.Instance, data)
	s.showSteps(d, data)
	s.tell("every step is proved by the receipt of its transaction")
	return data, nil
}

func (s *session) showBare(ctx context.Context, u *user, id workflow.ID, denied error) (any, error) {
	i, err := u.FlowState(ctx, id)
	if err != nil {
		return nil, err
	}
	d, _, err := u.definition(ctx, i.Definition, i.Version)
	if err != nil {
		return nil, err
	}
	data := s.flowOf(d, i)
	for step, err := range u.FlowCourse(ctx, id) {
		if err != nil {
			return nil, errors.Join(denied, err)
		}
		data.History = append(data.History, stepOf(d, step))
	}
	s.showHead(d, i, data)
	s.showSteps(d, data)
	return data, nil
}

// showHead shows where an instance stands.
func (s *session) showHead(d *workflow.Definition, i *workflow.Instance, data flowData) {
	lang := string(s.lang)
	rows := [][]string{
		{s.tr("workflow"), string(i.ID)}, {s.tr("definition"), fmt.Sprintf("%s %d", d.Name, d.Version)},
		{s.tr("owner"), string(i.Owner)}, {s.tr("started by"), string(i.Starter)}, {s.tr("state"), s.stateTitle(d, i.State)},
	}
	add := func(what, value string) {
		if value != "" {
			rows = append(rows, []string{what, value})
		}
	}
	add(s.tr("held by"), string(i.Holder))
	if i.Due.At != 0 {
		add(s.tr("due"), s.tr("%s: %s", clockTime(atMillis(i.Due.At)), s.stateTitle(d, i.Due.To)))
	}
	for _, f := range i.Variables {
		if v := d.Variable(f.Name); v != nil {
			add(orText(v.Title.In(lang), v.Name), data.Variables[f.Name])
		}
	}
	for _, doc := range i.Documents {
		if rule := d.Document(doc.Name); rule != nil {
			add(orText(rule.Title.In(lang), rule.Name), string(doc.Record))
		}
	}
	s.grid([]string{"WHAT", "VALUE"}, rows)
}

func (s *session) showSteps(d *workflow.Definition, data flowData) {
	lang := string(s.lang)
	var rows [][]string
	for _, h := range data.History {
		title := h.Transition
		if t := d.Transition(h.Transition); t != nil {
			title = orText(t.Title.In(lang), t.Name)
		}
		by := string(h.By)
		if by == "" {
			by = s.tr("(time)")
		}
		var entered []string
		for i := range d.Fields {
			f := &d.Fields[i]
			if v, ok := h.Fields[f.Name]; ok {
				entered = append(entered, orText(f.Title.In(lang), f.Name)+" "+v)
			}
		}
		rows = append(rows, []string{fmt.Sprint(h.Number), fmt.Sprint(h.Transaction), clockTime(h.Time), title, by, string(h.Holder), strings.Join(entered, "; ")})
	}
	s.grid([]string{"STEP", "NUMBER", "TIME", "WHAT", "BY", "HOLDER", "ENTERED"}, rows)
}

func flowList(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.Bool("definitions") || c.Bool("proposed") {
		return s.listDefinitions(ctx, c)
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	sel := workflow.Selection{Participant: u.Name()}
	switch {
	case c.Bool("held") && c.Bool("owned"):
		return nil, usagef("flags %s and %s do not go together", "--held", "--owned")
	case c.Bool("held"):
		sel = workflow.Selection{Holder: u.Name()}
	case c.Bool("owned"):
		sel = workflow.Selection{Owner: u.Name()}
	}
	return s.listFlows(ctx, c, u, u.Flows(ctx, sel))
}

// listFlows shows instances as they come.
func (s *session) listFlows(ctx context.Context, c *urfave.Context, u *user, all func(func(*workflow.Instance, error) bool)) (any, error) {
	l := newListing[flowData](s, c, columns([]string{"WORKFLOW", "DEFINITION", "OWNER", "STATE", "HOLDER", "SINCE"}))
	known := map[string]*workflow.Definition{}
	for i, err := range all {
		if err != nil {
			return l.end(err, "")
		}
		key := fmt.Sprint(i.Definition, " ", i.Version)
		if known[key] == nil {
			d, _, err := u.definition(ctx, i.Definition, i.Version)
			if err != nil {
				return l.end(err, "")
			}
			known[key] = d
		}
		d := known[key]
		l.add(s.flowOf(d, i), string(i.ID), i.Definition, string(i.Owner), s.stateTitle(d, i.State), string(i.Holder), clockTime(atMillis(i.Entered)))
	}
	return l.end(nil, s.tr("no workflows"))
}

// A countsData is what programs get of the counts of a definition.
type countsData struct {
	Definition string      `json:"definition"`
	States     []countData `json:"states"`
	Steps      []countData `json:"steps"`
}

type countData struct {
	Org   string `json:"org"`
	Name  string `json:"name"` // of a state or transition
	Day   string `json:"day,omitempty"`
	Count uint64 `json:"count"`
}

func flowCounters(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("of which workflow?").withHint("`ward flow list --definitions` lists them, `ward flow graph NAME` draws one")
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	d, _, err := u.definition(ctx, c.Args().First(), 0)
	if err != nil {
		return nil, err
	}
	if name := c.String("counter"); name != "" {
		return s.counter(ctx, c, u, d, name)
	}
	return s.counts(ctx, c, u, d)
}

func (s *session) counter(ctx context.Context, c *urfave.Context, u *user, d *workflow.Definition, name string) (any, error) {
	rule := d.Counter(name)
	if rule == nil {
		return nil, usagef("the workflow has no counter %q", name)
	}
	of := c.String("of")
	if of == "" && rule.Scope == workflow.ScopeOwner {
		of = string(u.Name())
	}
	t, err := u.FlowCounter(ctx, d.Name, name, of, c.String("key"))
	if err != nil {
		return nil, err
	}
	format := workflow.FieldRule{Type: workflow.TypeDecimal, Scale: rule.Scale}
	sum, limit := format.Format(workflow.Int(t.Sum)), format.Format(workflow.Int(rule.Limit))
	s.say("%s of %s: %s of at most %s", orText(rule.Title.In(string(s.lang)), name), orText(of, s.tr("the consortium")), sum, limit)
	return map[string]any{"counter": name, "of": of, "sum": sum, "limit": limit, "unit": rule.Unit}, nil
}

// counts shows what a regulator sees.
func (s *session) counts(ctx context.Context, c *urfave.Context, u *user, d *workflow.Definition) (any, error) {
	now := time.Now()
	since, err := onDay("since", c.String("since"), now)
	if err != nil {
		return nil, err
	}
	counts, err := u.FlowCounts(ctx, d.Name, c.String("org"), since, now)
	if err != nil {
		return nil, err
	}
	data := countsData{Definition: d.Name, States: []countData{}, Steps: []countData{}}
	var rows [][]string
	for _, n := range counts.States {
		data.States = append(data.States, countData{Org: n.Org, Name: n.State, Count: n.Count})
		rows = append(rows, []string{n.Org, s.stateTitle(d, n.State), fmt.Sprint(n.Count)})
	}
	s.grid([]string{"HOSPITAL", "STATE", "COUNT"}, rows)
	rows = nil
	for _, n := range counts.Flows {
		day := atMillis(n.Day).Format(time.DateOnly)
		title := n.Transition
		if t := d.Transition(n.Transition); t != nil {
			title = orText(t.Title.In(string(s.lang)), t.Name)
		}
		data.Steps = append(data.Steps, countData{Org: n.Org, Name: n.Transition, Day: day, Count: n.Count})
		rows = append(rows, []string{day, n.Org, title, fmt.Sprint(n.Count)})
	}
	s.grid([]string{"DAY", "HOSPITAL", "WHAT", "COUNT"}, rows)
	return data, nil
}
