package query

import (
	"errors"
	"fmt"
	"math"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// The names that encodings begin with, and the largest question in bytes. Part
// of the format.
const (
	nameQuestion = "ward/v1/question"
	maxQuestion  = 2 << 10
)

// ErrQuestion is matched by the error of Encode and Parse for what is no
// question.
var ErrQuestion = errors.New("not a question")

// envelope carries a question behind its kind.
type envelope struct {
	_    struct{} `cbor:",toarray"`
	Name string   // "ward/v1/question"
	Kind string
	Args []byte // CBOR array of the fields
}

// Encode returns the encoding of a question. It fails with ErrQuestion if a
// field cannot be.
func Encode(q Question) ([]byte, error) {
	if q == nil {
		return nil, fmt.Errorf("encode: %w: nil", ErrQuestion)
	}
	if err := q.check(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", q.Kind(), err)
	}
	args, err := chain.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", q.Kind(), err)
	}
	b, err := chain.Marshal(envelope{Name: nameQuestion, Kind: q.Kind(), Args: args})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", q.Kind(), err)
	}
	if len(b) > maxQuestion {
		return nil, fmt.Errorf("encode %s: %w: %d bytes, limit %d", q.Kind(), ErrQuestion, len(b), maxQuestion)
	}
	return b, nil
}

// Parse reads what Encode wrote. The question is a struct, not a pointer to
// one.
func Parse(b []byte) (Question, error) {
	if len(b) > maxQuestion {
		return nil, fmt.Errorf("parse: %w: %d bytes, limit %d", ErrQuestion, len(b), maxQuestion)
	}
	var e envelope
	if err := chain.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("parse: %w: %w", ErrQuestion, err)
	}
	if e.Name != nameQuestion {
		return nil, fmt.Errorf("parse: %w: it is of another version", ErrQuestion)
	}
	parse, ok := parsers[e.Kind]
	if !ok {
		return nil, fmt.Errorf("parse: %w: no such kind", ErrQuestion)
	}
	q, err := parse(e.Args)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w: %w", e.Kind, ErrQuestion, err)
	}
	if err := q.check(); err != nil {
		return nil, fmt.Errorf("parse %s: %w", e.Kind, err)
	}
	return q, nil
}

// parsers holds one parser for each kind. It is not written to.
var parsers = map[string]func([]byte) (Question, error){
	AttributeAuthority{}.Kind(): parse[AttributeAuthority],
	Defaults{}.Kind():           parse[Defaults],
	Identity{}.Kind():           parse[Identity],
	Identities{}.Kind():         parse[Identities],
	Record{}.Kind():             parse[Record],
	Records{}.Kind():            parse[Records],
	Grant{}.Kind():              parse[Grant],
	Grants{}.Kind():             parse[Grants],
	Requests{}.Kind():           parse[Requests],
	Accesses{}.Kind():           parse[Accesses],
	Authority{}.Kind():          parse[Authority],
	KeyRequests{}.Kind():        parse[KeyRequests],

	Workflow{}.Kind():            parse[Workflow],
	Workflows{}.Kind():           parse[Workflows],
	WorkflowSteps{}.Kind():       parse[WorkflowSteps],
	WorkflowDefinition{}.Kind():  parse[WorkflowDefinition],
	WorkflowDefinitions{}.Kind(): parse[WorkflowDefinitions],
	WorkflowProposal{}.Kind():    parse[WorkflowProposal],
	WorkflowSummary{}.Kind():     parse[WorkflowSummary],
	WorkflowCounter{}.Kind():     parse[WorkflowCounter],
	WorkflowState{}.Kind():       parse[WorkflowState],
	WorkflowStates{}.Kind():      parse[WorkflowStates],
	WorkflowCourse{}.Kind():      parse[WorkflowCourse],
}

func parse[Q Question](args []byte) (Question, error) {
	var q Q
	if err := chain.Unmarshal(args, &q); err != nil {
		return nil, err
	}
	return q, nil
}

// Kind implements Question.
func (Identity) Kind() string { return "identity" }

// Kind implements Question.
func (Identities) Kind() string { return "identities" }

// Kind implements Question.
func (Record) Kind() string { return "record" }

// Kind implements Question.
func (Records) Kind() string { return "records" }

// Kind implements Question.
func (Grant) Kind() string { return "grant" }

// Kind implements Question.
func (Grants) Kind() string { return "grants" }

// Kind implements Question.
func (Requests) Kind() string { return "requests" }

// Kind implements Question.
func (Accesses) Kind() string { return "accesses" }

// Kind implements Question.
func (AttributeAuthority) Kind() string { return "attribute-authority" }

// Kind implements Question.
func (Defaults) Kind() string { return "defaults" }

// Kind implements Question.
func (Authority) Kind() string { return "authority" }

func (q Identity) check() error { return checkName(q.Name) }

func (q Identities) check() error {
	if len(q.Org) > 64 {
		return fmt.Errorf("%w: organisation of %d bytes", ErrQuestion, len(q.Org))
	}
	return errors.Join(optional(q.After), checkPage(0, q.Limit))
}

func (q Record) check() error { return checkID(string(q.ID)) }

func (q Records) check() error {
	if _, err := pre.ParseType(string(q.Type)); err != nil {
		return fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	if q.Grant != "" {
		if err := checkID(string(q.Grant)); err != nil {
			return err
		}
	}
	return errors.Join(checkName(q.Owner), optional(q.Author), checkPage(q.After, q.Limit))
}

func (q Grant) check() error { return checkID(string(q.ID)) }

func (q Grants) check() error {
	set := 0
	for _, s := range []string{string(q.Owner), string(q.Recipient), q.Authority} {
		if s != "" {
			set++
		}
	}
	if set != 1 || q.Reader != "" && q.Recipient != "" {
		return fmt.Errorf("%w: not exactly one of owner, recipient and authority", ErrQuestion)
	}
	var authority error
	if q.Authority != "" {
		authority = checkMember(q.Authority)
	}
	return errors.Join(authority, optional(q.Owner), optional(q.Recipient), optional(q.Reader), checkPage(q.After, q.Limit))
}

func (q Requests) check() error {
	return errors.Join(one(q.Owner, q.From), checkPage(q.After, q.Limit))
}

func (q Accesses) check() error {
	set := 0
	for _, s := range []string{string(q.Owner), string(q.Reader), string(q.Record)} {
		if s != "" {
			set++
		}
	}
	if set > 1 {
		return fmt.Errorf("%w: more than one of owner, reader and record", ErrQuestion)
	}
	var id error
	if q.Record != "" {
		id = checkID(string(q.Record))
	}
	return errors.Join(optional(q.Owner), optional(q.Reader), id, checkPage(q.After, q.Limit))
}

func (q AttributeAuthority) check() error { return checkMember(q.Name) }

func (q Defaults) check() error { return checkMember(q.Org) }

func (q Authority) check() error { return nil }

func checkMember(name string) error {
	if !chain.ValidName(name) {
		return fmt.Errorf("%w: no member has the name %q", ErrQuestion, name)
	}
	return nil
}

// one checks that exactly one of two names is set.
func one(a, b identity.Name) error {
	if (a == "") == (b == "") {
		return fmt.Errorf("%w: not exactly one name", ErrQuestion)
	}
	return checkName(max(a, b))
}

func optional(n identity.Name) error {
	if n == "" {
		return nil
	}
	return checkName(n)
}

func checkName(n identity.Name) error {
	if _, err := identity.ParseName(string(n)); err != nil {
		return fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	return nil
}

// checkID bounds the id of a record or grant. Whether there is one of that name
// is for the state to say.
func checkID(id string) error {
	if id == "" || len(id) > 64 {
		return fmt.Errorf("%w: id of %d bytes", ErrQuestion, len(id))
	}
	return nil
}

func checkPage(after uint64, limit int) error {
	if limit < 0 || limit > MaxLimit {
		return fmt.Errorf("%w: limit %d is not from 0 to %d", ErrQuestion, limit, MaxLimit)
	}
	if after > math.MaxInt64 {
		return fmt.Errorf("%w: no leaf has the index %d", ErrQuestion, after)
	}
	return nil
}
