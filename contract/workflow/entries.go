package workflow

import (
	"errors"
	"slices"
	"strings"

	"github.com/ward-health/ward/contract/identity"
)

// checkFields checks what was entered.
func (m *move) checkFields() error {
	for n, f := range m.fields {
		j := slices.IndexFunc(m.t.Fields, func(e Entry) bool { return e.Field == f.Name })
		if j < 0 || n > 0 && m.fields[n-1].Name >= f.Name {
			return ErrField
		}
		rule := m.def.Field(f.Name)
		if !rule.Allows(f.Value) {
			return ErrField
		}
		if rule.Type == TypeIdentity {
			if err := m.checkIdentities(rule, f.Value.Texts); err != nil {
				return err
			}
		}
	}
	for _, e := range m.t.Fields {
		if _, given := Get(m.fields, e.Field); !given && !e.Optional {
			return ErrField
		}
	}
	return nil
}

func (m *move) checkIdentities(rule *FieldRule, names []string) error {
	for _, name := range names {
		id, err := m.who(identity.Name(name))
		if errors.Is(err, identity.ErrUnknown) {
			return ErrField
		}
		if err != nil {
			return err
		}
		if rule.Role == "" {
			continue
		}
		if is, _, err := m.is(m.i, rule.Role, id); err != nil {
			return err
		} else if !is {
			return ErrField
		}
	}
	return nil
}

// documents checks what was put and shown, and keeps what was put.
func (m *move) documents(docs []Document) error {
	for n, d := range docs {
		if n > 0 && docs[n-1].Name >= d.Name || !slices.ContainsFunc(m.t.Documents, func(a Asked) bool { return a.Document == d.Name }) || d.Record == "" && d.Grant == "" {
			return ErrDocument
		}
	}
	for n := range m.t.Documents {
		a := &m.t.Documents[n]
		given := Document{Name: a.Document}
		if j := slices.IndexFunc(docs, func(d Document) bool { return d.Name == a.Document }); j >= 0 {
			given = docs[j]
		}
		if err := m.document(a, given); err != nil {
			return err
		}
	}
	return nil
}

func (m *move) document(a *Asked, d Document) error {
	switch {
	case d.Record == "" && a.Put == Required, d.Record != "" && a.Put == Never:
		return ErrDocument
	case d.Grant == "" && a.Grant == Required, d.Grant != "" && a.Grant == Never:
		return ErrGrant
	case d.Record == "" && d.Grant == "":
		return nil
	}
	to := m.named(a.To)
	if d.Grant != "" && to == "" {
		return ErrGrant
	}
	full := d
	at, there := slices.BinarySearchFunc(m.i.Documents, d.Name, func(d Document, name string) int { return strings.Compare(d.Name, name) })
	if d.Record == "" {
		if !there {
			return ErrDocument
		}
		full.Record = m.i.Documents[at].Record
	}
	if err := m.papers(m.def, m.i, a, full, m.actor.Name, to); err != nil {
		return err
	}
	if d.Record == "" {
		return nil
	}
	put := Document{Name: d.Name, Record: d.Record}
	if there {
		m.i.Documents[at] = put
	} else {
		m.i.Documents = slices.Insert(m.i.Documents, at, put)
	}
	return nil
}

// named returns who is meant by a party or a field; "" for nobody.
func (m *move) named(s string) identity.Name {
	switch Party(s) {
	case PartyActor:
		return m.actor.Name
	case PartyOwner:
		return m.i.Owner
	case PartyStarter:
		return m.i.Starter
	case PartyHolder:
		return m.i.Holder
	}
	if len(s) > len("fields.") {
		if v, ok := Get(m.fields, s[len("fields."):]); ok {
			return identity.Name(v.Texts[0])
		}
	}
	return ""
}
