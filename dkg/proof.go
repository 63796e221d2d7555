package dkg

import (
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// proof is a Schnorr proof in its short form: challenge and response. The
// verifier computes the commitment back and compares challenges.
type proof struct{ challenge, response pairing.Scalar }

func (p proof) write(w *wire.Writer) {
	c, z := p.challenge.Bytes(), p.response.Bytes()
	w.Raw(c[:])
	w.Raw(z[:])
}

func readProof(r *wire.Reader) proof { return proof{readScalar(r), readScalar(r)} }

func readScalar(r *wire.Reader) pairing.Scalar {
	b := r.Raw(pairing.ScalarSize)
	if r.Err() != nil {
		return pairing.Scalar{}
	}
	s, err := pairing.ParseScalar(b)
	if err != nil {
		r.Fail(err)
	}
	return s
}

// statement begins what a challenge hashes: the ceremony, who proves, and the
// points it is about. All have fixed sizes.
func (p *plan) statement(number uint8, points ...pairing.G1) *wire.Writer {
	w := new(wire.Writer)
	w.Raw(p.id[:])
	w.Uint8(number)
	for _, g := range points {
		pairing.WriteG1(w, g)
	}
	return w
}

// nonce derives a proof's nonce from the secret, the statement and fresh
// randomness, so that it repeats only with all three.
func nonce(dst pairing.DST, secret []byte, statement *wire.Writer, hedge [32]byte) *pairing.Secret {
	var w wire.Writer
	w.String(string(dst))
	w.Bytes(secret)
	w.Bytes(statement.Sum())
	w.Raw(hedge[:])
	defer clear(w.Sum())
	return pairing.HashToSecret(pairing.DSTDealNonce, w.Sum())
}

func challenge(dst pairing.DST, statement *wire.Writer, commitments ...pairing.G1) pairing.Scalar {
	for _, r := range commitments {
		pairing.WriteG1(statement, r)
	}
	return pairing.HashToScalar(dst, statement.Sum())
}

// provePossession proves knowledge of d with pk = d·g1 (Schnorr), for the
// participant and the ceremony.
func (p *plan) provePossession(number uint8, d *pairing.Secret, pk pairing.G1, hedge [32]byte) proof {
	raw := d.Reveal()
	defer clear(raw[:])
	k := nonce(pairing.DSTPossession, raw[:], p.statement(number, pk), hedge)
	defer k.Erase()
	c := challenge(pairing.DSTPossession, p.statement(number, pk), pairing.GeneratorG1ConstantTime().Mul(k))
	return proof{c, k.Add(pairing.SecretFrom(c).Mul(d)).Publish()}
}

func (p *plan) verifyPossession(number uint8, j *joinPayload) bool {
	r := pairing.MulGenerator(j.possession.response).Sub(j.receiving.Mul(j.possession.challenge))
	return challenge(pairing.DSTPossession, p.statement(number, j.receiving), r).Equal(j.possession.challenge)
}

// proveKnowledge proves knowledge of every secret behind the points with one
// response, z = k + Σ c^m·x_m (Gennaro et al., "Batching Schnorr
// identification scheme", ASIACRYPT 2004). The hash covers all that is dealt.
func (p *plan) proveKnowledge(number uint8, seed []byte, commitment [32]byte, x []*pairing.Secret, hedge [32]byte) proof {
	k := nonce(pairing.DSTKnowledge, seed, p.dealStatement(number, commitment), hedge)
	defer k.Erase()
	c := challenge(pairing.DSTKnowledge, p.dealStatement(number, commitment), pairing.GeneratorG1ConstantTime().Mul(k))
	z, power := k, pairing.NewScalar(1)
	for _, s := range x {
		power = power.Mul(c)
		z = z.Add(pairing.SecretFrom(power).Mul(s))
	}
	return proof{c, z.Publish()}
}

func (p *plan) verifyKnowledge(number uint8, commitment [32]byte, points []pairing.G1, pr proof) bool {
	powers, power := make([]pairing.Scalar, len(points)), pairing.NewScalar(1)
	for m := range points {
		power = power.Mul(pr.challenge)
		powers[m] = power
	}
	r := pairing.MulGenerator(pr.response).Sub(pairing.MultiMul(points, powers))
	return challenge(pairing.DSTKnowledge, p.dealStatement(number, commitment), r).Equal(pr.challenge)
}

func (p *plan) dealStatement(number uint8, commitment [32]byte) *wire.Writer {
	w := p.statement(number)
	w.Raw(commitment[:])
	return w
}

// proveKey proves that key = d·E where pk = d·g1 (Chaum and Pedersen).
func (p *plan) proveKey(number uint8, c *complaintPayload, d *pairing.Secret, pk, ephemeral pairing.G1, hedge [32]byte) proof {
	raw := d.Reveal()
	defer clear(raw[:])
	k := nonce(pairing.DSTComplaint, raw[:], p.complaintStatement(number, c, pk, ephemeral), hedge)
	defer k.Erase()
	ch := challenge(pairing.DSTComplaint, p.complaintStatement(number, c, pk, ephemeral),
		pairing.GeneratorG1ConstantTime().Mul(k), k.MulG1(ephemeral))
	return proof{ch, k.Add(pairing.SecretFrom(ch).Mul(d)).Publish()}
}

func (p *plan) verifyKey(number uint8, c *complaintPayload, pk, ephemeral pairing.G1) bool {
	z, neg := c.proof.response, c.proof.challenge.Neg()
	r1 := pairing.MulGenerator(z).Add(pk.Mul(neg))
	r2 := pairing.JointMul(ephemeral, z, c.key, neg)
	return challenge(pairing.DSTComplaint, p.complaintStatement(number, c, pk, ephemeral), r1, r2).Equal(c.proof.challenge)
}

func (p *plan) complaintStatement(number uint8, c *complaintPayload, pk, ephemeral pairing.G1) *wire.Writer {
	w := p.statement(number, pk, ephemeral, c.key)
	w.Uint8(c.dealer)
	w.Raw(c.deal[:])
	return w
}
