package spectest

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"math/big"

	bls "github.com/cloudflare/circl/ecc/bls12381"
	"github.com/cloudflare/circl/hpke"
	"golang.org/x/crypto/chacha20poly1305"
)

// Section 4: interpolation and the checks before it.

func lagrange(indices []int) []*bls.Scalar {
	var list []*bls.Scalar
	for _, i := range indices {
		num, den := big.NewInt(1), big.NewInt(1)
		for _, j := range indices {
			if j != i {
				num.Mul(num, big.NewInt(int64(j)))
				den.Mul(den, big.NewInt(int64(j-i)))
			}
		}
		num.Mul(num, den.ModInverse(den.Mod(den, order), order))
		s := new(bls.Scalar)
		s.SetBytes(num.Mod(num, order).Bytes())
		list = append(list, s)
	}
	return list
}

// checkParts accepts exactly t distinct members of one generation.
func checkParts(s sharing, generations []uint32, indices []int) error {
	if len(indices) != s.t {
		return badShares
	}
	seen := map[int]bool{}
	for k, i := range indices {
		if i < 1 || i > s.n || seen[i] || generations[k] != s.generation {
			return badShares
		}
		seen[i] = true
	}
	return nil
}

func checkShare(s sharing, sh share) error {
	if sh.generation != s.generation || sh.index > s.n {
		return badShares
	}
	if !mul(sh.value, g1()).IsEqual(s.public(sh.index)) {
		return badProof
	}
	return nil
}

// Section 5.

// combineKeys returns the key D of owner for path, and λ. The authority's P is
// A_0. It names the members whose part is wrong.
func combineKeys(s sharing, owner identity, path string, parts []partialKey) (D *bls.G2, coefficients []*bls.Scalar, wrong []int, err error) {
	var generations []uint32
	var indices []int
	for _, p := range parts {
		generations, indices = append(generations, p.generation), append(indices, p.index)
	}
	if err := checkParts(s, generations, indices); err != nil {
		return nil, nil, nil, err
	}
	Q := owner.base(path)
	for _, p := range parts {
		if !pair(g1(), p.point).IsEqual(pair(s.public(p.index), Q)) {
			wrong = append(wrong, p.index)
		}
	}
	if len(wrong) > 0 {
		return nil, nil, wrong, blamed
	}
	D = new(bls.G2)
	D.SetIdentity()
	coefficients = lagrange(indices)
	for k, l := range coefficients {
		D = addG2(D, mulG2(l, parts[k].point))
	}
	if !pair(g1(), D).IsEqual(pair(s.commitments[0], Q)) {
		return nil, nil, nil, badProof
	}
	return D, coefficients, nil, nil
}

// completeKey returns D' = D + x·Q for an identity in self-custody.
func completeKey(x *bls.Scalar, k privateKey, owner identity) (privateKey, error) {
	same := k.owner.chain == owner.chain && k.owner.name == owner.name && k.owner.epoch == owner.epoch
	if !same || k.owner.version != 0 || owner.version == 0 {
		return privateKey{}, notCovered
	}
	done := privateKey{owner, k.path, addG2(k.point, mulG2(x, owner.base(k.path)))}
	if !pair(g1(), done.point).IsEqual(pair(owner.key, owner.base(k.path))) {
		return privateKey{}, badProof
	}
	return done, nil
}

func custodyStatement(chain, name string, version uint32, X *bls.G1) []byte {
	return join(lp([]byte(chain)), lp([]byte(name)), u32(version), X.BytesCompressed())
}

// nonce derives k: section 5, last paragraph.
func nonce(name string, secret *bls.Scalar, random, statement []byte) *bls.Scalar {
	return hashToScalar(name, scalarBytes(secret), random, lp(statement))
}

// checkCustody returns P' for a registration as the given version.
func checkCustody(chain, name string, version uint32, P *bls.G1, p custodyProof) (*bls.G1, error) {
	if version == 0 {
		return nil, badField
	}
	statement := custodyStatement(chain, name, version, p.X)
	K := sub(mul(p.z, g1()), p.c, p.X)
	if p.c.IsEqual(hashToScalar("CUSTODY-PROOF", lp(statement), K.BytesCompressed())) == 0 {
		return nil, badProof
	}
	key := add(P, p.X)
	if key.IsIdentity() {
		return nil, badIdentity
	}
	return key, nil
}

// Section 6.

type header struct {
	record string
	owner  identity
	path   string
	author string
}

func (h header) context() []byte {
	return hash("RECORD-CONTEXT", join(lp([]byte(h.owner.chain)), lp([]byte(h.record)), lp([]byte(h.owner.name)),
		u32(h.owner.version), h.owner.key.BytesCompressed(), lp([]byte(h.path)), u64(h.owner.epoch), lp([]byte(h.author))))
}

// check is what a verifier does before the equations.
func (h header) check(e envelope) error {
	for _, s := range []string{h.owner.chain, h.owner.name, h.record, h.author} {
		if err := checkName(s); err != nil {
			return err
		}
	}
	if err := checkPath(h.path); err != nil {
		return err
	}
	if len(e.wraps) != len(levels(h.path)) {
		return badField
	}
	return nil
}

func (e envelope) label(ctx []byte) []byte {
	return hash("LABEL", join(ctx, e.U.BytesCompressed(), join(e.wraps...), e.indexHash))
}

func verifyEnvelope(h header, e envelope) error {
	if err := h.check(e); err != nil {
		return err
	}
	U, R, Ubar, Rbar := e.U.BytesCompressed(), e.R.BytesCompressed(), e.Ubar.BytesCompressed(), e.Rbar.BytesCompressed()
	L := e.label(h.context())
	base := hashToG1("CAPSULE-BASE", U, R, L)
	c := hashToScalar("CAPSULE-PROOF", L, U, R, Ubar, Rbar)
	if !mul(e.z, g1()).IsEqual(add(e.R, mul(c, e.U))) || !mul(e.z, base).IsEqual(add(e.Rbar, mul(c, e.Ubar))) {
		return badProof
	}
	return nil
}

func wrapKey(h header, e envelope, level int, K *bls.Gt) []byte {
	I := h.owner.typed(levels(h.path)[level])
	return kdf(gtBytes(K), join(lp(tag("KEY-WRAP")), lp(I), e.U.BytesCompressed(), h.context()), 32)
}

func unwrap(h header, e envelope, level int, K *bls.Gt) ([]byte, error) {
	box, err := chacha20poly1305.New(wrapKey(h, e, level, K))
	if err != nil {
		return nil, err
	}
	U, ctx := e.U.BytesCompressed(), h.context()
	dek, err := box.Open(nil, make([]byte, 12), e.wraps[level], join(U, u8(level), ctx))
	if err != nil {
		return nil, noDecryption
	}
	if !mul(hashToScalar("CAPSULE-SCALAR", dek, ctx), g1()).IsEqual(e.U) {
		return nil, noDecryption
	}
	return dek, nil
}

func openIndex(h header, e envelope, dek, sealed []byte) ([]byte, error) {
	nonce, box, err := parseSealedIndex(sealed)
	if err != nil || !bytes.Equal(hash("INDEX-HASH", sealed), e.indexHash) {
		return nil, noDecryption
	}
	aead, err := chacha20poly1305.NewX(kdf(dek, tag("INDEX-KEY"), 32))
	if err != nil {
		return nil, err
	}
	padded, err := aead.Open(nil, nonce, box, join(h.context(), e.U.BytesCompressed()))
	if err != nil {
		return nil, noDecryption
	}
	return unpad(padded)
}

func unpad(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, noDecryption
	}
	n := int(binary.BigEndian.Uint32(b))
	if len(b) != (4+n+255)/256*256 || !bytes.Equal(b[4+n:], make([]byte, len(b)-4-n)) {
		return nil, noDecryption
	}
	return b[4 : 4+n], nil
}

// covers implements section 8.
func covers(owner identity, path string, h header) (int, error) {
	level, ok := levelOf(h.path, path)
	if !ok || !owner.equal(h.owner) {
		return 0, notCovered
	}
	return level, nil
}

func openWithKey(k privateKey, h header, e envelope) ([]byte, error) {
	level, err := covers(k.owner, k.path, h)
	if err != nil {
		return nil, err
	}
	return unwrap(h, e, level, pair(e.U, k.point))
}

// Section 7.

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
	if g != nil && !P.IsEqual(g.sharing.commitments[0]) {
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
