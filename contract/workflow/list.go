package workflow

import (
	"encoding/binary"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
)

// page is how many entries of an index are read at one time.
const page = 128

// Selection selects instances in a listing: by exactly one of Owner, Holder,
// Participant and Definition. State goes with Definition only.
type Selection struct {
	Owner       identity.Name
	Holder      identity.Name // present holder
	Participant identity.Name // whoever started it, took a step or held it
	Definition  string
	State       string // "" for all
}

// prefix returns the prefix of the index, or nil if s selects nothing.
func (s *Selection) prefix() []byte {
	n := 0
	var key string
	for _, by := range [...]struct{ prefix, name string }{
		{keyOwner, string(s.Owner)}, {keyHolder, string(s.Holder)}, {keyParticipant, string(s.Participant)}, {keyDefinition, s.Definition},
	} {
		if by.name != "" {
			key, n = by.prefix+by.name+"\x00", n+1
		}
	}
	switch {
	case n != 1 || strings.Count(key, "\x00") != 1, s.State != "" && (s.Definition == "" || !validName(s.State)):
		return nil
	case s.State != "":
		key = keyState + s.Definition + "\x00" + s.State + "\x00"
	}
	return []byte(key)
}

// Valid reports whether it selects something.
func (s *Selection) Valid() bool { return s.prefix() != nil }

// Each calls fn with the instances selected, ascending by the leaf index of
// their start, beginning after one, until fn returns false. After 0 stands for
// the beginning.
func Each(r ledger.Reader, s Selection, after uint64, fn func(*Instance) bool) error {
	prefix := s.prefix()
	if prefix == nil {
		return nil
	}
	for after++; after != 0; {
		var ids []ID
		err := r.Scan(prefix, binary.BigEndian.AppendUint64(append([]byte(nil), prefix...), after), func(key, value []byte) bool {
			after = binary.BigEndian.Uint64(key[len(prefix):])
			ids = append(ids, ID(value))
			return len(ids) < page
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			i, err := Lookup(r, id)
			if err != nil {
				return err
			}
			if !fn(i) {
				return nil
			}
		}
		if len(ids) < page {
			return nil
		}
		after++
	}
	return nil
}

// EachStep calls fn with the steps of an instance in their order, beginning after
// a number, until fn returns false.
func EachStep(r ledger.Reader, id ID, after uint32, fn func(*Step) bool) error {
	if _, err := ParseID(string(id)); err != nil || after+1 == 0 {
		return nil
	}
	return each(r, []byte(keyStep+string(id)), stepKey(id, after+1), fn)
}

// each calls fn with the values of the keys that have a prefix, from a key on.
func each[T any](r ledger.Reader, prefix, start []byte, fn func(*T) bool) error {
	var broken error
	err := r.Scan(prefix, start, func(_, value []byte) bool {
		v := new(T)
		if broken = chain.Unmarshal(value, v); broken != nil {
			return false
		}
		return fn(v)
	})
	if err == nil {
		err = broken
	}
	return err
}

// EachVersion calls fn with the versions in force or once in force, ascending by
// name and version, from a name on, until fn returns false.
func EachVersion(r ledger.Reader, from string, fn func(*Proposal) bool) error {
	return each(r, []byte(keyVersion), []byte(keyVersion+from), fn)
}

// EachProposal does the same for proposals that are not in force.
func EachProposal(r ledger.Reader, from string, fn func(*Proposal) bool) error {
	return each(r, []byte(keyProposal), []byte(keyProposal+from), fn)
}

// A StateCount says how many instances are in a state.
type StateCount struct {
	_     struct{} `cbor:",toarray"`
	Org   string   // of who started them
	State string
	Count uint64
}

// A Flow says how often a transition was taken on a day.
type Flow struct {
	_          struct{} `cbor:",toarray"`
	Day        int64    // Unix milliseconds, a whole day
	Org        string   // of who took it; of a timer, of who started the instance
	Transition string
	Count      uint64
}

// Counts returns how many instances of a definition, of all its versions, are in
// which state, ascending by organisation and state; from all organisations if
// org is "". Timers that are due and not taken have not moved anything.
func Counts(r ledger.Reader, definition, org string) ([]StateCount, error) {
	out := []StateCount{}
	prefix := keyCount + definition + "\x00"
	if !validName(definition) {
		return out, nil
	}
	if org != "" {
		prefix += org + "\x00"
	}
	skip := len(keyCount + definition + "\x00")
	err := r.Scan([]byte(prefix), nil, func(key, value []byte) bool {
		org, state, ok := strings.Cut(string(key[skip:]), "\x00")
		if ok && len(value) == 8 {
			out = append(out, StateCount{Org: org, State: state, Count: binary.BigEndian.Uint64(value)})
		}
		return true
	})
	return out, err
}

// Flows calls fn with the steps of a definition on days from since to until,
// ascending by day, organisation and transition, until fn returns false.
func Flows(r ledger.Reader, definition string, since, until int64, fn func(*Flow) bool) error {
	if !validName(definition) || since < 0 {
		return nil
	}
	prefix := []byte(keyFlow + definition + "\x00")
	return r.Scan(prefix, binary.BigEndian.AppendUint64([]byte(keyFlow+definition+"\x00"), uint64(since)), func(key, value []byte) bool {
		rest := key[len(prefix):]
		if len(rest) < 9 || len(value) != 8 {
			return true
		}
		day := int64(binary.BigEndian.Uint64(rest))
		org, transition, ok := strings.Cut(string(rest[8:]), "\x00")
		return day <= until && (!ok || fn(&Flow{Day: day, Org: org, Transition: transition, Count: binary.BigEndian.Uint64(value)}))
	})
}
