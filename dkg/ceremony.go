package dkg

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const (
	ceremonyFormat = "ward/dkg/ceremony/v1"

	maxChain   = 64      // bytes of a chain's name
	maxLabel   = 64      // bytes of a secret's label
	maxSecrets = 1 << 16 // secrets of one ceremony
)

// ErrDescription says that a ceremony as described would not be sound. What is
// wrong stands before it.
var ErrDescription = errors.New("not a ceremony to take part in")

// Use says what a secret is for.
type Use uint8

// The uses of secrets.
//
// Part of the format: only add at the end.
const (
	UseCheckpoint Use = 1 + iota // v: signs checkpoints; exactly one, the first
	UseIdentity                  // s: extracts identity keys; at most one, the second
	UseGrant                     // the constant term of a live grant; any number, by ascending label
)

// Secret describes one entry of the vector that a ceremony deals.
type Secret struct {
	Use       Use
	Label     string // of a grant: its id; empty for keys
	Threshold int    // of the new shares

	// Old is the public side of the shares to move. It is nil for a key that
	// is made afresh.
	Old *threshold.Sharing
	// Holders are the old members that hold a share, by ascending index; all
	// of them if it is empty. It comes from the log: those who confirmed the
	// old generation, or accepted the grant.
	Holders []uint8
}

// Point is a place in the log.
type Point struct {
	Position uint64 // of a message: larger than that of every message before
	Time     uint64 // in milliseconds; never smaller than before
}

// Window is the length of a phase. It ends as soon as one of its limits is
// reached; a limit of zero is none, but not both are zero.
type Window struct {
	Positions    uint64
	Milliseconds uint64
}

func (w Window) closed(since, at Point) bool {
	return w.Positions > 0 && at.Position-since.Position >= w.Positions ||
		w.Milliseconds > 0 && at.Time-since.Time >= w.Milliseconds
}

// Ceremony describes one run of the protocol. It is what the members agree on
// beforehand, in the log, and its hash binds every message. A ceremony that
// aborts is followed by one with another ID.
//
// Without Old members it makes keys; with them it moves shares: to the same
// roster for a refresh, to another for a change of members or thresholds. A
// ceremony of which all Secrets are grants moves these alone, as a part of a
// reshare that has too many for one ceremony. Its members confirm with their
// node keys, since the new shares of the checkpoint key are not theirs yet, so
// that its result has no certificate.
type Ceremony struct {
	Chain      string   // name of the chain
	ID         [32]byte // never used before on the chain
	Generation uint32   // of the result; larger than those of the old sharings
	Opened     Point    // where the log opens the ceremony

	// Join, Deal, Complain and Confirm are the lengths of the phases. The
	// first two end early when everybody has spoken.
	Join, Deal, Complain, Confirm Window

	Members []ed25519.PublicKey // the new roster; a member's index is its position plus 1
	Old     []ed25519.PublicKey // the roster that holds the old shares
	Secrets []Secret
}

// plan is a ceremony that was checked, with what follows from it.
//
// Participants are the new members in their order, then the old members that
// leave. A participant's number, from 1, identifies it in messages and faults.
type plan struct {
	Ceremony
	id           [32]byte
	participants []ed25519.PublicKey
	oldIndex     []uint8 // by participant; 0 for members that only join
	holdings     [][]int // by participant: the secrets it deals, ascending
	f            int     // faulty members tolerated in the new roster
	serve        int     // confirmations that make the result usable
	complete     int     // confirmations that make it safe without the old shares
}

// Bytes returns the encoding that [ParseCeremony] reads; SPEC.md has its form.
// It is meant for ceremonies that [New] accepts.
func (c *Ceremony) Bytes() []byte {
	w := wire.NewWriter(ceremonyFormat)
	w.String(c.Chain)
	w.Raw(c.ID[:])
	w.Uint32(c.Generation)
	w.Uint64(c.Opened.Position)
	w.Uint64(c.Opened.Time)
	for _, win := range []Window{c.Join, c.Deal, c.Complain, c.Confirm} {
		w.Uint64(win.Positions)
		w.Uint64(win.Milliseconds)
	}
	for _, roster := range [][]ed25519.PublicKey{c.Members, c.Old} {
		w.Uint8(uint8(len(roster)))
		for _, key := range roster {
			w.Raw(key)
		}
	}
	w.Uint32(uint32(len(c.Secrets)))
	for _, s := range c.Secrets {
		w.Uint8(uint8(s.Use))
		w.String(s.Label)
		w.Uint8(uint8(s.Threshold))
		if len(c.Old) > 0 {
			if s.Old != nil {
				w.Bytes(s.Old.Bytes())
			} else {
				w.Bytes(nil) // nobody accepts this
			}
			w.Bytes(s.Holders)
		}
	}
	return w.Sum()
}

// ParseCeremony reads and checks a description.
func ParseCeremony(b []byte) (*Ceremony, error) {
	r := wire.NewReader(ceremonyFormat, b)
	c := &Ceremony{Chain: r.String(maxChain)}
	copy(c.ID[:], r.Raw(len(c.ID)))
	c.Generation = r.Uint32()
	c.Opened = Point{r.Uint64(), r.Uint64()}
	for _, win := range []*Window{&c.Join, &c.Deal, &c.Complain, &c.Confirm} {
		*win = Window{r.Uint64(), r.Uint64()}
	}
	for _, roster := range []*[]ed25519.PublicKey{&c.Members, &c.Old} {
		for n := r.Uint8(); n > 0 && r.Err() == nil; n-- {
			*roster = append(*roster, bytes.Clone(r.Raw(ed25519.PublicKeySize)))
		}
	}
	count := r.Uint32()
	if count > maxSecrets {
		r.Fail(wire.ErrTooLong)
	}
	for ; count > 0 && r.Err() == nil; count-- {
		s := Secret{Use: Use(r.Uint8()), Label: r.String(maxLabel), Threshold: int(r.Uint8())}
		if len(c.Old) > 0 {
			raw := r.Bytes(1 << 14)
			s.Holders = bytes.Clone(r.Bytes(threshold.MaxMembers))
			if r.Err() == nil {
				old, err := threshold.ParseSharing(raw)
				if err != nil {
					r.Fail(err)
				}
				s.Old = old
			}
		}
		c.Secrets = append(c.Secrets, s)
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("read ceremony: %w", err)
	}
	if _, err := newPlan(c); err != nil {
		return nil, fmt.Errorf("read ceremony: %w", err)
	}
	return c, nil
}

// newPlan checks c.
func newPlan(c *Ceremony) (*plan, error) {
	if c == nil {
		return nil, ErrDescription
	}
	n := len(c.Members)
	p := &plan{Ceremony: *c, f: Faults(n)}
	p.Members, p.Old, p.Secrets = cloneRoster(c.Members), cloneRoster(c.Old), slices.Clone(c.Secrets)
	for k := range p.Secrets {
		p.Secrets[k].Holders = slices.Clone(p.Secrets[k].Holders)
	}
	if len(c.Chain) < 1 || len(c.Chain) > maxChain {
		return nil, fmt.Errorf("name of the chain: %w", ErrDescription)
	}
	for _, w := range []Window{c.Join, c.Deal, c.Complain, c.Confirm} {
		if w == (Window{}) {
			return nil, fmt.Errorf("phase without end: %w", ErrDescription)
		}
	}
	if err := p.enrol(); err != nil {
		return nil, err
	}
	if len(c.Secrets) < 1 || len(c.Secrets) > maxSecrets {
		return nil, fmt.Errorf("number of secrets: %w", ErrDescription)
	}
	for k := range c.Secrets {
		if err := p.admit(k); err != nil {
			return nil, fmt.Errorf("secret %d: %w", k, err)
		}
		p.serve = max(p.serve, c.Secrets[k].Threshold)
	}
	if p.grantsOnly() {
		p.serve = max(p.serve, checkpointThreshold(n)) // as if the keys came along
	}
	p.complete = p.serve + p.f
	if !p.reshares() {
		p.serve = p.complete
	}
	p.id = wire.Hash(string(pairing.DSTCeremonyHash), c.Bytes())
	return p, nil
}

func cloneRoster(keys []ed25519.PublicKey) []ed25519.PublicKey {
	out := make([]ed25519.PublicKey, len(keys))
	for i, key := range keys {
		out[i] = slices.Clone(key)
	}
	return out
}

func (p *plan) reshares() bool { return len(p.Old) > 0 }

// grantsOnly reports whether the ceremony moves grants and no keys.
func (p *plan) grantsOnly() bool { return p.Secrets[0].Use == UseGrant }

// enrol checks the rosters and numbers the participants.
func (p *plan) enrol() error {
	if len(p.Members) < 1 || len(p.Members) > threshold.MaxMembers || len(p.Old) > threshold.MaxMembers {
		return fmt.Errorf("size of a roster: %w", ErrDescription)
	}
	number := make(map[string]int)
	for _, key := range p.Members {
		if _, ok := number[string(key)]; ok || !usableKey(key) {
			return fmt.Errorf("node key twice or unusable: %w", ErrDescription)
		}
		p.participants = append(p.participants, key)
		number[string(key)] = len(p.participants)
	}
	p.oldIndex = make([]uint8, len(p.participants), len(p.participants)+len(p.Old))
	for i, key := range p.Old {
		at, ok := number[string(key)]
		if !ok {
			p.participants = append(p.participants, key)
			p.oldIndex = append(p.oldIndex, 0)
			at = len(p.participants)
			number[string(key)] = at
		}
		if p.oldIndex[at-1] != 0 || !usableKey(key) {
			return fmt.Errorf("node key twice or unusable: %w", ErrDescription)
		}
		p.oldIndex[at-1] = uint8(i + 1)
	}
	if !p.reshares() {
		for i := range p.oldIndex {
			p.oldIndex[i] = uint8(i + 1)
		}
	}
	p.holdings = make([][]int, len(p.participants))
	return nil
}

// admit checks secret k and assigns it to its dealers.
func (p *plan) admit(k int) error {
	s, n := &p.Secrets[k], len(p.Members)
	switch {
	case s.Use == UseCheckpoint && k == 0 && s.Label == "":
		if s.Threshold != checkpointThreshold(n) {
			return threshold.ErrThreshold
		}
	case s.Use == UseIdentity && k == 1 && s.Label == "" && !p.grantsOnly():
	case s.Use == UseGrant && s.Label != "" && len(s.Label) <= maxLabel && p.reshares():
		if k > 0 && p.Secrets[k-1].Use == UseGrant && p.Secrets[k-1].Label >= s.Label {
			return fmt.Errorf("labels do not ascend: %w", ErrDescription)
		}
	default:
		return fmt.Errorf("use, label or place: %w", ErrDescription)
	}
	// f+1 shares include an honest member's, n−f members can be heard.
	if s.Threshold < p.f+1 || s.Threshold > n-p.f {
		return threshold.ErrThreshold
	}
	if p.reshares() != (s.Old != nil) {
		return fmt.Errorf("old sharing: %w", ErrDescription)
	}
	if s.Old != nil && (s.Old.Members() != len(p.Old) || s.Old.Generation() >= p.Generation) {
		return fmt.Errorf("old sharing of another roster or generation: %w", ErrDescription)
	}
	if len(s.Holders) > 0 && s.Old == nil {
		return fmt.Errorf("holders of nothing: %w", ErrDescription)
	}
	for i, h := range s.Holders {
		if h < 1 || int(h) > len(p.Old) || i > 0 && h <= s.Holders[i-1] {
			return fmt.Errorf("holders do not ascend: %w", ErrDescription)
		}
	}
	for i, old := range p.oldIndex {
		if old != 0 && (len(s.Holders) == 0 || bytes.IndexByte(s.Holders, old) >= 0) {
			p.holdings[i] = append(p.holdings[i], k)
		}
	}
	return nil
}

// isReceiver reports whether a participant is in the new roster; its index there
// is then its number.
func (p *plan) isReceiver(number uint8) bool { return number >= 1 && int(number) <= len(p.Members) }

// isDealer reports whether a participant has a share to deal.
func (p *plan) isDealer(number uint8) bool {
	return number >= 1 && int(number) <= len(p.participants) && len(p.holdings[number-1]) > 0
}

// hasPart reports whether a participant has anything to do. An old member that
// leaves and holds nothing has not, unless grants move alone: there it joins, so
// that the others know that it is there.
func (p *plan) hasPart(number uint8) bool {
	return p.isReceiver(number) || p.isDealer(number) || p.grantsOnly() && number >= 1 && int(number) <= len(p.participants)
}

// dealersNeeded returns the number of dealers without which secret k is not
// determined.
func (p *plan) dealersNeeded(k int) int {
	if s := &p.Secrets[k]; s.Old != nil {
		return s.Old.Threshold()
	}
	return p.serve - p.f // max(t, t_c): one of them is honest
}

// smallOrder lists the y-coordinates, with their second encodings, of the
// points of small order on Curve25519: anybody can sign for such a key.
var smallOrder = [...][32]byte{
	{},
	{0: 1},
	{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
	{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	{0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	{0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
}

func usableKey(key ed25519.PublicKey) bool {
	if len(key) != ed25519.PublicKeySize {
		return false
	}
	y := [32]byte(key)
	y[31] &= 0x7f // the sign of x
	for i := range smallOrder {
		if y == smallOrder[i] {
			return false
		}
	}
	return true
}
