package workflow

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"go.yaml.in/yaml/v3"
)

func (b *builder) transition(shared *cel.Env, name string, key, n *yaml.Node) {
	b.mark("transition", name, key)
	o := b.object(n, "title", "from!", "to!", "by!", "fields", "documents", "rules", "set", "holder", "count", "claim", "undo", "event")
	t := Transition{Name: name, Title: b.title(o.value["title"]), To: b.text(o.value["to"])}
	c := &compiled{}
	b.ends(&t, o)
	b.by(&t, o.value["by"])
	b.named(o.value["fields"], "fields", MaxNames, validIdent, func(name string, key, n *yaml.Node) {
		if b.d.Field(name) == nil {
			b.fail(key, "there is no field %s", quote(key))
			return
		}
		t.Fields = append(t.Fields, Entry{Field: name, Optional: choice(b, n, "required", "optional") == "optional"})
	})
	b.named(o.value["documents"], "documents", MaxNames, validName, func(name string, key, n *yaml.Node) { b.asked(&t, name, key, n) })
	b.parties(&t, o)
	own, err := b.ownEnvironment(shared, &t, o.value["count"])
	if err != nil {
		b.fail(n, "%s", oneLine(err.Error()))
		return
	}
	b.named(o.value["rules"], "rules", maxRules, validName, func(name string, _, n *yaml.Node) {
		x := b.expression(n, own, cel.BoolType)
		t.Rules, c.rules = append(t.Rules, Rule{name, x.source}), append(c.rules, x)
	})
	b.named(o.value["set"], "variables", MaxNames, validIdent, func(name string, key, n *yaml.Node) {
		v := b.d.Variable(name)
		if v == nil {
			b.fail(key, "there is no variable %s", quote(key))
			return
		}
		x := b.expression(n, own, v.Type.celType(false))
		t.Set, c.set = append(t.Set, Assignment{name, x.source}), append(c.set, x)
	})
	b.counts(&t, c, own, o)
	if n := o.value["event"]; n != nil {
		if t.Event = b.text(n); !validName(t.Event) {
			b.fail(n, "%s is no name of an event", quote(n))
		}
	}
	if slices.Contains(t.By, string(PartyTimer)) {
		b.takenByTimer(&t, n)
	}
	b.d.Transitions = append(b.d.Transitions, t)
	b.d.program.transitions[name] = c
}

// ends reads where a transition leads from and to.
func (b *builder) ends(t *Transition, o object) {
	for _, n := range b.names(o.value["from"], MaxStates) {
		switch s := b.d.State(n.Value); {
		case n.Value == Start:
			if len(o.value["from"].Content) > 1 {
				b.fail(n, "what leads from %s leads from nowhere else", Start)
			}
		case s == nil:
			b.fail(n, "there is no state %s", quote(n))
		case s.Final:
			b.fail(n, "the state %s is final", quote(n))
		}
		t.From = append(t.From, n.Value)
	}
	if n := o.value["from"]; n != nil && len(t.From) == 0 {
		b.fail(n, "it leads from no state")
	}
	if n := o.value["to"]; n != nil && b.d.State(t.To) == nil {
		b.fail(n, "there is no state %s", quote(n))
	}
}

func (b *builder) by(t *Transition, n *yaml.Node) {
	start := slices.Contains(t.From, Start)
	for _, n := range b.names(n, 16) {
		p := Party(n.Value)
		switch {
		case b.d.Role(n.Value) != nil:
		case p != PartyAnyone && p != PartyOwner && p != PartyStarter && p != PartyHolder && p != PartyTimer:
			b.fail(n, "%s is no role and none of anyone, owner, starter, holder and timer", quote(n))
		case start && (p == PartyTimer || p == PartyHolder || p == PartyStarter):
			b.fail(n, "before the start there is no %s", p)
		}
		t.By = append(t.By, n.Value)
	}
	if n != nil && len(t.By) == 0 {
		b.fail(n, "nobody may take it")
	}
}

// identityField reports whether s is "fields." and a field of the transition for
// one identity.
func (b *builder) identityField(t *Transition, s string) bool {
	name, ok := strings.CutPrefix(s, "fields.")
	f := b.d.Field(name)
	return ok && f != nil && f.Type == TypeIdentity && !f.Many && slices.ContainsFunc(t.Fields, func(e Entry) bool { return e.Field == name })
}

func (b *builder) asked(t *Transition, name string, key, n *yaml.Node) {
	if b.d.Document(name) == nil {
		b.fail(key, "there is no document %s", quote(key))
		return
	}
	o := b.object(n, "put", "author", "grant", "to", "held")
	need := func(n *yaml.Node) Need {
		if n == nil {
			return Never
		}
		if choice(b, n, "required", "optional") == "optional" {
			return Optional
		}
		return Required
	}
	a := Asked{
		Document: name, Put: need(o.value["put"]), Author: b.flag(o.value["author"]),
		Grant: need(o.value["grant"]), To: b.text(o.value["to"]), Held: b.flag(o.value["held"]),
	}
	switch to := o.value["to"]; {
	case a.Put == Never && a.Grant == Never:
		b.fail(n, "it asks for nothing: put or grant")
	case a.Author && a.Put == Never:
		b.fail(o.value["author"], "nothing is put")
	case (a.Grant == Never) != (to == nil) || a.Held && a.Grant == Never:
		b.fail(n, "a grant is to someone, and only a grant is")
	case to != nil && a.To != string(PartyActor) && a.To != string(PartyHolder) && !b.identityField(t, a.To):
		b.fail(to, "%s is neither actor nor holder nor a field of the transition for an identity", quote(to))
	}
	t.Documents = append(t.Documents, a)
}

func (b *builder) parties(t *Transition, o object) {
	n := o.value["holder"]
	if n == nil {
		return
	}
	t.Holder = b.text(n)
	switch Party(t.Holder) {
	case PartyActor, PartyOwner, PartyStarter, PartyNobody:
	default:
		if !b.identityField(t, t.Holder) {
			b.fail(n, "%s is none of actor, owner, starter and nobody, nor a field of the transition for an identity", quote(n))
		}
	}
}

// ownEnvironment returns the names that the expressions of one transition can
// use. Counts are of the counters that it adds to.
func (b *builder) ownEnvironment(shared *cel.Env, t *Transition, counts *yaml.Node) (*cel.Env, error) {
	var opts []cel.EnvOption
	for _, e := range t.Fields {
		f := b.d.Field(e.Field)
		opts = append(opts, cel.Variable("fields."+f.Name, f.Type.celType(f.Many)), cel.Variable("given."+f.Name, cel.BoolType))
	}
	if counts != nil && counts.Kind == yaml.MappingNode {
		for i := 0; i < len(counts.Content); i += 2 {
			if c := b.d.Counter(counts.Content[i].Value); c != nil {
				opts = append(opts, cel.Variable("counts."+c.Name, cel.IntType))
			}
		}
	}
	if len(opts) == 0 {
		return shared, nil
	}
	return shared.Extend(opts...)
}

func (b *builder) counts(t *Transition, c *compiled, own *cel.Env, o object) {
	b.named(o.value["count"], "counters", maxCounts, validIdent, func(name string, key, n *yaml.Node) {
		if b.d.Counter(name) == nil {
			b.fail(key, "there is no counter %s", quote(key))
			return
		}
		o := b.object(n, "key", "add!")
		count := Count{Counter: name, Key: b.text(o.value["key"]), Add: b.text(o.value["add"])}
		var k, add *expression
		if n := o.value["key"]; n != nil {
			k = b.expression(n, own, cel.StringType)
		}
		if n := o.value["add"]; n != nil {
			add = b.expression(n, own, cel.IntType)
		}
		t.Count, c.keys, c.adds = append(t.Count, count), append(c.keys, k), append(c.adds, add)
	})
	b.named(o.value["claim"], "uniques", maxCounts, validIdent, func(name string, key, n *yaml.Node) {
		if b.d.unique(name) == nil {
			b.fail(key, "there is no unique %s", quote(key))
			return
		}
		x := b.expression(n, own, cel.StringType, cel.ListType(cel.StringType))
		t.Claim, c.claims = append(t.Claim, Assignment{name, x.source}), append(c.claims, x)
	})
	for _, n := range b.names(o.value["undo"], 2*MaxNames) {
		if b.d.Counter(n.Value) == nil && b.d.unique(n.Value) == nil {
			b.fail(n, "%s is neither a counter nor a unique", quote(n))
		}
		t.Undo = append(t.Undo, n.Value)
	}
}

// takenByTimer checks that a transition cannot be refused when it is due.
func (b *builder) takenByTimer(t *Transition, n *yaml.Node) {
	if len(t.Rules)+len(t.Count)+len(t.Claim)+len(t.Documents) > 0 || slices.ContainsFunc(t.Fields, func(e Entry) bool { return !e.Optional }) {
		b.fail(n, "what a timer takes has no rules, counters, claims or documents, and no fields but optional ones")
	}
	if t.Holder == string(PartyActor) {
		b.fail(n, "a timer cannot be the holder")
	}
}

// connected checks the states as a graph.
func (b *builder) connected(root *yaml.Node) {
	starts, next := 0, make(map[string][]string)
	back := make(map[string][]string)
	for i := range b.d.Transitions {
		t := &b.d.Transitions[i]
		for _, from := range t.From {
			if from == Start {
				starts++
			}
			next[from] = append(next[from], t.To)
			back[t.To] = append(back[t.To], from)
		}
	}
	if starts == 0 {
		b.fail(root, "no transition leads from %s", Start)
	}
	reached := reach(next, Start)
	var finals []string
	for i := range b.d.States {
		if s := &b.d.States[i]; s.Final {
			finals = append(finals, s.Name)
		}
	}
	ends := reach(back, finals...)
	for i := range b.d.States {
		s := &b.d.States[i]
		n := b.at["state/"+s.Name]
		switch {
		case !reached[s.Name]:
			b.fail(n, "the state %s cannot be reached", quote(n))
		case !ends[s.Name]:
			b.fail(n, "from the state %s no final state can be reached", quote(n))
		}
		b.timers(s)
	}
	if len(b.errs) == 0 {
		b.timersEnd()
	}
}

func reach(next map[string][]string, from ...string) map[string]bool {
	seen := make(map[string]bool)
	for len(from) > 0 {
		s := from[0]
		from = from[1:]
		if !seen[s] {
			seen[s] = true
			from = append(from, next[s]...)
		}
	}
	return seen
}

func (b *builder) timers(s *State) {
	for i, timer := range s.Timers {
		n := b.at[fmt.Sprint("timer/", s.Name, "/", i)]
		t := b.d.Transition(timer.Take)
		switch {
		case s.Final:
			b.fail(n, "a final state has no timers")
		case t == nil:
			b.fail(n, "there is no transition %q", timer.Take)
		case !slices.Contains(t.From, s.Name):
			b.fail(n, "the transition %q does not lead from here", timer.Take)
		case !slices.Contains(t.By, string(PartyTimer)):
			b.fail(n, "the transition %q is not by timer", timer.Take)
		}
	}
}

// maxTimers is how many timers follow each other with nobody taking a step. An
// instance that nobody has looked at for years takes them in one transaction,
// whose events have room in a result: chain.MaxResult.
const maxTimers = 16

// timersEnd checks that timers alone do not lead round in a circle, nor on and on.
func (b *builder) timersEnd() {
	next := make(map[string][]string)
	for i := range b.d.States {
		for _, timer := range b.d.States[i].Timers {
			next[b.d.States[i].Name] = append(next[b.d.States[i].Name], b.d.Transition(timer.Take).To)
		}
	}
	for i := range b.d.States {
		name := b.d.States[i].Name
		if reach(next, next[name]...)[name] {
			b.fail(b.at["state/"+name], "timers alone lead from the state %q back to it", name)
		}
	}
	if len(b.errs) > 0 {
		return
	}
	longest := make(map[string]int)
	for i := range b.d.States {
		if name := b.d.States[i].Name; inARow(next, longest, name) > maxTimers {
			b.fail(b.at["state/"+name], "more than %d timers follow each other from the state %q on", maxTimers, name)
		}
	}
}

// inARow returns how many timers can follow each other from a state on, without
// circles, and remembers it in longest.
func inARow(next map[string][]string, longest map[string]int, state string) int {
	n, ok := longest[state]
	if ok {
		return n
	}
	for _, to := range next[state] {
		n = max(n, 1+inARow(next, longest, to))
	}
	longest[state] = n
	return n
}
