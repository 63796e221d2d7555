package record

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const idBytes = 16

// GenerateID returns a fresh id.
func GenerateID() (ID, error) {
	var b [idBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("generate record id: %w", err)
	}
	return ID("r-" + idText.EncodeToString(b[:])), nil
}

// ParseID checks s. The error is ErrMalformed.
func ParseID(s string) (ID, error) {
	text, ok := strings.CutPrefix(s, "r-")
	b, err := idText.DecodeString(text)
	if !ok || err != nil || len(b) != idBytes || idText.EncodeToString(b) != text {
		return "", ErrMalformed
	}
	return ID(s), nil
}

// Lookup returns the record with this id, or ErrUnknown. Erased ones are
// returned. r reads the contract's namespace.
func Lookup(r ledger.Reader, id ID) (*Record, error) {
	if _, err := ParseID(string(id)); err != nil {
		return nil, ErrUnknown
	}
	value, err := r.Get(recordKey(id))
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, ErrUnknown
	}
	rec := new(Record)
	if err := chain.Unmarshal(value, rec); err != nil {
		return nil, err
	}
	return rec, nil
}

// page is how many entries of the index Each reads at one time.
const page = 128

// Each calls fn with the records of an owner in ascending order of leaf index,
// beginning after one, until fn returns false. After 0 stands for the beginning;
// the leaf with index 0 is nobody's record, since owners register first.
func Each(r ledger.Reader, owner identity.Name, after uint64, f Filter, fn func(*Record) bool) error {
	if _, err := identity.ParseName(string(owner)); err != nil {
		return nil
	}
	prefix := ownerPrefix(owner)
	for after++; after != 0; {
		var ids []ID
		var last uint64
		err := r.Scan(prefix, binary.BigEndian.AppendUint64(ownerPrefix(owner), after), func(key, value []byte) bool {
			last = binary.BigEndian.Uint64(key[len(prefix):])
			ids = append(ids, ID(value))
			return len(ids) < page
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			rec, err := Lookup(r, id)
			if err != nil {
				return err
			}
			if f.selects(rec) && !fn(rec) {
				return nil
			}
		}
		if len(ids) < page {
			return nil
		}
		after = last + 1
	}
	return nil
}

func (f *Filter) selects(r *Record) bool {
	switch {
	case !f.Erased && (r.Erased != 0 || r.Replaced != ""):
	case f.Type != "" && r.Type != f.Type && !strings.HasPrefix(string(r.Type), string(f.Type)+"/"):
	case f.Since != 0 && r.Dated < f.Since, f.Until != 0 && r.Dated > f.Until:
	case f.Author != "" && r.Author != f.Author:
	default:
		return true
	}
	return false
}

// References reports whether a record that is not erased refers to the payload.
func References(r ledger.Reader, payload []byte) (bool, error) {
	p, err := lookupPayload(r, payload)
	return p.Count > 0, err
}

// Header returns what the record's envelope is bound to. The error is ErrErased
// for a tombstone.
func (r *Record) Header(chainID string) (pre.Header, error) {
	if r.Erased != 0 {
		return pre.Header{}, ErrErased
	}
	key, err := pre.ParsePublicKey(r.Key)
	if err != nil {
		return pre.Header{}, err
	}
	return pre.Header{
		Record: string(r.ID),
		Owner:  pre.Identity{Chain: chainID, Name: string(r.Owner), Version: r.Version, Epoch: r.Epoch, Key: key},
		Type:   r.Type,
		Author: string(r.Author),
	}, nil
}

// What the keys of the contract's namespace begin with. Part of the format.
const (
	prefixRecord  = "r/" // id: Record
	prefixOwner   = "o/" // owner, zero byte, leaf index (8 bytes): id
	prefixCapsule = "u/" // U of an envelope: one byte
	prefixPayload = "p/" // payload: payload
)

func recordKey(id ID) []byte       { return []byte(prefixRecord + string(id)) }
func capsuleKey(u []byte) []byte   { return append([]byte(prefixCapsule), u...) }
func payloadKey(ref []byte) []byte { return append([]byte(prefixPayload), ref...) }

func ownerPrefix(owner identity.Name) []byte { return []byte(prefixOwner + string(owner) + "\x00") }

// payload counts the records that refer to one.
type payload struct {
	_     struct{} `cbor:",toarray"`
	Owner identity.Name
	Count uint64
}

func lookupPayload(r ledger.Reader, ref []byte) (payload, error) {
	var p payload
	value, err := r.Get(payloadKey(ref))
	if err != nil || value == nil {
		return p, err
	}
	return p, chain.Unmarshal(value, &p)
}
