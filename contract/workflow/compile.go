package workflow

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"go.yaml.in/yaml/v3"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/pre"
)

// Format is what a definition begins with: the value of its key "workflow".
const Format = "ward/v1"

const (
	maxVersion = 1 << 20
	maxRules   = 16
	maxCounts  = 8 // counters and uniques of one transition
)

// Compile reads a definition and checks everything about it: that it is one,
// that names refer to something, that expressions are of the right types, that
// every state can be reached and can be left for a final one, and that timers
// come to an end. The error joins one *DefinitionError for each thing that is
// wrong, up to 16. What it returns depends on data alone.
func Compile(data []byte) (*Definition, error) {
	b := &builder{d: &Definition{hash: sha256.Sum256(data)}, at: make(map[string]*yaml.Node)}
	if root := b.tree(data); root != nil {
		b.definition(root)
	}
	if len(b.errs) > 0 {
		return nil, b.err()
	}
	return b.d, nil
}

// mark remembers where something is in the file.
func (b *builder) mark(kind, name string, n *yaml.Node) { b.at[kind+"/"+name] = n }

func (b *builder) definition(root *yaml.Node) {
	o := b.object(root, "workflow!", "name!", "version!", "title", "closed", "roles", "fields", "variables", "documents", "counters", "uniques", "states!", "transitions!")
	if n := o.value["workflow"]; n != nil && b.text(n) != Format {
		b.fail(n, "%s is not %s", quote(n), Format)
	}
	if n := o.value["name"]; n != nil {
		if b.d.Name = b.text(n); !validName(b.d.Name) {
			b.fail(n, "%s is no name: 1 to %d of a–z, 0–9 and -, beginning with a letter", quote(n), maxName)
		}
	}
	b.d.Version = uint32(b.number(o.value["version"], 0, 1, maxVersion, 1))
	b.d.Title, b.d.Closed = b.title(o.value["title"]), b.flag(o.value["closed"])
	b.named(o.value["roles"], "roles", MaxNames, validName, b.role)
	b.named(o.value["fields"], "fields", MaxNames, validIdent, b.field)
	b.named(o.value["variables"], "variables", MaxNames, validIdent, b.variable)
	b.named(o.value["documents"], "documents", MaxNames, validName, b.document)
	b.named(o.value["counters"], "counters", MaxNames, validIdent, b.counter)
	b.named(o.value["uniques"], "uniques", MaxNames, validIdent, b.unique)
	shared, err := b.environment()
	if err != nil {
		b.fail(root, "%s", oneLine(err.Error()))
		return
	}
	program := &program{transitions: make(map[string]*compiled), timers: make(map[string][]*expression)}
	b.d.program = program
	b.named(o.value["states"], "states", MaxStates, validName, func(name string, key, n *yaml.Node) { b.state(shared, name, key, n) })
	b.named(o.value["transitions"], "transitions", MaxTransitions, validName, func(name string, key, n *yaml.Node) { b.transition(shared, name, key, n) })
	if len(b.errs) == 0 {
		b.connected(root)
	}
}

func (b *builder) role(name string, key, n *yaml.Node) {
	if slices.Contains([]Party{PartyAnyone, PartyOwner, PartyStarter, PartyHolder, PartyActor, PartyNobody, PartyTimer}, Party(name)) {
		b.fail(key, "%s is who someone is already, not a role", quote(key))
	}
	o := b.object(n, "title", "is", "attributes", "org")
	r := Role{Name: name, Title: b.title(o.value["title"]), Is: choice(b, o.value["is"], "", PartyOwner, PartyStarter, PartyHolder), Org: b.text(o.value["org"])}
	for _, a := range b.names(o.value["attributes"], 8) {
		attribute, value, ok := strings.Cut(a.Value, "=")
		if !validAttribute(attribute, "") || ok && value == "" || !validAttribute("a"+value, ".") {
			b.fail(a, "%s is no attribute: name or name=value", quote(a))
			continue
		}
		r.Attributes = append(r.Attributes, Attribute{Name: attribute, Value: value})
	}
	if r.Org != "" && !chain.ValidName(r.Org) {
		b.fail(o.value["org"], "%s is no organisation", quote(o.value["org"]))
	}
	if a := o.value["attributes"]; r.Is == "" && (a == nil || len(a.Content) == 0) && r.Org == "" {
		b.fail(n, "a role asks for something: is, attributes or org")
	}
	b.d.Roles = append(b.d.Roles, r)
}

// validAttribute reports whether s could be attested: see identity.Attribute.
func validAttribute(s, extra string) bool {
	if s == "" || len(s) > 48+len(extra) || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.Contains("_-"+extra, string(c)) {
			return false
		}
	}
	return true
}

var typeNames = []Type{TypeInt, TypeDecimal, TypeBool, TypeCode, TypeTime, TypeDate, TypeIdentity}

// kind reads what fields and variables have in common.
func (b *builder) kind(o object) (t Type, unit string, scale int) {
	n := o.value["type"]
	if n == nil {
		return TypeInt, "", 0
	}
	t = Type(b.text(n))
	if !slices.Contains(typeNames, t) {
		b.fail(n, "%s is none of the types %v", quote(n), typeNames)
		return TypeInt, "", 0
	}
	if n := o.value["scale"]; n != nil && t != TypeDecimal {
		b.fail(n, "only decimals have a scale")
	} else if t == TypeDecimal {
		scale = int(b.number(n, 0, 0, maxScale, 0))
	}
	return t, b.unit(o.value["unit"]), scale
}

func (b *builder) unit(n *yaml.Node) string {
	s := b.text(n)
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || len(s) > 32 {
			b.fail(n, "a unit is of UCUM: up to 32 printable ASCII characters")
			return ""
		}
	}
	return s
}

func (b *builder) field(name string, _, n *yaml.Node) {
	o := b.object(n, "title", "type!", "many", "unit", "scale", "min", "max", "values", "role")
	f := FieldRule{Name: name, Title: b.title(o.value["title"]), Many: b.flag(o.value["many"])}
	f.Type, f.Unit, f.Scale = b.kind(o)
	low, high := int64(-maxNumber), int64(maxNumber)
	switch f.Type {
	case TypeTime, TypeDate:
		low, high = 0, maxTime
	case TypeInt, TypeDecimal:
	default:
		for _, k := range []string{"min", "max"} {
			if n := o.value[k]; n != nil {
				b.fail(n, "only numbers and times have bounds")
			}
		}
	}
	f.Min = b.number(o.value["min"], f.Scale, low, high, 0)
	f.Max = b.number(o.value["max"], f.Scale, max(low, f.Min), high, high)
	for _, v := range b.names(o.value["values"], 256) {
		if f.Type != TypeCode || !TypeCode.holdsText(v.Value) {
			b.fail(v, "%s is no value of type %s: only codes have a list of values", quote(v), f.Type)
		}
		f.Values = append(f.Values, v.Value)
	}
	if n := o.value["role"]; n != nil {
		if f.Role = b.text(n); f.Type != TypeIdentity || b.d.Role(f.Role) == nil {
			b.fail(n, "%s is no role, or the field is no identity", quote(n))
		}
	}
	b.d.Fields = append(b.d.Fields, f)
}

func (b *builder) variable(name string, _, n *yaml.Node) {
	o := b.object(n, "title", "type!", "unit", "scale", "initial")
	v := Variable{Name: name, Title: b.title(o.value["title"])}
	v.Type, v.Unit, v.Scale = b.kind(o)
	v.Initial = v.Type.zero()
	if n := o.value["initial"]; n != nil {
		f := FieldRule{Type: v.Type, Scale: v.Scale, Min: math.MinInt64, Max: math.MaxInt64}
		var ok bool
		if v.Initial, ok = f.Parse(b.text(n)); !ok {
			b.fail(n, "%s is no value of type %s", quote(n), v.Type)
		}
	}
	b.d.Variables = append(b.d.Variables, v)
}

func (b *builder) document(name string, _, n *yaml.Node) {
	o := b.object(n, "title", "type!", "own")
	r := DocumentRule{Name: name, Title: b.title(o.value["title"]), Type: b.text(o.value["type"]), Own: b.flag(o.value["own"])}
	if n := o.value["type"]; n != nil {
		whole := r.Type
		if r.Own {
			whole += "/w-" + strings.Repeat("a", 26)
		}
		if _, err := pre.ParseType(whole); err != nil || r.Type == "" {
			b.fail(n, "%s is no type of records", quote(n))
		}
	}
	b.d.Documents = append(b.d.Documents, r)
}

func (b *builder) counter(name string, _, n *yaml.Node) {
	o := b.object(n, "title", "scope", "window", "limit!", "unit", "scale")
	c := Counter{Name: name, Title: b.title(o.value["title"]), Scope: b.scope(o), Unit: b.unit(o.value["unit"])}
	c.Scale = int(b.number(o.value["scale"], 0, 0, maxScale, 0))
	if n := o.value["window"]; n != nil {
		c.Window = b.duration(n)
	}
	c.Limit = b.number(o.value["limit"], c.Scale, 0, maxNumber, 0)
	b.d.Counters = append(b.d.Counters, c)
}

func (b *builder) scope(o object) Scope {
	return choice(b, o.value["scope"], ScopeConsortium, ScopeOwner, ScopeOrg, ScopeInstance)
}

func (b *builder) unique(name string, key, n *yaml.Node) {
	if b.d.Counter(name) != nil {
		b.fail(key, "%s is a counter", quote(key))
	}
	o := b.object(n, "title", "scope")
	b.d.Uniques = append(b.d.Uniques, Unique{Name: name, Title: b.title(o.value["title"]), Scope: b.scope(o)})
}

// environment returns the names that all expressions of the definition can use.
func (b *builder) environment() (*cel.Env, error) {
	base, err := language()
	if err != nil {
		return nil, fmt.Errorf("expressions: %w", err)
	}
	var opts []cel.EnvOption
	for i := range b.d.Variables {
		v := &b.d.Variables[i]
		opts = append(opts, cel.Variable("vars."+v.Name, v.Type.celType(false)))
	}
	return base.Extend(opts...)
}

func (b *builder) state(shared *cel.Env, name string, key, n *yaml.Node) {
	if name == Start {
		b.fail(key, "%s is before the first state", quote(key))
	}
	b.mark("state", name, key)
	o := b.object(n, "title", "final", "timers")
	s := State{Name: name, Title: b.title(o.value["title"]), Final: b.flag(o.value["final"])}
	b.list(o.value["timers"], 8, func(n *yaml.Node) {
		o := b.object(n, "after", "at", "take!")
		t := Timer{Take: b.text(o.value["take"])}
		var at *expression
		switch after, expr := o.value["after"], o.value["at"]; {
		case (after == nil) == (expr == nil):
			b.fail(n, "a timer is due after a duration or at a time")
		case after != nil:
			t.After = b.duration(after)
		default:
			at = b.expression(expr, shared, cel.IntType)
			t.At = at.source
		}
		b.mark("timer", fmt.Sprint(name, "/", len(s.Timers)), n)
		s.Timers = append(s.Timers, t)
		b.d.program.timers[name] = append(b.d.program.timers[name], at)
	})
	b.d.States = append(b.d.States, s)
}
