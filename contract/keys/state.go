package keys

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/dkg/threshold"
)

// The keys of the namespace. Numbers are big-endian: 8 bytes for a ceremony or
// a message, 4 for a part, 1 for the rest. Part of the format.
const (
	keyAuthority = "a"  // Authority in force
	keyPrevious  = "b"  // the one before
	keyLatest    = "c"  // number of the newest ceremony
	keyCeremony  = "c/" // + ceremony: Ceremony
	keyHeader    = "d/" // + ceremony: header
	keyListed    = "g/" // + ceremony + id of the last in it: []listed
	keyMoved     = "s/" // + ceremony + id of the last in it: []moved
	keyMessage   = "m/" // + ceremony + message: message
	keyPart      = "p/" // + ceremony + slot + part: bytes
	keySlot      = "q/" // + ceremony + slot: progress
	keyTransport = "t/" // + member: 32 bytes
	keyHandover  = "h"  // Handover, while there is one
	keyOfPart    = "v/" // + ceremony that reshares: part
	keyHanded    = "u/" // + generation [4] + id of a grant: handed
	keyRequests  = "r/" // + owner, 0, leaf index [8]: KeyRequest of a guardian
)

// A header is what the description of a ceremony is made of, besides its
// grants, and how far the contract has come with it.
type header struct {
	_         struct{} `cbor:",toarray"`
	Chain     string
	Opened    point // zero while grants are being listed
	Windows   [4]Window
	Members   []string // new roster
	Nodes     []chain.PublicKey
	Old       []string // roster in force before; empty for fresh keys
	OldNodes  []chain.PublicKey
	Keys      uint8 // threshold of the identity key and of grants
	Certify   uint8 // threshold of the checkpoint key
	Identity  []byte
	Certified []byte // old sharing of the checkpoint key
	Holders   []uint8
	Hash      [32]byte // dkg id: hash of the description
	Cursor    string   // id of the last grant listed, then of the last one stored
	Phase     uint8    // that the last close found
	Confirm   point    // where the confirm phase began
}

type point struct {
	_        struct{} `cbor:",toarray"`
	Position uint64
	Time     uint64
}

func at(call *ledger.Call) point { return point{Position: call.Index, Time: uint64(call.Time)} }

func (p point) dkg() dkg.Point { return dkg.Point{Position: p.Position, Time: p.Time} }

func (w Window) dkg() dkg.Window {
	return dkg.Window{Positions: w.Positions, Milliseconds: w.Milliseconds}
}

// closed reports whether a phase of this length that began at one point has
// ended at another; it is the rule of package dkg.
func (w Window) closed(since, at point) bool {
	return w.Positions > 0 && at.Position-since.Position >= w.Positions ||
		w.Milliseconds > 0 && at.Time-since.Time >= w.Milliseconds
}

// A listed grant is one that was live when the ceremony was opened.
type listed struct {
	_       struct{} `cbor:",toarray"`
	ID      string
	Sharing []byte // in force; empty if too few members hold shares to move it
	Holders []uint8
}

// A moved grant has the sharing that a ceremony made for it.
type moved struct {
	_       struct{} `cbor:",toarray"`
	ID      string
	Sharing []byte // empty if it is lost
}

// A message is what is kept of a posted message besides its parts, or a tick.
type message struct {
	_      struct{} `cbor:",toarray"`
	At     point
	Sender string
	Slot   []byte // where its parts are; empty for a tick
	Parts  uint32
	Hash   [32]byte // SHA-256 of the parts together; zero for a tick
}

// progress says how much of a message was posted.
type progress struct {
	_     struct{} `cbor:",toarray"`
	Next  uint32   // part that is due; equal to Parts when the message is complete
	Parts uint32
	Size  uint32
}

func key(prefix string, number uint64, rest ...byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(prefix), number), rest...)
}

func partKey(number uint64, slot []byte, part uint32) []byte {
	return binary.BigEndian.AppendUint32(key(keyPart, number, slot...), part)
}

func handedKey(generation uint32, id string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(keyHanded), generation), id...)
}

func messageKey(number, index uint64) []byte {
	return binary.BigEndian.AppendUint64(key(keyMessage, number), index)
}

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

// each calls fn with the elements of the lists under a prefix and a ceremony's
// number, beginning with the list that holds the first id not less than from.
func each[T any](r ledger.Reader, prefix string, number uint64, from string, fn func(*T) bool) error {
	var bad error
	p := key(prefix, number)
	err := r.Scan(p, append(p[:len(p):len(p)], from...), func(_, value []byte) bool {
		var list []T
		if bad = chain.Unmarshal(value, &list); bad != nil {
			return false
		}
		for i := range list {
			if !fn(&list[i]) {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	return bad
}

// ceremonyID returns the id field of a ceremony's description.
func ceremonyID(chainID string, number uint64) [32]byte {
	return sha256.Sum256(key("ward/v1/ceremony\n"+chainID+"\n", number))
}

// participants returns the node keys by number in the ceremony, from 1: the new
// members, then the old ones that leave.
func (h *header) participants() (keys []chain.PublicKey, names []string) {
	keys, names = slices.Clone(h.Nodes), slices.Clone(h.Members)
	for i, k := range h.OldNodes {
		if !slices.Contains(h.Nodes, k) {
			keys, names = append(keys, k), append(names, h.Old[i])
		}
	}
	return keys, names
}

// describe builds the description of a ceremony from its header, its part and
// its grants.
func describe(r ledger.Reader, number uint64, h *header) (*dkg.Ceremony, error) {
	c := &dkg.Ceremony{
		Chain: h.Chain, ID: ceremonyID(h.Chain, number), Generation: uint32(number), Opened: h.Opened.dkg(),
		Join: h.Windows[0].dkg(), Deal: h.Windows[1].dkg(), Complain: h.Windows[2].dkg(), Confirm: h.Windows[3].dkg(),
		Members: roster(h.Nodes), Old: roster(h.OldNodes),
	}
	var err error
	if c.Secrets, err = keySecrets(h); err != nil || len(h.Old) == 0 {
		return c, err
	}
	p, err := load[part](r, key(keyOfPart, number))
	if err != nil {
		return nil, err
	}
	if p != nil {
		c.Generation = p.Generation
	}
	if p != nil && !p.Keys {
		c.Secrets = nil
	}
	var bad error
	err = each(r, keyListed, number, "", func(g *listed) bool {
		if len(g.Sharing) == 0 {
			return true
		}
		var old *threshold.Sharing
		if old, bad = threshold.ParseSharing(g.Sharing); bad != nil {
			return false
		}
		c.Secrets = append(c.Secrets, dkg.Secret{Use: dkg.UseGrant, Label: g.ID, Threshold: int(h.Keys), Old: old, Holders: g.Holders})
		return true
	})
	if err != nil {
		return nil, err
	}
	return c, bad
}

// keySecrets describes the two keys.
func keySecrets(h *header) ([]dkg.Secret, error) {
	list := []dkg.Secret{
		{Use: dkg.UseCheckpoint, Threshold: int(h.Certify)},
		{Use: dkg.UseIdentity, Threshold: int(h.Keys)},
	}
	if len(h.Old) == 0 {
		return list, nil
	}
	for k, raw := range [][]byte{h.Certified, h.Identity} {
		old, err := threshold.ParseSharing(raw)
		if err != nil {
			return nil, err
		}
		list[k].Old, list[k].Holders = old, h.Holders
	}
	return list, nil
}

func roster(keys []chain.PublicKey) (list []ed25519.PublicKey) {
	for i := range keys {
		list = append(list, keys[i][:])
	}
	return list
}
