package consent

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

// What the keys of the contract's namespace begin with. Indices are leaf
// indices, 8 bytes big-endian; no name holds a zero byte. Part of the format.
const (
	keyGrant       = "g/" // + id: Grant without Raw
	keyBody        = "w/" // + id: body
	keyLive        = "l/" // + id: a byte, until the grant is revoked or replaced
	keyLiveOf      = "h/" // + owner, 0, index: id of a grant, until it is revoked or replaced, or another is made when it lives no more
	keyByOwner     = "o/" // + owner, 0, index: id of a grant
	keyByRecipient = "r/" // + recipient, 0, index: id of a grant to a name
	keyByAuthority = "p/" // + authority, 0, index: id of a grant to a policy that names it, SHA-256 of the policy [32]
	keyDefaults    = "f/" // + organisation: Defaults
	keyAccess      = "a/" // + index: Access
	keyOfOwner     = "b/" // + owner, 0, index: a byte
	keyOfReader    = "c/" // + reader, 0, index: a byte
	keyOfRecord    = "d/" // + record, 0, index: a byte
	keyOpen        = "e/" // + index: a byte, until the review of an emergency is closed
	keyTransport   = "v/" // + reader, 0, transport key: a byte
	keyRequest     = "q/" // + id: Request
	keyToOwner     = "s/" // + owner, 0, index: id of a request
	keyFrom        = "t/" // + asker, 0, index: id of a request
	keyPending     = "u/" // + owner, 0, asker, 0, type: id of the open request
)

// A body is what never changes of a grant.
type body struct {
	_       struct{} `cbor:",toarray"`
	Raw     []byte   // pre.Grant
	Sharing []byte   // pre.Sharing as it was dealt, which Raw holds too: to list live grants without curve arithmetic
}

var set = []byte{1} // value of keys that just are there

var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// GenerateID returns a fresh id for a grant.
func GenerateID() (GrantID, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("generate grant id: %w", err)
	}
	return GrantID("g-" + idText.EncodeToString(b[:])), nil
}

// ParseID checks s. The error is ErrMalformed.
func ParseID(s string) (GrantID, error) {
	text, ok := strings.CutPrefix(s, "g-")
	b, err := idText.DecodeString(text)
	if !ok || err != nil || len(b) != 16 || idText.EncodeToString(b) != text {
		return "", ErrMalformed
	}
	return GrantID(s), nil
}

func indexed(prefix, name string, index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix+name+"\x00"), index)
}

func accessKey(prefix string, index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), index)
}

func pendingPrefix(q *Request) []byte {
	return []byte(keyPending + string(q.Owner) + "\x00" + string(q.From) + "\x00")
}

func pendingKey(q *Request) []byte { return append(pendingPrefix(q), q.Type...) }

// load returns the value under a key, or nil.
func load[T any](r ledger.Reader, key []byte) (*T, error) {
	b, err := r.Get(key)
	if err != nil || b == nil {
		return nil, err
	}
	v := new(T)
	return v, chain.Unmarshal(b, v)
}

func store(v *ledger.View, key []byte, value any) error {
	b, err := chain.Marshal(value)
	if err != nil {
		return err
	}
	return v.Set(key, b)
}

func emit(call *ledger.Call, kind string, data any) error {
	b, err := chain.Marshal(data)
	if err != nil {
		return err
	}
	call.Emit(kind, b)
	return nil
}

// saveGrant stores what changes of a grant.
func saveGrant(v *ledger.View, g *Grant) error {
	lean := *g
	lean.Raw = nil
	return store(v, []byte(keyGrant+string(g.ID)), &lean)
}

// lean returns a grant without Raw, or ErrUnknown.
func lean(r ledger.Reader, id GrantID) (*Grant, error) {
	if _, err := ParseID(string(id)); err != nil {
		return nil, ErrUnknown
	}
	g, err := load[Grant](r, []byte(keyGrant+string(id)))
	if err == nil && g == nil {
		return nil, ErrUnknown
	}
	return g, err
}

// Lookup returns the grant with this id, or ErrUnknown. r reads the contract's
// namespace, here and below.
func Lookup(r ledger.Reader, id GrantID) (*Grant, error) {
	g, err := lean(r, id)
	if err != nil {
		return nil, err
	}
	b, err := load[body](r, []byte(keyBody+string(id)))
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, fmt.Errorf("grant %s has no body", id)
	}
	g.Raw = b.Raw
	return g, nil
}

// page is how many entries of an index are read at one time.
const page = 128

// each calls fn with the leaf indices and values under a prefix, beginning
// after one (0 for all), until fn returns false. fn may read.
func each(r ledger.Reader, prefix []byte, after uint64, fn func(index uint64, value []byte) (bool, error)) error {
	type entry struct {
		index uint64
		value []byte
	}
	for after++; after != 0; {
		var found []entry
		err := r.Scan(prefix, binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], after), func(key, value []byte) bool {
			found = append(found, entry{binary.BigEndian.Uint64(key[len(prefix):]), append([]byte(nil), value...)})
			return len(found) < page
		})
		if err != nil {
			return err
		}
		for _, e := range found {
			if more, err := fn(e.index, e.value); err != nil || !more {
				return err
			}
		}
		if len(found) < page {
			return nil
		}
		after = found[len(found)-1].index + 1
	}
	return nil
}

// EachByOwner calls fn with the grants of an owner, ascending by leaf index,
// beginning after one, until fn returns false. After 0 stands for the beginning.
func EachByOwner(r ledger.Reader, owner identity.Name, after uint64, fn func(*Grant) bool) error {
	return eachGrant(r, keyByOwner, owner, after, fn)
}

// EachByRecipient does the same for the grants to a recipient.
func EachByRecipient(r ledger.Reader, recipient identity.Name, after uint64, fn func(*Grant) bool) error {
	return eachGrant(r, keyByRecipient, recipient, after, fn)
}

func eachGrant(r ledger.Reader, prefix string, name identity.Name, after uint64, fn func(*Grant) bool) error {
	return each(r, []byte(prefix+string(name)+"\x00"), after, func(_ uint64, id []byte) (bool, error) {
		g, err := Lookup(r, GrantID(id))
		if err != nil {
			return false, err
		}
		return fn(g), nil
	})
}

// EachByAuthority does the same for the grants to policies that name an
// authority, of those policies for which want returns true; nil wants all. It
// asks once for each policy, however many grants there are.
func EachByAuthority(r ledger.Reader, authority string, after uint64, want func(policy string) bool, fn func(*Grant) bool) error {
	asked := make(map[[32]byte]bool)
	return each(r, []byte(keyByAuthority+authority+"\x00"), after, func(_ uint64, value []byte) (bool, error) {
		if len(value) < 32 {
			return false, fmt.Errorf("index of %s is malformed", authority)
		}
		id, policy := GrantID(value[:len(value)-32]), [32]byte(value[len(value)-32:])
		wanted, ok := asked[policy]
		if want == nil {
			wanted, ok = true, true
		}
		if !ok {
			g, err := lean(r, id)
			if err != nil {
				return false, err
			}
			wanted = want(g.Policy)
			asked[policy] = wanted
		}
		if !wanted {
			return true, nil
		}
		g, err := Lookup(r, id)
		if err != nil {
			return false, err
		}
		return fn(g), nil
	})
}

// LookupAccess returns the access at a leaf index, or ErrUnknown.
func LookupAccess(r ledger.Reader, index uint64) (*Access, error) {
	a, err := load[Access](r, accessKey(keyAccess, index))
	if err == nil && a == nil {
		return nil, ErrUnknown
	}
	return a, err
}

// Accesses selects accesses in a listing: exactly one of the first three
// fields, or none for all.
type Accesses struct {
	Owner  identity.Name
	Reader identity.Name
	Record record.ID
	Open   bool // emergencies whose review is open, only
}

// EachAccess calls fn with the accesses selected, ascending by leaf index,
// beginning after one, until fn returns false.
func EachAccess(r ledger.Reader, sel Accesses, after uint64, fn func(*Access) bool) error {
	prefix := keyAccess
	switch {
	case sel.Owner != "":
		prefix = keyOfOwner + string(sel.Owner) + "\x00"
	case sel.Reader != "":
		prefix = keyOfReader + string(sel.Reader) + "\x00"
	case sel.Record != "":
		prefix = keyOfRecord + string(sel.Record) + "\x00"
	case sel.Open:
		prefix = keyOpen
	}
	return each(r, []byte(prefix), after, func(index uint64, _ []byte) (bool, error) {
		a, err := LookupAccess(r, index)
		if err != nil {
			return false, err
		}
		return sel.Open && a.Review != Open || fn(a), nil
	})
}

// LookupRequest returns the request with this id, or ErrUnknown.
func LookupRequest(r ledger.Reader, id string) (*Request, error) {
	if len(id) != 64 {
		return nil, ErrUnknown
	}
	q, err := load[Request](r, []byte(keyRequest+id))
	if err == nil && q == nil {
		return nil, ErrUnknown
	}
	return q, err
}

// EachRequest calls fn with the requests to an owner, or from an asker, or of
// one to the other, ascending by leaf index, beginning after one, until fn
// returns false.
func EachRequest(r ledger.Reader, owner, from identity.Name, after uint64, fn func(*Request) bool) error {
	prefix := keyToOwner + string(owner)
	if owner == "" {
		prefix = keyFrom + string(from)
	}
	return each(r, []byte(prefix+"\x00"), after, func(_ uint64, id []byte) (bool, error) {
		q, err := LookupRequest(r, string(id))
		if err != nil {
			return false, err
		}
		return from != "" && q.From != from || fn(q), nil
	})
}
