package pre

import (
	"slices"

	"github.com/ward-health/ward/internal/pairing"
)

// refuseAnswers adds answers that do not verify.
func (w *world) refuseAnswers() {
	one, three, emergency := w.standard(1), w.standard(3), w.emergency()
	refuse := func(name, kind, comment string, c *answerCase, change func(in object, ans *Answer) object) {
		ans := w.answer(c.shares[1], c.grant, c.sharing, c.access)
		in := change(c.in, ans)
		w.add("verify-answer-"+name, kind, "verify-answer", comment, in.with("answer", hx(ans.Bytes())))
	}
	with := func(c *answerCase, a *Access) object { return c.in.with("access", accessObject(a)) }
	g1 := pairing.GeneratorG1()
	refuse("point", "proof", "R + g1", one, func(in object, ans *Answer) object { ans.points[0] = ans.points[0].Add(g1); return in })
	refuse("challenge", "proof", "c + 1", one, func(in object, ans *Answer) object {
		ans.challenge = ans.challenge.Add(pairing.NewScalar(1))
		return in
	})
	refuse("response", "proof", "z + 1", one, func(in object, ans *Answer) object { ans.z = ans.z.Add(pairing.NewScalar(1)); return in })
	refuse("zero-proof", "proof", "c = 0 and z = 0", one, func(in object, ans *Answer) object {
		ans.challenge, ans.z = pairing.Scalar{}, pairing.Scalar{}
		return in
	})
	refuse("points-exchanged", "proof", "two points of a batch change places", three, func(in object, ans *Answer) object {
		ans.points[0], ans.points[1] = ans.points[1], ans.points[0]
		return in
	})
	refuse("errors-that-cancel", "proof", "one point plus g1, another minus g1", three, func(in object, ans *Answer) object {
		ans.points[0], ans.points[1] = ans.points[0].Add(g1), ans.points[1].Sub(g1)
		return in
	})
	refuse("missing-point", "proof", "two points for three records", three, func(in object, ans *Answer) object { ans.points = ans.points[:2]; return in })
	refuse("extra-point", "proof", "four points for three records, the first three are right and proven", three, func(in object, ans *Answer) object {
		ans.points = append(ans.points, ans.points[0])
		return in
	})
	refuse("extra-point-folded", "proof", "the first of four points for three records is wrong, the last makes up for it in the sum", three, func(in object, ans *Answer) object {
		w.compensate(three, ans)
		return in
	})
	refuse("other-access", "proof", "an answer for another access", one, func(in object, _ *Answer) object {
		a := *one.access
		a.ID[0] ^= 1
		return with(one, &a)
	})
	refuse("other-requester", "proof", "an answer for another requester", one, func(in object, _ *Answer) object {
		a := *one.access
		a.Requester = w.transportKey("somebody").Public()
		return with(one, &a)
	})
	refuse("other-record", "proof", "an answer for another record", one, func(in object, _ *Answer) object {
		return with(one, &Access{one.access.ID, one.access.Requester, []*Record{w.record(w.owner, worldType, "another")}})
	})
	refuse("other-capsule", "proof", "an answer for another capsule under the same header", one, func(in object, _ *Answer) object {
		h := one.access.Records[0].header
		var author Encapsulator
		e, _, err := author.encapsulate(stream("another capsule"), h, nil)
		must(w.t, err)
		r, err := e.Verify(h)
		must(w.t, err)
		return with(one, &Access{one.access.ID, one.access.Requester, []*Record{r}})
	})
	refuse("records-exchanged", "proof", "the records stand in another order", three, func(in object, _ *Answer) object {
		r := three.access.Records
		return with(three, &Access{three.access.ID, three.access.Requester, []*Record{r[1], r[0], r[2]}})
	})
	refuse("other-member", "proof", "an answer in another member's name", one, func(in object, ans *Answer) object { ans.index = 4; return in })
	refuse("no-member", "shares", "an answer of member 6 of 5", one, func(in object, ans *Answer) object { ans.index = 6; return in })
	refuse("generation", "shares", "an answer of another generation", one, func(in object, ans *Answer) object { ans.generation = 2; return in })
	refuse("old-generation", "shares", "an answer from before a reshare", one, func(in object, _ *Answer) object {
		return in.with("sharing", hx(w.reshared().sharing.Bytes()))
	})
	refuse("relabelled-generation", "proof", "an answer from before a reshare, relabelled", one, func(in object, ans *Answer) object {
		ans.generation = 2
		return in.with("sharing", hx(w.reshared().sharing.Bytes()))
	})
	forged, other := w.secondDeal(one)
	st := statement{pairing.DSTFragment, one.grant.context[:]}
	refuse("other-coefficients", "shares", "the sharing has the generation and A₀ of the one dealt, but other coefficients, and the answer is one under it", one,
		func(in object, ans *Answer) object {
			a, err := other[1].answer(stream("answer"), st, forged, one.access)
			must(w.t, err)
			*ans = *a
			return in.with("sharing", hx(forged.Bytes()))
		})
	refuse("other-members", "shares", "the sharing is the one dealt but for a sixth member", one, func(in object, _ *Answer) object {
		more, err := newSharing(1, 6, one.sharing.commitments)
		must(w.t, err)
		return in.with("sharing", hx(more.Bytes()))
	})
	foreign, strangers := w.otherSecret()
	refuse("other-sharing", "shares", "a later sharing is of another secret, and the answer is one under it", one, func(in object, ans *Answer) object {
		a, err := strangers[1].answer(stream("answer"), st, foreign, one.access)
		must(w.t, err)
		*ans = *a
		return in.with("sharing", hx(foreign.Bytes()))
	})
	w.refuseStatements(one, emergency, refuse)
}

// compensate makes an answer wrong about the first record, and appends a point
// with which the sum over all points is that of the right answer. The statement
// has no place for that point, so its weight is known before it is chosen.
func (w *world) compensate(c *answerCase, ans *Answer) {
	w.t.Helper()
	st, err := w.statement(c.grant, c.sharing, c.access)
	must(w.t, err)
	secret, u, g1 := c.shares[1].secret, c.access.capsules(), pairing.GeneratorG1()
	ans.points[0] = ans.points[0].Add(g1)
	hash := st.hash(c.sharing.members[1], c.access, ans)
	rho := weights(hash, len(u)+1)
	extra := rho[0].Mul(rho[len(u)].Inverse()).Neg()
	ans.points = append(ans.points, g1.Mul(extra))
	sum, right := fold(ans.points, rho), fold(u, rho[:len(u)])
	if !sum.Equal(secret.MulG1(right)) {
		w.t.Fatal("the last point does not make up for the first")
	}
	k := w.randomSecret("compensated")
	ans.challenge = dleqChallenge(hash, right, sum, pairing.MulGenerator(k.Publish()), k.MulG1(right))
	ans.z = k.Add(secret.Mul(pairing.SecretFrom(ans.challenge))).Publish()
}

// secondDeal shares the grant's secret once more in its first generation.
func (w *world) secondDeal(c *answerCase) (*Sharing, []*Share) {
	w.t.Helper()
	l, err := pairing.NewLagrange([]uint8{1, 2, 3})
	must(w.t, err)
	w0 := l.CombineSecrets([]*pairing.Secret{c.shares[0].secret, c.shares[1].secret, c.shares[2].secret})
	return w.deal("second deal", w0, 1, 5, 3)
}

// otherSecret is a sharing of the second generation that is not the grant's.
func (w *world) otherSecret() (*Sharing, []*Share) {
	w.t.Helper()
	return w.deal("other secret", w.randomSecret("other secret"), 2, 5, 3)
}

// refuseStatements adds answers to questions that must not be asked.
func (w *world) refuseStatements(one, emergency *answerCase, refuse func(string, string, string, *answerCase, func(object, *Answer) object)) {
	g, shares := w.grant(w.owner, "lab", w.reader, "same-terms-otherwise")
	other := w.answerCase("standard 1", g, w.reader, g.sharing, shares, one.access.Records...)
	refuse("other-grant", "shares", "the grant is another, of the same owner, type and reader", one, func(in object, _ *Answer) object {
		return in.with("grant", hx(g.Bytes()))
	})
	refuse("other-grant-and-sharing", "proof", "grant and sharing are another's", one, func(object, *Answer) object { return other.in })
	refuse("not-decapsulation", "proof", "an answer to a grant whose context is that of the authority", emergency, func(in object, ans *Answer) object {
		st, err := decapsulationStatement(w.authority, emergency.access)
		must(w.t, err)
		st.tag = pairing.DSTFragment
		forged, err := w.shares[1].answer(stream("answer"), st, w.authority, emergency.access)
		must(w.t, err)
		*ans = *forged
		return in
	})
	uncovered := func(name, comment string, c *answerCase, records ...*Record) {
		refuse(name, "not-covered", comment, c, func(in object, _ *Answer) object {
			return c.in.with("access", accessObject(&Access{c.access.ID, c.access.Requester, records}))
		})
	}
	later, patient := w.owner, w.patient
	later.Epoch++
	first := one.access.Records[0]
	uncovered("other-type", "the second record is of a type beside the grant's", one, first, w.record(w.owner, "imaging", "beside"))
	uncovered("above-type", "the record is of the type above the grant's", one, w.record(w.owner, "", "above"))
	uncovered("sealed-type", "a sealed component keeps the grant out", one, w.record(w.owner, "lab/sealed:hiv", "sealed"))
	uncovered("other-owner", "the record is another's", one, w.record(w.reader, "lab", "anothers"))
	uncovered("other-epoch", "the record is of a later epoch", one, w.record(later, "lab", "later"))
	uncovered("decapsulation-of-self-custody", "records of owners in self-custody are not decapsulated", emergency, w.record(patient, "lab", "self"))
	foreign := w.owner
	foreign.Chain = "south-sea"
	uncovered("two-chains", "the records of a decapsulation are of two chains", emergency, first, w.record(foreign, "lab", "foreign"))
	foreign.Chain, foreign.Key = "north-sea", w.patient.Key
	uncovered("other-authority", "the owner's key is another authority's", emergency, w.record(foreign, "lab", "other-authority"))
	foreign.Version, foreign.Key = 1, w.authority.Key()
	uncovered("version-one-of-authority", "the owner's version is 1, with the authority's key", emergency, w.record(foreign, "lab", "version-one"))
	refuse("no-records", "limit", "an access to nothing", one, func(in object, _ *Answer) object {
		return one.in.with("access", accessObject(&Access{one.access.ID, one.access.Requester, nil}))
	})
	refuse("short-requester", "length", "a requester of 31 bytes", one, func(in object, _ *Answer) object {
		return one.in.with("access", accessObject(&Access{one.access.ID, one.access.Requester[:31], one.access.Records}))
	})

	c := w.emergency()
	w.add("answer-decapsulation-of-self-custody", "not-covered", "answer", "a member is asked to decapsulate for an owner in self-custody",
		object{"sharing": hx(w.authority.Bytes()), "share": hx(w.shares[0].Bytes()), "random": hx(randomBytes("answer", 32)),
			"access": accessObject(&Access{c.access.ID, c.access.Requester, []*Record{w.record(patient, "lab", "self")}})})
	w.add("answer-wrong-generation", "shares", "answer", "the share is older than the sharing",
		w.reshared().in.with("share", hx(one.shares[0].Bytes())).with("random", hx(randomBytes("answer", 32))))
	forged, dealt := w.secondDeal(one)
	w.add("answer-other-coefficients", "shares", "answer", "share and sharing are of another deal of the grant's secret in its first generation",
		one.in.with("sharing", hx(forged.Bytes())).with("share", hx(dealt[0].Bytes())).with("random", hx(randomBytes("answer", 32))))
	unrelated, strangers := w.otherSecret()
	w.add("answer-other-sharing", "shares", "answer", "share and sharing are of another secret, in a later generation",
		one.in.with("sharing", hx(unrelated.Bytes())).with("share", hx(strangers[0].Bytes())).with("random", hx(randomBytes("answer", 32))))
	w.add("answer-damaged-share", "shares", "answer", "the share is not the one behind the member's public share",
		one.in.with("share", hx((&Share{1, 1, one.shares[1].secret}).Bytes())).with("random", hx(randomBytes("answer", 32))))
	w.add("answer-uncovered", "not-covered", "answer", "a member is asked for a record that the grant does not reach",
		one.in.with("share", hx(one.shares[0].Bytes())).with("random", hx(randomBytes("answer", 32))).
			with("access", accessObject(&Access{c.access.ID, c.access.Requester, []*Record{w.record(w.owner, "imaging", "beside")}})))
}

// refuseCombination adds sets of answers that do not open.
func (w *world) refuseCombination() {
	one, three, emergency, moved := w.standard(1), w.standard(3), w.emergency(), w.reshared()
	refuse := func(name, kind, comment string, c *answerCase, list []*Answer) {
		w.add("open-access-"+name, kind, "open-access", comment, c.opening(list))
	}
	all := func(c *answerCase) []*Answer { return w.answers(c.shares, c.grant, c.sharing, c.access) }
	a := all(one)
	refuse("too-few", "shares", "t − 1 answers", one, a[:2])
	refuse("too-many", "shares", "t + 1 answers", one, a[:4])
	refuse("none", "shares", "no answer", one, nil)
	refuse("repeated", "shares", "the same answer twice", one, []*Answer{a[0], a[1], a[1]})
	refuse("generations", "shares", "answers of two generations", one, []*Answer{a[0], a[1], all(moved)[2]})
	refuse("old-generation", "shares", "the generation before", moved, all(w.standard(3))[:4])

	wrong := func(c *answerCase, which int, change func(ans *Answer)) []*Answer {
		list := slices.Clone(all(c)[:3])
		change(list[which])
		return list
	}
	g1 := pairing.GeneratorG1()
	refuse("wrong-point", "blame", "member 2 answers with another point", one, wrong(one, 1, func(ans *Answer) { ans.points[0] = ans.points[0].Add(g1) }))
	refuse("wrong-one-of-three", "blame", "member 3 is wrong about one record", three, wrong(three, 2, func(ans *Answer) { ans.points[1] = g1 }))
	refuse("missing-point", "blame", "member 1 leaves out a record", three, wrong(three, 0, func(ans *Answer) { ans.points = ans.points[:2] }))
	refuse("extra-point", "blame", "member 1 adds a point to a right answer", three, wrong(three, 0, func(ans *Answer) { ans.points = append(ans.points, g1) }))
	refuse("extra-point-folded", "blame", "the first point of member 2 is wrong, a fourth makes up for it in the sum", three,
		wrong(three, 1, func(ans *Answer) { w.compensate(three, ans) }))
	forged, dealt := w.secondDeal(one)
	st := statement{pairing.DSTFragment, one.grant.context[:]}
	second := make([]*Answer, 3)
	for i := range second {
		var err error
		second[i], err = dealt[i].answer(stream("answer"), st, forged, one.access)
		must(w.t, err)
	}
	w.add("open-access-other-coefficients", "shares", "open-access", "answers and sharing are of another deal of the grant's secret in its first generation",
		one.opening(second).with("sharing", hx(forged.Bytes())))
	refuse("wrong-decapsulation", "blame", "member 1 answers with another point", emergency, wrong(emergency, 0, func(ans *Answer) { ans.points[1] = g1 }))
	two := wrong(one, 1, func(ans *Answer) { ans.points[0] = g1 })
	two[2].points[0] = two[2].points[0].Neg()
	refuse("two-wrong", "blame", "members 2 and 3 answer with another point", one, two)
	proofOnly := wrong(one, 1, func(ans *Answer) { ans.z = pairing.NewScalar(1) })
	w.add("open-access-unproven", "valid", "open-access", "right points open records whatever the proofs", one.opening(proofOnly))

	h := w.header(w.owner, worldType, "malformed")
	r := w.randomSecret("malformed").Publish()
	e := w.forge(h, nil, r, func(e *Envelope) {})
	bad, err := e.Verify(h)
	must(w.t, err)
	c := w.answerCase("author", one.grant, w.reader, one.sharing, one.shares, one.access.Records[0], bad)
	refuse("author", "author", "every answer is right and record 1 does not open", c, all(c)[:3])
	w.add("open-access-other-half", "dealer", "open-access", "the reader's half is another grant's",
		one.opening(a[:3]).with("half", hx(w.half(w.otherGrant(), w.reader))))
}

func (w *world) otherGrant() *Grant {
	g, _ := w.grant(w.owner, "lab", w.reader, "the-other-grant")
	return g
}
