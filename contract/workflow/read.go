package workflow

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
)

// What the keys of the contract's namespace begin with. Indices are leaf indices,
// 8 bytes big-endian; versions and numbers of steps have 4 bytes. Part of the
// format.
const (
	keyInstance    = "i/" // id: Instance
	keyStep        = "j/" // id, number: Step
	keyBody        = "b/" // hash: YAML
	keyProposal    = "q/" // name, 0, version, hash: Proposal that is not in force
	keyOfMember    = "m/" // member, 0, name, 0, version, hash: a byte for each of those
	keyVersion     = "d/" // name, 0, version: Proposal in force
	keyNewest      = "n/" // name: version
	keyKept        = "k/" // name, 0, counter or unique: kept
	keyCounter     = "c/" // name, 0, counter, 0, scope, 0, key: tally
	keyUnique      = "u/" // name, 0, unique, 0, scope, 0, key: id that claimed it
	keyOwner       = "o/" // owner, 0, index: id
	keyHolder      = "h/" // present holder, 0, index: id
	keyParticipant = "p/" // whoever started, stepped or held, 0, index: id
	keyDefinition  = "f/" // name, 0, index: id
	keyState       = "z/" // name, 0, state, 0, index: id
	keyCount       = "s/" // name, 0, organisation, 0, state: instances there
	keyFlow        = "t/" // name, 0, day, organisation, 0, transition: steps
)

var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// GenerateID returns a fresh id for an instance.
func GenerateID() (ID, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("generate instance id: %w", err)
	}
	return ID("w-" + idText.EncodeToString(b[:])), nil
}

// ParseID checks s. The error is ErrMalformed.
func ParseID(s string) (ID, error) {
	text, ok := strings.CutPrefix(s, "w-")
	b, err := idText.DecodeString(text)
	if !ok || err != nil || len(b) != 16 || idText.EncodeToString(b) != text {
		return "", ErrMalformed
	}
	return ID(s), nil
}

// load returns the value under a key, or nil.
func load[T any](r interface{ Get([]byte) ([]byte, error) }, key []byte) (*T, error) {
	b, err := r.Get(key)
	if err != nil || b == nil {
		return nil, err
	}
	v := new(T)
	return v, chain.Unmarshal(b, v)
}

// save stores a value under a key.
func save(s store, key []byte, v any) error {
	b, err := chain.Marshal(v)
	if err != nil {
		return err
	}
	return s.Set(key, b)
}

// Lookup returns the instance with this id, or ErrUnknown. r reads the contract's
// namespace, here and below.
func Lookup(r ledger.Reader, id ID) (*Instance, error) {
	if _, err := ParseID(string(id)); err != nil {
		return nil, ErrUnknown
	}
	i, err := load[Instance](r, instanceKey(id))
	if err == nil && i == nil {
		return nil, ErrUnknown
	}
	return i, err
}

// Newest returns the newest version of a definition that is in force, or
// ErrUnknown.
func Newest(r ledger.Reader, name string) (*Proposal, error) {
	if !validName(name) {
		return nil, ErrUnknown
	}
	v, err := load[uint32](r, []byte(keyNewest+name))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, ErrUnknown
	}
	return InForce(r, name, *v)
}

// InForce returns a version of a definition that is or was in force, or
// ErrUnknown.
func InForce(r ledger.Reader, name string, version uint32) (*Proposal, error) {
	if !validName(name) {
		return nil, ErrUnknown
	}
	p, err := load[Proposal](r, versionKey(name, version))
	if err == nil && p == nil {
		return nil, ErrUnknown
	}
	return p, err
}

// LookupProposal returns a version that is not in force, or ErrUnknown.
func LookupProposal(r ledger.Reader, name string, version uint32, hash [32]byte) (*Proposal, error) {
	if !validName(name) {
		return nil, ErrUnknown
	}
	p, err := load[Proposal](r, proposalKey(name, version, hash))
	if err == nil && p == nil {
		return nil, ErrUnknown
	}
	return p, err
}

// Text returns the YAML of a version that is in force or proposed.
func (p *Proposal) Text(r ledger.Reader) ([]byte, error) {
	b, err := r.Get(bodyKey(p.Hash))
	if err == nil && b == nil {
		return nil, ErrUnknown
	}
	return b, err
}

// Holds reports whether reader is the present holder of an instance at a block
// time; of gives the namespaces of the contracts. It is what consent.New needs. A
// holder holds until the next timer is due, whatever the timer does then: until
// someone takes it, nobody holds the instance.
func Holds(of func(contract string) ledger.Reader, instance string, reader identity.Name, time int64) (bool, error) {
	i, err := Lookup(of(Contract), ID(instance))
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return reader != "" && i.Holder == reader && !i.Overdue(time), nil
}

// Overdue reports whether a timer is due that nobody has taken yet: State and
// Holder are not what they were.
func (i *Instance) Overdue(time int64) bool { return i.Due.At != 0 && i.Due.At <= time }

func instanceKey(id ID) []byte { return []byte(keyInstance + string(id)) }

func stepKey(id ID, number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(keyStep+string(id)), number)
}

func bodyKey(hash [32]byte) []byte { return append([]byte(keyBody), hash[:]...) }

func versionKey(name string, version uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(keyVersion+name+"\x00"), version)
}

func proposalKey(name string, version uint32, hash [32]byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(keyProposal+name+"\x00"), version), hash[:]...)
}

func indexed(prefix, name string, index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix+name+"\x00"), index)
}

// validName reports whether s can name something in a definition: 1 to 32 of
// a–z, 0–9 and '-', beginning with a letter, and without '-' at its end.
func validName(s string) bool {
	if len(s) == 0 || len(s) > maxName || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// validIdent reports whether s can name a field, a variable, a counter or a
// unique, which expressions refer to: as validName, with '_' for '-'.
func validIdent(s string) bool {
	return !strings.Contains(s, "-") && validName(strings.ReplaceAll(s, "_", "-"))
}

const maxName = 32
