package spectest

import (
	"crypto/sha256"

	bls "github.com/cloudflare/circl/ecc/bls12381"
	"golang.org/x/crypto/chacha20poly1305"
)

// The operations of the vectors that are about records, grants and answers.

func parseHeader(o object) (header, error) {
	owner, err := parseIdentity(o.hex("owner"))
	return header{o.text("record"), owner, o.text("type"), o.text("author")}, err
}

// parseRecord reads a header and its envelope without verifying them.
func parseRecord(o object) (header, envelope, error) {
	h, err := parseHeader(o.object("header"))
	if err != nil {
		return h, envelope{}, err
	}
	e, err := parseEnvelope(o.hex("envelope"))
	return h, e, err
}

func verifiedRecord(o object) (header, envelope, error) {
	h, e, err := parseRecord(o)
	if err == nil {
		err = verifyEnvelope(h, e)
	}
	return h, e, err
}

func seal(key, nonce, text, data []byte) ([]byte, error) {
	aead, err := chacha20poly1305.New(key)
	if len(nonce) == chacha20poly1305.NonceSizeX {
		aead, err = chacha20poly1305.NewX(key)
	}
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nonce, text, data), nil
}

// runEncapsulate computes everything of section 6 from its random values.
func runEncapsulate(in object) (object, error) {
	h, err := parseHeader(in.object("header"))
	if err != nil {
		return nil, err
	}
	index, ctx := in.hex("index"), h.context()
	written := sha256.Sum256(index)
	dek := kdf(in.hex("seed"), join(lp(tag("RECORD-KEY")), ctx, written[:]), 32)
	r := hashToScalar("CAPSULE-SCALAR", dek, ctx)
	e := envelope{U: mul(r, g1())}
	U := e.U.BytesCompressed()
	var typed, keys, kek [][]byte
	for j, l := range levels(h.path) {
		K := power(pair(h.owner.key, h.owner.base(l)), r)
		key := wrapKey(h, e, j, K)
		wrap, err := seal(key, make([]byte, 12), dek, join(U, u8(j), ctx))
		if err != nil {
			return nil, err
		}
		e.wraps = append(e.wraps, wrap)
		typed, keys, kek = append(typed, h.owner.typed(l)), append(keys, gtBytes(K)), append(kek, key)
	}
	padded := append(lp(index), make([]byte, (256-(4+len(index))%256)%256)...)
	key := indexKey(dek, ctx)
	box, err := seal(key, in.hex("nonce"), padded, join(ctx, U))
	if err != nil {
		return nil, err
	}
	sealed := join([]byte("ward/index/v1\n"), in.hex("nonce"), box)
	e.indexHash = hash("INDEX-HASH", sealed)
	L := e.label(ctx)
	k := hashToScalar("CAPSULE-NONCE", scalarBytes(r), in.hex("random"), L)
	e.R = mul(k, g1())
	base := hashToG1("CAPSULE-BASE", U, e.R.BytesCompressed(), L)
	e.Ubar, e.Rbar = mul(r, base), mul(k, base)
	c := hashToScalar("CAPSULE-PROOF", L, U, e.R.BytesCompressed(), e.Ubar.BytesCompressed(), e.Rbar.BytesCompressed())
	e.z = new(bls.Scalar)
	e.z.Mul(c, r)
	e.z.Add(e.z, k)
	return object{"ctx": hx(ctx), "dek": hx(dek), "r": hx(scalarBytes(r)), "U": hx(U), "typed": hxList(typed), "K": hxList(keys),
		"KEK": hxList(kek), "index_key": hx(key), "L": hx(L), "k": hx(scalarBytes(k)), "h": hx(base.BytesCompressed()), "c": hx(scalarBytes(c)),
		"envelope": hx(e.encode()), "sealed": hx(sealed)}, nil
}

func (e envelope) encode() []byte {
	return join([]byte("ward/envelope/v1\n"), e.U.BytesCompressed(), e.Ubar.BytesCompressed(), e.R.BytesCompressed(),
		e.Rbar.BytesCompressed(), scalarBytes(e.z), u8(len(e.wraps)), join(e.wraps...), e.indexHash)
}

func runVerifyEnvelope(in object) (object, error) {
	h, e, err := verifiedRecord(in)
	if err != nil {
		return nil, err
	}
	U, R, L := e.U.BytesCompressed(), e.R.BytesCompressed(), e.label(h.context())
	c := hashToScalar("CAPSULE-PROOF", L, U, R, e.Ubar.BytesCompressed(), e.Rbar.BytesCompressed())
	return object{"ctx": hx(h.context()), "L": hx(L), "c": hx(scalarBytes(c)),
		"h": hx(hashToG1("CAPSULE-BASE", U, R, L).BytesCompressed())}, nil
}

// runVerifyBatch computes the weights and the combined sum over the envelopes
// that are valid by themselves: it must vanish, and with any other it must not.
func runVerifyBatch(in object) (object, error) {
	var proofs []byte
	type term struct {
		h header
		e envelope
	}
	var terms []term
	for _, v := range in.list("records") {
		m, _ := v.(map[string]any)
		h, e, err := parseRecord(m)
		if err != nil {
			return nil, err
		}
		terms = append(terms, term{h, e})
		if h.check(e) == nil {
			proofs = join(proofs, e.label(h.context()), e.Ubar.BytesCompressed(), e.R.BytesCompressed(), e.Rbar.BytesCompressed(), scalarBytes(e.z))
		}
	}
	root := hash("CAPSULE-BATCH", in.hex("seed"), proofs)
	var verdicts []string
	var as, bs [][]byte
	for i, t := range terms {
		d := hash("CAPSULE-WEIGHT", root, u64(uint64(i)))
		as, bs = append(as, d[:16]), append(bs, d[16:])
		verdict := "valid"
		if err := t.h.check(t.e); err != nil {
			verdict = string(badField)
		} else if !weighted(t.h, t.e, d).IsIdentity() {
			verdict = string(badProof)
		}
		verdicts = append(verdicts, verdict)
	}
	return object{"root": hx(root), "a": hxList(as), "b": hxList(bs), "verdicts": verdicts}, nil
}

// weighted is one envelope's term of the sum.
func weighted(h header, e envelope, weights []byte) *bls.G1 {
	a, b := new(bls.Scalar), new(bls.Scalar)
	a.SetBytes(weights[:16])
	b.SetBytes(weights[16:])
	U, R, L := e.U.BytesCompressed(), e.R.BytesCompressed(), e.label(h.context())
	c := hashToScalar("CAPSULE-PROOF", L, U, R, e.Ubar.BytesCompressed(), e.Rbar.BytesCompressed())
	one := scalar(1)
	first := sub(sub(mul(e.z, g1()), one, e.R), c, e.U)
	second := sub(sub(mul(e.z, hashToG1("CAPSULE-BASE", U, R, L)), one, e.Rbar), c, e.Ubar)
	return add(mul(a, first), mul(b, second))
}

// runUnpad writes the padded index as its beginning and a number of zeros.
func runUnpad(in object) (object, error) {
	index, err := unpad(join(in.hex("begin"), make([]byte, in.number("zeros"))))
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(index)
	return object{"length": len(index), "H": hx(digest[:])}, nil
}

func runOpenRecord(in object) (object, error) {
	k, err := parsePrivateKey(in.hex("private_key"))
	if err != nil {
		return nil, err
	}
	h, e, err := verifiedRecord(in)
	if err != nil {
		return nil, err
	}
	dek, err := openWithKey(k, h, e)
	if err != nil {
		return nil, err
	}
	index, err := openIndex(h, e, dek, in.hex("sealed"))
	if err != nil {
		return nil, err
	}
	level, _ := levelOf(h.path, k.path)
	return object{"level": level, "dek": hx(dek), "index": hx(index)}, nil
}

// runGrant computes everything of section 7 from the coefficients.
func runGrant(in object) (object, error) {
	k, err := parsePrivateKey(in.hex("private_key"))
	if err != nil {
		return nil, err
	}
	to, err := parseIdentity(in.hex("recipient"))
	if err != nil {
		return nil, err
	}
	n, t := int(in.number("n")), int(in.number("t"))
	if k.path == inbox || t < 1 || t > n || n > 64 {
		return nil, badField
	}
	if k.owner.version > 0 && to.version == 0 {
		return nil, exposed
	}
	var w []*bls.Scalar
	sharing := join(u32(in.number("generation")), u8(n), u8(t))
	for _, b := range in.hexes("coefficients") {
		c, err := parseSecret(b)
		if err != nil {
			return nil, err
		}
		w = append(w, c)
		sharing = append(sharing, mul(c, g1()).BytesCompressed()...)
	}
	terms := join(k.owner.encode(), lp([]byte(k.path)), lp([]byte(in.text("id"))), lp(to.describe()), in.hex("conditions"), sharing)
	gctx := hash("GRANT-CONTEXT", terms)
	minus := new(bls.Scalar)
	minus.Sub(scalar(0), w[0])
	E := addG2(k.point, mulG2(minus, k.owner.base(k.path))).BytesCompressed()
	rho := hashToScalar("GRANT-SCALAR", E, gctx)
	var shares [][]byte
	for i := 1; i <= n; i++ {
		shares = append(shares, join([]byte("ward/share/v1\n"), u32(in.number("generation")), u8(i), scalarBytes(evaluate(w, i))))
	}
	return object{"grant": hx(join([]byte("ward/grant/v1\n"), terms, lp(sealHalf(to, E, gctx)))), "gctx": hx(gctx), "E": hx(E),
		"rho": hx(scalarBytes(rho)), "K": hx(gtBytes(power(pair(to.key, to.base(inbox)), rho))), "shares": hxList(shares)}, nil
}

func evaluate(w []*bls.Scalar, i int) *bls.Scalar {
	sum := scalar(0)
	for k := len(w) - 1; k >= 0; k-- {
		sum.Mul(sum, scalar(i))
		sum.Add(sum, w[k])
	}
	return sum
}

func runOpenGrant(in object) (object, error) {
	k, err := parsePrivateKey(in.hex("inbox_key"))
	if err != nil {
		return nil, err
	}
	g, err := parseGrant(in.hex("grant"))
	if err != nil {
		return nil, err
	}
	half, err := openHalf(k, g.sealed, g.context())
	if err != nil {
		return nil, err
	}
	if _, err := acceptHalf(g, half); err != nil {
		return object{"evidence": hx(half)}, err
	}
	return object{"E": hx(half), "gctx": hx(g.context())}, nil
}

func acceptHalf(g grant, half []byte) (*bls.G2, error) {
	E, err := parseG2(half)
	if err != nil {
		return nil, dealerFault
	}
	return E, checkHalf(g, E)
}

func parseQuestion(in object) (question, error) {
	s, err := parseSharing(in.hex("sharing"))
	if err != nil {
		return question{}, err
	}
	o := in.object("access")
	a := access{id: o.hex("id"), requester: o.hex("requester")}
	for _, v := range o.list("records") {
		m, _ := v.(map[string]any)
		h, e, err := verifiedRecord(m)
		if err != nil {
			return question{}, err
		}
		a.headers, a.envelopes = append(a.headers, h), append(a.envelopes, e)
	}
	if _, ok := in["grant"]; !ok {
		return newQuestion(nil, s, a)
	}
	g, err := parseGrant(in.hex("grant"))
	if err != nil {
		return question{}, err
	}
	return newQuestion(&g, s, a)
}

func runAnswer(in object) (object, error) {
	q, err := parseQuestion(in)
	if err != nil {
		return nil, err
	}
	sh, err := parseShare(in.hex("share"))
	if err != nil {
		return nil, err
	}
	ans, f, kappa, err := q.answer(sh, in.hex("random"))
	if err != nil {
		return nil, err
	}
	points := make([][]byte, len(ans.points))
	for j, p := range ans.points {
		points[j] = p.BytesCompressed()
	}
	return object{"st": hx(f.st), "rho": hxScalars(f.weights), "W": hx(f.W.BytesCompressed()), "V": hx(f.V.BytesCompressed()),
		"kappa": hx(scalarBytes(kappa)), "answer": hx(join([]byte("ward/answer/v1\n"), u32(ans.generation), u8(ans.index),
			u16(len(points)), join(points...), scalarBytes(ans.c), scalarBytes(ans.z)))}, nil
}

func runVerifyAnswer(in object) (object, error) {
	q, err := parseQuestion(in)
	if err != nil {
		return nil, err
	}
	ans, err := parseAnswer(in.hex("answer"))
	if err != nil {
		return nil, err
	}
	return object{}, q.verify(ans)
}

func runOpenAccess(in object) (object, error) {
	q, err := parseQuestion(in)
	if err != nil {
		return nil, err
	}
	var answers []answer
	for _, b := range in.hexes("answers") {
		a, err := parseAnswer(b)
		if err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	var E *bls.G2
	if q.grant != nil {
		if E, err = acceptHalf(*q.grant, in.hex("half")); err != nil {
			return object{"evidence": in.text("half")}, err
		}
	}
	deks, wrong, err := q.open(E, answers)
	switch err {
	case nil:
		return object{"deks": hxList(deks)}, nil
	case blamed:
		return object{"members": wrong}, err
	case authorFault:
		return object{"records": wrong}, err
	}
	return nil, err
}
