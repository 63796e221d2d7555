package system

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"go.dedis.ch/kyber/v3"
	"go.dedis.ch/kyber/v3/group/edwards25519"
	"go.dedis.ch/kyber/v3/share"
)

// NameCalypso is the name of Calypso's formulas in tables.
const NameCalypso = "Calypso's formulas"

// Calypso is the on-chain secrets of Calypso (Kokoris-Kogias et al., VLDB 2020,
// after TDH1 of Shoup and Gennaro), written from the paper over kyber v3 on
// edwards25519. There is no grant: a policy on the chain decides, and t members
// can open everything at any time.
type Calypso struct {
	suite  *edwards25519.SuiteEd25519
	key    []byte
	reader kyber.Scalar
	public kyber.Point // of the reader
	label  []byte
	base   kyber.Point // the second base of the proof
}

// NewCalypso returns the system.
func NewCalypso() *Calypso {
	suite := edwards25519.NewBlakeSHA256Ed25519()
	c := &Calypso{suite: suite, key: bytes.Repeat([]byte{7}, 29), label: []byte("policy")}
	c.reader = suite.Scalar().Pick(suite.RandomStream())
	c.public = suite.Point().Mul(c.reader, nil)
	c.base = suite.Point().Pick(suite.XOF([]byte("second base")))
	return c
}

// Name implements System.
func (*Calypso) Name() string { return NameCalypso }

// write is a record's key encrypted to the members.
type write struct {
	c, u, ubar kyber.Point
	e, f       kyber.Scalar
}

func (w *write) size() int { return 5 * 32 }

func (c *Calypso) hash(label []byte, points ...kyber.Point) (kyber.Scalar, error) {
	h := sha256.New()
	for _, p := range points {
		if _, err := p.MarshalTo(h); err != nil {
			return nil, err
		}
	}
	h.Write(label)
	return c.suite.Scalar().SetBytes(h.Sum(nil)), nil
}

func (c *Calypso) encrypt(collective kyber.Point) (*write, error) {
	s := c.suite
	r, k := s.Scalar().Pick(s.RandomStream()), s.Scalar().Pick(s.RandomStream())
	w := &write{
		c: s.Point().Add(s.Point().Mul(r, collective), s.Point().Embed(c.key, s.RandomStream())),
		u: s.Point().Mul(r, nil), ubar: s.Point().Mul(r, c.base),
	}
	var err error
	if w.e, err = c.hash(c.label, w.c, w.u, w.ubar, s.Point().Mul(k, nil), s.Point().Mul(k, c.base)); err != nil {
		return nil, err
	}
	w.f = s.Scalar().Add(k, s.Scalar().Mul(w.e, r))
	return w, nil
}

var errProof = errors.New("proof does not hold")

func (c *Calypso) check(w *write) error {
	s := c.suite
	minus := s.Scalar().Neg(w.e)
	k := s.Point().Add(s.Point().Mul(w.f, nil), s.Point().Mul(minus, w.u))
	kbar := s.Point().Add(s.Point().Mul(w.f, c.base), s.Point().Mul(minus, w.ubar))
	e, err := c.hash(c.label, w.c, w.u, w.ubar, k, kbar)
	if err != nil {
		return err
	}
	if !e.Equal(w.e) {
		return errProof
	}
	return nil
}

// part is a member's answer.
type part struct {
	share *share.PubShare
	e, f  kyber.Scalar
}

// blinded is what members multiply: U with the reader's key on top.
func (c *Calypso) blinded(w *write) kyber.Point { return c.suite.Point().Add(w.u, c.public) }

func (c *Calypso) answer(w *write, secret *share.PriShare) (*part, error) {
	s := c.suite
	b := c.blinded(w)
	p := &part{share: &share.PubShare{I: secret.I, V: s.Point().Mul(secret.V, b)}}
	k := s.Scalar().Pick(s.RandomStream())
	var err error
	if p.e, err = c.hash(nil, p.share.V, s.Point().Mul(k, b), s.Point().Mul(k, nil)); err != nil {
		return nil, err
	}
	p.f = s.Scalar().Add(k, s.Scalar().Mul(p.e, secret.V))
	return p, nil
}

func (c *Calypso) verify(w *write, p *part, public kyber.Point) error {
	s := c.suite
	minus := s.Scalar().Neg(p.e)
	onBlinded := s.Point().Add(s.Point().Mul(p.f, c.blinded(w)), s.Point().Mul(minus, p.share.V))
	onBase := s.Point().Add(s.Point().Mul(p.f, nil), s.Point().Mul(minus, public))
	e, err := c.hash(nil, p.share.V, onBlinded, onBase)
	if err != nil {
		return err
	}
	if !e.Equal(p.e) {
		return errProof
	}
	return nil
}

func (c *Calypso) open(w *write, parts []*part, collective kyber.Point, members int) error {
	var shares []*share.PubShare
	for _, p := range parts {
		shares = append(shares, p.share)
	}
	blinded, err := share.RecoverCommit(c.suite, shares, len(parts), members)
	if err != nil {
		return err
	}
	s := c.suite
	mask := s.Point().Sub(blinded, s.Point().Mul(c.reader, collective))
	key, err := s.Point().Sub(w.c, mask).Data()
	if err != nil {
		return err
	}
	if !bytes.Equal(key, c.key) {
		return errOther
	}
	return nil
}

// Step implements System.
func (c *Calypso) Step(op Operation, p Params) (Step, error) {
	s := c.suite
	polynomial := share.NewPriPoly(s, p.Threshold, nil, s.RandomStream())
	commitments := polynomial.Commit(s.Point().Base())
	collective := commitments.Commit()
	secrets := polynomial.Shares(p.Members)
	w, err := c.encrypt(collective)
	if err != nil {
		return Step{}, err
	}
	var parts []*part
	var public []kyber.Point // of the members, known to everybody
	for _, secret := range secrets[:p.Threshold] {
		a, err := c.answer(w, secret)
		if err != nil {
			return Step{}, err
		}
		parts, public = append(parts, a), append(public, commitments.Eval(secret.I).V)
	}
	switch op {
	case KeyGen:
		return local(func() ([]byte, error) {
			return s.Point().Mul(s.Scalar().Pick(s.RandomStream()), nil).MarshalBinary()
		})
	case EncryptCold, Encrypt:
		return local(func() ([]byte, error) {
			w, err := c.encrypt(collective)
			if err != nil {
				return nil, err
			}
			return make([]byte, w.size()), nil
		})
	case Check:
		return local(func() ([]byte, error) { return nil, c.check(w) })
	case Reencrypt:
		return local(func() ([]byte, error) { _, err := c.answer(w, secrets[0]); return make([]byte, 3*32), err })
	case ReencryptRaw:
		return local(func() ([]byte, error) { return s.Point().Mul(secrets[0].V, c.blinded(w)).MarshalBinary() })
	case Verify:
		return local(func() ([]byte, error) { return nil, c.verify(w, parts[0], public[0]) })
	case Open:
		return local(func() ([]byte, error) { return nil, c.open(w, parts, collective, p.Members) })
	case OpenVerified:
		return local(func() ([]byte, error) {
			for i, a := range parts {
				if err := c.verify(w, a, public[i]); err != nil {
					return nil, fmt.Errorf("answer %d: %w", i, err)
				}
			}
			return nil, c.open(w, parts, collective, p.Members)
		})
	}
	return Step{}, none(c, op)
}
