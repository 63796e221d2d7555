package workflow

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types/ref"
	"go.yaml.in/yaml/v3"
)

// Bounds on one expression. There are no loops in the language, so what an
// expression costs is bounded by its nodes.
const (
	maxExprNodes = 128
	maxExprDepth = 24
	maxConcats   = 16
	maxTerms     = 16 << 10 // bytes of all expressions of a definition
)

// allowed are the functions of the language, by their names in CEL, with the
// overloads of CEL's standard definitions.
var allowed = map[string][]string{
	operators.LogicalAnd:    {overloads.LogicalAnd},
	operators.LogicalOr:     {overloads.LogicalOr},
	operators.LogicalNot:    {overloads.LogicalNot},
	operators.Conditional:   {overloads.Conditional},
	operators.Equals:        {overloads.Equals},
	operators.NotEquals:     {overloads.NotEquals},
	operators.Less:          {overloads.LessInt64},
	operators.LessEquals:    {overloads.LessEqualsInt64},
	operators.Greater:       {overloads.GreaterInt64},
	operators.GreaterEquals: {overloads.GreaterEqualsInt64},
	operators.Add:           {overloads.AddInt64, overloads.AddString},
	operators.Subtract:      {overloads.SubtractInt64},
	operators.Multiply:      {overloads.MultiplyInt64},
	operators.Divide:        {overloads.DivideInt64},
	operators.Modulo:        {overloads.ModuloInt64},
	operators.Negate:        {overloads.NegateInt64},
	operators.In:            {overloads.InList},
	overloads.Size:          {overloads.SizeString, overloads.SizeList},
	overloads.StartsWith:    {overloads.StartsWithString},
}

// durations are spans of time in milliseconds that expressions can name.
var durations = map[string]int64{"second": 1000, "minute": 60 * 1000, "hour": 60 * 60 * 1000, "day": dayMillis}

// A program is a definition's compiled expressions.
type program struct {
	transitions map[string]*compiled
	timers      map[string][]*expression // by state, one for each timer; nil for one with After
}

// A compiled is what a transition computes.
type compiled struct {
	rules, set, keys, adds, claims []*expression // in the order of the lists of the Transition
}

// An expression is one that was checked.
type expression struct {
	source string
	node   *yaml.Node
	env    *cel.Env
	want   []*cel.Type
	prog   cel.Program
}

// eval returns what the expression comes to.
func (e *expression) eval(vars map[string]any) (ref.Val, error) {
	v, _, err := e.prog.Eval(vars)
	return v, err
}

// language returns the environment that all expressions share.
func language() (*cel.Env, error) {
	subset := env.NewLibrarySubset().SetDisableMacros(true)
	names := make([]string, 0, len(allowed))
	for name := range allowed {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := env.NewFunction(name)
		for _, id := range allowed[name] {
			f.Overloads = append(f.Overloads, env.NewOverload(id, nil, nil))
		}
		subset.AddIncludedFunctions(f)
	}
	opts := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(subset)), cel.ClearMacros(), cel.HomogeneousAggregateLiterals(),
		cel.ParserRecursionLimit(maxExprDepth), cel.ParserExpressionSizeLimit(MaxExpression), cel.ParserErrorRecoveryLimit(1),
		cel.Variable("now", cel.IntType), cel.Variable("steps", cel.IntType),
	}
	for _, name := range []string{"actor", "actor_org", "owner", "owner_org", "starter", "starter_org", "holder", "state", "instance"} {
		opts = append(opts, cel.Variable(name, cel.StringType))
	}
	for name := range durations {
		opts = append(opts, cel.Variable(name, cel.IntType))
	}
	return cel.NewCustomEnv(opts...)
}

// celType is the type of a field or variable in expressions.
func (t Type) celType(many bool) *cel.Type {
	c := cel.IntType
	switch {
	case t == TypeBool:
		c = cel.BoolType
	case t.textual():
		c = cel.StringType
	}
	if many {
		return cel.ListType(c)
	}
	return c
}

// expression records an expression to be compiled in an environment, which must
// come to one of some types.
func (b *builder) expression(n *yaml.Node, e *cel.Env, want ...*cel.Type) *expression {
	x := &expression{source: b.text(n), node: n, env: e, want: want}
	b.expressions++
	b.terms += len(x.source)
	switch {
	case b.expressions > MaxExpressions:
		b.fail(n, "more than %d expressions", MaxExpressions)
	case b.terms > maxTerms:
		b.fail(n, "more than %d bytes of expressions", maxTerms)
	default:
		b.compile(x)
	}
	return x
}

func (b *builder) compile(x *expression) {
	if x.source == "" || len(x.source) > MaxExpression {
		b.fail(x.node, "an expression has 1 to %d bytes", MaxExpression)
		return
	}
	for i := range len(x.source) {
		if c := x.source[i]; c < ' ' && c != '\n' || c > '~' {
			b.fail(x.node, "expressions are of printable ASCII characters")
			return
		}
	}
	parsed, issues := x.env.Parse(x.source)
	if issues != nil && issues.Err() != nil {
		b.issues(x, issues)
		return
	}
	if reason := outside(parsed.NativeRep().Expr()); reason != "" {
		b.fail(x.node, "%s", reason)
		return
	}
	checked, issues := x.env.Check(parsed)
	if issues != nil && issues.Err() != nil {
		b.issues(x, issues)
		return
	}
	if !slices.ContainsFunc(x.want, func(t *cel.Type) bool { return t.IsExactType(checked.OutputType()) }) {
		b.fail(x.node, "the expression is of type %s, want %v", checked.OutputType(), x.want[0])
		return
	}
	prog, err := x.env.Program(checked)
	if err != nil {
		b.fail(x.node, "%s", oneLine(err.Error()))
		return
	}
	x.prog = prog
}

// issues reports the first thing that CEL says, at its place in the file.
func (b *builder) issues(x *expression, issues *cel.Issues) {
	e := issues.Errors()[0]
	line, column := x.node.Line, x.node.Column+e.Location.Column()
	switch {
	case x.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		line, column = line+e.Location.Line(), e.Location.Column()+1
	case x.node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		column++
	}
	b.failAt(line, column, "%s", oneLine(e.Message))
}

func oneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// outside says what of an expression is not in the language, or returns "".
func outside(root ast.Expr) string {
	nodes, concats := 0, 0
	var walk func(e ast.Expr, depth int) string
	walk = func(e ast.Expr, depth int) string {
		if nodes++; nodes > maxExprNodes {
			return fmt.Sprintf("more than %d terms in an expression", maxExprNodes)
		}
		if depth > maxExprDepth {
			return fmt.Sprintf("an expression nested deeper than %d", maxExprDepth)
		}
		var inner []ast.Expr
		switch e.Kind() {
		case ast.LiteralKind:
			switch e.AsLiteral().Type() {
			case cel.IntType, cel.BoolType, cel.StringType:
			default:
				return fmt.Sprintf("there are no values of type %s", e.AsLiteral().Type().TypeName())
			}
		case ast.IdentKind:
		case ast.SelectKind:
			if e.AsSelect().IsTestOnly() || e.AsSelect().Operand().Kind() != ast.IdentKind {
				return "only fields, given, vars and counts have names behind a point"
			}
		case ast.ListKind:
			if len(e.AsList().OptionalIndices()) > 0 {
				return "lists have no optional entries"
			}
			inner = e.AsList().Elements()
		case ast.CallKind:
			c := e.AsCall()
			if _, ok := allowed[c.FunctionName()]; !ok {
				return fmt.Sprintf("there is no function %q", c.FunctionName())
			}
			if c.FunctionName() == operators.Add {
				concats++
			}
			if concats > maxConcats {
				return fmt.Sprintf("more than %d additions in an expression", maxConcats)
			}
			if c.IsMemberFunction() {
				inner = append(inner, c.Target())
			}
			inner = append(inner, c.Args()...)
		default:
			return "there are no maps, messages, macros or loops"
		}
		for _, i := range inner {
			if reason := walk(i, depth+1); reason != "" {
				return reason
			}
		}
		return ""
	}
	return walk(root, 0)
}
