package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/cli/sniff"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/pre"
)

// flowID reads the id of a workflow.
func flowID(s string) (workflow.ID, error) {
	id, err := workflow.ParseID(s)
	if err != nil {
		return "", usagef("%q is no id of a workflow", s).withHint("ids look like w-abc…; `ward flow list` shows them")
	}
	return id, nil
}

// pairs reads NAME=VALUE flags.
func pairs(c *urfave.Context, flag string) ([][2]string, error) {
	var out [][2]string
	for _, v := range c.StringSlice(flag) {
		name, value, found := strings.Cut(v, "=")
		if !found || name == "" || value == "" {
			return nil, usagef("flag %s: %q is not NAME=VALUE", "--"+flag, v)
		}
		out = append(out, [2]string{name, value})
	}
	return out, nil
}

// fields reads what is entered, by the rules of a definition.
func fields(c *urfave.Context, d *workflow.Definition) ([]workflow.Field, error) {
	given, err := pairs(c, "field")
	if err != nil {
		return nil, err
	}
	var out []workflow.Field
	for _, g := range given {
		rule := d.Field(g[0])
		if rule == nil {
			return nil, usagef("the workflow has no field %q", g[0])
		}
		v, ok := rule.Parse(g[1])
		if !ok {
			return nil, usagef("%q is no value for the field %s", g[1], g[0])
		}
		if i := slices.IndexFunc(out, func(f workflow.Field) bool { return f.Name == g[0] }); i >= 0 && rule.Many {
			out[i].Value.Ints, out[i].Value.Texts = append(out[i].Value.Ints, v.Ints...), append(out[i].Value.Texts, v.Texts...)
			continue
		}
		out = append(out, workflow.Field{Name: g[0], Value: v})
	}
	return workflow.Sorted(out), nil
}

// documents reads the records and grants for places, and writes the files.
func (s *session) documents(ctx context.Context, c *urfave.Context, u *user, d *workflow.Definition, id workflow.ID, owner identity.Name) ([]workflow.Document, error) {
	byName := map[string]*workflow.Document{}
	at := func(flag, name string) (*workflow.Document, error) {
		if d.Document(name) == nil {
			return nil, usagef("the workflow has no place %q", name)
		}
		if byName[name] == nil {
			byName[name] = &workflow.Document{Name: name}
		}
		return byName[name], nil
	}
	for _, flag := range []string{"record", "grant", "put"} { // put is last: it changes something
		given, err := pairs(c, flag)
		if err != nil {
			return nil, err
		}
		for _, g := range given {
			doc, err := at(flag, g[0])
			if err != nil {
				return nil, err
			}
			switch flag {
			case "record":
				doc.Record, err = recordID(g[1])
			case "grant":
				doc.Grant, err = grantID(g[1])
			case "put":
				doc.Record, err = putFile(ctx, u, d.Document(g[0]), id, owner, g[1])
			}
			if err != nil {
				return nil, err
			}
		}
	}
	var out []workflow.Document
	for _, doc := range byName {
		out = append(out, *doc)
	}
	slices.SortFunc(out, func(a, b workflow.Document) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// putFile writes a file as a record for a place of a workflow.
func putFile(ctx context.Context, u *user, rule *workflow.DocumentRule, id workflow.ID, owner identity.Name, path string) (record.ID, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	t := pre.Type(rule.Type)
	if rule.Own {
		t += "/" + pre.Type(id)
	}
	name := filepath.Base(path)
	return u.Put(ctx, ward.Record{
		Owner: owner, Type: t, Title: name, Filename: name, MediaType: sniff.Of(name, b).MediaType,
	}, bytes.NewReader(b))
}

func flowStart(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() < 2 {
		return nil, usagef("which workflow, and by which transition?").withHint("`ward flow list --definitions` lists them, `ward flow graph NAME` draws one")
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	args := workflow.StartArgs{Owner: u.Name(), Definition: c.Args().First(), Transition: c.Args().Get(1)}
	if v := c.String("owner"); v != "" {
		if args.Owner, err = parseName(v); err != nil {
			return nil, err
		}
	}
	d, _, err := u.definition(ctx, args.Definition, 0)
	if err != nil {
		return nil, err
	}
	args.Version = d.Version
	if args.ID, err = workflow.GenerateID(); err != nil {
		return nil, err
	}
	if args.Fields, err = fields(c, d); err != nil {
		return nil, err
	}
	if args.Documents, err = s.documents(ctx, c, u, d, args.ID, args.Owner); err != nil {
		return nil, err
	}
	if err := u.StartFlow(ctx, args); err != nil {
		return map[string]any{"id": args.ID}, err
	}
	if s.quiet {
		s.say("%s", string(args.ID))
		return map[string]any{"id": args.ID}, nil
	}
	return s.nowAt(ctx, u, args.ID)
}

func flowStep(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() < 2 {
		return nil, usagef("which workflow, and which transition?").withHint("ids look like w-abc…; `ward flow list` shows them")
	}
	id, err := flowID(c.Args().First())
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if c.Args().Get(1) == "tick" {
		if err := u.TickFlow(ctx, id); err != nil {
			return nil, err
		}
		return s.nowAt(ctx, u, id)
	}
	i, err := u.FlowState(ctx, id)
	if err != nil {
		return nil, err
	}
	d, _, err := u.definition(ctx, i.Definition, i.Version)
	if err != nil {
		return nil, err
	}
	args := workflow.StepArgs{ID: id, After: i.Steps, Transition: c.Args().Get(1)}
	if args.Fields, err = fields(c, d); err != nil {
		return nil, err
	}
	if args.Documents, err = s.documents(ctx, c, u, d, id, i.Owner); err != nil {
		return nil, err
	}
	if err := u.StepFlow(ctx, args); err != nil {
		return nil, err
	}
	return s.nowAt(ctx, u, id)
}

// nowAt says where a workflow stands, and returns it.
func (s *session) nowAt(ctx context.Context, u *user, id workflow.ID) (any, error) {
	i, err := u.FlowState(ctx, id)
	if err != nil {
		return map[string]any{"id": id}, err
	}
	d, _, err := u.definition(ctx, i.Definition, i.Version)
	if err != nil {
		return map[string]any{"id": id}, err
	}
	state := s.stateTitle(d, i.State)
	if i.Holder == "" {
		s.tell("%s: %s", string(id), state)
	} else {
		s.tell("%s: %s, held by %s", string(id), state, i.Holder)
	}
	return s.flowOf(d, i), nil
}

// stateTitle returns what people call a state.
func (s *session) stateTitle(d *workflow.Definition, state string) string {
	if st := d.State(state); st != nil && st.Title.In(string(s.lang)) != "" {
		return st.Title.In(string(s.lang))
	}
	return state
}

// orText is the first text that is not empty.
func orText(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
