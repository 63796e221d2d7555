package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/contract/workflow/library"
	"github.com/ward-health/ward/prescription"
)

// definitionText reads a definition from a file, or the one that Ward has under a
// name if there is no such file.
func definitionText(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) && path == prescription.Definition {
			return library.Prescription(), nil
		}
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, workflow.MaxDefinition+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > workflow.MaxDefinition {
		return nil, failf(string(workflow.ErrDefinition), exitFailure, "%s is larger than %d bytes", path, workflow.MaxDefinition)
	}
	return b, nil
}

// definitionFile reads and compiles a definition that the command line names.
func definitionFile(c *urfave.Context) (*workflow.Definition, []byte, error) {
	if c.NArg() == 0 {
		return nil, nil, usagef("which definition?").withHint("give a file in YAML")
	}
	path := c.Args().First()
	text, err := definitionText(path)
	if err != nil {
		return nil, nil, err
	}
	d, err := workflow.Compile(text)
	if wrong := (*workflow.DefinitionError)(nil); errors.As(err, &wrong) {
		return nil, nil, failf(string(workflow.ErrDefinition), exitFailure, "line %d, column %d of %s: %s", wrong.Line, wrong.Column, path, wrong.Reason)
	}
	return d, text, err
}

// A definitionData is what programs get of a definition.
type definitionData struct {
	Name        string   `json:"name"`
	Version     uint32   `json:"version"`
	Title       string   `json:"title,omitempty"`
	Hash        string   `json:"sha256"`
	Proposer    string   `json:"proposer,omitempty"`
	Endorsed    []string `json:"endorsed,omitempty"`
	InForce     bool     `json:"in_force"`
	States      []string `json:"states,omitempty"`
	Transitions []string `json:"transitions,omitempty"`
	Text        string   `json:"text,omitempty"`
}

func (s *session) definitionOf(d *workflow.Definition) definitionData {
	hash := d.Hash()
	out := definitionData{Name: d.Name, Version: d.Version, Title: d.Title.In(string(s.lang)), Hash: hex.EncodeToString(hash[:])}
	for _, st := range d.States {
		out.States = append(out.States, st.Name)
	}
	for _, t := range d.Transitions {
		out.Transitions = append(out.Transitions, t.Name)
	}
	return out
}

func proposalOf(p *workflow.Proposal) definitionData {
	return definitionData{Name: p.Definition, Version: p.Version, Hash: hex.EncodeToString(p.Hash[:]), Proposer: p.Proposer, Endorsed: p.Endorsed, InForce: p.InForce != 0}
}

func flowCheck(_ context.Context, s *session, c *urfave.Context) (any, error) {
	d, _, err := definitionFile(c)
	if err != nil {
		return nil, err
	}
	s.say("%s, version %d: %d states, %d transitions", d.Name, int(d.Version), len(d.States), len(d.Transitions))
	return s.definitionOf(d), nil
}

func flowDefine(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	return s.asHospital(ctx, c, workflow.MethodDefine)
}

func flowEndorse(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	return s.asHospital(ctx, c, workflow.MethodEndorse)
}

// asHospital proposes or endorses a definition in the name of a hospital.
func (s *session) asHospital(ctx context.Context, c *urfave.Context, method string) (any, error) {
	d, text, err := definitionFile(c)
	if err != nil {
		return nil, err
	}
	node := s.hospital(c)
	if node == nil {
		return nil, usagef("only a hospital defines workflows").withHint("--dir names the directory of its node")
	}
	var args any = workflow.DefineArgs{YAML: text}
	if method == workflow.MethodEndorse {
		args = workflow.VersionArgs{Definition: d.Name, Version: d.Version, Hash: d.Hash()}
	}
	b, err := chain.Marshal(args)
	if err != nil {
		return nil, err
	}
	r, err := node.SubmitTo(ctx, workflow.Contract, method, b)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, d.Name, err)
	}
	data := s.definitionOf(d)
	for _, e := range r.Result.Events {
		var p workflow.Proposal
		if e.Kind == workflow.EventDefine && chain.Unmarshal(e.Data, &p) == nil {
			data.Proposer, data.Endorsed, data.InForce = p.Proposer, p.Endorsed, p.InForce != 0
		}
	}
	if data.InForce {
		s.say("%s, version %d, is in force: endorsed by %s", d.Name, int(d.Version), strings.Join(data.Endorsed, ", "))
	} else {
		s.say("%s, version %d, is endorsed by %s", d.Name, int(d.Version), strings.Join(data.Endorsed, ", "))
		s.next(s.tr("others endorse the same file: `ward flow endorse FILE --dir DIR`"))
	}
	return data, nil
}

// definition returns a definition as it is in force.
func (u *user) definition(ctx context.Context, name string, version uint32) (*workflow.Definition, []byte, error) {
	v, err := u.FlowDefinition(ctx, name, version)
	if err != nil {
		return nil, nil, err
	}
	d, err := workflow.Compile(v.YAML)
	return d, v.YAML, err
}

func (s *session) listDefinitions(ctx context.Context, c *urfave.Context) (any, error) {
	l := newListing[definitionData](s, c, columns([]string{"DEFINITION", "VERSION", "STATUS", "ENDORSED BY"}))
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	for p, err := range u.FlowDefinitions(ctx, c.Bool("proposed")) {
		if err != nil {
			return l.end(err, "")
		}
		status := s.tr("proposed")
		if p.InForce != 0 {
			status = s.tr("in force since %s", clockTime(atMillis(p.InForce)))
		}
		l.add(proposalOf(p), p.Definition, fmt.Sprint(p.Version), status, strings.Join(p.Endorsed, ", "))
	}
	return l.end(nil, s.tr("no definitions"))
}

func flowGraph(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	d, err := s.definitionNamed(ctx, c)
	if err != nil {
		return nil, err
	}
	picture, form := d.Mermaid(string(s.lang)), "mermaid"
	if c.Bool("svg") {
		picture, form = string(d.SVG(string(s.lang))), "svg"
	}
	if path := c.String("output"); path != "-" {
		err := s.saveFile(path, c.Bool("force"), func(w io.Writer) error {
			_, err := io.WriteString(w, picture)
			return err
		})
		if err != nil {
			return nil, err
		}
		s.say("%s: %s", path, d.Name)
		return map[string]any{"form": form, "path": path}, nil
	}
	s.print(picture)
	return map[string]any{"form": form, "text": picture}, nil
}

// definitionNamed returns the definition in a file or, if there is none, of a name
// on the chain.
func (s *session) definitionNamed(ctx context.Context, c *urfave.Context) (*workflow.Definition, error) {
	if c.NArg() > 0 {
		if _, err := os.Stat(c.Args().First()); errors.Is(err, os.ErrNotExist) {
			u, err := s.open(ctx, c)
			if err != nil {
				return nil, err
			}
			defer u.close()
			d, _, err := u.definition(ctx, c.Args().First(), uint32(c.Uint("of-version")))
			return d, err
		}
	}
	d, _, err := definitionFile(c)
	return d, err
}
