package system

import (
	"fmt"
	"strings"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/pre/insecuretrusteddealer"
)

// NameWard is the name of Ward in tables.
const NameWard = "Ward"

// Ward is package pre, with worlds made for the parameters asked for.
type Ward struct{ worlds map[Params]*world }

// NewWard returns Ward.
func NewWard() *Ward { return &Ward{map[Params]*world{}} }

// Name implements System.
func (*Ward) Name() string { return NameWard }

// world is a consortium with an owner, a reader, a grant and an access.
type world struct {
	Params
	shares    []*pre.Share // of the authority
	authority *pre.Sharing
	owner     pre.Identity
	reader    pre.Identity
	key       *pre.PrivateKey // the owner's for the granted type
	inbox     *pre.PrivateKey // the reader's
	writer    pre.Encapsulator
	header    pre.Header
	envelope  []byte
	members   []*pre.TransportKey
	grant     *pre.Grant
	granted   []*pre.Share // of the grant
	sealed    [][]byte     // the same, sealed to the members
	access    *pre.Access
	answers   [][]byte
	deleg     *pre.Delegation
}

func (w *Ward) world(p Params) (*world, error) {
	p.Records, p.Depth = max(p.Records, 1), max(p.Depth, 1)
	if m, ok := w.worlds[p]; ok {
		return m, nil
	}
	m, err := newWorld(p)
	if err != nil {
		return nil, err
	}
	w.worlds[p] = m
	return m, nil
}

func newWorld(p Params) (*world, error) {
	m := &world{Params: p}
	var err error
	if m.authority, m.shares, err = insecuretrusteddealer.Deal(uint8(p.Members), uint8(p.Threshold)); err != nil {
		return nil, err
	}
	m.owner = pre.Identity{Chain: "bench", Name: "p-7f3a@north", Key: m.authority.Key()}
	m.reader = pre.Identity{Chain: "bench", Name: "dr.lee@south", Key: m.authority.Key()}
	typ := pre.Type("lab" + strings.Repeat("/x", p.Depth-1))
	m.header = pre.Header{Record: "rec-1", Owner: m.owner, Type: typ, Author: "lab@south"}
	var parts []*pre.PartialKey
	for _, s := range m.shares[:p.Threshold] {
		part, err := s.Extract(m.owner, "lab")
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if m.key, err = m.authority.CombineKey(m.owner, "lab", parts); err != nil {
		return nil, err
	}
	if m.inbox, err = m.makeInbox(); err != nil {
		return nil, err
	}
	for range p.Members {
		k, err := pre.GenerateTransportKey()
		if err != nil {
			return nil, err
		}
		m.members = append(m.members, k)
	}
	if m.grant, m.granted, err = m.key.Grant(m.terms(), m.reader); err != nil {
		return nil, err
	}
	if m.sealed, err = m.sealShares(m.grant, m.granted); err != nil {
		return nil, err
	}
	if m.deleg, err = m.grant.Open(m.inbox); err != nil {
		return nil, err
	}
	return m, m.prepareAccess()
}

func (m *world) terms() pre.Terms {
	return pre.Terms{ID: "grant-1", Generation: 1, Members: uint8(m.Members), Threshold: uint8(m.Threshold)}
}

func (m *world) prepareAccess() error {
	requester, err := pre.GenerateTransportKey()
	if err != nil {
		return err
	}
	m.access = &pre.Access{ID: [32]byte{1}, Requester: requester.Public()}
	for i := range m.Records {
		h := m.header
		h.Record = fmt.Sprintf("rec-%d", i+1)
		envelope, _, err := m.writer.Encapsulate(h, make([]byte, 200))
		if err != nil {
			return err
		}
		record, err := envelope.Verify(h)
		if err != nil {
			return err
		}
		if i == 0 {
			m.envelope = envelope.Bytes()
		}
		m.access.Records = append(m.access.Records, record)
	}
	for i := range m.Threshold {
		a, err := m.granted[i].Reencrypt(m.grant, m.grant.Sharing(), m.access)
		if err != nil {
			return err
		}
		m.answers = append(m.answers, a.Bytes())
	}
	return nil
}

func (m *world) makeInbox() (*pre.PrivateKey, error) {
	var parts []*pre.PartialKey
	for _, s := range m.shares[:m.Threshold] {
		p, err := s.ExtractInbox(m.reader)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return m.authority.CombineInboxKey(m.reader, parts)
}

func (m *world) sealShares(g *pre.Grant, shares []*pre.Share) ([][]byte, error) {
	var all [][]byte
	for i, s := range shares {
		b, err := s.Seal(m.members[i].Public(), g)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func (m *world) encrypt(w *pre.Encapsulator) ([]byte, error) {
	e, _, err := w.Encapsulate(m.header, make([]byte, 200))
	if err != nil {
		return nil, err
	}
	return e.Bytes(), nil
}

func (m *world) makeGrant() ([]byte, error) {
	g, shares, err := m.key.Grant(m.terms(), m.reader)
	if err != nil {
		return nil, err
	}
	sealed, err := m.sealShares(g, shares)
	if err != nil {
		return nil, err
	}
	all := g.Bytes()
	for _, b := range sealed {
		all = append(all, b...)
	}
	return all, nil
}

func (m *world) open(verify bool) error {
	var answers []*pre.Answer
	for _, b := range m.answers {
		a, err := pre.ParseAnswer(b)
		if err != nil {
			return err
		}
		if verify {
			if err := a.Verify(m.grant, m.grant.Sharing(), m.access); err != nil {
				return err
			}
		}
		answers = append(answers, a)
	}
	keys, err := m.deleg.Open(m.grant.Sharing(), m.access, answers)
	if err == nil && len(keys) != m.Records {
		err = errOther
	}
	return err
}

// Step implements System. A grant's size and time include the shares, sealed to
// each member; a key's include the work of the members that extract it. An
// envelope includes the proof that the chain checks and a wrap for each level.
func (w *Ward) Step(op Operation, p Params) (Step, error) {
	m, err := w.world(p)
	if err != nil {
		return Step{}, err
	}
	switch op {
	case KeyGen:
		return local(func() ([]byte, error) {
			k, err := m.makeInbox()
			if err != nil {
				return nil, err
			}
			return k.Bytes(), nil
		})
	case EncryptCold:
		return local(func() ([]byte, error) { return m.encrypt(new(pre.Encapsulator)) })
	case Encrypt:
		return local(func() ([]byte, error) { return m.encrypt(&m.writer) })
	case Check:
		return local(func() ([]byte, error) {
			e, err := pre.ParseEnvelope(m.envelope)
			if err != nil {
				return nil, err
			}
			_, err = e.Verify(m.header)
			return nil, err
		})
	case Grant:
		return local(m.makeGrant)
	case AcceptShare:
		return local(func() ([]byte, error) { _, err := m.members[0].OpenShare(m.sealed[0], m.grant, 1); return nil, err })
	case AcceptGrant:
		return local(func() ([]byte, error) { _, err := m.grant.Open(m.inbox); return nil, err })
	case Reencrypt:
		return localFor(m.Records, func() ([]byte, error) {
			a, err := m.granted[0].Reencrypt(m.grant, m.grant.Sharing(), m.access)
			if err != nil {
				return nil, err
			}
			return a.Bytes(), nil
		})
	case ReencryptRaw: // the scheme's formula alone; package pre always proves
		secret := pairing.HashToSecret(pairing.DSTCapsuleNonce, []byte("share"))
		u, err := pairing.ParseG1(m.access.Records[0].Envelope().U())
		if err != nil {
			return Step{}, err
		}
		return local(func() ([]byte, error) { b := secret.MulG1(u).Bytes(); return b[:], nil })
	case Verify:
		return localFor(m.Records, func() ([]byte, error) {
			a, err := pre.ParseAnswer(m.answers[0])
			if err != nil {
				return nil, err
			}
			return nil, a.Verify(m.grant, m.grant.Sharing(), m.access)
		})
	case Open:
		return localFor(m.Records, func() ([]byte, error) { return nil, m.open(false) })
	case OpenVerified:
		return localFor(m.Records, func() ([]byte, error) { return nil, m.open(true) })
	case OpenOwn:
		return local(func() ([]byte, error) { _, err := m.key.OpenRecord(m.access.Records[0]); return nil, err })
	}
	return Step{}, none(w, op)
}
