package spectest

import (
	"bytes"
	"crypto/subtle"

	bls "github.com/cloudflare/circl/ecc/bls12381"
	"github.com/cloudflare/circl/hpke"
)

// Section 7.

type grant struct {
	owner       identity
	path        string
	id          string
	description []byte
	conditions  []byte
	sharing     sharing
	sealed      []byte
	terms       []byte
}

func parseGrant(b []byte) (grant, error) {
	r := open("ward/grant/v1", b)
	start := r.b
	g := grant{owner: r.identity()}
	g.path = string(r.lp(8 * 40))
	r.is(checkPath(g.path))
	g.id = r.text()
	g.description = r.lp(1 << 16)
	g.conditions = r.take(32)
	g.sharing = r.sharing()
	if r.err == nil {
		g.terms = start[:len(start)-len(r.b)]
	}
	g.sealed = r.lp(1 << 16)
	return g, r.end()
}

func (g grant) context() []byte { return hash("GRANT-CONTEXT", g.terms) }

func checkHalf(g grant, E *bls.G2) error {
	minus := new(bls.Scalar)
	minus.SetOne()
	key := sub(g.owner.key, minus, g.sharing.commitments[0])
	if !pair(g1(), E).IsEqual(pair(key, g.owner.base(g.path))) {
		return dealerFault
	}
	return nil
}

// sealHalf returns the sealing of E to the identity b.
func sealHalf(b identity, E, gctx []byte) []byte {
	rho := hashToScalar("GRANT-SCALAR", E, gctx)
	S := mul(rho, g1())
	K := power(pair(b.key, b.base(inbox)), rho)
	return join(S.BytesCompressed(), mask(b, K, S, gctx, E))
}

func mask(b identity, K *bls.Gt, S *bls.G1, gctx, text []byte) []byte {
	info := join(lp(tag("GRANT-SEAL")), lp(b.typed(inbox)), b.key.BytesCompressed(), S.BytesCompressed(), gctx)
	out := make([]byte, 96)
	subtle.XORBytes(out, text, kdf(gtBytes(K), info, 96))
	return out
}

func openHalf(k privateKey, sealed, gctx []byte) ([]byte, error) {
	if k.path != inbox || len(sealed) != 144 {
		return nil, noDecryption
	}
	S, err := parseG1(sealed[:48])
	if err != nil {
		return nil, noDecryption
	}
	E := mask(k.owner, pair(S, k.point), S, gctx, sealed[48:])
	if !mul(hashToScalar("GRANT-SCALAR", E, gctx), g1()).IsEqual(S) {
		return nil, noDecryption
	}
	return E, nil
}

// Section 9.

type answer struct {
	generation uint32
	index      int
	points     []*bls.G1
	c, z       *bls.Scalar
}

func parseAnswer(b []byte) (answer, error) {
	r := open("ward/answer/v1", b)
	a := answer{generation: r.u32(), index: r.u8()}
	if a.index == 0 {
		r.is(badField)
	}
	m := r.u16()
	if m < 1 || m > 1024 {
		r.is(overLimit)
	}
	for range m {
		if r.err == nil {
			a.points = append(a.points, r.g1())
		}
	}
	a.c, a.z = r.scalar(), r.scalar()
	return a, r.end()
}

type access struct {
	id, requester []byte
	headers       []header
	envelopes     []envelope
}

// question is what an answer answers: under a grant, or without.
type question struct {
	grant   *grant
	sharing sharing // the current one: of w₀, or of s
	access  access
	proof   string
	context []byte
}

func newQuestion(g *grant, s sharing, a access) (question, error) {
	q := question{grant: g, sharing: s, access: a}
	if len(a.headers) < 1 || len(a.headers) > 1024 {
		return q, overLimit
	}
	if len(a.requester) != 32 {
		return q, badLength
	}
	P := s.commitments[0]
	if g != nil && !(P.IsEqual(g.sharing.commitments[0]) && (s.generation != g.sharing.generation || s.equal(g.sharing))) {
		return q, badShares
	}
	for _, h := range a.headers {
		if g != nil {
			if _, err := covers(g.owner, g.path, h); err != nil {
				return q, err
			}
		} else if h.owner.version != 0 || h.owner.chain != a.headers[0].owner.chain || !h.owner.key.IsEqual(P) {
			return q, notCovered
		}
	}
	if g != nil {
		q.proof, q.context = "FRAGMENT-PROOF", g.context()
	} else {
		q.proof, q.context = "DECAPSULATION-PROOF", join(lp([]byte(a.headers[0].owner.chain)), P.BytesCompressed())
	}
	return q, nil
}

// folded is what the proof of an answer is about.
type folded struct {
	st      []byte
	weights []*bls.Scalar
	W, V    *bls.G1
}

func (q question) fold(ans answer) folded {
	var list []byte
	for j, e := range q.access.envelopes {
		list = append(list, join(q.access.headers[j].context(), e.U.BytesCompressed(), ans.points[j].BytesCompressed())...)
	}
	f := folded{W: new(bls.G1), V: new(bls.G1)}
	f.st = hash(q.proof, join(lp(q.context), q.access.id, lp(q.access.requester), u32(ans.generation), u8(ans.index),
		q.sharing.public(ans.index).BytesCompressed(), u32(uint32(len(q.access.headers))), list))
	f.W.SetIdentity()
	f.V.SetIdentity()
	for j, e := range q.access.envelopes {
		w := scalar(1)
		if len(q.access.envelopes) > 1 {
			w.SetBytes(hash("FRAGMENT-WEIGHT", f.st, u32(uint32(j)))[:16])
		}
		f.weights = append(f.weights, w)
		f.W = add(f.W, mul(w, e.U))
		f.V = add(f.V, mul(w, ans.points[j]))
	}
	return f
}

func (f folded) challenge(first, second *bls.G1) *bls.Scalar {
	return hashToScalar("FRAGMENT-CHALLENGE", f.st, f.W.BytesCompressed(), f.V.BytesCompressed(), first.BytesCompressed(), second.BytesCompressed())
}

// answer makes a member's answer.
func (q question) answer(sh share, random []byte) (answer, folded, *bls.Scalar, error) {
	if sh.generation != q.sharing.generation || sh.index > q.sharing.n {
		return answer{}, folded{}, nil, badShares
	}
	if !mul(sh.value, g1()).IsEqual(q.sharing.public(sh.index)) {
		return answer{}, folded{}, nil, badShares
	}
	ans := answer{generation: sh.generation, index: sh.index}
	for _, e := range q.access.envelopes {
		ans.points = append(ans.points, mul(sh.value, e.U))
	}
	f := q.fold(ans)
	kappa := nonce("FRAGMENT-NONCE", sh.value, random, f.st)
	ans.c = f.challenge(mul(kappa, g1()), mul(kappa, f.W))
	ans.z = new(bls.Scalar)
	ans.z.Mul(ans.c, sh.value)
	ans.z.Add(ans.z, kappa)
	return ans, f, kappa, nil
}

func (q question) verify(ans answer) error {
	if ans.generation != q.sharing.generation || ans.index > q.sharing.n {
		return badShares
	}
	if len(ans.points) != len(q.access.headers) {
		return badProof
	}
	f := q.fold(ans)
	first := sub(mul(ans.z, g1()), ans.c, q.sharing.public(ans.index))
	second := sub(mul(ans.z, f.W), ans.c, f.V)
	if f.challenge(first, second).IsEqual(ans.c) == 0 {
		return badProof
	}
	return nil
}

// open returns the record keys of the access; wrong names members or records.
func (q question) open(E *bls.G2, answers []answer) (deks [][]byte, wrong []int, err error) {
	var generations []uint32
	var indices []int
	for _, a := range answers {
		generations, indices = append(generations, a.generation), append(indices, a.index)
	}
	if err := checkParts(q.sharing, generations, indices); err != nil {
		return nil, nil, err
	}
	var closed []int
	for j, h := range q.access.headers {
		dek, err := q.openOne(E, answers, lagrange(indices), h, j)
		if err != nil {
			closed = append(closed, j)
		}
		deks = append(deks, dek)
	}
	if len(closed) == 0 {
		return deks, nil, nil
	}
	for _, a := range answers {
		if q.verify(a) != nil {
			wrong = append(wrong, a.index)
		}
	}
	if len(wrong) > 0 {
		return nil, wrong, blamed
	}
	return nil, closed, authorFault
}

func (q question) openOne(E *bls.G2, answers []answer, lambda []*bls.Scalar, h header, j int) ([]byte, error) {
	R := new(bls.G1)
	R.SetIdentity()
	for k, l := range lambda {
		if len(answers[k].points) != len(q.access.headers) {
			return nil, noDecryption
		}
		R = add(R, mul(l, answers[k].points[j]))
	}
	if q.grant == nil {
		return unwrap(h, q.access.envelopes[j], 0, pair(R, h.owner.base(h.path)))
	}
	level, err := covers(q.grant.owner, q.grant.path, h)
	if err != nil {
		return nil, err
	}
	K := pair(q.access.envelopes[j].U, E)
	K.Mul(K, pair(R, h.owner.base(q.grant.path)))
	return unwrap(h, q.access.envelopes[j], level, K)
}

// Section 10.

func parseTransportKey(b []byte) ([]byte, error) {
	r := open("ward/transport-key/v1", b)
	key := r.take(32)
	if bytes.Equal(key, make([]byte, 32)) {
		r.is(isZero)
	}
	return key, r.end()
}

func openTransport(secret []byte, info string, data, sealed []byte) ([]byte, error) {
	suite := hpke.NewSuite(hpke.KEM_X25519_HKDF_SHA256, hpke.KDF_HKDF_SHA256, hpke.AEAD_ChaCha20Poly1305)
	key, err := hpke.KEM_X25519_HKDF_SHA256.Scheme().UnmarshalBinaryPrivateKey(secret)
	if err != nil {
		return nil, badLength
	}
	receiver, err := suite.NewReceiver(key, tag(info))
	if err != nil {
		return nil, err
	}
	if len(sealed) < 32 {
		return nil, noDecryption
	}
	opener, err := receiver.Setup(sealed[:32])
	if err != nil {
		return nil, noDecryption
	}
	text, err := opener.Open(sealed[32:], data)
	if err != nil {
		return nil, noDecryption
	}
	return text, nil
}
