package pre

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/parallel"
	"github.com/ward-health/ward/internal/wire"
)

const (
	answerName = "ward/answer/v1"
	maxRecords = 1024 // in one access
)

// Access is a committed request to open records, as members and reader see it.
// The records are verified, of one chain, and at most 1,024.
type Access struct {
	ID        [32]byte // the id of the transaction that asks
	Requester []byte   // the public transport key that the transaction names
	Records   []*Record
}

func (a *Access) check() error {
	if a == nil || slices.Contains(a.Records, nil) {
		return &FormatError{"access", "field"}
	}
	if len(a.Records) == 0 || len(a.Records) > maxRecords {
		return &FormatError{"access", "limit"}
	}
	if len(a.Requester) != transportKeySize {
		return &FormatError{"access", "length"}
	}
	return nil
}

// Answer is what one member gives for an access: its share times every U, and
// one proof for all of them that they are. It takes 86 bytes and 48 for each
// record.
//
// The answer to a grant is of use to the grant's reader only. The answer to a
// decapsulation opens its records for whoever has t of them: seal it, log it
// never.
type Answer struct {
	generation uint32
	index      uint8
	points     []pairing.G1
	challenge  pairing.Scalar
	z          pairing.Scalar
}

// Reencrypt answers an access under a grant, with the member's share of the
// grant; current is the sharing the share belongs to.
//
// The caller has verified that the access is committed under a certified
// checkpoint, that the grant is active there, and that its conditions hold.
// Reencrypt checks what can be checked here: it returns [ErrNotCovered] if the
// grant does not reach a record, [ErrShares] if the sharing is not the grant's or
// the share not the sharing's, so that no member frames itself, and [ErrErased].
func (s *Share) Reencrypt(g *Grant, current *Sharing, a *Access) (*Answer, error) {
	return s.reencrypt(rand.Reader, g, current, a)
}

func (s *Share) reencrypt(random io.Reader, g *Grant, current *Sharing, a *Access) (*Answer, error) {
	st, err := grantStatement(g, current, a)
	if err != nil {
		return nil, err
	}
	return s.answer(random, st, current, a)
}

// Decapsulate answers an access that needs no grant, with the member's share of
// the authority's secret. It is what break-glass uses, under rules of its own.
// Records of owners in self-custody are refused with [ErrNotCovered]: their
// owners must leave an emergency grant.
func (s *Share) Decapsulate(authority *Sharing, a *Access) (*Answer, error) {
	st, err := decapsulationStatement(authority, a)
	if err != nil {
		return nil, err
	}
	return s.answer(rand.Reader, st, authority, a)
}

// statement is what a proof is bound to besides the member and its points.
type statement struct {
	tag     pairing.DST
	context []byte
}

func grantStatement(g *Grant, current *Sharing, a *Access) (statement, error) {
	if err := a.check(); err != nil {
		return statement{}, err
	}
	if err := g.current(current); err != nil {
		return statement{}, err
	}
	for _, r := range a.Records {
		if _, err := g.covers(r); err != nil {
			return statement{}, err
		}
	}
	return statement{pairing.DSTFragment, g.context[:]}, nil
}

func decapsulationStatement(authority *Sharing, a *Access) (statement, error) {
	if err := a.check(); err != nil {
		return statement{}, err
	}
	if authority == nil {
		return statement{}, ErrShares
	}
	chain := a.Records[0].header.Owner.Chain
	for _, r := range a.Records {
		if o := r.header.Owner; o.SelfCustody() || o.Chain != chain || !o.Key.Equal(authority.Key()) {
			return statement{}, ErrNotCovered
		}
	}
	var w wire.Writer
	w.String(chain)
	w.Raw(authority.Key().Bytes())
	return statement{pairing.DSTDecapsulation, w.Sum()}, nil
}

// hash covers the whole statement of a member's proof: every capsule and every
// point of the answer, so that no coefficient below can be known in time.
func (st statement) hash(public pairing.G1, a *Access, ans *Answer) [32]byte {
	var w wire.Writer
	w.Bytes(st.context)
	w.Raw(a.ID[:])
	w.Bytes(a.Requester)
	w.Uint32(ans.generation)
	w.Uint8(ans.index)
	pairing.WriteG1(&w, public)
	w.Uint32(uint32(len(a.Records)))
	for j, r := range a.Records {
		w.Raw(r.context[:])
		pairing.WriteG1(&w, r.envelope.u)
		pairing.WriteG1(&w, ans.points[j])
	}
	return wire.Hash(string(st.tag), w.Sum())
}

// weights returns the coefficients that fold all records into one equation; a
// single record needs none.
func weights(hash [32]byte, n int) []pairing.Scalar {
	if n == 1 {
		return []pairing.Scalar{pairing.NewScalar(1)}
	}
	w := make([]pairing.Scalar, n)
	var position [4]byte
	for j := range w {
		binary.BigEndian.PutUint32(position[:], uint32(j))
		d := wire.Hash(string(pairing.DSTFragmentWeight), hash[:], position[:])
		w[j] = pairing.ScalarFromUniform([16]byte(d[:16]))
	}
	return w
}

// fold returns Σ ρⱼ·pⱼ.
func fold(p []pairing.G1, rho []pairing.Scalar) pairing.G1 {
	if len(p) == 1 {
		return p[0]
	}
	return pairing.MultiMul(p, rho)
}

func dleqChallenge(hash [32]byte, w, v, k1, kw pairing.G1) pairing.Scalar {
	var b wire.Writer
	b.Raw(hash[:])
	for _, g := range []pairing.G1{w, v, k1, kw} {
		pairing.WriteG1(&b, g)
	}
	return pairing.HashToScalar(pairing.DSTFragmentDLEQ, b.Sum())
}

func (a *Access) capsules() []pairing.G1 {
	u := make([]pairing.G1, len(a.Records))
	for j, r := range a.Records {
		u[j] = r.envelope.u
	}
	return u
}

// answer multiplies every U by the share and proves it (Chaum and Pedersen,
// CRYPTO 1992, made non-interactive; one proof for all records).
func (s *Share) answer(random io.Reader, st statement, sharing *Sharing, a *Access) (*Answer, error) {
	public, err := sharing.member(s.index)
	if err != nil || s.generation != sharing.generation {
		return nil, ErrShares
	}
	if s.secret.IsZero() {
		return nil, ErrErased
	}
	u := a.capsules()
	single := u[0].ConstantTime()
	ans := &Answer{generation: s.generation, index: s.index, points: make([]pairing.G1, len(u))}
	ans.points[0] = single.Mul(s.secret)
	parallel.For(len(u)-1, func(j int) { ans.points[j+1] = s.secret.MulG1(u[j+1]) })

	commitment, err := ans.prove(random, s.secret, single, st.hash(public, a, ans), u)
	if err != nil {
		return nil, fmt.Errorf("answer access: %w", err)
	}
	// z·g1 = κ·g1 + c·Cᵢ holds only for the share behind Cᵢ. Without this test a
	// damaged share, or a forged sharing, would make the member frame itself.
	if !pairing.MulGenerator(ans.z).Sub(public.Mul(ans.challenge)).Equal(commitment) {
		return nil, ErrShares
	}
	return ans, nil
}

// prove fills in the proof that the points are the secret times u, and returns
// its first commitment κ·g1. single is the first of u in the constant-time form.
func (ans *Answer) prove(random io.Reader, secret *pairing.Secret, single *pairing.ConstantTimeG1, hash [32]byte, u []pairing.G1) (pairing.G1, error) {
	rho := weights(hash, len(u))
	w, v := fold(u, rho), fold(ans.points, rho)
	if len(u) > 1 {
		single = w.ConstantTime()
	}
	k, err := hedgedNonce(random, pairing.DSTFragmentNonce, secret, hash[:])
	if err != nil {
		return pairing.G1{}, err
	}
	defer k.Erase()
	commitment := pairing.GeneratorG1ConstantTime().Mul(k)
	ans.challenge = dleqChallenge(hash, w, v, commitment, single.Mul(k))
	ans.z = k.Add(secret.Mul(pairing.SecretFrom(ans.challenge))).Publish()
	return commitment, nil
}

// Verify checks an answer to an access under a grant. It returns an error that
// wraps [ErrProof] if the answer is wrong; see [BlameError] for what that proves.
func (ans *Answer) Verify(g *Grant, current *Sharing, a *Access) error {
	st, err := grantStatement(g, current, a)
	if err != nil {
		return err
	}
	return ans.verify(st, current, a)
}

// VerifyDecapsulation checks an answer to an access without a grant.
func (ans *Answer) VerifyDecapsulation(authority *Sharing, a *Access) error {
	st, err := decapsulationStatement(authority, a)
	if err != nil {
		return err
	}
	return ans.verify(st, authority, a)
}

func (ans *Answer) verify(st statement, sharing *Sharing, a *Access) error {
	public, err := sharing.member(ans.index)
	if err != nil || ans.generation != sharing.generation {
		return ErrShares
	}
	if len(ans.points) != len(a.Records) {
		return fmt.Errorf("answer of member %d: %w", ans.index, ErrProof)
	}
	hash := st.hash(public, a, ans)
	rho := weights(hash, len(ans.points))
	w, v := fold(a.capsules(), rho), fold(ans.points, rho)
	c := ans.challenge.Neg()
	k1 := pairing.MulGenerator(ans.z).Add(public.Mul(c))
	kw := pairing.JointMul(w, ans.z, v, c)
	if !dleqChallenge(hash, w, v, k1, kw).Equal(ans.challenge) {
		return fmt.Errorf("answer of member %d: %w", ans.index, ErrProof)
	}
	return nil
}

// ParseAnswer reads what [Answer.Bytes] wrote.
func ParseAnswer(b []byte) (*Answer, error) {
	r := wire.NewReader(answerName, b)
	ans := &Answer{generation: r.Uint32(), index: r.Uint8()}
	n := int(r.Uint16())
	if r.Err() == nil && (n == 0 || n > maxRecords) {
		r.Fail(wire.ErrTooLong)
	}
	if r.Err() == nil {
		ans.points = readPoints(r, n)
	}
	ans.challenge, ans.z = readScalar(r), readScalar(r)
	if r.Err() == nil && ans.index == 0 {
		r.Fail(&FormatError{"answer", "field"})
	}
	if err := finish("answer", r); err != nil {
		return nil, err
	}
	return ans, nil
}

// readPoints reads n points and checks each by itself, on all processors.
func readPoints(r *wire.Reader, n int) []pairing.G1 {
	raw := r.Raw(n * pairing.G1Size)
	if r.Err() != nil {
		return nil
	}
	points, errs := make([]pairing.G1, n), make([]error, n)
	parallel.For(n, func(j int) { points[j], errs[j] = pairing.ParseG1(raw[j*pairing.G1Size:][:pairing.G1Size]) })
	for _, err := range errs {
		if err != nil {
			r.Fail(err)
			return nil
		}
	}
	return points
}

// Bytes returns the encoding: generation, index, the points, challenge and
// response.
func (ans *Answer) Bytes() []byte {
	w := wire.NewWriter(answerName)
	w.Uint32(ans.generation)
	w.Uint8(ans.index)
	w.Uint16(uint16(len(ans.points)))
	for _, p := range ans.points {
		pairing.WriteG1(w, p)
	}
	writeScalar(w, ans.challenge)
	writeScalar(w, ans.z)
	return w.Sum()
}

// Format prints the answer's member and generation, never its points.
func (ans Answer) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "answer of member %d in generation %d", ans.index, ans.generation)
}

// Index returns the number of the member that answers.
func (ans *Answer) Index() uint8 { return ans.index }

// Generation returns the generation of the share behind the answer.
func (ans *Answer) Generation() uint32 { return ans.generation }
