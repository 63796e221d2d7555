package workflow

import (
	"crypto/sha256"
	"fmt"
)

// Start is the state that an instance is in before it is started.
const Start = "start"

// Limits on definitions. Part of the rules.
const (
	MaxStates      = 64
	MaxTransitions = 96
	MaxNames       = 64   // roles, fields, variables, documents, counters, uniques: of each
	MaxExpression  = 1024 // bytes
	MaxExpressions = 256  // in a definition
)

// A Definition is a compiled definition. It must not be changed.
type Definition struct {
	Name        string
	Version     uint32
	Title       Title
	Closed      bool // starts no instances
	Roles       []Role
	Fields      []FieldRule
	Variables   []Variable
	Documents   []DocumentRule
	Counters    []Counter
	Uniques     []Unique
	States      []State      // in the order of the file
	Transitions []Transition // in the order of the file

	hash    [sha256.Size]byte
	program *program // compiled expressions
}

// Hash returns the SHA-256 of the YAML.
func (d *Definition) Hash() [sha256.Size]byte { return d.hash }

// A Title is what people read, by language. It never gets into a state.
type Title struct{ English, Chinese string }

// In returns the title in a language, "zh" or another, and "" if there is none.
func (t Title) In(language string) string {
	if language == "zh" && t.Chinese != "" {
		return t.Chinese
	}
	return t.English
}

// A Role says who someone must be: all that it lists.
type Role struct {
	Name       string
	Title      Title
	Is         Party       // or ""
	Attributes []Attribute // attested and in force, by an organisation that is a member
	Org        string      // "" for any, "owner", "starter" or "holder" for theirs, or a member's name
}

// An Attribute is one that an identity must have, with any value if Value is "".
type Attribute struct{ Name, Value string }

// A Party is who someone is to an instance.
type Party string

// The parties. A role of a definition cannot have the name of one.
const (
	PartyAnyone  Party = "anyone"  // every registered identity
	PartyOwner   Party = "owner"   // or who acts for the owner
	PartyStarter Party = "starter" // who started the instance
	PartyHolder  Party = "holder"  // the present holder
	PartyActor   Party = "actor"   // who takes the transition; for holder and grants only
	PartyNobody  Party = "nobody"  // for holder only
	PartyTimer   Party = "timer"   // for by only: the transition is taken when it is due
)

// A Type is what a field or a variable holds.
type Type string

// The types.
const (
	TypeInt      Type = "int"
	TypeDecimal  Type = "decimal" // with Scale digits after the point
	TypeBool     Type = "bool"
	TypeCode     Type = "code" // 1 to MaxCode of A–Z a–z 0–9 . _ : / + -
	TypeTime     Type = "time" // Unix milliseconds
	TypeDate     Type = "date" // of whole days
	TypeIdentity Type = "identity"
)

// A FieldRule says what can be entered.
type FieldRule struct {
	Name   string
	Title  Title
	Type   Type
	Many   bool     // a list of 1 to MaxList
	Unit   string   // UCUM, to show
	Scale  int      // of a decimal: 0 to 9
	Min    int64    // of numbers and times
	Max    int64    // of numbers and times
	Values []string // that a code can have; nil for any
	Role   string   // that an identity must have, or ""
}

// A Variable is what an instance remembers.
type Variable struct {
	Name    string
	Title   Title
	Type    Type
	Unit    string
	Scale   int
	Initial Value
}

// A DocumentRule says which records can be in a place.
type DocumentRule struct {
	Name  string
	Title Title
	Type  string // a record of this type or below it
	Own   bool   // exactly of this type and, below it, the instance's id
}

// A State is where an instance can be.
type State struct {
	Name   string
	Title  Title
	Final  bool // no transition leaves it
	Timers []Timer
}

// A Timer takes a transition when it is due.
type Timer struct {
	After int64  // milliseconds since the instance came into the state, or
	At    string // an expression for the time, 0 for never
	Take  string
}

// A Transition leads from a state to another.
type Transition struct {
	Name      string
	Title     Title
	From      []string
	To        string
	By        []string // parties and roles: any of them
	Fields    []Entry
	Documents []Asked
	Rules     []Rule // in the order of the file
	Set       []Assignment
	Holder    string // actor, owner, starter, nobody, "fields." and a name, or "" for who it is
	Count     []Count
	Claim     []Assignment // expressions for keys by unique
	Undo      []string     // counters and uniques of which it gives back all that the instance has
	Event     string
}

// An Entry names a field that a transition takes.
type Entry struct {
	Field    string
	Optional bool
}

// Asked is a document that a transition takes, or of which it asks for a grant.
type Asked struct {
	Document string
	Put      Need   // of a record
	Author   bool   // who takes the transition wrote the record
	Grant    Need   // of a grant
	To       string // of the grant: actor, holder, or "fields." and a name
	Held     bool   // the grant is for as long as its recipient holds the instance
}

// A Need says whether something must be given.
type Need uint8

// The needs.
const (
	Never Need = iota
	Optional
	Required
)

// A Rule is an expression that must hold. Its name is part of the refusal.
type Rule struct{ Name, That string }

// An Assignment gives a name what an expression comes to.
type Assignment struct{ Name, Expression string }

// A Count adds to a counter.
type Count struct {
	Counter string
	Key     string // expression for a code; "" for one count for all of the scope
	Add     string // expression for a number that is not negative
}

// A Scope says across what something is counted or claimed.
type Scope string

// The scopes.
const (
	ScopeConsortium Scope = "consortium"
	ScopeOwner      Scope = "owner" // across all hospitals
	ScopeOrg        Scope = "org"   // of who takes the transition
	ScopeInstance   Scope = "instance"
)

// A Counter adds up across instances and versions of one definition.
type Counter struct {
	Name   string
	Title  Title
	Scope  Scope
	Window int64 // milliseconds that an addition counts; 0 for ever
	Limit  int64
	Unit   string
	Scale  int
}

// A Unique is a set of keys that each can be claimed once.
type Unique struct {
	Name  string
	Title Title
	Scope Scope
}

// A DefinitionError says what is wrong with a definition, and where.
type DefinitionError struct {
	Line, Column int // from 1
	Reason       string
}

// Error gives the line, the column and the reason.
func (e *DefinitionError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Transition returns the transition with this name, or nil.
func (d *Definition) Transition(name string) *Transition {
	return find(d.Transitions, func(t *Transition) bool { return t.Name == name })
}

// State returns the state with this name, or nil.
func (d *Definition) State(name string) *State {
	return find(d.States, func(s *State) bool { return s.Name == name })
}

// Field returns the rule of the field with this name, or nil.
func (d *Definition) Field(name string) *FieldRule {
	return find(d.Fields, func(f *FieldRule) bool { return f.Name == name })
}

// Variable returns the variable with this name, or nil.
func (d *Definition) Variable(name string) *Variable {
	return find(d.Variables, func(v *Variable) bool { return v.Name == name })
}

// Document returns the rule of the document with this name, or nil.
func (d *Definition) Document(name string) *DocumentRule {
	return find(d.Documents, func(r *DocumentRule) bool { return r.Name == name })
}

// Counter returns the counter with this name, or nil.
func (d *Definition) Counter(name string) *Counter {
	return find(d.Counters, func(c *Counter) bool { return c.Name == name })
}

// Role returns the role with this name, or nil.
func (d *Definition) Role(name string) *Role {
	return find(d.Roles, func(r *Role) bool { return r.Name == name })
}

func (d *Definition) unique(name string) *Unique {
	return find(d.Uniques, func(u *Unique) bool { return u.Name == name })
}

// From returns the transitions that leave a state, in the order of the file.
func (d *Definition) From(state string) []*Transition {
	var out []*Transition
	for i := range d.Transitions {
		for _, from := range d.Transitions[i].From {
			if from == state {
				out = append(out, &d.Transitions[i])
			}
		}
	}
	return out
}

func find[T any](list []T, is func(*T) bool) *T {
	for i := range list {
		if is(&list[i]) {
			return &list[i]
		}
	}
	return nil
}
