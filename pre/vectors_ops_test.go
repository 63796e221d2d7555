package pre

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// The operations of the vectors that are about records, grants and answers.

func runEncapsulate(in object) (object, error) {
	h, err := vectorHeader(in.object("header"))
	if err != nil {
		return nil, err
	}
	seed, nonce, hedge := in.hex("seed"), in.hex("nonce"), in.hex("random")
	var author Encapsulator
	e, sealed, err := author.encapsulate(replay(seed, nonce, hedge), h, in.hex("index"))
	if err != nil {
		return nil, err
	}
	context := h.context()
	dek, err := recordKey(seed, context, in.hex("index"))
	if err != nil {
		return nil, err
	}
	info := wire.Writer{}
	info.String(string(pairing.DSTIndexKey))
	info.Raw(context[:])
	opens, err := hkdf.Key(sha256.New, dek, nil, string(info.Sum()), 32)
	if err != nil {
		return nil, err
	}
	r := recordScalar(dek, context)
	label := e.label(context)
	var k, kek, typed []string
	for _, level := range h.Type.Levels() {
		id := h.Owner.typed(level)
		shared := pairing.Pair(h.Owner.Key.g, id.point()).Exp(r)
		key, err := wrapKey(shared, id, e.U(), context)
		if err != nil {
			return nil, err
		}
		typed, k, kek = append(typed, hx(id.bytes())), append(k, hxGT(shared)), append(kek, hx(key))
	}
	return object{"ctx": hx(context[:]), "dek": hx(dek), "r": hxScalar(r), "U": hxPoint(e.u), "typed": typed, "K": k, "KEK": kek,
		"index_key": hx(opens), "L": hx(label[:]), "k": hxScalar(capsuleNonce(r, hedge, label)), "h": hxPoint(capsuleBase(e.u, e.r, label)),
		"c": hxScalar(e.challenge(label)), "envelope": hx(e.Bytes()), "sealed": hx(sealed)}, nil
}

func runVerifyEnvelope(in object) (object, error) {
	r, err := vectorRecord(in)
	if err != nil {
		return nil, err
	}
	label := r.envelope.label(r.context)
	return object{"ctx": hx(r.context[:]), "L": hx(label[:]), "c": hxScalar(r.envelope.challenge(label)),
		"h": hxPoint(capsuleBase(r.envelope.u, r.envelope.r, label))}, nil
}

func runVerifyBatch(in object) (object, error) {
	var envelopes []*Envelope
	var headers []Header
	seed := in.hex("seed")
	var checked wire.Writer
	for _, o := range in.objects("records") {
		h, err := vectorHeader(o.object("header"))
		if err != nil {
			return nil, err
		}
		e, err := ParseEnvelope(o.hex("envelope"))
		if err != nil {
			return nil, err
		}
		envelopes, headers = append(envelopes, e), append(headers, h)
		if r, err := e.bind(h); err == nil {
			label := e.label(r.context)
			checked.Raw(label[:])
			e.writeProof(&checked)
		}
	}
	root := batchRoot(seed, checked.Sum())
	_, errs := VerifyBatch(seed, envelopes, headers)
	var verdicts, a, b []string
	for i, err := range errs {
		var position [8]byte
		binary.BigEndian.PutUint64(position[:], uint64(i))
		d := wire.Hash(string(pairing.DSTCapsuleWeight), root[:], position[:])
		verdicts, a, b = append(verdicts, kindOf(err)), append(a, hx(d[:16])), append(b, hx(d[16:]))
	}
	return object{"root": hx(root[:]), "a": a, "b": b, "verdicts": verdicts}, nil
}

// runUnpad gets the padded index as its beginning and a number of zeros, so that
// a vector of the longest index stays small.
func runUnpad(in object) (object, error) {
	index, err := unpad(append(in.hex("begin"), make([]byte, in.number("zeros"))...))
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(index)
	return object{"length": len(index), "H": hx(digest[:])}, nil
}

func runOpenRecord(in object) (object, error) {
	k, err := ParsePrivateKey(in.hex("private_key"))
	if err != nil {
		return nil, err
	}
	r, err := vectorRecord(in)
	if err != nil {
		return nil, err
	}
	key, err := k.OpenRecord(r)
	if err != nil {
		return nil, err
	}
	index, err := key.OpenIndex(in.hex("sealed"))
	if err != nil {
		return nil, err
	}
	return object{"level": k.t.level(r.header.Type), "dek": hx(key.dek[:]), "index": hx(index)}, nil
}

func runGrant(in object) (object, error) {
	k, err := ParsePrivateKey(in.hex("private_key"))
	if err != nil {
		return nil, err
	}
	to, err := ParseIdentity(in.hex("recipient"))
	if err != nil {
		return nil, err
	}
	var random [][]byte
	var w0 *pairing.Secret
	for i, w := range in.hexes("coefficients") {
		random = append(random, make([]byte, 16), w)
		if i == 0 {
			if w0, err = pairing.ParseSecret(w); err != nil {
				return nil, err
			}
		}
	}
	terms := Terms{ID: in.text("id"), Conditions: [32]byte(in.hex("conditions")), Generation: in.number("generation"),
		Members: uint8(in.number("n")), Threshold: uint8(in.number("t")), Everything: k.t == ""}
	g, shares, err := k.grant(replay(random...), terms, to)
	if err != nil {
		return nil, err
	}
	half := k.d.Sub(w0.MulG2(k.id.typed(k.t).point())).Bytes()
	rho := sealScalar(half[:], g.context)
	var dealt []string
	for _, s := range shares {
		dealt = append(dealt, hx(s.Bytes()))
	}
	return object{"grant": hx(g.Bytes()), "gctx": hx(g.context[:]), "E": hx(half[:]), "rho": hxScalar(rho),
		"K": hxGT(pairing.Pair(to.Key.g, to.typed(inbox).point()).Exp(rho)), "shares": dealt}, nil
}

func runOpenGrant(in object) (object, error) {
	k, err := ParsePrivateKey(in.hex("inbox_key"))
	if err != nil {
		return nil, err
	}
	g, err := ParseGrant(in.hex("grant"))
	if err != nil {
		return nil, err
	}
	if _, err := g.Open(k); err != nil {
		return faults(err), err
	}
	half, err := k.openHalf(g.sealed, g.context)
	return object{"E": hx(half), "gctx": hx(g.context[:])}, err
}

// answering is the input that making, checking and using answers share.
type answering struct {
	grant   *Grant // nil for a decapsulation
	current *Sharing
	access  *Access
	st      statement
}

func parseAnswering(in object) (w answering, err error) {
	if w.current, err = ParseSharing(in.hex("sharing")); err != nil {
		return w, err
	}
	if w.access, err = vectorAccess(in.object("access")); err != nil {
		return w, err
	}
	if !in.has("grant") {
		w.st, err = decapsulationStatement(w.current, w.access)
		return w, err
	}
	if w.grant, err = ParseGrant(in.hex("grant")); err != nil {
		return w, err
	}
	w.st, err = grantStatement(w.grant, w.current, w.access)
	return w, err
}

func runAnswer(in object) (object, error) {
	w, err := parseAnswering(in)
	if err != nil {
		return nil, err
	}
	s, err := ParseShare(in.hex("share"))
	if err != nil {
		return nil, err
	}
	ans, err := s.answer(replay(in.hex("random")), w.st, w.current, w.access)
	if err != nil {
		return nil, err
	}
	st := w.st.hash(w.current.members[s.index-1], w.access, ans)
	rho := weights(st, len(ans.points))
	var list []string
	for _, p := range rho {
		list = append(list, hxScalar(p))
	}
	k, err := hedgedNonce(replay(in.hex("random")), pairing.DSTFragmentNonce, s.secret, st[:])
	if err != nil {
		return nil, err
	}
	return object{"st": hx(st[:]), "rho": list, "W": hxPoint(fold(w.access.capsules(), rho)),
		"V": hxPoint(fold(ans.points, rho)), "kappa": hxSecret(k), "answer": hx(ans.Bytes())}, nil
}

func runVerifyAnswer(in object) (object, error) {
	w, err := parseAnswering(in)
	if err != nil {
		return nil, err
	}
	ans, err := ParseAnswer(in.hex("answer"))
	if err != nil {
		return nil, err
	}
	if w.grant == nil {
		return object{}, ans.VerifyDecapsulation(w.current, w.access)
	}
	return object{}, ans.Verify(w.grant, w.current, w.access)
}

func runOpenAccess(in object) (object, error) {
	w, err := parseAnswering(in)
	if err != nil {
		return nil, err
	}
	var list []*Answer
	for _, b := range in.hexes("answers") {
		ans, err := ParseAnswer(b)
		if err != nil {
			return nil, err
		}
		list = append(list, ans)
	}
	keys, err := w.open(list, in.hex("half"))
	if err != nil {
		return faults(err), err
	}
	var deks []string
	for _, k := range keys {
		deks = append(deks, hx(k.dek[:]))
	}
	return object{"deks": slices.Clip(deks)}, nil
}

func (w *answering) open(list []*Answer, half []byte) ([]*RecordKey, error) {
	if w.grant == nil {
		return w.access.OpenDecapsulated(w.current, list)
	}
	d, err := w.grant.Accept(half)
	if err != nil {
		return nil, err
	}
	return d.Open(w.current, w.access, list)
}
